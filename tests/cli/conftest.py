"""A data directory with the sample in it, and the command line run in this process."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import pytest

from zeratul.cli.main import run

if TYPE_CHECKING:
    from collections.abc import Callable

SAMPLE = Path(__file__).resolve().parents[2] / "schema" / "models" / "documents"


class Done(NamedTuple):
    """What a command came to."""

    code: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        return json.loads(self.out)

    @property
    def lines(self) -> list[str]:
        return self.out.splitlines()


@pytest.fixture(autouse=True)
def no_settings(monkeypatch):
    """Nothing of the caller's environment reaches a command."""
    for name in ("DATA", "URL", "KEY", "APPLICATION", "ROOT_KEY"):
        monkeypatch.delenv(f"ZERATUL_{name}", raising=False)


@pytest.fixture
def zeratul(capfdbinary) -> Callable[..., Done]:
    """Run a command; its code and what it printed."""

    def call(*arguments: object) -> Done:
        capfdbinary.readouterr()
        code = run([str(each) for each in arguments])
        printed = capfdbinary.readouterr()
        return Done(code, printed.out.decode(), printed.err.decode())

    return call


@pytest.fixture
def data(tmp_path, zeratul) -> Path:
    """A data directory with the sample model and its relationships."""
    directory = tmp_path / "data"
    relationships = SAMPLE / "relationships.ndjson"
    done = zeratul("import", "--data", directory, "--model", SAMPLE / "model.json", relationships)
    assert done.code == 0, done.err
    return directory

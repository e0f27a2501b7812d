"""What the processes of a server find in their environment."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from zeratul.config import Config
from zeratul.server.supervisor import ROOT_KEY_VARIABLE, environment
from zeratul.server.task import Task

if TYPE_CHECKING:
    from zeratul.server.task import Role

TRIM = "MALLOC_TRIM_THRESHOLD_"


def task(role: Role) -> Task:
    """A process's part."""
    return Task(
        config=Config(data=Path("data")),
        role=role,
        slot=role,
        leader=False,
        address="127.0.0.1",
        port=1,
        directory=Path("private"),
    )


@pytest.mark.parametrize("role", ["web", "heavy"])
def test_a_process_finds_everything_but_the_root_key(role: Role) -> None:
    """A key in an environment is readable for as long as the process lives."""
    ours = {ROOT_KEY_VARIABLE: "secret", "HOME": "/home"}
    found = environment(task(role), ours)
    assert found["HOME"] == "/home"
    assert ROOT_KEY_VARIABLE not in found
    assert ROOT_KEY_VARIABLE in ours


def test_the_process_for_heavy_calls_keeps_its_memory() -> None:
    """Unless the operator said something else."""
    assert TRIM not in environment(task("web"), {})
    assert int(environment(task("heavy"), {})[TRIM]) > 1_000_000
    assert environment(task("heavy"), {TRIM: "0"})[TRIM] == "0"

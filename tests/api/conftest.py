"""One server for all tests of this folder, and servers of a test's own."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.api.servers import Server, new_application, serving
from zeratul.domain.limits import Limits

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from tests.api.client import Client


@pytest.fixture(scope="session")
def root(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Client]:
    """One server for all tests of this folder, asked with its root key."""
    with serving(tmp_path_factory.mktemp("api") / "data", limits=Limits()) as client:
        yield client


@pytest.fixture
def api(root: Client) -> Client:
    """An application of the test's own."""
    return new_application(root)


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Callable[..., Server]]:
    """Starts whole servers; all are stopped at the end of the test."""
    running: list[Server] = []

    def begin(*options: str, data: Path | None = None, **more: str | None) -> Server:
        running.append(Server(data or tmp_path / "data", *options, **more))
        return running[-1]

    yield begin
    for server in running:
        if server.process.poll() is None:
            server.stop()

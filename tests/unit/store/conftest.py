"""Every storage engine under the same tests: a fixture a engine, one suite."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import pytest

from tests.unit.store.world import World
from zeratul.store.lmdb import open_store

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from zeratul.store.interface import Store


@dataclass
class Clock:
    """A time that only moves when told to."""

    now_ms: int = 1_000_000

    def __call__(self) -> int:
        return self.now_ms


@pytest.fixture
def clock() -> Clock:
    """The store's time."""
    return Clock()


@pytest.fixture(params=["lmdb"])
def store(request: pytest.FixtureRequest, tmp_path: Path, clock: Clock) -> Iterator[Store]:
    """An empty store of each engine."""
    assert request.param == "lmdb"
    opened = open_store(tmp_path / "store", map_bytes=1 << 30, clock_ms=clock)
    yield opened
    opened.close()


@pytest.fixture
def world(store: Store) -> World:
    """An application with documents, groups and users in the store."""
    return World(store)

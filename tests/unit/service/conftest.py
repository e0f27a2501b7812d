"""Services over a real store of their own, with a clock that stands still until it is moved."""

from __future__ import annotations

from contextlib import contextmanager
from threading import Event
from threading import enumerate as running_threads
from typing import TYPE_CHECKING

import pytest

from tests.builders import model
from zeratul.service.services import Services
from zeratul.store.lmdb import open_store

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from zeratul.service.ground.caller import Caller
    from zeratul.store.interface import Store

NOON_MS = 1_900_000_000_000

MODEL = model(
    {
        "user": {},
        "folder": {"viewer": "[user, group#member]"},
        "document": {
            "parent": "[folder]",
            "owner": "[user]",
            "banned": "[user]",
            "viewer": "[user, user:*, group#member] or owner or viewer from parent",
            "reader": "viewer but not banned",
        },
    }
)


class Clock:
    """The time the services and the store go by."""

    def __init__(self) -> None:
        self.now_ms = NOON_MS

    def __call__(self) -> int:
        return self.now_ms


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def services(tmp_path: Path, clock: Clock) -> Iterator[Services]:
    """Services over a fresh store."""
    opened = Services.build(open_store(tmp_path / "data", clock_ms=clock), clock_ms=clock)
    yield opened
    opened.close()


@pytest.fixture
def other(services: Services, clock: Clock) -> Iterator[Services]:
    """Another process's services on the same store, as far as memory goes."""
    opened = Services.build(services.store, clock_ms=clock)
    yield opened
    opened.keys.close()
    opened.decisions.close()


@pytest.fixture(autouse=True)
def nothing_goes_on() -> Iterator[None]:
    """Whatever a test's services do behind their answers has ended with it."""
    before = set(running_threads())  # of what other modules' servers do
    yield
    begun = {thread.name for thread in set(running_threads()) - before}
    assert not begun & {"decisions", "key-uses"}


@pytest.fixture
def empty(services: Services) -> Caller:
    """A caller in the default application, which has no model yet."""
    return services.local_caller()


@pytest.fixture
def caller(services: Services, empty: Caller) -> Caller:
    """A caller in the default application, with the tests' model."""
    services.models.put(empty, MODEL).result()
    return empty


@contextmanager
def held_writer(store: Store) -> Iterator[None]:
    """Nothing is written until the block ends; its writes then run in one commit, in order."""
    running, released = Event(), Event()

    def wait(_: object) -> None:
        running.set()
        assert released.wait(timeout=30)

    future = store.write(wait)
    assert running.wait(timeout=30)
    try:
        yield
    finally:
        released.set()
        future.result()

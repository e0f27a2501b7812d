"""Several processes on one directory: each sees the others' commits at once; any may be killed."""

from __future__ import annotations

import os
import signal
from concurrent.futures import ThreadPoolExecutor
from multiprocessing import get_context
from typing import TYPE_CHECKING, Any

import pytest

from tests.unit.store.world import World
from zeratul.store.lmdb import open_store

if TYPE_CHECKING:
    from collections.abc import Iterator
    from multiprocessing.connection import Connection
    from pathlib import Path

    from zeratul.store.lmdb import LmdbStore

pytestmark = pytest.mark.slow

MAP_BYTES = 1 << 28


def serve(path: str, pipe: Connection) -> None:
    """A second process: does what it is told, each command a function of this module."""
    # Not the size the first one chose, which must win.
    store = open_store(path, map_bytes=1 << 30)
    pipe.send("ready")
    while (command := pipe.recv()) is not None:
        name, arguments = command
        pipe.send(COMMANDS[name](store, *arguments))
    store.close()


def put(store: LmdbStore, name: str) -> int:
    """Write a document; its revision."""

    def job(tx: Any) -> int:
        tx.put_document(1, "k", name, name.encode())
        return int(tx.revision)

    return store.write(job).result()


def read(store: LmdbStore) -> list[str]:
    """The documents' ids."""
    with store.snapshot() as snapshot:
        return [name for name, _ in snapshot.documents(1, "k")]


def numbers(store: LmdbStore) -> dict[str, int]:
    """Its statistics."""
    return store.statistics()


def hold_a_reader(store: LmdbStore) -> int:
    """Open a snapshot and keep it; the process's number."""
    KEPT.append(store.snapshot())
    return os.getpid()


def write_rows(store: LmdbStore, application: int, rows: list[Any]) -> list[Any]:
    """Write rows one commit each; their outcomes."""
    outcomes = []
    for row in rows:
        prepared = store.prepare(application, [row])
        outcomes += store.write(lambda tx, p=prepared: tx.apply(p)).result().writes  # type: ignore[misc]
    return outcomes


KEPT: list[object] = []
COMMANDS = {
    "put": put,
    "read": read,
    "numbers": numbers,
    "hold": hold_a_reader,
    "rows": write_rows,
}


class Peer:
    """The other process, from here."""

    def __init__(self, path: Path) -> None:
        context = get_context("spawn")
        self._pipe, theirs = context.Pipe()
        self.process = context.Process(target=serve, args=(str(path), theirs))
        self.process.start()
        theirs.close()
        assert "ready" == self._pipe.recv()

    def ask(self, name: str, *arguments: object) -> Any:
        """What the command answers there."""
        self._pipe.send((name, arguments))
        return self._pipe.recv()

    def stop(self) -> None:
        """Let it close its store."""
        self._pipe.send(None)
        self.process.join()

    def kill(self) -> None:
        """Without any warning."""
        assert self.process.pid is not None
        os.kill(self.process.pid, signal.SIGKILL)
        self.process.join()


@pytest.fixture
def shared(tmp_path: Path) -> Iterator[LmdbStore]:
    """A store that this process opened first."""
    store = open_store(tmp_path / "s", map_bytes=MAP_BYTES)
    yield store
    store.close()


@pytest.fixture
def peer(shared: LmdbStore, tmp_path: Path) -> Iterator[Peer]:
    """A process that opened it second."""
    assert shared
    started = Peer(tmp_path / "s")
    yield started
    if started.process.is_alive():
        started.stop()


def test_each_sees_what_the_other_committed(shared: LmdbStore, peer: Peer) -> None:
    """In the very next snapshot; revisions are one sequence."""
    revisions = []
    for number in range(10):
        revisions.append(put(shared, f"{number}-here"))
        assert f"{number}-here" in peer.ask("read")
        revisions.append(peer.ask("put", f"{number}-there"))
        assert f"{number}-there" in read(shared)
    assert list(range(1, 21)) == revisions


def test_the_first_process_sizes_the_map_for_all(shared: LmdbStore, peer: Peer) -> None:
    """Whatever the second asks for."""
    assert MAP_BYTES == shared.statistics()["map_bytes"] == peer.ask("numbers")["map_bytes"]


def test_processes_that_write_the_same_rows_store_each_once(shared: LmdbStore, peer: Peer) -> None:
    """One creates it, the other finds it; no name gets two numbers."""
    world = World(shared)
    texts = [f"doc:{number % 20}#viewer@user:{number % 7}" for number in range(60)]
    rows = [world.row(world.fact(text)) for text in texts]
    with ThreadPoolExecutor(1) as pool:
        there = pool.submit(peer.ask, "rows", world.application, rows)
        here = write_rows(shared, world.application, rows)
    outcomes = here + there.result()
    assert len(set(texts)) == sum(outcome == 0 for outcome in outcomes)
    with shared.snapshot() as snapshot:
        assert sorted(set(map(world.fact, texts))) == sorted(world.everything(snapshot))
    numbers_here = shared.statistics()
    assert 27 == numbers_here["entries_names"] == numbers_here["nodes"]


def test_marks_of_another_process_are_seen(shared: LmdbStore, peer: Peer) -> None:
    """Its first expiring row of a slot must not be missed by a process that never saw one."""
    world = World(shared)
    world.write("doc:a#viewer@user:u")
    with shared.snapshot() as snapshot:
        assert [True] == world.has(snapshot, "doc:a#viewer@user:u")
    far = 10**15
    assert [2] == peer.ask(
        "rows", world.application, [world.row(world.fact("doc:a#viewer@user:u"), far)]
    )
    with shared.snapshot() as snapshot:
        assert [True] == world.has(snapshot, "doc:a#viewer@user:u")
        assert far == snapshot.expires_min_ms


def test_readers_of_a_killed_process_are_cleared(shared: LmdbStore, peer: Peer) -> None:
    """Or its pages would never be free again."""
    process = peer.ask("hold")
    peer.kill()
    assert str(process) in readers(shared)
    shared.collect(retention_s=3_600)
    assert str(process) not in readers(shared)


def readers(store: LmdbStore) -> str:
    """LMDB's table of readers."""
    return store._environment.lmdb.readers()


def test_a_writer_killed_at_work_leaves_no_lock(shared: LmdbStore, peer: Peer) -> None:
    """The next writer goes on."""
    world = World(shared)
    with ThreadPoolExecutor(1) as pool:
        rows = [world.row(world.fact(f"doc:{n}#viewer@user:u")) for n in range(100_000)]
        future = pool.submit(peer.ask, "rows", world.application, rows)
        while shared.statistics()["entries_forward"] < 20:
            put(shared, "meanwhile")
        peer.kill()
        assert isinstance(future.exception(), (EOFError, OSError))
    assert put(shared, "afterwards") > 0
    numbers_here = shared.statistics()
    assert numbers_here["entries_forward"] == numbers_here["entries_reverse"]

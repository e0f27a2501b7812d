"""Several processes on one directory: each sees the others' commits at once; any may be killed."""

from __future__ import annotations

import os
import signal
from concurrent.futures import ThreadPoolExecutor
from multiprocessing import get_context
from typing import TYPE_CHECKING, Any

import pytest

from tests.unit.store.world import World
from zeratul.errors import NotFoundError
from zeratul.store.lmdb import open_store, sweeper

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


def names(store: LmdbStore, application: int) -> dict[tuple[str, str], int]:
    """The application's vocabulary."""
    with store.snapshot() as snapshot:
        return dict(snapshot.vocabulary(application).slots)


def rename(store: LmdbStore, application: int, mapping: dict[Any, Any]) -> int:
    """Rename slots; the revision."""

    def job(tx: Any) -> int:
        tx.rename_slots(application, mapping)
        return int(tx.revision)

    return store.write(job).result()


def drop(store: LmdbStore, application: int) -> None:
    """Drop an application."""
    store.write(lambda tx: tx.drop_application(application)).result()


def sweep(store: LmdbStore, entries: int) -> int:
    """Sweep in steps of so many entries until nothing is left; how many were removed."""
    sweeper.STEP_ENTRIES = entries
    total = 0
    while removed := store.sweep():
        total += removed
    return total


def record(store: LmdbStore, application: int, body: bytes) -> None:
    """Record an audit event."""
    store.write(lambda tx: tx.record(application, body)).result()


def events(store: LmdbStore, application: int) -> list[bytes]:
    """The audit log."""
    with store.snapshot() as snapshot:
        return [event.body for event in snapshot.events(application, limit=99)]


KEPT: list[object] = []
COMMANDS = {
    "put": put,
    "read": read,
    "numbers": numbers,
    "hold": hold_a_reader,
    "rows": write_rows,
    "names": names,
    "rename": rename,
    "drop": drop,
    "sweep": sweep,
    "record": record,
    "events": events,
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


def test_names_given_by_another_process_are_seen_at_once(shared: LmdbStore, peer: Peer) -> None:
    """Though each keeps the vocabulary it read last; numbers and rows stay."""
    world = World(shared)
    world.write("doc:a#viewer@user:u")
    viewer = world.slot("doc", "viewer")
    forth = {("doc", "viewer"): ("doc", "reader")}
    back = {new: old for old, new in forth.items()}
    for mapping, name in [(forth, "reader"), (back, "viewer")] * 5:
        assert names(shared, world.application) == peer.ask("names", world.application)
        peer.ask("rename", world.application, mapping)
        assert viewer == names(shared, world.application)["doc", name]
        assert viewer == peer.ask("names", world.application)["doc", name]
        owner, other = ("doc", "owner"), ("doc", f"of {name}")
        rename(shared, world.application, {owner: other})
        assert names(shared, world.application) == peer.ask("names", world.application)
        rename(shared, world.application, {other: owner})
    assert names(shared, world.application) == peer.ask("names", world.application)
    with shared.snapshot() as snapshot:
        assert [True] == world.has(snapshot, "doc:a#viewer@user:u")


def test_events_of_all_processes_are_one_log(shared: LmdbStore, peer: Peer) -> None:
    """In the order of their commits."""
    for number in range(5):
        record(shared, 1, b"%d here" % number)
        peer.ask("record", 1, b"%d there" % number)
    expected = [b"%d %s" % (n, who) for n in range(4, -1, -1) for who in (b"there", b"here")]
    assert expected == events(shared, 1) == peer.ask("events", 1)


def test_an_application_dropped_by_another_process_is_gone_at_once(
    shared: LmdbStore, peer: Peer
) -> None:
    """For readers that knew its names, and for writers that prepared rows."""
    world = World(shared)
    world.write("doc:a#viewer@user:u")
    record(shared, world.application, b"event")
    assert names(shared, world.application)
    prepared = world.prepare(["doc:b#viewer@user:u"])
    peer.ask("drop", world.application)
    assert {} == names(shared, world.application)
    assert [] == events(shared, world.application)
    with pytest.raises(NotFoundError):
        shared.write(lambda tx: tx.apply(prepared)).result()


def test_processes_that_sweep_at_once_remove_each_entry_once(
    shared: LmdbStore, peer: Peer
) -> None:
    """Together as many as one alone."""
    other = World(shared)
    other.write("doc:a#viewer@user:u")
    totals = []
    for together in (False, True):
        world = World(shared)
        world.write(*(f"doc:{n}#viewer@user:{n % 9}" for n in range(3_000)))
        drop(shared, world.application)
        with ThreadPoolExecutor(1) as pool:
            there = pool.submit(peer.ask, "sweep", 50) if together else None
            total = sweep(shared, 50)
            totals.append(total + (there.result() if there else 0))
    assert totals[0] == totals[1] > 12_000
    with shared.snapshot() as snapshot:
        assert [other.fact("doc:a#viewer@user:u")] == other.everything(snapshot)
    assert 1 == shared.statistics()["entries_forward"]


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

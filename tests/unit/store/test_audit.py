"""The audit log: in the change's own transaction, newest first, as old as the history."""

from __future__ import annotations

from threading import Event
from typing import TYPE_CHECKING

import lmdb
import pytest
from hypothesis import given
from hypothesis import strategies as st

from zeratul.domain.limits import Limits
from zeratul.errors import LimitError, RevisionError, StoreError
from zeratul.store.lmdb import environment, open_store
from zeratul.store.lmdb.environment import DATA_FILE

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from tests.unit.store.conftest import Clock
    from tests.unit.store.world import World
    from zeratul.store.interface import Snapshot, Store, StoredEvent, WriteTransaction

SMALL = 1 << 26


class Refused(Exception):  # noqa: N818 - what a job raises
    """A job's own error."""


def recording(application: int, *bodies: bytes) -> Callable[[WriteTransaction], int]:
    """A job that records events and tells its revision."""

    def job(tx: WriteTransaction) -> int:
        for body in bodies:
            tx.record(application, body)
        return tx.revision

    return job


def record(store: Store, application: int, *bodies: bytes) -> int:
    """Record in one commit; its revision."""
    return store.write(recording(application, *bodies)).result()


def bodies(snapshot: Snapshot, application: int = 1, limit: int = 100) -> list[bytes]:
    """Bodies of the events, newest first."""
    return [event.body for event in snapshot.events(application, limit=limit)]


def test_events_come_newest_first_by_application(store: Store) -> None:
    """Those of one commit in the order in which they were recorded; each tells its revision."""
    first = record(store, 1, b"a", b"b")
    record(store, 2, b"other")
    second = record(store, 1, b"c")
    with store.snapshot() as snapshot:
        events = snapshot.events(1, limit=9)
        assert [(second, b"c"), (first, b"b"), (first, b"a")] == [
            (event.revision, event.body) for event in events
        ]
        assert [b"other"] == bodies(snapshot, 2)
        assert [] == bodies(snapshot, 3) == bodies(snapshot, 0) == bodies(snapshot, 1, 0)
    positions = [event.position for event in events]
    assert sorted(set(positions), reverse=True) == positions


def test_pages_of_events_go_on_behind_a_position(store: Store) -> None:
    """Whatever is recorded meanwhile; positions do not change."""
    written = [b"%d" % number for number in range(20)]
    for start in range(0, 20, 4):
        record(store, 7, *written[start : start + 4])
    with store.snapshot() as snapshot:
        every = snapshot.events(7, limit=99)
    found: list[StoredEvent] = []
    while True:
        with store.snapshot() as snapshot:
            page = snapshot.events(
                7, before=found[-1].position if found else b"", limit=3 if found else 1
            )
        if not page:
            break
        found += page
        record(store, 7, b"later")
        record(store, 6, b"of a neighbour")
        record(store, 8, b"of another")
    assert every == found
    assert written[::-1] == [event.body for event in found]


def test_a_revision_and_a_pinned_snapshot_show_nothing_newer(store: Store) -> None:
    """Also where a snapshot is older than what ``upto`` names."""
    revisions = [record(store, 1, b"%d" % number) for number in range(4)]
    with store.snapshot() as snapshot:
        assert [b"1", b"0"] == [e.body for e in snapshot.events(1, upto=revisions[1], limit=9)]
        assert [] == snapshot.events(1, upto=revisions[0] - 1, limit=9)
        newest = snapshot.events(1, limit=1)[0].position
    with store.snapshot(revision=revisions[2]) as snapshot:
        assert [b"2", b"1", b"0"] == bodies(snapshot)
        for upto in (revisions[3], revisions[2]):
            assert 3 == len(snapshot.events(1, upto=upto, limit=9))
        assert [b"2"] == [e.body for e in snapshot.events(1, before=newest, limit=1)]


def test_a_page_may_end_early_by_size_but_never_empty(store: Store) -> None:
    """An event larger than the bound comes alone."""
    record(store, 1, b"large" * 1_000, b"small", b"tiny")
    with store.snapshot() as snapshot:
        sizes, before = [], b""
        while page := snapshot.events(1, before=before, limit=9, bytes_max=9):
            sizes.append([len(event.body) for event in page])
            before = page[-1].position
    assert [[4, 5], [5_000]] == sizes


def test_recording_is_a_change_with_a_revision_of_its_own(store: Store) -> None:
    """Told as a commit without rows and documents."""
    revision = record(store, 1, b"a")

    def job(tx: WriteTransaction) -> tuple[bool, int]:
        tx.record(5, b"b")
        tx.put_document(5, "kind", "id", b"{}")
        return tx.changed, tx.effective_revision

    assert (True, revision + 1) == store.write(job).result()
    with store.snapshot() as snapshot:
        assert revision + 1 == snapshot.revision
        assert [(revision, b"", []), (revision + 1, b"", [(5, "kind", "id")])] == [
            tuple(change) for change in snapshot.changes(revision - 1, revision + 1)
        ]


def test_a_transaction_reads_the_events_it_recorded(store: Store) -> None:
    """As it reads everything else it wrote."""

    def job(tx: WriteTransaction) -> list[bytes]:
        tx.record(1, b"a")
        return bodies(tx.snapshot)

    assert [b"a"] == store.write(job).result()


def test_events_of_a_job_that_is_undone_vanish_with_it(store: Store) -> None:
    """Alone: those of the jobs in front of it and behind it are there, each once."""

    def fail(tx: WriteTransaction) -> None:
        tx.record(1, b"half")
        raise Refused

    go_on = Event()
    blocker = store.write(lambda _tx: go_on.wait())
    futures = [store.write(job) for job in (recording(1, b"a"), fail, recording(1, b"b", b"c"))]
    go_on.set()
    blocker.result()
    with pytest.raises(Refused):
        futures[1].result()
    assert futures[0].result() < futures[2].result()
    with store.snapshot() as snapshot:
        assert [b"c", b"b", b"a"] == bodies(snapshot)
    assert 3 == store.statistics()["entries_audit"]


def test_jobs_of_one_commit_record_one_behind_the_other(store: Store) -> None:
    """They share a revision; no event replaces another."""
    go_on = Event()
    blocker = store.write(lambda _tx: go_on.wait())
    futures = [store.write(recording(1, b"%d" % number)) for number in range(5)]
    go_on.set()
    blocker.result()
    assert 1 == len({future.result() for future in futures})
    with store.snapshot() as snapshot:
        events = snapshot.events(1, limit=9)
        assert [b"4", b"3", b"2", b"1", b"0"] == [event.body for event in events]
        assert 5 == len({event.position for event in events})


@pytest.mark.parametrize("size", [0, 1, 2_000, 4_096, 5_000_000])
def test_events_of_any_size_are_kept_whole(store: Store, size: int) -> None:
    """Beyond a page of the file, too."""
    body = bytes(range(256)) * (size // 256 + 1)
    record(store, 1, b"before", body[:size], b"behind")
    with store.snapshot() as snapshot:
        assert [b"behind", body[:size], b"before"] == bodies(snapshot)


def test_an_event_over_the_limit_refuses_the_whole_write(tmp_path: Path) -> None:
    """Nothing is cut off, nothing else of the job is written."""
    store = open_store(tmp_path / "s", map_bytes=SMALL, limits=Limits(audit_event_bytes_max=10))

    def job(tx: WriteTransaction) -> None:
        tx.put_document(1, "kind", "id", b"{}")
        tx.record(1, b"x" * 11)

    try:
        record(store, 1, b"x" * 10)
        with pytest.raises(LimitError) as caught:
            store.write(job).result()
        assert ("audit_event_bytes_max", 10) == (caught.value.limit, caught.value.value)
        with store.snapshot() as snapshot:
            assert [b"x" * 10] == bodies(snapshot)
            assert snapshot.document(1, "kind", "id") is None
    finally:
        store.close()


# Retention.


def test_events_are_collected_with_the_history(store: Store, clock: Clock) -> None:
    """Those older than the retention, of every application, and no other."""
    for number in range(3):
        record(store, 1, b"old %d" % number)
        record(store, 2, b"old %d" % number)
    clock.now_ms += 10_000
    young = record(store, 1, b"young")
    record(store, 3, b"young")
    store.collect(retention_s=5, steps=99)
    with store.snapshot() as snapshot:
        assert [b"young"] == bodies(snapshot, 1) == bodies(snapshot, 3)
        assert [] == bodies(snapshot, 2)
    with store.snapshot(revision=young) as snapshot:
        assert [b"young"] == bodies(snapshot, 1)
    assert 2 == store.statistics()["entries_audit"]
    assert 0 == store.collect(retention_s=5, steps=99)
    clock.now_ms += 10_000
    store.collect(retention_s=5, steps=99)
    assert 0 == store.statistics()["entries_audit"]


def test_many_events_of_one_commit_are_collected_in_steps(store: Store, clock: Clock) -> None:
    """None of them removes more than a step may; events of one revision go oldest first."""
    record(store, 1, *(b"%d" % number for number in range(2_500)))
    record(store, 2, *(b"%d" % number for number in range(10)))
    clock.now_ms += 10_000
    left, steps = 2_510, []
    while removed := store.collect(retention_s=5):
        steps.append(left - (left := store.statistics()["entries_audit"]))
        assert removed >= steps[-1]
        if left > 10:
            with store.snapshot() as snapshot:
                oldest = snapshot.events(1, limit=9_999)[-1]
                assert b"%d" % (2_510 - left) == oldest.body
    assert 0 == left
    assert [1_000, 1_000] == steps[:2]
    assert all(step <= 1_000 for step in steps)


# Revisions by time.


def test_the_revision_of_a_time_is_the_newest_until_then(world: World, clock: Clock) -> None:
    """Before the first there is none: revision 0."""
    first = world.revision()
    for moment in (1_000_100, 1_000_100, 1_000_900, 1_002_000):
        clock.now_ms = moment
        record(world.store, 1, b"")
    asked = [0, 999_999, 1_000_000, 1_000_099, 1_000_100, 1_000_899, 1_001_999, 1_002_000, 10**13]
    expected = [0, 0, 0, 0, 2, 2, 3, 4, 4]
    with world.store.snapshot() as snapshot:
        found = [snapshot.revision_at(moment) for moment in asked]
    assert [0, 0, *(first + number for number in expected[2:])] == found
    with world.store.snapshot(revision=first + 2) as snapshot:
        assert first + 2 == snapshot.revision_at(10**13)


def test_no_time_has_a_revision_in_an_empty_store(store: Store) -> None:
    """Nothing was committed."""
    with store.snapshot() as snapshot:
        assert 0 == snapshot.revision_at(10**13)


def test_the_revision_of_a_collected_time_is_refused_like_any(store: Store, clock: Clock) -> None:
    """It is known to the second, and too old to be read."""
    for number in range(30):
        clock.now_ms += 300
        record(store, 1, b"%d" % number)
    asked = range(1_000_000, clock.now_ms + 1_000, 100)
    with store.snapshot() as snapshot:
        exact = [snapshot.revision_at(moment) for moment in asked]
    store.collect(retention_s=3, steps=99)
    oldest = store.statistics()["oldest_revision"]
    assert 0 < oldest < 30
    with store.snapshot() as snapshot:
        for moment, expected in zip(asked, exact, strict=True):
            found = snapshot.revision_at(moment)
            if expected >= oldest:
                assert expected == found
            else:
                # A second holds at most four of them.
                assert expected - 4 <= found <= expected
                with pytest.raises(RevisionError):
                    store.snapshot(revision=found)


@given(st.lists(st.integers(0, 5), max_size=40), st.integers(0, 60), st.integers(0, 40))
def test_the_revision_of_a_time_by_the_slow_way(
    tmp_path_factory: pytest.TempPathFactory, gaps: list[int], kept_ms: int, pinned: int
) -> None:
    """Against a walk over all commit times, equal times and thinned ones among them."""
    moments = [sum(gaps[: index + 1]) * 500 for index in range(len(gaps))]
    clock = iter(moments)
    store = open_store(
        tmp_path_factory.mktemp("s"), map_bytes=SMALL, clock_ms=lambda: next(clock, 10**9)
    )
    try:
        for _ in moments:
            record(store, 1, b"")
        revision = min(pinned, len(moments))
        with store.snapshot(revision=revision, now_ms=0) as snapshot:
            for asked in {-1, kept_ms * 500, *moments, *(moment - 1 for moment in moments)}:
                expected = max(
                    (
                        number
                        for number, moment in enumerate(moments, 1)
                        if moment <= asked and number <= revision
                    ),
                    default=0,
                )
                assert expected == snapshot.revision_at(asked)
    finally:
        store.close()


# Stores made before there was an audit log.


@pytest.fixture
def old(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A store with a document, as a version without the table left it."""
    path = tmp_path / "old"
    store = open_store(path, map_bytes=SMALL)
    store.write(lambda tx: tx.put_document(1, "k", "a", b"body")).result()
    store.close()
    raw = lmdb.open(str(path), max_dbs=len(environment.Tables._fields))
    table = raw.open_db(b"audit", create=False)
    with raw.begin(write=True) as transaction:
        transaction.drop(table)
    raw.close()
    return path


def test_an_older_store_gets_the_table_when_it_is_opened(old: Path) -> None:
    """And keeps what it holds."""
    for expected in ([], [b"a"]):
        store = open_store(old, map_bytes=SMALL)
        with store.snapshot() as snapshot:
            assert expected == bodies(snapshot)
            assert b"body" == snapshot.document(1, "k", "a")
        record(store, 1, b"a")
        store.close()


def test_an_older_store_opens_read_only_with_no_events(old: Path, tmp_path: Path) -> None:
    """It is left as it is, and so is a copy of it until that is opened for writing."""
    before = (old / DATA_FILE).read_bytes()
    store = open_store(old, readonly=True)
    with store.snapshot() as snapshot:
        assert [] == bodies(snapshot)
        assert b"body" == snapshot.document(1, "k", "a")
    assert "entries_audit" not in store.statistics()
    store.backup(tmp_path / "copy")
    store.close()
    assert before == (old / DATA_FILE).read_bytes()
    copy = open_store(tmp_path / "copy", map_bytes=SMALL)
    record(copy, 1, b"a")
    with copy.snapshot() as snapshot:
        assert [b"a"] == bodies(snapshot)
        assert b"body" == snapshot.document(1, "k", "a")
    copy.close()


def test_a_store_of_another_format_is_not_given_the_table(
    old: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is refused before anything is made in it."""
    before = (old / DATA_FILE).read_bytes()
    monkeypatch.setattr(environment, "FORMAT_VERSION", 99)
    with pytest.raises(StoreError) as caught:
        open_store(old, map_bytes=SMALL)
    assert "format" == caught.value.reason
    assert before == (old / DATA_FILE).read_bytes()


def test_a_backup_holds_the_events(store: Store, tmp_path: Path) -> None:
    """In their order, at their positions."""
    record(store, 1, b"a", b"large" * 2_000)
    with store.snapshot() as snapshot:
        expected = snapshot.events(1, limit=9)
    store.backup(tmp_path / "copy")
    copy = open_store(tmp_path / "copy", readonly=True)
    with copy.snapshot() as snapshot:
        assert expected == snapshot.events(1, limit=9)
    copy.close()

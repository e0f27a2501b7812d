"""Applications that end: unreadable in one commit, removed in small steps, never there again."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any
from unittest.mock import patch

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.unit.store.conftest import Clock
from tests.unit.store.world import World
from zeratul.errors import NotFoundError, StoreError
from zeratul.store.lmdb import open_store, sweeper

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from tests.unit.store.model import Fact
    from zeratul.store.interface import Snapshot, Store, WriteTransaction
    from zeratul.store.lmdb import LmdbStore

ROWS = [
    *(f"doc:{number}#viewer@user:{number % 5}" for number in range(40)),
    *(f"doc:{number}#owner@group:{number % 3}#member" for number in range(40)),
    *(f"group:{number}#member@user:{number % 5}" for number in range(3)),
    "group:0#member@group:1#member",
    "doc:all#viewer@user:*",
    "doc:" + "x" * 900 + "#viewer@user:" + "y" * 900,
]
EXPIRING = [
    *(f"doc:{number}#viewer@user:soon{number % 3}" for number in range(12)),
    *(f"group:soon{number}#member@user:{number % 5}" for number in range(3)),
    # Subjects that are swept before the resources.
    *(f"group:soon{number}#member@group:0#member" for number in range(12)),
]
DELETED = [*ROWS[:10], *EXPIRING[:4], "group:0#member@group:1#member"]
SOON_MS = 500


class Refused(Exception):  # noqa: N818 - what a job raises
    """A job's own error."""


def furnish(world: World, now_ms: int) -> None:
    """Put something of every kind into an application."""
    world.write(*ROWS, *((text, now_ms + SOON_MS) for text in EXPIRING))
    world.delete(*DELETED)
    world.write(*DELETED[5:8], (EXPIRING[0], now_ms + 2 * SOON_MS))

    def job(tx: WriteTransaction) -> None:
        application = world.application
        for number in range(12):
            tx.put_document(application, "role", f"role_{number}", b"{}" * number)
            tx.put_document(application, "policy", "p" * 600 + str(number), b"{}")
            tx.remember(application, b"key %d" % number, b"answer", now_ms + SOON_MS * number)
            tx.record(application, b"event %d" % number)
        tx.intern_slots(application, [("doc", "old"), ("old", ""), ("old", "r")])
        tx.rename_slots(application, {("doc", "old"): ("doc", "new")})

    world.store.write(job).result()


def drop(world: World) -> int:
    """Drop the application; the revision."""

    def job(tx: WriteTransaction) -> int:
        tx.drop_application(world.application)
        return tx.revision

    return world.store.write(job).result()


def everything(world: World, snapshot: Snapshot) -> list[object]:
    """Whatever can be read of an application."""
    application = world.application
    names = snapshot.vocabulary(application).slots
    return [
        dict(names),
        sorted(world.everything(snapshot)) if names else [],
        snapshot.documents(application, "role"),
        snapshot.documents(application, "policy"),
        snapshot.document(application, "role", "role_1"),
        snapshot.recall(application, b"key 9"),
        snapshot.events(application, limit=99),
    ]


NOTHING: list[object] = [{}, [], [], [], None, None, []]


def dump(store: LmdbStore) -> dict[str, list[tuple[bytes, bytes]]]:
    """Every entry of every table that says something of applications."""
    tables = store._environment.tables
    with store._environment.lmdb.begin() as transaction:
        found: dict[str, list[tuple[bytes, bytes]]] = {
            name: list(transaction.cursor(table))
            for name, table in zip(tables._fields, tables, strict=True)
            if name not in ("changes", "revisions")
        }
    found["meta"] = [entry for entry in found["meta"] if entry[0] != b"state"]
    return found


def sweep(store: Store) -> int:
    """Until nothing is left."""
    total = 0
    while removed := store.sweep():
        total += removed
    return total


def test_a_dropped_application_is_unreadable_at_once(world: World, clock: Clock) -> None:
    """At its past revisions, too, before anything is swept; others are as they were."""
    other = World(world.store)
    for one in (world, other):
        furnish(one, clock.now_ms)
    pinned = world.revision()
    with world.store.snapshot() as snapshot:
        assert all(everything(world, snapshot))
        expected = everything(other, snapshot)
    drop(world)
    for revision in (None, pinned, pinned - 1):
        with world.store.snapshot(revision=revision) as snapshot:
            assert NOTHING == everything(world, snapshot)
            if revision != pinned - 1:
                assert expected == everything(other, snapshot)
    assert 0 < sweep(world.store)
    with world.store.snapshot() as snapshot:
        assert NOTHING == everything(world, snapshot)
        assert expected == everything(other, snapshot)


def test_a_snapshot_opened_before_reads_on(world: World, clock: Clock) -> None:
    """Through the drop and the sweep."""
    furnish(world, clock.now_ms)
    with world.store.snapshot() as snapshot, world.store.snapshot() as unasked:
        expected = everything(world, snapshot)
        drop(world)
        assert expected == everything(world, snapshot)
        sweep(world.store)
        assert expected == everything(world, snapshot) == everything(world, unasked)


def test_sweeping_leaves_nothing_and_touches_no_other(
    store: LmdbStore, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Byte for byte, in steps of about the budget; one entry remembers that it was there."""
    monkeypatch.setattr(sweeper, "STEP_ENTRIES", 7)
    first = World(store)
    furnish(first, clock.now_ms)
    before = dump(store)
    middle, last = World(store), World(store)
    for one in (middle, last):
        furnish(one, clock.now_ms)
    with store.snapshot() as snapshot:
        expected = everything(last, snapshot)
    drop(middle)
    steps = []
    while removed := store.sweep():
        steps.append(removed)
        with store.snapshot() as snapshot:
            assert NOTHING == everything(middle, snapshot)
            assert expected == everything(last, snapshot)
    # The longest key has 15 values; each entry removed may have another one elsewhere.
    assert max(steps) <= 7 + 15
    assert len(steps) > 30
    drop(last)
    sweep(store)
    after = dump(store)
    gone = [entry for entry in after["meta"] if entry not in before["meta"]]
    assert 2 == len(gone)
    after["meta"] = [entry for entry in after["meta"] if entry not in gone]
    assert before == after
    assert [0, 0] == [store.sweep(), store.sweep(9)]


def test_sweeping_is_no_change_to_readers(world: World, clock: Clock) -> None:
    """And where there is nothing to sweep no commit at all."""
    furnish(world, clock.now_ms)
    revision = drop(world)
    sweep(world.store)
    assert revision == world.revision()
    commits = world.store.statistics()["commits"]
    assert 0 == world.store.sweep(5)
    assert commits == world.store.statistics()["commits"]


def test_as_many_steps_are_taken_as_asked(world: World, clock: Clock) -> None:
    """In commits of their own, so that others get between."""
    furnish(world, clock.now_ms)
    drop(world)
    before = world.store.statistics()["commits"]
    with patch.object(sweeper, "STEP_ENTRIES", 10):
        world.store.sweep(3)
    assert before + 3 == world.store.statistics()["commits"]
    world.store.sweep(10**6)
    assert 0 == world.store.sweep()


def test_dropping_is_told_as_a_change_of_every_kind_of_document(
    world: World, clock: Clock
) -> None:
    """So that other processes forget what they derived from them."""
    furnish(world, clock.now_ms)
    revision = drop(world)
    with world.store.snapshot() as snapshot:
        (change,) = snapshot.changes(revision - 1, revision)
    assert [(world.application, "policy", ""), (world.application, "role", "")] == change.documents
    assert b"" == change.rows


def test_numbers_are_never_given_again(world: World, clock: Clock) -> None:
    """Neither of applications, slots nor nodes; before and after sweeping."""
    furnish(world, clock.now_ms)
    with world.store.snapshot() as snapshot:
        nodes = set(world.known(snapshot, ["doc:1", "user:1", "group:1"]).values())
    for _ in range(2):
        drop(world)
        first = World(world.store)
        sweep(world.store)
        second = World(world.store)
        numbers = [world.application, first.application, second.application]
        assert sorted(set(numbers)) == numbers
        for one in (first, second):
            assert not set(world.vocabulary.names) & set(one.vocabulary.names)
            one.write("doc:1#viewer@user:1")
            with one.store.snapshot() as snapshot:
                assert [one.fact("doc:1#viewer@user:1")] == one.everything(snapshot)
                fresh = set(one.known(snapshot, ["doc:1", "user:1"]).values())
            assert not nodes & fresh
            nodes |= fresh
        world = second


WRITES: dict[str, Callable[[WriteTransaction, int], Any]] = {
    "put": lambda tx, application: tx.put_document(application, "kind", "id", b""),
    "delete": lambda tx, application: tx.delete_document(application, "role", "role_1"),
    "remember": lambda tx, application: tx.remember(application, b"key", b"", 9_000_000),
    "record": lambda tx, application: tx.record(application, b"event"),
    "intern": lambda tx, application: tx.intern_slots(application, [("x", "y")]),
    "intern again": lambda tx, application: tx.intern_slots(application, [("doc", "viewer")]),
    "rename": lambda tx, application: tx.rename_slots(application, {("doc", ""): ("x", "")}),
    "drop": lambda tx, application: tx.drop_application(application),
}


@pytest.mark.parametrize("swept", [False, True])
@pytest.mark.parametrize("name", WRITES)
def test_a_dropped_application_takes_no_writes(
    world: World, clock: Clock, name: str, swept: bool
) -> None:
    """Nobody could read them, and nobody would sweep them; also in the commit that drops it."""
    furnish(world, clock.now_ms)
    write, application = WRITES[name], world.application

    def both(tx: WriteTransaction) -> None:
        tx.drop_application(application)
        write(tx, application)

    with pytest.raises(NotFoundError):
        world.store.write(both).result()
    with world.store.snapshot() as snapshot:
        assert everything(world, snapshot) != NOTHING
    drop(world)
    if swept:
        sweep(world.store)
    before = world.revision()
    with pytest.raises(NotFoundError):
        world.store.write(lambda tx: write(tx, application)).result()
    assert before == world.revision()


@pytest.mark.parametrize("swept", [False, True])
def test_prepared_rows_of_a_dropped_application_are_refused(world: World, swept: bool) -> None:
    """Whenever they were prepared; nothing is interned."""
    world.write("doc:a#viewer@user:u")
    known, unknown = world.prepare(["doc:a#owner@user:u"]), world.prepare(["doc:b#owner@user:v"])
    deletes = world.prepare((), ["doc:a#viewer@user:u"])
    drop(world)
    if swept:
        sweep(world.store)
    later = world.prepare(["doc:a#owner@user:u"])
    before = world.store.statistics()
    for prepared in (known, unknown, deletes, later):
        with pytest.raises(NotFoundError):
            world.store.write(lambda tx, p=prepared: tx.apply(p)).result()
    after = world.store.statistics()
    for name in ("revision", "nodes", "entries_names", "entries_forward"):
        assert before[name] == after[name]


@pytest.mark.parametrize("number", [0, -1, 99, 2**32])
def test_only_applications_are_dropped(store: Store, number: int) -> None:
    """Not the server's own documents, nor one that is yet to come."""
    World(store)
    with pytest.raises(NotFoundError):
        store.write(lambda tx: tx.drop_application(number)).result()
    assert 0 == store.sweep()


def test_a_job_that_drops_and_fails_drops_nothing(world: World, clock: Clock) -> None:
    """It is undone like any."""
    furnish(world, clock.now_ms)
    with world.store.snapshot() as snapshot:
        expected = everything(world, snapshot)

    def job(tx: WriteTransaction) -> None:
        tx.drop_application(world.application)
        assert everything(world, tx.snapshot) == NOTHING
        raise Refused

    with pytest.raises(Refused):
        world.store.write(job).result()
    assert 0 == world.store.sweep()
    with world.store.snapshot() as snapshot:
        assert expected == everything(world, snapshot)


def test_an_empty_application_is_dropped(store: Store) -> None:
    """One without a single name."""
    application = store.write(lambda tx: tx.new_application()).result()
    store.write(lambda tx: tx.drop_application(application)).result()
    assert 2 == store.sweep() + 1
    assert 0 == store.sweep()


def test_one_key_of_many_rows_is_removed_in_one_step(world: World) -> None:
    """The subjects of a document shared with everybody, and everybody's documents."""
    texts = [f"doc:shared#viewer@user:{number}" for number in range(5_000)]
    texts += [f"doc:{number}#viewer@user:all" for number in range(5_000)]
    for start in range(0, len(texts), 2_500):
        world.write(*texts[start : start + 2_500])
    drop(world)
    steps = []
    while removed := world.store.sweep():
        steps.append(removed)
    numbers = world.store.statistics()
    assert sum(steps) > 40_000
    assert sum(step > 5_000 for step in steps) == 2
    for table in ("forward", "reverse", "names", "nodes", "slots", "slot_names"):
        assert 0 == numbers[f"entries_{table}"]


def test_rows_that_expire_half_swept_are_no_error(
    store: Store, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whichever half is gone, the resource's or the subject's, after each single entry."""
    monkeypatch.setattr(sweeper, "STEP_ENTRIES", 1)
    for steps in range(60):
        world = World(store)
        for text in ("group:a#member@group:b#member", "group:d#member@group:c#member"):
            world.write((text, clock.now_ms + SOON_MS))
        drop(world)
        store.sweep(steps)
        clock.now_ms += SOON_MS
        store.collect(retention_s=3_600, steps=99)
        done = not store.sweep()
        sweep(store)
        numbers = store.statistics()
        for table in ("forward", "reverse", "buried_forward", "buried_reverse", "expiries"):
            assert 0 == numbers[f"entries_{table}"]
    assert done


@pytest.mark.slow
@given(
    st.lists(st.integers(1, 40) | st.sampled_from(["collect", "time", "write"])),
    st.sampled_from([20, 100]),
    st.integers(0, 3),
)
def test_sweeping_and_collecting_do_not_meet(
    tmp_path_factory: pytest.TempPathFactory, turns: list[int | str], budget: int, retention_s: int
) -> None:
    """Whichever comes first removes a row's halves, expiry, attributes and tombstones."""
    clock = Clock()
    store = open_store(tmp_path_factory.mktemp("s"), map_bytes=1 << 26, clock_ms=clock)
    try:
        other, world = World(store), World(store)
        for one in (world, other):
            furnish(one, clock.now_ms)
        live = set(everything_left(other))
        drop(world)
        with patch.object(sweeper, "STEP_ENTRIES", budget):
            for turn in turns:
                if isinstance(turn, int):
                    store.sweep(turn)
                elif turn == "collect":
                    store.collect(retention_s=retention_s)
                elif turn == "time":
                    clock.now_ms += SOON_MS
                else:
                    other.write("doc:a#viewer@user:b")
                    live.add(other.fact("doc:a#viewer@user:b"))
            sweep(store)
        with store.snapshot(now_ms=0) as snapshot:
            # Only what expired may have gone from the other one.
            assert live - set(other.everything(snapshot)) <= set(map(other.fact, EXPIRING))
        for _ in range(2):  # What has expired, then its tombstones.
            clock.now_ms += 10_000
            store.collect(retention_s=1, steps=10**6)
        numbers = store.statistics()
        with store.snapshot() as snapshot:
            left = len(other.everything(snapshot))
        assert left == numbers["entries_forward"] == numbers["entries_reverse"]
        for table in (
            *("buried_forward", "buried_reverse", "attributes", "expiries"),
            *("changes", "audit", "answers", "answer_expiries"),
        ):
            assert 0 == numbers[f"entries_{table}"]
        assert numbers["entries_names"] == numbers["entries_nodes"]
    finally:
        store.close()


def everything_left(world: World) -> list[Fact]:
    """The application's live rows."""
    with world.store.snapshot() as snapshot:
        return world.everything(snapshot)


def test_a_readonly_store_does_not_sweep(world: World, tmp_path: Path) -> None:
    """Once there is something to sweep it says so."""
    drop(world)
    world.store.backup(tmp_path / "copy")
    copy = open_store(tmp_path / "copy", readonly=True)
    with pytest.raises(StoreError):
        copy.sweep()
    with copy.snapshot() as snapshot:
        assert not snapshot.vocabulary(world.application).slots
    copy.close()
    copy = open_store(tmp_path / "copy", map_bytes=1 << 26)
    assert 0 < sweep(copy)
    copy.close()

"""What every storage engine promises, case by case. The machine beside it looks for the rest."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest
from pyroaring import BitMap

from tests.unit.store.world import World, facts_of
from zeratul.domain.limits import Limits
from zeratul.errors import LimitError, RevisionError, StoreError
from zeratul.store.interface import CHANGE_FIELDS, Outcome
from zeratul.store.lmdb import open_store

if TYPE_CHECKING:
    from pathlib import Path

    from tests.unit.store.conftest import Clock
    from zeratul.store.interface import Store, WriteTransaction

CREATED, EXISTING, REPLACED, DELETED, ABSENT = Outcome


# Writing.


def test_a_write_is_seen_by_the_next_snapshot(world: World) -> None:
    """From both ends."""
    assert [CREATED] == world.write("doc:a#viewer@user:u")
    with world.store.snapshot() as snapshot:
        document, user = world.node(snapshot, "doc:a"), world.node(snapshot, "user:u")
        viewer, users = world.slot("doc", "viewer"), world.slot("user")
        assert [BitMap([user])] == snapshot.subjects([(document, viewer, users)])
        assert [BitMap([document])] == snapshot.resources([(user, users, viewer)])
        assert [True, False] == snapshot.has(
            [(document, viewer, users, user), (user, viewer, users, document)]
        )


def test_an_open_snapshot_does_not_see_later_writes(world: World) -> None:
    """It stays at its revision."""
    world.write("doc:a#viewer@user:u")
    with world.store.snapshot() as before:
        world.write("doc:a#viewer@user:v")
        world.delete("doc:a#viewer@user:u")
        assert [True] == world.has(before, "doc:a#viewer@user:u")
        assert [False] == world.has(before, "doc:a#viewer@user:v")


def test_the_same_relationship_twice_is_created_once(world: World) -> None:
    """In one call and across calls; one row is stored."""
    twice = ["doc:a#viewer@user:u", "doc:a#viewer@user:u"]
    assert [CREATED, EXISTING] == world.write(*twice)
    assert [EXISTING, EXISTING] == world.write(*twice)
    with world.store.snapshot() as snapshot:
        assert 1 == len(world.everything(snapshot))


def test_many_rows_are_written_like_few(world: World) -> None:
    """A batch large enough for columns, with what is there already and twice in it."""
    world.write("doc:7#viewer@user:7")
    texts = [f"doc:{number}#viewer@user:{number % 10}" for number in range(500)]
    outcomes = world.write(*texts, *texts[:3])
    expected = [CREATED] * 500 + [EXISTING] * 3
    expected[7] = EXISTING
    assert expected == outcomes
    with world.store.snapshot() as snapshot:
        assert sorted(map(world.fact, texts)) == sorted(world.everything(snapshot))


def test_many_rows_are_deleted_like_few(world: World) -> None:
    """Those that are absent, unknown or named twice are ABSENT."""
    texts = [f"doc:{number}#viewer@user:{number % 10}" for number in range(500)]
    world.write(*texts)
    before = world.revision()
    outcomes = world.delete(*texts[10:], texts[10], "doc:nobody#viewer@user:unknown")
    assert [DELETED] * 490 + [ABSENT] * 2 == outcomes
    with world.store.snapshot() as snapshot:
        assert sorted(map(world.fact, texts[:10])) == sorted(world.everything(snapshot))
    with world.store.snapshot(revision=before) as snapshot:
        assert sorted(map(world.fact, texts)) == sorted(world.everything(snapshot))


def test_many_rows_that_expire_are_deleted_like_others(world: World, clock: Clock) -> None:
    """Beside plain ones in one call; expired ones are ABSENT, and the past shows them all."""
    texts = [f"doc:{number}#viewer@user:{number % 10}" for number in range(200)]
    owned = [f"doc:{number}#owner@group:{number % 10}#member" for number in range(200)]
    soon, late = clock.now_ms + 500, clock.now_ms + 9_000
    world.write(*texts[:100], *owned, *((text, soon) for text in texts[100:150]))
    world.write(*((text, late) for text in texts[150:]))
    before, then = world.revision(), clock.now_ms
    clock.now_ms = soon
    outcomes = world.delete(*texts, *owned[:150], *texts[150:])
    assert [DELETED] * 100 + [ABSENT] * 50 + [DELETED] * 200 + [ABSENT] * 50 == outcomes
    with world.store.snapshot() as snapshot:
        assert sorted(map(world.fact, owned[150:])) == sorted(world.everything(snapshot))
        told = [
            (row[0], row[5])
            for changes in snapshot.changes(before, snapshot.head)
            for row in np.frombuffer(changes.rows, CHANGE_FIELDS).tolist()
        ]
    assert [(0, 0)] * 250 + [(0, 1)] * 50 == sorted(told)
    with world.store.snapshot(revision=before, now_ms=then) as snapshot:
        assert sorted(map(world.fact, [*texts, *owned])) == sorted(world.everything(snapshot))
    clock.now_ms += 60_000
    while world.store.collect(retention_s=0):
        pass
    numbers = world.store.statistics()
    assert 50 == numbers["entries_forward"] == numbers["entries_reverse"]
    for table in ("buried_forward", "buried_reverse", "attributes", "expiries"):
        assert 0 == numbers[f"entries_{table}"]


def test_many_rows_made_and_deleted_in_one_commit_leave_nothing(world: World) -> None:
    """Nobody can have seen them; those made before are tombstones."""
    texts = [f"doc:{number}#viewer@user:{number % 10}" for number in range(100)]
    world.write(*texts[:40])
    writes, deletes = world.prepare(texts), world.prepare((), texts)

    def job(tx: WriteTransaction) -> list[Outcome]:
        tx.apply(writes)
        return tx.apply(deletes).deletes

    assert [DELETED] * 100 == world.store.write(job).result()
    numbers = world.store.statistics()
    assert 40 == numbers["entries_buried_forward"] == numbers["entries_buried_reverse"]
    assert 0 == numbers["entries_forward"] == numbers["entries_reverse"]


def test_deletes_come_before_writes(world: World) -> None:
    """A relationship in both is there afterwards, made anew."""
    world.write("doc:a#viewer@user:u")
    applied = world.apply(["doc:a#viewer@user:u"], ["doc:a#viewer@user:u"])
    assert ([CREATED], [DELETED]) == (applied.writes, applied.deletes)
    with world.store.snapshot() as snapshot:
        assert [True] == world.has(snapshot, "doc:a#viewer@user:u")
        (row,) = snapshot.scan_type(world.slot("doc"), limit=9)
        assert snapshot.revision == row.created


def test_deleting_an_unknown_name_interns_nothing(world: World) -> None:
    """Only writes intern."""
    assert [ABSENT] == world.delete("doc:nobody#viewer@user:unknown")
    with world.store.snapshot() as snapshot:
        assert world.node(snapshot, "doc:nobody") is None


def test_rows_prepared_before_others_interned_their_names_stay_usable(world: World) -> None:
    """And no name gets a second number."""
    prepared = world.prepare(["doc:a#viewer@user:u"])
    world.write("doc:a#viewer@user:v", "doc:b#viewer@user:u")
    with world.store.snapshot() as snapshot:
        before = world.known(snapshot, ["doc:a", "user:u"])
    assert [CREATED] == world.store.write(lambda tx: tx.apply(prepared)).result().writes
    assert [EXISTING] == world.store.write(lambda tx: tx.apply(prepared)).result().writes
    with world.store.snapshot() as snapshot:
        assert before == world.known(snapshot, ["doc:a", "user:u"])
        assert [True] == world.has(snapshot, "doc:a#viewer@user:u")


def test_a_transaction_reads_what_it_wrote(world: World) -> None:
    """Rows, names, documents and slots, before the commit."""
    prepared = world.prepare(["doc:a#viewer@user:u"])

    def job(tx: WriteTransaction) -> list[object]:
        tx.apply(prepared)
        tx.put_document(1, "kind", "id", b"text")
        tx.intern_slots(world.application, [("new", "")])
        return [
            *world.has(tx.snapshot, "doc:a#viewer@user:u"),
            tx.snapshot.document(1, "kind", "id"),
            ("new", "") in tx.snapshot.vocabulary(world.application).slots,
            tx.snapshot.revision == tx.revision,
        ]

    assert [True, b"text", True, True] == world.store.write(job).result()


# Names.


def test_ids_are_compared_byte_for_byte(world: World) -> None:
    """No case folding, no normalisation: composed and decomposed accents are two ids."""
    names = ["doc:A", "doc:a", "doc:\u00e9", "doc:e\u0301"]
    world.write(*(f"{name}#viewer@user:u" for name in names))
    with world.store.snapshot() as snapshot:
        assert 4 == len(set(world.known(snapshot, names).values()))


def test_the_longest_ids_are_told_apart(world: World) -> None:
    """1,024 characters of four bytes that differ in the last only."""
    stem = "\U0001f600" * 1_023
    names = [f"doc:{stem}\U0001f601", f"doc:{stem}\U0001f602", f"doc:{stem}"]
    world.write(*(f"{name}#viewer@user:u" for name in names))
    with world.store.snapshot() as snapshot:
        nodes = world.known(snapshot, names)
        assert 3 == len(set(nodes.values()))
        assert set(names) == world.texts(snapshot, nodes.values())
        assert set(map(world.fact, (f"{name}#viewer@user:u" for name in names))) == set(
            world.everything(snapshot, limit=1)
        )


def test_one_id_in_two_types_is_two_names(world: World) -> None:
    """The type belongs to the name."""
    world.write("doc:same#viewer@user:same")
    with world.store.snapshot() as snapshot:
        nodes = snapshot.nodes(
            [(world.slot("doc"), "same"), (world.slot("user"), "same"), (world.slot("user"), "x")]
        )
        assert nodes[0] != nodes[1]
        assert nodes[2] is None
        assert ["same", "same"] == snapshot.ids(nodes[:2])  # type: ignore[arg-type]
        assert [(world.slot("user"), "same"), (world.slot("doc"), "same")] == snapshot.names(
            [nodes[1], nodes[0]]  # type: ignore[list-item]
        )


def test_no_names_asked_no_names_answered(world: World) -> None:
    """Empty batches are fine."""
    with world.store.snapshot() as snapshot:
        assert [] == snapshot.names([])
        assert [] == snapshot.ids([])
        assert [] == snapshot.nodes([])
        assert BitMap() == snapshot.subjects_of_all(BitMap(), 1, 2)
    assert ([], []) == world.apply()


def test_the_quota_of_names_refuses_the_whole_write(tmp_path: Path) -> None:
    """Nothing of it is stored, other applications have room, known names do not count."""
    store = open_store(
        tmp_path / "s", map_bytes=1 << 26, limits=Limits(names_per_application_max=3)
    )
    try:
        world, other = World(store), World(store)
        world.write("doc:a#viewer@user:u")
        with pytest.raises(LimitError) as caught:
            world.apply(["doc:b#viewer@user:v"], ["doc:a#viewer@user:u"])
        assert ("names_per_application_max", 3) == (caught.value.limit, caught.value.value)
        with store.snapshot() as snapshot:
            assert [True] == world.has(snapshot, "doc:a#viewer@user:u")
            assert {} == world.known(snapshot, ["doc:b", "user:v"])
        assert [CREATED] == world.write("doc:a#owner@user:u")
        assert [CREATED] == world.write("doc:b#viewer@user:u")
        assert [CREATED] == other.write("doc:b#viewer@user:v")
    finally:
        store.close()


# Expiry.


def test_an_expired_relationship_is_absent_at_its_very_moment(world: World, clock: Clock) -> None:
    """Collected or not, in every way of reading."""
    world.write(("doc:a#viewer@user:u", 1_000_500), "doc:b#viewer@user:u")
    with world.store.snapshot(now_ms=1_000_499) as snapshot:
        assert [True] == world.has(snapshot, "doc:a#viewer@user:u")
        assert 1_000_500 == snapshot.expires_min_ms
    clock.now_ms = 1_000_500
    with world.store.snapshot() as snapshot:
        assert [False] == world.has(snapshot, "doc:a#viewer@user:u")
        assert [world.fact("doc:b#viewer@user:u")] == world.everything(snapshot)
        assert snapshot.expires_min_ms is None


def test_another_expiry_replaces(world: World) -> None:
    """Longer, shorter, or none any more; the same one changes nothing."""
    text = "doc:a#viewer@user:u"
    assert [CREATED] == world.write((text, 2_000_000))
    assert [EXISTING] == world.write((text, 2_000_000))
    first = world.revision()
    assert [REPLACED] == world.write((text, 3_000_000))
    assert [REPLACED] == world.write(text)
    assert [EXISTING] == world.write(text)
    with world.store.snapshot(now_ms=9_000_000) as snapshot:
        assert [True] == world.has(snapshot, text)
    with world.store.snapshot(revision=first, now_ms=1_999_999) as snapshot:
        (row,) = snapshot.scan_type(world.slot("doc"), limit=9)
        assert 2_000_000 == row.expires_at_ms
    with world.store.snapshot(revision=first, now_ms=2_000_000) as snapshot:
        assert [False] == world.has(snapshot, text)


def test_writing_over_an_expired_relationship_creates(world: World, clock: Clock) -> None:
    """And deleting one finds nothing."""
    text = "doc:a#viewer@user:u"
    world.write((text, 1_000_500))
    clock.now_ms = 1_000_500
    assert [ABSENT] == world.delete(text)
    assert [CREATED] == world.write((text, 1_009_000))
    with world.store.snapshot() as snapshot:
        assert [True] == world.has(snapshot, text)


def test_collection_deletes_expired_rows_and_tells_of_it(world: World, clock: Clock) -> None:
    """As a change of its own revision."""
    world.write(("doc:a#viewer@user:u", 1_000_500))
    clock.now_ms = 1_000_500
    before = world.revision()
    assert 0 < world.store.collect(retention_s=3_600, steps=9)
    with world.store.snapshot() as snapshot:
        (changes,) = snapshot.changes(before, snapshot.head)
        assert [(0, 1)] == [
            (row[0], row[5]) for row in np.frombuffer(changes.rows, CHANGE_FIELDS).tolist()
        ]
    assert 0 == world.store.collect(retention_s=3_600, steps=9)
    assert before + 1 == world.revision()


# Intersections.

SIZES = [0, 1, 2, 30, 64, 65, 300]


@pytest.mark.parametrize("stored", SIZES)
@pytest.mark.parametrize("wanted", SIZES)
def test_meets_finds_a_common_subject_if_there_is_one(
    world: World, stored: int, wanted: int
) -> None:
    """Whatever the sizes, one common subject at either end or in the middle, or none at all."""
    users = [f"user:{number:03}" for number in range(700)]
    world.write(*(f"doc:all#viewer@{user}" for user in users))
    with world.store.snapshot() as snapshot:
        nodes = [snapshot.node(world.slot("user"), user[5:]) or 0 for user in users]
    assert sorted(nodes) == nodes
    # Every other user on one side, those between on the other; then one on both.
    world.write(*(f"doc:a#viewer@{user}" for user in users[0 : 2 * stored : 2]))
    between = BitMap(nodes[1 : 2 * wanted : 2])
    viewer, plain = world.slot("doc", "viewer"), world.slot("user")
    for common in (0, stored // 2, stored - 1):
        with world.store.snapshot() as snapshot:
            document = snapshot.node(world.slot("doc"), "a") or 0
            shared = BitMap(nodes[0 : 2 * stored : 2][common : common + 1] if stored else [])
            answers = snapshot.meets(
                [(document, viewer, plain, between), (document, viewer, plain, between | shared)]
            )
        assert [None, shared.min() if shared else None] == answers


# Revisions and history.


def test_the_revision_goes_up_by_one_per_commit_that_changed_something(world: World) -> None:
    """What changed nothing has none, and says so."""
    before = world.revision()
    prepared = world.prepare(["doc:a#viewer@user:u"])

    def job(tx: WriteTransaction) -> tuple[bool, int]:
        tx.apply(prepared)
        return tx.changed, tx.effective_revision

    assert (True, before + 1) == world.store.write(job).result()
    assert before + 1 == world.revision()
    assert (False, before + 1) == world.store.write(job).result()
    assert before + 1 == world.revision()
    world.store.write(lambda tx: tx.remember(1, b"key", b"body", 9_000_000)).result()
    assert before + 1 == world.revision()


def test_revisions_have_times(world: World, clock: Clock) -> None:
    """To the second where they were collected; none for what never was."""
    first = world.revision()
    for moment in (1_000_100, 1_000_900, 1_002_000):
        clock.now_ms = moment
        world.write(f"doc:{moment}#viewer@user:u")
    asked = [first, first + 1, first + 2, first + 3, first + 4]
    with world.store.snapshot() as snapshot:
        assert [1_000_000, 1_000_100, 1_000_900, 1_002_000, None] == snapshot.revision_times(asked)
    world.store.collect(retention_s=0, steps=99)
    with world.store.snapshot() as snapshot:
        times = snapshot.revision_times(asked)
    assert [1_000, 1_000, 1_000, 1_002, None] == [time and time // 1_000 for time in times]


def test_collected_revisions_are_refused_and_the_newest_stays(world: World, clock: Clock) -> None:
    """Even with no retention at all."""
    world.write("doc:a#viewer@user:u")
    old = world.revision()
    world.delete("doc:a#viewer@user:u")
    world.write("doc:b#viewer@user:u")
    clock.now_ms += 10_000
    world.store.collect(retention_s=0, steps=99)
    with pytest.raises(RevisionError) as caught:
        world.store.snapshot(revision=old)
    assert "collected" == caught.value.reason
    with world.store.snapshot(revision=world.revision()) as snapshot:
        assert [world.fact("doc:b#viewer@user:u")] == world.everything(snapshot)
        assert [] == list(snapshot.changes(snapshot.head, snapshot.head))


def test_a_snapshot_outlives_the_collection_of_its_revision(world: World, clock: Clock) -> None:
    """What it could read when it was opened it can read on."""
    world.write("doc:a#viewer@user:u")
    old = world.revision()
    world.delete("doc:a#viewer@user:u")
    clock.now_ms += 10_000
    with world.store.snapshot(revision=old) as snapshot:
        world.store.collect(retention_s=0, steps=99)
        assert [True] == world.has(snapshot, "doc:a#viewer@user:u")


def test_many_changes_come_in_parts_and_are_collected_in_steps(world: World, clock: Clock) -> None:
    """Half-way through, a revision is either readable in full or refused."""
    texts = [f"doc:{number}#viewer@user:{number % 7}" for number in range(10_000)]
    world.write(*texts)
    full = world.revision()
    world.delete(*texts)
    with world.store.snapshot() as snapshot:
        parts = list(snapshot.changes(full - 1, snapshot.head))
    assert {full, full + 1} == {part.revision for part in parts}
    assert 20_000 * 18 == sum(len(part.rows) for part in parts)
    assert len(parts) > 4
    clock.now_ms += 10_000
    while world.store.collect(retention_s=0):
        try:
            with world.store.snapshot(revision=full) as snapshot:
                assert 10_000 == len(world.everything(snapshot, limit=10_000))
        except RevisionError as error:
            assert "collected" == error.reason  # noqa: PT017
    numbers = world.store.statistics()
    assert 0 == numbers["entries_buried_forward"] == numbers["entries_changes"]


def test_document_changes_are_told(world: World) -> None:
    """With application, kind and id."""
    before = world.revision()
    world.store.write(lambda tx: tx.put_document(7, "policy", "pol_1", b"{}")).result()
    with world.store.snapshot() as snapshot:
        (changes,) = snapshot.changes(before, snapshot.head)
    assert (before + 1, b"", [(7, "policy", "pol_1")]) == tuple(changes)


# Scans.


def test_pages_of_a_revision_do_not_move_while_others_write(world: World) -> None:
    """Every row of the first page's revision once, whatever was deleted or added meanwhile."""
    texts = [f"doc:{number:03}#viewer@user:u" for number in range(60)]
    world.write(*texts)
    pinned = world.revision()
    found, after, turn = [], b"", 0
    while True:
        with world.store.snapshot(revision=pinned) as snapshot:
            page = snapshot.scan_type(world.slot("doc"), after=after, limit=7)
            found += facts_of(world, snapshot, page)
        if not page:
            break
        after = page[-1].position
        world.delete(*texts[turn::5])
        world.write(*(f"doc:{turn:03}a{number}#viewer@user:u" for number in range(5)))
        turn += 1
    assert [world.fact(text) for text in texts] == found


def test_a_type_without_relations_is_not_walked(world: World) -> None:
    """A million users have no rows of their own."""
    world.write(*(f"doc:a#viewer@user:{number}" for number in range(10)))
    with world.store.snapshot() as snapshot:
        assert [] == snapshot.scan_type(world.slot("user"), limit=1)
        assert [] == snapshot.scan_type(999_999, limit=1)


# Documents and answers.


def test_documents_are_listed_in_the_order_of_their_ids(store: Store) -> None:
    """Behind a given one, of one kind of one application."""
    ids = ["b", "a", "c", "aa"]

    def job(tx: WriteTransaction) -> None:
        for document_id in ids:
            tx.put_document(1, "role", document_id, document_id.encode())
        tx.put_document(1, "roles", "a", b"another kind")
        tx.put_document(2, "role", "a", b"another application")

    store.write(job).result()
    with store.snapshot() as snapshot:
        assert [("a", b"a"), ("aa", b"aa"), ("b", b"b"), ("c", b"c")] == snapshot.documents(
            1, "role"
        )
        assert [("aa", b"aa"), ("b", b"b")] == snapshot.documents(1, "role", after="a", limit=2)
        assert [("b", b"b")] == snapshot.documents(1, "role", after="ab", limit=1)
        assert [] == snapshot.documents(3, "role")


def test_documents_with_long_ids_keep_them(store: Store) -> None:
    """Beyond what a key holds."""
    ids = ["x" * 600 + "1", "x" * 600 + "2"]
    for document_id in ids:
        store.write(lambda tx, i=document_id: tx.put_document(1, "k", i, b"body")).result()
    with store.snapshot() as snapshot:
        assert ids == sorted(name for name, _ in snapshot.documents(1, "k"))
        assert b"body" == snapshot.document(1, "k", ids[0])
    assert store.write(lambda tx: tx.delete_document(1, "k", ids[0])).result()
    assert not store.write(lambda tx: tx.delete_document(1, "k", ids[0])).result()
    with store.snapshot() as snapshot:
        assert [(ids[1], b"body")] == snapshot.documents(1, "k")


def test_answers_are_recalled_until_they_expire_and_then_swept(store: Store, clock: Clock) -> None:
    """By application and key; the last one counts."""
    store.write(lambda tx: tx.remember(1, b"k" * 900, b"old", 1_000_100)).result()
    store.write(lambda tx: tx.remember(1, b"k" * 900, b"new", 1_000_200)).result()
    with store.snapshot() as snapshot:
        assert b"new" == snapshot.recall(1, b"k" * 900)
        assert snapshot.recall(2, b"k" * 900) is None
        assert snapshot.recall(1, b"k" * 899) is None
    clock.now_ms = 1_000_200
    with store.snapshot() as snapshot:
        assert snapshot.recall(1, b"k" * 900) is None
    store.collect(retention_s=3_600, steps=9)
    numbers = store.statistics()
    assert 0 == numbers["entries_answers"] == numbers["entries_answer_expiries"]


# Slots and applications.


def test_slots_are_interned_once_per_application(world: World) -> None:
    """And known to every later snapshot."""
    before = dict(world.vocabulary.slots)
    world.store.write(
        lambda tx: tx.intern_slots(world.application, [("doc", "viewer"), ("doc", "new")])
    ).result()
    with world.store.snapshot() as snapshot:
        slots = snapshot.vocabulary(world.application).slots
        assert {("doc", "new")} == slots.keys() - before.keys()
        assert before.items() <= slots.items()
        assert not snapshot.vocabulary(world.application + 1).slots
    other = World(world.store)
    assert other.application != world.application
    assert not set(other.vocabulary.names) & set(slots.values())


def test_the_longest_slot_names_are_told_apart(world: World) -> None:
    """Type and relation of 254 characters each are more than a key holds."""
    long = [("t" * 254, "r" * 253 + last) for last in "ab"]
    world.store.write(lambda tx: tx.intern_slots(world.application, long)).result()
    with world.store.snapshot() as snapshot:
        vocabulary = snapshot.vocabulary(world.application)
    assert 2 == len({vocabulary.slots[name] for name in long})
    assert set(long) <= set(vocabulary.names.values())


# Life and death.


def test_a_closed_store_says_so(tmp_path: Path) -> None:
    """Reading, writing and snapshots still open; closing twice is fine."""
    store = open_store(tmp_path / "s", map_bytes=1 << 26)
    snapshot = store.snapshot()
    store.close()
    store.close()
    for attempt in (
        store.snapshot,
        lambda: snapshot.has([(1, 1, 1, 1)]),
        lambda: store.write(lambda _tx: None).result(),
        lambda: store.collect(retention_s=1),
        store.statistics,
    ):
        with pytest.raises(StoreError) as caught:
            attempt()
        assert "closed" == caught.value.reason


def test_closing_answers_what_waits(tmp_path: Path) -> None:
    """Durably: it is there when the store is opened again."""
    store = open_store(tmp_path / "s", map_bytes=1 << 26)
    futures = [
        store.write(lambda tx, n=number: tx.put_document(1, "k", str(n), b""))
        for number in range(20)
    ]
    store.close()
    assert all(future.done() and future.exception() is None for future in futures)
    again = open_store(tmp_path / "s", map_bytes=1 << 26)
    with again.snapshot() as snapshot:
        assert 20 == len(snapshot.documents(1, "k"))
    again.close()


def test_a_backup_holds_keys_of_many_pages(world: World, tmp_path: Path) -> None:
    """Where LMDB's own compacting copy ends the process; and it is smaller than the original."""
    texts = [f"doc:{number}#viewer@user:u" for number in range(20_000)]
    for start in range(0, len(texts), 4_000):
        world.write(*texts[start : start + 4_000])
    world.delete(*texts[::2])
    world.store.backup(tmp_path / "copy")
    assert ["data.mdb"] == [entry.name for entry in (tmp_path / "copy").iterdir()]
    copy = open_store(tmp_path / "copy", readonly=True)
    try:
        here, there = world.store.statistics(), copy.statistics()
        assert there["bytes_used"] < here["bytes_used"]
        entries = [name for name in here if name.startswith("entries_")]
        assert [here[name] for name in entries] == [there[name] for name in entries]
        with copy.snapshot() as snapshot:
            assert 10_000 == len(world.everything(snapshot, limit=100_000))
    finally:
        copy.close()


def test_a_backup_is_a_store_of_the_same_state(world: World, tmp_path: Path) -> None:
    """Taken while it is open; never over something else."""
    world.write("doc:a#viewer@user:u", ("doc:b#viewer@user:u", 2_000_000))
    world.delete("doc:a#viewer@user:u")
    world.store.backup(tmp_path / "copy")
    with pytest.raises(StoreError):
        world.store.backup(tmp_path / "copy")
    with world.store.snapshot() as snapshot:
        expected, revision = world.everything(snapshot), snapshot.revision
        application = world.application
    copy = open_store(tmp_path / "copy", map_bytes=1 << 26, clock_ms=lambda: 1_000_000)
    try:
        copied = World(copy)
        assert copied.application == application + 1
        with copy.snapshot(revision=revision) as snapshot:
            copied.vocabulary = snapshot.vocabulary(application)
            assert expected == copied.everything(snapshot)
    finally:
        copy.close()

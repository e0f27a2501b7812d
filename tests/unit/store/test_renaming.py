"""Other names for slots: the numbers, and so the rows, stay; old names start afresh."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.unit.store.world import NAMES, World
from zeratul.errors import NotFoundError
from zeratul.store.lmdb import open_store
from zeratul.store.lmdb.renaming import plan_renames

if TYPE_CHECKING:
    from pathlib import Path

    from tests.unit.store.conftest import Clock
    from zeratul.store.interface import WriteTransaction

Name = tuple[str, str]

DOC_TO_FILE = {
    ("doc", relation): ("file", relation) for type_, relation in NAMES if type_ == "doc"
}


def rename(world: World, mapping: dict[Name, Name], application: int | None = None) -> int:
    """Rename in one commit; its revision."""

    def job(tx: WriteTransaction) -> int:
        tx.rename_slots(application or world.application, mapping)
        return tx.effective_revision

    return world.store.write(job).result()


def slots(world: World) -> dict[Name, int]:
    """The names as a new snapshot has them."""
    with world.store.snapshot() as snapshot:
        vocabulary = snapshot.vocabulary(world.application)
        assert {slot: name for name, slot in vocabulary.slots.items()} == vocabulary.names
        return dict(vocabulary.slots)


def entries(world: World) -> dict[str, int]:
    """How many entries each table has."""
    numbers = world.store.statistics()
    return {name: number for name, number in numbers.items() if name.startswith("entries_")}


def with_names(world: World, *names: Name) -> None:
    """Intern more names."""
    world.store.write(lambda tx: tx.intern_slots(world.application, names)).result()


def test_a_type_keeps_its_rows_under_another_name(world: World) -> None:
    """No row, name or node is touched, and no row is told as changed."""
    world.write("doc:a#viewer@user:u", ("doc:a#owner@group:g#member", 2_000_000))
    world.delete("doc:a#viewer@user:u")
    world.write("doc:a#viewer@user:v")
    before, numbers = slots(world), entries(world)
    with world.store.snapshot() as snapshot:
        facts = world.everything(snapshot)
    revision = rename(world, DOC_TO_FILE)
    after = slots(world)
    assert {DOC_TO_FILE.get(name, name): slot for name, slot in before.items()} == after
    with world.store.snapshot() as snapshot:
        assert facts == world.everything(snapshot)
        assert [(revision, b"", [])] == [
            tuple(c) for c in snapshot.changes(revision - 1, revision)
        ]
    commit = {"entries_changes": 1, "entries_revisions": 1, "entries_meta": 1}
    assert {name: count + commit.get(name, 0) for name, count in numbers.items()} == entries(world)


def test_a_type_takes_along_what_is_not_named(world: World) -> None:
    """Also relations that the model forgot; what is named goes where it is told to."""
    before = slots(world)
    rename(world, {("doc", ""): ("file", ""), ("doc", "viewer"): ("file", "reader")})
    after = slots(world)
    expected = DOC_TO_FILE | {("doc", "viewer"): ("file", "reader")}
    assert {expected.get(name, name): slot for name, slot in before.items()} == after


def test_names_are_swapped_at_once(world: World) -> None:
    """Relations of a type, and whole types."""
    before = slots(world)
    rename(world, {("doc", "viewer"): ("doc", "owner"), ("doc", "owner"): ("doc", "viewer")})
    after = slots(world)
    assert before["doc", "viewer"] == after["doc", "owner"]
    assert before["doc", "owner"] == after["doc", "viewer"]
    assert before.keys() == after.keys()
    rename(world, {("doc", ""): ("group", ""), ("group", ""): ("doc", "")})
    swapped = slots(world)
    assert after["group", "member"] == swapped["doc", "member"]
    assert after["doc", "*"] == swapped["group", "*"]
    assert len(after) == len(swapped)


def test_an_old_name_declared_again_starts_afresh(world: World) -> None:
    """With a fresh number, and none of the old rows from either end."""
    world.write("doc:a#viewer@user:u", "doc:a#owner@group:g#member")
    rename(world, DOC_TO_FILE)
    world.store.write(lambda tx: tx.intern_slots(world.application, NAMES)).result()
    names = slots(world)
    old = {names[name] for name in DOC_TO_FILE.values()}
    fresh = {names[name] for name in DOC_TO_FILE}
    assert 4 == len(old) == len(fresh)
    assert not old & fresh
    assert min(fresh) > max(world.vocabulary.names)
    with world.store.snapshot() as snapshot:
        user = snapshot.node(names["user", ""], "u")
        assert snapshot.node(names["doc", ""], "a") is None
        assert [] == snapshot.scan_type(names["doc", ""], limit=9)
        assert 2 == len(snapshot.scan_type(names["file", ""], limit=9))
        assert user is not None
        assert not snapshot.resources([(user, names["user", ""], names["doc", "viewer"])])[0]
        assert snapshot.resources([(user, names["user", ""], names["file", "viewer"])])[0]


def test_a_name_that_was_there_before_is_moved_aside(world: World, clock: Clock) -> None:
    """With all of its type; what it held is there for the past, and for nobody who types names."""
    with_names(world, ("file", ""), ("file", "*"), ("file", "viewer"), ("file", "dead"))
    before = slots(world)
    world.vocabulary = world.vocabulary.__class__(
        world.application, before, {slot: name for name, slot in before.items()}
    )
    world.write("file:a#viewer@user:u", "doc:a#viewer@user:v")
    pinned = world.revision()
    world.delete("file:a#viewer@user:u")
    revision = rename(world, DOC_TO_FILE)
    after = slots(world)
    gone = f"⟨gone {revision}⟩file"
    for relation in ("", "*", "viewer", "dead"):
        assert before["file", relation] == after[gone, relation]
    for old, new in DOC_TO_FILE.items():
        assert before[old] == after[new]
    assert ("file", "dead") not in after
    with world.store.snapshot(revision=pinned) as snapshot:
        # The past by numbers, as a cursor goes on.
        assert [True, True] == world.has(snapshot, "file:a#viewer@user:u", "doc:a#viewer@user:v")
    with world.store.snapshot() as snapshot:
        (row,) = snapshot.scan_type(after["file", ""], limit=9)
        assert (after["file", "viewer"], "v") == (row.slot, snapshot.ids([row.subject])[0])


def test_a_name_taken_twice_in_one_commit_is_moved_aside_twice(world: World) -> None:
    """Each number keeps a name of its own."""
    with_names(world, ("doc", "third"))
    before = slots(world)

    def job(tx: WriteTransaction) -> int:
        tx.rename_slots(world.application, {("doc", "owner"): ("doc", "viewer")})
        tx.rename_slots(world.application, {("doc", "third"): ("doc", "viewer")})
        return tx.revision

    revision = world.store.write(job).result()
    after = slots(world)
    assert before["doc", "third"] == after["doc", "viewer"]
    assert before["doc", "viewer"] == after["doc", f"⟨gone {revision}⟩viewer"]
    assert before["doc", "owner"] == after["doc", f"⟨gone {revision}.2⟩viewer"]
    assert sorted(before.values()) == sorted(after.values())


def test_a_name_without_a_number_takes_its_new_name_too(world: World) -> None:
    """So that it is not born with somebody else's rows."""
    world.write("doc:a#viewer@user:u")
    rename(world, {("doc", "never"): ("doc", "viewer")})
    with_names(world, ("doc", "viewer"))
    after = slots(world)
    assert after["doc", "viewer"] not in world.vocabulary.names
    with world.store.snapshot() as snapshot:
        rows = snapshot.scan_type(after["doc", ""], slots=[after["doc", "viewer"]], limit=9)
    assert [] == rows


def test_renaming_nothing_is_no_commit(world: World) -> None:
    """Neither unknown names nor a name to itself."""
    before = world.revision()
    for mapping in ({}, {("x", "y"): ("x", "z")}, {("doc", ""): ("doc", "")}):
        assert before == rename(world, mapping)
    assert before == world.revision()
    assert world.vocabulary.slots == slots(world)


@pytest.mark.parametrize(
    "mapping",
    [
        {("doc", "viewer"): ("doc", "x"), ("doc", "owner"): ("doc", "x")},
        {("doc", ""): ("x", ""), ("group", ""): ("x", "")},
        {("doc", "viewer"): ("doc", "")},
        {("doc", ""): ("doc", "viewer")},
        {("doc", "*"): ("doc", "viewer")},
        {("doc", "viewer"): ("doc", "*")},
        {("doc", "viewer"): ("group", "viewer")},
        {("doc", "*"): ("file", "*")},
        {("doc", ""): ("file", ""), ("doc", "viewer"): ("doc", "viewer")},
    ],
)
def test_unsound_renames_change_nothing(world: World, mapping: dict[Name, Name]) -> None:
    """Two slots of one name, a slot of another form, or of another type than its type's."""
    before = world.revision()
    with pytest.raises(ValueError, match="slot"):
        rename(world, mapping)
    assert before == world.revision()
    assert world.vocabulary.slots == slots(world)


def test_snapshots_keep_the_names_of_their_commit(world: World) -> None:
    """Those opened before keep the old ones, whichever is asked first, and again and again."""
    world.write("doc:a#viewer@user:u")
    with world.store.snapshot() as before, world.store.snapshot() as unasked:
        old = dict(before.vocabulary(world.application).slots)
        rename(world, DOC_TO_FILE)
        with world.store.snapshot() as after:
            for _ in range(2):
                assert ("file", "viewer") in after.vocabulary(world.application).slots
                assert ("doc", "viewer") not in after.vocabulary(world.application).slots
                assert old == before.vocabulary(world.application).slots
                assert old == unasked.vocabulary(world.application).slots
            assert world.has(before, "doc:a#viewer@user:u") == [True]


def test_the_transaction_sees_its_own_renames(world: World) -> None:
    """And rows prepared before it are written to the same numbers."""
    prepared = world.prepare(["doc:a#viewer@user:u"])

    def job(tx: WriteTransaction) -> bool:
        tx.rename_slots(world.application, {("doc", "viewer"): ("doc", "reader")})
        tx.intern_slots(world.application, [("doc", "viewer")])
        tx.apply(prepared)
        names = tx.snapshot.vocabulary(world.application).slots
        assert names["doc", "reader"] == world.slot("doc", "viewer") != names["doc", "viewer"]
        return world.has(tx.snapshot, "doc:a#viewer@user:u")[0]

    assert world.store.write(job).result()


def test_other_applications_keep_their_names(world: World) -> None:
    """Names belong to one."""
    other = World(world.store)
    rename(world, DOC_TO_FILE)
    assert other.vocabulary.slots == slots(other)


def test_the_longest_names_are_renamed(world: World) -> None:
    """Which are more than a key holds."""
    long, longer = ("t" * 254, "r" * 253 + "a"), ("t" * 254, "r" * 253 + "b")
    with_names(world, ("t" * 254, ""), long, longer)
    before = slots(world)
    rename(world, {long: longer, longer: long})
    after = slots(world)
    assert (before[long], before[longer]) == (after[longer], after[long])
    revision = rename(world, {("doc", ""): ("t" * 254, "")})
    assert before[long] == slots(world)[f"⟨gone {revision}⟩" + longer[0], longer[1]]


def test_ten_thousand_rows_are_renamed_by_name_only(world: World) -> None:
    """Live ones and tombstones, from both ends."""
    texts = [f"doc:{number}#viewer@user:{number % 100}" for number in range(10_000)]
    world.write(*texts)
    full = world.revision()
    world.delete(*texts[::10])
    rename(world, {("doc", ""): ("file", ""), ("doc", "viewer"): ("file", "reader")})
    renamed = slots(world)
    with world.store.snapshot() as snapshot:
        assert 9_000 == len(world.everything(snapshot, limit=10_000))
        rows = snapshot.scan_type(renamed["file", ""], limit=10_000)
        assert {renamed["file", "reader"]} == {row.slot for row in rows}
        assert 9_000 == len(rows)
        user = snapshot.node(renamed["user", ""], "1") or 0
        (files,) = snapshot.resources([(user, renamed["user", ""], renamed["file", "reader"])])
        assert 100 == len(files)
    with world.store.snapshot(revision=full) as snapshot:
        assert 10_000 == len(snapshot.scan_type(renamed["file", ""], limit=20_000))
    with_names(world, *NAMES)
    again = slots(world)
    with world.store.snapshot() as snapshot:
        assert [] == snapshot.scan_type(again["doc", ""], limit=9)


def test_names_outlive_the_store(tmp_path: Path) -> None:
    """Opened again, and in a copy."""
    store = open_store(tmp_path / "s", map_bytes=1 << 26)
    world = World(store)
    rename(world, DOC_TO_FILE)
    expected = slots(world)
    store.backup(tmp_path / "copy")
    store.close()
    for path in (tmp_path / "s", tmp_path / "copy"):
        world.store = open_store(path, readonly=True)
        assert expected == slots(world)
        world.store.close()


def test_renaming_in_a_dropped_application_is_refused(world: World) -> None:
    """Like every write."""
    world.store.write(lambda tx: tx.drop_application(world.application)).result()
    with pytest.raises(NotFoundError):
        rename(world, DOC_TO_FILE)


# The plan, by itself.

types = st.sampled_from(["a", "b", "c", "⟨gone 7⟩a"])
relations = st.sampled_from(["", "*", "r", "s", "t"])
names = st.tuples(types, relations)


def form(name: Name) -> str:
    """Own slot, wildcard or relation."""
    return name[1] if name[1] in ("", "*") else "relation"


@given(
    st.sets(names).map(lambda found: {name: slot for slot, name in enumerate(sorted(found))}),
    st.dictionaries(names, names),
)
def test_a_plan_keeps_every_number_and_gives_every_name_once(
    known: dict[Name, int], wanted: dict[Name, Name]
) -> None:
    """And each mapped name what it was mapped to; what nobody's name touches stays."""
    inverse = {new: old for old, new in wanted.items() if form(old) == form(new)}
    types = {old[0]: new[0] for new, old in inverse.items() if not old[1]}
    following = {
        (types.get(old[0], old[0]), new[1]): old
        for new, old in inverse.items()
        if form(old) != "*"
    }
    mapping = {old: new for new, old in following.items()}
    before = {slot: name for name, slot in known.items()}
    renames = plan_renames(known, mapping, 7)
    after = before | renames
    assert before.keys() == after.keys()
    assert len(after) == len(set(after.values()))
    assert all(form(before[slot]) == form(name) for slot, name in after.items())
    assert all(before[slot] != name for slot, name in renames.items())
    for old, new in mapping.items():
        # Only the number that was called the old name, if there is one, is called the new one.
        assert known.get(old) == {name: slot for slot, name in after.items()}.get(new)
    renamed = {old[0]: new[0] for old, new in mapping.items() if old[1] == ""}
    for slot, (type_name, relation) in before.items():
        new_type, new_relation = after[slot]
        if (type_name, relation) in mapping:
            continue
        if type_name in renamed:
            carried = (renamed[type_name], relation)
            stays = carried not in mapping.values()
            assert (after[slot] == carried) == stays
        elif type_name in renamed.values():
            assert (new_type[:7], new_relation) == ("⟨gone 7", relation)
            assert new_type.endswith("⟩" + type_name)
        elif (type_name, relation) not in mapping.values():
            assert after[slot] == before[slot]
        else:
            assert (type_name, "⟨gone 7") == (new_type, new_relation[:7])
            assert new_relation.endswith("⟩" + relation)

"""Names and numbers: many at once, and those that a process remembers."""

from __future__ import annotations

from typing import TYPE_CHECKING
from unittest.mock import patch

import pytest

from zeratul.errors import StoreError
from zeratul.store.lmdb import known_names, names
from zeratul.store.lmdb import snapshot as snapshots
from zeratul.store.lmdb.known_names import KnownNames, KnownTexts
from zeratul.store.lmdb.snapshot import LmdbSnapshot
from zeratul.store.lmdb.store import LmdbStore

if TYPE_CHECKING:
    from collections.abc import Sequence

    from tests.unit.store.world import World
    from zeratul.store.interface import Snapshot, WriteTransaction


class Abandoned(Exception):  # noqa: N818 - what a job raises to be undone
    """Raised by a job after it wrote something."""


def users(world: World, ids: Sequence[str]) -> list[int]:
    """Nodes of users that are written for it, in the order of the ids."""
    world.write(*(f"doc:a#viewer@user:{each}" for each in ids))
    with world.store.snapshot() as snapshot:
        return [number_of(world, snapshot, f"user:{each}") for each in ids]


def number_of(world: World, snapshot: Snapshot, name: str) -> int:
    """The node of a name that has one."""
    node = world.node(snapshot, name)
    assert node is not None
    return node


@pytest.mark.parametrize("run_min", [1, 1_000])
@pytest.mark.parametrize("step", [1, 2, 3, -1])
def test_ids_of_many_nodes(world: World, run_min: int, step: int) -> None:
    """Without gaps, with few or many, backwards; read as one run or one by one."""
    ids = [f"é{number}" + "x" * (number % 3 * 300) for number in range(40)]
    named = dict(zip(users(world, ids), ids, strict=True))
    nodes = sorted(named)[::step]
    with world.store.snapshot() as snapshot, patch.object(names, "RUN_NODES_MIN", run_min):
        expected = [named[node] for node in nodes]
        assert expected == snapshot.ids(nodes)
        assert expected == snapshot.id_texts(world.slot("user"), nodes).decode().split("\x00")
        with patch.object(names, "TEXT_NODES_MIN", 1):
            for _ in "read", "remembered":
                kept = snapshot.id_texts(world.slot("user"), nodes, keep=True)
                assert expected == kept.decode().split("\x00")
        assert [(world.slot("user"), each) for each in expected] == snapshot.names(nodes)
        repeated = [nodes[0], nodes[0], *nodes[:5]]
        assert [named[node] for node in repeated] == snapshot.ids(repeated)


@pytest.mark.parametrize("run_min", [1, 1_000])
def test_ids_of_no_nodes_and_of_strangers(world: World, run_min: int) -> None:
    """Nothing is nothing; a number without a name, or of another type, is an error."""
    nodes = sorted(users(world, [f"u{number}" for number in range(20)]))
    with world.store.snapshot() as snapshot, patch.object(names, "RUN_NODES_MIN", run_min):
        user = world.slot("user")
        assert snapshot.id_texts(user, []) == b""
        assert [] == snapshot.ids([])
        with pytest.raises(StoreError, match="no name"):
            snapshot.id_texts(user, [*nodes, 1_000_000])
        document = number_of(world, snapshot, "doc:a")
        with pytest.raises(StoreError, match="another type"):
            snapshot.id_texts(user, [document, *nodes])


def test_a_name_is_known_from_the_commit_on_that_gave_it_a_number(world: World) -> None:
    """A snapshot from before does not know it, whoever looked it up meanwhile."""
    with world.store.snapshot() as before:
        world.write("doc:new#viewer@user:new")
        with world.store.snapshot() as after:
            assert {"doc:new", "user:new"} == set(world.known(after, ["doc:new", "user:new"]))
            assert {"doc:new", "user:new"} == set(world.known(after, ["doc:new", "user:new"]))
        assert {} == world.known(before, ["doc:new", "user:new"])
        names = [(world.slot("doc"), "new"), (world.slot("user"), "new")]
        assert [None, None] == before.nodes(names)


def test_a_name_of_a_write_that_came_to_nothing_is_not_remembered(world: World) -> None:
    """Its number goes to another name."""

    def job(tx: WriteTransaction) -> None:
        tx.apply(prepared)
        assert world.known(tx.snapshot, ["doc:never"])
        assert tx.snapshot.nodes([(world.slot("doc"), "never")]) != [None]
        raise Abandoned

    prepared = world.prepare(["doc:never#viewer@user:never"])
    with pytest.raises(Abandoned):
        world.store.write(job).result()
    world.write("doc:other#viewer@user:other")
    with world.store.snapshot() as snapshot:
        assert {} == world.known(snapshot, ["doc:never", "user:never"])
        assert "doc:other" in world.known(snapshot, ["doc:other"])


@patch.object(names, "TEXT_NODES_MIN", 1)
def test_a_number_of_a_write_that_came_to_nothing_is_not_remembered(world: World) -> None:
    """It goes to another name, which is what is read then."""

    def job(tx: WriteTransaction) -> None:
        tx.apply(prepared)
        node = number_of(world, tx.snapshot, "user:never")
        assert tx.snapshot.id_texts(world.slot("user"), [node], keep=True) == b"never"
        seen.append(node)
        raise Abandoned

    seen: list[int] = []
    prepared = world.prepare(["doc:never#viewer@user:never"])
    with pytest.raises(Abandoned):
        world.store.write(job).result()
    world.write("doc:other#viewer@user:other")
    with world.store.snapshot() as snapshot:
        node = number_of(world, snapshot, "user:other")
        assert [node] == seen
        assert snapshot.id_texts(world.slot("user"), [node], keep=True) == b"other"


@patch.object(names, "TEXT_NODES_MIN", 1)
def test_ids_that_are_kept_are_read_once_and_errors_each_time(world: World) -> None:
    """What is kept holds for its type alone; nothing is kept of what could not be read."""
    user, document = world.slot("user"), world.slot("doc")
    nodes = users(world, ["a", "b"])
    with world.store.snapshot() as snapshot:
        assert snapshot.id_texts(user, nodes, keep=True) == b"a\x00b"
        for _ in range(2):
            with pytest.raises(StoreError, match="no name"):
                snapshot.id_texts(user, [*nodes, 1_000_000], keep=True)
            with pytest.raises(StoreError, match="another type"):
                snapshot.id_texts(document, nodes, keep=True)
        with patch.object(LmdbSnapshot, "_id_texts", side_effect=AssertionError):
            assert snapshot.id_texts(user, nodes, keep=True) == b"a\x00b"
            with pytest.raises(AssertionError):
                snapshot.id_texts(user, nodes)


def test_a_stranger_is_looked_up_each_time(world: World) -> None:
    """Until it is stored, by whichever process."""
    with world.store.snapshot() as snapshot:
        assert {} == world.known(snapshot, ["doc:late"])
    world.write("doc:late#viewer@user:u")
    with world.store.snapshot() as snapshot:
        assert {"doc:late"} == set(world.known(snapshot, ["doc:late"]))


def test_remembered_names_are_bounded() -> None:
    """The oldest makes room, and very long ids are not kept at all."""
    known = KnownNames()
    with patch.object(known_names, "NAMES_MAX", 3):
        for number in range(5):
            known.keep((1, f"u{number}"), number)
    assert [None, None, 2, 3, 4] == [known.find((1, f"u{number}")) for number in range(5)]
    known.keep((1, "x" * (known_names.ID_LENGTH_MAX + 1)), 9)
    assert known.find((1, "x" * (known_names.ID_LENGTH_MAX + 1))) is None
    assert known.find((2, "u4")) is None


def test_remembered_texts_are_bounded() -> None:
    """Those not used for longest make room."""
    known = KnownTexts()
    with patch.object(known_names, "TEXTS_BYTES_MAX", 30):
        known.keep(b"key1", b"texts1")
        known.keep(b"key2", b"texts2")
        known.keep(b"key2", b"texts2")
        known.keep(b"key3", b"texts3")
        assert known.find(b"key1") == b"texts1"
        known.keep(b"key4", b"texts4")
        assert known.find(b"key2") is None
        assert [b"texts1", b"texts3", b"texts4"] == list(
            map(known.find, (b"key1", b"key3", b"key4"))
        )
        known.keep(b"key5", b"x" * 40)
        assert known.find(b"key5") is None
        known.keep(b"key6", b"texts6")
        assert known.find(b"key6") == b"texts6"


def test_vocabularies_of_few_applications_are_remembered(world: World) -> None:
    """However many were asked about, and each is its own."""
    types = [f"type{number}" for number in range(5)]

    def job(tx: WriteTransaction) -> list[int]:
        made = [tx.new_application() for _ in types]
        for application, name in zip(made, types, strict=True):
            tx.intern_slots(application, [(name, "")])
        return made

    made = world.store.write(job).result()
    assert isinstance(world.store, LmdbStore)
    with patch.object(snapshots, "VOCABULARIES_MAX", 2), world.store.snapshot() as snapshot:
        for application, name in zip(made, types, strict=True):
            for _ in "read", "remembered":
                assert list(snapshot.vocabulary(application).slots) == [(name, "")]
            assert len(world.store._vocabularies) <= 2

"""Property: whatever is written, deleted, expired and collected, every reading of every revision
that can still be read equals the model's (a dict of versions)."""

from __future__ import annotations

import tempfile
from contextlib import ExitStack
from pathlib import Path
from threading import Event
from typing import TYPE_CHECKING
from unittest.mock import patch

import numpy as np
import pytest
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule
from pyroaring import BitMap

from tests.unit.store.conftest import Clock
from tests.unit.store.model import Fact, StoreModel
from tests.unit.store.world import World, facts_of
from zeratul.errors import RevisionError
from zeratul.store.interface import CHANGE_FIELDS, Applied
from zeratul.store.lmdb import meets, open_store, prepare, sweeper

if TYPE_CHECKING:
    from concurrent.futures import Future

    from zeratul.store.interface import Prepared, Snapshot, WriteTransaction

DOCUMENTS = ["doc:a", "doc:A"]
GROUPS = ["group:g", "group:h" + "x" * 600]
USERS = ["user:u", "user:v", "user:w" + "y" * 600]
TEXTS = [
    *(f"{document}#viewer@{user}" for document in DOCUMENTS for user in USERS),
    *(f"{document}#owner@{group}#member" for document in DOCUMENTS for group in GROUPS),
    *(f"{document}#viewer@user:*" for document in DOCUMENTS),
    *(f"{group}#member@{user}" for group in GROUPS for user in USERS[:2]),
    *(f"{group}#member@{other}#member" for group in GROUPS for other in GROUPS),
]
LIFETIMES_MS = [None, None, None, 0, 1, 1_000, 60_000]

texts = st.sampled_from(TEXTS)
# Only viewers expire, so that the other slots keep to the path of plain rows.
one_write = texts.flatmap(
    lambda text: st.tuples(
        st.just(text), st.sampled_from(LIFETIMES_MS) if "#viewer@" in text else st.none()
    )
)
writes = st.lists(one_write, max_size=8)
relations = st.sampled_from(["viewer", "owner", "third", "fourth"])
batches = st.tuples(
    writes, st.lists(texts, max_size=5), st.sampled_from(["one by one", "many", "columns"])
)


class Abandoned(Exception):  # noqa: N818 - what a job raises to be undone
    """Raised by a job after it wrote something."""


class StoreMachine(RuleBasedStateMachine):
    """A store beside its model."""

    @initialize()
    def open(self) -> None:
        self.stack = ExitStack()
        directory = self.stack.enter_context(tempfile.TemporaryDirectory())
        self.clock = Clock()
        self.store = open_store(Path(directory) / "s", map_bytes=1 << 26, clock_ms=self.clock)
        self.stack.callback(self.store.close)
        self.world = World(self.store)
        self.model = StoreModel(times={self.world.revision(): self.clock.now_ms})
        self.model.names = dict(self.world.vocabulary.names)
        self.names = sorted({*DOCUMENTS, *GROUPS, *USERS, "user:*"})

    def teardown(self) -> None:
        if hasattr(self, "stack"):
            self.stack.close()

    # What happens to it.

    @rule(milliseconds=st.sampled_from([1, 999, 1_000, 30_000]))
    def time_passes(self, milliseconds: int) -> None:
        self.clock.now_ms += milliseconds

    @rule(group=st.lists(batches, min_size=1, max_size=4), failing=st.integers(0, 12))
    def write_together(
        self, group: list[tuple[list[tuple[str, int | None]], list[str], str]], failing: int
    ) -> None:
        """Several jobs wait for the writer at once; one of them may raise after it wrote."""
        prepared = [self._prepared(*batch) for batch in group]
        go_on = Event()
        blocker = self.store.write(lambda _tx: go_on.wait())
        futures = [
            self.store.write(self._job(item, fails=index == failing))
            for index, item in enumerate(prepared)
        ]
        go_on.set()
        blocker.result()
        for index, (batch, future) in enumerate(zip(group, futures, strict=True)):
            if index == failing:
                with pytest.raises(Abandoned):
                    future.result()
            else:
                self._expect(batch, future)

    def _prepared(
        self, write_texts: list[tuple[str, int | None]], delete_texts: list[str], how: str
    ) -> Prepared:
        with patch.object(prepare, "BULK_ROWS_MIN", 1_000 if how == "one by one" else 1):
            return self.world.prepare(
                [(text, self._expiry(lifetime)) for text, lifetime in write_texts],
                delete_texts,
                as_columns=how == "columns",
            )

    def _expiry(self, lifetime_ms: int | None) -> int | None:
        # Rounded, so that the same row is also written with the same expiry.
        return None if lifetime_ms is None else (self.clock.now_ms + lifetime_ms) // 500 * 500

    def _job(self, prepared: Prepared, *, fails: bool):
        def job(tx: WriteTransaction) -> tuple[int, bool, Applied]:
            applied = tx.apply(prepared)
            if fails:
                tx.put_document(0, "x", "y", b"")
                raise Abandoned
            return tx.effective_revision, tx.changed, applied

        return job

    def _expect(
        self,
        batch: tuple[list[tuple[str, int | None]], list[str], str],
        future: Future[tuple[int, bool, Applied]],
    ) -> None:
        revision, changed, applied = future.result()
        write_texts, delete_texts, _ = batch
        now_ms = self.clock.now_ms
        deletes = [self.model.delete(self.world.fact(t), revision, now_ms) for t in delete_texts]
        results = [
            self.model.write(self.world.fact(text), self._expiry(lifetime), revision, now_ms)
            for text, lifetime in write_texts
        ]
        assert Applied(results, deletes) == applied
        if changed:
            assert revision >= self.model.head
            self.model.times[revision] = now_ms
        assert revision == self.model.head

    @rule(retention_s=st.sampled_from([0, 1, 30, 3_600]))
    def collect(self, retention_s: int) -> None:
        if self.model.expire(self.model.head + 1, self.clock.now_ms):
            self.model.times[self.model.head + 1] = self.clock.now_ms
        self.store.collect(retention_s=retention_s, steps=1_000)
        self.model.collect(self.clock.now_ms - retention_s * 1_000)

    def _committed(self, revision: int) -> None:
        """One more revision, whatever became of it."""
        assert revision == self.model.head + 1
        self.model.times[revision] = self.clock.now_ms

    @rule(bodies=st.lists(st.binary(max_size=5), min_size=1, max_size=3))
    def record(self, bodies: list[bytes]) -> None:
        def job(tx: WriteTransaction) -> int:
            for body in bodies:
                tx.record(self.world.application, body)
            return tx.revision

        revision = self.store.write(job).result()
        self._committed(revision)
        self.model.events += [(revision, body) for body in bodies]

    @rule(pairs=st.dictionaries(relations, relations))
    def rename(self, pairs: dict[str, str]) -> None:
        """Numbers, and so all rows, stay."""
        # One of those that would become one.
        mapping = {
            ("doc", old): ("doc", new) for new, old in {v: k for k, v in pairs.items()}.items()
        }
        names = self.model.rename(mapping, self.model.head + 1)

        def job(tx: WriteTransaction) -> bool:
            tx.rename_slots(self.world.application, mapping)
            return tx.changed

        changed = self.store.write(job).result()
        assert changed == (names != self.model.names)
        if changed:
            self._committed(self.world.revision())
            self.model.names = names

    @rule(write_texts=writes, collects=st.booleans(), sweep_entries=st.sampled_from([9, 50]))
    def a_neighbour_comes_and_goes(
        self, write_texts: list[tuple[str, int | None]], collects: bool, sweep_entries: int
    ) -> None:
        """Another application with the same names; nothing of it is left."""
        neighbour = World(self.store)
        self._committed(self.world.revision())
        if neighbour.write(*((text, self._expiry(lifetime)) for text, lifetime in write_texts)):
            self._committed(self.world.revision())
        self.store.write(lambda tx: tx.record(neighbour.application, b"mine")).result()
        self._committed(self.world.revision())
        self.store.write(lambda tx: tx.drop_application(neighbour.application)).result()
        self._committed(self.world.revision())
        with patch.object(sweeper, "STEP_ENTRIES", sweep_entries):
            while self.store.sweep():
                if collects:
                    self.collect(3_600)
                    if self.world.revision() > self.model.head:
                        self._committed(self.world.revision())  # The neighbour's have expired.
        assert not neighbour.vocabulary.slots.keys() & set(self._vocabulary(neighbour))

    def _vocabulary(self, world: World) -> dict[tuple[str, str], int]:
        with self.store.snapshot() as snapshot:
            return dict(snapshot.vocabulary(world.application).slots)

    # What must hold.

    @invariant()
    def names_are_those_given_last(self) -> None:
        if hasattr(self, "store"):
            expected = {name: slot for slot, name in self.model.names.items()}
            assert expected == self._vocabulary(self.world)

    @invariant()
    def nothing_is_left_over(self) -> None:
        if not hasattr(self, "store"):
            return
        versions = [version for lives in self.model.versions.values() for version in lives]
        current = [version for version in versions if version.deleted is None]
        numbers = self.store.statistics()
        assert numbers["revision"] == self.model.head
        assert numbers["oldest_revision"] == self.model.oldest
        assert numbers["entries_forward"] == numbers["entries_reverse"] == len(current)
        buried = len(versions) - len(current)
        assert numbers["entries_buried_forward"] == numbers["entries_buried_reverse"] == buried
        attributed = [version for version in versions if version.expires_at_ms is not None]
        assert numbers["entries_attributes"] == len(attributed)
        assert numbers["entries_expiries"] == sum(v.deleted is None for v in attributed)
        assert numbers["entries_audit"] == len(self.model.events)

    @rule(back=st.integers(0, 4), earlier_ms=st.sampled_from([0, 0, 500, 40_000]), data=st.data())
    def read(self, back: int, earlier_ms: int, data: st.DataObject) -> None:
        revision = max(self.model.head - back, self.model.oldest)
        now_ms = self.clock.now_ms - earlier_ms
        live = self.model.live(revision, now_ms)
        with self.store.snapshot(revision=revision, now_ms=now_ms) as snapshot:
            nodes = self.world.known(snapshot, self.names)
            self._single_rows(snapshot, nodes, live)
            self._expires_min(snapshot, live)
            self._bitmaps(snapshot, nodes, live)
            self._meets(snapshot, nodes, live, data)
            self._scans(snapshot, nodes, live, data)
            self._events(snapshot, data)

    def _events(self, snapshot: Snapshot, data: st.DataObject) -> None:
        expected = [event for event in self.model.events if event[0] <= snapshot.revision]
        limit = data.draw(st.sampled_from([1, 2, 100]), "events")
        found, before = [], b""
        while page := snapshot.events(self.world.application, before=before, limit=limit):
            assert len(page) <= limit
            found += [(event.revision, event.body) for event in page]
            before = page[-1].position
        assert expected[::-1] == found

    def _expires_min(self, snapshot: Snapshot, live: dict[Fact, object]) -> None:
        """After every row has been asked for."""
        expiries = [version.expires_at_ms for version in live.values()]  # type: ignore[attr-defined]
        soonest = min((moment for moment in expiries if moment is not None), default=None)
        assert soonest == snapshot.expires_min_ms

    def _single_rows(
        self, snapshot: Snapshot, nodes: dict[str, int], live: dict[Fact, object]
    ) -> None:
        facts = [
            fact
            for fact in map(self.world.fact, TEXTS)
            if fact.resource in nodes and fact.subject in nodes
        ]
        keys = [(nodes[f.resource], f.slot, f.subject_slot, nodes[f.subject]) for f in facts]
        assert [fact in live for fact in facts] == snapshot.has(keys)
        for fact, row in zip(facts, snapshot.rows(keys), strict=True):
            version = live.get(fact)
            expected = version and (version.created, version.expires_at_ms)  # type: ignore[attr-defined]
            assert expected == (row and (row.created, row.expires_at_ms))

    def _pairs(self) -> list[tuple[int, int]]:
        return sorted({(f.slot, f.subject_slot) for f in map(self.world.fact, TEXTS)})

    def _bitmaps(
        self, snapshot: Snapshot, nodes: dict[str, int], live: dict[Fact, object]
    ) -> None:
        for slot, subject_slot in self._pairs():
            here = [f for f in live if (f.slot, f.subject_slot) == (slot, subject_slot)]
            subjects = {
                node: BitMap(nodes[f.subject] for f in here if nodes[f.resource] == node)
                for node in nodes.values()
            }
            resources = {
                node: BitMap(nodes[f.resource] for f in here if nodes[f.subject] == node)
                for node in nodes.values()
            }
            forward = [(node, slot, subject_slot) for node in nodes.values()]
            reverse = [(node, subject_slot, slot) for node in nodes.values()]
            assert list(subjects.values()) == snapshot.subjects(forward)
            assert list(resources.values()) == snapshot.resources(reverse)
            self._few(snapshot, reverse, list(resources.values()))
            everyone = BitMap(nodes.values())
            union = BitMap().union(*subjects.values()) if subjects else BitMap()
            assert union == snapshot.subjects_of_all(everyone, slot, subject_slot)
            union = BitMap().union(*resources.values()) if resources else BitMap()
            assert union == snapshot.resources_of_all(everyone, subject_slot, slot)
            for bound, found in zip(
                snapshot.subject_counts(forward), subjects.values(), strict=True
            ):
                assert bound >= len(found)
            for bound, found in zip(
                snapshot.resource_counts(reverse), resources.values(), strict=True
            ):
                assert bound >= len(found)

    def _few(
        self, snapshot: Snapshot, keys: list[tuple[int, int, int]], expected: list[BitMap]
    ) -> None:
        bound = sum(snapshot.resource_counts(keys))
        found = snapshot.few_resources(keys, bound)
        assert found is not None
        assert [list(nodes) for nodes in expected] == [list(nodes) for nodes in found]
        assert bound == 0 or snapshot.few_resources(keys, bound - 1) is None

    def _meets(
        self,
        snapshot: Snapshot,
        nodes: dict[str, int],
        live: dict[Fact, object],
        data: st.DataObject,
    ) -> None:
        wanted = BitMap(data.draw(st.sets(st.integers(1, 12)), "nodes to meet"))
        keys = [
            (node, slot, subject_slot, wanted)
            for node in nodes.values()
            for slot, subject_slot in self._pairs()
        ]
        # Each way of finding out, though the sides are small.
        few = data.draw(st.sampled_from([0, 1, 64]), "few")
        seeks = data.draw(st.sampled_from([0, 1, 64]), "seeks")
        with (
            patch.object(meets, "FEW", few),
            patch.object(meets, "GALLOP_SEEKS_MAX", seeks),
        ):
            found = snapshot.meets(keys)
        for (resource, slot, subject_slot, _), answer in zip(keys, found, strict=True):
            common = {
                nodes[fact.subject]
                for fact in live
                if (nodes[fact.resource], fact.slot, fact.subject_slot)
                == (resource, slot, subject_slot)
            } & set(wanted)
            assert (answer in common) if common else (answer is None)

    def _scans(
        self,
        snapshot: Snapshot,
        nodes: dict[str, int],
        live: dict[Fact, object],
        data: st.DataObject,
    ) -> None:
        limit = data.draw(st.sampled_from([1, 2, 100]), "page size")
        assert sorted(live) == sorted(self.world.everything(snapshot, limit=limit))
        slots = data.draw(
            st.none() | st.sets(st.sampled_from(sorted(self.world.vocabulary.names)))
        )
        subject_slot = data.draw(st.none() | st.sampled_from(sorted(self.world.vocabulary.names)))
        for name, node in nodes.items():
            rows, after = [], b""
            while page := snapshot.scan_resource(node, slots=slots, after=after, limit=limit):
                rows += page
                after = page[-1].position
            assert [row.position for row in rows] == sorted(row.position for row in rows)
            expected = [
                f for f in live if f.resource == name and (slots is None or f.slot in slots)
            ]
            assert sorted(expected) == sorted(facts_of(self.world, snapshot, rows))
            rows, after = [], b""
            while page := snapshot.scan_subject(
                node, subject_slot=subject_slot, slots=slots, after=after, limit=limit
            ):
                rows += page
                after = page[-1].position
            expected = [
                f
                for f in live
                if f.subject == name
                and (slots is None or f.slot in slots)
                and subject_slot in (None, f.subject_slot)
            ]
            assert sorted(expected) == sorted(facts_of(self.world, snapshot, rows))

    @rule(back=st.integers(0, 5))
    def changes_lead_from_one_revision_to_the_next(self, back: int) -> None:
        after = max(self.model.head - back, self.model.oldest)
        with self.store.snapshot() as snapshot:
            nodes = self.world.known(snapshot, self.names)
            stored = {
                (nodes[f.resource], f.slot, f.subject_slot, nodes[f.subject])
                for f in self.model.stored(after)
            }
            revisions = []
            for change_set in snapshot.changes(after, self.model.head):
                revisions.append(change_set.revision)
                rows = np.frombuffer(change_set.rows, CHANGE_FIELDS).tolist()
                for operation, *row, _attributed in rows:
                    if row[1] not in self.world.vocabulary.names:
                        continue  # A neighbour's.
                    (stored.add if operation else stored.remove)(tuple(row))
            assert list(range(after + 1, self.model.head + 1)) == revisions
            assert {
                (nodes[f.resource], f.slot, f.subject_slot, nodes[f.subject])
                for f in self.model.stored(self.model.head)
            } == stored

    @rule()
    def other_revisions_are_refused(self) -> None:
        with pytest.raises(RevisionError) as caught:
            self.store.snapshot(revision=self.model.head + 1)
        assert caught.value.reason == "future"
        if self.model.oldest:
            with pytest.raises(RevisionError) as caught:
                self.store.snapshot(revision=self.model.oldest - 1)
            assert caught.value.reason == "collected"
            with self.store.snapshot() as snapshot, pytest.raises(RevisionError):
                snapshot.changes(self.model.oldest - 1, self.model.head)


TestStoreMachine = StoreMachine.TestCase
TestStoreMachine.pytestmark = [pytest.mark.slow]

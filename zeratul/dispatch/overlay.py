"""A snapshot with some rows added and some taken away, for one question.

Contextual and hypothetical relationships are read as if stored; nothing is written and no name is
interned: unknown names get numbers of the request's own.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

from pyroaring import BitMap

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from zeratul.store.interface import HasKey, ResourcesKey, SubjectsKey

_NONE = BitMap()


class Adjacency(Protocol):
    """The part of ``Snapshot`` that evaluations read."""

    def has(self, keys: Sequence[HasKey]) -> list[bool]:
        """See ``Snapshot.has``."""

    def subjects(self, keys: Sequence[SubjectsKey]) -> list[BitMap]:
        """See ``Snapshot.subjects``."""

    def resources(self, keys: Sequence[ResourcesKey]) -> list[BitMap]:
        """See ``Snapshot.resources``."""

    def meets(self, keys: Sequence[tuple[int, int, int, BitMap]]) -> list[int | None]:
        """See ``Snapshot.meets``."""

    def subjects_of_all(self, resources: BitMap, slot: int, subject_slot: int) -> BitMap:
        """See ``Snapshot.subjects_of_all``."""

    def resources_of_all(self, subjects: BitMap, subject_slot: int, slot: int) -> BitMap:
        """See ``Snapshot.resources_of_all``."""

    def subject_counts(self, keys: Sequence[SubjectsKey]) -> list[int]:
        """See ``Snapshot.subject_counts``."""


class NothingStored:
    """An empty store's adjacency: what a proof is replayed over."""

    def has(self, keys: Sequence[HasKey]) -> list[bool]:
        """No row is there."""
        return [False] * len(keys)

    def subjects(self, keys: Sequence[SubjectsKey]) -> list[BitMap]:
        """Nobody."""
        return [_NONE] * len(keys)

    def resources(self, keys: Sequence[ResourcesKey]) -> list[BitMap]:
        """Nothing."""
        return [_NONE] * len(keys)

    def meets(self, keys: Sequence[tuple[int, int, int, BitMap]]) -> list[int | None]:
        """Nobody."""
        return [None] * len(keys)

    def subjects_of_all(self, resources: BitMap, slot: int, subject_slot: int) -> BitMap:  # noqa: ARG002
        """Nobody."""
        return _NONE

    def resources_of_all(self, subjects: BitMap, subject_slot: int, slot: int) -> BitMap:  # noqa: ARG002
        """Nothing."""
        return _NONE

    def subject_counts(self, keys: Sequence[SubjectsKey]) -> list[int]:
        """Zero."""
        return [0] * len(keys)


NOTHING_STORED = NothingStored()


class Overlay:
    """The adjacency reads of ``Snapshot``, with ``added`` rows there and ``removed`` rows absent.

    A row in both is there.
    """

    def __init__(
        self, snapshot: Adjacency, added: Iterable[HasKey], removed: Iterable[HasKey] = ()
    ) -> None:
        self.snapshot = snapshot
        self.added = set(added)
        self.removed = set(removed) - self.added
        self._subjects_added = _by_resource(self.added)
        self._subjects_removed = _by_resource(self.removed)
        self._resources_added = _by_subject(self.added)
        self._resources_removed = _by_subject(self.removed)

    def with_row(self, row: HasKey) -> Overlay:
        """The same, with one more row there."""
        return Overlay(self.snapshot, self.added | {row}, self.removed)

    def has(self, keys: Sequence[HasKey]) -> list[bool]:
        """See ``Snapshot.has``."""
        answers = self.snapshot.has(keys)
        return [
            key in self.added or (there and key not in self.removed)
            for key, there in zip(keys, answers, strict=True)
        ]

    def subjects(self, keys: Sequence[SubjectsKey]) -> list[BitMap]:
        """See ``Snapshot.subjects``."""
        return [
            (found - self._subjects_removed.get(key, _NONE)) | self._subjects_added.get(key, _NONE)
            for key, found in zip(keys, self.snapshot.subjects(keys), strict=True)
        ]

    def resources(self, keys: Sequence[ResourcesKey]) -> list[BitMap]:
        """See ``Snapshot.resources``."""
        return [
            (found - self._resources_removed.get(key, _NONE))
            | self._resources_added.get(key, _NONE)
            for key, found in zip(keys, self.snapshot.resources(keys), strict=True)
        ]

    def meets(self, keys: Sequence[tuple[int, int, int, BitMap]]) -> list[int | None]:
        """See ``Snapshot.meets``."""
        answers = self.snapshot.meets(keys)
        for index, (resource, slot, subject_slot, nodes) in enumerate(keys):
            key = (resource, slot, subject_slot)
            if key not in self._subjects_added and key not in self._subjects_removed:
                continue
            common = self.subjects([key])[0] & nodes
            answers[index] = common.min() if common else None
        return answers

    def subjects_of_all(self, resources: BitMap, slot: int, subject_slot: int) -> BitMap:
        """See ``Snapshot.subjects_of_all``."""
        touched = BitMap(
            node
            for part in (self._subjects_added, self._subjects_removed)
            for node, row_slot, row_subject_slot in part
            if row_slot == slot and row_subject_slot == subject_slot and node in resources
        )
        found = self.snapshot.subjects_of_all(resources - touched, slot, subject_slot)
        for part in self.subjects([(node, slot, subject_slot) for node in touched]):
            found = found | part
        return found

    def resources_of_all(self, subjects: BitMap, subject_slot: int, slot: int) -> BitMap:
        """See ``Snapshot.resources_of_all``."""
        touched = BitMap(
            node
            for part in (self._resources_added, self._resources_removed)
            for node, row_subject_slot, row_slot in part
            if row_slot == slot and row_subject_slot == subject_slot and node in subjects
        )
        found = self.snapshot.resources_of_all(subjects - touched, subject_slot, slot)
        for part in self.resources([(node, subject_slot, slot) for node in touched]):
            found = found | part
        return found

    def subject_counts(self, keys: Sequence[SubjectsKey]) -> list[int]:
        """See ``Snapshot.subject_counts``."""
        return [
            count + len(self._subjects_added.get(key, _NONE))
            for key, count in zip(keys, self.snapshot.subject_counts(keys), strict=True)
        ]


def _by_resource(rows: Iterable[HasKey]) -> dict[SubjectsKey, BitMap]:
    found: dict[SubjectsKey, BitMap] = {}
    for resource, slot, subject_slot, subject in rows:
        found.setdefault((resource, slot, subject_slot), BitMap()).add(subject)
    return found


def _by_subject(rows: Iterable[HasKey]) -> dict[ResourcesKey, BitMap]:
    found: dict[ResourcesKey, BitMap] = {}
    for resource, slot, subject_slot, subject in rows:
        found.setdefault((subject, subject_slot, slot), BitMap()).add(resource)
    return found

"""Relationships that a new model has no place for: counted, and deleted when forced."""

from __future__ import annotations

import struct
from collections import Counter
from contextlib import nullcontext
from typing import TYPE_CHECKING

from zeratul.domain.relationship import WILDCARD
from zeratul.domain.vocabulary import SELF, WILDCARD_SLOT
from zeratul.errors import RevisionError
from zeratul.service.ground.stored_rows import delete_stored

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterator, Mapping
    from contextlib import AbstractContextManager

    from zeratul.dispatch.view import View
    from zeratul.domain.schema import AllowedSubject, Schema
    from zeratul.domain.vocabulary import Vocabulary
    from zeratul.store.interface import Snapshot, Store, StoredRow, WriteTransaction

# LIMIT: rows in memory at a time.
_SCAN_ROWS = 10_000

# One record of ``ChangeSet.rows``.
_CHANGE = struct.Struct(">BIIIIB")
_NOW_THERE = 1


class Orphans:
    """What a change from one schema to another leaves without a place.

    NOTE: only relations that lose a form are scanned: adding to a model reads nothing.
    """

    def __init__(self, before: Schema, after: Schema, application: int) -> None:
        self._application = application
        self._lost: dict[tuple[str, str], set[AllowedSubject]] = {}
        for type_name, definition in before.types.items():
            kept_type = after.types.get(type_name)
            for name, relation in definition.relations.items():
                kept = kept_type.relations.get(name) if kept_type else None
                lost = set(relation.subjects) - set(kept.subjects if kept else ())
                if lost:
                    self._lost[type_name, name] = lost

    def count(self, view: View, store: Store) -> dict[str, int]:
        """Live orphans by form (``document#viewer@user``), as of the view, most first.

        No snapshot is held for long: each chunk is read as of the view's revision.
        """
        revision, now_ms = view.revision, view.snapshot.now_ms
        counts: Counter[str] = Counter()
        for rows in self._scan(
            view.vocabulary, lambda: store.snapshot(revision=revision, now_ms=now_ms)
        ):
            counts.update(_form(view.vocabulary, row) for row in rows)
        return dict(counts.most_common())

    def delete(self, tx: WriteTransaction, store: Store) -> dict[str, int]:
        """Delete them; how many there were, by form, most first."""
        if not self._lost:
            return {}
        vocabulary = tx.snapshot.vocabulary(self._application)
        counts: Counter[str] = Counter()
        for rows in self._scan(vocabulary, lambda: nullcontext(tx.snapshot)):
            counts.update(_form(vocabulary, row) for row in rows)
            delete_stored(tx, store, vocabulary, rows)
        return dict(counts.most_common())

    def may_have_come(self, tx: WriteTransaction, since: int) -> bool:
        """Whether one may have been written after revision ``since``.

        Reading what changed is quick where scanning again, under the writers' lock, is not.
        """
        if not self._lost:
            return False
        slots = tx.snapshot.vocabulary(self._application).slots
        lost = {pair for pairs in self._pairs(slots).values() for pair in pairs}
        return may_have_come(tx, since, lost)

    def _scan(
        self, vocabulary: Vocabulary, open_snapshot: Callable[[], AbstractContextManager[Snapshot]]
    ) -> Iterator[list[StoredRow]]:
        """The orphans in chunks; it goes on behind the last row read, so rows may vanish."""
        slots = vocabulary.slots
        for type_name, pairs in self._pairs(slots).items():
            wanted = {slot for slot, _ in pairs}
            after = b""
            while True:
                with open_snapshot() as snapshot:
                    rows = snapshot.scan_type(
                        slots[type_name, SELF], slots=wanted, after=after, limit=_SCAN_ROWS
                    )
                if not rows:
                    break
                after = rows[-1].position
                yield [row for row in rows if (row.slot, row.subject_slot) in pairs]

    def _pairs(self, slots: Mapping[tuple[str, str], int]) -> dict[str, set[tuple[int, int]]]:
        """(slot, subject slot) of what is lost, by type; without numbers there are no rows."""
        by_type: dict[str, set[tuple[int, int]]] = {}
        for (type_name, name), forms in self._lost.items():
            for form in forms:
                last = WILDCARD_SLOT if form.wildcard else form.relation
                slot, subject_slot = slots.get((type_name, name)), slots.get((form.type, last))
                if slot is not None and subject_slot is not None:
                    by_type.setdefault(type_name, set()).add((slot, subject_slot))
        return by_type


def may_have_come(tx: WriteTransaction, since: int, pairs: Collection[tuple[int, int]]) -> bool:
    """Whether a row of any (slot, subject slot) may have been written after revision ``since``."""
    if tx.effective_revision == tx.revision:
        return True  # By another job of this commit, which no change tells of yet.
    try:
        return any(
            op == _NOW_THERE and (slot, subject_slot) in pairs
            for change in tx.snapshot.changes(since, tx.revision - 1)
            for op, _, slot, subject_slot, _, _ in _CHANGE.iter_unpack(change.rows)
        )
    except RevisionError:
        return True


def _form(vocabulary: Vocabulary, row: StoredRow) -> str:
    type_name, relation = vocabulary.names[row.slot]
    subject_type, last = vocabulary.names[row.subject_slot]
    if last == WILDCARD_SLOT:
        subject = f"{subject_type}:{WILDCARD}"
    else:
        subject = f"{subject_type}#{last}" if last else subject_type
    return f"{type_name}#{relation}@{subject}"

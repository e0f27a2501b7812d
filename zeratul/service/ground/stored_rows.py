"""Stored rows as relationships again, and their deletion."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pyroaring import BitMap

from zeratul.domain.relationship import Relationship
from zeratul.domain.vocabulary import SELF, WILDCARD_SLOT
from zeratul.service.ground.answers import StoredRelationship
from zeratul.store.interface import Outcome, Row

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from zeratul.domain.vocabulary import Vocabulary
    from zeratul.store.interface import HasKey, Snapshot, Store, StoredRow, WriteTransaction


def relationships(
    snapshot: Snapshot, vocabulary: Vocabulary, rows: Sequence[StoredRow]
) -> list[Relationship]:
    """The rows with names, in their order."""
    ids = _ids(snapshot, rows)
    names = vocabulary.names
    found: list[Relationship] = []
    for _, resource, slot, subject_slot, subject, _, expires_at_ms in rows:
        type_name, relation = names[slot]
        subject_type, last = names[subject_slot]
        found.append(
            Relationship(
                type_name,
                ids[resource],
                relation,
                subject_type,
                ids[subject],
                "" if last == WILDCARD_SLOT else last,
                expires_at_ms,
            )
        )
    return found


def stored_relationships(
    snapshot: Snapshot, vocabulary: Vocabulary, rows: Sequence[StoredRow]
) -> list[StoredRelationship]:
    """The rows with names and the times they were made, in their order."""
    times = snapshot.revision_times([row.created for row in rows])
    return [
        StoredRelationship(relationship, created_at_ms)
        for relationship, created_at_ms in zip(
            relationships(snapshot, vocabulary, rows), times, strict=True
        )
    ]


def find_stored(snapshot: Snapshot, rows: Sequence[Row]) -> list[StoredRow | None]:
    """The live row of each relationship, None where it is absent; interns nothing."""
    ends = snapshot.nodes(
        [(row.resource_type, row.resource_id) for row in rows]
        + [(row.subject_type, row.subject_id) for row in rows]
    )
    resources, subjects = ends[: len(rows)], ends[len(rows) :]
    keys: dict[int, HasKey] = {}
    for index, (row, resource, subject) in enumerate(zip(rows, resources, subjects, strict=True)):
        if resource is not None and subject is not None:
            keys[index] = (resource, row.slot, row.subject_slot, subject)
    found = dict(zip(keys, snapshot.rows(list(keys.values())), strict=True))
    return [found.get(index) for index in range(len(rows))]


def delete_stored(
    tx: WriteTransaction, store: Store, vocabulary: Vocabulary, rows: Sequence[StoredRow]
) -> int:
    """Delete rows a scan of the transaction found; how many."""
    if not rows:
        return 0
    names, slots = vocabulary.names, vocabulary.slots
    ids = _ids(tx.snapshot, rows)
    deletes = [
        Row(
            slots[names[row.slot][0], SELF],
            ids[row.resource],
            row.slot,
            row.subject_slot,
            slots[names[row.subject_slot][0], SELF],
            ids[row.subject],
        )
        for row in rows
    ]
    applied = tx.apply(store.prepare(vocabulary.application, (), deletes))
    return applied.deletes.count(Outcome.DELETED)


def _ids(snapshot: Snapshot, rows: Sequence[StoredRow]) -> Mapping[int, str]:
    # Each name once and in ascending order: that is how the store reads them fastest.
    nodes = list(BitMap([row.resource for row in rows]) | BitMap([row.subject for row in rows]))
    return dict(zip(nodes, snapshot.ids(nodes), strict=True))

"""Filters of stored relationships: which part of the store they name, and reading it in order."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from zeratul.domain.scopes import GRANT_TYPE
from zeratul.domain.vocabulary import SELF, WILDCARD_SLOT
from zeratul.errors import MalformedError, UnknownNameError
from zeratul.service.ground.validation import (
    is_reserved,
    require_id,
    require_subject,
    require_type,
)

if TYPE_CHECKING:
    from collections.abc import Mapping

    from zeratul.domain.relationship import SubjectRef
    from zeratul.domain.schema import Schema
    from zeratul.domain.vocabulary import Vocabulary
    from zeratul.service.relationships.relationship_answers import RelationshipFilter
    from zeratul.store.interface import Snapshot, StoredRow


class Selection(NamedTuple):
    """A validated filter."""

    wanted: RelationshipFilter

    def read(
        self, snapshot: Snapshot, vocabulary: Vocabulary, *, after: bytes, limit: int
    ) -> list[StoredRow]:
        """Matching rows, at most ``limit``, behind position ``after``, in the store's order."""
        wanted, slots = self.wanted, vocabulary.slots
        named = resource = None
        if wanted.subject is not None:
            named = _subject(snapshot, slots, wanted.subject)
            if named is None:
                return []
        if wanted.resource_type is not None and wanted.resource_id is not None:
            resource = _node(snapshot, slots, wanted.resource_type, wanted.resource_id)
            if resource is None:
                return []
        if named is None:
            if resource is None:
                return []
            only = None if wanted.relation is None else _relation_slots(slots, wanted)
            return snapshot.scan_resource(resource, slots=only, after=after, limit=limit)
        relations = _relation_slots(slots, wanted)
        subject, subject_slot = named
        if resource is None:
            return snapshot.scan_subject(
                subject, subject_slot=subject_slot, slots=relations, after=after, limit=limit
            )
        keys = [(resource, slot, subject_slot, subject) for slot in sorted(relations or ())]
        # One row for each relation at most: its slot is position enough.
        placed = [
            row._replace(position=row.slot.to_bytes(4, "big"))
            for row in snapshot.rows(keys)
            if row is not None
        ]
        return [row for row in placed if row.position > after][:limit]


def select(schema: Schema, wanted: RelationshipFilter) -> Selection:
    """The filter, validated.

    Raises:
        MalformedError: neither a subject nor a resource with its id, or a bad id.
        UnknownNameError: a type or relation that is not declared.
    """
    has_resource = wanted.resource_type is not None and wanted.resource_id is not None
    if wanted.subject is None and not has_resource:
        raise MalformedError(
            "a filter needs a subject, or a resource with its id",
            field="filter",
            help="give `userId` or `subject`, or `resource` with `resourceId`",
        )
    if wanted.resource_id is not None and wanted.resource_type is None:
        raise MalformedError("`resourceId` without `resource`", field="resource")
    if wanted.subject is not None:
        require_subject(schema, wanted.subject)
    if wanted.resource_type is not None:
        require_type(schema, wanted.resource_type, "resource")
        if wanted.relation is not None:
            schema.relation(wanted.resource_type, wanted.relation, field="relation")
    elif wanted.relation is not None:
        _require_known_anywhere(schema, wanted.relation)
    if wanted.resource_id is not None:
        require_id(wanted.resource_id, "resourceId")
    return Selection(wanted)


def _node(
    snapshot: Snapshot, slots: Mapping[tuple[str, str], int], type_name: str, object_id: str
) -> int | None:
    type_slot = slots.get((type_name, SELF))
    return None if type_slot is None else snapshot.node(type_slot, object_id)


def _subject(
    snapshot: Snapshot, slots: Mapping[tuple[str, str], int], subject: SubjectRef
) -> tuple[int, int] | None:
    """Node and subject slot; None where no row can name the subject."""
    node = _node(snapshot, slots, subject.type, subject.id)
    slot = slots.get((subject.type, WILDCARD_SLOT if subject.is_wildcard else subject.relation))
    return None if node is None or slot is None else (node, slot)


def _relation_slots(
    slots: Mapping[tuple[str, str], int], wanted: RelationshipFilter
) -> set[int] | None:
    """Slots the filter names; None for all, never those of the server's own types."""
    type_name, relation = wanted.resource_type, wanted.relation
    if type_name is None and relation is None and (GRANT_TYPE, SELF) not in slots:
        return None
    return {
        slot
        for (slot_type, slot_relation), slot in slots.items()
        if slot_relation not in (SELF, WILDCARD_SLOT)
        and type_name in (None, slot_type)
        and relation in (None, slot_relation)
        and not is_reserved(slot_type)
    }


def _require_known_anywhere(schema: Schema, relation: str) -> None:
    known = {
        name
        for type_name, definition in schema.types.items()
        if not is_reserved(type_name)
        for name in definition.relations
    }
    if relation not in known:
        raise UnknownNameError("relation", relation, known, field="relation")

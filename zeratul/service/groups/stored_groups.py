"""How groups are stored: relationships ``group:id#member@…``, and a document with the name.

Everything here reads one snapshot, a transaction's own included; writing is the caller's.
"""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Any, NamedTuple

import orjson

from zeratul.domain.relationship import RESERVED_TYPE_MARK, WILDCARD
from zeratul.domain.scopes import GRANT_TYPE, parse_grant
from zeratul.domain.vocabulary import SELF, WILDCARD_SLOT
from zeratul.errors import ConflictError, InUseError, MalformedError, NotFoundError
from zeratul.service.ground.directory import secret_digest
from zeratul.service.ground.stored_rows import relationships
from zeratul.service.ground.validation import require_id
from zeratul.service.groups.group_answers import Group

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from zeratul.dispatch.view import View
    from zeratul.domain.schema import Relation, Schema
    from zeratul.domain.vocabulary import Vocabulary
    from zeratul.store.interface import Row, Snapshot, StoredRow, WriteTransaction

GROUP_TYPE = "group"
MEMBER = "member"
GROUP_KIND = "group"
"""Kind of the documents that hold names; they are found by a digest, because ids may be long."""

# LIMIT: rows in memory at a time.
_CHUNK_ROWS = 10_000
# LIMIT: documents looked at for one page of groups; such a page may be short, its cursor goes on.
_WALKED_MAX = 10_000
# LIMIT: members an audit event names; it counts them all.
_AUDITED_MEMBERS_MAX = 100
# Where a list of groups stands: among those with rows, or among those with a document alone.
_BY_ROWS, _BY_DOCUMENT = b"r", b"d"


class GroupForm(NamedTuple):
    """What an application's schema says of groups, in numbers.

    Attributes:
        application: its number.
        type_slot, member_slot: of ``group`` and ``group#member``.
        subject_slots: forms of subject a member can have.
        schema_revision: of the schema it was taken from.
    """

    application: int
    type_slot: int
    member_slot: int
    subject_slots: tuple[int, ...]
    schema_revision: int


def group_form(view: View, group_id: str | None = None) -> GroupForm:
    """The numbers of ``group#member``.

    Raises:
        ConflictError: the model has another idea of groups.
        MalformedError: a group id that is none.
    """
    relation = _member_relation(view.schema)
    if group_id is not None:
        require_id(group_id, "groupId")
        if group_id == WILDCARD:
            raise MalformedError("a group id must not be `*`", field="groupId")
    slots = view.vocabulary.slots
    return GroupForm(
        application=view.application,
        type_slot=slots[GROUP_TYPE, SELF],
        member_slot=slots[GROUP_TYPE, MEMBER],
        subject_slots=tuple(
            slots[form.type, WILDCARD_SLOT if form.wildcard else form.relation]
            for form in relation.subjects
        ),
        schema_revision=view.schema_revision,
    )


def _member_relation(schema: Schema) -> Relation:
    definition = schema.types.get(GROUP_TYPE)
    relation = definition.relations.get(MEMBER) if definition else None
    if relation is None:
        raise ConflictError(
            "the model's type `group` has no relation `member`",
            help="give it one, or leave `group` out of the model to get the built-in type",
        )
    if not relation.subjects:
        raise ConflictError(
            "`group#member` of the model is computed: nobody can be made a member",
            help="let `group#member` take subjects directly",
        )
    return relation


# --- One group.


def find_group(snapshot: Snapshot, form: GroupForm, group_id: str) -> Group | None:
    """The group with the number of its members, None where nothing speaks of it."""
    document = _document(snapshot, form.application, group_id)
    node = snapshot.node(form.type_slot, group_id)
    if node is None:
        return _group(group_id, document, 0) if document else None
    if document is None and not snapshot.scan_resource(node, limit=1):
        return None
    keys = [(node, form.member_slot, subject_slot) for subject_slot in form.subject_slots]
    return _group(group_id, document, sum(map(len, snapshot.subjects(keys))))


def require_group(snapshot: Snapshot, form: GroupForm, group_id: str) -> Group:
    """The group.

    Raises:
        NotFoundError: nothing speaks of it.
    """
    found = find_group(snapshot, form, group_id)
    if found is None:
        raise NotFoundError(f"there is no group `{group_id[:128]}`")
    return found


def put_group(tx: WriteTransaction, form: GroupForm, group_id: str, name: str | None) -> None:
    """Write the group's document."""
    found = _document(tx.snapshot, form.application, group_id) or {}
    document = {
        "id": group_id,
        "name": name,
        "createdAtMs": found.get("createdAtMs", tx.now_ms),
        "updatedAtMs": tx.now_ms,
        # A list of groups goes on at the revision it began with.
        "createdRevision": found.get("createdRevision", tx.revision),
    }
    body = orjson.dumps(document)
    tx.put_document(form.application, GROUP_KIND, _document_id(group_id), body)


def forget_group(tx: WriteTransaction, form: GroupForm, group_id: str) -> None:
    """Remove the group's document, if there is one."""
    tx.delete_document(form.application, GROUP_KIND, _document_id(group_id))


def has_document(snapshot: Snapshot, form: GroupForm, group_id: str) -> bool:
    """Whether the group is there by a document, with or without a name."""
    return _document(snapshot, form.application, group_id) is not None


def _document_id(group_id: str) -> str:
    return secret_digest(group_id).hex()


def _document(snapshot: Snapshot, application: int, group_id: str) -> dict[str, Any] | None:
    body = snapshot.document(application, GROUP_KIND, _document_id(group_id))
    if body is None:
        return None
    document: dict[str, Any] = orjson.loads(body)
    return document


def _group(group_id: str, document: dict[str, Any] | None, members: int | None = None) -> Group:
    found = document or {}
    return Group(
        id=group_id,
        name=found.get("name"),
        members=members,
        created_at_ms=found.get("createdAtMs"),
        updated_at_ms=found.get("updatedAtMs"),
    )


# --- Lists.


def some_groups(
    snapshot: Snapshot, form: GroupForm, position: bytes, size: int
) -> tuple[list[Group], bytes | None]:
    """At most ``size`` groups behind a position (empty: the start), and the position behind them.

    First those with rows at the snapshot's revision, in the order of their ids; then those that
    are there by their document alone. Whether there are rows at a revision never changes: no group
    is in both parts, whatever is written between two pages.
    """
    groups: list[Group] = []
    application = form.application
    if not position.startswith(_BY_DOCUMENT):
        rows = snapshot.scan_type(
            form.type_slot, after=position[1:], limit=size + 1, one_each=True
        )
        ids = snapshot.ids([row.resource for row in rows[:size]])
        groups = [_group(each, _document(snapshot, application, each)) for each in ids]
        if len(rows) > size:
            return groups, _BY_ROWS + rows[size - 1].position
        position = _BY_DOCUMENT
    after, walked = position[1:].decode(), 0
    while walked < _WALKED_MAX:
        documents = snapshot.documents(application, GROUP_KIND, after=after, limit=1_000)
        if not documents:
            return groups, None
        walked += len(documents)
        for document_id, body in documents:
            document = orjson.loads(body)
            if document["createdRevision"] <= snapshot.revision and not _has_rows(
                snapshot, form, document["id"]
            ):
                if len(groups) == size:
                    return groups, _BY_DOCUMENT + after.encode()
                groups.append(_group(document["id"], document))
            after = document_id
    return groups, _BY_DOCUMENT + after.encode()


def _has_rows(snapshot: Snapshot, form: GroupForm, group_id: str) -> bool:
    node = snapshot.node(form.type_slot, group_id)
    return node is not None and bool(snapshot.scan_resource(node, limit=1))


def some_members(
    snapshot: Snapshot, form: GroupForm, group_id: str, *, after: bytes = b"", limit: int
) -> list[StoredRow]:
    """Rows of members behind a position."""
    node = snapshot.node(form.type_slot, group_id)
    if node is None:
        return []
    return snapshot.scan_resource(node, slots={form.member_slot}, after=after, limit=limit)


def all_members(snapshot: Snapshot, form: GroupForm, group_id: str) -> Iterator[list[StoredRow]]:
    """Rows of all members, in chunks."""
    after = b""
    while rows := some_members(snapshot, form, group_id, after=after, limit=_CHUNK_ROWS):
        after = rows[-1].position
        yield rows


# --- What goes with a group.


def own_rows(snapshot: Snapshot, node: int, most: int) -> Iterator[list[StoredRow]]:
    """What is stored on the group, ``most`` in all; rows already given may vanish."""
    after = b""
    while most > 0:
        rows = snapshot.scan_resource(node, after=after, limit=min(_CHUNK_ROWS, most))
        if not rows:
            return
        after = rows[-1].position
        most -= len(rows)
        yield rows


def uses(snapshot: Snapshot, node: int, most: int) -> Iterator[list[StoredRow]]:
    """What names the group as a subject, in whatever form, but for the group itself."""
    after = b""
    while most > 0:
        rows = snapshot.scan_subject(node, after=after, limit=min(_CHUNK_ROWS, most))
        if not rows:
            return
        after = rows[-1].position
        most -= len(rows)
        yield [row for row in rows if row.resource != node]


def require_unused(
    snapshot: Snapshot, vocabulary: Vocabulary, node: int, group_id: str, most: int
) -> None:
    """Refuse where something names the group.

    Args:
        snapshot, vocabulary: where to look.
        node, group_id: the group.
        most: how many rows to count at most.

    Raises:
        InUseError: relationships counted by form; roles it holds apart.
    """
    found: dict[str, Counter[str]] = {}
    for rows in uses(snapshot, node, most):
        grants = [row.resource for row in rows if vocabulary.names[row.slot][0] == GRANT_TYPE]
        for grant in snapshot.ids(grants):
            found.setdefault("roles", Counter())[parse_grant(grant).role] += 1
        for row in rows:
            type_name, relation = vocabulary.names[row.slot]
            if RESERVED_TYPE_MARK not in type_name:
                found.setdefault("relationships", Counter())[f"{type_name}#{relation}"] += 1
    if found:
        total = sum(counts.total() for counts in found.values())
        times = "once" if total == 1 else f"{total:,} times"
        raise InUseError(f"the group `{group_id[:128]}` is named as a subject {times}", found)


# --- Audit.


def event_of(group: Group) -> dict[str, Any]:
    """A group as an audit event shows it."""
    return {"name": group.name, "members": group.members}


def written_subjects(rows: Sequence[Row], vocabulary: Vocabulary, name: str) -> dict[str, Any]:
    """Subjects that one call wrote or deleted, for an audit event."""
    some = [_subject(row, vocabulary) for row in rows[:_AUDITED_MEMBERS_MAX]]
    return {name: some, f"{name}Total": len(rows)} if rows else {}


def stored_subjects(
    snapshot: Snapshot, vocabulary: Vocabulary, rows: Sequence[StoredRow], name: str
) -> dict[str, Any]:
    """Subjects of rows that were stored, for an audit event."""
    some = relationships(snapshot, vocabulary, rows[:_AUDITED_MEMBERS_MAX])
    if not rows:
        return {}
    return {name: [str(each.subject) for each in some], f"{name}Total": len(rows)}


def _subject(row: Row, vocabulary: Vocabulary) -> str:
    type_name, last = vocabulary.names[row.subject_slot]
    suffix = f"#{last}" if last not in (SELF, WILDCARD_SLOT) else ""
    return f"{type_name}:{row.subject_id}{suffix}"

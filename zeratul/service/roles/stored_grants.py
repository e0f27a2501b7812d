"""How role assignments are stored (``domain.scopes``), and their ids.

One row for each assignment; for each (role, scope) that anybody holds, one row from the scope and
one from the role. Those two go with the last holder, so that neither a scope nor a role lists what
nobody holds; names of scopes stay known, like every name.
"""

from __future__ import annotations

import base64
import binascii
import struct
from collections import Counter
from typing import TYPE_CHECKING, NamedTuple

from pyroaring import BitMap

from zeratul.domain.relationship import SubjectRef
from zeratul.domain.schema import AllowedSubject
from zeratul.domain.scopes import (
    GRANT_TYPE,
    GRANTS,
    HOLDER,
    INNER,
    ROLE_TYPE,
    SCOPE_TYPE,
    grant_id,
    inner_scopes,
    parse_grant,
)
from zeratul.domain.vocabulary import SELF
from zeratul.errors import SubjectNotAllowedError
from zeratul.service.ground.stored_rows import delete_stored
from zeratul.service.roles.role_answers import Assignment
from zeratul.store.interface import Row

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from zeratul.dispatch.view import View
    from zeratul.domain.catalog import Catalog
    from zeratul.domain.scopes import Grant, Scope
    from zeratul.domain.vocabulary import Vocabulary
    from zeratul.service.ground.foundation import Foundation
    from zeratul.store.interface import Snapshot, StoredRow, WriteTransaction

# LIMIT: rows in memory at a time.
CHUNK_ROWS = 10_000

_USER = AllowedSubject("user")
_ID_PREFIX = "asg_"
_ID_LAYOUT = struct.Struct(">III")


class GrantForm(NamedTuple):
    """The server's own types in one application, in numbers.

    Attributes:
        application: its number.
        vocabulary: all its slots.
        holders: forms of subject a role may be assigned to -> (subject slot, type slot).
        catalog: says how renamed resources are stored in paths.
        schema_revision: of the schema it was taken from.
    """

    application: int
    vocabulary: Vocabulary
    holders: dict[AllowedSubject, tuple[int, int]]
    catalog: Catalog | None
    schema_revision: int
    grant_type: int
    scope_type: int
    role_type: int
    holder: int
    scope_grants: int
    role_grants: int
    inner: int

    @property
    def userset(self) -> int:
        """Subject slot of ``⟨grant⟩:…#holder``."""
        return self.holder

    @property
    def user(self) -> int | None:
        """Subject slot of plain users, where a role may be assigned to them."""
        found = self.holders.get(_USER)
        return found[0] if found else None


def grant_form(view: View) -> GrantForm | None:
    """The numbers; None as long as the application never had a role."""
    vocabulary = view.vocabulary
    slots = vocabulary.slots
    definition = view.schema.types.get(GRANT_TYPE)
    if definition is None:
        return None
    return GrantForm(
        application=vocabulary.application,
        vocabulary=vocabulary,
        holders={
            form: (slots[form.type, form.relation], slots[form.type, SELF])
            for form in definition.relations[HOLDER].subjects
        },
        catalog=view.catalog,
        schema_revision=view.schema_revision,
        grant_type=slots[GRANT_TYPE, SELF],
        scope_type=slots[SCOPE_TYPE, SELF],
        role_type=slots[ROLE_TYPE, SELF],
        holder=slots[GRANT_TYPE, HOLDER],
        scope_grants=slots[SCOPE_TYPE, GRANTS],
        role_grants=slots[ROLE_TYPE, GRANTS],
        inner=slots[SCOPE_TYPE, INNER],
    )


# --- Rows to write and delete.


def holder_row(
    form: GrantForm, holder: SubjectRef, grant: Grant, expires_at_ms: int | None, *, field: str
) -> Row:
    """The row of one assignment.

    Raises:
        SubjectNotAllowedError: a subject of this form can not have a role.
    """
    wanted = AllowedSubject(holder.type, holder.relation, wildcard=holder.is_wildcard)
    numbers = form.holders.get(wanted)
    if numbers is None:
        allowed = ", ".join(f"`{each}`" for each in form.holders)
        raise SubjectNotAllowedError(
            f"a role can not be assigned to `{wanted}`",
            field=field,
            help=f"it can be to {allowed}",
        )
    subject_slot, type_slot = numbers
    name = grant_id(grant.role, grant.scope.id)
    return Row(
        form.grant_type, name, form.holder, subject_slot, type_slot, holder.id, expires_at_ms
    )


def index_rows(form: GrantForm, snapshot: Snapshot, grants: Iterable[Grant]) -> list[Row]:
    """The rows by which grants are found: from their scopes and roles, and along their paths."""
    rows: list[Row] = []
    beginnings: dict[str, None] = {}
    for grant in dict.fromkeys(grants):
        scope_id = grant.scope.id
        end = (form.userset, form.grant_type, grant_id(grant.role, scope_id))
        rows.append(Row(form.scope_type, scope_id, form.scope_grants, *end))
        rows.append(Row(form.role_type, grant.role, form.role_grants, *end))
        beginnings |= dict.fromkeys(inner_scopes(grant.scope.path))
    names = list(beginnings)
    # All they do is make names known, and a name once known stays known.
    nodes = snapshot.nodes([(form.scope_type, name) for name in names])
    self_slot = form.scope_type
    rows += (
        Row(form.scope_type, name, form.inner, self_slot, form.scope_type, name)
        for name, node in zip(names, nodes, strict=True)
        if node is None
    )
    return rows


def drop_unheld(
    tx: WriteTransaction, base: Foundation, form: GrantForm, grants: Iterable[int]
) -> None:
    """Take grants that nobody holds any more out of what their scopes and roles list."""
    snapshot = tx.snapshot
    gone = [
        node
        for node in set(grants)
        if not snapshot.scan_resource(node, slots=(form.holder,), limit=1)
    ]
    _delete_index_rows(tx, base, form, gone)


def drop_role(tx: WriteTransaction, base: Foundation, form: GrantForm, role_id: str) -> int:
    """Take a role away from everyone who has it; from how many."""
    return drop_grants(tx, base, form, grants_of_role(tx.snapshot, form, role_id))


def drop_grants(tx: WriteTransaction, base: Foundation, form: GrantForm, grants: BitMap) -> int:
    """Take grants away from everyone who holds them; how many assignments went."""
    count = 0
    for rows in holder_chunks(tx.snapshot, form, grants):
        count += delete_stored(tx, base.store, form.vocabulary, rows)
    _delete_index_rows(tx, base, form, list(grants))
    return count


def _delete_index_rows(
    tx: WriteTransaction, base: Foundation, form: GrantForm, grants: Sequence[int]
) -> None:
    if not grants:
        return
    deletes: list[Row] = []
    for name in tx.snapshot.ids(sorted(grants)):
        role, scope = parse_grant(name)
        end = (form.userset, form.grant_type, name)
        deletes.append(Row(form.scope_type, scope.id, form.scope_grants, *end))
        deletes.append(Row(form.role_type, role, form.role_grants, *end))
    tx.apply(base.store.prepare(form.application, (), deletes))


# --- Sets of grants.


def grants_of_role(snapshot: Snapshot, form: GrantForm, role_id: str) -> BitMap:
    """Grants of a role, on any scope."""
    return _grants(snapshot, form, form.role_type, role_id, form.role_grants)


def grants_of_scope(snapshot: Snapshot, form: GrantForm, scope: Scope) -> BitMap:
    """Grants of any role on a scope."""
    return _grants(snapshot, form, form.scope_type, scope.id, form.scope_grants)


def grants_of_scopes(snapshot: Snapshot, form: GrantForm, scopes: Iterable[int]) -> BitMap:
    """Grants of any role on any of the scopes, given as nodes."""
    keys = [(scope, form.scope_grants, form.userset) for scope in scopes]
    return BitMap.union(BitMap(), *snapshot.subjects(keys))


def _grants(snapshot: Snapshot, form: GrantForm, type_slot: int, name: str, slot: int) -> BitMap:
    node = snapshot.node(type_slot, name)
    if node is None:
        return BitMap()
    return snapshot.subjects([(node, slot, form.userset)])[0]


def subject_numbers(
    snapshot: Snapshot, form: GrantForm, subject: SubjectRef
) -> tuple[int, int] | None:
    """Node and subject slot of a holder; None where no assignment can name it."""
    numbers = form.holders.get(
        AllowedSubject(subject.type, subject.relation, wildcard=subject.is_wildcard)
    )
    if numbers is None:
        return None
    node = snapshot.node(numbers[1], subject.id)
    return None if node is None else (node, numbers[0])


def grants_of_subject(snapshot: Snapshot, form: GrantForm, node: int, subject_slot: int) -> BitMap:
    """Grants assigned to a subject itself."""
    return snapshot.resources([(node, subject_slot, form.holder)])[0]


def count_users(snapshot: Snapshot, form: GrantForm, grants: BitMap) -> int:
    """How many users hold any of the grants, assigned to them directly."""
    if form.user is None or not grants:
        return 0
    return len(snapshot.subjects_of_all(grants, form.holder, form.user))


def count_holders(snapshot: Snapshot, form: GrantForm, grants: BitMap) -> dict[str, int]:
    """Form of subject -> how many assignments of the grants are to such subjects."""
    counts: Counter[str] = Counter()
    for holder, (subject_slot, _) in form.holders.items():
        for begin in range(0, len(grants), CHUNK_ROWS):
            keys = [
                (grant, form.holder, subject_slot) for grant in grants[begin : begin + CHUNK_ROWS]
            ]
            counts[str(holder)] += sum(map(len, snapshot.subjects(keys)))
    return {name: count for name, count in counts.items() if count}


# --- Assignments.


def holder_chunks(
    snapshot: Snapshot, form: GrantForm, grants: Iterable[int]
) -> Iterator[list[StoredRow]]:
    """The assignments of grants, in chunks; those already given may be deleted meanwhile."""
    chunk: list[StoredRow] = []
    for grant in grants:
        after = b""
        while True:
            most = CHUNK_ROWS - len(chunk)
            rows = snapshot.scan_resource(grant, slots=(form.holder,), after=after, limit=most)
            chunk += rows
            if len(chunk) < CHUNK_ROWS:
                break
            after = rows[-1].position
            yield chunk
            chunk = []
    if chunk:
        yield chunk


def stored_scope(scope: Scope, catalog: Catalog | None) -> Scope:
    """A scope as people name it, as it is stored: renaming a resource moves none of its paths."""
    if catalog is None or not scope.path:
        return scope
    first, *rest = scope.path
    return scope._replace(path=(catalog.segment(first), *rest))


def shown_scope(scope: Scope, catalog: Catalog | None) -> Scope:
    """A stored scope, as people name it today."""
    if catalog is None or not scope.path:
        return scope
    first, *rest = scope.path
    return scope._replace(path=(catalog.named(first), *rest))


def assignments(
    snapshot: Snapshot, form: GrantForm, rows: Sequence[StoredRow]
) -> list[Assignment]:
    """The rows with names and the times they were made, in their order."""
    nodes = sorted({row.resource for row in rows} | {row.subject for row in rows})
    ids = dict(zip(nodes, snapshot.ids(nodes), strict=True)) if nodes else {}
    times = snapshot.revision_times([row.created for row in rows])
    names = form.vocabulary.names
    found: list[Assignment] = []
    for row, created_at_ms in zip(rows, times, strict=True):
        role, scope = parse_grant(ids[row.resource])
        subject_type, relation = names[row.subject_slot]
        found.append(
            Assignment(
                assignment_id(row),
                SubjectRef(subject_type, ids[row.subject], relation),
                role,
                shown_scope(scope, form.catalog),
                row.expires_at_ms,
                created_at_ms,
            )
        )
    return found


def assignment_id(row: StoredRow) -> str:
    """The id of a stored assignment: its row in numbers."""
    packed = _ID_LAYOUT.pack(row.resource, row.subject_slot, row.subject)
    return _ID_PREFIX + base64.urlsafe_b64encode(packed).decode("ascii")


def find_assignment(snapshot: Snapshot, form: GrantForm, text: str) -> StoredRow | None:
    """The stored assignment of an id; None where there is none."""
    # INVARIANT: the slot is this application's own, so another one's row is never found.
    try:
        packed = base64.b64decode(
            text.removeprefix(_ID_PREFIX).encode("ascii"), altchars=b"-_", validate=True
        )
        grant, subject_slot, subject = _ID_LAYOUT.unpack(packed)
    except (ValueError, binascii.Error, struct.error):
        return None
    if not text.startswith(_ID_PREFIX):
        return None
    return snapshot.rows([(grant, form.holder, subject_slot, subject)])[0]

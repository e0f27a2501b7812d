"""Lists of role assignments, as of one revision.

Theory of operation: a filter names sets of grants: those of a role, those of a scope, those a
subject holds. Their intersection is small or wanted whole, and in the order of its numbers the
assignments of each grant follow. Nothing is scanned that the filter does not name.
"""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING, NamedTuple

from pyroaring import BitMap

from zeratul.domain.paths import canonical
from zeratul.domain.scopes import Scope
from zeratul.errors import MalformedError, ValidationError
from zeratul.service.ground.answers import FIRST_PAGE, Page
from zeratul.service.ground.cursors import Cursor, query_digest
from zeratul.service.ground.labels import require_tenant
from zeratul.service.ground.validation import require_subject
from zeratul.service.roles.role_answers import Assignment, AssignmentFilter, RowPage
from zeratul.service.roles.stored_grants import (
    GrantForm,
    assignments,
    grant_form,
    grants_of_role,
    grants_of_scope,
    grants_of_subject,
    stored_scope,
    subject_numbers,
)
from zeratul.service.roles.stored_roles import require_role

if TYPE_CHECKING:
    from zeratul.dispatch.view import View
    from zeratul.service.ground.caller import Caller
    from zeratul.service.ground.foundation import Foundation
    from zeratul.store.interface import Snapshot, StoredRow

# LIMIT: grants looked at for one page: those whose last assignment expired give no row. A page
# that comes to more may be short; its cursor goes on.
_EXAMINED_MAX = 10_000

_GRANT = struct.Struct(">I")


class _Part(NamedTuple):
    """Some rows and where more follow; None: no more."""

    rows: list[StoredRow]
    following: bytes | None


class AssignmentLists:
    """Reading use cases around role assignments."""

    def __init__(self, foundation: Foundation) -> None:
        self._base = foundation

    def list(
        self,
        caller: Caller,
        wanted: AssignmentFilter,
        tenant_id: str | None = None,
        *,
        page: Page = FIRST_PAGE,
        at_least: str | None = None,
    ) -> RowPage[Assignment]:
        """A page of assignments, as of the first page's revision.

        Args:
            caller: who asks; one of a tenant sees what is assigned in it.
            wanted: which; without anything all of them.
            tenant_id: the tenant of the call's path, if it has one.
            page: which part.
            at_least: a zookie.

        Raises:
            ForbiddenError, TenantScopeError: the caller may not read these.
            NotFoundError: another tenant than the caller's.
            InputError: an unknown role or name, a path, tenant id, page size or cursor that is
                none.
            RevisionError: the cursor's revision was collected, or ``at_least`` can not be met.
        """
        self._enter(caller, "assignments:read", tenant_id)
        scope = _scope(caller, wanted, tenant_id)
        base = self._base
        size = base.page_size(page)
        query = query_digest(
            "assignments", caller.application, caller.tenant_id, tenant_id, wanted
        )
        cursor = Cursor.decode(page.cursor, base.cursor_secret, query) if page.cursor else None
        with base.pinned(caller, cursor) if cursor else base.view(caller) as view:
            base.require_fresh(view, at_least)
            if cursor is None:
                # A list that goes on was valid when it began; the role may have gone since.
                _require_known(view, caller, wanted)
            after = cursor.position if cursor else b""
            rows, following = _page(view, wanted, scope, after, size)
            position = None
            if following is not None:
                position = Cursor(
                    query, view.revision, view.snapshot.now_ms, view.schema_revision, following
                ).encode(base.cursor_secret)
            return RowPage(
                rows=rows, next_cursor=position, page_size=size, zookie=base.view_zookie(view)
            )

    def _enter(self, caller: Caller, permission: str, tenant_id: str | None) -> None:
        caller.require(permission)
        if tenant_id is not None:
            require_tenant(tenant_id)
            caller.enter_tenant(tenant_id)


def _scope(caller: Caller, wanted: AssignmentFilter, tenant_id: str | None) -> Scope | None:
    """The scope a filter names; None for any."""
    tenant = tenant_id if tenant_id is not None else wanted.tenant_id
    if tenant is not None:
        require_tenant(tenant)
    if wanted.path is not None:
        if tenant is not None:
            raise ValidationError({"scope": ["send `tenantId` or `scope`, not both"]})
        caller.require_whole_application("assignments on a path")
        if not wanted.path:
            raise MalformedError("must not be empty; the whole application is `*`", field="scope")
        return Scope(None, canonical(wanted.path, field="scope"))
    tenant = caller.question_tenant(tenant)
    return None if tenant is None else Scope(tenant, ())


def _require_known(view: View, caller: Caller, wanted: AssignmentFilter) -> None:
    if wanted.role_id is not None:
        require_role(view.snapshot, caller, wanted.role_id)
    if wanted.subject is not None:
        require_subject(view.schema, wanted.subject)


def _page(
    view: View, wanted: AssignmentFilter, scope: Scope | None, after: bytes, size: int
) -> tuple[list[Assignment], bytes | None]:
    snapshot = view.snapshot
    form = grant_form(view)
    if form is None:
        return [], None
    if wanted.subject is None and wanted.role_id is None and scope is None:
        part = _all(snapshot, form, after, size)
    else:
        part = _chosen(snapshot, form, wanted, scope, after, size)
    return assignments(snapshot, form, part.rows), part.following


def _all(snapshot: Snapshot, form: GrantForm, after: bytes, size: int) -> _Part:
    """Every assignment of the application."""
    rows = snapshot.scan_type(form.grant_type, slots=(form.holder,), after=after, limit=size + 1)
    return _Part(rows[:size], rows[size - 1].position if len(rows) > size else None)


def _chosen(
    snapshot: Snapshot,
    form: GrantForm,
    wanted: AssignmentFilter,
    scope: Scope | None,
    after: bytes,
    size: int,
) -> _Part:
    sets: list[BitMap] = []
    if wanted.role_id is not None:
        sets.append(grants_of_role(snapshot, form, wanted.role_id))
    if scope is not None:
        sets.append(grants_of_scope(snapshot, form, stored_scope(scope, form.catalog)))
    subject = None
    if wanted.subject is not None:
        subject = subject_numbers(snapshot, form, wanted.subject)
        if subject is None:
            return _Part([], None)
        sets.append(grants_of_subject(snapshot, form, *subject))
    grants = BitMap.intersection(*sets) if len(sets) > 1 else sets[0]
    if subject is not None:
        return _of_subject(snapshot, form, grants, subject, after, size)
    return _of_grants(snapshot, form, grants, after, size)


def _of_subject(
    snapshot: Snapshot,
    form: GrantForm,
    grants: BitMap,
    subject: tuple[int, int],
    after: bytes,
    size: int,
) -> _Part:
    """One assignment at most of each grant."""
    node, slot = subject
    begin = grants.rank(_GRANT.unpack(after)[0]) if after else 0
    chosen = list(grants[begin : begin + size])
    rows = snapshot.rows([(grant, form.holder, slot, node) for grant in chosen])
    more = begin + len(chosen) < len(grants)
    return _Part(
        [row for row in rows if row is not None], _GRANT.pack(chosen[-1]) if more else None
    )


def _of_grants(
    snapshot: Snapshot, form: GrantForm, grants: BitMap, after: bytes, size: int
) -> _Part:
    """The assignments of one grant after the other."""
    first, position = 0, b""
    if after:
        first, position = _GRANT.unpack_from(after)[0], after[_GRANT.size :]
    rows: list[StoredRow] = []
    for examined, grant in enumerate(grants.iter_equal_or_larger(first)):
        if examined == _EXAMINED_MAX:
            return _Part(rows, _GRANT.pack(grant))
        behind = position if grant == first else b""
        rows += snapshot.scan_resource(
            grant, slots=(form.holder,), after=behind, limit=size + 1 - len(rows)
        )
        if len(rows) > size:
            last = rows[size - 1]
            return _Part(rows[:size], _GRANT.pack(last.resource) + last.position)
    return _Part(rows, None)

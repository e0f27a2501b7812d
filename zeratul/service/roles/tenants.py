"""Tenants: never registered, known by what is assigned in them; their members (contract §3).

A member of a tenant is a user to whom a role is assigned there directly: what taking the member
out takes away. Users who have a role through a group, or in the whole application, are not listed.
"""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING

from pyroaring import BitMap

from zeratul.domain.relationship import WILDCARD, SubjectRef
from zeratul.domain.scopes import Scope, parse_grant
from zeratul.errors import MalformedError
from zeratul.service.ground.answers import FIRST_PAGE, Deleted, Page
from zeratul.service.ground.audit import batch_of
from zeratul.service.ground.cursors import Cursor, query_digest
from zeratul.service.ground.futures import resolved, retrying
from zeratul.service.ground.labels import require_tenant
from zeratul.service.ground.stored_model import require_model
from zeratul.service.ground.stored_rows import delete_stored
from zeratul.service.ground.validation import require_id
from zeratul.service.roles.assigning import USER_TYPE, record_assignment
from zeratul.service.roles.role_answers import Member, MemberRole, RowPage
from zeratul.service.roles.stored_grants import (
    assignments,
    drop_unheld,
    grant_form,
    grants_of_scope,
    grants_of_subject,
    subject_numbers,
)
from zeratul.service.roles.stored_roles import find_role

if TYPE_CHECKING:
    from concurrent.futures import Future

    from zeratul.dispatch.view import View
    from zeratul.service.ground.caller import Caller
    from zeratul.service.ground.foundation import Foundation
    from zeratul.store.interface import Snapshot, WriteTransaction

_NODE = struct.Struct(">I")


class Tenants:
    """Use cases around the members of a tenant."""

    def __init__(self, foundation: Foundation) -> None:
        self._base = foundation

    def members(
        self,
        caller: Caller,
        tenant_id: str,
        *,
        page: Page = FIRST_PAGE,
        at_least: str | None = None,
    ) -> RowPage[Member]:
        """A page of a tenant's members with their roles there, as of the first page's revision.

        Raises:
            ForbiddenError: the caller lacks ``assignments:read``.
            NotFoundError: another tenant than the caller's.
            InputError: a tenant id, page size or cursor that is none.
            RevisionError: the cursor's revision was collected, or ``at_least`` can not be met.
        """
        _enter(caller, "assignments:read", tenant_id)
        base = self._base
        size = base.page_size(page)
        query = query_digest("tenant-members", caller.application, tenant_id)
        cursor = Cursor.decode(page.cursor, base.cursor_secret, query) if page.cursor else None
        with base.pinned(caller, cursor) if cursor else base.view(caller) as view:
            base.require_fresh(view, at_least)
            after = _NODE.unpack(cursor.position)[0] if cursor else 0
            rows, last = _some_members(view, tenant_id, after, size)
            following = None
            if last is not None:
                following = Cursor(
                    query,
                    view.revision,
                    view.snapshot.now_ms,
                    view.schema_revision,
                    _NODE.pack(last),
                ).encode(base.cursor_secret)
            return RowPage(
                rows=rows, next_cursor=following, page_size=size, zookie=base.view_zookie(view)
            )

    def remove_member(self, caller: Caller, tenant_id: str, user_id: str) -> Future[Deleted]:
        """Take all roles in a tenant away from a user; whoever had none is no error.

        Raises:
            ForbiddenError: the caller lacks ``assignments:write``.
            NotFoundError: another tenant than the caller's.
            InputError: a tenant or user id that is none.
        """
        _enter(caller, "assignments:write", tenant_id)
        require_id(user_id, "userId")
        if user_id == WILDCARD:
            raise MalformedError("a user id must not be `*`", field="userId")
        return retrying(lambda: self._remove(caller, tenant_id, user_id))

    def _remove(self, caller: Caller, tenant_id: str, user_id: str) -> Future[Deleted]:
        base, application = self._base, caller.application
        with base.view(caller) as view:
            form = grant_form(view)
            if form is None:
                return resolved(Deleted(0, base.view_zookie(view)))

        def job(tx: WriteTransaction) -> Deleted:
            snapshot = tx.snapshot
            require_model(snapshot, application, form.schema_revision)
            deleted = 0
            found = subject_numbers(snapshot, form, SubjectRef(USER_TYPE, user_id))
            if found is not None:
                node, slot = found
                inside = grants_of_scope(snapshot, form, Scope(tenant_id, ()))
                held = inside & grants_of_subject(snapshot, form, node, slot)
                keys = [(grant, form.holder, slot, node) for grant in held]
                rows = [row for row in snapshot.rows(keys) if row is not None]
                before = assignments(snapshot, form, rows)
                deleted = delete_stored(tx, base.store, form.vocabulary, rows)
                drop_unheld(tx, base, form, held)
                for each in before:
                    record_assignment(tx, caller, before=each, batch_id=batch_of(tx))
            zookie = base.zookie(application, tx.effective_revision, form.schema_revision)
            return Deleted(deleted, zookie)

        return base.store.write(job)


def _enter(caller: Caller, permission: str, tenant_id: str) -> None:
    caller.require(permission)
    require_tenant(tenant_id)
    caller.enter_tenant(tenant_id)


def _some_members(
    view: View, tenant_id: str, after: int, size: int
) -> tuple[list[Member], int | None]:
    """Members behind a node, at most ``size``, and the last one's node if more follow."""
    snapshot, form = view.snapshot, grant_form(view)
    if form is None or form.user is None:
        return [], None
    grants = grants_of_scope(snapshot, form, Scope(tenant_id, ()))
    if not grants:
        return [], None
    users = snapshot.subjects_of_all(grants, form.holder, form.user)
    begin = users.rank(after)
    nodes = list(users[begin : begin + size])
    if not nodes:
        return [], None
    held = [
        grants & theirs
        for theirs in snapshot.resources([(node, form.user, form.holder) for node in nodes])
    ]
    roles = _named(snapshot, view.application, BitMap.union(BitMap(), *held))
    rows = [
        Member(user_id, tuple(roles[grant] for grant in theirs))
        for user_id, theirs in zip(snapshot.ids(nodes), held, strict=True)
    ]
    return rows, nodes[-1] if begin + len(nodes) < len(users) else None


def _named(snapshot: Snapshot, application: int, grants: BitMap) -> dict[int, MemberRole]:
    """Each grant's role with its name of today."""
    named: dict[int, MemberRole] = {}
    for grant, name in zip(grants, snapshot.ids(list(grants)), strict=True):
        role_id = parse_grant(name).role
        role = find_role(snapshot, application, role_id)
        named[grant] = MemberRole(role_id, role.name if role is not None else None)
    return named

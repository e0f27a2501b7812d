"""Roles read: one by one and in lists (contract authaz §3).

*Decision*: a tenant sees its own roles and the global ones, and no number that another tenant's
doings move: where a call is about one tenant, users who hold a role in that tenant are counted.
Context: a count is an answer like any other, and nothing that happens in one tenant may be seen
in another.

*Decision*: users are counted when they are asked for, as the size of a set. Context: the same user
may hold a role on many scopes, so a stored counter would need one for each (role, user). Outcome:
a page of a list ends early once it counted many grants; its cursor goes on.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from pyroaring import BitMap

from zeratul.domain.scopes import grant_id, tenant_scope
from zeratul.service.ground.answers import FIRST_PAGE, Page
from zeratul.service.ground.cursors import Cursor, query_digest
from zeratul.service.ground.labels import require_tenant
from zeratul.service.roles.role_answers import Role, RowPage
from zeratul.service.roles.stored_grants import GrantForm, count_users, grant_form, grants_of_role
from zeratul.service.roles.stored_roles import (
    ALL_ROLES,
    GLOBAL_ROLES,
    TENANT_ROLES,
    Flattening,
    Range,
    indexed_roles,
    role_answer,
    role_of_index,
    roles_of,
    unpack_role,
    visible_role,
)

if TYPE_CHECKING:
    from zeratul.dispatch.view import View
    from zeratul.service.ground.caller import Caller
    from zeratul.service.ground.foundation import Foundation
    from zeratul.store.interface import Snapshot

# LIMIT: grants a page counts users of, and permissions it spells out: some hundred milliseconds
# of work and some megabytes of answer; a page that comes to more ends with the row that did.
_PAGE_GRANTS_MAX = 100_000
_PAGE_PERMISSIONS_MAX = 100_000


class RoleReading:
    """Reading use cases around roles."""

    def __init__(self, foundation: Foundation) -> None:
        self._base = foundation

    def list(
        self,
        caller: Caller,
        tenant_id: str | None = None,
        *,
        is_global: bool | None = None,
        page: Page = FIRST_PAGE,
        at_least: str | None = None,
    ) -> RowPage[Role]:
        """A page of roles, global ones first; later ones are left out of a list that goes on.

        Args:
            caller: who asks.
            tenant_id: whose roles: what can be assigned in this tenant. None: all the caller sees.
            is_global: only global roles, or only tenants' own.
            page: which part.
            at_least: a zookie.

        Raises:
            ForbiddenError: the caller lacks ``roles:read``.
            NotFoundError: another tenant than the caller's.
            InputError: a tenant id, page size or cursor that is none.
            RevisionError: ``at_least`` can not be met.
        """
        inside = self._enter(caller, "roles:read", tenant_id)
        base = self._base
        size = base.page_size(page)
        query = query_digest("roles", caller.application, caller.tenant_id, inside, is_global)
        cursor = Cursor.decode(page.cursor, base.cursor_secret, query) if page.cursor else None
        with base.view(caller) as view:
            base.require_fresh(view, at_least)
            upto = cursor.revision if cursor else view.revision
            after = cursor.position.decode() if cursor else ""
            rows, last = _some_roles(
                view,
                caller,
                _ranges(inside, is_global=is_global),
                after,
                inside,
                upto=upto,
                limit=size,
            )
            following = None
            if last is not None:
                following = Cursor(
                    query, upto, view.snapshot.now_ms, view.schema_revision, last.encode()
                ).encode(base.cursor_secret)
            return RowPage(
                rows=rows, next_cursor=following, page_size=size, zookie=base.view_zookie(view)
            )

    def get(
        self,
        caller: Caller,
        role_id: str,
        tenant_id: str | None = None,
        *,
        at_least: str | None = None,
    ) -> Role:
        """One role.

        Raises:
            ForbiddenError: the caller lacks ``roles:read``.
            NotFoundError: there is none of this id, or it is another tenant's.
            InputError: a tenant id that is none.
            RevisionError: ``at_least`` can not be met.
        """
        inside = self._enter(caller, "roles:read", tenant_id)
        base = self._base
        with base.view(caller) as view:
            base.require_fresh(view, at_least)
            body = visible_role(view.snapshot, caller, role_id, inside)
            flattening = Flattening(view.snapshot, caller.application, view.catalog)
            users = user_count(view, role_id, inside)
            return role_answer(body, flattening, users, zookie=base.view_zookie(view))

    def _enter(self, caller: Caller, permission: str, tenant_id: str | None) -> str | None:
        """The tenant a call is about: the path's, else the caller's own."""
        caller.require(permission)
        if tenant_id is not None:
            require_tenant(tenant_id)
            caller.enter_tenant(tenant_id)
        return tenant_id or caller.tenant_id


def _ranges(tenant_id: str | None, *, is_global: bool | None) -> list[Range]:
    """Parts of the index that a list shows, in its order."""
    if tenant_id is None:
        return [{None: ALL_ROLES, True: GLOBAL_ROLES, False: TENANT_ROLES}[is_global]]
    ranges = [] if is_global is False else [GLOBAL_ROLES]
    return ranges if is_global else [*ranges, roles_of(tenant_id)]


def _some_roles(
    view: View,
    caller: Caller,
    ranges: list[Range],
    after: str,
    tenant_id: str | None,
    *,
    upto: int,
    limit: int,
) -> tuple[list[Role], str | None]:
    """Roles behind a place in the index, and the place where more follow (None: no more)."""
    snapshot, application = view.snapshot, caller.application
    flattening = Flattening(snapshot, application, view.catalog)
    form = grant_form(view)
    rows: list[Role] = []
    grants = permissions = 0
    while True:
        ids = indexed_roles(snapshot, application, ranges, after, limit + 1)
        for index_id in ids:
            full = grants > _PAGE_GRANTS_MAX or permissions > _PAGE_PERMISSIONS_MAX
            if full or len(rows) == limit:
                return rows, after
            after = index_id
            role_id = role_of_index(index_id)
            body = visible_role(snapshot, caller, role_id, None)
            if unpack_role(body).created_revision > upto:
                continue
            users = 0
            if form is not None:
                counted = _counted_grants(snapshot, form, role_id, tenant_id)
                users = count_users(snapshot, form, counted)
                grants += len(counted)
            rows.append(role_answer(body, flattening, users))
            permissions += len(rows[-1].permissions)
        if len(ids) <= limit:
            return rows, None


def _counted_grants(
    snapshot: Snapshot, form: GrantForm, role_id: str, tenant_id: str | None
) -> BitMap:
    """Grants of a role in a tenant; without one all of them."""
    if tenant_id is None:
        return grants_of_role(snapshot, form, role_id)
    node = snapshot.node(form.grant_type, grant_id(role_id, tenant_scope(tenant_id)))
    return BitMap() if node is None else BitMap((node,))


def user_count(view: View, role_id: str, tenant_id: str | None) -> int:
    """How many users have a role in a tenant; without one, anywhere."""
    form = grant_form(view)
    if form is None:
        return 0
    counted = _counted_grants(view.snapshot, form, role_id, tenant_id)
    return count_users(view.snapshot, form, counted)

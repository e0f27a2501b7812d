"""Reading the catalog: resources, permissions for pickers, and who references what."""

from __future__ import annotations

from bisect import bisect_right
from typing import TYPE_CHECKING

from zeratul.domain.catalog import Catalog
from zeratul.domain.schema import Schema, TypeDefinition
from zeratul.errors import NotFoundError, nearest
from zeratul.language.catalog import permissions, relation_actions
from zeratul.service.ground.answers import FIRST_PAGE, Page
from zeratul.service.ground.cursors import Cursor, query_digest
from zeratul.service.ground.etags import etag_of
from zeratul.service.ground.stored_model import pack_catalog, pack_resource
from zeratul.service.roles.stored_grants import grant_form
from zeratul.service.roles.stored_policies import attached_count, attached_roles
from zeratul.service.roles.stored_roles import find_role
from zeratul.service.rules.catalog_answers import (
    CatalogPage,
    PermissionPage,
    PermissionRow,
    ResourceAnswer,
    UsageAnswer,
)
from zeratul.service.rules.catalog_assignments import PathAssignments
from zeratul.service.rules.catalog_references import LISTED_MAX, affected_policies, resource_of
from zeratul.service.rules.orphans import Orphans

if TYPE_CHECKING:
    from collections.abc import Sequence

    from zeratul.dispatch.view import View
    from zeratul.domain.catalog import CatalogResource
    from zeratul.service.ground.caller import Caller
    from zeratul.service.ground.foundation import Foundation
    from zeratul.service.roles.stored_roles import StoredRole
    from zeratul.service.rules.catalog_answers import Affected
    from zeratul.store.interface import Snapshot


class CatalogReading:
    """Use cases that read the catalog.

    Lists go by name. A list that goes on after the catalog changed goes on with what is there:
    what stands in both is neither repeated nor lost.
    """

    def __init__(self, foundation: Foundation) -> None:
        self._base = foundation

    def list(
        self, caller: Caller, *, page: Page = FIRST_PAGE, at_least: str | None = None
    ) -> CatalogPage:
        """A page of the resources, by name.

        Raises:
            ForbiddenError: the caller lacks ``catalog:read``.
            InputError: a page size or cursor that is none.
            RevisionError: ``at_least`` can not be met.
        """
        caller.require("catalog:read")
        with self._base.view(caller) as view:
            self._base.require_fresh(view, at_least)
            catalog = _catalog(view)
            names = sorted(catalog.resources)
            shown, cursor, size = self._part(caller, view, "resources", names, page)
            return CatalogPage(
                rows=[resource_answer(view.schema, catalog, name) for name in shown],
                next_cursor=cursor,
                page_size=size,
                count=len(names),
                etag=etag_of(pack_catalog(catalog)),
                zookie=self._base.view_zookie(view),
            )

    def get(self, caller: Caller, name: str, *, at_least: str | None = None) -> ResourceAnswer:
        """One resource.

        Raises:
            ForbiddenError: the caller lacks ``catalog:read``.
            NotFoundError: the catalog has none of this name.
            RevisionError: ``at_least`` can not be met.
        """
        caller.require("catalog:read")
        with self._base.view(caller) as view:
            self._base.require_fresh(view, at_least)
            catalog = _catalog(view)
            require_resource(catalog, name)
            return resource_answer(view.schema, catalog, name)

    def permissions(
        self, caller: Caller, *, page: Page = FIRST_PAGE, at_least: str | None = None
    ) -> PermissionPage:
        """A page of the permissions, by name, with what a picker shows.

        Raises:
            ForbiddenError: the caller lacks ``catalog:read``.
            InputError: a page size or cursor that is none.
            RevisionError: ``at_least`` can not be met.
        """
        caller.require("catalog:read")
        with self._base.view(caller) as view:
            self._base.require_fresh(view, at_least)
            catalog = _catalog(view)
            names = sorted(permissions(catalog))
            shown, cursor, size = self._part(caller, view, "permissions", names, page)
            return PermissionPage(
                rows=_permission_rows(view.schema, catalog, shown),
                next_cursor=cursor,
                page_size=size,
                count=len(names),
                zookie=self._base.view_zookie(view),
            )

    def usage(self, caller: Caller, name: str, *, at_least: str | None = None) -> UsageAnswer:
        """Who references a resource: policies and roles that have them, and what is live on it.

        Raises:
            ForbiddenError, TenantScopeError: the caller may not see that.
            NotFoundError: the catalog has none of this name.
            RevisionError: ``at_least`` can not be met.
        """
        caller.require("catalog:read")
        # It tells of all tenants' roles and of direct grants, which belong to no tenant.
        caller.require_whole_application("references to a resource")
        base = self._base
        with base.view(caller) as view:
            base.require_fresh(view, at_least)
            catalog = _catalog(view)
            require_resource(catalog, name)
            affected = list(
                affected_policies(
                    view.snapshot,
                    caller.application,
                    lambda permission: resource_of(permission) == name,
                )
            )
            roles, attachments = _roles(view.snapshot, caller.application, affected)
            on_paths = PathAssignments(grant_form(view), {catalog.segment(name)})
            zookie = base.view_zookie(view)
        return UsageAnswer(
            resource=name,
            policies=affected,
            roles=roles,
            attachments=attachments,
            assignments=on_paths.count(view, base.store),
            relationships=stored_on(view, name).count(view, base.store),
            zookie=zookie,
        )

    def _part(
        self, caller: Caller, view: View, kind: str, names: Sequence[str], page: Page
    ) -> tuple[Sequence[str], str | None, int]:
        """What of sorted names a page shows, the cursor of the next one, the page's size."""
        base = self._base
        size = base.page_size(page)
        query = query_digest(kind, caller.application)
        start = 0
        if page.cursor:
            cursor = Cursor.decode(page.cursor, base.cursor_secret, query)
            start = bisect_right(names, cursor.position.decode())
        shown = names[start : start + size]
        if start + size >= len(names):
            return shown, None, size
        following = Cursor(
            query,
            view.revision,
            view.snapshot.now_ms,
            view.schema_revision,
            shown[-1].encode(),
        )
        return shown, following.encode(base.cursor_secret), size


def _catalog(view: View) -> Catalog:
    return view.catalog or Catalog()


def require_resource(catalog: Catalog, name: str) -> CatalogResource:
    """The resource of a name.

    Raises:
        NotFoundError: the catalog has none; names the nearest.
    """
    found = catalog.resources.get(name)
    if found is None:
        suggestion = nearest(name, catalog.resources)
        raise NotFoundError(
            f"there is no resource `{name[:128]}`",
            help=f"did you mean `{suggestion}`?" if suggestion else None,
        )
    return found


def resource_answer(schema: Schema, catalog: Catalog, name: str) -> ResourceAnswer:
    """One resource as it is shown."""
    resource = catalog.resources[name]
    return ResourceAnswer(
        resource=resource,
        implied=relation_actions(schema, catalog, name),
        etag=etag_of(pack_resource(resource)),
    )


def stored_on(view: View, type_name: str, relation: str | None = None) -> Orphans:
    """Everything stored on a type, or on one relation of it, to be counted."""
    types = dict(view.schema.types)
    definition = types.pop(type_name)
    if relation is not None:
        others = {name: each for name, each in definition.relations.items() if name != relation}
        types[type_name] = TypeDefinition(type_name, others)
    return Orphans(view.schema, Schema(types), view.application)


def _permission_rows(
    schema: Schema, catalog: Catalog, shown: Sequence[str]
) -> list[PermissionRow]:
    implied: dict[str, dict[str, list[str]]] = {}
    rows = []
    for permission in shown:
        name, _, action = permission.partition(":")
        if name not in implied:
            implied[name] = _implying(schema, catalog, name)
        rows.append(
            PermissionRow(
                permission,
                name,
                action,
                _description(catalog.resources[name], action),
                tuple(implied[name].get(action, ())),
            )
        )
    return rows


def _implying(schema: Schema, catalog: Catalog, name: str) -> dict[str, list[str]]:
    implying: dict[str, list[str]] = {}
    for relation, actions in relation_actions(schema, catalog, name).items():
        for action in actions:
            implying.setdefault(action, []).append(relation)
    return implying


def _description(resource: CatalogResource, action: str) -> str:
    text = f"{action} {resource.name}".replace("_", " ")
    return f"{text}: {resource.description}" if resource.description else text


def _roles(
    snapshot: Snapshot, application: int, affected: Sequence[Affected]
) -> tuple[list[StoredRole], int]:
    """Roles that have one of the policies, the first of many, and how many attachments in all."""
    ids: dict[str, None] = {}
    total = 0
    for policy, _ in affected:
        total += attached_count(snapshot, application, policy.id)
        room = LISTED_MAX - len(ids)
        if room > 0:
            ids |= dict.fromkeys(attached_roles(snapshot, application, policy.id, limit=room))
    found = (find_role(snapshot, application, role_id) for role_id in ids)
    return [role for role in found if role is not None], total

"""An application with a catalog, and short ways to say who has which role where."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from tests.builders import subject
from zeratul.domain.relationship import ObjectRef, Relationship
from zeratul.graph.answers import CheckQuestion
from zeratul.service.administration.audit_log import AuditFilter
from zeratul.service.ground.answers import Page
from zeratul.service.roles.role_answers import AssignmentFilter, BulkAssignment, Labelled, Wish
from zeratul.service.rules.catalog_answers import ResourceRequest

if TYPE_CHECKING:
    from collections.abc import Callable

    from zeratul.service.ground.caller import Caller
    from zeratul.service.roles.role_answers import Assigned, Assignment, Policy, Role
    from zeratul.service.services import Services

CATALOG = {
    "documents": ("create", "read", "update", "delete"),
    "reports": ("read", "export"),
    "offices": ("read", "enter"),
}


@dataclass(frozen=True)
class RoleWorld:
    """Services, and who calls them."""

    services: Services
    caller: Caller

    @classmethod
    def new(cls, services: Services, caller: Caller) -> RoleWorld:
        """With a catalog."""
        world = cls(services, caller)
        world.declare(CATALOG)
        return world

    def as_(self, **changes: Any) -> RoleWorld:
        """The same application, another caller."""
        return replace(self, caller=replace(self.caller, **changes))

    def in_tenant(self, tenant: str) -> RoleWorld:
        """A caller that acts in one tenant."""
        return self.as_(tenant_id=tenant, key_id=f"key_{tenant}")

    def declare(self, catalog: dict[str, tuple[str, ...]], *, force: bool = False) -> None:
        """Replace the catalog."""
        wanted = [ResourceRequest(name, "", actions) for name, actions in catalog.items()]
        self.services.catalog.put_all(self.caller, wanted, force=force).result()

    def policy(self, name: str, *permissions: str, description: str = "") -> Policy:
        given = Labelled(name, description, permissions)
        return self.services.policies.create(self.caller, given).result()

    def role(self, name: str, *policies: Policy | str, tenant: str | None = None) -> Role:
        ids = [each if isinstance(each, str) else each.id for each in policies]
        given = Labelled(name, "", ids)
        return self.services.roles.create(self.caller, given, tenant).result()

    def reader(self, name: str = "Reader", *, tenant: str | None = None) -> Role:
        """A role that reads documents."""
        return self.role(name, self.policy(f"policy of {name}", "documents:read"), tenant=tenant)

    def assign(
        self,
        who: str,
        role: Role | str,
        tenant: str | None = None,
        path: str | None = None,
        *,
        expires: int | None = None,
        inside: str | None = None,
    ) -> Assigned:
        wish = wish_of(who, role, tenant, path, expires=expires)
        return self.services.assignments.assign(self.caller, wish, inside).result()

    def unassign(
        self, who: str, role: Role | str, tenant: str | None = None, path: str | None = None
    ) -> int:
        wish = wish_of(who, role, tenant, path)
        return self.services.assignments.unassign(self.caller, wish).result().deleted

    def bulk(self, assign: list[Any], unassign: list[Any] | None = None, **more: Any) -> Any:
        request = BulkAssignment(assign=assign, unassign=unassign or [], **more)
        return self.services.assignments.bulk(self.caller, request).result()

    def join(self, *texts: str) -> None:
        """Write relationships."""
        for text in texts:
            self.services.relationships.write(self.caller, Relationship.parse(text)).result()

    def can(self, who: str, permission: str, name: str = "d1", tenant: str | None = None) -> bool:
        kind, _, action = permission.partition(":")
        question = CheckQuestion(subject(who), ObjectRef(kind, name), action, tenant)
        return self.services.access.check(self.caller, question).allowed

    def held(self, who: str, tenant: str | None = None, **more: str) -> list[str]:
        """What ``who`` may do."""
        answer = self.services.permissions.held(
            self.caller, subject(who), tenant_id=tenant, **more
        )
        return list(answer.permissions)

    def assignments(self, tenant: str | None = None, **wanted: Any) -> list[Assignment]:
        """All that match, gathered from small pages."""
        found = AssignmentFilter(**wanted)
        return pages(
            lambda page: self.services.assignments.list(self.caller, found, tenant, page=page)
        )

    def roles(self, tenant: str | None = None, **more: Any) -> list[Role]:
        return pages(lambda page: self.services.roles.list(self.caller, tenant, page=page, **more))

    def policies(self) -> list[Policy]:
        return pages(lambda page: self.services.policies.list(self.caller, page=page))

    def events(self, **wanted: Any) -> list[dict[str, Any]]:
        """Audit events, oldest first."""
        found = self.services.audit.find(self.caller, AuditFilter(**wanted), page=Page(1_000))
        return found.rows[::-1]


def wish_of(
    who: str,
    role: Role | str,
    tenant: str | None = None,
    path: str | None = None,
    *,
    expires: int | None = None,
) -> Wish:
    """An assignment as it is asked for."""
    return Wish(subject(who), role if isinstance(role, str) else role.id, tenant, path, expires)


def pages(ask: Callable[[Page], Any], size: int = 3) -> list[Any]:
    """All rows of a list."""
    rows: list[Any] = []
    cursor: str | None = None
    while True:
        page = ask(Page(size, cursor))
        assert len(page.rows) <= size
        rows += page.rows
        cursor = page.next_cursor
        if cursor is None:
            return rows

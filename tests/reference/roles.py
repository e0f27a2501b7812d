"""What roles add to the answers, slow and obvious: each question looks at every assignment.

An assignment is (role, scope, holder). It gives a permission on a resource to a subject if

- the action is declared in the catalog, and a policy of the role lists it or ``type:*``;
- the role belongs to no tenant, or to the tenant that the assignment is in;
- the assignment is in no tenant, or in the tenant that is asked about;
- its path covers the resource's (``domain.paths.covers`` is the law);
- it has not expired;
- the subject is the holder, or a member of the userset that is the holder.

Roles stand beside relationships: either says yes. On a type as a whole only roles do.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, NamedTuple

from tests.reference.evaluator import Reference
from zeratul.domain.membership import Membership
from zeratul.domain.paths import Path, covers
from zeratul.domain.relationship import ObjectRef, SubjectRef

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from zeratul.domain.catalog import Catalog
    from zeratul.domain.relationship import Relationship
    from zeratul.domain.schema import Schema


class Role(NamedTuple):
    """A role as it is written."""

    policies: tuple[str, ...]
    tenant: str | None = None


class Assignment(NamedTuple):
    """A role held by somebody: in a tenant, on a path, or (``()``) in the whole application."""

    role: str
    tenant: str | None
    path: Path
    holder: SubjectRef


@dataclass
class Rules:
    """Everything that is written about roles.

    Attributes:
        catalog: what actions there are.
        policies: id -> permissions.
        roles: id -> role.
        assignments: who holds what where -> when it ends.
    """

    catalog: Catalog
    policies: dict[str, frozenset[str]] = field(default_factory=dict)
    roles: dict[str, Role] = field(default_factory=dict)
    assignments: dict[Assignment, int | None] = field(default_factory=dict)


class RoleReference:
    """Answers questions about relationships and roles at one time."""

    def __init__(
        self,
        schema: Schema,
        relationships: Iterable[Relationship],
        rules: Rules,
        now_ms: int = 0,
    ) -> None:
        self.rules = rules
        self.related = Reference(schema, relationships, now_ms)
        self.assignments = [
            assignment
            for assignment, expires_at_ms in rules.assignments.items()
            if expires_at_ms is None or expires_at_ms > now_ms
        ]
        self._related: dict[tuple[SubjectRef, ObjectRef, str], Membership] = {}

    def path(self, resource: ObjectRef) -> Path:
        """Where a resource stands."""
        segments: Mapping[str, str] = self.rules.catalog.segments
        first = segments.get(resource.type, resource.type)
        return (first, *resource.id.split("/")) if resource.id else (first,)

    def gives(self, assignment: Assignment, type_name: str, action: str) -> bool:
        """Whether the assignment carries the permission, wherever it holds."""
        declared = self.rules.catalog.resources.get(type_name)
        if declared is None or action not in declared.actions:
            return False
        role = self.rules.roles.get(assignment.role)
        if role is None or role.tenant not in (None, assignment.tenant):
            return False
        return any(
            {f"{type_name}:{action}", f"{type_name}:*"}
            & self.rules.policies.get(each, frozenset())
            for each in role.policies
        )

    def holds(self, subject: SubjectRef, holder: SubjectRef) -> bool:
        """Whether the subject is the holder, or in it."""
        if subject == holder:
            return True
        if not holder.relation:
            return False
        resource = ObjectRef(holder.type, holder.id)
        return self.by_relationships(subject, resource, holder.relation) is Membership.MEMBER

    def by_relationships(
        self, subject: SubjectRef, resource: ObjectRef, relation: str
    ) -> Membership:
        """What relationships say; on a type as a whole nothing."""
        if not resource.id:
            return Membership.NOT_MEMBER
        key = (subject, resource, relation)
        if key not in self._related:
            self._related[key] = self.related.check(*key)
        return self._related[key]

    def by_role(
        self, subject: SubjectRef, resource: ObjectRef, action: str, tenant: str | None
    ) -> bool:
        """Whether a role says yes."""
        path = self.path(resource)
        return any(
            assignment.tenant in (None, tenant)
            and covers(assignment.path, path)
            and self.gives(assignment, resource.type, action)
            and self.holds(subject, assignment.holder)
            for assignment in self.assignments
        )

    def check(
        self, subject: SubjectRef, resource: ObjectRef, relation: str, tenant: str | None = None
    ) -> Membership:
        """Whether relationships or a role say yes."""
        if self.by_role(subject, resource, relation, tenant):
            return Membership.MEMBER
        return self.by_relationships(subject, resource, relation)

    def scopes(
        self, subject: SubjectRef, type_name: str, action: str, tenant: str | None
    ) -> set[str]:
        """Ids of the scopes on which a role gives the action on something of the type."""
        first = self.path(ObjectRef(type_name, ""))[0]
        found: set[str] = set()
        for assignment in self.assignments:
            if not self.gives(assignment, type_name, action):
                continue
            if not self.holds(subject, assignment.holder):
                continue
            if assignment.tenant is not None:
                if assignment.tenant == tenant:
                    found.add(f"tenant/{assignment.tenant}")
            elif not assignment.path:
                found.add("root")
            elif assignment.path[0] in ("*", first):
                found.add("path/" + "/".join(assignment.path))
        return found

"""What the services of policies, roles and assignments are asked with and what they answer.

Times are milliseconds since 1970. ``zookie`` is None inside of lists, which have one of their own.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Generic, Literal, NamedTuple, TypeVar

if TYPE_CHECKING:
    from collections.abc import Sequence

    from zeratul.domain.relationship import SubjectRef
    from zeratul.domain.scopes import Scope
    from zeratul.errors import ZeratulError
    from zeratul.service.ground.answers import BulkAnswer, OnError
    from zeratul.service.ground.idempotency import Idempotent

Row = TypeVar("Row")

APP_WIDE_GRANT = "app_wide_grant"
"""Warning: an application with tenants got an assignment that holds in all of them."""


class Labelled(NamedTuple):
    """Name, description and content of a policy (permissions) or a role (policy ids).

    In a change, None leaves a part as it is.
    """

    name: str | None = None
    description: str | None = None
    content: Sequence[str] | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Policy:
    """A named set of permissions; ``role_count`` of the roles the caller may see."""

    id: str
    name: str
    description: str
    permissions: tuple[str, ...]
    role_count: int
    created_at_ms: int
    updated_at_ms: int
    etag: str
    zookie: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Role:
    """A named set of policies.

    Attributes:
        tenant_id: the tenant it belongs to, None for a global one.
        user_count: users it is assigned to directly, wherever the caller may see.
        permissions: of all its policies, every declared action spelled out, sorted.
    """

    id: str
    name: str
    description: str
    policy_ids: tuple[str, ...]
    tenant_id: str | None
    user_count: int
    permissions: tuple[str, ...]
    created_at_ms: int
    updated_at_ms: int
    etag: str
    zookie: str | None = None


class Wish(NamedTuple):
    """An assignment as asked for: who, which role, and at most one of tenant and path."""

    holder: SubjectRef
    role_id: str
    tenant_id: str | None = None
    path: str | None = None
    expires_at_ms: int | None = None


class Assignment(NamedTuple):
    """A stored assignment; the time it was made is None once that history was collected."""

    id: str
    holder: SubjectRef
    role_id: str
    scope: Scope
    expires_at_ms: int | None
    created_at_ms: int | None


@dataclass(frozen=True, slots=True)
class Assigned:
    """What assigning came to; ``created`` is False where it was there already."""

    assignment: Assignment
    created: bool
    warnings: tuple[str, ...]
    zookie: str


class AssignmentFilter(NamedTuple):
    """Which assignments; every part narrows, ``path`` is one scope, not all it covers."""

    subject: SubjectRef | None = None
    role_id: str | None = None
    tenant_id: str | None = None
    path: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class BulkAssignment:
    """One bulk call, as asked; items that are errors failed to decode."""

    assign: Sequence[Wish | ZeratulError]
    unassign: Sequence[Wish | ZeratulError]
    on_error: OnError = "fail"
    results: Literal["all", "errors"] = "all"
    dry_run: bool = False
    idempotency: Idempotent | None = None


class BulkAssigned(NamedTuple):
    """What a bulk call came to: assigning are its writes, unassigning its deletes."""

    bulk: BulkAnswer
    warnings: tuple[str, ...]


class MemberRole(NamedTuple):
    """A role a member holds; the name is None if the role went meanwhile."""

    role_id: str
    role_name: str | None


class Member(NamedTuple):
    """A user with roles in a tenant."""

    user_id: str
    roles: tuple[MemberRole, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class RowPage(Generic[Row]):
    """Some rows of a list; ``next_cursor`` is None at the end."""

    rows: list[Row]
    next_cursor: str | None
    page_size: int
    zookie: str


@dataclass(frozen=True, slots=True, kw_only=True)
class HeldPermissions:
    """The permission strings that hold, sorted."""

    subject: SubjectRef
    tenant_id: str | None
    resource: str | None
    resource_id: str | None
    permissions: tuple[str, ...]
    zookie: str

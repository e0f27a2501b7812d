"""What the services are asked with and what they answer: plain values, no JSON, no HTTP.

Times are milliseconds since 1970. A ``zookie`` is opaque text. Field names are the contract's in
snake_case; each contract renders them in its own shape.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Generic, Literal, NamedTuple, TypeVar

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from zeratul.domain.membership import Membership
    from zeratul.domain.relationship import Relationship, SubjectRef
    from zeratul.errors import ZeratulError
    from zeratul.graph.answers import CheckQuestion, ExpandNode, Explanation, RoleTrace
    from zeratul.service.ground.blocks import Block

Row = TypeVar("Row")
OnError = Literal["fail", "continue"]
ItemStatus = Literal["created", "existing", "replaced", "deleted", "absent", "failed"]
Effect = Literal["grants", "takes_away", "leads"]


# --- Questions.


class Page(NamedTuple):
    """Which part of a list: at most ``size`` rows (None: the default), behind ``cursor``."""

    size: int | None = None
    cursor: str | None = None


FIRST_PAGE = Page()


class RelationshipFilter(NamedTuple):
    """Which stored relationships: a subject, or a resource with its id; the rest narrows."""

    subject: SubjectRef | None = None
    resource_type: str | None = None
    resource_id: str | None = None
    relation: str | None = None


class Precondition(NamedTuple):
    """What must hold (or must not) for a bulk call to be applied."""

    relationship: Relationship
    must_exist: bool


# --- Answers to writes.


@dataclass(frozen=True, slots=True, kw_only=True)
class Application:
    """An application; ``zookie`` only in answers to writes."""

    id: str
    number: int
    name: str
    tenancy_type: str
    created_at_ms: int
    zookie: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class KeyInfo:
    """An API key without its secret.

    Attributes:
        tenant_id: the one tenant it acts in; None: the whole application.
        rotated_at_ms: when its secret was last replaced; None: never.
        old_secret_until_ms: how long the secret before still holds; None: it does not.
        last_used_at_ms: about a minute exact; None: never.
    """

    id: str
    name: str
    permissions: tuple[str, ...]
    created_at_ms: int
    expires_at_ms: int | None
    prefix: str
    last_four: str
    tenant_id: str | None = None
    rotated_at_ms: int | None = None
    old_secret_until_ms: int | None = None
    last_used_at_ms: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class NewKey:
    """A fresh API key; the only time its secret is seen."""

    key: KeyInfo
    secret: str
    zookie: str


@dataclass(frozen=True, slots=True, kw_only=True)
class KeyPage:
    """Some keys; ``next_cursor`` is None at the end."""

    rows: list[KeyInfo]
    next_cursor: str | None
    page_size: int


@dataclass(frozen=True, slots=True, kw_only=True)
class ApplicationPage:
    """Some applications; ``next_cursor`` is None at the end."""

    rows: list[Application]
    next_cursor: str | None
    page_size: int


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelAnswer:
    """An application's model.

    Attributes:
        model: the OpenFGA JSON form, as it was put.
        schema_revision: revision of the commit that set it, 0 for none.
        revision: what the answer is as of.
        etag: its entity tag; of what would be there, on a dry run.
        changed: put only: whether the model differs from the one before.
        orphans: put only: what disappeared (``document#viewer@user``) -> relationships counted.
        deleted: put only: orphaned relationships deleted (counted only, on a dry run).
    """

    model: dict[str, Any]
    schema_revision: int
    revision: int
    zookie: str
    etag: str
    changed: bool = False
    orphans: Mapping[str, int] = field(default_factory=dict)
    deleted: int = 0
    dry_run: bool = False


@dataclass(frozen=True, slots=True)
class Written:
    """One relationship written; ``created`` is False where it was there already."""

    relationship: Relationship
    created: bool
    created_at_ms: int | None
    zookie: str


@dataclass(frozen=True, slots=True)
class Deleted:
    """How many relationships a deletion removed; ``complete`` is False when more are left."""

    deleted: int
    zookie: str
    complete: bool = True
    dry_run: bool = False


@dataclass(slots=True)  # Not frozen: a call makes thousands, and that is four times as quick.
class ItemResult:
    """What became of one item of a bulk call; ``index`` counts within writes or deletes."""

    index: int
    status: ItemStatus
    error: ZeratulError | None = None
    operation: Literal["write", "delete"] = "write"


@dataclass(frozen=True, slots=True, kw_only=True)
class BulkAnswer:
    """Counts and item results of one bulk call.

    ``existing`` counts every write that found its relationship there; ``replaced`` says how many
    of those got another expiry. ``results`` lists writes first, then deletes.
    """

    created: int
    existing: int
    replaced: int
    deleted: int
    failed: int
    results: list[ItemResult]
    dry_run: bool
    zookie: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Group:
    """A group: who holds ``group:id#member``.

    The name and the times are None for one that only relationships speak of; ``members`` counts
    what is stored on it, nested groups as one each, and is None in lists.
    """

    id: str
    name: str | None
    members: int | None
    created_at_ms: int | None
    updated_at_ms: int | None


@dataclass(frozen=True, slots=True, kw_only=True)
class GroupPut:
    """What putting a group came to: whether it is new, and members added and removed."""

    group: Group
    created: bool
    added: int
    removed: int
    zookie: str


@dataclass(frozen=True, slots=True)
class MembersAdded:
    """How many were added, and how many were members already."""

    added: int
    existing: int
    zookie: str


@dataclass(frozen=True, slots=True)
class MembersRemoved:
    """How many were removed, and how many were no members."""

    removed: int
    absent: int
    zookie: str


@dataclass(frozen=True, slots=True)
class GroupDeleted:
    """What went with a group: members, and what named it as a subject; see ``Deleted``."""

    members: int
    uses: int
    complete: bool
    zookie: str


# --- Answers to reads.


@dataclass(frozen=True, slots=True, kw_only=True)
class GroupPage:
    """Some groups; ``next_cursor`` is None at the end."""

    rows: list[Group]
    next_cursor: str | None
    page_size: int
    revision: int
    zookie: str


class StoredRelationship(NamedTuple):
    """A stored relationship; the time is None once history that old was collected."""

    relationship: Relationship
    created_at_ms: int | None


@dataclass(frozen=True, slots=True, kw_only=True)
class RelationshipPage:
    """Some stored relationships; ``next_cursor`` is None at the end."""

    rows: list[StoredRelationship]
    next_cursor: str | None
    page_size: int
    revision: int
    zookie: str


class CheckAnswer(NamedTuple):
    """A decision and the kinds of way it rests on; None for a way that was not looked at."""

    allowed: bool
    membership: Membership
    via_role: bool | None
    via_direct_grant: bool | None
    zookie: str


class BulkCheckAnswer(NamedTuple):
    """Decisions in the order of the questions; an item's error stands in its place."""

    results: list[CheckAnswer | ZeratulError]
    zookie: str


class PolicyExplained(NamedTuple):
    """A policy of a role, and whether it gives the permission.

    Attributes:
        id, name: which; the name is None if there is no such policy.
        matched: whether it gives the permission.
        permissions: the first of those it gives.
        permissions_total: how many it gives, ``resource:*`` as one.
        closest: where it does not match, the permission it gives that is most like it.
    """

    id: str
    name: str | None
    matched: bool
    permissions: tuple[str, ...]
    permissions_total: int
    closest: str | None


class RoleExplained(NamedTuple):
    """A role the subject holds, with its policies.

    Attributes:
        trace: what came of it.
        name: None if there is no such role any more.
        tenant_id: the tenant it is held in, None outside of tenants.
        path: the path it is held on as text, ``*`` for the whole application; None in a tenant.
        policies: its policies.
    """

    trace: RoleTrace
    name: str | None
    tenant_id: str | None
    path: str | None
    policies: tuple[PolicyExplained, ...]


class DirectGrant(NamedTuple):
    """A relationship stored on the resource that bears on the subject.

    Attributes:
        relation: of the resource.
        subject: whom the relationship names: the subject, everybody, or a userset it is in.
        actions: what the relation alone is enough for.
        effect: ``grants``; ``takes_away`` (the model subtracts it); ``leads`` (to another
            resource, which decides).
        matched: whether it gives what was asked for.
    """

    relation: str
    subject: SubjectRef
    actions: tuple[str, ...]
    effect: Effect
    matched: bool


class Suggestion(NamedTuple):
    """One thing that would turn a no: a relationship, a role to assign, a policy to attach.

    Attributes:
        relationship: what to write; None for the others.
        role_id, role_name: the role to assign; with a policy the role it is to be attached to.
        tenant_id, path: where to assign the role: in the tenant, or on the path.
        policy_id, policy_name: the policy to attach.
    """

    relationship: Relationship | None = None
    role_id: str | None = None
    role_name: str | None = None
    tenant_id: str | None = None
    path: str | None = None
    policy_id: str | None = None
    policy_name: str | None = None

    @property
    def kind(self) -> Literal["relationship", "role", "policy"]:
        """What is suggested."""
        if self.relationship is not None:
            return "relationship"
        return "role" if self.policy_id is None else "policy"


@dataclass(frozen=True, slots=True, kw_only=True)
class ExplainAnswer:
    """Why or why not.

    Attributes:
        question: what was asked; its resource has no id on a type as a whole.
        allowed: the decision.
        explanation: the trace and the proof.
        roles: roles the subject holds, deciding ones first; ``explanation`` says how many there
            are.
        reads: adjacency reads it took; None for callers of one tenant.
        direct_grants: relationships on the resource that bear on the subject.
        closest: on a no, the permission most like it that the subject has there.
        suggestions: on a no, what would do, the least first.
        cut: whether something was left out (the decision never is).
        text: the same as a tree for a person.
    """

    question: CheckQuestion
    allowed: bool
    explanation: Explanation
    roles: tuple[RoleExplained, ...]
    reads: int | None
    direct_grants: tuple[DirectGrant, ...]
    closest: str | None
    suggestions: tuple[Suggestion, ...]
    cut: bool
    revision: int
    duration_ms: float
    text: str
    zookie: str


@dataclass(frozen=True, slots=True)
class ExpandAnswer:
    """The tree of a userset."""

    root: ExpandNode
    revision: int
    zookie: str


class SubjectRow(NamedTuple):
    """A subject as text (``user:u1``, ``group:g#member``, ``user:*``) and the ways it is reached.

    Only the wildcard's row has exceptions: ``except_`` lists them as text, ``except_total`` counts
    them all, listed or not.
    """

    subject: str
    via: tuple[str, ...]
    except_: tuple[str, ...] = ()
    except_total: int = 0


class ResourceRow(NamedTuple):
    """A resource and the ways it is reached."""

    resource: str
    resource_id: str
    via: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class SubjectPage:
    """Some of everyone who can; ``total`` counts all rows, when it was asked for."""

    block: Block[SubjectRow]
    next_cursor: str | None
    complete: bool
    total: int | None
    page_size: int
    revision: int
    zookie: str

    @property
    def rows(self) -> list[SubjectRow]:
        """The rows one by one."""
        return list(self.block)


@dataclass(frozen=True, slots=True, kw_only=True)
class ResourcePage:
    """Some of everything a subject can; ``total`` counts all rows, when it was asked for."""

    block: Block[ResourceRow]
    next_cursor: str | None
    complete: bool
    total: int | None
    page_size: int
    revision: int
    zookie: str

    @property
    def rows(self) -> list[ResourceRow]:
        """The rows one by one."""
        return list(self.block)


@dataclass(frozen=True, slots=True, kw_only=True)
class RowStream(Generic[Row]):
    """All rows of one list, at one revision; single use.

    Attributes:
        total: how many rows there are.
        chunks: blocks of rows; no snapshot is held between two of them.
    """

    total: int
    revision: int
    zookie: str
    chunks: Iterator[Block[Row]]


class Reject(NamedTuple):
    """A line an import did not take, counted from 1."""

    line: int
    error: ZeratulError


@dataclass(frozen=True, slots=True, kw_only=True)
class ImportAnswer:
    """Counts of an import, so far or in the end; ``rejects`` lists the first of the rejected."""

    lines: int
    created: int
    existing: int
    replaced: int
    rejected: int
    rejects: tuple[Reject, ...]
    dry_run: bool
    zookie: str

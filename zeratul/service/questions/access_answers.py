"""What checks, explanations and expansions answer: plain values, no JSON, no HTTP."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, NamedTuple

if TYPE_CHECKING:
    from zeratul.domain.relationship import Relationship, SubjectRef
    from zeratul.errors import ZeratulError
    from zeratul.graph.answers import CheckQuestion, ExpandNode, Explanation, RoleTrace
    from zeratul.service.ground.answers import CheckAnswer

Effect = Literal["grants", "takes_away", "leads"]


class BulkCheckAnswer(NamedTuple):
    """Decisions in the order of the questions; an item's error stands in its place."""

    results: list[CheckAnswer | ZeratulError]
    zookie: str


@dataclass(frozen=True, slots=True)
class ExpandAnswer:
    """The tree of a userset."""

    root: ExpandNode
    revision: int
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

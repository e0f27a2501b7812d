"""Questions and answers of the evaluator, as values; node numbers only in bitmaps."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal, NamedTuple

if TYPE_CHECKING:
    from pyroaring import BitMap

    from zeratul.domain.membership import Membership
    from zeratul.domain.relationship import ObjectRef, Relationship, SubjectRef

Via = Literal["direct", "group", "model", "role", "record"]


class CheckQuestion(NamedTuple):
    """Does the subject have the relation (or permission) to the resource?

    Attributes:
        subject: who.
        resource: to what; with an empty id, to the type as a whole, which only roles give.
        relation: what.
        tenant: count roles of this tenant as well; without one only those of the application.
    """

    subject: SubjectRef
    resource: ObjectRef
    relation: str
    tenant: str | None = None


class Decision(NamedTuple):
    """The answer to a question, and by which way; None where a way was not looked at.

    Attributes:
        membership: the decision.
        via_relationships: whether the schema and relationships alone say yes.
        via_role: whether a role alone says yes.
    """

    membership: Membership
    via_relationships: bool | None
    via_role: bool | None


@dataclass(frozen=True, slots=True)
class ResourceAnswer:
    """Every resource of one type that a subject reaches.

    Attributes:
        nodes: their node numbers, exact and complete; what roles give is not among them.
        via: kind of way -> the part of ``nodes`` it reaches (parts overlap).
        scopes: ids of the scopes (``domain.scopes``) on which the subject holds a role that gives
            it on resources of the type, sorted: ``root``, ``tenant/T``, ``path/documents/a/*``.
            Every resource that one of them covers belongs to the answer.
    """

    nodes: BitMap
    via: dict[Via, BitMap]
    scopes: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class SubjectAnswer:
    """Every subject of one form that reaches a resource.

    Attributes:
        nodes: the explicit ones, exact and complete.
        wildcard: whether every subject of the type does, but for ``exceptions``.
        exceptions: subjects an exclusion takes out of the wildcard (empty without one).
        via: kind of way -> the part of ``nodes`` it reaches (parts overlap).
        wildcard_via: kinds of way of the wildcard row.
    """

    nodes: BitMap
    wildcard: bool
    exceptions: BitMap
    via: dict[Via, BitMap]
    wildcard_via: tuple[Via, ...] = ()


@dataclass(slots=True)
class TraceNode:
    """One step of an explanation.

    Attributes:
        kind: ``relation`` (a goal: resource#relation), ``relationship`` (a stored fact, or on a no
            one that is not there), ``follow`` (a stored fact that leads to the goal below it: a
            userset or an arrow), ``union`` (an operand), ``intersection``, ``exclusion`` (its base
            first, then what it takes away), ``itself`` (the subject is this very userset),
            ``seen`` (shown elsewhere in the tree), ``cut`` (the explanation's limit was reached
            here).
        membership: what this part came to.
        resource, relation: the goal, for ``relation`` and ``seen``.
        relationship: the fact, for ``relationship`` and ``follow``.
        missed: usersets stored on the goal that the subject is not in; a few are children.
        children: what it rests on; on a yes the deciding parts, on a no all that was looked at.
    """

    kind: str
    membership: Membership
    resource: ObjectRef | None = None
    relation: str = ""
    relationship: Relationship | None = None
    missed: int = 0
    children: list[TraceNode] = field(default_factory=list)


RoleReason = Literal[
    "decides", "does_not_carry", "does_not_cover", "other_tenant", "not_of_this_tenant", "no_role"
]


@dataclass(frozen=True, slots=True)
class RoleTrace:
    """A role that the subject holds somewhere, and what came of it.

    Attributes:
        role_id: which role.
        scope: id of the scope it is held on.
        considered: whether it counts in this question at all; False for other tenants' scopes.
        reason: ``decides``; ``does_not_carry`` (held here, its policies do not give the
            permission); ``does_not_cover`` (held on another path); ``other_tenant`` (held in a
            tenant the question does not name); ``not_of_this_tenant`` (a tenant's own role, held
            outside of its tenant, where it means nothing); ``no_role`` (it does not exist any
            more).
        carries: whether its policies give the permission.
        held: whether it is held here: on a scope that covers the resource.
        holder: whom the role is assigned to: the subject itself, or a userset it is in; None
            where telling it took too many reads.
        relationships: how the subject is in that userset, through nested ones; empty if it is
            assigned to the subject itself.
    """

    role_id: str
    scope: str
    considered: bool
    reason: RoleReason
    carries: bool
    held: bool
    holder: SubjectRef | None
    relationships: tuple[Relationship, ...] = ()


@dataclass(frozen=True, slots=True)
class Explanation:
    """Why, or why not.

    Attributes:
        membership: the decision, roles included.
        root: the trace of what the schema and relationships say.
        proof: where relationships say yes, a minimal set of them that alone, under the same
            schema, gives the same yes; else empty.
        suggestions: on a no the smallest single relationships that would turn it, best first.
        reads: adjacency reads it took.
        cut: whether the trace was bounded before it was complete (the decision never is).
        roles: roles the subject holds anywhere, deciding ones first.
        roles_total: how many it holds; more than ``roles`` where those were cut.
        via_relationships, via_role: the two ways apart; None where one was not to be looked at.
    """

    membership: Membership
    root: TraceNode
    proof: tuple[Relationship, ...]
    suggestions: tuple[Relationship, ...]
    reads: int
    cut: bool
    roles: tuple[RoleTrace, ...] = ()
    roles_total: int = 0
    via_relationships: bool | None = None
    via_role: bool | None = None


@dataclass(slots=True)
class ExpandNode:
    """One node of a userset's tree (Zanzibar §2.4.5).

    Attributes:
        kind: ``direct`` (leaf with ``subjects``), ``computed``, ``arrow``, ``union``,
            ``intersection``, ``exclusion`` (base first), ``seen``.
        resource, relation: what this node expands.
        subjects: for ``direct``: what is stored, usersets unexpanded, at most the limit asked for.
        subjects_total: how many there are.
    """

    kind: str
    resource: ObjectRef
    relation: str
    subjects: list[SubjectRef] = field(default_factory=list)
    subjects_total: int = 0
    children: list[ExpandNode] = field(default_factory=list)

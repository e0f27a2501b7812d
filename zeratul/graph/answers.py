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
    """Does the subject have the relation (or permission) to the resource?"""

    subject: SubjectRef
    resource: ObjectRef
    relation: str


@dataclass(frozen=True, slots=True)
class ResourceAnswer:
    """Every resource of one type that a subject reaches.

    Attributes:
        nodes: their node numbers, exact and complete.
        via: kind of way -> the part of ``nodes`` it reaches (parts overlap).
    """

    nodes: BitMap
    via: dict[Via, BitMap]


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


@dataclass(frozen=True, slots=True)
class Explanation:
    """Why, or why not.

    Attributes:
        membership: the decision.
        root: the trace.
        proof: on a yes a minimal set of relationships that alone, under the same schema, gives the
            same yes; empty on a no.
        suggestions: on a no the smallest single relationships that would turn it, best first.
        reads: adjacency reads it took.
        cut: whether the trace was bounded before it was complete (the decision never is).
    """

    membership: Membership
    root: TraceNode
    proof: tuple[Relationship, ...]
    suggestions: tuple[Relationship, ...]
    reads: int
    cut: bool


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

"""Explanations: a traced check over an overlay, its proof made minimal, suggestions tried out.

A proof is checked by replay: its rows alone, over an empty store under the same plan, must give
the same yes. A suggestion is a single relationship that, tried on top of everything, turns the no;
the one that opens least comes first.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from zeratul.dispatch.minimal import MINIMISED_ROWS_MAX, minimal
from zeratul.domain.membership import Membership
from zeratul.errors import LimitError
from zeratul.graph.answers import Explanation, TraceNode
from zeratul.graph.check import check
from zeratul.graph.requests import Budget
from zeratul.graph.trace import trace

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence
    from typing import TypeVar

    from zeratul.dispatch.explaining_roles import RolesExplained
    from zeratul.dispatch.naming import Naming
    from zeratul.dispatch.overlay import Overlay
    from zeratul.domain.limits import Limits
    from zeratul.domain.relationship import ObjectRef
    from zeratul.graph.plan import Plan
    from zeratul.graph.requests import Evaluation, Subject
    from zeratul.graph.solver import Row
    from zeratul.graph.trace import Step, Trace

    T = TypeVar("T")
    Run = Callable[[Evaluation[T], Overlay], T]

# LIMIT: suggestions tried, and shown.
SUGGESTIONS_TRIED_MAX = 64
SUGGESTIONS_SHOWN_MAX = 5


def explain(
    plan: Plan,
    subject: Subject,
    node: int,
    slot: int,
    *,
    naming: Naming,
    source: Overlay,
    run: Run[object],
    limits: Limits,
    by_role: RolesExplained | None = None,
) -> Explanation:
    """Why or why not.

    Args:
        plan: the compiled schema.
        subject: who.
        node: the resource.
        slot: the relation or permission.
        naming: names of what is told.
        source: read from.
        run: drives an evaluation over a source.
        limits: bounds of the evaluations.
        by_role: what roles say; None where they cannot matter.

    Raises:
        LimitError: the decision itself needs too many reads.
    """
    budget = Budget(limits.explain_reads_max, "explain_reads_max")
    traced: Trace = run(  # type: ignore[assignment]
        trace(plan, subject, node, slot, nodes_max=limits.explain_nodes_max, budget=budget),
        source,
    )
    proof: Sequence[Row] = ()
    suggestions: list[Row] = []
    cut = traced.cut

    def holds(over: Overlay) -> bool:
        """Whether the question is a yes over these rows."""
        question = check(
            plan, subject, node, slot, Budget(limits.check_reads_max, "check_reads_max")
        )
        return run(question, over) is Membership.MEMBER

    if traced.membership is Membership.MEMBER:
        proof = traced.proof
        if len(proof) <= MINIMISED_ROWS_MAX:
            proof = minimal(traced.proof, holds)
        else:
            cut = True
    elif by_role is None or not by_role.decides:
        suggestions = _suggestions(plan, subject, node, slot, source, holds)
    explained = Explanation(
        membership=traced.membership,
        root=_named(traced.root, naming),
        proof=tuple(naming.relationships(proof)),
        suggestions=tuple(naming.relationships(suggestions)),
        reads=budget.reads,
        cut=cut,
        via_relationships=traced.membership is Membership.MEMBER,
        via_role=False,
    )
    return explained if by_role is None else _with_roles(explained, by_role)


def explain_on_type(
    resource: ObjectRef, relation: str, by_role: RolesExplained | None
) -> Explanation:
    """Why or why not on a type as a whole, which relationships say nothing about."""
    root = TraceNode("relation", Membership.NOT_MEMBER, resource, relation)
    explained = Explanation(Membership.NOT_MEMBER, root, (), (), 0, cut=False, via_role=False)
    return explained if by_role is None else _with_roles(explained, by_role)


def _with_roles(explained: Explanation, by_role: RolesExplained) -> Explanation:
    return replace(
        explained,
        membership=Membership.MEMBER if by_role.decides else explained.membership,
        reads=explained.reads + by_role.reads,
        cut=explained.cut or by_role.cut,
        roles=by_role.traces,
        roles_total=by_role.total,
        via_role=by_role.decides,
    )


def _suggestions(
    plan: Plan,
    subject: Subject,
    node: int,
    slot: int,
    source: Overlay,
    holds: Callable[[Overlay], bool],
) -> list[Row]:
    """Single rows on the resource itself that turn the no, the one that opens least first.

    Without the one that opens all that the others open, an owner's: less is enough.
    """
    opens = _opened(plan, _candidates(plan, subject, slot))
    candidates = sorted(opens, key=lambda stored: (len(opens[stored]), stored))
    found: list[Row] = []
    for stored in candidates[:SUGGESTIONS_TRIED_MAX]:
        row = (node, stored, subject.slot, subject.node)
        if row in source.added:
            continue
        try:
            turned = holds(source.with_row(row))
        except LimitError:
            continue  # a suggestion is an offer; the answer stands without it
        if turned:
            found.append(row)
            if len(found) == SUGGESTIONS_SHOWN_MAX:
                break
    opened = {stored: opens[stored] for _, stored, _, _ in found}
    return [row for row in found if not _opens_all(row[1], opened)]


def _candidates(plan: Plan, subject: Subject, slot: int) -> set[int]:
    """Stored slots of the resource's type that take the subject."""
    wanted: set[int] = set()
    seen: set[int] = set()
    stack = [slot]
    while stack:
        here = stack.pop()
        if here in seen:
            continue
        seen.add(here)
        for part in plan.bodies[here].bodies():
            wanted.update(part.plain.get(subject.slot, ()))
            stack.extend(part.calls)
    return wanted


def _opened(plan: Plan, candidates: Iterable[int]) -> dict[int, set[int]]:
    """Of each stored slot, the relations and permissions that rest on it."""
    reading: dict[int, list[int]] = {}
    asking: dict[int, list[int]] = {}
    for slot, body in plan.bodies.items():
        for part in body.bodies():
            for stored in part.direct:
                reading.setdefault(stored, []).append(slot)
            for below in (*part.calls, *(target for _, _, target in part.arrows)):
                asking.setdefault(below, []).append(slot)
    opened: dict[int, set[int]] = {}
    for stored in candidates:
        found = opened[stored] = {stored, *reading.get(stored, ())}
        stack = list(found)
        while stack:
            new = set(asking.get(stack.pop(), ())) - found
            found |= new
            stack.extend(new)
    return opened


def _opens_all(stored: int, opened: Mapping[int, set[int]]) -> bool:
    """Whether it opens whatever any of these does, but for their own names, and some open less."""
    sizes = [len(each) for each in opened.values()]
    return min(sizes) < max(sizes) == len(opened[stored]) and all(
        below - {other} <= opened[stored] for other, below in opened.items()
    )


def _named(root: Step, naming: Naming) -> TraceNode:
    """A trace with names for its numbers."""
    steps: list[Step] = [root]
    for step in steps:  # grows while it is walked
        steps.extend(step.children)
    nodes = {step.node for step in steps if step.node}
    rows = [step.row for step in steps if step.row is not None]
    objects = naming.objects(sorted(nodes))
    relationships = dict(zip(rows, naming.relationships(rows), strict=True))
    made: dict[int, TraceNode] = {}
    for step in reversed(steps):
        made[id(step)] = TraceNode(
            kind=step.kind,
            membership=step.membership,
            resource=objects.get(step.node),
            relation=naming.relation(step.slot) if step.slot else "",
            relationship=relationships[step.row] if step.row is not None else None,
            missed=step.missed,
            children=[made[id(child)] for child in step.children],
        )
    return made[id(root)]

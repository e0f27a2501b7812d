"""Check whether a subject is in resource#relation (Zanzibar §3.2.3).

Theory of operation: goals are (node, slot). A goal's body asks three things of the store: is there
a row naming the subject; does a row name a userset of the subject's closure; which objects or
boundary usersets come next. The frontier advances in rounds, a goal is visited once, so cycles end
and there is no depth limit, only a read budget.

Where no operation can be reached (``plan.union_only``) the first hit decides. Otherwise goals
become cells of a boolean system (``graph.solver``).

Why the closure: membership in nested groups is answered from the subject's side by a bitmap test
instead of walking a group's members. A subject in very many usersets may decline it; then usersets
on the resource are followed one by one until there are too many of those as well.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from zeratul.domain.membership import Membership
from zeratul.graph.requests import CLOSURE, HAS, MEETS, SUBJECT_COUNTS, SUBJECTS
from zeratul.graph.solver import Cell, Solver

if TYPE_CHECKING:
    from pyroaring import BitMap

    from zeratul.graph.plan import Body, Plan
    from zeratul.graph.requests import Budget, Evaluation, Subject

# LIMIT: usersets followed from the resource's side before the subject's closure is built after
# all.
FOLLOWED_USERSETS_MAX = 1_000

_MEMBER = Membership.MEMBER
_NOT_MEMBER = Membership.NOT_MEMBER


def check(
    plan: Plan, subject: Subject, node: int, slot: int, budget: Budget
) -> Evaluation[Membership]:
    """Whether the subject is in ``node#slot``.

    Raises:
        LimitError: the read budget is used up.
    """
    if slot in plan.union_only:
        return (yield from _check_union(plan, subject, node, slot, budget))
    solver = Solver(plan, subject, budget)
    cells = yield from solver.solve([Cell("union", node, plan.bodies[slot], slot)])
    return cells[0].value


class _Round:
    """What one round of a union check reads."""

    __slots__ = ("follow", "has", "targets", "usersets")

    def __init__(self) -> None:
        self.has: list[tuple[int, int, int, int]] = []
        self.usersets: list[tuple[int, int, int]] = []
        self.follow: list[tuple[int, int, int]] = []
        self.targets: list[int] = []

    def look(self, node: int, body: Body, subject: Subject, closable: frozenset[int]) -> bool:
        """Collect the reads of one goal; whether the subject is that very userset."""
        subject_node, subject_slot, wildcard_node, wildcard_slot = subject
        if node == subject_node and subject_slot in body.covers:
            return True
        plain = body.plain
        for stored in plain.get(subject_slot, ()):
            self.has.append((node, stored, subject_slot, subject_node))
        if wildcard_node is not None:
            for stored in plain.get(wildcard_slot, ()):
                self.has.append((node, stored, wildcard_slot, wildcard_node))
        for stored, userset in body.usersets:
            if userset in closable:
                self.usersets.append((node, stored, userset))
            else:
                self.go(node, stored, userset, userset)
        for tupleset, object_slot, target in body.arrows:
            self.go(node, tupleset, object_slot, target)
        return False

    def go(self, node: int, stored: int, form: int, target: int) -> None:
        """Ask what rows of this form name, to look at their ``target`` next."""
        self.follow.append((node, stored, form))
        self.targets.append(target)

    def meets(self, closure: dict[int, BitMap]) -> list[tuple[int, int, int, BitMap]]:
        """Usersets to test against a closure; those the subject is in none of are left out."""
        return [
            (node, stored, userset, closure[userset])
            for node, stored, userset in self.usersets
            if userset in closure
        ]

    def size(self) -> int:
        """Keys it reads."""
        return len(self.has) + len(self.usersets) + len(self.follow)


def _check_union(
    plan: Plan, subject: Subject, node: int, slot: int, budget: Budget
) -> Evaluation[Membership]:
    """The first hit decides: every reachable body is a plain union."""
    usersets = _Usersets()
    seen = {(node, slot)}
    frontier = [(node, slot)]
    while frontier:
        reads = _Round()
        for goal, goal_slot in frontier:
            if reads.look(goal, plan.bodies[goal_slot], subject, plan.closable):
                return _MEMBER
        budget.spend(reads.size())
        if reads.has and True in (yield HAS, reads.has):
            return _MEMBER
        if reads.usersets and (yield from usersets.meet(reads)):
            return _MEMBER
        frontier = []
        if reads.follow:
            answers = yield SUBJECTS, reads.follow
            frontier = _next(reads.targets, answers, seen, budget)
    return _NOT_MEMBER


class _Usersets:
    """How usersets on resources are tested: by the subject's closure, or one by one.

    A closure that is large and not there yet is declined at first; then usersets are followed from
    the resource's side until there are too many of those as well.
    """

    __slots__ = ("asked", "closure", "followed")

    def __init__(self) -> None:
        self.closure: dict[int, BitMap] | None = None
        self.asked = False
        self.followed = 0

    def meet(self, reads: _Round) -> Evaluation[bool]:
        """Whether the subject is in one of the round's usersets; else they may be followed."""
        if not self.asked:
            self.asked = True
            self.closure = yield CLOSURE, False
        if self.closure is None:
            self.followed += sum((yield SUBJECT_COUNTS, reads.usersets))
            if self.followed > FOLLOWED_USERSETS_MAX:
                self.closure = yield CLOSURE, True
        if self.closure is not None:
            meets = reads.meets(self.closure)
            return bool(meets) and any(met is not None for met in (yield MEETS, meets))
        for node, stored, userset in reads.usersets:
            reads.go(node, stored, userset, userset)
        return False


def _next(
    targets: list[int], answers: list[BitMap], seen: set[tuple[int, int]], budget: Budget
) -> list[tuple[int, int]]:
    """Goals not seen before."""
    frontier = []
    for target, nodes in zip(targets, answers, strict=True):
        if not nodes:
            continue
        budget.spend(len(nodes))
        for node in nodes:
            goal = (node, target)
            if goal not in seen:
                seen.add(goal)
                frontier.append(goal)
    return frontier

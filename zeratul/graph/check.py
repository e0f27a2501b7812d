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
from zeratul.graph.requests import CLOSURE, HAS, MEETS, SUBJECT_COUNTS, SUBJECTS, WALKED
from zeratul.graph.solver import Cell, Solver

if TYPE_CHECKING:
    from pyroaring import BitMap

    from zeratul.graph.plan import Body, Plan
    from zeratul.graph.requests import Budget, Closure, Evaluation, Subject

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

    __slots__ = ("follow", "has", "led", "targets")

    def __init__(self) -> None:
        self.has: list[tuple[int, int, int, int]] = []
        # (node, stored slot, subject slot, slot to ask of the subjects): usersets and arrows.
        self.led: list[tuple[int, int, int, int]] = []
        self.follow: list[tuple[int, int, int]] = []
        self.targets: list[int] = []

    def look(self, node: int, body: Body, subject: Subject) -> bool:
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
        for stored, form, target in body.led:
            self.led.append((node, stored, form, target))
        return False


def _check_union(
    plan: Plan, subject: Subject, node: int, slot: int, budget: Budget
) -> Evaluation[Membership]:
    """The first hit decides: every reachable body is a plain union."""
    usersets = _Usersets(plan, subject)
    seen = {(node, slot)}
    frontier = [(node, slot)]
    walked = False
    while frontier:
        reads = _Round()
        for goal, goal_slot in frontier:
            if reads.look(goal, plan.bodies[goal_slot], subject):
                return _MEMBER
        budget.spend(len(reads.has) + len(reads.led))
        if reads.has and True in (yield HAS, reads.has):
            return _MEMBER
        if reads.led and (yield from usersets.meet(reads)):
            return _MEMBER
        frontier = []
        if reads.follow:
            if not walked:
                walked = True
                yield WALKED, (subject,)
            answers = yield SUBJECTS, reads.follow
            frontier = _next(reads.targets, answers, seen, budget)
    return _NOT_MEMBER


class _Usersets:
    """How what rows lead to is tested: by the subject's closure, or one by one.

    A closure that is large and not there yet is declined at first; then usersets are followed from
    the resource's side until there are too many of those as well.
    """

    __slots__ = ("asked", "closure", "followed", "plan", "subject")

    def __init__(self, plan: Plan, subject: Subject) -> None:
        self.plan = plan
        self.subject = subject
        self.closure: Closure | None = None
        self.asked = False
        self.followed = 0

    def meet(self, reads: _Round) -> Evaluation[bool]:
        """Whether the subject is in something the round leads to; the rest is to be followed."""
        closable = self.plan.closable
        if not self.asked:
            self.asked = True
            self.closure = yield CLOSURE, (self.subject, False)
        if self.closure is None:
            counted = [led[:3] for led in reads.led if led[3] in closable]
            self.followed += sum((yield SUBJECT_COUNTS, counted)) if counted else 0
            if self.followed > FOLLOWED_USERSETS_MAX:
                self.closure = yield CLOSURE, (self.subject, True)
        meets = self._split(reads)
        return bool(meets) and any(met is not None for met in (yield MEETS, meets))

    def _split(self, reads: _Round) -> list[tuple[int, int, int, BitMap]]:
        """What the closure can tell; everything else goes to ``reads.follow``."""
        meets: list[tuple[int, int, int, BitMap]] = []
        closure = self.closure
        for node, stored, form, target in reads.led:
            if closure is not None and (
                target in self.plan.closable or (closure.wide and target in self.plan.containers)
            ):
                inside = closure.sets.get(target)
                if inside is not None:
                    meets.append((node, stored, form, inside))
            else:
                reads.follow.append((node, stored, form))
                reads.targets.append(target)
        return meets


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

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
    plan: Plan, subject: Subject, node: int, slot: int, budget: Budget, *, looked: bool = False
) -> Evaluation[Membership]:
    """Whether the subject is in ``node#slot``.

    Args:
        plan: the compiled schema.
        subject, node, slot: the question.
        budget: what it may read.
        looked: whether none of the ``rows_naming`` the subject is there, as the caller knows.

    Raises:
        LimitError: the read budget is used up.
    """
    # No generator around the one that does it: every answer would go through both.
    if slot in plan.union_only:
        return _check_union(plan, subject, node, slot, budget, looked=looked)
    return _check_cells(plan, subject, node, slot, budget)


def rows_naming(plan: Plan, subject: Subject, node: int, slot: int) -> list[_Row]:
    """Rows that would decide by themselves, where no operation can be reached; else none."""
    rows: list[_Row] = []
    if slot in plan.union_only:
        _look(node, plan.bodies[slot], subject, rows, [])
    return rows


def _check_cells(
    plan: Plan, subject: Subject, node: int, slot: int, budget: Budget
) -> Evaluation[Membership]:
    """An operation can be reached: the goals are cells of a boolean system."""
    solver = Solver(plan, subject, budget)
    cells = yield from solver.solve([Cell("union", node, plan.bodies[slot], slot)])
    return cells[0].value


def _check_union(
    plan: Plan, subject: Subject, node: int, slot: int, budget: Budget, *, looked: bool
) -> Evaluation[Membership]:
    """The first hit decides: every reachable body is a plain union."""
    frontier = [(node, slot)]
    usersets: _Usersets | None = None
    while frontier:
        has: list[_Row] = []
        led: list[_Led] = []
        for goal, goal_slot in frontier:
            if _look(goal, plan.bodies[goal_slot], subject, has, led):
                return _MEMBER
        budget.spend(len(has) + len(led))
        if has and not looked and True in (yield HAS, has):
            return _MEMBER
        looked = False
        if not led:
            break
        if usersets is None:
            usersets = _Usersets(plan, subject, (node, slot))
        if (yield from usersets.meet(led)):
            return _MEMBER
        frontier = (yield from usersets.next(budget)) if usersets.follow else []
    return _NOT_MEMBER


_Row = tuple[int, int, int, int]
"""Node, stored slot, subject slot, subject."""

_Led = tuple[int, int, int, int]
"""Node, stored slot, subject slot, slot to ask of the subjects: a userset or an arrow."""


def _look(node: int, body: Body, subject: Subject, has: list[_Row], led: list[_Led]) -> bool:
    """Collect the reads of one goal; whether the subject is that very userset."""
    subject_node, subject_slot, wildcard_node, wildcard_slot = subject
    if node == subject_node and subject_slot in body.covers:
        return True
    plain = body.plain
    # One or two each: a list made for them first would cost more than the loop.
    for stored in plain.get(subject_slot, ()):
        has.append((node, stored, subject_slot, subject_node))  # noqa: PERF401
    if wildcard_node is not None:
        for stored in plain.get(wildcard_slot, ()):
            has.append((node, stored, wildcard_slot, wildcard_node))  # noqa: PERF401
    for stored, form, target in body.led:
        led.append((node, stored, form, target))
    return False


class _Usersets:
    """How what rows lead to is tested: by the subject's closure, or one by one.

    A closure that is large and not there yet is declined at first; then usersets are followed from
    the resource's side until there are too many of those as well.
    """

    __slots__ = (
        "asked",
        "closure",
        "follow",
        "followed",
        "plan",
        "seen",
        "subject",
        "targets",
        "walked",
    )

    def __init__(self, plan: Plan, subject: Subject, goal: tuple[int, int]) -> None:
        self.plan = plan
        self.subject = subject
        self.closure: Closure | None = None
        self.asked = False
        self.walked = False
        self.followed = 0
        # What the closure could not tell: rows to read, and the slots to ask of their subjects.
        self.follow: list[tuple[int, int, int]] = []
        self.targets: list[int] = []
        self.seen = {goal}

    def meet(self, led: list[_Led]) -> Evaluation[bool]:
        """Whether the subject is in something the round leads to; the rest is to be followed."""
        if not self.asked:
            self.asked = True
            self.closure = yield CLOSURE, (self.subject, False)
        if self.closure is None:
            closable = self.plan.closable
            counted = [each[:3] for each in led if each[3] in closable]
            self.followed += sum((yield SUBJECT_COUNTS, counted)) if counted else 0
            if self.followed > FOLLOWED_USERSETS_MAX:
                self.closure = yield CLOSURE, (self.subject, True)
        meets = self._split(led)
        return bool(meets) and any(met is not None for met in (yield MEETS, meets))

    def _split(self, led: list[_Led]) -> list[tuple[int, int, int, BitMap]]:
        """What the closure can tell; everything else is to be followed."""
        meets: list[tuple[int, int, int, BitMap]] = []
        closure, plan = self.closure, self.plan
        self.follow, self.targets = [], []
        for node, stored, form, target in led:
            if closure is not None and (
                target in plan.closable or (closure.wide and target in plan.containers)
            ):
                inside = closure.sets.get(target)
                if inside is not None:
                    meets.append((node, stored, form, inside))
            else:
                self.follow.append((node, stored, form))
                self.targets.append(target)
        return meets

    def next(self, budget: Budget) -> Evaluation[list[tuple[int, int]]]:
        """Goals not seen before."""
        if not self.walked:
            self.walked = True
            yield WALKED, (self.subject,)
        answers = yield SUBJECTS, self.follow
        frontier = []
        for target, nodes in zip(self.targets, answers, strict=True):
            if not nodes:
                continue
            budget.spend(len(nodes))
            for node in nodes:
                goal = (node, target)
                if goal not in self.seen:
                    self.seen.add(goal)
                    frontier.append(goal)
        return frontier

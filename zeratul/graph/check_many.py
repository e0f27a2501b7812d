"""Check many questions at once: shared closures, one batch of reads a round for all of them.

The rounds are those of ``graph.check``; every goal carries the number of its question. Only
questions that reach no operation are asked here. A closure is asked for when the rows that name
the subject did not decide; where it is declined the question is given back.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from zeratul.domain.membership import Membership
from zeratul.graph.requests import CLOSURE, HAS, MEETS, SUBJECTS

if TYPE_CHECKING:
    from collections.abc import Sequence

    from pyroaring import BitMap

    from zeratul.graph.plan import Plan
    from zeratul.graph.requests import Budget, Closure, Evaluation, Subject

Question = tuple["Subject", int, int]
"""Subject, resource node, slot."""

_Goal = tuple[int, int, int]
"""Number of the question, node, slot."""


def check_many(
    plan: Plan, questions: Sequence[Question], budget: Budget
) -> Evaluation[list[Membership | None]]:
    """Whether each subject is in its node#slot, in order; None for those to be asked alone.

    Raises:
        LimitError: the read budget is used up; nothing was decided.
    """
    batch = _Batch(plan, questions, budget)
    frontier = [(index, node, slot) for index, (_, node, slot) in enumerate(questions)]
    batch.seen.update(frontier)
    while frontier:
        frontier = yield from batch.round(frontier)
    return batch.answers


class _Batch:
    """Questions with their answers so far; ``seen`` are goals looked at."""

    def __init__(self, plan: Plan, questions: Sequence[Question], budget: Budget) -> None:
        self.plan = plan
        self.questions = questions
        self.answers: list[Membership | None] = [Membership.NOT_MEMBER] * len(questions)
        self.closures: dict[Subject, Closure | None] = {}
        self.budget = budget
        self.seen: set[_Goal] = set()

    def round(self, frontier: list[_Goal]) -> Evaluation[list[_Goal]]:
        """Look at all goals; the goals one step on."""
        answers = self.answers
        has, owners = self._rows(frontier)
        self.budget.spend(len(has))
        if has:
            for index, present in zip(owners, (yield HAS, has), strict=True):
                if present:
                    answers[index] = Membership.MEMBER
        yield from self._close(frontier)
        open_goals = [goal for goal in frontier if answers[goal[0]] is Membership.NOT_MEMBER]
        meets, met_by, follow, led = self._led(open_goals)
        self.budget.spend(len(meets) + len(follow))
        if meets:
            for index, met in zip(met_by, (yield MEETS, meets), strict=True):
                if met is not None:
                    answers[index] = Membership.MEMBER
        if not follow:
            return []
        return self._next(led, (yield SUBJECTS, follow))

    def _close(self, goals: list[_Goal]) -> Evaluation[None]:
        """Ask for closures that open goals need; a question without one is given back."""
        answers, closures, bodies = self.answers, self.closures, self.plan.bodies
        for index, _, slot in goals:
            if answers[index] is not Membership.NOT_MEMBER or not bodies[slot].led:
                continue
            subject = self.questions[index][0]
            if subject not in closures:
                closures[subject] = yield CLOSURE, (subject, False)
            if closures[subject] is None:
                answers[index] = None

    def _rows(self, frontier: list[_Goal]) -> tuple[list[tuple[int, int, int, int]], list[int]]:
        """Rows that would name a goal's subject, with the number of the question."""
        keys: list[tuple[int, int, int, int]] = []
        owners: list[int] = []
        bodies = self.plan.bodies
        for index, node, slot in frontier:
            subject_node, subject_slot, wildcard_node, wildcard_slot = self.questions[index][0]
            body = bodies[slot]
            if node == subject_node and subject_slot in body.covers:
                self.answers[index] = Membership.MEMBER
                continue
            for stored in body.plain.get(subject_slot, ()):
                keys.append((node, stored, subject_slot, subject_node))
                owners.append(index)
            if wildcard_node is not None:
                for stored in body.plain.get(wildcard_slot, ()):
                    keys.append((node, stored, wildcard_slot, wildcard_node))
                    owners.append(index)
        return keys, owners

    def _led(
        self, goals: list[_Goal]
    ) -> tuple[
        list[tuple[int, int, int, BitMap]],
        list[int],
        list[tuple[int, int, int]],
        list[tuple[int, int]],
    ]:
        """What closures can tell (with the question), and what is to be followed (with target)."""
        meets: list[tuple[int, int, int, BitMap]] = []
        met_by: list[int] = []
        follow: list[tuple[int, int, int]] = []
        led: list[tuple[int, int]] = []
        closable, containers = self.plan.closable, self.plan.containers
        for index, node, slot in goals:
            closure = self.closures.get(self.questions[index][0])
            if closure is None:
                continue  # nothing leads on from here
            sets, wide = closure
            for stored, form, target in self.plan.bodies[slot].led:
                if target in closable or (wide and target in containers):
                    inside = sets.get(target)
                    if inside is not None:
                        meets.append((node, stored, form, inside))
                        met_by.append(index)
                else:
                    follow.append((node, stored, form))
                    led.append((index, target))
        return meets, met_by, follow, led

    def _next(self, led: list[tuple[int, int]], answers: list[BitMap]) -> list[_Goal]:
        """Goals of open questions not looked at before."""
        frontier: list[_Goal] = []
        for (index, target), nodes in zip(led, answers, strict=True):
            if not nodes or self.answers[index] is not Membership.NOT_MEMBER:
                continue
            self.budget.spend(len(nodes))
            for node in nodes:
                goal = (index, node, target)
                if goal not in self.seen:
                    self.seen.add(goal)
                    frontier.append(goal)
        return frontier

"""Check many questions at once: shared closures, one batch of reads a round for all of them.

The rounds are those of ``graph.check``. Only questions that reach no operation are asked here. A
goal is a node, a slot and a subject, and carries the questions that came to it: those of one
subject share what they have in common, such as the folders above their documents. Goals of a round
are in the order of their nodes, and so are the reads: neighbours share pages.

A closure is asked for when the rows that name the subject did not decide; where it is declined the
question is given back.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from zeratul.domain.membership import Membership
from zeratul.graph.requests import CLOSURES, HAS, MEETS, SUBJECTS, WALKED

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from pyroaring import BitMap

    from zeratul.graph.plan import Plan
    from zeratul.graph.requests import Budget, Closure, Evaluation, Subject

Question = tuple["Subject", int, int]
"""Subject, resource node, slot."""

_Goal = tuple[int, int, int]
"""Node, slot, number of the subject."""

_Open = tuple[int, int, int, list[int]]
"""A goal with the numbers of the questions that came to it: a yes is a yes to all of them."""

_MEMBER = Membership.MEMBER
_NOT_MEMBER = Membership.NOT_MEMBER


def check_many(
    plan: Plan, questions: Sequence[Question], budget: Budget
) -> Evaluation[list[Membership | None]]:
    """Whether each subject is in its node#slot, in order; None for those to be asked alone.

    Raises:
        LimitError: the read budget is used up; nothing was decided.
    """
    numbers: dict[Subject, int] = {}
    goals: dict[_Goal, list[int]] = {}
    for index, (subject, node, slot) in enumerate(questions):
        goal = (node, slot, numbers.setdefault(subject, len(numbers)))
        if goal in goals:
            goals[goal].append(index)
        else:
            goals[goal] = [index]
    batch = _Batch(plan, list(numbers), len(questions), budget)
    frontier = _in_order(goals)
    while frontier:
        frontier = yield from batch.round(frontier)
    return batch.answers


class _Batch:
    """Questions with their answers so far.

    Attributes:
        closures: by number of the subject, as far as they were asked for; None if declined.
        met: goals that were walked to, with the questions that came there.
        walked: numbers of the subjects that walked.
    """

    def __init__(self, plan: Plan, subjects: list[Subject], count: int, budget: Budget) -> None:
        self.plan = plan
        self.subjects = subjects
        self.answers: list[Membership | None] = [_NOT_MEMBER] * count
        self.closures: dict[int, Closure | None] = {}
        self.budget = budget
        self.met: dict[_Goal, list[int]] = {}
        self.walked: set[int] = set()

    def round(self, frontier: list[_Open]) -> Evaluation[list[_Open]]:
        """Look at all goals; the goals one step on."""
        has, deciding = self._rows(frontier)
        self.budget.spend(len(has))
        if has:
            self._decide(deciding, (yield HAS, has))
        bodies = self.plan.bodies
        frontier = self._undecided(goal for goal in frontier if bodies[goal[1]].led)
        yield from self._close(frontier)
        meets, deciding, walks = self._led(frontier)
        self.budget.spend(len(meets))
        if meets:
            self._decide(deciding, [met is not None for met in (yield MEETS, meets)])
        walks = self._undecided(walks)
        if not walks:
            return []
        numbers = {number for _, _, number, _ in walks} - self.walked
        if numbers:
            self.walked |= numbers
            yield WALKED, [self.subjects[number] for number in numbers]
        reads = self._follow(walks)
        self.budget.spend(len(reads))
        return self._next(reads.values(), (yield SUBJECTS, list(reads)))

    def _decide(self, deciding: list[list[int]], found: Sequence[bool]) -> None:
        answers = self.answers
        for owners, yes in zip(deciding, found, strict=True):
            if yes:
                for index in owners:
                    answers[index] = _MEMBER

    def _undecided(self, goals: Iterable[_Open]) -> list[_Open]:
        """The goals that still matter to some question."""
        answers = self.answers
        return [
            goal
            for goal in goals
            if answers[goal[3][0]] is _NOT_MEMBER
            or any(answers[index] is _NOT_MEMBER for index in goal[3])
        ]

    def _rows(
        self, frontier: list[_Open]
    ) -> tuple[list[tuple[int, int, int, int]], list[list[int]]]:
        """Rows that would name a goal's subject, with the questions that each decides."""
        keys: list[tuple[int, int, int, int]] = []
        deciding: list[list[int]] = []
        bodies, subjects = self.plan.bodies, self.subjects
        for node, slot, number, owners in frontier:
            subject_node, subject_slot, wildcard_node, wildcard_slot = subjects[number]
            body = bodies[slot]
            if node == subject_node and subject_slot in body.covers:
                self._decide([owners], (True,))
                continue
            plain = body.plain
            for stored in plain.get(subject_slot, ()):
                keys.append((node, stored, subject_slot, subject_node))
                deciding.append(owners)
            if wildcard_node is not None:
                for stored in plain.get(wildcard_slot, ()):
                    keys.append((node, stored, wildcard_slot, wildcard_node))
                    deciding.append(owners)
        return keys, deciding

    def _close(self, goals: list[_Open]) -> Evaluation[None]:
        """Ask for closures that these goals need; questions without one are given back."""
        closures, subjects, answers = self.closures, self.subjects, self.answers
        wanted = list({number: None for _, _, number, _ in goals if number not in closures})
        if not wanted:
            return
        found = yield CLOSURES, [subjects[number] for number in wanted]
        closures.update(zip(wanted, found, strict=True))
        if None not in found:
            return
        for _, _, number, owners in goals:
            if closures[number] is None:
                for index in owners:
                    if answers[index] is _NOT_MEMBER:
                        answers[index] = None

    def _led(
        self, goals: list[_Open]
    ) -> tuple[list[tuple[int, int, int, BitMap]], list[list[int]], list[_Open]]:
        """What closures can tell, with the questions that each decides; goals that lead beyond."""
        meets: list[tuple[int, int, int, BitMap]] = []
        deciding: list[list[int]] = []
        walks: list[_Open] = []
        closable, containers = self.plan.closable, self.plan.containers
        bodies, closures = self.plan.bodies, self.closures
        for goal in goals:
            node, slot, number, owners = goal
            closure = closures[number]
            if closure is None:
                continue
            sets, wide = closure
            beyond = False
            for stored, form, target in bodies[slot].led:
                if target in closable or (wide and target in containers):
                    inside = sets.get(target)
                    if inside is not None:
                        meets.append((node, stored, form, inside))
                        deciding.append(owners)
                else:
                    beyond = True
            if beyond:
                walks.append(goal)
        return meets, deciding, walks

    def _follow(self, goals: list[_Open]) -> dict[_Goal, list[_Open]]:
        """Reads, each different one once, with the goals that it leads beyond.

        The slot of such a goal is the one to ask of what is read.
        """
        reads: dict[_Goal, list[_Open]] = {}
        closable, containers = self.plan.closable, self.plan.containers
        bodies, closures = self.plan.bodies, self.closures
        for node, slot, number, owners in goals:
            closure = closures[number]
            wide = closure is not None and closure.wide
            for stored, form, target in bodies[slot].led:
                if target in closable or (wide and target in containers):
                    continue
                reads.setdefault((node, stored, form), []).append((node, target, number, owners))
        return reads

    def _next(self, led: Iterable[list[_Open]], answers: list[BitMap]) -> list[_Open]:
        """Goals that open questions did not come to before."""
        goals: dict[_Goal, list[int]] = {}
        said = self.answers
        for beyond, nodes in zip(led, answers, strict=True):
            for _, target, number, owners in beyond if nodes else ():
                waiting = [index for index in owners if said[index] is _NOT_MEMBER]
                self.budget.spend(len(nodes) * len(waiting))
                for node in nodes:
                    goal = (node, target, number)
                    if goal in goals:
                        goals[goal] += waiting
                    else:
                        goals[goal] = waiting.copy()
        return _in_order(self._fresh(goals))

    def _fresh(self, goals: dict[_Goal, list[int]]) -> dict[_Goal, list[int]]:
        """Goals with the questions that did not come there before, each once."""
        fresh: dict[_Goal, list[int]] = {}
        for goal, owners in goals.items():
            before = self.met.get(goal)
            if before is not None:
                known = set(before)
                owners = [index for index in owners if index not in known]  # noqa: PLW2901
            if len(owners) > 1:
                owners = list(dict.fromkeys(owners))  # noqa: PLW2901
            if owners:
                fresh[goal] = owners
                self.met[goal] = owners if before is None else before + owners
        return fresh


def _in_order(goals: dict[_Goal, list[int]]) -> list[_Open]:
    """Goals by node."""
    return sorted([(*goal, owners) for goal, owners in goals.items()])

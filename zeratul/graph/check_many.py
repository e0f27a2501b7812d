"""Check many questions at once: shared closures, one batch of reads a round for all of them.

The rounds are those of ``graph.check``. Only questions that reach no operation are asked here. A
goal is a node, a slot and a subject; it is explored once, whoever comes to it, and knows the goals
that led to it: a yes goes back to all of them. So the questions of one subject share what they
have in common, such as the folders above their documents. Goals of a round are in the order of
their nodes, and so are the reads: neighbours share pages.

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
    asked: list[_Goal] = [
        (node, slot, numbers.setdefault(subject, len(numbers)))
        for subject, node, slot in questions
    ]
    batch = _Batch(plan, list(numbers), frozenset(asked), budget)
    frontier = sorted(batch.roots)
    while frontier and batch.undecided:
        frontier = yield from batch.round(frontier)
    return [batch.answer(goal) for goal in asked]


class _Batch:
    """Goals with what is known of them so far. Each is walked to and explored once.

    Attributes:
        roots: what was asked.
        undecided: how many of these no row decided.
        met: goals that were walked to, with those that led there: a yes is a yes to all of them.
        yes: goals that hold their subject.
        closures: by number of the subject, as far as they were asked for; None if declined.
        walked: numbers of the subjects that walked.
    """

    def __init__(
        self, plan: Plan, subjects: list[Subject], roots: frozenset[_Goal], budget: Budget
    ) -> None:
        self.plan = plan
        self.subjects = subjects
        self.roots = roots
        self.budget = budget
        self.undecided = len(roots)
        self.met: dict[_Goal, list[_Goal]] = {goal: [] for goal in roots}
        self.yes: set[_Goal] = set()
        self.closures: dict[int, Closure | None] = {}
        self.walked: set[int] = set()

    def answer(self, goal: _Goal) -> Membership | None:
        """What is known at the end; None where the subject's closure was declined."""
        if goal in self.yes:
            return _MEMBER
        number = goal[2]
        declined = number in self.closures and self.closures[number] is None
        return None if declined else _NOT_MEMBER

    def round(self, frontier: list[_Goal]) -> Evaluation[list[_Goal]]:
        """Look at all goals; the goals one step on."""
        has, deciding = self._rows(frontier)
        self.budget.spend(len(has))
        if has:
            self._decide(deciding, (yield HAS, has))
        bodies, yes = self.plan.bodies, self.yes
        frontier = [goal for goal in frontier if goal not in yes and bodies[goal[1]].led]
        yield from self._close(frontier)
        meets, deciding, walks = self._led(frontier)
        self.budget.spend(len(meets))
        if meets:
            self._decide(deciding, [met is not None for met in (yield MEETS, meets)])
        walks = [goal for goal in walks if self._matters(goal)]
        if not walks:
            return []
        fresh = {number for _, _, number in walks} - self.walked
        if fresh:
            self.walked |= fresh
            yield WALKED, [self.subjects[number] for number in fresh]
        reads = self._follow(walks)
        self.budget.spend(len(reads))
        return self._next(reads.values(), (yield SUBJECTS, list(reads)))

    def _matters(self, goal: _Goal) -> bool:
        """Whether some goal still waits for this one."""
        if goal in self.yes:
            return False
        if goal in self.roots or not self.yes.issuperset(self.met[goal]):
            return True
        del self.met[goal]  # whoever comes here later finds it unexplored
        return False

    def _decide(self, deciding: list[_Goal], found: Sequence[bool]) -> None:
        for goal, is_member in zip(deciding, found, strict=True):
            if is_member:
                self._carry(goal)

    def _carry(self, goal: _Goal) -> None:
        """Note a yes, to the goal and to all that led to it."""
        yes, met = self.yes, self.met
        pending = [goal]
        while pending:
            goal = pending.pop()
            if goal not in yes:
                yes.add(goal)
                if goal in self.roots:
                    self.undecided -= 1
                pending += met[goal]

    def _rows(self, frontier: list[_Goal]) -> tuple[list[tuple[int, int, int, int]], list[_Goal]]:
        """Rows that would name a goal's subject, with the goal that each decides."""
        keys: list[tuple[int, int, int, int]] = []
        deciding: list[_Goal] = []
        bodies, subjects = self.plan.bodies, self.subjects
        for goal in frontier:
            node, slot, number = goal
            subject_node, subject_slot, wildcard_node, wildcard_slot = subjects[number]
            body = bodies[slot]
            if node == subject_node and subject_slot in body.covers:
                self._carry(goal)
                continue
            plain = body.plain
            for stored in plain.get(subject_slot, ()):
                keys.append((node, stored, subject_slot, subject_node))
                deciding.append(goal)
            if wildcard_node is not None:
                for stored in plain.get(wildcard_slot, ()):
                    keys.append((node, stored, wildcard_slot, wildcard_node))
                    deciding.append(goal)
        return keys, deciding

    def _close(self, goals: list[_Goal]) -> Evaluation[None]:
        """Ask for closures that these goals need."""
        closures, subjects = self.closures, self.subjects
        wanted = list({number: None for _, _, number in goals if number not in closures})
        if not wanted:
            return
        found = yield CLOSURES, [subjects[number] for number in wanted]
        closures.update(zip(wanted, found, strict=True))

    def _led(
        self, goals: list[_Goal]
    ) -> tuple[list[tuple[int, int, int, BitMap]], list[_Goal], list[_Goal]]:
        """What closures can tell, with the goal that each decides; goals that lead beyond."""
        meets: list[tuple[int, int, int, BitMap]] = []
        deciding: list[_Goal] = []
        walks: list[_Goal] = []
        closable, containers = self.plan.closable, self.plan.containers
        bodies, closures = self.plan.bodies, self.closures
        for goal in goals:
            node, slot, number = goal
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
                        deciding.append(goal)
                else:
                    beyond = True
            if beyond:
                walks.append(goal)
        return meets, deciding, walks

    def _follow(self, goals: list[_Goal]) -> dict[_Goal, list[tuple[int, _Goal]]]:
        """Reads, each different one once, with the slot to ask of what is read and for whom."""
        reads: dict[_Goal, list[tuple[int, _Goal]]] = {}
        closable, containers = self.plan.closable, self.plan.containers
        bodies, closures = self.plan.bodies, self.closures
        for goal in goals:
            node, slot, number = goal
            closure = closures[number]
            wide = closure is not None and closure.wide
            for stored, form, target in bodies[slot].led:
                if target in closable or (wide and target in containers):
                    continue
                reads.setdefault((node, stored, form), []).append((target, goal))
        return reads

    def _next(self, led: Iterable[list[tuple[int, _Goal]]], answers: list[BitMap]) -> list[_Goal]:
        """Goals that nobody came to before, in the order of their nodes."""
        met, yes = self.met, self.yes
        fresh: list[_Goal] = []
        for beyond, nodes in zip(led, answers, strict=True):
            for target, goal in beyond if nodes else ():
                self.budget.spend(len(nodes))
                number = goal[2]
                for node in nodes:
                    reached = (node, target, number)
                    before = met.get(reached)
                    if before is None:
                        met[reached] = [goal]
                        fresh.append(reached)
                    elif reached in yes:
                        self._carry(goal)
                        break
                    else:
                        before.append(goal)
        fresh.sort()
        return fresh

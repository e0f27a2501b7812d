"""The solver: goals as cells of a three-valued system whose values only rise.

Theory of operation: a goal (node, slot) is a union cell; intersections and exclusions inside its
body are cells too. A cell that rises tells the cells that rest on it. What an exclusion subtracts
is decided completely by a system of its own, one stratum lower, when its base has risen; so
nothing ever has to be taken back, cycles included, and systems nest no deeper than the schema has
strata.

A tracing solver also keeps, in each cell, what was looked at and what first raised it. Causes are
older than what they raise, hence proofs made of causes are free of cycles.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from pyroaring import BitMap

from zeratul.domain.membership import Membership
from zeratul.graph.requests import CLOSURE, HAS, MEETS, SUBJECTS, WALKED

if TYPE_CHECKING:
    from zeratul.graph.plan import Body, Plan
    from zeratul.graph.requests import Budget, Closure, Evaluation, Subject

Row = tuple[int, int, int, int]
"""A stored fact: resource, slot, subject slot, subject."""

_MEMBER = Membership.MEMBER
_NOT_MEMBER = Membership.NOT_MEMBER
_NOTHING = BitMap()

# LIMIT: usersets of one row set that a trace lists although the subject is in none of them.
TRACED_MISSES_MAX = 10


class Link(NamedTuple):
    """One thing a cell rests on: a row, a cell, or a cell reached by a row."""

    row: Row | None
    cell: Cell | None
    present: bool = True


class Cell:
    """A union, an intersection or an exclusion whose value may rise.

    Attributes:
        kind: ``union``, ``intersection`` or ``exclusion``.
        node: the resource it speaks of.
        body: for a union, what is looked at.
        slot: for a goal, its slot; 0 for operands and operations.
        value: what is known so far.
        parents: cells to tell when it rises, with the row that leads here.
        operands: of an operation (an exclusion has its base here).
        subtract: what an exclusion takes away; ``taken`` is its decided cell.
        looked: when tracing, all it rests on; ``missed`` counts usersets left out of it.
        cause: when tracing, what raised it.
    """

    __slots__ = (
        "body",
        "cause",
        "kind",
        "looked",
        "missed",
        "node",
        "operands",
        "parents",
        "slot",
        "subtract",
        "taken",
        "value",
    )

    def __init__(self, kind: str, node: int, body: Body | None = None, slot: int = 0) -> None:
        self.kind = kind
        self.node = node
        self.body = body
        self.slot = slot
        self.value: Membership = _NOT_MEMBER
        self.parents: list[tuple[Cell, Row | None]] = []
        self.operands: list[Cell] = []
        self.subtract: Body | None = None
        self.taken: Cell | None = None
        self.looked: list[Link] = []
        self.missed = 0
        self.cause: Link | None = None


class Solver:
    """Decides cells for one subject; systems of all strata share what is settled."""

    def __init__(
        self, plan: Plan, subject: Subject, budget: Budget, *, tracing: bool = False
    ) -> None:
        self.plan = plan
        self.subject = subject
        self.budget = budget
        self.tracing = tracing
        self.settled: dict[tuple[int, int], Cell] = {}
        self.walked = False
        self._closure: Closure | None = None

    def solve(self, roots: list[Cell]) -> Evaluation[list[Cell]]:
        """The roots, decided; stops early once all of them are MEMBER."""
        yield from _System(self, roots).run()
        return roots

    def closure(self) -> Evaluation[Closure]:
        """The subject's closure, asked for once."""
        if self._closure is None:
            self._closure = yield CLOSURE, (self.subject, True)
        return self._closure


class _Frontier:
    """Reads of one round, with the cells they are for."""

    __slots__ = ("follow", "follow_for", "has", "has_for", "led", "led_for")

    def __init__(self) -> None:
        self.has: list[Row] = []
        self.has_for: list[Cell] = []
        # (node, stored slot, subject slot, slot to ask of the subjects) a closure may answer.
        self.led: list[tuple[int, int, int, int]] = []
        self.led_for: list[Cell] = []
        self.follow: list[tuple[int, int, int]] = []
        self.follow_for: list[tuple[Cell, int]] = []


class _System:
    """One stratum's cells, from its roots down."""

    def __init__(self, solver: Solver, roots: list[Cell]) -> None:
        self.solver = solver
        self.plan = solver.plan
        self.roots = roots
        self.goals = {(cell.node, cell.slot): cell for cell in roots if cell.slot}
        self.fresh = list(roots)
        self.due: list[Cell] = []  # exclusions whose base rose

    def run(self) -> Evaluation[None]:
        while self.fresh or self.due:
            if all(cell.value is _MEMBER for cell in self.roots):
                return
            if self.due:
                yield from self._subtract()
            if self.fresh:
                yield from self._round()
        # Exhausted without an early stop: every goal met on the way is decided for good.
        self.solver.settled.update(self.goals)

    def _round(self) -> Evaluation[None]:
        frontier = _Frontier()
        looked_at = 0
        while self.fresh:  # operations and calls of a new cell are looked at in the same round
            cells, self.fresh = self.fresh, []
            looked_at += len(cells)
            for cell in cells:
                if cell.body is not None and cell.value is not _MEMBER:
                    self._look(cell, cell.body, frontier)
        self.solver.budget.spend(looked_at + len(frontier.has) + len(frontier.led))
        if frontier.has:
            yield from self._rows(frontier)
        if frontier.led:
            yield from self._led(frontier)
        if frontier.follow:
            yield from self._follow(frontier)

    def _look(self, cell: Cell, body: Body, frontier: _Frontier) -> None:
        """Collect what a union cell has to read, and lay out its operations."""
        subject = self.solver.subject
        node = cell.node
        if node == subject.node and subject.slot in body.covers:
            self._rise(cell, _MEMBER, Link(None, None))
            return
        for stored in body.plain.get(subject.slot, ()):
            frontier.has.append((node, stored, subject.slot, subject.node))
            frontier.has_for.append(cell)
        if subject.wildcard_node is not None:
            for stored in body.plain.get(subject.wildcard_slot, ()):
                frontier.has.append((node, stored, subject.wildcard_slot, subject.wildcard_node))
                frontier.has_for.append(cell)
        for stored, form, target in body.led:
            frontier.led.append((node, stored, form, target))
            frontier.led_for.append(cell)
        for called in body.calls:
            self._rest_on(cell, node, called, None)
        for operation in body.operations:
            self._lay_out(cell, operation.operands, is_exclusion=operation.is_exclusion)

    def _lay_out(self, cell: Cell, operands: tuple[Body, ...], *, is_exclusion: bool) -> None:
        made = Cell("exclusion" if is_exclusion else "intersection", cell.node)
        made.parents.append((cell, None))
        if self.solver.tracing:
            cell.looked.append(Link(None, made))
        if is_exclusion:
            made.subtract = operands[1]
            operands = operands[:1]
        for body in operands:
            operand = Cell("union", cell.node, body)
            operand.parents.append((made, None))
            made.operands.append(operand)
            self.fresh.append(operand)

    def _rows(self, frontier: _Frontier) -> Evaluation[None]:
        answers = yield HAS, frontier.has
        for cell, row, present in zip(frontier.has_for, frontier.has, answers, strict=True):
            if self.solver.tracing:
                cell.looked.append(Link(row, None, present))
            if present:
                self._rise(cell, _MEMBER, Link(row, None))

    def _led(self, frontier: _Frontier) -> Evaluation[None]:
        """Let the closure tell what it can; the rest is followed."""
        closure = yield from self.solver.closure()
        known: list[tuple[int, int, int, BitMap]] = []
        targets: list[int] = []
        cells: list[Cell] = []
        for (node, stored, form, target), cell in zip(frontier.led, frontier.led_for, strict=True):
            if cell.value is _MEMBER:
                continue
            if target in self.plan.closable or (closure.wide and target in self.plan.containers):
                inside = closure.sets.get(target, _NOTHING)
                if inside or self.solver.tracing:
                    known.append((node, stored, form, inside))
                    targets.append(target)
                    cells.append(cell)
            else:
                frontier.follow.append((node, stored, form))
                frontier.follow_for.append((cell, target))
        if not known:
            return
        if self.solver.tracing:
            yield from self._trace(known, targets, cells)
            return
        for cell, met in zip(cells, (yield MEETS, known), strict=True):
            if met is not None:
                self._rise(cell, _MEMBER)

    def _trace(
        self,
        known: list[tuple[int, int, int, BitMap]],
        targets: list[int],
        cells: list[Cell],
    ) -> Evaluation[None]:
        """Follow what the subject is in, so that the way through it is known."""
        answers = yield SUBJECTS, [key[:3] for key in known]
        for (node, stored, form, inside), target, cell, nodes in zip(
            known, targets, cells, answers, strict=True
        ):
            self.solver.budget.spend(len(nodes))
            for reached in nodes & inside:
                self._rest_on(cell, reached, target, (node, stored, form, reached))
            outside = nodes - inside
            cell.missed += len(outside)
            for reached in outside[:TRACED_MISSES_MAX]:
                cell.looked.append(Link((node, stored, form, reached), None, present=False))

    def _follow(self, frontier: _Frontier) -> Evaluation[None]:
        if not self.solver.walked:
            self.solver.walked = True
            yield WALKED, (self.solver.subject,)
        answers = yield SUBJECTS, frontier.follow
        for (cell, target), (node, stored, form), nodes in zip(
            frontier.follow_for, frontier.follow, answers, strict=True
        ):
            if cell.value is _MEMBER or not nodes:
                continue
            self.solver.budget.spend(len(nodes))
            for reached in nodes:
                self._rest_on(cell, reached, target, (node, stored, form, reached))

    def _rest_on(self, cell: Cell, node: int, slot: int, row: Row | None) -> None:
        """Let ``cell`` rise with the goal (node, slot), reached by ``row``."""
        key = (node, slot)
        goal = self.solver.settled.get(key)
        if goal is None:
            goal = self.goals.get(key)
            if goal is None:
                goal = self.goals[key] = Cell("union", node, self.plan.bodies[slot], slot)
                self.fresh.append(goal)
            goal.parents.append((cell, row))
        if self.solver.tracing:
            cell.looked.append(Link(row, goal))
        if goal.value > cell.value:
            self._rise(cell, goal.value, Link(row, goal))

    def _rise(self, cell: Cell, value: Membership, cause: Link | None = None) -> None:
        """Raise a cell and all that rests on it; iterative, chains may be long."""
        stack = [(cell, value, cause)]
        while stack:
            risen, to, why = stack.pop()
            if to <= risen.value:
                continue
            risen.value = to
            risen.cause = why
            for parent, row in risen.parents:
                if parent.kind == "union":
                    stack.append((parent, to, Link(row, risen)))
                elif parent.kind == "intersection":
                    least = min(operand.value for operand in parent.operands)
                    stack.append((parent, least, None))
                else:
                    self.due.append(parent)

    def _subtract(self) -> Evaluation[None]:
        """Decide what due exclusions take away, all of it one stratum lower."""
        due, self.due = self.due, []
        waiting = [cell for cell in dict.fromkeys(due) if cell.taken is None]
        for cell in waiting:
            cell.taken = Cell("union", cell.node, cell.subtract)
        if waiting:
            yield from self.solver.solve([cell.taken for cell in waiting if cell.taken])
        for cell in due:
            if cell.taken is not None:
                left = min(cell.operands[0].value, Membership(2 - cell.taken.value))
                self._rise(cell, left)

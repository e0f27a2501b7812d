"""Trace: a check that keeps what it looked at, and the proof it found.

A yes is shown by the parts that decided it, a no by all that was looked at. The proof of a yes is
the set of rows its causes name. Where the rules subtract, rows can be needed that keep a
subtraction from happening ("banned, but pardoned"): they belong to the proof as well.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from zeratul.domain.membership import Membership
from zeratul.graph.solver import Cell, Link, Solver

if TYPE_CHECKING:
    from zeratul.graph.plan import Plan
    from zeratul.graph.requests import Budget, Evaluation, Subject
    from zeratul.graph.solver import Row


@dataclass(slots=True)
class Step:
    """A node of a trace in numbers; kinds are those of ``answers.TraceNode``."""

    kind: str
    membership: Membership
    node: int = 0
    slot: int = 0
    row: Row | None = None
    missed: int = 0
    children: list[Step] = field(default_factory=list)


@dataclass(slots=True)
class Trace:
    """A decision with its reasons.

    Attributes:
        membership: the decision.
        root: what it rests on.
        proof: rows that decided a yes, not yet minimal; empty on a no.
        cut: whether the tree was bounded.
    """

    membership: Membership
    root: Step
    proof: list[Row]
    cut: bool


def trace(
    plan: Plan, subject: Subject, node: int, slot: int, *, nodes_max: int, budget: Budget
) -> Evaluation[Trace]:
    """Decide and tell why.

    Raises:
        LimitError: the decision itself needs too many reads.
    """
    solver = Solver(plan, subject, budget, tracing=True)
    root = Cell("union", node, plan.bodies[slot], slot)
    yield from solver.solve([root])
    steps, cut = _steps(root, nodes_max)
    proof: dict[Row, None] = {}
    if root.value is Membership.MEMBER:
        _prove(root, proof)
    return Trace(root.value, steps, list(proof), cut)


def _prove(root: Cell, proof: dict[Row, None]) -> None:
    """Collect the rows of a cell's causes."""
    seen: set[int] = set()
    stack = [root]
    while stack:
        cell = stack.pop()
        if id(cell) in seen:
            continue
        seen.add(id(cell))
        if cell.kind == "union":
            if cell.cause is not None:
                if cell.cause.row is not None:
                    proof[cell.cause.row] = None
                if cell.cause.cell is not None:
                    stack.append(cell.cause.cell)
            continue
        stack.extend(cell.operands)
        if cell.taken is not None:
            stack.extend(_spared_by(cell.taken))


def _spared_by(taken: Cell) -> list[Cell]:
    """What keeps ``taken`` from happening: subtractions that took place inside it."""
    found: list[Cell] = []
    seen: set[int] = set()
    stack = [taken]
    while stack:
        cell = stack.pop()
        if id(cell) in seen:
            continue
        seen.add(id(cell))
        if cell.taken is not None and cell.taken.value is Membership.MEMBER:
            found.append(cell.taken)
        stack.extend(cell.operands)
        stack.extend(link.cell for link in cell.looked if link.cell is not None)
    return found


def _steps(root: Cell, nodes_max: int) -> tuple[Step, bool]:
    """The tree to show; a goal's subtree stands once."""
    top = Step("relation", root.value, root.node, root.slot)
    # Strata have cells of their own: a goal is known by its name, an operand by its cell.
    shown: set[object] = {_identity(root)}
    made = 1
    queue = [(root, top)]
    for cell, step in queue:  # breadth first, so that a cut takes the deepest parts
        step.missed = cell.missed
        for link in _reasons(cell):
            if made >= nodes_max:
                step.children.append(Step("cut", cell.value, cell.node, cell.slot))
                return top, True
            made += 1
            child = _step(link)
            step.children.append(child)
            target = link.cell
            if target is None:
                continue
            holder = child
            if link.row is not None:
                holder = Step("relation", target.value, target.node, target.slot)
                child.children.append(holder)
                made += 1
            if _identity(target) in shown:
                holder.kind = "seen" if target.slot else holder.kind
                continue
            shown.add(_identity(target))
            queue.append((target, holder))
    return top, False


def _identity(cell: Cell) -> object:
    return (cell.node, cell.slot) if cell.slot else id(cell)


def _reasons(cell: Cell) -> list[Link]:
    """Deciding parts on a yes, all that was looked at on a no."""
    if cell.kind == "union":
        if cell.value is Membership.MEMBER:
            return [] if cell.cause is None else [cell.cause]
        return cell.looked
    links = [Link(None, operand) for operand in cell.operands]
    if cell.taken is not None:
        links.append(Link(None, cell.taken))
    return links


def _step(link: Link) -> Step:
    cell = link.cell
    if cell is None:
        if link.row is None:
            return Step("itself", Membership.MEMBER)
        present = Membership.MEMBER if link.present else Membership.NOT_MEMBER
        return Step("relationship", present, row=link.row)
    if link.row is not None:
        return Step("follow", cell.value, row=link.row)
    if cell.kind != "union":
        return Step(cell.kind, cell.value, cell.node)
    return Step("relation" if cell.slot else "union", cell.value, cell.node, cell.slot)

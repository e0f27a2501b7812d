"""Everyone who reaches a resource, as set algebra over sets of subjects.

Theory of operation: a goal is (node, slot), its value the set of subjects in it. Where no
operation can be reached, only the union over all goals matters, so whole bitmaps of nodes advance
together (``_spread``): a million members in ten thousand groups are a few vectorised reads. Goals
that reach an operation are cells with a set each; unions pass on what they gain, operations
combine, exclusions take away a set computed completely beforehand (it is one stratum lower). Least
fixpoint, exact, no candidate is checked one by one.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from pyroaring import BitMap

from zeratul.graph.answers import SubjectAnswer
from zeratul.graph.requests import SUBJECTS, SUBJECTS_OF_ALL
from zeratul.graph.scopes import carrying_grants
from zeratul.graph.subject_set import EVERYBODY, NOBODY, SubjectSet, only

if TYPE_CHECKING:
    from collections.abc import Iterable

    from zeratul.graph.answers import Via
    from zeratul.graph.plan import Body, Plan
    from zeratul.graph.requests import Budget, Evaluation
    from zeratul.graph.scopes import ByRole

# What a step leads to, where it is not a slot to ask next (slots are above 0).
_FOUND = 0
_FOUND_WILDCARD = -1


def lookup_subjects(
    plan: Plan,
    node: int,
    slot: int,
    subject_slot: int,
    budget: Budget,
    by_role: ByRole | None = None,
) -> Evaluation[SubjectAnswer]:
    """Every subject of the form ``subject_slot`` in ``node#slot``, with the kinds of way.

    Args:
        plan: the compiled schema.
        node: the resource.
        slot: the relation or permission.
        subject_slot: the form of the subjects.
        budget: reads it may take.
        by_role: what a role may give on the resource; None where roles cannot matter.

    Raises:
        LimitError: the read budget is used up.
    """
    lookup = _Lookup(plan, subject_slot, budget)
    body = plan.bodies[slot]
    parts: dict[Via, SubjectSet] = {
        "direct": (yield from lookup.named(node, body)),
        "group": (yield from lookup.through_usersets(node, body)),
    }
    if body.operations or body.calls:
        # An arrow or a userset may lead back to this goal, so one system decides all of it; what
        # no row on the resource brings came by the model's rules.
        system = _System(lookup)
        cell = system.goal(node, slot)
        yield from system.run()
        whole = cell.value
        rows = parts["direct"] | parts["group"]
        parts["model"] = SubjectSet(
            whole.nodes - rows.nodes, whole.wildcard and not rows.wildcard, NOBODY.exceptions
        )
    else:
        parts["model"] = yield from lookup.through_arrows(node, body)
        whole = parts["direct"] | parts["group"] | parts["model"]
    # Only here, at the root: no rule above takes away what a role gives.
    if by_role is not None and plan.holder is not None:
        grants = yield from carrying_grants(by_role, budget)
        parts["role"] = yield from lookup.of_goals({plan.holder: grants} if grants else {})
        whole |= parts["role"]
    return SubjectAnswer(
        nodes=whole.nodes,
        wildcard=whole.wildcard,
        exceptions=whole.exceptions,
        via={kind: part.nodes & whole.nodes for kind, part in parts.items() if part.nodes},
        wildcard_via=tuple(kind for kind, part in parts.items() if part.wildcard),
    )


class _Lookup:
    """What is the same for every part of one lookup."""

    def __init__(self, plan: Plan, subject_slot: int, budget: Budget) -> None:
        self.plan = plan
        self.subject_slot = subject_slot
        self.wildcard_slot = plan.wildcards.get(subject_slot, 0)
        self.budget = budget

    def named(self, node: int, body: Body) -> Evaluation[SubjectSet]:
        """Subjects that rows on this very resource name (or, for usersets, are this resource)."""
        found = yield from self.leaves([(node, body)])
        return found[0]

    def through_usersets(self, node: int, body: Body) -> Evaluation[SubjectSet]:
        """Subjects of the usersets that rows on this resource name."""
        goals = yield from self._goals(node, [(stored, us, us) for stored, us in body.usersets])
        return (yield from self.of_goals(goals))

    def through_arrows(self, node: int, body: Body) -> Evaluation[SubjectSet]:
        """Subjects that arrows of this resource's rules bring."""
        goals = yield from self._goals(node, body.arrows)
        return (yield from self.of_goals(goals))

    def of_goals(self, goals: dict[int, BitMap]) -> Evaluation[SubjectSet]:
        """Union of the sets of many goals (slot -> nodes)."""
        plain = {slot: nodes for slot, nodes in goals.items() if slot in self.plan.union_only}
        found = yield from self.spread(plain)
        system = _System(self)
        cells = [
            system.goal(node, slot)
            for slot, nodes in goals.items()
            if slot not in self.plan.union_only
            for node in nodes
        ]
        if cells:
            yield from system.run()
            for cell in cells:
                found |= cell.value
        return found

    def _goals(
        self, node: int, steps: Iterable[tuple[int, int, int]]
    ) -> Evaluation[dict[int, BitMap]]:
        """Goals one step on: (stored slot, subject slot of its rows, slot to ask there)."""
        steps = list(steps)
        goals: dict[int, BitMap] = {}
        if not steps:
            return goals
        answers = yield SUBJECTS, [(node, stored, subject) for stored, subject, _ in steps]
        for (_, _, target), nodes in zip(steps, answers, strict=True):
            self.budget.spend(1 + len(nodes))
            if nodes:
                goals[target] = goals[target] | nodes if target in goals else nodes
        return goals

    def spread(self, goals: dict[int, BitMap]) -> Evaluation[SubjectSet]:
        """Union of the sets of goals that reach no operation; whole bitmaps advance together."""
        nodes = BitMap()
        wildcard = False
        visited: dict[int, BitMap] = {slot: BitMap(found) for slot, found in goals.items()}
        frontier = {slot: found for slot, found in goals.items() if found}
        while frontier:
            keys: list[tuple[BitMap, int, int]] = []
            targets: list[int] = []
            for slot, here in frontier.items():
                body = self.plan.bodies[slot]
                if self.subject_slot in body.covers:
                    nodes |= here
                for stored, form, target in self._steps(body):
                    keys.append((here, stored, form))
                    targets.append(target)
            frontier = {}
            if not keys:
                break
            answers = yield SUBJECTS_OF_ALL, keys
            for (here, _, _), target, found in zip(keys, targets, answers, strict=True):
                self.budget.spend(len(here) + len(found))
                if target == _FOUND:
                    nodes |= found
                elif target == _FOUND_WILDCARD:
                    wildcard = wildcard or bool(found)
                else:
                    known = visited.setdefault(target, BitMap())
                    gained = found - known
                    if gained:
                        known |= gained
                        frontier[target] = frontier.get(target, BitMap()) | gained
        return SubjectSet(nodes, wildcard, NOBODY.exceptions)

    def _steps(self, body: Body) -> Iterable[tuple[int, int, int]]:
        """(stored slot, subject slot of its rows, what their subjects are or the slot to ask)."""
        for stored in body.plain.get(self.subject_slot, ()):
            yield stored, self.subject_slot, _FOUND
        if self.wildcard_slot:
            for stored in body.plain.get(self.wildcard_slot, ()):
                yield stored, self.wildcard_slot, _FOUND_WILDCARD
        for stored, userset in body.usersets:
            yield stored, userset, userset
        yield from body.arrows

    def leaves(self, parts: list[tuple[int, Body]]) -> Evaluation[list[SubjectSet]]:
        """What rows on each resource name directly, in one round."""
        keys: list[tuple[int, int, int]] = []
        owners: list[tuple[int, bool]] = []
        found = [NOBODY] * len(parts)
        for index, (node, body) in enumerate(parts):
            if self.subject_slot in body.covers:
                found[index] |= only(BitMap((node,)))
            for stored in body.plain.get(self.subject_slot, ()):
                keys.append((node, stored, self.subject_slot))
                owners.append((index, False))
            if self.wildcard_slot:
                for stored in body.plain.get(self.wildcard_slot, ()):
                    keys.append((node, stored, self.wildcard_slot))
                    owners.append((index, True))
        if keys:
            answers = yield SUBJECTS, keys
            for (index, is_wildcard), nodes in zip(owners, answers, strict=True):
                self.budget.spend(1 + len(nodes))
                if not nodes:
                    continue
                if is_wildcard:
                    found[index] |= EVERYBODY
                else:
                    found[index] |= only(nodes)
        return found


class _Cell:
    """A set that may grow: a union (``own`` plus children), an intersection or an exclusion."""

    __slots__ = ("body", "children", "kind", "node", "own", "parents", "taken", "value")

    def __init__(self, kind: str, node: int, body: Body | None = None) -> None:
        self.kind = kind
        self.node = node
        self.body = body
        self.own = NOBODY
        self.taken = NOBODY
        self.value = NOBODY
        self.children: list[_Cell] = []
        self.parents: list[_Cell] = []

    def grown(self, child: _Cell) -> SubjectSet:
        """The value after ``child`` has grown."""
        if self.kind == "union":
            return self.value | child.value
        result = self.children[0].value
        if self.kind == "exclusion":
            return result - self.taken
        for other in self.children[1:]:
            result &= other.value
        return result


class _System:
    """Cells of goals that reach an operation."""

    def __init__(self, lookup: _Lookup) -> None:
        self.lookup = lookup
        self.plan = lookup.plan
        self.goals: dict[tuple[int, int], _Cell] = {}
        self.cells: list[_Cell] = []
        self.frontier: list[_Cell] = []

    def goal(self, node: int, slot: int) -> _Cell:
        """The cell of (node, slot)."""
        cell = self.goals.get((node, slot))
        if cell is None:
            cell = self.goals[node, slot] = self.union(node, self.plan.bodies[slot])
        return cell

    def union(self, node: int, body: Body) -> _Cell:
        """A cell for a body of a resource; its reads come in the next round."""
        cell = self._cell("union", node, body)
        self.frontier.append(cell)
        return cell

    def _cell(self, kind: str, node: int, body: Body | None = None) -> _Cell:
        cell = _Cell(kind, node, body)
        self.cells.append(cell)
        self.lookup.budget.spend(1)
        return cell

    def run(self) -> Evaluation[None]:
        """Lay out all cells, then let them settle."""
        while self.frontier:
            yield from self._round()
        self._settle()

    def _round(self) -> Evaluation[None]:
        frontier, self.frontier = self.frontier, []
        parts = [(cell.node, cell.body) for cell in frontier if cell.body is not None]
        leaves = yield from self.lookup.leaves(parts)
        steps: list[tuple[_Cell, int]] = []
        keys: list[tuple[int, int, int]] = []
        subtracted: list[tuple[_Cell, Body]] = []
        for cell, leaf in zip(frontier, leaves, strict=True):
            body = cell.body
            if body is None:
                continue
            cell.own = leaf
            for stored, userset in body.usersets:
                keys.append((cell.node, stored, userset))
                steps.append((cell, userset))
            for tupleset, object_slot, target in body.arrows:
                keys.append((cell.node, tupleset, object_slot))
                steps.append((cell, target))
            for called in body.calls:
                self._rest_on(cell, self.goal(cell.node, called))
            subtracted.extend(self._operations(cell, body))
        if keys:
            yield from self._follow(keys, steps)
        if subtracted:
            # One stratum lower: a complete system of its own.
            lower = _System(self.lookup)
            takers = [(made, lower.union(made.node, body)) for made, body in subtracted]
            yield from lower.run()
            for made, cell in takers:
                made.taken = cell.value

    def _operations(self, cell: _Cell, body: Body) -> Iterable[tuple[_Cell, Body]]:
        """Lay out a body's operations; yields exclusions with what they take away."""
        for operation in body.operations:
            kind = "exclusion" if operation.is_exclusion else "intersection"
            made = self._cell(kind, cell.node)
            self._rest_on(cell, made)
            operands = operation.operands
            if operation.is_exclusion:
                yield made, operands[1]
                operands = operands[:1]
            for operand in operands:
                self._rest_on(made, self.union(cell.node, operand))

    def _follow(
        self, keys: list[tuple[int, int, int]], steps: list[tuple[_Cell, int]]
    ) -> Evaluation[None]:
        answers = yield SUBJECTS, keys
        for (cell, target), nodes in zip(steps, answers, strict=True):
            self.lookup.budget.spend(1 + len(nodes))
            if not nodes:
                continue
            if target in self.plan.union_only:
                cell.own |= yield from self.lookup.spread({target: nodes})
            else:
                for node in nodes:
                    self._rest_on(cell, self.goal(node, target))

    def _rest_on(self, cell: _Cell, child: _Cell) -> None:
        cell.children.append(child)
        child.parents.append(cell)

    def _settle(self) -> None:
        grown: dict[_Cell, None] = {}
        for cell in self.cells:
            if cell.kind == "union" and not cell.own.same(NOBODY):
                cell.value = cell.own
                grown[cell] = None
        while grown:
            cell, _ = grown.popitem()
            for parent in cell.parents:
                value = parent.grown(cell)
                if value.same(parent.value):
                    continue
                self.lookup.budget.spend(1 + len(cell.value.nodes))
                parent.value = value
                grown[parent] = None

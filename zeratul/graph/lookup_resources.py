"""Everything a subject reaches, as set algebra over bitmaps.

Theory of operation: for one subject x, every slot s has the set S(s) = {n : x in n#s}. The bodies
of the plan are equations between these sets:

    S(s) = stored rows naming x  ∪  rows naming a userset n#u with n in S(u)
           ∪ resources whose tupleset names an object in S(target)  ∪  operations over such sets

The least solution is found stratum by stratum. An *edge* is one way to gain (by a userset through
a stored slot, or by an arrow); it remembers what of its source it has read already, so each step
reads only the gain, for all edges in one round. Exact through intersections, exclusions and
recursive arrows; no candidate is checked one by one; no depth limit, only the read budget.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from pyroaring import BitMap

from zeratul.graph.answers import ResourceAnswer
from zeratul.graph.requests import CARRYING, GRANTS, RESOURCES, RESOURCES_OF_ALL

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable

    from zeratul.graph.answers import Via
    from zeratul.graph.plan import Body, Plan
    from zeratul.graph.requests import Budget, Evaluation, Subject
    from zeratul.graph.scopes import ByRole


class _Edge:
    """A way to gain: from S(source) through stored rows.

    ``subject_slot`` and ``slot`` name the rows; ``gained`` is what the source has and the edge has
    not read yet, ``out`` what came of it.
    """

    __slots__ = ("gained", "out", "slot", "subject_slot")

    def __init__(self, subject_slot: int, slot: int) -> None:
        self.subject_slot = subject_slot
        self.slot = slot
        self.gained = BitMap()
        self.out = BitMap()


class Reach:
    """The sets S(slot) of one subject, for the slots that the roots depend on."""

    def __init__(self, plan: Plan, subject: Subject, budget: Budget) -> None:
        self.plan = plan
        self.subject = subject
        self.budget = budget
        self.sets: dict[int, BitMap] = {}
        self.stored: dict[
            int, BitMap
        ] = {}  # stored slot -> rows naming the subject or its wildcard
        self.edges: dict[tuple[int, int, int], _Edge] = {}  # (source, subject slot, slot)
        self.edges_from: dict[int, list[_Edge]] = {}
        self.edge_readers: dict[_Edge, set[int]] = {}
        self.callers: dict[int, set[int]] = {}

    def solve(self, roots: Iterable[int]) -> Evaluation[dict[int, BitMap]]:
        """S of every slot that the roots depend on."""
        demanded = self._demand(roots)
        yield from self.read_stored(demanded)
        by_stratum: dict[int, list[int]] = {}
        for slot in demanded:
            by_stratum.setdefault(self.plan.strata[slot], []).append(slot)
        for stratum in sorted(by_stratum):
            yield from self._settle(by_stratum[stratum])
        return self.sets

    def _demand(self, roots: Iterable[int]) -> list[int]:
        """Slots needed, each with its edges laid out."""
        stack = list(roots)
        demanded: dict[int, None] = {}
        while stack:
            slot = stack.pop()
            if slot in demanded:
                continue
            demanded[slot] = None
            self.sets[slot] = BitMap()
            for body in self.plan.bodies[slot].bodies():
                for stored, userset in body.usersets:
                    self._edge(slot, userset, userset, stored)
                    stack.append(userset)
                for tupleset, subject_slot, target in body.arrows:
                    self._edge(slot, target, subject_slot, tupleset)
                    stack.append(target)
                for called in body.calls:
                    self.callers.setdefault(called, set()).add(slot)
                    stack.append(called)
        return list(demanded)

    def _edge(self, reader: int, source: int, subject_slot: int, slot: int) -> None:
        key = (source, subject_slot, slot)
        edge = self.edges.get(key)
        if edge is None:
            edge = self.edges[key] = _Edge(subject_slot, slot)
            self.edges_from.setdefault(source, []).append(edge)
            self.edge_readers[edge] = set()
        self.edge_readers[edge].add(reader)

    def read_stored(self, demanded: Collection[int]) -> Evaluation[None]:
        """Rows that name the subject itself, or its type's wildcard."""
        subject = self.subject
        keys = []
        asked: set[tuple[int, int]] = set()
        for slot in demanded:
            for body in self.plan.bodies[slot].bodies():
                for stored in body.plain.get(subject.slot, ()):
                    if (stored, subject.slot) not in asked:
                        asked.add((stored, subject.slot))
                        keys.append((subject.node, subject.slot, stored))
                if subject.wildcard_node is not None:
                    for stored in body.plain.get(subject.wildcard_slot, ()):
                        if (stored, subject.wildcard_slot) not in asked:
                            asked.add((stored, subject.wildcard_slot))
                            keys.append((subject.wildcard_node, subject.wildcard_slot, stored))
        if not keys:
            return
        self.budget.spend(len(keys))
        for (_, _, stored), nodes in zip(keys, (yield RESOURCES, keys), strict=True):
            self.budget.spend(len(nodes))
            known = self.stored.get(stored)
            self.stored[stored] = nodes if known is None else known | nodes

    def _settle(self, slots: list[int]) -> Evaluation[None]:
        """Least fixpoint of one stratum; everything below is complete."""
        here = set(slots)
        stale = dict.fromkeys(slots)
        while True:
            while stale:
                slot, _ = stale.popitem()
                found = self._value(self.plan.bodies[slot])
                gained = found - self.sets[slot]
                if not gained:
                    continue
                self.sets[slot] |= gained
                for caller in self.callers.get(slot, ()):
                    if caller in here:
                        stale[caller] = None
                for edge in self.edges_from.get(slot, ()):
                    edge.gained |= gained
            pending = [edge for edge in self.edges.values() if edge.gained]
            if not pending:
                return
            # Edges into higher strata read too: their sources here only grow, so nothing is lost.
            yield from self._advance(pending)
            for edge in pending:
                stale.update(dict.fromkeys(self.edge_readers[edge] & here))

    def _advance(self, pending: list[_Edge]) -> Evaluation[None]:
        keys = [(edge.gained, edge.subject_slot, edge.slot) for edge in pending]
        answers = yield RESOURCES_OF_ALL, keys
        for edge, nodes in zip(pending, answers, strict=True):
            self.budget.spend(len(edge.gained) + len(nodes))
            edge.gained = BitMap()
            edge.out |= nodes

    def _value(self, body: Body) -> BitMap:
        """The body's set from what is known now."""
        found = BitMap()
        for part in self._parts(body):
            found |= part
        for called in body.calls:
            found |= self.sets[called]
        for operation in body.operations:
            operands = [self._value(operand) for operand in operation.operands]
            result = operands[0]
            for operand in operands[1:]:
                result = result - operand if operation.is_exclusion else result & operand
            found |= result
        return found

    def _parts(self, body: Body) -> Iterable[BitMap]:
        subject = self.subject
        if subject.slot in body.covers:
            yield BitMap((subject.node,))
        yield from self.direct_parts(body)
        yield from self.userset_parts(body)
        yield from self.arrow_parts(body)

    def direct_parts(self, body: Body) -> Iterable[BitMap]:
        """Resources with a row that names the subject, or everybody, in the body's slots."""
        for subject_slot in (self.subject.slot, self.subject.wildcard_slot):
            for stored in body.plain.get(subject_slot, ()):
                if stored in self.stored:
                    yield self.stored[stored]

    def userset_parts(self, body: Body) -> Iterable[BitMap]:
        """Resources with a row that names a userset the subject is in."""
        for stored, userset in body.usersets:
            yield self.edges[userset, userset, stored].out

    def arrow_parts(self, body: Body) -> Iterable[BitMap]:
        """Resources whose tupleset names an object with the target."""
        for tupleset, subject_slot, target in body.arrows:
            yield self.edges[target, subject_slot, tupleset].out


def lookup_resources(
    plan: Plan, subject: Subject, slot: int, budget: Budget, by_role: ByRole | None = None
) -> Evaluation[ResourceAnswer]:
    """Every resource whose ``slot`` holds the subject, with the kinds of way that lead there.

    Args:
        plan: the compiled schema.
        subject: whose resources.
        slot: the relation or permission.
        budget: reads it may take.
        by_role: what a role may give, on the type as a whole; None where roles cannot matter.

    Raises:
        LimitError: the read budget is used up.
    """
    reach = Reach(plan, subject, budget)
    scopes: tuple[str, ...] = ()
    if by_role is None or plan.holder is None:
        sets = yield from reach.solve((slot,))
    else:
        sets = yield from reach.solve((slot, plan.holder))
        scopes = yield from _scopes(sets[plan.holder], by_role, budget)
    body = plan.bodies[slot]
    nodes = sets[slot]
    direct = _union(reach.direct_parts(body))
    if subject.slot in body.covers:
        direct.add(subject.node)
    via: dict[Via, BitMap] = {"direct": direct, "group": _union(reach.userset_parts(body))}
    computed = _union(reach.arrow_parts(body))
    if body.calls or body.operations:
        # What only an operation decides came by the model's rules, whichever rows fed it.
        computed |= nodes - (via["direct"] | via["group"])
    via["model"] = computed
    ways = {kind: found & nodes for kind, found in via.items() if found}
    return ResourceAnswer(nodes, ways, scopes)


def _scopes(held: BitMap, by_role: ByRole, budget: Budget) -> Evaluation[tuple[str, ...]]:
    """Ids of scopes where a grant of these gives the permission on something of the type."""
    if not held:
        return ()
    permission, (path, tenant) = by_role
    budget.spend(len(held))
    (carrying,) = yield CARRYING, [(permission, held)]
    if not carrying:
        return ()
    found = {
        scope
        for _, scope in (yield GRANTS, list(carrying))
        # Whatever longer paths say of the ids, they speak of this type if they begin with it.
        if scope._replace(path=scope.path[: len(path)]).covers(path, tenant)
    }
    return tuple(sorted(scope.id for scope in found))


def _union(parts: Iterable[BitMap]) -> BitMap:
    return BitMap.union(BitMap(), *parts)

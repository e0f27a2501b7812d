"""Plans: a schema compiled into numbers, in the form the evaluator walks.

Every slot gets a *body*: a union in normal form. Computed usersets are inlined into it as long as
their own bodies are unions; intersections and exclusions stay operations, whose operands are
bodies again. A body says for each form of subject which slots to look at, so a check does no name
work.

*Closable* slots are those whose membership is decided by stored rows and unions alone, all the way
down: no arrow, intersection or exclusion. They make up a subject's closure (``closure``). All
other usersets are boundaries, decided goal by goal.

*Strata*: a slot stands above whatever it subtracts. Within a stratum everything is monotone, so
least fixpoints exist over cyclic data; the compiler of the language refuses recursion through a
subtraction, hence strata are finite.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from zeratul.domain.rewrite import Arrow, Computed, Direct, Exclusion, Intersection, Rewrite, Union
from zeratul.domain.schema import walk
from zeratul.domain.scopes import GRANT_TYPE, HOLDER
from zeratul.domain.vocabulary import SELF, WILDCARD_SLOT
from zeratul.errors import InternalError
from zeratul.graph.spread import Spread, compile_spread

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from zeratul.domain.schema import Schema
    from zeratul.domain.vocabulary import Vocabulary


@dataclass(slots=True, eq=False)
class Operation:
    """An intersection (all operands) or an exclusion (operands[0] without operands[1])."""

    is_exclusion: bool
    operands: tuple[Body, ...]


@dataclass(slots=True, eq=False)
class Body:
    """A union in normal form.

    Attributes:
        covers: slots inlined here; a userset subject of such a slot on the same resource is in it.
        direct: stored slots that it reads.
        plain: subject slot (plain, wildcard or userset) -> stored slots that take it.
        usersets: (stored slot, userset slot) to follow.
        arrows: (tupleset slot, plain subject slot, target slot) to follow.
        led: usersets and arrows in one form: (stored slot, subject slot, slot to ask there).
        calls: slots of the same resource with operations in their own bodies.
        operations: intersections and exclusions.
    """

    covers: set[int] = field(default_factory=set)
    direct: list[int] = field(default_factory=list)
    plain: dict[int, tuple[int, ...]] = field(default_factory=dict)
    usersets: list[tuple[int, int]] = field(default_factory=list)
    arrows: list[tuple[int, int, int]] = field(default_factory=list)
    led: list[tuple[int, int, int]] = field(default_factory=list)
    calls: list[int] = field(default_factory=list)
    operations: list[Operation] = field(default_factory=list)

    def bodies(self) -> Iterator[Body]:
        """This body and those of its operands, nested to any depth."""
        stack = [self]
        while stack:
            body = stack.pop()
            yield body
            for operation in body.operations:
                stack.extend(operation.operands)


@dataclass(frozen=True, slots=True)
class Plan:
    """A compiled schema.

    Attributes:
        bodies: slot -> body, for every relation and permission.
        union_only: slots that reach no operation, through anything.
        closable: userset slots that a closure holds.
        containers: further slots that a wide closure holds.
        narrow, wide: how closures spread: over closable slots, over containers as well.
        fed_by_subject: stored slots that feed closable slots or containers.
        fed_by_arrow: tupleset slot -> targets; a row of it feeds containers through these.
        strata: slot -> stratum.
        wildcards: plain subject slot -> wildcard slot of the type, where some relation takes it.
        holder: slot ``⟨grant⟩#holder`` (``domain.scopes``), in an application that has roles.
    """

    schema: Schema
    vocabulary: Vocabulary
    bodies: Mapping[int, Body]
    union_only: frozenset[int]
    closable: frozenset[int]
    containers: frozenset[int]
    narrow: Spread
    wide: Spread
    fed_by_subject: frozenset[int]
    fed_by_arrow: Mapping[int, tuple[int, ...]]
    strata: Mapping[int, int]
    wildcards: Mapping[int, int]
    holder: int | None = None

    @property
    def holder_slot(self) -> int:
        """``holder``, of an application that has roles."""
        if self.holder is None:
            raise InternalError("a question about roles to an application without any")
        return self.holder


def compile_plan(schema: Schema, vocabulary: Vocabulary) -> Plan:
    """The plan of a schema whose names all have slots."""
    return _Compiler(schema, vocabulary).run()


class _Compiler:
    def __init__(self, schema: Schema, vocabulary: Vocabulary) -> None:
        self.schema = schema
        self.vocabulary = vocabulary
        self.slots = vocabulary.slots
        self.has_operation: dict[tuple[str, str], bool] = {}

    def slot(self, type_name: str, relation: str) -> int:
        found = self.slots.get((type_name, relation))
        if found is None:
            raise InternalError(f"`{type_name}#{relation}` has no slot")
        return found

    def run(self) -> Plan:
        for type_name, definition in self.schema.types.items():
            for name, relation in definition.relations.items():
                self.has_operation[type_name, name] = _has_operation(relation.rewrite)
        bodies, alike = self.distinct_bodies()
        union_only = _union_only(bodies)
        closable = _closable(bodies)
        containers = frozenset(_led_to(bodies)) & union_only - closable
        taken = {form for body in bodies.values() for part in body.bodies() for form in part.plain}
        strata = _strata(bodies)
        return Plan(
            schema=self.schema,
            vocabulary=self.vocabulary,
            bodies=bodies
            | {slot: _copy(bodies[like], like, slot) for slot, like in alike.items()},
            union_only=union_only | {slot for slot, like in alike.items() if like in union_only},
            closable=closable,
            containers=containers,
            narrow=compile_spread(closable, bodies, closable),
            wide=compile_spread(closable | containers, bodies, closable),
            fed_by_subject=frozenset(
                direct for slot in closable | containers for direct in bodies[slot].direct
            ),
            fed_by_arrow=_fed_by_arrow(bodies, containers),
            strata=strata | {slot: strata[like] for slot, like in alike.items()},
            wildcards={
                self.slots[name, SELF]: self.slots[name, WILDCARD_SLOT]
                for name in self.schema.types
                if self.slots.get((name, WILDCARD_SLOT)) in taken
            },
            holder=self.slot(GRANT_TYPE, HOLDER) if GRANT_TYPE in self.schema.types else None,
        )

    def distinct_bodies(self) -> tuple[dict[int, Body], dict[int, int]]:
        """Bodies by slot, and slots that are like another one's, by that one.

        A large catalog has a hundred thousand actions, most of them of the same few relations.
        Only what nothing refers to is left to another: nothing then depends on it, and whatever
        is known of the other holds for it.
        """
        referred = self.referred()
        bodies: dict[int, Body] = {}
        alike: dict[int, int] = {}
        first: dict[tuple[str, Rewrite], int] = {}
        for type_name, definition in self.schema.types.items():
            for name, relation in definition.relations.items():
                slot = self.slot(type_name, name)
                if (type_name, name) not in referred and _names_relations(relation.rewrite):
                    like = first.setdefault((type_name, relation.rewrite), slot)
                    if like != slot:
                        alike[slot] = like
                        continue
                bodies[slot] = self.body_of(type_name, name)
        return bodies, alike

    def referred(self) -> set[tuple[str, str]]:
        """(type, relation) that a rewrite or a form of subject names, or may lead to."""
        found: set[tuple[str, str]] = set()
        for type_name, definition in self.schema.types.items():
            for relation in definition.relations.values():
                found.update((form.type, form.relation) for form in relation.subjects)
                for node in walk(relation.rewrite):
                    if isinstance(node, Computed):
                        found.add((type_name, node.relation))
                    elif isinstance(node, Arrow):
                        tupleset = definition.relations[node.tupleset]
                        found.update((form.type, node.relation) for form in tupleset.subjects)
        return found

    def body_of(self, type_name: str, relation: str) -> Body:
        body = Body()
        body.covers.add(self.slot(type_name, relation))
        self.fill(
            body, type_name, relation, self.schema.types[type_name].relations[relation].rewrite
        )
        return body

    def fill(self, body: Body, type_name: str, relation: str, rewrite: Rewrite) -> None:
        """Add a rewrite of (type, relation) to a body; unions and plain computed ones flatten."""
        relations = self.schema.types[type_name].relations
        stack: list[tuple[str, Rewrite]] = [(relation, rewrite)]
        inlined = {relation}
        while stack:
            owner, node = stack.pop()
            match node:
                case Direct():
                    self.add_direct(body, type_name, owner)
                case Computed(target):
                    if target in inlined:
                        continue
                    inlined.add(target)
                    slot = self.slot(type_name, target)
                    if self.has_operation[type_name, target]:
                        body.calls.append(slot)
                    else:
                        body.covers.add(slot)
                        stack.append((target, relations[target].rewrite))
                case Arrow(tupleset, target):
                    self.add_arrow(body, type_name, tupleset, target)
                case Union(children):
                    stack.extend((owner, child) for child in reversed(children))
                case Intersection(children):
                    body.operations.append(
                        self.operation(type_name, owner, children, is_exclusion=False)
                    )
                case Exclusion(base, subtract):
                    body.operations.append(
                        self.operation(type_name, owner, (base, subtract), is_exclusion=True)
                    )

    def operation(
        self,
        type_name: str,
        owner: str,
        children: tuple[Rewrite, ...],
        *,
        is_exclusion: bool,
    ) -> Operation:
        operands = []
        for child in children:
            operand = Body()
            self.fill(operand, type_name, owner, child)
            operands.append(operand)
        return Operation(is_exclusion, tuple(operands))

    def add_direct(self, body: Body, type_name: str, relation: str) -> None:
        slot = self.slot(type_name, relation)
        if slot in body.direct:
            return
        body.direct.append(slot)
        for allowed in self.schema.types[type_name].relations[relation].subjects:
            if allowed.wildcard:
                subject_slot = self.slot(allowed.type, WILDCARD_SLOT)
            else:
                subject_slot = self.slot(allowed.type, allowed.relation or SELF)
                if allowed.relation:
                    body.usersets.append((slot, subject_slot))
                    body.led.append((slot, subject_slot, subject_slot))
            body.plain[subject_slot] = (*body.plain.get(subject_slot, ()), slot)

    def add_arrow(self, body: Body, type_name: str, tupleset: str, target: str) -> None:
        tupleset_slot = self.slot(type_name, tupleset)
        for allowed in self.schema.types[type_name].relations[tupleset].subjects:
            if allowed.wildcard or allowed.relation:
                continue
            if target not in self.schema.types[allowed.type].relations:
                continue
            step = (
                tupleset_slot,
                self.slot(allowed.type, SELF),
                self.slot(allowed.type, target),
            )
            if step not in body.arrows:
                body.arrows.append(step)
                body.led.append(step)


def _names_relations(rewrite: Rewrite) -> bool:
    """Whether it is a plain union of other relations of the resource."""
    return isinstance(rewrite, Union) and all(
        isinstance(child, Computed) for child in rewrite.children
    )


def _copy(body: Body, slot: int, other: int) -> Body:
    """The body of another slot with the same rewrite; parts that never change are shared."""
    return replace(body, covers=(body.covers - {slot}) | {other})


def _has_operation(rewrite: Rewrite) -> bool:
    stack = [rewrite]
    while stack:
        node = stack.pop()
        match node:
            case Intersection() | Exclusion():
                return True
            case Union(children):
                stack.extend(children)
            case _:
                pass
    return False


def _follows(body: Body) -> Iterator[int]:
    """Slots that membership in a body depends on, subtracted ones included."""
    for part in body.bodies():
        yield from part.calls
        yield from (userset for _, userset in part.usersets)
        yield from (target for _, _, target in part.arrows)


def _union_only(bodies: Mapping[int, Body]) -> frozenset[int]:
    tainted = {slot for slot, body in bodies.items() if body.operations or body.calls}
    return frozenset(bodies) - _spread(tainted, bodies)


def _closable(bodies: Mapping[int, Body]) -> frozenset[int]:
    tainted = {
        slot for slot, body in bodies.items() if body.operations or body.calls or body.arrows
    }
    used = {
        userset
        for body in bodies.values()
        for part in body.bodies()
        for _, userset in part.usersets
    }
    return frozenset(used) - _spread(tainted, bodies)


def _led_to(bodies: Mapping[int, Body]) -> Iterator[int]:
    """Slots that usersets and arrows lead to."""
    for body in bodies.values():
        for part in body.bodies():
            yield from (userset for _, userset in part.usersets)
            yield from (target for _, _, target in part.arrows)


def _fed_by_arrow(
    bodies: Mapping[int, Body], containers: frozenset[int]
) -> dict[int, tuple[int, ...]]:
    found: dict[int, set[int]] = {}
    for slot in containers:
        for tupleset, _, target in bodies[slot].arrows:
            found.setdefault(tupleset, set()).add(target)
    return {tupleset: tuple(sorted(targets)) for tupleset, targets in found.items()}


def _spread(tainted: set[int], bodies: Mapping[int, Body]) -> set[int]:
    """``tainted`` and every slot that depends on one of it."""
    dependents: dict[int, list[int]] = {}
    for slot, body in bodies.items():
        for followed in _follows(body):
            dependents.setdefault(followed, []).append(slot)
    spread = set(tainted)
    stack = list(tainted)
    while stack:
        for dependent in dependents.get(stack.pop(), ()):
            if dependent not in spread:
                spread.add(dependent)
                stack.append(dependent)
    return spread


def _strata(bodies: Mapping[int, Body]) -> dict[int, int]:
    strata = dict.fromkeys(bodies, 0)
    # The language refuses recursion through a subtraction, so this settles; the bound guards it.
    for _ in range(len(bodies) + 1):
        changed = False
        for slot, body in bodies.items():
            stratum = _stratum(body, strata)
            if stratum > strata[slot]:
                strata[slot] = stratum
                changed = True
        if not changed:
            return strata
    raise InternalError("the schema recurses through an exclusion")


def _stratum(body: Body, strata: Mapping[int, int]) -> int:
    highest = 0
    stack = [(body, 0)]
    while stack:
        part, above = stack.pop()
        for slot in part.calls:
            highest = max(highest, strata[slot] + above)
        for _, userset in part.usersets:
            highest = max(highest, strata[userset] + above)
        for _, _, target in part.arrows:
            highest = max(highest, strata[target] + above)
        for operation in part.operations:
            if operation.is_exclusion:
                base, subtract = operation.operands
                stack.append((base, above))
                stack.append((subtract, above + 1))
                highest = max(highest, above + 1)
            else:
                stack.extend((operand, above) for operand in operation.operands)
    return highest

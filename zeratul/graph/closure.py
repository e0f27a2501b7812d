"""A subject's closure: all usersets it is in, of the slots that closures hold.

Theory of operation: the bodies of these slots are unions all the way down. So what a subject is in
leads on to further things, whatever else it is in: the closure is the union of the closures of all
usersets whose rows name the subject. It is found by spreading what was gained last, one read a
slot for all of it, until nothing comes of it; or it is put together from closures that are known
(``zeratul.dispatch.closures``).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from pyroaring import BitMap

from zeratul.graph.requests import RESOURCES, RESOURCES_OF_ALL, Closure

if TYPE_CHECKING:
    from collections.abc import Iterable

    from zeratul.graph.plan import Plan
    from zeratul.graph.requests import Budget, Evaluation, Subject
    from zeratul.graph.spread import Holding, Spread

Sets = dict[int, BitMap]
"""Slot -> nodes; a slot without any is left out. The bitmaps are shared: never changed."""


def holdings(spread: Spread, subject: Subject) -> list[tuple[tuple[int, int, int], Holding]]:
    """Each key of ``RESOURCES`` that names the subject, or its type's wildcard, and what for."""
    found = [
        ((subject.node, subject.slot, each.stored), each)
        for each in spread.holding.get(subject.slot, ())
    ]
    if subject.wildcard_node is not None:
        found += [
            ((subject.wildcard_node, subject.wildcard_slot, each.stored), each)
            for each in spread.holding.get(subject.wildcard_slot, ())
        ]
    return found


def closure(
    plan: Plan, subject: Subject, budget: Budget, *, wide: bool = False
) -> Evaluation[Closure]:
    """Usersets the subject is in: closable ones, and containers if it shall be ``wide``.

    A userset subject is in itself.

    Raises:
        LimitError: the read budget is used up.
    """
    spread = plan.wide if wide else plan.narrow
    sets = {slot: BitMap((subject.node,)) for slot in spread.covering.get(subject.slot, ())}
    # Rows that name a userset of these slots are read as what it leads to.
    rows = [] if subject.slot in spread.slots else holdings(spread, subject)
    if rows:
        budget.spend(len(rows))
        answers = yield RESOURCES, [key for key, _ in rows]
        for (_, held), nodes in zip(rows, answers, strict=True):
            budget.spend(len(nodes))
            sets = union([sets, dict.fromkeys(held.covering, nodes)])
    return Closure((yield from spread_from(spread, sets, budget)), wide)


def spread_from(spread: Spread, seeds: Sets, budget: Budget) -> Evaluation[Sets]:
    """The seeds and everything that being in them leads to.

    Raises:
        LimitError: the read budget is used up.
    """
    sets = dict(seeds)
    gained = seeds
    while True:
        steps = [
            (nodes, *row) for slot, nodes in gained.items() for row in spread.leads.get(slot, ())
        ]
        if not steps:
            return sets
        answers = yield RESOURCES_OF_ALL, [step[:3] for step in steps]
        gained = {}
        for (asked, _, _, reached), nodes in zip(steps, answers, strict=True):
            budget.spend(len(asked) + len(nodes))
            for slot in reached:
                known = sets.get(slot)
                fresh = nodes if known is None else nodes - known
                if fresh:
                    sets[slot] = fresh if known is None else known | fresh
                    gained[slot] = gained[slot] | fresh if slot in gained else fresh


def union(parts: Iterable[Sets]) -> Sets:
    """The union, slot by slot."""
    sets: Sets = {}
    for part in parts:
        for slot, nodes in part.items():
            if slot in sets:
                sets[slot] = sets[slot] | nodes
            elif nodes:
                sets[slot] = nodes
    return sets

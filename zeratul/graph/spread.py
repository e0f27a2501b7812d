"""How being in something leads on to further things, within slots whose bodies are unions.

A schema's plan compiles it; ``graph.closure`` follows it.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple, Protocol

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping


class PlainUnion(Protocol):
    """What matters here of ``graph.plan.Body``."""

    covers: set[int]
    plain: dict[int, tuple[int, ...]]
    led: list[tuple[int, int, int]]


class Holding(NamedTuple):
    """A stored slot whose rows put a subject into something.

    Attributes:
        stored: the slot.
        covering: slots that it puts the subject in, on the same resource.
        is_shared: whether the closure of ``resource#stored`` is worth a memo of its own.
    """

    stored: int
    covering: tuple[int, ...]
    is_shared: bool


@dataclass(frozen=True, slots=True)
class Spread:
    """How being in something leads on, within some slots.

    Attributes:
        slots: these.
        holding: subject slot -> where a row may name a subject of that form.
        covering: slot of a userset -> slots that cover it; it is in these itself.
        leads: slot -> (subject slot, stored slot, slots that cover it): rows of it that name what
            is in the slot lead to these.
    """

    slots: frozenset[int]
    holding: Mapping[int, tuple[Holding, ...]]
    covering: Mapping[int, tuple[int, ...]]
    leads: Mapping[int, tuple[tuple[int, int, tuple[int, ...]], ...]]


def compile_spread(
    slots: frozenset[int], bodies: Mapping[int, PlainUnion], shared: Collection[int]
) -> Spread:
    """The spread of slots whose bodies are unions; ``shared`` are those with many members."""
    holding: dict[int, dict[int, list[int]]] = {}
    covering: dict[int, list[int]] = {}
    leads: dict[int, dict[tuple[int, int], list[int]]] = {}
    for slot in sorted(slots):
        body = bodies[slot]
        for covered in sorted(body.covers):
            covering.setdefault(covered, []).append(slot)
        for form, stored_slots in body.plain.items():
            for stored in stored_slots:
                holding.setdefault(form, {}).setdefault(stored, []).append(slot)
        for stored, form, target in body.led:
            leads.setdefault(target, {}).setdefault((form, stored), []).append(slot)
    return Spread(
        slots=slots,
        holding={
            form: tuple(
                Holding(
                    stored,
                    tuple(covered),
                    any(slot in shared and slot in leads for slot in covered),
                )
                for stored, covered in stored_slots.items()
            )
            for form, stored_slots in holding.items()
        },
        covering={slot: tuple(found) for slot, found in covering.items()},
        leads={
            slot: tuple((*row, tuple(reached)) for row, reached in rows.items())
            for slot, rows in leads.items()
        },
    )

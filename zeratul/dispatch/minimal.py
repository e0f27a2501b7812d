"""Proofs made minimal: rows of which none can be taken away, by replay over an empty store."""

from __future__ import annotations

from typing import TYPE_CHECKING

from zeratul.dispatch.overlay import NOTHING_STORED, Overlay

if TYPE_CHECKING:
    from collections.abc import Callable

    from zeratul.graph.solver import Row

# LIMIT: a proof of more rows than this is shown as found and said to be cut: making it minimal
# takes a check for each row. (Even the shortest way may hold a row too many: another way may use
# one row twice.)
MINIMISED_ROWS_MAX = 300


def minimal(proof: list[Row], holds: Callable[[Overlay], bool]) -> list[Row]:
    """A part of the proof from which nothing can be taken.

    Args:
        proof: rows that alone give a yes.
        holds: whether it is a yes over these rows.
    """
    kept = list(proof)
    shrunk = True
    while shrunk:  # subtracting rules are not monotone: one pass may leave something to take
        shrunk = False
        for row in list(kept):
            rest = [other for other in kept if other != row]
            if holds(Overlay(NOTHING_STORED, rest)):
                kept = rest
                shrunk = True
    return kept

"""The numbers of one application's names: (type, relation) <-> slot."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

SELF = ""
"""Relation part of the slot that stands for the objects of a type as plain subjects."""

WILDCARD_SLOT = "*"
"""Relation part of the slot that stands for the wildcard subject ``type:*``."""

# Numbers at the top of the 32-bit range belong to one request each: names that no commit has
# interned (unknown ids, contextual and hypothetical relationships). They are never stored.
REQUEST_NODES_FIRST = 0xFFF0_0000
NODE_MAX = REQUEST_NODES_FIRST - 1


@dataclass(frozen=True, slots=True)
class Vocabulary:
    """Slots of one application.

    Attributes:
        application: its number.
        slots: (type, relation) -> slot; (type, "") is the type's own number, (type, "*") its
            wildcard.
        names: the inverse.
    """

    application: int
    slots: Mapping[tuple[str, str], int]
    names: Mapping[int, tuple[str, str]]

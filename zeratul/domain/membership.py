"""Three-valued membership: Kleene's strong logic over NOT_MEMBER < CONDITIONAL < MEMBER.

Union is the maximum, intersection the minimum, exclusion the minimum of the base and the
complement of what is subtracted. Being a lattice, least fixpoints over cyclic graphs exist.
"""

from __future__ import annotations

from enum import IntEnum


class Membership(IntEnum):
    """Whether a subject is in a userset; CONDITIONAL means context is missing to know."""

    NOT_MEMBER = 0
    CONDITIONAL = 1
    MEMBER = 2


def union(left: Membership, right: Membership) -> Membership:
    """In either."""
    return max(left, right)


def intersection(left: Membership, right: Membership) -> Membership:
    """In both."""
    return min(left, right)


def complement(value: Membership) -> Membership:
    """MEMBER becomes NOT_MEMBER and back; CONDITIONAL stays."""
    return Membership(2 - value)


def exclusion(base: Membership, subtract: Membership) -> Membership:
    """In ``base`` but not in ``subtract``."""
    return min(base, complement(subtract))

"""Rewrites: the rule tree of a relation or permission (Zanzibar §2.3.1)."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Direct:
    """The subjects stored on this very relation (the paper's ``_this``)."""


@dataclass(frozen=True, slots=True)
class Computed:
    """The userset of another relation of the same resource."""

    relation: str


@dataclass(frozen=True, slots=True)
class Arrow:
    """For each object stored on ``tupleset``, its ``relation`` (the paper's tuple-to-userset).

    Only plain subjects of the tupleset are followed, and only those whose type has the relation.
    """

    tupleset: str
    relation: str


@dataclass(frozen=True, slots=True)
class Union:
    """In any child."""

    children: tuple[Rewrite, ...]


@dataclass(frozen=True, slots=True)
class Intersection:
    """In every child."""

    children: tuple[Rewrite, ...]


@dataclass(frozen=True, slots=True)
class Exclusion:
    """In ``base`` and not in ``subtract``."""

    base: Rewrite
    subtract: Rewrite


Rewrite = Direct | Computed | Arrow | Union | Intersection | Exclusion

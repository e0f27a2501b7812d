"""What the groups' service answers: plain values, no JSON, no HTTP."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Group:
    """A group: who holds ``group:id#member``.

    The name and the times are None for one that only relationships speak of; ``members`` counts
    what is stored on it, nested groups as one each, and is None in lists.
    """

    id: str
    name: str | None
    members: int | None
    created_at_ms: int | None
    updated_at_ms: int | None


@dataclass(frozen=True, slots=True, kw_only=True)
class GroupPut:
    """What putting a group came to: whether it is new, and members added and removed."""

    group: Group
    created: bool
    added: int
    removed: int
    zookie: str


@dataclass(frozen=True, slots=True)
class MembersAdded:
    """How many were added, and how many were members already."""

    added: int
    existing: int
    zookie: str


@dataclass(frozen=True, slots=True)
class MembersRemoved:
    """How many were removed, and how many were no members."""

    removed: int
    absent: int
    zookie: str


@dataclass(frozen=True, slots=True)
class GroupDeleted:
    """What went with a group: members, and what named it as a subject; see ``Deleted``."""

    members: int
    uses: int
    complete: bool
    zookie: str


@dataclass(frozen=True, slots=True, kw_only=True)
class GroupPage:
    """Some groups; ``next_cursor`` is None at the end."""

    rows: list[Group]
    next_cursor: str | None
    page_size: int
    revision: int
    zookie: str

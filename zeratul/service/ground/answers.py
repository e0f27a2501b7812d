"""What several services are asked with and answer: plain values, no JSON, no HTTP.

What one service alone answers stands in its own room, in a module named after it. Times are
milliseconds since 1970. A ``zookie`` is opaque text. Field names are the contract's in snake_case;
each contract renders them in its own shape.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, NamedTuple

if TYPE_CHECKING:
    from zeratul.domain.membership import Membership
    from zeratul.domain.relationship import Relationship
    from zeratul.errors import ZeratulError

OnError = Literal["fail", "continue"]
ItemStatus = Literal["created", "existing", "replaced", "deleted", "absent", "failed"]


# --- Questions.


class Page(NamedTuple):
    """Which part of a list: at most ``size`` rows (None: the default), behind ``cursor``."""

    size: int | None = None
    cursor: str | None = None


FIRST_PAGE = Page()


# --- Answers to writes.


@dataclass(frozen=True, slots=True)
class Deleted:
    """How many relationships a deletion removed; ``complete`` is False when more are left."""

    deleted: int
    zookie: str
    complete: bool = True
    dry_run: bool = False


@dataclass(slots=True)  # Not frozen: a call makes thousands, and that is four times as quick.
class ItemResult:
    """What became of one item of a bulk call; ``index`` counts within writes or deletes."""

    index: int
    status: ItemStatus
    error: ZeratulError | None = None
    operation: Literal["write", "delete"] = "write"


@dataclass(frozen=True, slots=True, kw_only=True)
class BulkAnswer:
    """Counts and item results of one bulk call.

    ``existing`` counts every write that found its relationship there; ``replaced`` says how many
    of those got another expiry. ``results`` lists writes first, then deletes.
    """

    created: int
    existing: int
    replaced: int
    deleted: int
    failed: int
    results: list[ItemResult]
    dry_run: bool
    zookie: str


# --- Answers to reads.


class StoredRelationship(NamedTuple):
    """A stored relationship; the time is None once history that old was collected."""

    relationship: Relationship
    created_at_ms: int | None


@dataclass(frozen=True, slots=True, kw_only=True)
class RelationshipPage:
    """Some stored relationships; ``next_cursor`` is None at the end."""

    rows: list[StoredRelationship]
    next_cursor: str | None
    page_size: int
    revision: int
    zookie: str


class CheckAnswer(NamedTuple):
    """A decision and the kinds of way it rests on; None for a way that was not looked at."""

    allowed: bool
    membership: Membership
    via_role: bool | None
    via_direct_grant: bool | None
    zookie: str

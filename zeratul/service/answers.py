"""What the services are asked with and what they answer: plain values, no JSON, no HTTP.

Times are milliseconds since 1970. A ``zookie`` is opaque text. Field names are the contract's in
snake_case; each contract renders them in its own shape.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Generic, Literal, NamedTuple, TypeVar

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from zeratul.domain.membership import Membership
    from zeratul.domain.relationship import ObjectRef, Relationship, SubjectRef
    from zeratul.errors import ZeratulError
    from zeratul.graph.answers import ExpandNode, Explanation

Row = TypeVar("Row")
OnError = Literal["fail", "continue"]
ItemStatus = Literal["created", "existing", "replaced", "deleted", "absent", "failed"]


# --- Questions.


class Page(NamedTuple):
    """Which part of a list: at most ``size`` rows (None: the default), behind ``cursor``."""

    size: int | None = None
    cursor: str | None = None


FIRST_PAGE = Page()


class RelationshipFilter(NamedTuple):
    """Which stored relationships: a subject, or a resource with its id; the rest narrows."""

    subject: SubjectRef | None = None
    resource_type: str | None = None
    resource_id: str | None = None
    relation: str | None = None


class Precondition(NamedTuple):
    """What must hold (or must not) for a bulk call to be applied."""

    relationship: Relationship
    must_exist: bool


# --- Answers to writes.


@dataclass(frozen=True, slots=True, kw_only=True)
class Application:
    """An application; ``zookie`` only in answers to writes."""

    id: str
    number: int
    name: str
    tenancy_type: str
    created_at_ms: int
    zookie: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class KeyInfo:
    """An API key without its secret."""

    id: str
    name: str
    permissions: tuple[str, ...]
    created_at_ms: int
    expires_at_ms: int | None
    prefix: str
    last_four: str


@dataclass(frozen=True, slots=True, kw_only=True)
class NewKey:
    """A fresh API key; the only time its secret is seen."""

    key: KeyInfo
    secret: str
    zookie: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelAnswer:
    """An application's model.

    Attributes:
        model: the OpenFGA JSON form, as it was put.
        schema_revision: revision of the commit that set it, 0 for none.
        revision: what the answer is as of.
        changed: put only: whether the model differs from the one before.
        orphans: put only: what disappeared (``document#viewer@user``) -> relationships counted.
        deleted: put only: orphaned relationships deleted (counted only, on a dry run).
    """

    model: dict[str, Any]
    schema_revision: int
    revision: int
    zookie: str
    changed: bool = False
    orphans: Mapping[str, int] = field(default_factory=dict)
    deleted: int = 0
    dry_run: bool = False


@dataclass(frozen=True, slots=True)
class Written:
    """One relationship written; ``created`` is False where it was there already."""

    relationship: Relationship
    created: bool
    created_at_ms: int | None
    zookie: str


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
    """A decision and the kinds of way it rests on."""

    allowed: bool
    membership: Membership
    via_role: bool
    via_direct_grant: bool
    zookie: str


class BulkCheckAnswer(NamedTuple):
    """Decisions in the order of the questions; an item's error stands in its place."""

    results: list[CheckAnswer | ZeratulError]
    zookie: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ExplainAnswer:
    """Why or why not; ``text`` is the same as a tree for a person."""

    subject: SubjectRef
    resource: ObjectRef
    relation: str
    allowed: bool
    explanation: Explanation
    revision: int
    duration_ms: float
    text: str
    zookie: str


@dataclass(frozen=True, slots=True)
class ExpandAnswer:
    """The tree of a userset."""

    root: ExpandNode
    revision: int
    zookie: str


class SubjectRow(NamedTuple):
    """A subject as text (``user:u1``, ``group:g#member``, ``user:*``) and the ways it is reached.

    Only the wildcard's row has exceptions: ``except_`` lists them as text, ``except_total`` counts
    them all, listed or not.
    """

    subject: str
    via: tuple[str, ...]
    except_: tuple[str, ...] = ()
    except_total: int = 0


class ResourceRow(NamedTuple):
    """A resource and the ways it is reached."""

    resource: str
    resource_id: str
    via: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class SubjectPage:
    """Some of everyone who can; ``total`` counts all rows, when it was asked for."""

    rows: list[SubjectRow]
    next_cursor: str | None
    complete: bool
    total: int | None
    page_size: int
    revision: int
    zookie: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ResourcePage:
    """Some of everything a subject can; ``total`` counts all rows, when it was asked for."""

    rows: list[ResourceRow]
    next_cursor: str | None
    complete: bool
    total: int | None
    page_size: int
    revision: int
    zookie: str


@dataclass(frozen=True, slots=True, kw_only=True)
class RowStream(Generic[Row]):
    """All rows of one list, at one revision; single use.

    Attributes:
        total: how many rows there are.
        chunks: lists of rows; no snapshot is held between two of them.
    """

    total: int
    revision: int
    zookie: str
    chunks: Iterator[list[Row]]


class Reject(NamedTuple):
    """A line an import did not take, counted from 1."""

    line: int
    error: ZeratulError


@dataclass(frozen=True, slots=True, kw_only=True)
class ImportAnswer:
    """Counts of an import, so far or in the end; ``rejects`` lists the first of the rejected."""

    lines: int
    created: int
    existing: int
    replaced: int
    rejected: int
    rejects: tuple[Reject, ...]
    dry_run: bool
    zookie: str

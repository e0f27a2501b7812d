"""What the relationships' service is asked with and answers: plain values, no JSON, no HTTP."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from zeratul.domain.relationship import Relationship, SubjectRef
    from zeratul.errors import ZeratulError


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


@dataclass(frozen=True, slots=True)
class Written:
    """One relationship written; ``created`` is False where it was there already."""

    relationship: Relationship
    created: bool
    created_at_ms: int | None
    zookie: str


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

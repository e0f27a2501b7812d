"""What the applications' service answers: plain values, no JSON, no HTTP."""

from __future__ import annotations

from dataclasses import dataclass


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
class ApplicationPage:
    """Some applications; ``next_cursor`` is None at the end."""

    rows: list[Application]
    next_cursor: str | None
    page_size: int

"""What the keys' service answers: plain values, no JSON, no HTTP."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class KeyInfo:
    """An API key without its secret.

    Attributes:
        tenant_id: the one tenant it acts in; None: the whole application.
        rotated_at_ms: when its secret was last replaced; None: never.
        old_secret_until_ms: how long the secret before still holds; None: it does not.
        last_used_at_ms: about a minute exact; None: never.
    """

    id: str
    name: str
    permissions: tuple[str, ...]
    created_at_ms: int
    expires_at_ms: int | None
    prefix: str
    last_four: str
    tenant_id: str | None = None
    rotated_at_ms: int | None = None
    old_secret_until_ms: int | None = None
    last_used_at_ms: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class NewKey:
    """A fresh API key; the only time its secret is seen."""

    key: KeyInfo
    secret: str
    zookie: str


@dataclass(frozen=True, slots=True, kw_only=True)
class KeyPage:
    """Some keys; ``next_cursor`` is None at the end."""

    rows: list[KeyInfo]
    next_cursor: str | None
    page_size: int

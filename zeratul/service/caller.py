"""Who asks: the application it acts in and what its key may do (contract authaz §1, §7)."""

from __future__ import annotations

import hmac
from dataclasses import dataclass, field

from zeratul.errors import ForbiddenError

EVERYTHING = frozenset({"*"})


@dataclass(slots=True, eq=False)
class KnownKey:
    """A key as its document says; not ``alive`` once that document may have changed."""

    digest: bytes
    id: str
    application: int | None  # None: the root key, at home everywhere
    application_id: str
    permissions: frozenset[str]
    expires_at_ms: int | None
    alive: bool = True
    callers: dict[str | None, Caller] = field(default_factory=dict)

    def same(self, other: KnownKey) -> bool:
        """Whether both are the same secret with the same rights."""
        return hmac.compare_digest(self.digest, other.digest) and (
            (self.application, self.permissions, self.expires_at_ms)
            == (other.application, other.permissions, other.expires_at_ms)
        )


@dataclass(frozen=True, slots=True)
class Caller:
    """An authenticated caller in one application.

    Attributes:
        application_id: public id (``default``).
        application: its number in the store.
        key_id: which key (``root`` for the root key, ``local`` in-process).
        permissions: management permissions, ``area:verb``, ``area:*`` or ``*``.
        is_root: whether it may make and act in any application.
        request_id: for audit and logs.
        known_key: the cached key it rests on, confirmed against each snapshot the services open;
            None in-process.
    """

    application_id: str
    application: int
    key_id: str
    permissions: frozenset[str] = EVERYTHING
    is_root: bool = False
    request_id: str = ""
    known_key: KnownKey | None = field(default=None, compare=False, repr=False)

    def require(self, permission: str) -> None:
        """Refuse unless the key holds ``permission``.

        Raises:
            ForbiddenError: naming it.
        """
        held = self.permissions
        if "*" in held or permission in held:
            return
        if permission.split(":", 1)[0] + ":*" in held:
            return
        raise ForbiddenError(permission)

    def require_root(self, permission: str) -> None:
        """Refuse unless it is the root key (or in-process).

        Raises:
            ForbiddenError: naming ``permission``, which only the root key holds.
        """
        if not self.is_root:
            raise ForbiddenError(permission)

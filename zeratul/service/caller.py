"""Who asks: the application it acts in and what its key may do (contract authaz §1, §7)."""

from __future__ import annotations

import hmac
from dataclasses import dataclass, field

from zeratul.errors import ForbiddenError, NotFoundError, TenantScopeError

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
    name: str = ""
    tenant_id: str | None = None  # it acts in this tenant only
    alive: bool = True
    callers: dict[str | None, Caller] = field(default_factory=dict)

    def same(self, other: KnownKey) -> bool:
        """Whether both are the same secret with the same rights."""
        return hmac.compare_digest(self.digest, other.digest) and (
            (self.application, self.tenant_id, self.permissions, self.expires_at_ms)
            == (other.application, other.tenant_id, other.permissions, other.expires_at_ms)
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
        ip: where the request came from, for audit.
        key_name: what people call the key.
        tenant_id: the one tenant it acts in; None: the whole application.
        user_id: the one user it speaks for (a Bearer token came with the key); None: for anyone.
        known_key: the cached key it rests on, confirmed against each snapshot the services open;
            None in-process.
    """

    application_id: str
    application: int
    key_id: str
    permissions: frozenset[str] = EVERYTHING
    is_root: bool = False
    request_id: str = ""
    ip: str = ""
    key_name: str = ""
    tenant_id: str | None = None
    user_id: str | None = None
    known_key: KnownKey | None = field(default=None, compare=False, repr=False)

    @property
    def actor_type(self) -> str:
        """What kind of caller an audit event names."""
        if self.user_id is not None:
            return "user"
        return "system" if self.known_key is None else "api_key"

    @property
    def actor_id(self) -> str:
        """Whom an audit event names."""
        return self.key_id if self.user_id is None else self.user_id

    @property
    def actor_name(self) -> str:
        """What people call whom an audit event names."""
        return self.key_name or self.actor_id

    def question_tenant(self, asked: str | None) -> str | None:
        """The tenant a question is asked in: the caller's own, whatever else it may name.

        Raises:
            NotFoundError: it names another tenant than its own.
        """
        if self.tenant_id is None:
            return asked
        self.enter_tenant(asked or self.tenant_id)
        return self.tenant_id

    def enter_tenant(self, tenant_id: str) -> None:
        """Refuse to act in another tenant than the caller's own.

        Raises:
            NotFoundError: like for one that is not there: nothing is learned of other tenants.
        """
        if self.tenant_id not in (None, tenant_id):
            raise NotFoundError(f"there is no tenant `{tenant_id[:128]}`")

    def require_whole_application(self, what: str) -> None:
        """Refuse a caller that acts in one tenant only.

        Args:
            what: what belongs to the whole application, in the plural: ``direct grants``.

        Raises:
            TenantScopeError: naming ``what``.
        """
        if self.tenant_id is not None:
            raise TenantScopeError(what)

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

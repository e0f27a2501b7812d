"""Who asks: the application it acts in and what its key may do (contract authaz §1, §7)."""

from __future__ import annotations

import hmac
from dataclasses import dataclass, field

from zeratul.domain.relationship import SubjectRef
from zeratul.errors import ForbiddenError, NotFoundError, TenantScopeError, UserScopeError

EVERYTHING = frozenset({"*"})
USER_TYPE = "user"


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
    noted: bool = False  # whether a use of it waits to be stored
    callers: dict[str | None, Caller] = field(default_factory=dict)
    untold: dict[str | None, Caller] = field(default_factory=dict)  # the same, of the express lane

    def same(self, other: KnownKey) -> bool:
        """Whether both are the same secret with the same rights; its end may have moved."""
        return hmac.compare_digest(self.digest, other.digest) and (
            (self.application, self.tenant_id, self.permissions)
            == (other.application, other.tenant_id, other.permissions)
        )

    def has_ended(self, now_ms: int) -> bool:
        """Whether it expired, or the grace of its secret is over."""
        return self.expires_at_ms is not None and self.expires_at_ms <= now_ms


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
        is_told: False where a request id and address were left out, though there are some; no
            event may be recorded of such a caller.
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
    is_told: bool = field(default=True, compare=False, repr=False)

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
        """Refuse unless the key holds ``permission`` and the caller speaks for anyone.

        A caller that speaks for one user holds no management permission, whatever its key holds:
        what such a caller may ask goes through ``require_question``, everything else ends here.

        Raises:
            ForbiddenError: naming it.
        """
        if self.user_id is not None:
            raise _users_lack(permission)
        if not self._key_holds(permission):
            raise ForbiddenError(permission)

    def require_question(self, permission: str, *subjects: SubjectRef) -> None:
        """Refuse unless the key holds ``permission`` and may ask about all of these subjects.

        The one gate of check, bulk check, explain, what-can and permissions: a caller that speaks
        for one user asks about that very user only. What names no subject (who-can, expand) is
        nobody's own question: it goes through ``require``.

        Raises:
            ForbiddenError: naming ``permission``, which the key lacks.
            UserScopeError: the caller speaks for one user, and a subject is not that user.
        """
        if not self._key_holds(permission):
            raise ForbiddenError(permission)
        if self.user_id is not None:
            if not subjects:
                raise _users_lack(permission)
            for subject in subjects:
                self.question_subject(subject)

    def question_subject(self, asked: SubjectRef | None) -> SubjectRef | None:
        """Whom a question is about: whom it names, or the user the caller speaks for.

        Returns:
            None where neither names anyone.

        Raises:
            UserScopeError: the caller speaks for one user, and the question names another subject.
        """
        if self.user_id is None:
            return asked
        own = SubjectRef(USER_TYPE, self.user_id)
        if asked is not None and asked != own:
            raise UserScopeError
        return own

    def require_root(self, permission: str) -> None:
        """Refuse unless it is the root key (or in-process), speaking for anyone.

        Raises:
            ForbiddenError: naming ``permission``, which only the root key holds.
        """
        if self.user_id is not None:
            raise _users_lack(permission)
        if not self.is_root:
            raise ForbiddenError(permission)

    def _key_holds(self, permission: str) -> bool:
        held = self.permissions
        return "*" in held or permission in held or permission.split(":", 1)[0] + ":*" in held


def _users_lack(permission: str) -> ForbiddenError:
    return ForbiddenError(
        permission,
        f"a token of a user holds no management permission, this call needs `{permission}`",
    )

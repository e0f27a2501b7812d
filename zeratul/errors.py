"""The one error tree: whose fault is it, and can a retry help?

    ZeratulError
    ├─ InputError                  the caller must change the request
    │  ├─ MalformedError           text that does not parse: relationship, id, zookie, cursor, body
    │  ├─ SchemaError              a model with findings, all of them at once
    │  ├─ UnknownNameError         type, relation, application, field ... with the nearest
    │  ├─ SubjectNotAllowedError   the relation does not take this subject
    │  └─ ValidationError          many findings, each under the field it belongs to
    ├─ RevisionError               zookie from the future, another store, or collected
    ├─ ConflictError               the state disagrees; re-read, then retry
    │  ├─ AlreadyExistsError
    │  ├─ PreconditionError
    │  ├─ SchemaInUseError         a change would orphan relationships
    │  ├─ InUseError               something else rests on what would go
    │  └─ IdempotencyError         the same key with another body
    ├─ NotFoundError               absent, or invisible to this caller
    ├─ AccessError                 who asks, and what it may do
    │  ├─ UnauthenticatedError
    │  ├─ TokenError               a Bearer token that is not valid, and what is wrong with it
    │  ├─ ForbiddenError           names the missing management permission
    │  ├─ TenantScopeError         a tenant's key and what belongs to the whole application
    │  ├─ StrongerKeyError         a key may not make one that outlives it
    │  ├─ UserScopeError           a token of one user and a question about somebody else
    │  └─ IssuerUnavailableError   whose keys are needed to judge a token, and are not there
    ├─ LimitError                  a named limit with its value
    ├─ StoreError                  full, busy, closed, corrupted, wrong format
    └─ InternalError               a broken invariant

Rules: names end in ``Error``; codes are stable and documented in ``schema/errors.yaml``; nothing
here knows HTTP. Messages are lower case, without a full stop, user input in backticks; help has a
field of its own.
"""

from __future__ import annotations

from difflib import get_close_matches
from typing import TYPE_CHECKING, ClassVar

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

# LIMIT: difflib is quadratic in the worst case; a stranger's 1 MB "type name" must not cost
# seconds.
SUGGESTION_INPUT_LENGTH_MAX = 128
SUGGESTION_NAMES_MAX = 2_000


def nearest(name: str, known: Iterable[str]) -> str | None:
    """The known name most like ``name``, or None when none is close."""
    if len(name) > SUGGESTION_INPUT_LENGTH_MAX:
        return None
    candidates = sorted(known)[:SUGGESTION_NAMES_MAX]
    lowered = {candidate.lower(): candidate for candidate in candidates}
    matches = get_close_matches(name.lower(), lowered, n=1, cutoff=0.6)
    return lowered[matches[0]] if matches else None


class ZeratulError(Exception):
    """Root of everything Zeratul raises on purpose.

    Attributes:
        code: stable machine-readable name, a row of ``schema/errors.yaml``.
        message: one sentence for a person.
        help: what to do about it, or None.
    """

    code: ClassVar[str] = "error"

    def __init__(self, message: str, *, help: str | None = None) -> None:  # noqa: A002 - the word the field uses
        super().__init__(message)
        self.message = message
        self.help = help


class InputError(ZeratulError):
    """The caller must change the request.

    Attributes:
        field: the path of the offending field (``writes[17].relation``), or None.
    """

    code = "invalid_input"

    def __init__(
        self,
        message: str,
        *,
        field: str | None = None,
        help: str | None = None,  # noqa: A002
    ) -> None:
        super().__init__(message, help=help)
        self.field = field


class MalformedError(InputError):
    """Text that does not parse."""

    code = "malformed"


class SchemaError(InputError):
    """A model that breaks the rules; carries every finding, not only the first.

    Attributes:
        findings: field path -> messages, in the order found.
    """

    code = "invalid_model"

    def __init__(self, findings: Mapping[str, Sequence[str]]) -> None:
        count = sum(len(messages) for messages in findings.values())
        super().__init__(f"the model has {count} finding{'s' if count != 1 else ''}")
        self.findings = findings


class UnknownNameError(InputError):
    """A name nobody declared.

    Attributes:
        kind: what was looked for (``type``, ``relation``, ``field`` ...).
        name: what was given.
        suggestion: the nearest known name, or None.
    """

    code = "unknown_name"

    def __init__(
        self,
        kind: str,
        name: str,
        known: Iterable[str] = (),
        *,
        where: str = "",
        field: str | None = None,
    ) -> None:
        self.kind = kind
        self.name = name
        self.suggestion = nearest(name, known)
        shown = name if len(name) <= SUGGESTION_INPUT_LENGTH_MAX else name[:64] + "…"
        super().__init__(
            f"unknown {kind} `{shown}`{where}",
            field=field,
            help=f"did you mean `{self.suggestion}`?" if self.suggestion else None,
        )


class SubjectNotAllowedError(InputError):
    """The relation exists but does not take subjects of this form."""

    code = "subject_not_allowed"


class ValidationError(InputError):
    """Several findings at once, each under its field.

    Attributes:
        findings: field path -> messages.
    """

    code = "validation_failed"

    def __init__(self, findings: Mapping[str, Sequence[str]], message: str | None = None) -> None:
        super().__init__(message or "the request has invalid fields")
        self.findings = findings


class RevisionError(InputError):
    """A zookie or revision this store cannot honour.

    Attributes:
        reason: ``future``, ``foreign`` or ``collected``.
    """

    code = "revision_unavailable"

    def __init__(self, message: str, *, reason: str, field: str | None = None) -> None:
        super().__init__(message, field=field)
        self.reason = reason


class ConflictError(ZeratulError):
    """The state disagrees; re-read, then retry."""

    code = "conflict"


class AlreadyExistsError(ConflictError):
    """Something of this name is there already."""

    code = "already_exists"


class PreconditionError(ConflictError):
    """A precondition of the write does not hold; nothing was written."""

    code = "precondition_failed"


class SchemaInUseError(ConflictError):
    """The new model would orphan stored relationships.

    Attributes:
        orphans: what disappears (``document#viewer@user``) -> live relationships counted.
    """

    code = "model_in_use"

    def __init__(self, orphans: Mapping[str, int]) -> None:
        total = sum(orphans.values())
        super().__init__(
            f"the new model would orphan {total} stored relationship{'s' if total != 1 else ''}",
            help="send it with `?force=true` to delete them",
        )
        self.orphans = orphans


class InUseError(ConflictError):
    """Something else rests on what would be removed; ``force`` removes both.

    Attributes:
        references: what rests on it: kind (``policies``, ``roles``, ``relationships`` …) -> its
            ids or forms with a count each.
    """

    code = "in_use"

    def __init__(self, message: str, references: Mapping[str, Mapping[str, int]]) -> None:
        super().__init__(message, help="send it with `?force=true` to remove what rests on it too")
        self.references = references


class IdempotencyError(ConflictError):
    """An idempotency key seen before with another request."""

    code = "idempotency_key_reused"


class NotFoundError(ZeratulError):
    """Absent, or invisible to this caller."""

    code = "not_found"


class AccessError(ZeratulError):
    """Who asks, and what it may do."""

    code = "access"


class UnauthenticatedError(AccessError):
    """No key, or one that is not valid."""

    code = "unauthenticated"


class TokenError(AccessError):
    """A Bearer token that is not valid; nothing of the token is repeated.

    Attributes:
        reason: what kind of thing is wrong: ``malformed``, ``algorithm_not_allowed``,
            ``untrusted_issuer``, ``wrong_audience``, ``unknown_key``, ``bad_signature``,
            ``expired``, ``not_yet_valid``, ``invalid_claim`` or ``unsupported_scheme``.
    """

    code = "invalid_token"

    def __init__(self, message: str, *, reason: str, help: str | None = None) -> None:  # noqa: A002
        super().__init__(message, help=help)
        self.reason = reason


class ForbiddenError(AccessError):
    """A valid key that lacks a management permission.

    Attributes:
        permission: the one that is missing.
    """

    code = "forbidden"

    def __init__(self, permission: str, message: str | None = None) -> None:
        super().__init__(message or f"the key lacks the management permission `{permission}`")
        self.permission = permission


class TenantScopeError(AccessError):
    """A caller of one tenant, and something that belongs to the whole application."""

    code = "tenant_scope"

    def __init__(self, what: str) -> None:
        super().__init__(f"{what} belong to the whole application, this caller to one tenant")


class StrongerKeyError(AccessError):
    """A key was to make, or to renew, one that outlives it."""

    code = "stronger_key"

    def __init__(self, expires_at: str) -> None:
        super().__init__(
            "a key cannot make or rotate one that outlives it",
            help=f"this one ends at `{expires_at}`",
        )


class UserScopeError(AccessError):
    """A caller that speaks for one user, and a question about another subject."""

    code = "user_scope"

    def __init__(self) -> None:
        super().__init__(
            "the token speaks for one user, and this is not about that user",
            help="leave the subject out, or ask with the key alone",
        )


class IssuerUnavailableError(AccessError):
    """A token could not be judged: the keys of its issuer are not there."""

    code = "issuer_unavailable"

    def __init__(self) -> None:
        super().__init__("the keys of the token's issuer are not available at the moment")


class LimitError(ZeratulError):
    """A named limit was reached; nothing was decided and nothing written.

    Attributes:
        limit: the limit's name in ``zeratul.domain.limits.Limits``.
        value: the limit's value.
    """

    code = "limit_exceeded"

    def __init__(
        self,
        limit: str,
        value: int,
        message: str | None = None,
        *,
        help: str | None = None,  # noqa: A002
        field: str | None = None,
    ) -> None:
        super().__init__(message or f"more than {value} ({limit})", help=help)
        self.limit = limit
        self.value = value
        self.field = field


class StoreError(ZeratulError):
    """The storage engine could not do it.

    Attributes:
        reason: ``full``, ``busy``, ``closed``, ``corrupted``, ``format``, ``io`` or ``exhausted``.
    """

    code = "store_unavailable"

    def __init__(self, message: str, *, reason: str, help: str | None = None) -> None:  # noqa: A002
        super().__init__(message, help=help)
        self.reason = reason


class InternalError(ZeratulError):
    """A broken invariant: a defect of Zeratul itself."""

    code = "internal"

"""The one table of errors of this contract: what a client sees for every error there is.

RFC 9457 documents (contract authaz §1): ``type, title, status, detail, instance`` and our ``code``
and ``requestId``; what can be put down to a field comes in ``errors`` as well. People find each
code explained in ``schema/errors.yaml``. Nothing here repeats a secret: of a request only its path
is shown.
"""

from __future__ import annotations

from http import HTTPStatus
from typing import TYPE_CHECKING, Any, NamedTuple

import orjson

from zeratul import errors
from zeratul.api.failures import HttpError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

CONTENT_TYPE = "application/problem+json"
TYPE_PREFIX = "urn:zeratul:problem:"

# LIMIT: an attacker's request has as many findings as items; a person reads the first hundreds.
FINDINGS_SHOWN_MAX = 1_000


class Problem(NamedTuple):
    """One answer that is an error.

    Attributes:
        status: HTTP status.
        code: stable name, a row of ``schema/errors.yaml``.
        title: the same for every problem of this code.
        detail: what happened this time.
        members: further members of the document.
        headers: further headers of the answer.
    """

    status: int
    code: str
    title: str
    detail: str
    members: dict[str, Any]
    headers: dict[str, str]


# The table: class -> status and title. A class not listed is answered like the nearest above it.
STATUSES: dict[type[errors.ZeratulError], tuple[int, str]] = {
    errors.ZeratulError: (500, "Internal error"),
    errors.InputError: (400, "Invalid request"),
    errors.MalformedError: (400, "Malformed request"),
    errors.SchemaError: (400, "Invalid model"),
    errors.UnknownNameError: (400, "Unknown name"),
    errors.SubjectNotAllowedError: (400, "Subject not allowed"),
    errors.ValidationError: (400, "Validation failed"),
    errors.RevisionError: (400, "Revision not available"),
    errors.ConflictError: (409, "Conflict"),
    errors.AlreadyExistsError: (409, "Already exists"),
    errors.PreconditionError: (412, "Precondition failed"),
    errors.SchemaInUseError: (409, "Model in use"),
    errors.InUseError: (409, "In use"),
    errors.IdempotencyError: (409, "Idempotency key reused"),
    errors.NotFoundError: (404, "Not found"),
    errors.AccessError: (403, "Access denied"),
    errors.UnauthenticatedError: (401, "Not authenticated"),
    errors.TokenError: (401, "Token not valid"),
    errors.ForbiddenError: (403, "Permission missing"),
    errors.TenantScopeError: (403, "Not in one tenant"),
    errors.StrongerKeyError: (403, "A stronger key"),
    errors.UserScopeError: (403, "Not for this user"),
    errors.IssuerUnavailableError: (503, "Issuer unavailable"),
    errors.LimitError: (400, "Limit exceeded"),
    errors.StoreError: (503, "Store unavailable"),
    errors.InternalError: (500, "Internal error"),
}

# Limits that are not simply "ask for less in the same way" have a status of their own.
LIMIT_STATUSES: dict[str, int] = {
    "body_bytes_max": 413,
    "small_body_bytes_max": 413,
    "model_bytes_max": 413,
    "catalog_bytes_max": 413,
    "check_reads_max": 422,  # well-formed, understood, too much work: nothing was decided
    "lookup_reads_max": 422,
    "explain_reads_max": 422,
    "body_timeout_s": 408,
    "request_timeout_s": 504,
    "names_per_application_max": 507,
}

STORE_STATUSES: dict[str, int] = {
    "full": 507,
    "exhausted": 507,
    "io": 507,
    "busy": 503,
    "closed": 503,
    "corrupted": 500,
    "format": 500,
}

# What aiohttp and the router refuse before any handler runs, and what is about HTTP alone.
HTTP_CODES: dict[int, tuple[str, str]] = {
    400: ("malformed", "Malformed request"),
    404: ("not_found", "Not found"),
    405: ("method_not_allowed", "Method not allowed"),
    406: ("not_acceptable", "Not acceptable"),
    408: ("body_timeout", "The body took too long"),
    413: ("limit_exceeded", "Limit exceeded"),
    415: ("unsupported_media_type", "Unsupported media type"),
    417: ("expectation_failed", "Expectation failed"),
    431: ("limit_exceeded", "Limit exceeded"),
    503: ("heavy_unavailable", "Temporarily unavailable"),
}

RETRY_AFTER_S = "1"


def problem(error: BaseException) -> Problem:
    """What to answer for an error; anything unexpected becomes one opaque 500."""
    if isinstance(error, HttpError):
        return http_problem(error.status, error.detail, error.headers)
    if not isinstance(error, errors.ZeratulError):
        return _opaque()
    status, title = _row(type(error))
    if isinstance(error, errors.LimitError):
        status = LIMIT_STATUSES.get(error.limit, status)
    elif isinstance(error, errors.StoreError):
        status = STORE_STATUSES.get(error.reason, status)
    if status == HTTPStatus.INTERNAL_SERVER_ERROR:
        return _opaque()
    return Problem(
        status, error.code, title, sentence(error), _members(error), _headers(error, status)
    )


def http_problem(status: int, detail: str, headers: Mapping[str, str] | None = None) -> Problem:
    """A problem of HTTP itself."""
    code, title = HTTP_CODES.get(status, ("http_error", HTTPStatus(status).phrase))
    return Problem(status, code, title, detail, {}, dict(headers or {}))


def document(found: Problem, *, instance: str, request_id: str) -> bytes:
    """The problem as JSON."""
    return orjson.dumps(
        {
            "type": TYPE_PREFIX + found.code,
            "title": found.title,
            "status": found.status,
            "detail": found.detail,
            # A path may hold lone surrogates (raw bytes); JSON cannot.
            "instance": instance.encode("utf-8", "replace").decode("utf-8"),
            "code": found.code,
            "requestId": request_id,
            **found.members,
        }
    )


def sentence(error: errors.ZeratulError) -> str:
    """Message and help in one line."""
    text = f"{error.message}; {error.help}" if error.help else error.message
    # User input may hold lone surrogates; JSON cannot.
    return text.encode("utf-8", "replace").decode("utf-8")


def item(error: errors.ZeratulError) -> dict[str, Any]:
    """An error inside an answer that is otherwise a success: one item of a bulk call."""
    status, title = _row(type(error))
    if status == HTTPStatus.INTERNAL_SERVER_ERROR:
        return {"code": "internal", "title": "Internal error", "detail": "unexpected error"}
    return {"code": error.code, "title": title, "detail": sentence(error)} | _members(error)


def findings(error: errors.ZeratulError) -> dict[str, list[str]]:
    """Field path -> messages; empty where the error belongs to no field."""
    if isinstance(error, errors.ValidationError | errors.SchemaError):
        return _bounded(error.findings)
    field = getattr(error, "field", None)
    return {field: [sentence(error)]} if field else {}


def _bounded(found: Mapping[str, Sequence[str]]) -> dict[str, list[str]]:
    shown = {
        _printable(field): [_printable(message) for message in messages]
        for field, messages in list(found.items())[:FINDINGS_SHOWN_MAX]
    }
    if len(found) > FINDINGS_SHOWN_MAX:
        shown["…"] = [f"{len(found) - FINDINGS_SHOWN_MAX} more fields with findings"]
    return shown


def _printable(text: str) -> str:
    return text.encode("utf-8", "replace").decode("utf-8")


def _members(error: errors.ZeratulError) -> dict[str, Any]:
    members: dict[str, Any] = {}
    found = findings(error)
    if found:
        members["errors"] = found
    match error:
        case errors.UnknownNameError(suggestion=str() as suggestion):
            members["suggestion"] = suggestion
        case errors.ForbiddenError():
            members["permission"] = error.permission
        case errors.SchemaInUseError():
            members["orphans"] = dict(error.orphans)
        case errors.InUseError():
            members["references"] = {
                kind: dict(counts) for kind, counts in error.references.items()
            }
        case errors.LimitError():
            members |= {"limit": error.limit, "value": error.value}
        case errors.RevisionError() | errors.StoreError() | errors.TokenError():
            members["reason"] = error.reason
        case _:
            pass
    return members


def _headers(error: errors.ZeratulError, status: int) -> dict[str, str]:
    if isinstance(error, errors.UnauthenticatedError):
        return {"WWW-Authenticate": 'ApiKey realm="zeratul"'}
    if isinstance(error, errors.TokenError):
        return {"WWW-Authenticate": 'Bearer realm="zeratul", error="invalid_token"'}
    if status == HTTPStatus.SERVICE_UNAVAILABLE:
        return {"Retry-After": RETRY_AFTER_S}
    return {}


def _row(kind: type[BaseException]) -> tuple[int, str]:
    for each in kind.__mro__:
        if each in STATUSES:
            return STATUSES[each]
    return STATUSES[errors.ZeratulError]


def _opaque() -> Problem:
    return Problem(
        500,
        "internal",
        "Internal error",
        "unexpected error; the log has it under the request id",
        {},
        {},
    )

"""Trusted issuers of Bearer tokens, set for each application (contract authaz §1).

An issuer is a document of its application: the ``iss`` and ``aud`` its tokens must carry, and
where its public keys are: at a URI, or in the document. Nothing is fetched when it is put: an
issuer that is away for a moment is no reason to refuse a configuration.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from ipaddress import ip_address
from typing import TYPE_CHECKING, Any

import orjson

from zeratul.errors import (
    AlreadyExistsError,
    LimitError,
    MalformedError,
    NotFoundError,
    PreconditionError,
    ValidationError,
    nearest,
)
from zeratul.service.ground import audit
from zeratul.service.ground.answers import FIRST_PAGE
from zeratul.service.ground.cursors import Cursor, query_digest
from zeratul.service.ground.etags import etag_of, require_match
from zeratul.service.tokens.jwks import ALGORITHMS, KeySetError, read_keys

if TYPE_CHECKING:
    from concurrent.futures import Future

    from zeratul.service.ground.answers import Page
    from zeratul.service.ground.caller import Caller
    from zeratul.service.ground.foundation import Foundation
    from zeratul.store.interface import Snapshot, WriteTransaction

ISSUER_KIND = "issuer"
CLOCK_SKEW_S_DEFAULT = 30
# LIMIT: clocks further apart are wrong clocks; an expired token is not to live on for long.
CLOCK_SKEW_S_MAX = 300
# LIMIT: `iss` and `aud` are names and addresses.
NAME_LENGTH_MAX = 1_024
URI_LENGTH_MAX = 2_048
CLAIM_LENGTH_MAX = 256

_WHAT = "trusted issuers"
_ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")
# Stricter than RFC 3986, so that no two readers of it can see two hosts: no user, no fragment, no
# backslash, a host of plain characters.
_URI = re.compile(
    r"(?P<scheme>https?)://(?P<host>[A-Za-z0-9.-]+|\[[0-9A-Fa-f:.]+\])(?::(?P<port>[0-9]{1,5}))?"
    r"(?:/[A-Za-z0-9._~!$&'()*+,;=:@%/-]*)?(?:\?[A-Za-z0-9._~!$&'()*+,;=:@%/?-]*)?"
)
# Claims with a meaning of their own: the same for all of an issuer's users, or new in each token.
_NO_NAMES = frozenset({"iss", "aud", "exp", "nbf", "iat", "jti"})


@dataclass(frozen=True, slots=True, kw_only=True)
class Issuer:
    """An issuer whose tokens an application trusts.

    Attributes:
        id: its name in the application, chosen by who set it up.
        issuer, audience: what ``iss`` must be, and what ``aud`` must contain.
        jwks_uri, jwks: where its public keys are; one of the two.
        algorithms: signatures it may use.
        clock_skew_s: how far its clock and ours may be apart.
        user_claim, tenant_claim: the claims that name the user and the tenant.
    """

    id: str
    issuer: str
    audience: str
    jwks_uri: str | None = None
    jwks: dict[str, Any] | None = None
    algorithms: tuple[str, ...] = ALGORITHMS
    clock_skew_s: int = CLOCK_SKEW_S_DEFAULT
    user_claim: str = "sub"
    tenant_claim: str = "tenant_id"
    created_at_ms: int = 0
    updated_at_ms: int = 0

    @classmethod
    def parse(cls, body: bytes) -> Issuer:
        """What ``pack`` made."""
        stored = orjson.loads(body)
        return cls(
            id=stored["id"],
            issuer=stored["issuer"],
            audience=stored["audience"],
            jwks_uri=stored["jwksUri"],
            jwks=stored["jwks"],
            algorithms=tuple(stored["algorithms"]),
            clock_skew_s=stored["clockSkewSeconds"],
            user_claim=stored["userClaim"],
            tenant_claim=stored["tenantClaim"],
            created_at_ms=stored["createdAtMs"],
            updated_at_ms=stored["updatedAtMs"],
        )

    def to_json(self) -> dict[str, Any]:
        """The JSON form: what is stored and audited."""
        return {
            "id": self.id,
            "issuer": self.issuer,
            "audience": self.audience,
            "jwksUri": self.jwks_uri,
            "jwks": self.jwks,
            "algorithms": self.algorithms,
            "clockSkewSeconds": self.clock_skew_s,
            "userClaim": self.user_claim,
            "tenantClaim": self.tenant_claim,
            "createdAtMs": self.created_at_ms,
            "updatedAtMs": self.updated_at_ms,
        }

    def pack(self) -> bytes:
        """The document."""
        return orjson.dumps(self.to_json())

    @property
    def etag(self) -> str:
        """What changes with the document."""
        return etag_of(self.pack())


@dataclass(frozen=True, slots=True)
class IssuerPut:
    """An issuer as it is stored now, and whether it is new."""

    issuer: Issuer
    created: bool
    zookie: str


@dataclass(frozen=True, slots=True)
class IssuerPage:
    """Issuers in id order, and where the list goes on."""

    rows: list[Issuer]
    next_cursor: str | None
    page_size: int


class Issuers:
    """Use cases around trusted issuers."""

    def __init__(self, foundation: Foundation) -> None:
        self._base = foundation

    def put(
        self, caller: Caller, issuer: Issuer, *, if_match: str | None = None
    ) -> Future[IssuerPut]:
        """Trust an issuer, or change how; effective on the next call in every process.

        Args:
            caller: who asks.
            issuer: as it shall be; its times are set here.
            if_match: text of ``If-Match``: the ``etag`` it must have at the moment.

        Raises:
            ForbiddenError: the caller lacks ``keys:write``.
            TenantScopeError: it acts in one tenant only.
            InputError: a field that is none; a key set with private, symmetric or weak keys.
            LimitError: (from the future) the application has as many as it may.
            AlreadyExistsError: (from the future) another one has the same ``issuer``.
            PreconditionError: (from the future) ``if_match`` names another version.
        """
        caller.require("keys:write")
        caller.require_whole_application(_WHAT)
        self._base.snapshot(caller).close()
        checked = _checked(issuer)

        def job(tx: WriteTransaction) -> IssuerPut:
            others = stored_issuers(tx.snapshot, caller.application)
            before = others.pop(checked.id, None)
            _require_match(before, if_match)
            if any(each.issuer == checked.issuer for each in others.values()):
                raise AlreadyExistsError("the application trusts this `issuer` under another id")
            most = self._base.limits.issuers_max
            if before is None and len(others) >= most:
                raise LimitError(
                    "issuers_max", most, f"an application has at most {most} trusted issuers"
                )
            if before is not None and _at(checked, before, before.updated_at_ms) == before:
                zookie = self._base.zookie(caller.application, tx.effective_revision, 0)
                return IssuerPut(before, created=False, zookie=zookie)
            after = _at(checked, before, tx.now_ms)
            tx.put_document(caller.application, ISSUER_KIND, after.id, after.pack())
            audit.record(
                tx,
                caller,
                "issuer.created" if before is None else "issuer.updated",
                ISSUER_KIND,
                after.id,
                before=None if before is None else before.to_json(),
                after=after.to_json(),
            )
            zookie = self._base.zookie(caller.application, tx.revision, 0)
            return IssuerPut(after, created=before is None, zookie=zookie)

        return self._base.store.write(job)

    def get(self, caller: Caller, issuer_id: str) -> Issuer:
        """One issuer.

        Raises:
            ForbiddenError: the caller lacks ``keys:read``.
            TenantScopeError: it acts in one tenant only.
            NotFoundError: the application has none of this id.
        """
        with self._reading(caller) as snapshot:
            found = stored_issuers(snapshot, caller.application).get(issuer_id)
        if found is None:
            raise _not_found(issuer_id)
        return found

    def list(self, caller: Caller, *, page: Page = FIRST_PAGE) -> IssuerPage:
        """A page of the application's issuers, in id order.

        Raises:
            ForbiddenError: the caller lacks ``keys:read``.
            TenantScopeError: it acts in one tenant only.
            InputError: a page size or cursor that is none.
        """
        base = self._base
        with self._reading(caller) as snapshot:
            size = base.page_size(page)
            query = query_digest("issuers", caller.application)
            after = ""
            if page.cursor:
                after = Cursor.decode(page.cursor, base.cursor_secret, query).position.decode()
            found = stored_issuers(snapshot, caller.application)
            rest = [issuer for issuer_id, issuer in found.items() if issuer_id > after]
            following = None
            if len(rest) > size:
                position = rest[size - 1].id.encode()
                cursor = Cursor(query, snapshot.revision, snapshot.now_ms, 0, position)
                following = cursor.encode(base.cursor_secret)
        return IssuerPage(rest[:size], following, size)

    def _reading(self, caller: Caller) -> Snapshot:
        caller.require("keys:read")
        caller.require_whole_application(_WHAT)
        return self._base.snapshot(caller)

    def delete(
        self, caller: Caller, issuer_id: str, *, if_match: str | None = None
    ) -> Future[str]:
        """Trust an issuer no longer, from the next call on; the future has the zookie.

        Raises:
            ForbiddenError: the caller lacks ``keys:write``.
            TenantScopeError: it acts in one tenant only.
            NotFoundError: (from the future) the application has none of this id.
            PreconditionError: (from the future) ``if_match`` names another version.
        """
        caller.require("keys:write")
        caller.require_whole_application(_WHAT)
        self._base.snapshot(caller).close()

        def job(tx: WriteTransaction) -> str:
            before = stored_issuers(tx.snapshot, caller.application).get(issuer_id)
            if before is None:
                raise _not_found(issuer_id)
            _require_match(before, if_match)
            tx.delete_document(caller.application, ISSUER_KIND, issuer_id)
            audit.record(
                tx, caller, "issuer.deleted", ISSUER_KIND, issuer_id, before=before.to_json()
            )
            return self._base.zookie(caller.application, tx.revision, 0)

        return self._base.store.write(job)


def stored_issuers(snapshot: Snapshot, application: int) -> dict[str, Issuer]:
    """The application's issuers by id, in id order."""
    return {
        issuer_id: Issuer.parse(body)
        for issuer_id, body in snapshot.documents(application, ISSUER_KIND)
    }


def _not_found(issuer_id: str) -> NotFoundError:
    return NotFoundError(f"there is no issuer `{issuer_id[:128]}`")


def _require_match(before: Issuer | None, if_match: str | None) -> None:
    if before is not None:
        require_match(if_match, before.pack())
    elif if_match is not None:
        raise PreconditionError("there is no issuer of this id, so none that `If-Match` names")


def _at(checked: Issuer, before: Issuer | None, now_ms: int) -> Issuer:
    created = now_ms if before is None else before.created_at_ms
    return replace(checked, created_at_ms=created, updated_at_ms=now_ms)


def _checked(issuer: Issuer) -> Issuer:
    """The issuer with its keys as they are stored.

    Raises:
        InputError: everything that is wrong with it, by field.
    """
    if _ID.fullmatch(issuer.id) is None:
        raise MalformedError(
            "an issuer's id has 1 to 64 letters, digits, `.`, `_` and `-`", field="issuerId"
        )
    keys, problems = _read_inline(issuer)
    for index, algorithm in enumerate(issuer.algorithms):
        problems[f"algorithms[{index}]"] = _algorithm_problem(algorithm)
    problems |= {
        "issuer": _name_problem(issuer.issuer, NAME_LENGTH_MAX),
        "audience": _name_problem(issuer.audience, NAME_LENGTH_MAX),
        "userClaim": _claim_problem(issuer.user_claim),
        "tenantClaim": _claim_problem(issuer.tenant_claim),
    }
    if not issuer.algorithms:
        problems["algorithms"] = "must name at least one"
    if not 0 <= issuer.clock_skew_s <= CLOCK_SKEW_S_MAX:
        problems["clockSkewSeconds"] = f"must be 0 to {CLOCK_SKEW_S_MAX}"
    if issuer.user_claim == issuer.tenant_claim:
        problems["tenantClaim"] = "must be another claim than `userClaim`"
    found = {field: [problem] for field, problem in problems.items() if problem is not None}
    if found:
        raise ValidationError(found)
    return replace(issuer, jwks=keys, algorithms=tuple(dict.fromkeys(issuer.algorithms)))


def _read_inline(issuer: Issuer) -> tuple[dict[str, Any] | None, dict[str, str | None]]:
    """The keys in the document in their stored form, and what is wrong with where keys are."""
    if (issuer.jwks_uri is None) == (issuer.jwks is None):
        return None, {"jwksUri": "send exactly one of `jwksUri` and `jwks`"}
    if issuer.jwks_uri is not None:
        return None, {"jwksUri": _uri_problem(issuer.jwks_uri)}
    try:
        return read_keys(issuer.jwks).jwks, {}
    except KeySetError as error:
        return None, {f"jwks.{error.path}" if error.path else "jwks": error.message}


def _name_problem(text: str, length_max: int) -> str | None:
    if not 0 < len(text) <= length_max:
        return f"must have 1 to {length_max:,} characters"
    if text != text.strip() or not text.isprintable():
        return "must not have control characters, or white space at the ends"
    return None


def _claim_problem(claim: str) -> str | None:
    if claim in _NO_NAMES:
        return f"`{claim}` has a meaning of its own"
    return _name_problem(claim, CLAIM_LENGTH_MAX)


def _algorithm_problem(algorithm: str) -> str | None:
    if algorithm in ALGORITHMS:
        return None
    if algorithm.lower() == "none" or algorithm.upper().startswith("HS"):
        return "only asymmetric signatures are accepted"
    close = nearest(algorithm, ALGORITHMS)
    return f"unknown algorithm `{algorithm[:64]}`" + (
        f"; did you mean `{close}`?" if close else ""
    )


def _uri_problem(uri: str) -> str | None:
    if len(uri) > URI_LENGTH_MAX:
        return f"must have at most {URI_LENGTH_MAX:,} characters"
    found = _URI.fullmatch(uri)
    if found is None or not 0 < int(found["port"] or 443) <= 65_535:
        return "must be a plain URI like `https://issuer.example/jwks.json`"
    if found["scheme"] == "http" and not _is_loopback(found["host"].strip("[]")):
        return "must be `https` (`http` on a loopback address only)"
    return None


def _is_loopback(host: str) -> bool:
    if host == "localhost":
        return True
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return False

"""A JWT's three parts and its claims, judged one by one (RFC 7519, RFC 8725).

What a token says is believed only after its signature was verified; before that it only chooses by
whose keys it is judged. No error repeats what a token says.
"""

from __future__ import annotations

import base64
import binascii
from typing import TYPE_CHECKING, Any, NamedTuple

import orjson
from joserfc.jws import CompactSignature

from zeratul.domain.relationship import WILDCARD, id_is_valid
from zeratul.errors import TokenError
from zeratul.service.tokens.jwks import ALGORITHMS, KEY_ID_LENGTH_MAX

if TYPE_CHECKING:
    from zeratul.service.tokens.issuers import Issuer

# LIMIT: the end of year 9999. A later time was meant in milliseconds, and would never come.
TIME_MAX = 253_402_300_799


class Token(NamedTuple):
    """A token taken apart, nothing of it verified.

    Attributes:
        algorithm, key_id: what its header says.
        claims: its payload.
        signed: the form joserfc verifies.
    """

    algorithm: str
    key_id: str | None
    claims: dict[str, Any]
    signed: CompactSignature


class Identity(NamedTuple):
    """What a verified token says, and when that holds: from the first time until the second."""

    user_id: str
    tenant_id: str | None
    begins_ms: int
    ends_ms: int


def read_token(text: str, bytes_max: int) -> Token:
    """A token in its compact form.

    Raises:
        TokenError: it is none, too long, or signed in a way that is not accepted.
    """
    if not text.isascii() or len(text) > bytes_max:
        raise _malformed(f"it has more than {bytes_max:,} characters, or other ones than ASCII")
    segments = text.encode("ascii").split(b".")
    if len(segments) != 3:
        raise _malformed("it is not three parts with a `.` between")
    header, payload, _ = (_decoded(each) for each in segments)
    algorithm, key_id = _read_header(_object(header, "header"))
    signed = CompactSignature({"alg": algorithm}, payload)
    signed.segments["header"], signed.segments["payload"] = segments[0], segments[1]
    signed.segments["signature"] = segments[2]
    return Token(algorithm, key_id, _object(payload, "payload"), signed)


def _decoded(segment: bytes) -> bytes:
    """The bytes of a part; only in the one spelling that encoding them gives."""
    try:
        data = base64.urlsafe_b64decode(segment + b"=" * (-len(segment) % 4))
    except binascii.Error:
        raise _malformed("a part is not base64url") from None
    # No padding, no stray bits or characters: one signature has one text.
    if base64.urlsafe_b64encode(data).rstrip(b"=") != segment:
        raise _malformed("a part is not base64url")
    return data


def _read_header(header: dict[str, Any]) -> tuple[str, str | None]:
    if "crit" in header or "b64" in header:
        raise TokenError(
            "the token's header asks for extensions, none is supported", reason="unsupported"
        )
    algorithm, key_id = header.get("alg"), header.get("kid")
    if not isinstance(algorithm, str) or algorithm not in ALGORITHMS:
        raise algorithm_refused()
    if not (key_id is None or (isinstance(key_id, str) and len(key_id) <= KEY_ID_LENGTH_MAX)):
        raise _malformed(f"its `kid` is not a text of up to {KEY_ID_LENGTH_MAX} characters")
    return algorithm, key_id


def _object(data: bytes, part: str) -> dict[str, Any]:
    try:
        value = orjson.loads(data)
    except orjson.JSONDecodeError:
        value = None
    if not isinstance(value, dict):
        raise _malformed(f"its {part} is not a JSON object")
    return value


def issuer_of(token: Token) -> str:
    """Who the token says made it.

    Raises:
        TokenError: it says nothing.
    """
    return _text(token.claims, "iss")


def require_audience(claims: dict[str, Any], issuer: Issuer) -> None:
    """Refuse a token made for somebody else.

    Raises:
        TokenError: naming ``wrong_audience``.
    """
    given = claims.get("aud")
    audiences = given if isinstance(given, list) else [given]
    if issuer.audience not in audiences:
        raise TokenError("the token is for another audience", reason="wrong_audience")


def identity(claims: dict[str, Any], issuer: Issuer, now_ms: int) -> Identity:
    """Whom the claims of a verified token name, and how long.

    Raises:
        TokenError: it expired or does not hold yet; a claim is missing or not what it must be.
    """
    skew_ms = issuer.clock_skew_s * 1_000
    ends_ms = _time(claims, "exp", required=True) + skew_ms
    if now_ms >= ends_ms:
        raise TokenError("the token expired", reason="expired")
    # Made in the future is as wrong as valid in the future.
    begins_ms = max(_time(claims, "nbf"), _time(claims, "iat")) - skew_ms
    if now_ms < begins_ms:
        raise TokenError("the token does not hold yet", reason="not_yet_valid")
    tenant = claims.get(issuer.tenant_claim)
    return Identity(
        _name(claims, issuer.user_claim),
        None if tenant is None else _name(claims, issuer.tenant_claim),
        begins_ms,
        ends_ms,
    )


def _name(claims: dict[str, Any], claim: str) -> str:
    """An id of ours out of a claim; a star would stand for everybody."""
    value = _text(claims, claim)
    if value == WILDCARD or not id_is_valid(value):
        raise _invalid(f"the token's claim `{claim}` is not an id")
    return value


def _text(claims: dict[str, Any], claim: str) -> str:
    value = claims.get(claim)
    if not isinstance(value, str) or not value:
        raise _invalid(f"the token lacks the claim `{claim}`, or it is not a text")
    return value


def _time(claims: dict[str, Any], claim: str, *, required: bool = False) -> int:
    value = claims.get(claim)
    if value is None and not required:
        return 0
    # In Python true is a number as well.
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise _invalid(f"the token lacks the claim `{claim}`, or it is not a time")
    if not 0 <= value <= TIME_MAX:
        raise _invalid(f"the token's claim `{claim}` is not in seconds since 1970")
    return int(value * 1_000)


def algorithm_refused() -> TokenError:
    """The error for a signature that is not accepted."""
    return TokenError(
        "the token's algorithm is not allowed",
        reason="algorithm_not_allowed",
        help="only asymmetric signatures are accepted, of those the issuer is set up with",
    )


def _malformed(problem: str) -> TokenError:
    return TokenError(f"the token is not a signed JWT: {problem}", reason="malformed")


def _invalid(problem: str) -> TokenError:
    return TokenError(problem, reason="invalid_claim")

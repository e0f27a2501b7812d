"""Public keys of an issuer: read from a JWK Set (RFC 7517), chosen for a token, never secret ones.

What can not verify a signature (keys to encrypt with, types of later standards) is passed over, as
RFC 7517 §5 asks. What must never be in a public document is refused with all that is beside it: a
symmetric or private key, or one so weak that a stranger could sign with it.
"""

from __future__ import annotations

import binascii
from dataclasses import dataclass
from typing import Any

from cryptography.exceptions import UnsupportedAlgorithm
from joserfc.errors import JoseError, UnsupportedAlgorithmError
from joserfc.jwk import ECKey, OKPKey, RSAKey
from joserfc.jws import CompactSignature, JWSRegistry, validate_compact
from joserfc.util import base64_to_int

ALGORITHMS = (
    "EdDSA",
    "ES256",
    "ES384",
    "ES512",
    "PS256",
    "PS384",
    "PS512",
    "RS256",
    "RS384",
    "RS512",
)
"""Signatures that are accepted. All are asymmetric: whoever can verify can not sign."""

# LIMIT: issuers publish two or three; each is tried by its parameters, not by its signature.
KEYS_MAX = 64
# LIMIT: a key id is a name or a digest.
KEY_ID_LENGTH_MAX = 256
# LIMIT: NIST SP 800-131A: below 2,048 bits a signature can be forged; above 8,192 (or with a long
# exponent) verifying one takes milliseconds of everybody's time.
RSA_BITS_MIN = 2_048
RSA_BITS_MAX = 8_192
RSA_EXPONENT_BITS_MAX = 32

_PRIVATE_MEMBERS = frozenset({"d", "p", "q", "dp", "dq", "qi", "oth", "k", "priv"})
# Members that make a public key, by type and by the curves that can sign with our algorithms.
_RSA_MEMBERS = ("n", "e")
_EC_MEMBERS = ("crv", "x", "y")
_OKP_MEMBERS = ("crv", "x")
_HINTS = ("kid", "alg", "use")
_CURVES = {"EC": {"P-256", "P-384", "P-521"}, "OKP": {"Ed25519", "Ed448"}}
_BROKEN = (JoseError, UnsupportedAlgorithm, ValueError, KeyError, TypeError, binascii.Error)

PublicKey = RSAKey | ECKey | OKPKey


class KeySetError(Exception):
    """A JWK Set that is not taken.

    Attributes:
        path: what is wrong in it (``keys[1].n``), empty for the whole.
        message: what is wrong with that.
    """

    def __init__(self, path: str, message: str) -> None:
        super().__init__(f"{path}: {message}" if path else message)
        self.path = path
        self.message = message


class _Registry(JWSRegistry):
    """joserfc's algorithms, without its warning that ``EdDSA`` leaves the curve to the key."""

    def get_alg(self, name: str) -> Any:
        if name not in ALGORITHMS:
            raise UnsupportedAlgorithmError(name)
        return self.algorithms[name]


_REGISTRY = _Registry()


@dataclass(frozen=True, slots=True)
class IssuerKeys:
    """The usable public keys of one issuer.

    Attributes:
        keys: in the issuer's order.
        jwks: the same as JSON, with nothing but what makes them keys.
    """

    keys: tuple[PublicKey, ...]
    jwks: dict[str, Any]

    def fitting(self, algorithm: str, key_id: str | None) -> PublicKey | None:
        """The key a token was signed with, as far as its header says.

        Returns:
            None if there is none, or if a token without a key id leaves several.
        """
        found = [
            key
            for key in self.keys
            if (key_id is None or key.kid == key_id) and _fits(key, algorithm)
        ]
        # Two keys of one id and one algorithm are the issuer's mistake: nobody guesses here.
        return found[0] if len(found) == 1 else None


def verifies(key: PublicKey, signed: CompactSignature) -> bool:
    """Whether the signature is that of the key, by the algorithm of the header."""
    try:
        return validate_compact(signed, key, registry=_REGISTRY)
    except (JoseError, UnsupportedAlgorithm, ValueError):
        return False


def read_keys(document: object) -> IssuerKeys:
    """The keys of a JWK Set.

    Raises:
        KeySetError: it is none, holds what must not be public, or nothing to verify with.
    """
    listed = document.get("keys") if isinstance(document, dict) else None
    if not isinstance(listed, list):
        raise KeySetError("", "must be a JWK Set: an object with an array `keys`")
    if len(listed) > KEYS_MAX:
        raise KeySetError("keys", f"has more than {KEYS_MAX} keys")
    keys: list[PublicKey] = []
    for index, jwk in enumerate(listed):
        key = _read_key(jwk, f"keys[{index}]")
        if key is not None:
            keys.append(key)
    if not keys:
        raise KeySetError("keys", "has no key that could verify a signature")
    return IssuerKeys(tuple(keys), {"keys": [dict(key.as_dict(private=False)) for key in keys]})


def _read_key(jwk: object, path: str) -> PublicKey | None:
    if not isinstance(jwk, dict) or not isinstance(jwk.get("kty"), str):
        raise KeySetError(path, "must be an object with a `kty`")
    if jwk["kty"] == "oct" or _PRIVATE_MEMBERS & jwk.keys():
        raise KeySetError(path, "is a symmetric or private key; only public keys are taken")
    if not _may_verify(jwk):
        return None
    kind, members = _parts(jwk)
    if kind is None:
        return None
    public: dict[str, str | list[str]] = {}
    for name in ("kty", *members, *(name for name in _HINTS if jwk.get(name) is not None)):
        value = jwk.get(name)
        if not isinstance(value, str):
            raise KeySetError(f"{path}.{name}", "must be a string")
        public[name] = value
    if len(public.get("kid", "")) > KEY_ID_LENGTH_MAX:
        raise KeySetError(f"{path}.kid", f"has more than {KEY_ID_LENGTH_MAX} characters")
    try:
        if kind is RSAKey:
            _require_strength(jwk, path)
        return kind.import_key(public)
    except _BROKEN as error:
        raise KeySetError(path, "is not a valid public key") from error


def _may_verify(jwk: dict[str, Any]) -> bool:
    """Whether a key is meant for signatures, and for one of ours if it says for which."""
    operations = jwk.get("key_ops")
    return (
        jwk.get("use", "sig") == "sig"
        and (operations is None or (isinstance(operations, list) and "verify" in operations))
        and jwk.get("alg", ALGORITHMS[0]) in ALGORITHMS
    )


def _parts(jwk: dict[str, Any]) -> tuple[type[PublicKey] | None, tuple[str, ...]]:
    kind = jwk["kty"]
    if kind == "RSA":
        return RSAKey, _RSA_MEMBERS
    curve = jwk.get("crv")
    if not isinstance(curve, str) or curve not in _CURVES.get(kind, ()):
        return None, ()
    return (ECKey, _EC_MEMBERS) if kind == "EC" else (OKPKey, _OKP_MEMBERS)


def _require_strength(jwk: dict[str, Any], path: str) -> None:
    bits = base64_to_int(jwk["n"]).bit_length()
    if not RSA_BITS_MIN <= bits <= RSA_BITS_MAX:
        raise KeySetError(
            f"{path}.n", f"has {bits} bits; an RSA key has {RSA_BITS_MIN:,} to {RSA_BITS_MAX:,}"
        )
    if base64_to_int(jwk["e"]).bit_length() > RSA_EXPONENT_BITS_MAX:
        raise KeySetError(f"{path}.e", f"has more than {RSA_EXPONENT_BITS_MAX} bits")


def _fits(key: PublicKey, algorithm: str) -> bool:
    try:
        _REGISTRY.get_alg(algorithm).check_key(key)
    except JoseError:
        return False
    return True

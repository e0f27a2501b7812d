"""Issuers for tests: keys of every algorithm, tokens right and wrong, and where keys are fetched.

Tokens are put together by hand, so that a test can get any part of one wrong.
"""

from __future__ import annotations

import asyncio
import base64
import json
from functools import cache
from typing import TYPE_CHECKING, Any

from joserfc.jwk import ECKey, OKPKey, RSAKey
from joserfc.jws import JWSRegistry

from zeratul.service.tokens.issuer_keys import FetchError
from zeratul.service.tokens.jwks import ALGORITHMS

if TYPE_CHECKING:
    from collections.abc import Coroutine

ISSUER = "https://login.test/"
AUDIENCE = "https://api.test"
JWKS_URI = "https://login.test/jwks.json"
LIFETIME_S = 600
CURVES = {"ES256": "P-256", "ES384": "P-384", "ES512": "P-521"}

Json = dict[str, Any]
PrivateKey = RSAKey | ECKey | OKPKey


def encoded(part: bytes | Json) -> str:
    """A part of a token: base64url without padding."""
    data = part if isinstance(part, bytes) else json.dumps(part).encode()
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def decoded(part: str) -> bytes:
    return base64.urlsafe_b64decode(part + "=" * (-len(part) % 4))


@cache
def private_key(algorithm: str, number: int = 0) -> PrivateKey:
    """A key to sign with; the same one for the same arguments."""
    assert algorithm in ALGORITHMS
    if algorithm == "EdDSA":
        return OKPKey.generate_key("Ed25519")
    if algorithm in CURVES:
        return ECKey.generate_key(CURVES[algorithm])
    return RSAKey.generate_key(2048)


class Signer:
    """Makes an issuer's tokens with one key."""

    def __init__(
        self, algorithm: str = "ES256", key_id: str | None = "k0", number: int = 0
    ) -> None:
        self.algorithm = algorithm
        self.key_id = key_id
        self.key = private_key(algorithm, number)

    @property
    def public(self) -> Json:
        """The key as an issuer publishes it."""
        jwk = dict(self.key.as_dict(private=False))
        jwk.pop("kid", None)
        return jwk if self.key_id is None else {**jwk, "kid": self.key_id}

    def token(self, claims: Json, header: Json | None = None) -> str:
        """A token with these claims, rightly signed whatever its header says."""
        named = {} if self.key_id is None else {"kid": self.key_id}
        whole = {"alg": self.algorithm, "typ": "JWT", **named, **(header or {})}
        return self.signed({k: v for k, v in whole.items() if v is not None}, claims)

    def signed(self, header: bytes | Json, payload: bytes | Json) -> str:
        """These two parts, signed."""
        text = f"{encoded(header)}.{encoded(payload)}"
        return f"{text}.{encoded(self.signature(text))}"

    def signature(self, text: str) -> bytes:
        return JWSRegistry.algorithms[self.algorithm].sign(text.encode(), self.key)


def claims(now_ms: int, **more: object) -> Json:
    """What a good token says; None leaves a claim out."""
    now_s = now_ms // 1_000
    whole = {
        "iss": ISSUER,
        "aud": AUDIENCE,
        "sub": "ann",
        "iat": now_s,
        "exp": now_s + LIFETIME_S,
        **more,
    }
    return {name: value for name, value in whole.items() if value is not None}


def key_set(*signers: Signer) -> Json:
    return {"keys": [signer.public for signer in signers]}


class Site:
    """Where an issuer publishes its keys, as the service sees it."""

    def __init__(self, *signers: Signer) -> None:
        self.body: bytes | None = json.dumps(key_set(*signers)).encode()
        self.fetched: list[str] = []
        self.asked = asyncio.Event()
        self.gate = asyncio.Event()
        self.gate.set()

    def hold(self) -> None:
        """Answer nobody until the gate is set."""
        self.asked.clear()
        self.gate.clear()

    def publish(self, *signers: Signer) -> None:
        self.body = json.dumps(key_set(*signers)).encode()

    async def fetch(self, uri: str) -> bytes:
        self.fetched.append(uri)
        self.asked.set()
        await self.gate.wait()
        if self.body is None:
            raise FetchError("it is away")
        return self.body


def at_once(coroutine: Coroutine[Any, Any, Any]) -> Any:
    """The result of a coroutine that has nothing to wait for."""
    try:
        coroutine.send(None)
    except StopIteration as stop:
        return stop.value
    coroutine.close()
    raise AssertionError("it waits")

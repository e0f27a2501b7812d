"""Bearer tokens beside keys: whose they are, and that they only ever narrow (contract authaz §1).

Theory of operation: a token is judged by the issuers its application trusts, which are documents;
like everything known of documents (``directory``) they are forgotten, with all tokens verified by
them, when a commit of any process changes them, before the next token is judged. A verified token
is kept by its digest until it ends, so that its signature is verified once, not with each call.

*What a token can do*: it names the user, and maybe the tenant, that a caller is narrowed to.
Nothing else in it is read: permissions in it grant nothing.
"""

from __future__ import annotations

import asyncio
import hashlib
from dataclasses import replace
from threading import Lock
from typing import TYPE_CHECKING, NamedTuple

from zeratul.errors import IssuerUnavailableError, TokenError
from zeratul.service.tokens.claims import (
    Identity,
    algorithm_refused,
    identity,
    issuer_of,
    read_token,
    require_audience,
)
from zeratul.service.tokens.issuer_keys import KeySource
from zeratul.service.tokens.issuers import ISSUER_KIND, stored_issuers
from zeratul.service.tokens.jwks import verifies

if TYPE_CHECKING:
    from collections.abc import Iterable

    from zeratul.service.ground.caller import Caller
    from zeratul.service.ground.foundation import Foundation
    from zeratul.service.tokens.claims import Token
    from zeratul.service.tokens.issuer_keys import Fetch
    from zeratul.service.tokens.issuers import Issuer
    from zeratul.service.tokens.jwks import IssuerKeys

# LIMIT: verified tokens of one process, some hundred bytes each.
VERIFIED_MAX = 10_000
# LIMIT: applications of one process whose issuers are known, with their keys.
APPLICATIONS_MAX = 1_000

_Key = tuple[int, bytes]  # application, digest of a token
_Trusted = dict[str, KeySource]  # by `iss`


class _Verified(NamedTuple):
    """A token that was verified: by whom, with which keys, and what it says."""

    issuer: str
    source: KeySource
    keys: IssuerKeys
    identity: Identity


class Tokens:
    """Verifies Bearer tokens in one process; its coroutines run on one event loop."""

    def __init__(self, foundation: Foundation) -> None:
        self._base = foundation
        self._lock = Lock()
        self._generation = 0
        self._current: dict[int, _Trusted] = {}
        # Also of applications whose issuers have to be read again: what did not change is kept.
        self._known: dict[int, _Trusted] = {}
        self._verified: dict[_Key, _Verified] = {}
        self._fetches: set[asyncio.Task[None]] = set()
        foundation.engine.on_documents(self._changed)

    async def narrow(self, caller: Caller, text: str, fetch: Fetch) -> Caller:
        """The caller, speaking for the token's user in the token's tenant.

        Args:
            caller: whose key the token came with.
            text: the token.
            fetch: brings an issuer's keys.

        Raises:
            TokenError: the application does not trust it, for the reason it names.
            NotFoundError: it names another tenant than the key's own.
            IssuerUnavailableError: the issuer's keys are needed, and can not be had now.
        """
        application = caller.application
        key = (application, hashlib.sha256(text.encode("utf-8", "surrogatepass")).digest())
        found = self._verified.get(key)
        if found is None or not await self._still_holds(found, application, fetch):
            found = await self._verify(application, text, fetch)
            self._keep(key, found)
        user_id, tenant_id, _, _ = found.identity
        if tenant_id is None:
            tenant_id = caller.tenant_id
        else:
            caller.enter_tenant(tenant_id)
        return replace(caller, user_id=user_id, tenant_id=tenant_id)

    async def close(self) -> None:
        """End fetches that still run."""
        for task in self._fetches:
            task.cancel()
        if self._fetches:
            await asyncio.wait(self._fetches)

    async def _still_holds(self, found: _Verified, application: int, fetch: Fetch) -> bool:
        if not self._holds(found, application):
            return False
        waited = await found.source.ready(fetch)
        return not waited or self._holds(found, application)

    def _holds(self, found: _Verified, application: int) -> bool:
        """Whether nothing a token was verified by has changed, and its time has not passed."""
        return (
            self._trusted(application).get(found.issuer) is found.source
            and found.source.keys is found.keys
            and found.identity.begins_ms <= self._base.clock_ms() < found.identity.ends_ms
        )

    async def _verify(self, application: int, text: str, fetch: Fetch) -> _Verified:
        token = read_token(text, self._base.limits.token_bytes_max)
        source = _source(self._trusted(application), token)
        await source.ready(fetch)
        if source.keys is not None and _asks_for_others(source.keys, token):
            await source.renewed(fetch)
        # While that took its time, the issuer may have been changed or removed.
        source = _source(self._trusted(application), token)
        keys = source.keys
        if keys is None:
            raise IssuerUnavailableError
        signer = keys.fitting(token.algorithm, token.key_id)
        if signer is None:
            raise TokenError("the token is signed with an unknown key", reason="unknown_key")
        if not verifies(signer, token.signed):
            raise TokenError("the token's signature is not valid", reason="bad_signature")
        named = identity(token.claims, source.issuer, self._base.clock_ms())
        return _Verified(source.issuer.issuer, source, keys, named)

    def _keep(self, key: _Key, found: _Verified) -> None:
        self._verified.pop(key, None)
        if len(self._verified) >= VERIFIED_MAX:
            # The oldest: it ends first, or is verified once more.
            del self._verified[next(iter(self._verified))]
        self._verified[key] = found

    def _trusted(self, application: int) -> _Trusted:
        """The application's issuers by what their tokens call them, as of now."""
        self._base.engine.follow()
        found = self._current.get(application)
        return found if found is not None else self._load(application)

    def _load(self, application: int) -> _Trusted:
        # INVARIANT: like the directory's: kept only if nothing was forgotten since before the
        # snapshot was opened.
        generation = self._generation
        with self._base.store.snapshot() as snapshot:
            issuers = stored_issuers(snapshot, application)
        before = {each.issuer.id: each for each in self._known.get(application, {}).values()}
        trusted: _Trusted = {}
        for issuer in issuers.values():
            source = before.get(issuer.id)
            if source is None or source.issuer != issuer:
                source = self._new_source(application, issuer)
            trusted[issuer.issuer] = source
        with self._lock:
            if generation == self._generation:
                if len(self._known) >= APPLICATIONS_MAX:
                    self._current.clear()
                    self._known.clear()
                self._current[application] = self._known[application] = trusted
        return trusted

    def _new_source(self, application: int, issuer: Issuer) -> KeySource:
        base = self._base
        return KeySource(application, issuer, base.limits, base.clock_ms, self._fetches)

    def _changed(self, documents: Iterable[tuple[int, str, str]]) -> None:
        changed = list(documents)
        applications = {application for application, kind, _ in changed if kind == ISSUER_KIND}
        if changed and not applications:
            return
        with self._lock:
            self._generation += 1
            if not changed:
                self._current.clear()
            for application in applications:
                self._current.pop(application, None)


def _source(trusted: _Trusted, token: Token) -> KeySource:
    """Who judges a token.

    Raises:
        TokenError: nobody: its issuer, its audience or its algorithm is another one.
    """
    source = trusted.get(issuer_of(token))
    if source is None:
        raise TokenError("the token's issuer is not trusted", reason="untrusted_issuer")
    require_audience(token.claims, source.issuer)
    if token.algorithm not in source.issuer.algorithms:
        raise algorithm_refused()
    return source


def _asks_for_others(keys: IssuerKeys, token: Token) -> bool:
    """Whether a token may be signed with a key its issuer has made since."""
    signer = keys.fitting(token.algorithm, token.key_id)
    if signer is None:
        return True
    # Without a key id only the signature tells.
    return token.key_id is None and not verifies(signer, token.signed)

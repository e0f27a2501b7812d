"""API keys: made, stored hashed, verified (contract authaz §1, §7).

A secret is 256 random bits behind a prefix and the key's id, so one look-up finds its document; it
is stored only as its sha256. The root key belongs to the server, not to an application.
"""

from __future__ import annotations

import hmac
import secrets
from dataclasses import replace
from typing import TYPE_CHECKING

import orjson

from zeratul.errors import (
    InputError,
    MalformedError,
    NotFoundError,
    UnauthenticatedError,
    UnknownNameError,
)
from zeratul.service.answers import KeyInfo, NewKey
from zeratul.service.applications import DEFAULT_APPLICATION, NAME_LENGTH_MAX
from zeratul.service.caller import EVERYTHING, Caller, KnownKey
from zeratul.service.directory import (
    KEY_KIND,
    KNOWN_MAX,
    ROOT_KEY_ID,
    SERVER,
    secret_digest,
)
from zeratul.service.futures import resolved

if TYPE_CHECKING:
    from collections.abc import Sequence
    from concurrent.futures import Future

    from zeratul.service.foundation import Foundation
    from zeratul.service.idempotency import Idempotent, Replay
    from zeratul.store.interface import WriteTransaction

_AREAS = (
    "catalog",
    "policies",
    "roles",
    "assignments",
    "groups",
    "relationships",
    "keys",
    "records",
    "model",
)
# What only the root key may do (`applications:*`) is not among them: no key can be given it.
MANAGEMENT_PERMISSIONS = frozenset(
    [f"{area}:{verb}" for area in _AREAS for verb in ("read", "write", "*")]
    + ["relationships:import", "relationships:export"]
    + ["checks:create", "checks:explain", "checks:*", "audit:read", "audit:*", "*"]
)
SECRET_LENGTH_MAX = 1_024


class Keys:
    """Use cases around API keys."""

    def __init__(self, foundation: Foundation) -> None:
        self._base = foundation

    def ensure_root(self, secret: str | None = None) -> str | None:
        """Make sure there is a root key; returns once that is durable.

        Args:
            secret: replaces the stored one; None keeps it, and makes one at a first start.

        Returns:
            The fresh secret, to be shown once; None where it was given or is stored already.

        Raises:
            MalformedError: the given secret is empty, too long or not printable ASCII.
        """
        if secret is not None:
            _require_secret(secret)
        fresh = secret or f"zrt_{ROOT_KEY_ID}_{secrets.token_urlsafe(32)}"
        digest = secret_digest(fresh)

        def job(tx: WriteTransaction) -> bool:
            stored = tx.snapshot.document(SERVER, KEY_KIND, ROOT_KEY_ID)
            if stored is not None:
                known = bytes.fromhex(orjson.loads(stored)["sha256"])
                if secret is None or hmac.compare_digest(known, digest):
                    return False
            _put(tx, _document(ROOT_KEY_ID, fresh, name="root", now_ms=tx.now_ms))
            return True

        made = self._base.store.write(job).result()
        return fresh if made and secret is None else None

    def authenticate(
        self,
        secret: str,
        application_id: str | None = None,
        request_id: str = "",
        *,
        deferred: bool = False,
    ) -> Caller:
        """Who sends this secret, acting in which application.

        Args:
            secret: the text of ``X-API-Key``.
            application_id: where the root key acts (``default`` when None); another key may only
                name its own application.
            request_id: kept in the caller.
            deferred: a key met before is confirmed by the service call that follows, against the
                snapshot that call opens anyway, instead of here.

        Raises:
            UnauthenticatedError: no key has this secret, or it expired.
            NotFoundError: no such application, or not this key's.
        """
        if not 0 < len(secret) <= SECRET_LENGTH_MAX:
            raise UnauthenticatedError("the API key is not valid")
        base = self._base
        known = base.directory.key(secret, deferred=deferred)
        if known.expires_at_ms is not None and known.expires_at_ms <= base.clock_ms():
            raise UnauthenticatedError("the API key expired")
        caller = known.callers.get(application_id) or self._caller(known, application_id)
        return replace(caller, request_id=request_id) if request_id else caller

    def _caller(self, known: KnownKey, application_id: str | None) -> Caller:
        if known.application is None:
            home = application_id or DEFAULT_APPLICATION
            number = self._base.directory.application(home)
        elif application_id is None or application_id == known.application_id:
            home, number = known.application_id, known.application
        else:
            raise NotFoundError(f"there is no application `{application_id[:128]}`")
        caller = Caller(
            application_id=home,
            application=number,
            key_id=known.id,
            permissions=known.permissions,
            is_root=known.application is None,
            known_key=known,
        )
        if len(known.callers) < KNOWN_MAX:
            known.callers[application_id] = caller
        return caller

    def create(
        self,
        caller: Caller,
        name: str,
        permissions: Sequence[str] | None = None,
        expires_at_ms: int | None = None,
        *,
        idempotency: Idempotent | None = None,
    ) -> Future[NewKey | Replay]:
        """Make a key of the caller's application; without permissions it gets the caller's.

        Raises:
            ForbiddenError: the caller lacks ``keys:write``, or one of the permissions asked for.
            InputError: a name, permission or expiry that is none.
        """
        caller.require("keys:write")
        base = self._base
        with base.snapshot(caller) as snapshot:
            replay = base.replay(idempotency, caller, snapshot, secret=True)
            if replay is not None:
                return resolved(replay)
            now_ms = snapshot.now_ms
        granted = _granted(caller, permissions)
        if not 0 < len(name) <= NAME_LENGTH_MAX:
            raise MalformedError(f"a name has 1 to {NAME_LENGTH_MAX} characters", field="name")
        if expires_at_ms is not None and expires_at_ms <= now_ms:
            raise InputError("the expiry is in the past", field="expiresAt")
        short_id = secrets.token_hex(6)
        secret = f"zrt_{short_id}_{secrets.token_urlsafe(32)}"

        def job(tx: WriteTransaction) -> NewKey | Replay:
            replay = base.replay(idempotency, caller, tx.snapshot, secret=True)
            if replay is not None:
                return replay
            document = _document(
                f"key_{short_id}",
                secret,
                name=name,
                now_ms=tx.now_ms,
                permissions=granted,
                caller=caller,
                expires_at_ms=expires_at_ms,
            )
            _put(tx, document)
            zookie = base.zookie(caller.application, tx.revision, 0)
            answer = NewKey(key=_info(document), secret=secret, zookie=zookie)
            if idempotency is not None:
                idempotency.remember(caller, tx, answer, base.limits, secret=True)
            return answer

        return base.store.write(job)

    def list(self, caller: Caller) -> list[KeyInfo]:
        """The application's keys, in id order; the root key is not among them.

        Raises:
            ForbiddenError: the caller lacks ``keys:read``.
        """
        caller.require("keys:read")
        found: list[KeyInfo] = []
        after = ""
        with self._base.snapshot(caller) as snapshot:
            while documents := snapshot.documents(SERVER, KEY_KIND, after=after):
                after = documents[-1][0]
                for _, body in documents:
                    stored = orjson.loads(body)
                    if stored["application"] == caller.application:
                        found.append(_info(stored))
        return found

    def delete(self, caller: Caller, key_id: str) -> Future[str]:
        """Take a key away, effective on the next call anywhere; the future has the zookie.

        Raises:
            ForbiddenError: the caller lacks ``keys:write``.
            NotFoundError: (from the future) the application has no such key.
        """
        caller.require("keys:write")
        self._base.snapshot(caller).close()

        def job(tx: WriteTransaction) -> str:
            body = tx.snapshot.document(SERVER, KEY_KIND, key_id)
            if body is None or orjson.loads(body)["application"] != caller.application:
                raise NotFoundError(f"there is no key `{key_id[:128]}`")
            tx.delete_document(SERVER, KEY_KIND, key_id)
            return self._base.zookie(caller.application, tx.revision, 0)

        return self._base.store.write(job)


def _granted(caller: Caller, permissions: Sequence[str] | None) -> tuple[str, ...]:
    """What a new key may do: never more than its maker."""
    if permissions is None:
        return tuple(sorted(caller.permissions))
    for index, permission in enumerate(permissions):
        if permission not in MANAGEMENT_PERMISSIONS:
            raise UnknownNameError(
                "management permission",
                permission,
                MANAGEMENT_PERMISSIONS,
                field=f"permissions[{index}]",
            )
        caller.require(permission)
    return tuple(sorted(set(permissions)))


def _document(
    key_id: str,
    secret: str,
    *,
    name: str,
    now_ms: int,
    permissions: Sequence[str] = tuple(EVERYTHING),
    caller: Caller | None = None,
    expires_at_ms: int | None = None,
) -> dict[str, object]:
    return {
        "id": key_id,
        "name": name,
        "application": caller.application if caller else None,
        "applicationId": caller.application_id if caller else "",
        "sha256": secret_digest(secret).hex(),
        "permissions": list(permissions),
        "createdAtMs": now_ms,
        "expiresAtMs": expires_at_ms,
        # Of a secret somebody else chose, nothing is shown: it may be short.
        "prefix": "_".join(secret.split("_", 2)[:2]) if secret.startswith("zrt_") else "",
        "lastFour": secret[-4:] if secret.startswith("zrt_") else "",
    }


def _put(tx: WriteTransaction, document: dict[str, object]) -> None:
    tx.put_document(SERVER, KEY_KIND, str(document["id"]), orjson.dumps(document))


def _info(stored: dict[str, object]) -> KeyInfo:
    expires_at_ms = stored["expiresAtMs"]
    permissions = stored["permissions"]
    return KeyInfo(
        id=str(stored["id"]),
        name=str(stored["name"]),
        permissions=tuple(permissions) if isinstance(permissions, list) else (),
        created_at_ms=int(str(stored["createdAtMs"])),
        expires_at_ms=expires_at_ms if isinstance(expires_at_ms, int) else None,
        prefix=str(stored["prefix"]),
        last_four=str(stored["lastFour"]),
    )


def _require_secret(secret: str) -> None:
    # It travels in a header: printable ASCII without spaces, or no client could ever send it.
    if not secret or len(secret) > SECRET_LENGTH_MAX or not secret.isascii():
        raise MalformedError(f"a root key has 1 to {SECRET_LENGTH_MAX} ASCII characters")
    if any(character <= " " or character == "\x7f" for character in secret):
        raise MalformedError("a root key has no spaces or control characters")

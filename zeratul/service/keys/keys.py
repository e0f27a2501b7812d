"""API keys: made, rotated, stored hashed, verified (contract authaz §1, §7).

A secret is 256 random bits behind a prefix and the key's id, so one look-up finds its document; it
is stored only as its sha256. The root key belongs to the server, not to an application.

*Decision: what a key may hand out.* A key makes and rotates only keys that open no more than it
does itself: no permission it lacks, no other tenant, no later end. What is not asked for is the
maker's own: its permissions, its tenant, its end. A rotation hands out a secret too, so the same
holds for it; and while the grace of an old secret lasts, that end is the grace's: who holds only
the old one can not make it last.
"""

from __future__ import annotations

import hmac
from dataclasses import replace
from typing import TYPE_CHECKING

from zeratul.errors import (
    ConflictError,
    InputError,
    LimitError,
    MalformedError,
    NotFoundError,
    UnauthenticatedError,
)
from zeratul.service.ground.answers import FIRST_PAGE, Page
from zeratul.service.ground.audit import record, server_caller
from zeratul.service.ground.caller import Caller, KnownKey
from zeratul.service.ground.cursors import Cursor, query_digest
from zeratul.service.ground.directory import (
    DEFAULT_APPLICATION,
    KNOWN_MAX,
    ROOT_KEY_ID,
    no_application,
    secret_digest,
)
from zeratul.service.ground.futures import resolved
from zeratul.service.ground.labels import require_name, require_tenant
from zeratul.service.keys.key_answers import KeyInfo, KeyPage, NewKey
from zeratul.service.keys.key_documents import (
    Stored,
    are_indexed,
    delete_key,
    find_key,
    fresh_key,
    fresh_secret,
    index_all,
    key_event,
    key_info,
    keys_of,
    put_key,
    root_key,
    shown_of,
)
from zeratul.service.keys.key_permissions import granted, require_no_stronger
from zeratul.service.keys.key_uses import KeyUses

if TYPE_CHECKING:
    from collections.abc import Sequence
    from concurrent.futures import Future

    from zeratul.service.ground.foundation import Foundation
    from zeratul.service.ground.idempotency import Idempotent, Replay
    from zeratul.store.interface import Snapshot, WriteTransaction

SECRET_LENGTH_MAX = 1_024


class Keys:
    """Use cases around API keys."""

    def __init__(self, foundation: Foundation) -> None:
        self._base = foundation
        self._uses = KeyUses(foundation.store, foundation.clock_ms)

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
        fresh = secret or fresh_secret(ROOT_KEY_ID)
        digest = secret_digest(fresh)

        def job(tx: WriteTransaction) -> bool:
            stored = find_key(tx.snapshot, ROOT_KEY_ID)
            if stored is not None:
                known = bytes.fromhex(stored["sha256"])
                if secret is None or hmac.compare_digest(known, digest):
                    return False
            put_key(tx, root_key(fresh, tx.now_ms))
            action = "root_key.created" if stored is None else "root_key.replaced"
            record(tx, server_caller(), action, "api_key", ROOT_KEY_ID)
            return True

        made = self._base.store.write(job).result()
        return fresh if made and secret is None else None

    def ensure_index(self) -> None:
        """Make keys of an earlier version found by their application; durable on return."""
        with self._base.store.snapshot() as snapshot:
            if are_indexed(snapshot):
                return

        def job(tx: WriteTransaction) -> None:
            if not are_indexed(tx.snapshot):
                index_all(tx)

        self._base.store.write(job).result()

    def authenticate(
        self,
        secret: str,
        application_id: str | None = None,
        request_id: str = "",
        *,
        ip: str = "",
        deferred: bool = False,
        told: bool = True,
    ) -> Caller:
        """Who sends this secret, acting in which application.

        Args:
            secret: the text of ``X-API-Key``.
            application_id: where the root key acts (``default`` when None); another key may only
                name its own application.
            request_id: kept in the caller.
            ip: likewise.
            deferred: a key met before is confirmed by the service call that follows, against the
                snapshot that call opens anyway, instead of here.
            told: False where id and address are left out as nobody seems to ask for them
                (``Caller.is_told``).

        Raises:
            UnauthenticatedError: no key has this secret, or it expired.
            NotFoundError: no such application, or not this key's.
        """
        if not 0 < len(secret) <= SECRET_LENGTH_MAX:
            raise UnauthenticatedError("the API key is not valid")
        base = self._base
        known = base.directory.key(secret, deferred=deferred)
        if known.expires_at_ms is not None and known.has_ended(base.clock_ms()):
            raise UnauthenticatedError("the API key expired")
        if not known.noted:
            self._uses.note(known)
        callers = known.callers if told else known.untold
        caller = callers.get(application_id)
        if caller is None:
            caller = self._caller(known, application_id, told=told)
            if len(callers) < KNOWN_MAX:
                callers[application_id] = caller
        return replace(caller, request_id=request_id, ip=ip) if request_id else caller

    def _caller(self, known: KnownKey, application_id: str | None, *, told: bool) -> Caller:
        if known.application is None:
            home = application_id or DEFAULT_APPLICATION
            number = self._base.directory.application(home)
        elif application_id is None or application_id == known.application_id:
            home, number = known.application_id, known.application
        else:
            raise no_application(application_id)
        return Caller(
            application_id=home,
            application=number,
            key_id=known.id,
            permissions=known.permissions,
            is_root=known.application is None,
            key_name=known.name,
            tenant_id=known.tenant_id,
            known_key=known,
            is_told=told,
        )

    def create(
        self,
        caller: Caller,
        name: str,
        permissions: Sequence[str] | None = None,
        expires_at_ms: int | None = None,
        *,
        tenant_id: str | None = None,
        idempotency: Idempotent | None = None,
    ) -> Future[NewKey | Replay]:
        """Make a key of the caller's application; what is not asked for is the caller's own.

        Raises:
            ForbiddenError: the caller lacks ``keys:write``, or one of the permissions asked for.
            NotFoundError: a tenant that is not the caller's.
            StrongerKeyError: it would outlive the caller's key.
            InputError: a name, permission, tenant or expiry that is none.
        """
        caller.require("keys:write")
        base = self._base
        with base.snapshot(caller) as snapshot:
            replay = base.replay(idempotency, caller, snapshot, secret=True)
            if replay is not None:
                return resolved(replay)
            now_ms = snapshot.now_ms
        require_name(name)
        if tenant_id is not None:
            require_tenant(tenant_id)
        if expires_at_ms is not None and expires_at_ms <= now_ms:
            raise InputError("the expiry is in the past", field="expiresAt")
        tenant_id = caller.question_tenant(tenant_id)
        if expires_at_ms is None and caller.known_key is not None:
            expires_at_ms = caller.known_key.expires_at_ms
        allowed = granted(caller, permissions)
        require_no_stronger(caller, allowed, tenant_id, expires_at_ms)
        fresh = fresh_key(
            name=name,
            permissions=allowed,
            application=caller.application,
            application_id=caller.application_id,
            tenant_id=tenant_id,
            expires_at_ms=expires_at_ms,
        )

        def job(tx: WriteTransaction) -> NewKey:
            # A key that is taken away leaves none behind, however close together the two came.
            base.directory.confirm(caller, tx.snapshot, anew=True)
            document = {**fresh.document, "createdAtMs": tx.now_ms}
            put_key(tx, document)
            _record(tx, caller, "api_key.created", document, after=key_event(document))
            return self._answer(tx, caller, document, fresh.secret)

        return base.write_once(caller, idempotency, job, secret=True)

    def rotate(
        self,
        caller: Caller,
        key_id: str,
        grace_s: int = 0,
        *,
        idempotency: Idempotent | None = None,
    ) -> Future[NewKey | Replay]:
        """Give a key a new secret; the old one ends at once, or when the grace is over.

        The secret before the old one ends at once, whatever grace it had.

        Raises:
            ForbiddenError: the caller lacks ``keys:write``, or a permission the key has.
            NotFoundError: the application, or the caller's tenant, has no such key.
            StrongerKeyError: the key outlives the caller's.
            ConflictError: the key expired.
            InputError, LimitError: a grace below zero, or too long.
        """
        caller.require("keys:write")
        base = self._base
        if grace_s < 0:
            raise InputError("must be 0 or more", field="graceSeconds")
        most = base.limits.key_grace_s_max
        if grace_s > most:
            message = f"a grace lasts at most {most:,} seconds"
            raise LimitError("key_grace_s_max", most, message, field="graceSeconds")
        with base.snapshot(caller) as snapshot:
            replay = base.replay(idempotency, caller, snapshot, secret=True)
            if replay is not None:
                return resolved(replay)
            _require_rotatable(caller, snapshot, key_id)
        secret = fresh_secret(key_id.removeprefix("key_"))

        def job(tx: WriteTransaction) -> NewKey:
            base.directory.confirm(caller, tx.snapshot, anew=True)  # As in ``create``.
            before = _require_rotatable(caller, tx.snapshot, key_id)
            until_ms = tx.now_ms + grace_s * 1_000
            old = {"sha256": before["sha256"], "untilMs": until_ms} if grace_s else None
            document = {**before, **shown_of(secret), "rotatedAtMs": tx.now_ms, "old": old}
            put_key(tx, document)
            after = {**key_event(document), "graceSeconds": grace_s}
            _record(tx, caller, "api_key.rotated", document, key_event(before), after)
            return self._answer(tx, caller, document, secret)

        return base.write_once(caller, idempotency, job, secret=True)

    def _answer(
        self, tx: WriteTransaction, caller: Caller, document: Stored, secret: str
    ) -> NewKey:
        base = self._base
        zookie = base.zookie(caller.application, tx.revision, 0)
        return NewKey(key=self._shown(tx.snapshot, document), secret=secret, zookie=zookie)

    def get(self, caller: Caller, key_id: str) -> KeyInfo:
        """One key of the application.

        Raises:
            ForbiddenError: the caller lacks ``keys:read``.
            NotFoundError: the application, or the caller's tenant, has no such key.
        """
        caller.require("keys:read")
        with self._base.snapshot(caller) as snapshot:
            return self._shown(snapshot, _visible(caller, snapshot, key_id))

    def list(self, caller: Caller, *, page: Page = FIRST_PAGE) -> KeyPage:
        """A page of the application's keys, in id order; the root key is not among them.

        Raises:
            ForbiddenError: the caller lacks ``keys:read``.
            InputError: a page size or cursor that is none.
        """
        caller.require("keys:read")
        base = self._base
        size = base.page_size(page)
        query = query_digest("keys", caller.application, caller.tenant_id)
        after = ""
        if page.cursor:
            after = Cursor.decode(page.cursor, base.cursor_secret, query).position.decode()
        with base.snapshot(caller) as snapshot:
            found = keys_of(
                snapshot, caller.application, caller.tenant_id, after=after, limit=size + 1
            )
            rows = [self._shown(snapshot, each) for each in found[:size]]
            following = None
            if len(found) > size:
                following = Cursor(
                    query, snapshot.revision, snapshot.now_ms, 0, rows[-1].id.encode()
                ).encode(base.cursor_secret)
        return KeyPage(rows=rows, next_cursor=following, page_size=size)

    def delete(self, caller: Caller, key_id: str) -> Future[str]:
        """Take a key away, effective on the next call anywhere; the future has the zookie.

        Raises:
            ForbiddenError: the caller lacks ``keys:write``.
            NotFoundError: (from the future) the application, or the caller's tenant, has no such
                key.
        """
        caller.require("keys:write")
        self._base.snapshot(caller).close()

        def job(tx: WriteTransaction) -> str:
            stored = _visible(caller, tx.snapshot, key_id)
            delete_key(tx, stored)
            _record(tx, caller, "api_key.deleted", stored, before=key_event(stored))
            return self._base.zookie(caller.application, tx.revision, 0)

        return self._base.store.write(job)

    def flush_uses(self) -> None:
        """Store when keys were used, as far as this process noted it since it last did.

        Raises:
            StoreError: it could not be stored.
        """
        self._uses.flush()

    def close(self) -> None:
        """Store what is noted; before the store closes."""
        self._uses.close()

    def _shown(self, snapshot: Snapshot, stored: Stored) -> KeyInfo:
        last_used_at_ms = self._uses.last_ms(snapshot, stored["id"])
        return key_info(stored, now_ms=snapshot.now_ms, last_used_at_ms=last_used_at_ms)


def _visible(caller: Caller, snapshot: Snapshot, key_id: str) -> Stored:
    """The key, if it is one the caller may see."""
    stored = find_key(snapshot, key_id)
    if (
        stored is None
        or stored["application"] != caller.application
        or caller.tenant_id not in (None, stored.get("tenantId"))
    ):
        raise NotFoundError(f"there is no key `{key_id[:128]}`")
    return stored


def _require_rotatable(caller: Caller, snapshot: Snapshot, key_id: str) -> Stored:
    stored = _visible(caller, snapshot, key_id)
    expires_at_ms = stored["expiresAtMs"]
    require_no_stronger(caller, stored["permissions"], stored.get("tenantId"), expires_at_ms)
    if expires_at_ms is not None and expires_at_ms <= snapshot.now_ms:
        raise ConflictError("the key expired", help="make another one")
    return stored


def _record(
    tx: WriteTransaction,
    caller: Caller,
    action: str,
    stored: Stored,
    before: Stored | None = None,
    after: Stored | None = None,
) -> None:
    tenant_id = stored.get("tenantId")
    record(
        tx, caller, action, "api_key", stored["id"],
        tenant_id=tenant_id, before=before, after=after,
    )  # fmt: skip


def _require_secret(secret: str) -> None:
    # It travels in a header: printable ASCII without spaces, or no client could ever send it.
    if not secret or len(secret) > SECRET_LENGTH_MAX or not secret.isascii():
        raise MalformedError(f"a root key has 1 to {SECRET_LENGTH_MAX} ASCII characters")
    if any(character <= " " or character == "\x7f" for character in secret):
        raise MalformedError("a root key has no spaces or control characters")

"""What this process knows of the server's keys and applications, forgotten when they change.

Theory of operation: keys and applications are documents of application number 0, the server's own.
A key found once stays known by the digest of its secret. While the engine opens a view it reads
what was committed since the last one, by any process, and tells which documents changed; entries
they touch are forgotten before that view answers anything. So a key deleted through another
process is refused by the next call here, without a message between processes and without a time to
live.

A key rests on its application too: one whose application is gone is nobody's, even while its own
document is still to be swept.

INVARIANT: an entry is kept only if nothing was forgotten since before the snapshot it was read
from was opened. What had been told by then is part of that snapshot; what is told later kills it.
"""

from __future__ import annotations

import hashlib
import hmac
from threading import Lock
from typing import TYPE_CHECKING

import orjson

from zeratul.domain.relationship import id_is_valid
from zeratul.errors import (
    SUGGESTION_NAMES_MAX,
    NotFoundError,
    UnauthenticatedError,
    nearest,
)
from zeratul.service.ground.caller import KnownKey

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from zeratul.dispatch.engine import Engine
    from zeratul.service.ground.caller import Caller
    from zeratul.store.interface import Snapshot

SERVER = 0
"""Application number of the server's own documents."""

DEFAULT_APPLICATION = "default"
"""The application that is there from the first start on."""

APPLICATION_KIND = "application"
APPLICATION_NAME_KIND = "application-name"
KEY_KIND = "key"
ROOT_KEY_ID = "root"

# LIMIT: entries of one process, some hundred bytes each.
KNOWN_MAX = 10_000


def secret_digest(secret: str) -> bytes:
    """What is stored of a secret. It is random and long: nothing slower than sha256 is needed."""
    return hashlib.sha256(secret.encode("utf-8", "surrogatepass")).digest()


def key_id_of(secret: str) -> str:
    """Which key a secret of ours claims to be: ``zrt_<id>_<random>``; empty for other texts."""
    parts = secret.split("_", 2)
    return f"key_{parts[1]}" if len(parts) == 3 and parts[0] == "zrt" else ""


class Directory:
    """Known keys and application numbers of one process."""

    def __init__(self, engine: Engine, clock_ms: Callable[[], int]) -> None:
        self._engine = engine
        self._clock_ms = clock_ms
        self._lock = Lock()
        self._generation = 0
        self._keys: dict[bytes, KnownKey] = {}
        self._applications: dict[str, int] = {}
        engine.on_documents(self._changed)

    def key(self, secret: str, *, deferred: bool) -> KnownKey:
        """The key with this secret.

        Args:
            secret: what the caller sent.
            deferred: trust one that is known; the view that is opened next tells whether it still
                holds (``confirm``).

        Raises:
            UnauthenticatedError: no key has it.
        """
        digest = secret_digest(secret)
        if not deferred:
            self._engine.follow()
        known = self._keys.get(digest)
        return known if known is not None else self._load(secret, digest)

    def _load(self, secret: str, digest: bytes) -> KnownKey:
        generation = self._generation
        with self._engine.store.snapshot() as snapshot:
            for key_id in (key_id_of(secret), ROOT_KEY_ID):
                found = _read_key(key_id, digest, snapshot) if key_id else None
                if found is not None:
                    break
            else:
                raise UnauthenticatedError("the API key is not valid")
        with self._lock:
            # One that is not kept is not told of changes: it is read again when confirmed.
            found.alive = generation == self._generation
            if found.alive:
                if len(self._keys) >= KNOWN_MAX:
                    self._forget({known.id for known in self._keys.values()})
                self._keys[digest] = found
        return found

    def confirm(self, caller: Caller, snapshot: Snapshot, *, anew: bool = False) -> None:
        """Make sure a caller's key still holds after ``snapshot`` was opened (and followed).

        Args:
            caller: whose.
            snapshot: what it has to hold in.
            anew: read it again in any case, for a snapshot that nobody followed: a write's own.

        Raises:
            UnauthenticatedError: the key was deleted or changed, or its application is gone.
            NotFoundError: the root key acts in an application that is gone.
        """
        known = caller.known_key
        if known is None or (known.alive and not anew):
            return
        found = _read_key(known.id, known.digest, snapshot)
        if found is None or not found.same(known) or found.has_ended(self._clock_ms()):
            raise UnauthenticatedError("the API key is not valid any more")
        if application_number(caller.application_id, snapshot) != caller.application:
            raise no_application(caller.application_id)

    def application(self, application_id: str) -> int:
        """The number of an application, for a caller that acts in any.

        Raises:
            NotFoundError: there is none of this id; names the one that may be meant, which only
                such a caller may be told.
        """
        self._engine.follow()
        number = self._applications.get(application_id)
        if number is not None:
            return number
        generation = self._generation
        with self._engine.store.snapshot() as snapshot:
            number = application_number(application_id, snapshot)
            if number is None:
                raise no_application(application_id, _meant(application_id, snapshot))
        with self._lock:
            if generation == self._generation:
                if len(self._applications) >= KNOWN_MAX:
                    self._applications.clear()
                self._applications[application_id] = number
        return number

    def _changed(self, documents: Iterable[tuple[int, str, str]]) -> None:
        changed = list(documents)
        kinds = {kind for application, kind, _ in changed if application == SERVER}
        if changed and KEY_KIND not in kinds and APPLICATION_KIND not in kinds:
            return
        with self._lock:
            self._generation += 1
            if not changed or APPLICATION_KIND in kinds:
                # A caller carries its application's number: whatever names one is looked up again.
                ids = {known.id for known in self._keys.values()}
                self._applications.clear()
            else:
                ids = {key_id for _, kind, key_id in changed if kind == KEY_KIND}
            self._forget(ids)

    def _forget(self, ids: set[str]) -> None:
        for known in [known for known in self._keys.values() if known.id in ids]:
            known.alive = False
            del self._keys[known.digest]


def no_application(application_id: str, meant: str | None = None) -> NotFoundError:
    """The one answer for an application that is absent, gone, or another key's."""
    return NotFoundError(
        f"there is no application `{application_id[:128]}`",
        help=None if meant is None else f"did you mean `{meant}`?",
    )


def name_id(name: str) -> str:
    """The id of the document that says which application has a name."""
    return secret_digest(name).hex()  # Document ids are short; names need not be.


def _meant(application_id: str, snapshot: Snapshot) -> str | None:
    """The id of the application that is called so, or whose id is nearest."""
    if id_is_valid(application_id):
        called_so = snapshot.document(SERVER, APPLICATION_NAME_KIND, name_id(application_id))
        if called_so is not None:
            return called_so.decode()
    ids = snapshot.documents(SERVER, APPLICATION_KIND, limit=SUGGESTION_NAMES_MAX)
    return nearest(application_id, (each for each, _ in ids))


def application_number(application_id: str, snapshot: Snapshot) -> int | None:
    """The number of an application as a snapshot's newest commit has it; None: no such one."""
    if not id_is_valid(application_id):  # a path may hold anything
        return None
    document = snapshot.document(SERVER, APPLICATION_KIND, application_id)
    return None if document is None else int(orjson.loads(document)["number"])


def _read_key(key_id: str, digest: bytes, snapshot: Snapshot) -> KnownKey | None:
    """The key as the secret with this digest opens it; None where it does not."""
    document = snapshot.document(SERVER, KEY_KIND, key_id)
    if document is None:
        return None
    stored = orjson.loads(document)
    application, application_id = stored["application"], stored["applicationId"]
    expires_at_ms: int | None = stored["expiresAtMs"]
    if not hmac.compare_digest(bytes.fromhex(stored["sha256"]), digest):
        # The secret before the last rotation, as long as its grace lasts.
        old = stored.get("old")
        if old is None or not hmac.compare_digest(bytes.fromhex(old["sha256"]), digest):
            return None
        until_ms = old["untilMs"]
        expires_at_ms = until_ms if expires_at_ms is None else min(expires_at_ms, until_ms)
    if application is not None and application_number(application_id, snapshot) != application:
        return None
    return KnownKey(
        digest=digest,
        id=key_id,
        application=application,
        application_id=application_id,
        permissions=frozenset(stored["permissions"]),
        expires_at_ms=expires_at_ms,
        name=stored["name"],
        tenant_id=stored.get("tenantId"),
        noted=application is None,  # The root key's last use is shown nowhere.
    )

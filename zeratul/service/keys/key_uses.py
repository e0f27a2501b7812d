"""When a key was last used, without a write for each request.

Theory of operation: the first request with a key in a while is noted in memory; about a minute
later all notes of the process are stored together, and the next use of each key is noted again. So
what is stored is at most about a minute behind the last use, and a request costs one look at an
attribute.

*Why not a document*: a document's change has a revision, and a revision ends what is cached of the
one before. ``remember`` has none: it is no change to any reader.
"""

from __future__ import annotations

from threading import Lock
from typing import TYPE_CHECKING, NamedTuple

from zeratul.service.ground.directory import KEY_KIND, SERVER
from zeratul.service.ground.later import Later

if TYPE_CHECKING:
    from collections.abc import Callable

    from zeratul.service.ground.caller import KnownKey
    from zeratul.store.interface import Snapshot, Store, WriteTransaction

# LIMIT: each process stores what it noted at most this often.
FLUSH_INTERVAL_S = 60.0
# LIMIT: longer than any store lives; what is remembered needs an end.
_KEPT_MS = 100 * 365 * 24 * 3_600 * 1_000


class _Use(NamedTuple):
    known: KnownKey
    time_ms: int


class KeyUses:
    """The uses of keys that one process saw."""

    def __init__(
        self,
        store: Store,
        clock_ms: Callable[[], int],
        *,
        flush_interval_s: float = FLUSH_INTERVAL_S,
    ) -> None:
        self._store = store
        self._clock_ms = clock_ms
        self._lock = Lock()
        # As many as keys that are in use: a secret that is none's is refused before.
        self._uses: dict[str, _Use] = {}
        self._later = Later("key-uses", self.flush, wait_s=flush_interval_s)

    def note(self, known: KnownKey) -> None:
        """The key is being used; asked for only while it is not ``noted``."""
        with self._lock:
            known.noted = True
            self._uses[known.id] = _Use(known, self._clock_ms())
        self._later.soon()

    def flush(self) -> None:
        """Store what was noted, durably.

        Raises:
            StoreError: it could not be stored; the times noted are lost, the next uses are not.
        """
        with self._lock:
            uses, self._uses = self._uses, {}
            for use in uses.values():
                use.known.noted = False
        if not uses:
            return

        def job(tx: WriteTransaction) -> None:
            for key_id, use in uses.items():
                if tx.snapshot.document(SERVER, KEY_KIND, key_id) is None:
                    continue  # deleted since
                stored = _recall(tx.snapshot, key_id)
                if stored is None or stored < use.time_ms:
                    _remember(tx, key_id, b"%d" % use.time_ms, tx.now_ms + _KEPT_MS)

        self._store.write(job).result()

    def last_ms(self, snapshot: Snapshot, key_id: str) -> int | None:
        """When a key was last used as far as is known here; None: never."""
        stored = _recall(snapshot, key_id)
        with self._lock:
            noted = self._uses.get(key_id)
        if noted is None:
            return stored
        return noted.time_ms if stored is None else max(stored, noted.time_ms)

    def close(self) -> None:
        """Store what was noted, as far as the store takes it."""
        self._later.close()


def forget_use(tx: WriteTransaction, key_id: str) -> None:
    """Leave nothing of a key that is deleted."""
    if _recall(tx.snapshot, key_id) is not None:
        _remember(tx, key_id, b"", tx.now_ms)


def _recall(snapshot: Snapshot, key_id: str) -> int | None:
    stored = snapshot.recall(SERVER, _store_key(key_id))
    return int(stored) if stored else None


def _remember(tx: WriteTransaction, key_id: str, body: bytes, expires_at_ms: int) -> None:
    tx.remember(SERVER, _store_key(key_id), body, expires_at_ms)


def _store_key(key_id: str) -> bytes:
    # As long as the digests that idempotency keys are stored under are not, so none meets one.
    return b"key-used\0" + key_id.encode()

"""Retries that are answered like the first time (contract authaz §1).

The first answer's status and body are stored in the same transaction as the write, under the
caller's key and its ``Idempotency-Key``; so it holds across workers and a restart. A body with a
secret is stored masked by the idempotency key's text, which the store itself never holds.
"""

from __future__ import annotations

import hashlib
import hmac
import struct
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple

from zeratul.errors import IdempotencyError

if TYPE_CHECKING:
    from collections.abc import Callable

    from zeratul.domain.limits import Limits
    from zeratul.service.ground.caller import Caller
    from zeratul.store.interface import Snapshot, WriteTransaction

_HEAD = struct.Struct(">32sH")


class Replay(NamedTuple):
    """The first answer, sent again."""

    status: int
    body: bytes


@dataclass(frozen=True, slots=True)
class Idempotent:
    """What makes a request recognisable.

    Attributes:
        key: text of ``Idempotency-Key``.
        fingerprint: digest of method, path and body.
        render: the answer's status and body; runs inside the write, so it must be pure.
    """

    key: str
    fingerprint: bytes
    render: Callable[[Any], tuple[int, bytes]]

    def recall(self, caller: Caller, snapshot: Snapshot, *, secret: bool = False) -> Replay | None:
        """The first answer, or None when this is the first time.

        Raises:
            IdempotencyError: the key came with another request before.
        """
        stored = snapshot.recall(caller.application, self._store_key(caller))
        if stored is None:
            return None
        fingerprint, status = _HEAD.unpack_from(stored)
        if not hmac.compare_digest(fingerprint, _digest(self.fingerprint)):
            raise IdempotencyError(
                "the idempotency key was used with another request",
                help="use a fresh key for each request, and the same key only to repeat one",
            )
        body = stored[_HEAD.size :]
        return Replay(status, self._mask(body) if secret else body)

    def remember(
        self,
        caller: Caller,
        tx: WriteTransaction,
        answer: object,
        limits: Limits,
        *,
        secret: bool = False,
    ) -> None:
        """Store the answer beside the write it belongs to."""
        status, body = self.render(answer)
        stored = _HEAD.pack(_digest(self.fingerprint), status) + (
            self._mask(body) if secret else body
        )
        expires_at_ms = tx.now_ms + limits.idempotency_ttl_s * 1_000
        tx.remember(caller.application, self._store_key(caller), stored, expires_at_ms)

    def _store_key(self, caller: Caller) -> bytes:
        # The caller's key is part of it: two callers that chose the same text never meet.
        return _digest(caller.key_id.encode() + b"\0" + self.key.encode("utf-8", "surrogatepass"))

    def _mask(self, body: bytes) -> bytes:
        seed = b"body\0" + self.key.encode("utf-8", "surrogatepass") + b"\0" + self.fingerprint
        mask = hashlib.shake_256(seed).digest(len(body))
        return bytes(left ^ right for left, right in zip(body, mask, strict=True))


def _digest(data: bytes) -> bytes:
    return hashlib.sha256(data).digest()

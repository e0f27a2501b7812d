"""Page cursors: opaque text bound to its query, revision, time and model.

A cursor says where a list goes on, at the revision and time it began with. It is sealed with the
store's own secret, so a caller can neither move it to another query nor make positions up; every
process on the store opens what another one sealed.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import struct
from typing import NamedTuple

from zeratul.errors import MalformedError

_LAYOUT = struct.Struct(">B16sQQQ")
_FORMAT = 1
_SEAL_BYTES = 16
# LIMIT: the longest position is a key and a row of the store, well under a kilobyte.
_TEXT_LENGTH_MAX = 4_096


class Cursor(NamedTuple):
    """Where a list goes on."""

    query: bytes
    revision: int
    now_ms: int
    schema_revision: int
    position: bytes

    def encode(self, secret: bytes) -> str:
        """The sealed text; URL-safe."""
        body = (
            _LAYOUT.pack(_FORMAT, self.query, self.revision, self.now_ms, self.schema_revision)
            + self.position
        )
        return base64.urlsafe_b64encode(_seal(body, secret) + body).rstrip(b"=").decode("ascii")

    @classmethod
    def decode(cls, text: str, secret: bytes, query: bytes) -> Cursor:
        """Open what ``encode`` sealed for the same query.

        Raises:
            MalformedError: this store did not make it, or made it for another query.
        """
        cursor = cls.open(text, secret)
        if cursor.query != query:
            raise MalformedError(
                "the cursor belongs to another query",
                field="cursor",
                help="send it with the query it came from, or start without a cursor",
            )
        return cursor

    @classmethod
    def open(cls, text: str, secret: bytes) -> Cursor:
        """Open what ``encode`` sealed, whatever it belongs to.

        Raises:
            MalformedError: this store did not make it.
        """
        try:
            if len(text) > _TEXT_LENGTH_MAX:
                raise ValueError(text[:16])
            padded = (text + "=" * (-len(text) % 4)).encode("ascii")
            raw = base64.b64decode(padded, altchars=b"-_", validate=True)
            seal, body = raw[:_SEAL_BYTES], raw[_SEAL_BYTES:]
            if not hmac.compare_digest(seal, _seal(body, secret)):
                raise ValueError("seal")
            version, bound, revision, now_ms, schema_revision = _LAYOUT.unpack_from(body)
            if version != _FORMAT:
                raise ValueError("version")
        except (ValueError, binascii.Error, struct.error) as error:
            message = "the cursor is not one this server made"
            raise MalformedError(message, field="cursor") from error
        return cls(bound, revision, now_ms, schema_revision, body[_LAYOUT.size :])


def query_digest(*parts: object) -> bytes:
    """What a cursor is bound to: the application, the kind of list and its arguments."""
    # INVARIANT: no part's text can run into the next one; `repr` quotes strings.
    return hashlib.blake2b(repr(parts).encode("utf-8", "surrogatepass"), digest_size=16).digest()


def _seal(body: bytes, secret: bytes) -> bytes:
    return hashlib.blake2b(body, key=secret, digest_size=_SEAL_BYTES).digest()

"""Zookies: opaque text a client holds, meaning "at least as fresh as" (Zanzibar §2.2, §2.4)."""

from __future__ import annotations

import base64
import binascii
import struct
import zlib
from typing import NamedTuple

from zeratul.errors import MalformedError

_LAYOUT = struct.Struct(">BIQQ")
_CHECKSUM = struct.Struct(">I")
_FORMAT = 1
_TEXT_LENGTH_MAX = 64


class Zookie(NamedTuple):
    """A revision of one application under one schema revision."""

    application: int
    revision: int
    schema_revision: int

    def encode(self) -> str:
        """The opaque text; URL-safe."""
        body = _LAYOUT.pack(_FORMAT, self.application, self.revision, self.schema_revision)
        # The checksum tells garbage from a token; it is not a secret and grants nothing.
        return (
            base64.urlsafe_b64encode(body + _CHECKSUM.pack(zlib.crc32(body)))
            .rstrip(b"=")
            .decode("ascii")
        )

    @classmethod
    def decode(cls, text: str, *, field: str = "zookie") -> Zookie:
        """Parse what ``encode`` made.

        Raises:
            MalformedError: it is not one of ours.
        """
        try:
            if len(text) > _TEXT_LENGTH_MAX:
                raise ValueError(text[:16])
            padded = text + "=" * (-len(text) % 4)
            raw = base64.b64decode(padded.encode("ascii"), altchars=b"-_", validate=True)
            body, checksum = raw[: _LAYOUT.size], raw[_LAYOUT.size :]
            if _CHECKSUM.pack(zlib.crc32(body)) != checksum:
                raise ValueError("checksum")
            version, application, revision, schema_revision = _LAYOUT.unpack(body)
            if version != _FORMAT:
                raise ValueError("version")
        except (ValueError, binascii.Error, struct.error) as error:
            raise MalformedError("the zookie is not one this server made", field=field) from error
        return cls(application, revision, schema_revision)

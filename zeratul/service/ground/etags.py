"""Entity tags of documents: whoever changes one may say which state it has seen (``If-Match``)."""

from __future__ import annotations

import hashlib

from zeratul.errors import PreconditionError

_ANY = "*"
_DIGEST_LENGTH = 32


def etag_of(stored: bytes) -> str:
    """The entity tag of a stored document, quotes included.

    >>> etag_of(b"{}")
    '"44136fa355b3678a1146ad16f7e8649e"'
    """
    return f'"{hashlib.sha256(stored).hexdigest()[:_DIGEST_LENGTH]}"'


def require_match(if_match: str | None, stored: bytes) -> None:
    """Refuse a change of another state than the caller has seen.

    Args:
        if_match: the text of ``If-Match``: ``*``, or entity tags with commas between; None matches
            anything.
        stored: the document as it is.

    Raises:
        PreconditionError: none of the tags is the document's (weak ones never are: RFC 9110
            §13.1.1).
    """
    if if_match is None or if_match.strip() == _ANY:
        return
    current = etag_of(stored)
    if current not in (tag.strip() for tag in if_match.split(",")):
        raise PreconditionError(
            f"it was changed since: its entity tag is {current} now",
            help="read it again, then repeat the change",
        )

"""Streaming export: everything of an application at one revision, as NDJSON that imports again."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import orjson

from zeratul.domain.vocabulary import SELF
from zeratul.service.ground.stored_rows import relationships
from zeratul.service.ground.times import format_time
from zeratul.service.ground.validation import is_reserved

if TYPE_CHECKING:
    from collections.abc import Iterator

    from zeratul.domain.relationship import Relationship
    from zeratul.domain.vocabulary import Vocabulary
    from zeratul.service.ground.caller import Caller
    from zeratul.service.ground.foundation import Foundation

# LIMIT: rows of a chunk, about 200 KB of lines; a snapshot is open for a few milliseconds.
EXPORT_CHUNK_ROWS = 2_000


@dataclass(frozen=True, slots=True)
class Export:
    """An export under way; iterating it (once) gives chunks of whole lines.

    No snapshot is held between two chunks: each is read as of the first one's revision.
    """

    revision: int
    zookie: str
    chunks: Iterator[bytes]

    def __iter__(self) -> Iterator[bytes]:
        return self.chunks


def export(base: Foundation, caller: Caller) -> Export:
    """See ``Transfers.export``."""
    with base.view(caller) as view:
        revision, now_ms, vocabulary = view.revision, view.snapshot.now_ms, view.vocabulary
        zookie = base.view_zookie(view)
    return Export(revision, zookie, _chunks(base, vocabulary, revision, now_ms))


def _chunks(
    base: Foundation, vocabulary: Vocabulary, revision: int, now_ms: int
) -> Iterator[bytes]:
    types = sorted(
        slot
        for (name, relation), slot in vocabulary.slots.items()
        if relation == SELF and not is_reserved(name)
    )
    for type_slot in types:
        after = b""
        while True:
            with base.store.snapshot(revision=revision, now_ms=now_ms) as snapshot:
                rows = snapshot.scan_type(type_slot, after=after, limit=EXPORT_CHUNK_ROWS)
                found = relationships(snapshot, vocabulary, rows)
            if not found:
                break
            after = rows[-1].position
            yield b"\n".join([*map(_line, found), b""])


def _line(relationship: Relationship) -> bytes:
    line = {
        "resource": f"{relationship.resource_type}:{relationship.resource_id}",
        "relation": relationship.relation,
        "subject": str(relationship.subject),
    }
    if relationship.expires_at_ms is not None:
        line["expiresAt"] = format_time(relationship.expires_at_ms)
    return orjson.dumps(line)

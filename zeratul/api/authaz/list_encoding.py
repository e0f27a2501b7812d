"""Rows of who-can and what-can as JSON, without an object for each.

Nearly all rows of a list differ in their ids alone, and these come as one text: a row is made by
putting bytes around an id. Rows at the head of a list say more and are encoded one by one.
"""

from __future__ import annotations

from operator import add
from typing import TYPE_CHECKING, Any, Generic, TypeVar

import orjson

from zeratul.service.ground.blocks import WAYS

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from zeratul.service.ground.blocks import Block
    from zeratul.service.questions.list_answers import (
        ResourceRow,
        RowPage,
        RowStream,
        SubjectRow,
    )

Row = TypeVar("Row")

_NUL = b"\x00"  # stands between two ids


class RowWriter(Generic[Row]):
    """Writes the rows of one list."""

    __slots__ = ("_after", "_before", "_encode")

    def __init__(
        self, encode: Callable[[Row], dict[str, Any]], before: bytes, after: Sequence[bytes]
    ) -> None:
        """Everything that does not depend on the row.

        Args:
            encode: a row of the head, as plain values.
            before: what stands before the id in the other rows.
            after: what stands behind it, for each index of ``WAYS``.
        """
        self._encode = encode
        self._before = before
        self._after = after

    def lines(self, block: Block[Row]) -> bytes:
        """The rows as NDJSON."""
        return self._joined(block, b"\n") + b"\n" if len(block) else b""

    def array(self, block: Block[Row]) -> bytes:
        """The rows as a JSON array."""
        return b"[%b]" % self._joined(block, b",")

    def _joined(self, block: Block[Row], between: bytes) -> bytes:
        rows = [orjson.dumps(self._encode(row)) for row in block.head]
        if block.ways:
            rows.append(self._plain(block.ways, _escaped(block.ids), between))
        return between.join(rows)

    def _plain(self, ways: bytes, ids: bytes, between: bytes) -> bytes:
        before, after = self._before, self._after
        first = ways[0]
        if ways.count(first) == len(ways):
            return before + ids.replace(_NUL, after[first] + between + before) + after[first]
        ended = map(add, ids.split(_NUL), map(after.__getitem__, ways))
        return before + (between + before).join(ended)


def _escaped(ids: bytes) -> bytes:
    """Ids as they stand within JSON strings; they hold no control characters."""
    if b'"' in ids or b"\\" in ids:
        return ids.replace(b"\\", b"\\\\").replace(b'"', b'\\"')
    return ids


def _within(text: str) -> bytes:
    """A text as it stands within a JSON string."""
    return orjson.dumps(text)[1:-1]


def _endings(before: bytes) -> list[bytes]:
    return [b'%b","via":%b}' % (before, orjson.dumps(kinds)) for kinds in WAYS]


_ENDINGS = _endings(b"")


def subject_writer(subject_type: str, subject_relation: str) -> RowWriter[SubjectRow]:
    """Writes rows of who-can."""
    after = _endings(b"#" + _within(subject_relation)) if subject_relation else _ENDINGS
    return RowWriter(subject_row, b'{"subject":"%b:' % _within(subject_type), after)


def resource_writer(type_name: str) -> RowWriter[ResourceRow]:
    """Writes rows of what-can."""
    before = b'{"resource":"%b","resourceId":"' % _within(type_name)
    return RowWriter(resource_row, before, _ENDINGS)


def subject_row(row: SubjectRow) -> dict[str, Any]:
    """One row of who-can; a wildcard's exceptions are listed up to a limit and counted."""
    value: dict[str, Any] = {"subject": row.subject, "via": row.via}
    if row.except_total:
        value["except"] = row.except_
        value["exceptTotal"] = row.except_total
    return value


def resource_row(row: ResourceRow) -> dict[str, Any]:
    """One row of what-can."""
    return {"resource": row.resource, "resourceId": row.resource_id, "via": row.via}


def page(answer: RowPage[Any], rows: bytes) -> dict[str, Any]:
    """A page of who-can or what-can, its rows being JSON already."""
    value: dict[str, Any] = {
        "data": orjson.Fragment(rows),
        "next": answer.next_cursor,
        "nextCursor": answer.next_cursor,
        "pageSize": answer.page_size,
        "complete": answer.complete,
        "revision": answer.revision,
        "zookie": answer.zookie,
    }
    if answer.total is not None:
        value["total"] = answer.total
    return value


def pieces(rows: RowStream[Row], writer: RowWriter[Row]) -> Iterator[bytes]:
    """A whole list as NDJSON, a piece for each chunk; the last one says that it is complete."""
    left = rows.total
    for block in rows.chunks:
        left -= len(block)
        lines = writer.lines(block)
        yield lines if left else lines + _last_line(rows)
    if not rows.total:
        yield _last_line(rows)


def _last_line(rows: RowStream[Any]) -> bytes:
    """The line that says that a stream is complete."""
    value = {
        "complete": True,
        "total": rows.total,
        "revision": rows.revision,
        "zookie": rows.zookie,
    }
    return orjson.dumps(value, option=orjson.OPT_APPEND_NEWLINE)

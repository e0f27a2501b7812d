"""Rows of lists as JSON: what is put together from bytes is what an encoder would have written."""

from __future__ import annotations

from functools import partial
from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from zeratul.api.authaz import list_encoding
from zeratul.domain.relationship import id_is_valid
from zeratul.service.ground.blocks import WAYS, Block
from zeratul.service.questions.list_answers import ResourceRow, RowStream, SubjectRow

ids = st.text(st.characters(codec="utf-8"), min_size=1, max_size=12).filter(id_is_valid)
awkward = st.sampled_from(['a"b', "\\", 'x\\"', "é", "😀", "\u2028", "}\\n{", "\\u0041"])
plain = st.lists(st.tuples(ids | awkward, st.integers(0, len(WAYS) - 1)), max_size=8)
alike = st.tuples(st.lists(ids | awkward, max_size=8), st.integers(0, len(WAYS) - 1)).map(
    lambda drawn: [(row_id, drawn[1]) for row_id in drawn[0]]
)


def block_of(head: tuple[Any, ...], rows: list[tuple[str, int]], make: Any) -> Block[Any]:
    """A block of these rows."""
    texts = "\x00".join(row_id for row_id, _ in rows).encode()
    return Block(head, texts, bytes(way for _, way in rows), make)


@given(rows=plain | alike, head=st.booleans())
def test_resources(rows: list[tuple[str, int]], *, head: bool) -> None:
    """As lines and as an array, with and without a place of a role before them."""
    first = (ResourceRow("document", "*", ("role",)),) if head else ()
    block = block_of(first, rows, partial(ResourceRow, "document"))
    expected = [list_encoding.resource_row(row) for row in block]
    assert [row["resourceId"] for row in expected[len(first) :]] == [row_id for row_id, _ in rows]
    writer = list_encoding.resource_writer("document")
    _assert_written(writer, block, expected)


@given(rows=plain | alike, head=st.booleans(), relation=st.sampled_from(["", "member"]))
def test_subjects(rows: list[tuple[str, int]], relation: str, *, head: bool) -> None:
    """Users and usersets, with and without the wildcard and its exceptions."""
    first = (SubjectRow("user:*", ("direct",), ('user:"x"',), 3),) if head else ()
    suffix = f"#{relation}" if relation else ""
    block = block_of(first, rows, lambda row_id, via: SubjectRow(f"user:{row_id}{suffix}", via))
    expected = [list_encoding.subject_row(row) for row in block]
    _assert_written(list_encoding.subject_writer("user", relation), block, expected)


def _assert_written(
    writer: list_encoding.RowWriter[Any], block: Block[Any], expected: list[dict[str, Any]]
) -> None:
    assert len(block) == len(expected)
    plain_values = orjson.loads(orjson.dumps(expected))
    lines = writer.lines(block)
    assert plain_values == [orjson.loads(line) for line in lines.split(b"\n")[:-1]]
    assert lines == b"" or lines.endswith(b"\n")
    assert plain_values == orjson.loads(writer.array(block))


def test_names_are_escaped() -> None:
    """They come from the request, before anything said whether there is such a type."""
    block = block_of((), [("a", 1)], None)
    (row,) = orjson.loads(list_encoding.resource_writer('a"b').array(block))
    assert {"resource": 'a"b', "resourceId": "a", "via": list(WAYS[1])} == row
    (row,) = orjson.loads(list_encoding.subject_writer('a"b', 'c"d').array(block))
    assert {"subject": 'a"b:a#c"d', "via": list(WAYS[1])} == row


@pytest.mark.parametrize("sizes", [(), (1,), (3, 2), (2, 2, 1)])
def test_the_last_piece_says_that_the_list_is_complete(sizes: tuple[int, ...]) -> None:
    """A piece for each chunk, one for an empty list; lines are never torn."""
    make = partial(ResourceRow, "document")
    blocks = [block_of((), [(f"d{number}", 1) for number in range(size)], make) for size in sizes]
    rows = RowStream(total=sum(sizes), revision=7, zookie="z", chunks=iter(blocks))
    made = list(list_encoding.pieces(rows, list_encoding.resource_writer("document")))
    assert len(made) == max(1, len(sizes))
    assert all(piece.endswith(b"\n") for piece in made)
    *lines, last = b"".join(made).splitlines()
    assert len(lines) == sum(sizes)
    end = {"complete": True, "total": sum(sizes), "revision": 7, "zookie": "z"}
    assert orjson.loads(last) == end
    assert b"complete" not in b"".join(lines)

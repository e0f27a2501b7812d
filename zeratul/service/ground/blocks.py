"""Rows of computed lists without an object for each."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Generic, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from zeratul.graph.answers import Via

Row = TypeVar("Row")

VIA_ORDER: tuple[Via, ...] = ("direct", "group", "role", "record", "model")
WAYS: list[tuple[str, ...]] = [
    tuple(kind for bit, kind in enumerate(VIA_ORDER) if mask >> bit & 1)
    for mask in range(1 << len(VIA_ORDER))
]
"""Every set of kinds of way, by its number: a bit for each kind."""


@dataclass(frozen=True, slots=True)
class Block(Generic[Row]):
    """Rows of a list, in order; a million of them are told without an object for each.

    Attributes:
        head: the first ones, which say more than an id and its ways.
        ids: UTF-8 ids of the others, with a NUL between two; no id holds one.
        ways: by which ways each of these is reached, a byte each: an index into ``WAYS``.
        row: makes one of these of its id and ways.
    """

    head: tuple[Row, ...]
    ids: bytes
    ways: bytes
    row: Callable[[str, tuple[str, ...]], Row]

    def __len__(self) -> int:
        return len(self.head) + len(self.ways)

    def __iter__(self) -> Iterator[Row]:
        yield from self.head
        if self.ways:
            ids = self.ids.decode().split("\x00")
            for row_id, way in zip(ids, self.ways, strict=True):
                yield self.row(row_id, WAYS[way])

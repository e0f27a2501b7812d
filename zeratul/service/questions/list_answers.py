"""What the lists of who can and what can answer: plain values, no JSON, no HTTP."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Generic, NamedTuple, TypeVar

if TYPE_CHECKING:
    from collections.abc import Iterator

    from zeratul.service.ground.blocks import Block

Row = TypeVar("Row")


class SubjectRow(NamedTuple):
    """A subject as text (``user:u1``, ``group:g#member``, ``user:*``) and the ways it is reached.

    Only the wildcard's row has exceptions: ``except_`` lists them as text, ``except_total`` counts
    them all, listed or not.
    """

    subject: str
    via: tuple[str, ...]
    except_: tuple[str, ...] = ()
    except_total: int = 0


class ResourceRow(NamedTuple):
    """A resource and the ways it is reached."""

    resource: str
    resource_id: str
    via: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class RowPage(Generic[Row]):
    """Some rows of one list; ``total`` counts all of them, when it was asked for."""

    block: Block[Row]
    next_cursor: str | None
    complete: bool
    total: int | None
    page_size: int
    revision: int
    zookie: str

    @property
    def rows(self) -> list[Row]:
        """The rows one by one."""
        return list(self.block)


@dataclass(frozen=True, slots=True, kw_only=True)
class RowStream(Generic[Row]):
    """All rows of one list, at one revision; single use.

    Attributes:
        total: how many rows there are.
        chunks: blocks of rows; no snapshot is held between two of them.
    """

    total: int
    revision: int
    zookie: str
    chunks: Iterator[Block[Row]]

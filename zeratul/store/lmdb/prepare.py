"""Making rows ready outside the writers' lock: distinct names, their nodes, columns of numbers.

What was looked up stays true: numbers are never reused and names never deleted, but for those of
a dropped application, whose rows no transaction takes. Only a name that was unknown may have been
interned meanwhile; the transaction looks again for those.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from zeratul.store.interface import RowColumns
from zeratul.store.lmdb.codec import pack_u32

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from collections.abc import Set as AbstractSet

    from numpy.typing import NDArray

    from zeratul.store.interface import Row
    from zeratul.store.lmdb.snapshot import LmdbSnapshot

# Below this many rows numpy's fixed cost is more than a loop's.
BULK_ROWS_MIN = 32

UNKNOWN = 0  # in place of a node


OneRow = tuple[int, int, int, int, int | None]
"""Resource, slot, subject slot, subject, expiry; the ends are indexes of names."""


class Rows(NamedTuple):
    """A few writes or deletes; resources and subjects are indexes of names."""

    resources: Sequence[int]
    slots: Sequence[int]
    subject_slots: Sequence[int]
    subjects: Sequence[int]
    expiries: Sequence[int | None]

    def one_by_one(self) -> Iterator[OneRow]:
        """Each row."""
        return zip(*self, strict=True)


class Columns(NamedTuple):
    """The same of many rows, as arrays.

    Attributes:
        expiries: of each row; None where no row has one.
        attributed: the (slot, subject slot) pairs in which some row has an expiry.
    """

    resources: NDArray[np.intp]
    slots: NDArray[np.uint64]
    subject_slots: NDArray[np.uint64]
    subjects: NDArray[np.intp]
    expiries: Sequence[int | None] | None
    attributed: frozenset[tuple[int, int]]

    def row(self, index: int) -> OneRow:
        """One of them."""
        return (
            int(self.resources[index]),
            int(self.slots[index]),
            int(self.subject_slots[index]),
            int(self.subjects[index]),
            self.expiries[index] if self.expiries else None,
        )

    def divide(self, special: AbstractSet[tuple[int, int]]) -> tuple[NDArray[Any], NDArray[Any]]:
        """Indexes of the rows with one of these pairs (slot, subject slot), and of the others."""
        every = np.arange(len(self.slots))
        if not special:
            return every[:0], every
        pairs = self.slots << np.uint64(32) | self.subject_slots
        wanted = np.array([slot << 32 | other for slot, other in special], np.uint64)
        among = np.isin(pairs, wanted)
        return every[among], every[~among]

    def rows(self, chosen: NDArray[Any], nodes: NDArray[Any]) -> tuple[NDArray[Any], NDArray[Any]]:
        """The chosen rows in the order of ``forward``, each once, and the index of each.

        Neighbours share pages. Of equal rows it is the first.
        """
        fields = np.stack(
            (
                nodes[self.resources[chosen]],
                self.slots[chosen],
                self.subject_slots[chosen],
                nodes[self.subjects[chosen]],
            )
        )
        fields, first = sorted_distinct(fields)
        return fields, chosen[first]


def sorted_distinct(fields: NDArray[Any]) -> tuple[NDArray[Any], NDArray[np.intp]]:
    """Columns of rows, sorted and each row once, and where the first of each stood."""
    order = np.lexsort(fields[::-1])  # Stable.
    fields = fields[:, order]
    distinct = np.ones(len(order), bool)
    distinct[1:] = (fields[:, 1:] != fields[:, :-1]).any(axis=0)
    if distinct.all():
        return fields, order
    return fields[:, distinct], order[distinct]


class PreparedRows(NamedTuple):
    """Writes and deletes made ready; see ``zeratul.store.interface.Prepared``.

    Attributes:
        application: whose names they use.
        names: distinct full names.
        nodes: node of each name, ``UNKNOWN`` where no commit had interned it.
        next_node: nodes from here on were given after the names were looked up.
        needed: indexes of the names that the writes use, in the order of the names.
        writes, deletes: the rows.
    """

    application: int
    names: list[bytes]
    nodes: list[int]
    next_node: int
    needed: list[int]
    writes: Rows | Columns
    deletes: Rows | Columns


def prepare_rows(
    snapshot: LmdbSnapshot,
    next_node: int,
    application: int,
    writes: Sequence[Row] | RowColumns,
    deletes: Sequence[Row],
) -> PreparedRows:
    """Rows with their names looked up in ``snapshot``, whose first free node is ``next_node``."""
    index: dict[bytes, int] = {}
    write_rows = (
        _columns(writes, index) if isinstance(writes, RowColumns) else _rows(writes, index)
    )
    needed_count = len(index)
    delete_rows = _rows(deletes, index)
    names = list(index)
    order = sorted(range(len(names)), key=names.__getitem__)
    needed = order if not deletes else [number for number in order if number < needed_count]
    # Sorted, so that neighbours share pages.
    found = snapshot.nodes_of([names[number] for number in order])
    return PreparedRows(
        application,
        names,
        [found.get(name, UNKNOWN) for name in names],
        next_node,
        needed,
        write_rows,
        delete_rows,
    )


def _rows(rows: Sequence[Row], index: dict[bytes, int]) -> Rows | Columns:
    """The rows with numbers of names; names not yet in ``index`` are added to it."""
    if not rows:
        return Rows((), (), (), (), ())
    resource_types, resource_ids, slots, subject_slots, subject_types, subject_ids, expiries = zip(
        *rows, strict=True
    )
    resources = _numbered(resource_types, resource_ids, index)
    subjects = _numbered(subject_types, subject_ids, index)
    if len(rows) < BULK_ROWS_MIN:
        return Rows(resources, slots, subject_slots, subjects, expiries)
    return Columns(
        np.array(resources, np.intp),
        np.array(slots, np.uint64),
        np.array(subject_slots, np.uint64),
        np.array(subjects, np.intp),
        expiries,
        _attributed(slots, subject_slots, expiries),
    )


def _columns(columns: RowColumns, index: dict[bytes, int]) -> Columns:
    """The same of columns."""
    numbers = np.array(_numbered(columns.types, columns.ids, index), np.intp)
    _, _, resources, slots, subject_slots, subjects, expiries = columns
    attributed: frozenset[tuple[int, int]] = frozenset()
    if expiries is not None:
        attributed = _attributed(slots.tolist(), subject_slots.tolist(), expiries)
    return Columns(
        numbers[resources], slots, subject_slots, numbers[subjects], expiries, attributed
    )


def _attributed(
    slots: Sequence[int], subject_slots: Sequence[int], expiries: Sequence[int | None]
) -> frozenset[tuple[int, int]]:
    return frozenset(
        (slot, subject_slot)
        for slot, subject_slot, expires_at_ms in zip(slots, subject_slots, expiries, strict=True)
        if expires_at_ms is not None
    )


def _numbered(types: Sequence[int], ids: Sequence[str], index: dict[bytes, int]) -> list[int]:
    prefixes = {type_slot: pack_u32(type_slot) for type_slot in set(types)}
    return [
        index.setdefault(prefixes[type_slot] + object_id.encode(), len(index))
        for type_slot, object_id in zip(types, ids, strict=True)
    ]

"""Whether one of many nodes is among the subjects of a resource, by way of the smaller side."""

from __future__ import annotations

from typing import TYPE_CHECKING

from zeratul.store.lmdb.adjacency import Adjacency
from zeratul.store.lmdb.codec import (
    ROW_VALUE_SIZE,
    U32,
    bitmap_of_records,
    nodes_of_records,
    pack_key,
    pack_u32,
)
from zeratul.store.lmdb.failures import translated

if TYPE_CHECKING:
    from collections.abc import Sequence

    import lmdb
    from pyroaring import BitMap

# LIMIT: up to here probing each is cheaper than building a bitmap of the other side.
FEW = 64
# LIMIT: seeks of a gallop over two large sides; after that reading both whole is cheaper.
GALLOP_SEEKS_MAX = 64

_unpack_u32 = U32.unpack_from


class Meets(Adjacency):
    """Intersections of stored subjects with a bitmap."""

    __slots__ = ()

    @translated
    def meets(self, keys: Sequence[tuple[int, int, int, BitMap]]) -> list[int | None]:
        """For (resource, slot, subject slot, nodes): one subject of the key among ``nodes``."""
        if not self._current:
            return [self._meets(*key) for key in keys]
        cursor, marks = self._forward, self._marks
        seek, value, count = cursor.set_key, cursor.value, cursor.count
        found: list[int | None] = []
        for resource, slot, subject_slot, nodes in keys:
            if (marks and (slot, subject_slot) in marks) or not nodes:
                found.append(self._meets(resource, slot, subject_slot, nodes))
            elif not seek(pack_key(resource, slot << 8, subject_slot)):
                found.append(None)
            else:
                # Most resources have one folder and a group or two: look at the first before
                # anything is laid out for the rest.
                node = _unpack_u32(value())[0]
                if node in nodes:
                    found.append(node)
                elif count() == 1:
                    found.append(None)
                else:
                    found.append(self._meets(resource, slot, subject_slot, nodes))
        return found

    def _meets(self, resource: int, slot: int, subject_slot: int, nodes: BitMap) -> int | None:
        if not nodes:
            return None
        if not self._current or (slot, subject_slot) in self._marks:
            if len(nodes) <= FEW:
                return next((n for n in nodes if self._has(resource, slot, subject_slot, n)), None)
            return _any_of(self._subjects_of(resource, 1, slot, subject_slot) & nodes)
        cursor, key = self._forward, pack_key(resource, slot << 8, subject_slot)
        if not cursor.set_key(key):
            return None
        few = cursor.count() <= FEW
        if not few:
            if len(nodes) <= FEW:
                return next((node for node in nodes if _probe(cursor, key, node)), None)
            found, decided = _gallop(cursor, key, nodes)
            if decided:
                return found
        records = cursor.getmulti(
            (key,), dupdata=True, dupfixed_bytes=ROW_VALUE_SIZE, keyfixed=True
        )
        if few:
            return next((node for (node,) in nodes_of_records(records) if node in nodes), None)
        return _any_of(bitmap_of_records(records) & nodes)


def _any_of(nodes: BitMap) -> int | None:
    return nodes.min() if nodes else None


def _probe(cursor: lmdb.Cursor[bytes], key: bytes, node: int) -> bool:
    prefix = pack_u32(node)
    return cursor.set_range_dup(key, prefix) and cursor.value()[:4] == prefix


def _gallop(cursor: lmdb.Cursor[bytes], key: bytes, nodes: BitMap) -> tuple[int | None, bool]:
    """Leap from one side to the other's next element: a common one, and whether it is certain."""
    wanted = nodes.min()
    for _ in range(GALLOP_SEEKS_MAX):
        if not cursor.set_range_dup(key, pack_u32(wanted)):
            return None, True
        stored = _unpack_u32(cursor.value())[0]
        if stored == wanted:
            return wanted, True
        try:
            wanted = nodes.next_set_bit(stored)
        except ValueError:  # None that large.
            return None, True
        if wanted == stored:
            return wanted, True
    return None, False

"""Scans: rows in key order, in pages that continue at a position whatever was written meanwhile.

A position is the row itself (key ‖ other ‖ created). A row that is deleted between two pages moves
to the tombstones with the same bytes, so a scan of one revision merges both tables and sees every
row once. No cursor or snapshot is held between pages.
"""

from __future__ import annotations

from heapq import merge
from itertools import islice
from typing import TYPE_CHECKING, Any

from zeratul.store.interface import StoredRow
from zeratul.store.lmdb.adjacency import forward_row
from zeratul.store.lmdb.codec import (
    ATTRIBUTED,
    KEY,
    KEY_SIZE,
    ROW_SIZE,
    SLOT_MAX,
    U32,
    pack_key,
    pack_u32,
    unpack_u48,
)
from zeratul.store.lmdb.failures import translated
from zeratul.store.lmdb.meets import Meets

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator

    import lmdb

_U32_MAX = 0xFFFF_FFFF

Range = tuple[bytes, bytes]  # first and last key, both included


class Scans(Meets):
    """Scans over the rows of one resource, one subject or one type."""

    __slots__ = ()

    @translated
    def scan_resource(
        self,
        resource: int,
        *,
        slots: Collection[int] | None = None,
        after: bytes = b"",
        limit: int,
    ) -> list[StoredRow]:
        """Rows of one resource, at most ``limit``, behind position ``after``."""
        return list(islice(self._resource_rows(resource, slots, after), limit))

    def _resource_rows(
        self, resource: int, slots: Collection[int] | None, after: bytes
    ) -> Iterator[StoredRow]:
        if slots is None:
            ranges = [_range(resource)]
        else:
            ranges = [_range(resource, slot) for slot in sorted(set(slots))]
        for record in self._records(ranges, after, reverse=False):
            row = self._row(record, record)
            if row is not None:
                yield row

    @translated
    def scan_subject(
        self,
        subject: int,
        *,
        subject_slot: int | None = None,
        slots: Collection[int] | None = None,
        after: bytes = b"",
        limit: int,
    ) -> list[StoredRow]:
        """Rows that name a subject, at most ``limit``, behind position ``after``."""
        ranges = [_range(subject, subject_slot)]
        wanted = None if slots is None else frozenset(map(pack_u32, slots))
        rows = (
            self._row(record, forward_row(record))
            for record in self._records(ranges, after, reverse=True, wanted=wanted)
        )
        return list(islice((row for row in rows if row is not None), limit))

    def _row(self, position: bytes, forward: bytes) -> StoredRow | None:
        """The live relationship of a row, or None where it has expired."""
        resource, second, subject_slot = KEY.unpack_from(forward)
        expires_at_ms = None
        if second & 0xFF == ATTRIBUTED:
            expires_at_ms = self._expiry(forward)
            if expires_at_ms <= self.now_ms:
                return None
        return StoredRow(
            position,
            resource,
            second >> 8,
            subject_slot,
            U32.unpack_from(forward, KEY_SIZE)[0],
            unpack_u48(forward[KEY_SIZE + 4 : ROW_SIZE]),
            expires_at_ms,
        )

    def _records(
        self,
        ranges: list[Range],
        after: bytes,
        *,
        reverse: bool,
        wanted: frozenset[bytes] | None = None,
    ) -> Iterator[bytes]:
        """Rows (key ‖ value) of the revision in the ranges, behind ``after``, in order."""
        tables = self._tables
        live, buried = (
            (tables.reverse, tables.buried_reverse)
            if reverse
            else (tables.forward, tables.buried_forward)
        )
        for low, high in ranges:
            if after[:KEY_SIZE] > high:
                continue
            rows = self._walk(live, low, high, after, wanted)
            if self._current:
                yield from rows
            else:
                tombstones = self._walk(buried, low, high, after, wanted)
                yield from merge(rows, (record[:ROW_SIZE] for record in tombstones))

    def _walk(
        self, table: Any, low: bytes, high: bytes, after: bytes, wanted: frozenset[bytes] | None
    ) -> Iterator[bytes]:
        with self._transaction.cursor(table) as cursor:
            found = _seek(cursor, low, after)
            while found:
                key, value = cursor.item()
                if key > high:
                    return
                if wanted is not None and key[8:12] not in wanted:
                    found = cursor.next_nodup()
                    continue
                if self._in_time(value) and (key + value[:10]) > after:
                    yield key + value
                found = cursor.next()

    # A type's resources, in the order of their names.

    @translated
    def scan_type(
        self,
        type_slot: int,
        *,
        slots: Collection[int] | None = None,
        after: bytes = b"",
        limit: int,
        one_each: bool = False,
    ) -> list[StoredRow]:
        """Rows of every resource of a type, at most ``limit``, behind position ``after``.

        With ``one_each`` only the first row of each resource, and it goes on behind the resource.
        """
        if not self._may_have_rows(type_slot):
            return []
        most = 1 if one_each else None
        return list(islice(self._type_rows(type_slot, slots, after, most), limit))

    def _type_rows(
        self, type_slot: int, slots: Collection[int] | None, after: bytes, most: int | None
    ) -> Iterator[StoredRow]:
        """Rows, at most ``most`` of each resource (then on behind a position's resource)."""
        # A position is the row, then the key of its resource's name.
        row_after, name_after = after[:ROW_SIZE], after[ROW_SIZE:]
        prefix = pack_u32(type_slot)
        with self._transaction.cursor(self._tables.names) as names:
            found = names.set_range(name_after or prefix)
            while found:
                name, node = names.item()
                if not name.startswith(prefix):
                    return
                begin = row_after if name == name_after else b""
                if not (begin and most):
                    rows = self._resource_rows(U32.unpack(node)[0], slots, begin)
                    for row in islice(rows, most):
                        yield row._replace(position=row.position + name)
                found = names.next()

    def _may_have_rows(self, type_slot: int) -> bool:
        """Whether the type has relations: walking a million users would find nothing."""
        entry = self._transaction.get(pack_u32(type_slot), db=self._tables.slot_names)
        if entry is None:
            return False
        type_prefix = entry[: entry.index(b"\x00", 4) + 1]
        with self._transaction.cursor(self._tables.slots) as cursor:
            found = cursor.set_range(type_prefix)
            while found and cursor.key().startswith(type_prefix):
                if cursor.key()[len(type_prefix) :] not in (b"", b"*"):
                    return True
                found = cursor.next()
        return False


def _range(first: int, second: int | None = None) -> Range:
    low, high = (0, SLOT_MAX) if second is None else (second, second)
    return pack_key(first, low << 8, 0), pack_key(first, high << 8 | 0xFF, _U32_MAX)


def _seek(cursor: lmdb.Cursor[bytes], low: bytes, after: bytes) -> bool:
    """Move to the first row at or behind both; whether there is one."""
    key, value = after[:KEY_SIZE], after[KEY_SIZE:ROW_SIZE]
    if key < low:
        return cursor.set_range(low)
    if cursor.set_range_dup(key, value):
        return True
    found = cursor.set_range(key)
    return cursor.next_nodup() if found and cursor.key() == key else found

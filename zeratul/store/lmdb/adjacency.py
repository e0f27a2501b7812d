"""The evaluator's reads: rows of many keys at once, as of one revision and one time.

Almost every read is of the newest revision and of slots that never held an expiry: such a read is
one seek or one packed read of ``forward`` or ``reverse``. Only reads of the past also look at the
tombstones, and only pairs of slots marked in ``meta`` also look at attributed rows.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from pyroaring import BitMap

from zeratul.errors import StoreError
from zeratul.store.interface import StoredRow
from zeratul.store.lmdb.codec import (
    ATTRIBUTED,
    BURIED_RECORD,
    BURIED_VALUE_SIZE,
    LED_RECORD,
    PLAIN,
    ROW_RECORD,
    ROW_SIZE,
    ROW_VALUE_SIZE,
    U32,
    bitmap_of_array,
    bitmap_of_records,
    keys_of,
    nodes_of_records,
    pack_key,
    pack_u32,
    unpack_expiry,
    unpack_u48,
)
from zeratul.store.lmdb.environment import is_userset
from zeratul.store.lmdb.failures import translated

if TYPE_CHECKING:
    from collections.abc import Sequence
    from collections.abc import Set as AbstractSet

    import lmdb
    from numpy.typing import NDArray

    from zeratul.store.interface import HasKey, ResourcesKey, SubjectsKey
    from zeratul.store.lmdb.environment import Tables

# LIMIT: up to here reading each is cheaper than arrays of keys, and than to look which matter.
FEW = 64

_unpack_u32 = U32.unpack_from


class Adjacency:
    """Reads of ``forward`` and ``reverse`` in one transaction; the base of snapshots.

    INVARIANT: a relationship has at most one row in ``forward``, whatever its kind, and at each
    past revision at most one row in ``forward`` and the tombstones together.
    """

    __slots__ = (
        "_current",
        "_forward",
        "_marks",
        "_reverse",
        "_tables",
        "_transaction",
        "expires_min_ms",
        "head",
        "now_ms",
        "revision",
    )

    def __init__(
        self,
        transaction: lmdb.Transaction[bytes],
        tables: Tables,
        marks: AbstractSet[tuple[int, int]],
        revision: int,
        head: int,
        now_ms: int,
    ) -> None:
        self._transaction = transaction
        self._tables = tables
        self._marks = marks
        self._forward = transaction.cursor(tables.forward)
        self._reverse = transaction.cursor(tables.reverse)
        self._current = revision == head
        self.revision = revision
        self.head = head
        self.now_ms = now_ms
        self.expires_min_ms: int | None = None

    # Single rows.

    @translated
    def has(self, keys: Sequence[HasKey]) -> list[bool]:
        """Whether each row is there."""
        cursor = self._forward
        seek, value = cursor.set_range_dup, cursor.value
        if self._current:
            marks = self._marks
            if not marks:
                pack = pack_u32
                return [
                    seek(pack_key(resource, slot << 8, subject_slot), prefix := pack(subject))
                    and value()[:4] == prefix
                    for resource, slot, subject_slot, subject in keys
                ]
            return [
                self._has(resource, slot, subject_slot, subject)
                if (slot, subject_slot) in marks
                else seek(pack_key(resource, slot << 8, subject_slot), prefix := pack_u32(subject))
                and value()[:4] == prefix
                for resource, slot, subject_slot, subject in keys
            ]
        return [self._has(*key) for key in keys]

    @translated
    def rows(self, keys: Sequence[HasKey]) -> list[StoredRow | None]:
        """Each live row (its ``position`` empty), None where it is absent."""
        return [self._stored_row(*key) for key in keys]

    def _stored_row(
        self, resource: int, slot: int, subject_slot: int, subject: int
    ) -> StoredRow | None:
        found = self._find(resource, slot, subject_slot, subject)
        if found is None:
            return None
        created, expires_at_ms = found
        return StoredRow(b"", resource, slot, subject_slot, subject, created, expires_at_ms)

    def _has(self, resource: int, slot: int, subject_slot: int, subject: int) -> bool:
        """``has`` of one row, with attributes and the past."""
        return self._find(resource, slot, subject_slot, subject) is not None

    def _find(
        self, resource: int, slot: int, subject_slot: int, subject: int
    ) -> tuple[int, int | None] | None:
        """Revision and expiry of one row."""
        prefix = pack_u32(subject)
        for kind in self._kinds(slot, subject_slot):
            key = pack_key(resource, slot << 8 | kind, subject_slot)
            found = self._find_in(self._forward, key, prefix, kind)
            if found is None and not self._current:
                with self._transaction.cursor(self._tables.buried_forward) as buried:
                    found = self._find_in(buried, key, prefix, kind)
            if found is not None:
                return found
        return None

    def _find_in(
        self, cursor: lmdb.Cursor[bytes], key: bytes, prefix: bytes, kind: int
    ) -> tuple[int, int | None] | None:
        found = cursor.set_range_dup(key, prefix)
        while found:
            value = cursor.value()
            if value[:4] != prefix:
                return None
            if self._in_time(value):
                expires_at_ms = None if kind == PLAIN else self._expiry(key + value[:10])
                if expires_at_ms is None or self._unexpired(expires_at_ms):
                    return unpack_u48(value[4:10]), expires_at_ms
            found = cursor.next_dup()
        return None

    def _in_time(self, value: bytes) -> bool:
        """Whether a row (or, with its end, a tombstone) was there at the revision."""
        if unpack_u48(value[4:10]) > self.revision:
            return False
        return len(value) == ROW_VALUE_SIZE or unpack_u48(value[10:16]) > self.revision

    def _unexpired(self, expires_at_ms: int) -> bool:
        """Whether an attributed row is there at the time; counts its expiry if so."""
        if expires_at_ms <= self.now_ms:
            return False
        if self.expires_min_ms is None or expires_at_ms < self.expires_min_ms:
            self.expires_min_ms = expires_at_ms
        return True

    def _expiry(self, attribute_key: bytes) -> int:
        value = self._transaction.get(attribute_key, db=self._tables.attributes)
        if value is None:
            raise StoreError("a relationship has lost its attributes", reason="corrupted")
        return unpack_expiry(value)

    def _kinds(self, slot: int, subject_slot: int) -> tuple[int, ...]:
        return (PLAIN, ATTRIBUTED) if (slot, subject_slot) in self._marks else (PLAIN,)

    # All rows of a key.

    @translated
    def subjects(self, keys: Sequence[SubjectsKey]) -> list[BitMap]:
        """Subject nodes of each key."""
        read, marks = self._forward.getmulti, self._marks
        return [
            bitmap_of_records(
                read(
                    (pack_key(resource, slot << 8, subject_slot),),
                    dupdata=True,
                    dupfixed_bytes=ROW_VALUE_SIZE,
                    keyfixed=True,
                )
            )
            if self._current and not (marks and (slot, subject_slot) in marks)
            else self._subjects_of(resource, 1, slot, subject_slot)
            for resource, slot, subject_slot in keys
        ]

    @translated
    def resources(self, keys: Sequence[ResourcesKey]) -> list[BitMap]:
        """Resource nodes of each key."""
        read, marks = self._reverse.getmulti, self._marks
        return [
            bitmap_of_records(
                read(
                    (pack_key(subject, subject_slot << 8, slot),),
                    dupdata=True,
                    dupfixed_bytes=ROW_VALUE_SIZE,
                    keyfixed=True,
                )
            )
            if self._current and not (marks and (slot, subject_slot) in marks)
            else self._resources_of(subject, 1, subject_slot, slot)
            for subject, subject_slot, slot in keys
        ]

    @translated
    def few_resources(self, keys: Sequence[ResourcesKey], most: int) -> list[Sequence[int]] | None:
        """Resource nodes of each key, ascending; None if they may be more than ``most`` in all."""
        cursor, marks = self._reverse, self._marks
        seek, count, value, read = cursor.set_key, cursor.count, cursor.value, cursor.getmulti
        found: list[Sequence[int]] = []
        for subject, subject_slot, slot in keys:
            if not self._current or (marks and (slot, subject_slot) in marks):
                key = (subject, subject_slot, slot)
                kinds = self._kinds(slot, subject_slot)
                most -= self._count(self._reverse, self._tables.buried_reverse, key, kinds)
                if most < 0:
                    return None
                found.append(self._resources_of(subject, 1, subject_slot, slot).to_array())
                continue
            packed = pack_key(subject, subject_slot << 8, slot)
            if not seek(packed):
                found.append(())
                continue
            held = count()
            most -= held
            if most < 0:
                return None
            if held == 1:
                found.append(_unpack_u32(value()))
            else:
                records = read(
                    (packed,), dupdata=True, dupfixed_bytes=ROW_VALUE_SIZE, keyfixed=True
                )
                found.append([node for (node,) in nodes_of_records(records)])
        return found

    @translated
    def subjects_of_all(self, resources: BitMap, slot: int, subject_slot: int) -> BitMap:
        """Union of ``subjects`` over many resources."""
        return self._subjects_of(_array(resources), len(resources), slot, subject_slot)

    @translated
    def resources_of_all(self, subjects: BitMap, subject_slot: int, slot: int) -> BitMap:
        """Union of ``resources`` over many subjects."""
        if len(subjects) > FEW:
            subjects = self._leading(subjects, subject_slot, slot)
            if not subjects:
                return BitMap()
        elif self._current and (slot, subject_slot) not in self._marks:
            # Up the groups of a group it goes one by one: numpy would take longer than the reads.
            return bitmap_of_records(
                self._reverse.getmulti(
                    [pack_key(subject, subject_slot << 8, slot) for subject in subjects],
                    dupdata=True,
                    dupfixed_bytes=ROW_VALUE_SIZE,
                    keyfixed=True,
                )
            )
        return self._resources_of(_array(subjects), len(subjects), subject_slot, slot)

    def _leading(self, subjects: BitMap, subject_slot: int, slot: int) -> BitMap:
        """Those of many subjects that can have a row in the slot at all.

        Someone in 100,000 groups of which none is in another group costs one seek here instead of
        100,000: ``led`` holds every userset that was ever named in the slot.
        """
        if not is_userset(self._transaction, self._tables, subject_slot):
            return subjects
        key = U32.pack(subject_slot) + U32.pack(slot)
        with self._transaction.cursor(self._tables.led) as cursor:
            if not cursor.set_key(key):
                return BitMap()
            if cursor.count() >= len(subjects):
                return subjects
            packed = cursor.getmulti((key,), dupdata=True, dupfixed_bytes=U32.size, keyfixed=True)
        return subjects & bitmap_of_array(np.frombuffer(packed, LED_RECORD)["node"])

    def _subjects_of(
        self, resources: NDArray[Any] | int, count: int, slot: int, subject_slot: int
    ) -> BitMap:
        found = BitMap()
        for kind in self._kinds(slot, subject_slot):
            keys = keys_of(resources, slot << 8 | kind, subject_slot, count)
            for records in self._visible(self._forward, self._tables.buried_forward, keys):
                if kind == ATTRIBUTED:
                    # A forward record begins with the key of its attributes.
                    attribute_keys = [record[:ROW_SIZE] for record in _split(records)]
                    records = records[self._alive(attribute_keys)]  # noqa: PLW2901
                found |= bitmap_of_array(records["node"])
        return found

    def _resources_of(
        self, subjects: NDArray[Any] | int, count: int, subject_slot: int, slot: int
    ) -> BitMap:
        found = BitMap()
        for kind in self._kinds(slot, subject_slot):
            keys = keys_of(subjects, subject_slot << 8 | kind, slot, count)
            for records in self._visible(self._reverse, self._tables.buried_reverse, keys):
                if kind == ATTRIBUTED:
                    attribute_keys = [forward_row(record) for record in _split(records)]
                    records = records[self._alive(attribute_keys)]  # noqa: PLW2901
                found |= bitmap_of_array(records["node"])
        return found

    def _visible(
        self, cursor: lmdb.Cursor[bytes], buried_table: Any, keys: list[bytes]
    ) -> list[NDArray[Any]]:
        """Records of the keys at the revision: the rows, and for the past the tombstones."""
        rows = np.frombuffer(
            cursor.getmulti(keys, dupdata=True, dupfixed_bytes=ROW_VALUE_SIZE, keyfixed=True),
            ROW_RECORD,
        )
        if self._current:
            return [rows]
        rows = rows[_u48(rows, "created") <= self.revision]
        with self._transaction.cursor(buried_table) as buried_cursor:
            packed = buried_cursor.getmulti(
                keys, dupdata=True, dupfixed_bytes=BURIED_VALUE_SIZE, keyfixed=True
            )
        buried = np.frombuffer(packed, BURIED_RECORD)
        there = (_u48(buried, "created") <= self.revision) & (
            _u48(buried, "deleted") > self.revision
        )
        return [rows, buried[there]]

    def _alive(self, attribute_keys: list[bytes]) -> NDArray[Any]:
        """Which of the rows have not expired; counts the expiry of those."""
        expiries = np.fromiter(
            map(self._expiry, attribute_keys), np.uint64, count=len(attribute_keys)
        )
        alive = expiries > self.now_ms
        if alive.any():
            self._unexpired(int(expiries[alive].min()))
        return alive

    # Counts and intersections.

    @translated
    def subject_counts(self, keys: Sequence[SubjectsKey]) -> list[int]:
        """Upper bounds of the number of subjects of each key."""
        return [
            self._count(
                self._forward, self._tables.buried_forward, key, self._kinds(key[1], key[2])
            )
            for key in keys
        ]

    @translated
    def resource_counts(self, keys: Sequence[ResourcesKey]) -> list[int]:
        """Upper bounds of the number of resources of each key."""
        return [
            self._count(
                self._reverse, self._tables.buried_reverse, key, self._kinds(key[2], key[1])
            )
            for key in keys
        ]

    def _count(
        self,
        cursor: lmdb.Cursor[bytes],
        buried_table: Any,
        key: tuple[int, int, int],
        kinds: tuple[int, ...],
    ) -> int:
        first, second, third = key
        total = 0
        for kind in kinds:
            packed = pack_key(first, second << 8 | kind, third)
            if cursor.set_key(packed):
                total += cursor.count()
            if not self._current:
                with self._transaction.cursor(buried_table) as buried:
                    if buried.set_key(packed):
                        total += buried.count()
        return total


def forward_row(record: bytes) -> bytes:
    """The forward row (key ‖ value without a tombstone's end) of a record of ``reverse``."""
    subject, second, slot, resource = record[:4], record[4:8], record[8:12], record[12:16]
    # slot and subject slot change places; the kind stays in the second field.
    return b"".join((resource, slot[1:], second[3:], b"\x00", second[:3], subject, record[16:22]))


def _split(records: NDArray[Any]) -> list[bytes]:
    size = records.dtype.itemsize
    split: list[bytes] = np.ascontiguousarray(records).view(f"V{size}").tolist()
    return split


def _array(nodes: BitMap) -> NDArray[Any]:
    numbers: NDArray[Any] = np.frombuffer(nodes.to_array(), np.uint32)
    return numbers


def _u48(records: NDArray[Any], name: str) -> NDArray[Any]:
    high: NDArray[Any] = records[f"{name}_high"].astype(np.uint64) << np.uint64(32)
    number: NDArray[Any] = high | records[f"{name}_low"]
    return number

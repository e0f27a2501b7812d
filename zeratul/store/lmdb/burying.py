"""Deleting relationships inside a write transaction.

Deleting moves a row to the tombstones with the revision that ended it, except a row made by this
commit, which nobody can have seen. Many plain rows are deleted by columns; rows of slots that ever
held an expiry go one by one.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from zeratul.errors import StoreError
from zeratul.store.interface import Outcome
from zeratul.store.lmdb.codec import (
    ATTRIBUTED,
    GONE,
    KEY,
    KEY_SIZE,
    ROW_VALUE,
    U32,
    pack_change,
    pack_change_columns,
    pack_columns,
    pack_key,
    pack_u32,
    pack_u48,
    pack_u64,
    pack_values,
    unpack_expiry,
)
from zeratul.store.lmdb.prepare import UNKNOWN, Rows
from zeratul.store.lmdb.writing import Writing

if TYPE_CHECKING:
    import lmdb
    from numpy.typing import NDArray

    from zeratul.domain.limits import Limits
    from zeratul.store.lmdb.environment import Tables
    from zeratul.store.lmdb.prepare import Columns, OneRow

_OUTCOMES = tuple(Outcome)


def outcomes_of(numbers: NDArray[Any]) -> list[Outcome]:
    """The outcomes that an array holds as numbers."""
    return [_OUTCOMES[number] for number in numbers.tolist()]


class Found(NamedTuple):
    """A stored row: forward key, forward value, expiry."""

    key: bytes
    value: bytes
    expires_at_ms: int | None


class Burying(Writing):
    """The part of a write transaction that deletes relationships."""

    def __init__(
        self,
        transaction: lmdb.Transaction[bytes],
        tables: Tables,
        limits: Limits,
        *,
        now_ms: int,
    ) -> None:
        super().__init__(transaction, tables, limits, now_ms=now_ms)
        self._created = pack_u48(self.revision)
        self._buried_forward: list[tuple[bytes, bytes]] = []
        self._buried_reverse: list[tuple[bytes, bytes]] = []
        self._forward = transaction.cursor(tables.forward)
        self._reverse = transaction.cursor(tables.reverse)

    def delete_all(self, rows: Rows | Columns, nodes: list[int]) -> list[Outcome]:
        """Delete prepared rows; ``put_tombstones`` after the last."""
        if isinstance(rows, Rows):
            return [self._delete_one(row, nodes) for row in rows.one_by_one()]
        outcomes = np.full(len(rows.slots), Outcome.ABSENT, np.uint8)
        special, chosen = rows.divide(self._marks)
        for index in special.tolist():
            outcomes[index] = self._delete_one(rows.row(index), nodes)
        outcomes[self._delete_columns(rows, chosen, np.array(nodes, np.uint64))] = Outcome.DELETED
        return outcomes_of(outcomes)

    # One by one.

    def _delete_one(self, row: OneRow, nodes: list[int]) -> Outcome:
        resource, slot, subject_slot, subject, _ = row
        resource, subject = nodes[resource], nodes[subject]
        if UNKNOWN in (resource, subject):
            return Outcome.ABSENT
        found = self._find(resource, slot, subject_slot, subject)
        if found is None or self._expired(found):
            return Outcome.ABSENT
        self._bury(found)
        return Outcome.DELETED

    def _find(self, resource: int, slot: int, subject_slot: int, subject: int) -> Found | None:
        """The row, expired or not; leaves the cursor on it."""
        prefix, cursor = pack_u32(subject), self._forward
        key = pack_key(resource, slot << 8, subject_slot)
        if cursor.set_range_dup(key, prefix) and (value := cursor.value())[:4] == prefix:
            return Found(key, value, None)
        if (slot, subject_slot) in self._marks:
            key = pack_key(resource, slot << 8 | ATTRIBUTED, subject_slot)
            if cursor.set_range_dup(key, prefix) and (value := cursor.value())[:4] == prefix:
                attributes = self.transaction.get(key + value, db=self.tables.attributes)
                if attributes is None:
                    raise StoreError("a relationship has lost its attributes", reason="corrupted")
                return Found(key, value, unpack_expiry(attributes))
        return None

    def _expired(self, found: Found) -> bool:
        return found.expires_at_ms is not None and found.expires_at_ms <= self.now_ms

    def _bury(self, found: Found) -> None:
        """Move the row that ``_find`` left the cursor on to the tombstones."""
        self.touch()
        key, value, expires_at_ms = found
        resource, second, subject_slot = KEY.unpack(key)
        kind = second & 0xFF
        reverse_key = pack_key(U32.unpack_from(value)[0], subject_slot << 8 | kind, second >> 8)
        reverse_value = key[:4] + value[4:]
        self._forward.delete()
        if not self.transaction.delete(reverse_key, reverse_value, db=self.tables.reverse):
            raise StoreError("a relationship lacks its reverse row", reason="corrupted")
        if value[4:] != self._created:
            self._buried_forward.append((key, value + self._created))
            self._buried_reverse.append((reverse_key, reverse_value + self._created))
        elif kind == ATTRIBUTED:
            self.transaction.delete(key + value, db=self.tables.attributes)
        if expires_at_ms is not None:
            self.transaction.delete(pack_u64(expires_at_ms) + key + value, db=self.tables.expiries)
        self._change_rows += pack_change(
            GONE, resource, second >> 8, subject_slot, U32.unpack_from(value)[0], kind
        )

    def put_tombstones(self) -> None:
        """After the rows, because nothing in the transaction reads them."""
        for table, entries in (
            (self.tables.buried_forward, self._buried_forward),
            (self.tables.buried_reverse, self._buried_reverse),
        ):
            if entries:
                entries.sort()
                self.transaction.cursor(table).putmulti(entries)
                entries.clear()

    def expire(self, attribute_key: bytes) -> None:
        """Delete the row an entry of ``expiries`` names; ``put_tombstones`` after the last."""
        resource, second, subject_slot = KEY.unpack_from(attribute_key)
        subject = U32.unpack_from(attribute_key, KEY_SIZE)[0]
        found = self._find(resource, second >> 8, subject_slot, subject)
        if found is None or found.key + found.value != attribute_key:
            raise StoreError(
                "an expiry names a relationship that is not there", reason="corrupted"
            )
        self._bury(found)

    # Many plain rows.

    def _delete_columns(
        self, columns: Columns, chosen: NDArray[Any], nodes: NDArray[Any]
    ) -> NDArray[Any]:
        """Delete those that are there; which indexes these are."""
        fields, chosen = columns.rows(chosen, nodes)
        known = (fields[0] != UNKNOWN) & (fields[3] != UNKNOWN)
        fields, chosen = fields[:, known], chosen[known]
        values = self._take(fields)
        there = np.fromiter(map(bool, values), bool, count=len(values))
        if there.any():
            created = np.frombuffer(b"".join(values), ROW_VALUE)["created"]
            self._bury_columns(fields[:, there], created)
        deleted: NDArray[Any] = chosen[there]
        return deleted

    def _take(self, fields: NDArray[Any]) -> list[bytes]:
        """Remove sorted rows from ``forward``; the value of each, empty where there was none."""
        resources, slots, subject_slots, subjects = fields
        keys = pack_columns(resources, slots << np.uint64(8), subject_slots)
        seek, value, delete = (
            self._forward.set_range_dup,
            self._forward.value,
            self._forward.delete,
        )
        values: list[bytes] = []
        for key, prefix in zip(keys, pack_columns(subjects), strict=True):
            if seek(key, prefix) and (found := value())[:4] == prefix:
                self.touch()
                delete()
                values.append(found)
            else:
                values.append(b"")
        return values

    def _bury_columns(self, fields: NDArray[Any], created: NDArray[Any]) -> None:
        """Move sorted rows that are in ``forward`` no more to the tombstones."""
        resources, slots, subject_slots, subjects = fields
        order = np.lexsort((resources, slots, subject_slots, subjects))
        reverse = fields[::-1, order]
        first, second, third, other = reverse
        keys = pack_columns(first, second << np.uint64(8), third)
        delete, table = self.transaction.delete, self.tables.reverse
        for key, value in zip(keys, pack_values(other, created[order]), strict=True):
            if not delete(key, value, db=table):
                raise StoreError("a relationship lacks its reverse row", reason="corrupted")
        ended = np.void(self._created)
        for buried, ends, made in (
            (self._buried_forward, fields, created),
            (self._buried_reverse, reverse, created[order]),
        ):
            old = made != ended  # One made by this very commit leaves none.
            first, second, third, other = ends[:, old]
            keys = pack_columns(first, second << np.uint64(8), third)
            buried.extend(zip(keys, pack_values(other, made[old], ended), strict=True))
        self._change_rows += pack_change_columns(GONE, fields)

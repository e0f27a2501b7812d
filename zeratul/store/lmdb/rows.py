"""Writing and deleting relationships inside a write transaction.

INVARIANT: a relationship never has two rows in ``forward``. Every write looks for the row first,
by the subject's four bytes, unless one of its nodes is new in this very call.

Many plain rows are written by columns; rows of slots that ever held an expiry go one by one.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from zeratul.domain.vocabulary import NODE_MAX
from zeratul.errors import LimitError, StoreError
from zeratul.store.interface import Applied, Outcome
from zeratul.store.lmdb.burying import Burying, outcomes_of
from zeratul.store.lmdb.codec import (
    ATTRIBUTED,
    PLAIN,
    THERE,
    U64,
    bounded_all,
    pack_attributes,
    pack_change,
    pack_change_columns,
    pack_columns,
    pack_key,
    pack_u32,
    pack_u64,
    pack_values,
)
from zeratul.store.lmdb.environment import is_userset, mark_key, names_count_key
from zeratul.store.lmdb.failures import translated
from zeratul.store.lmdb.prepare import UNKNOWN, PreparedRows, Rows, sorted_distinct
from zeratul.store.lmdb.writing import atomic

if TYPE_CHECKING:
    import lmdb
    from numpy.typing import NDArray

    from zeratul.domain.limits import Limits
    from zeratul.store.interface import Prepared
    from zeratul.store.lmdb.environment import Tables
    from zeratul.store.lmdb.prepare import Columns, OneRow


class RowWriter(Burying):
    """The part of a write transaction that changes relationships."""

    def __init__(
        self,
        transaction: lmdb.Transaction[bytes],
        tables: Tables,
        limits: Limits,
        *,
        now_ms: int,
    ) -> None:
        super().__init__(transaction, tables, limits, now_ms=now_ms)
        self._userset_slots: dict[int, bool] = {}

    @atomic
    @translated
    def apply(self, prepared: Prepared) -> Applied:
        """Delete, then write the prepared rows; interns the names the writes need.

        Raises:
            LimitError: the application's quota of names is used up.
            NotFoundError: the application was dropped.
            StoreError: full, or numbers exhausted.
        """
        if not isinstance(prepared, PreparedRows):
            raise TypeError("rows prepared by another engine")
        self.require_there(prepared.application)
        nodes = self._look_again(prepared)
        missing = [index for index in prepared.needed if nodes[index] == UNKNOWN]
        # Before anything is put, so that a job this refuses is undone for nothing.
        names_count = self._room_for(prepared.application, len(missing))
        deletes = self.delete_all(prepared.deletes, nodes)
        fresh = self.counters.next_node
        self._intern(prepared, missing, nodes, names_count)
        writes = self._write_all(prepared.writes, nodes, fresh)
        self.put_tombstones()
        return Applied(writes, deletes)

    # Names.

    def _look_again(self, prepared: PreparedRows) -> list[int]:
        """Node of each name as of now; copies, because a job may be run again."""
        nodes = list(prepared.nodes)
        if prepared.next_node != self.counters.next_node:
            unknown = [index for index, node in enumerate(nodes) if node == UNKNOWN]
            found = self._reads.nodes_of([prepared.names[index] for index in unknown])
            for index in unknown:
                nodes[index] = found.get(prepared.names[index], UNKNOWN)
        return nodes

    def _room_for(self, application: int, count: int) -> int:
        """How many names the application will have with ``count`` more."""
        if not count:
            return 0
        stored = self.transaction.get(names_count_key(application), db=self.tables.meta)
        total = count + (U64.unpack(stored)[0] if stored else 0)
        maximum = self._limits.names_per_application_max
        if total > maximum:
            raise LimitError("names_per_application_max", maximum)
        if self.counters.next_node + count - 1 > NODE_MAX:
            raise StoreError("the store has no node number left", reason="exhausted")
        return int(total)

    def _intern(
        self, prepared: PreparedRows, missing: list[int], nodes: list[int], names_count: int
    ) -> None:
        if not missing:
            return
        self.touch()
        first = self.counters.next_node
        self.counters.next_node += len(missing)
        for node, index in enumerate(missing, first):
            nodes[index] = node
        names = [prepared.names[index] for index in missing]
        numbers = pack_columns(np.arange(first, first + len(missing)))
        put = self.transaction.cursor(self.tables.names).putmulti
        put(zip(bounded_all(names), numbers, strict=True))
        put = self.transaction.cursor(self.tables.nodes).putmulti
        put(zip(numbers, names, strict=True), append=True)
        self.transaction.put(
            names_count_key(prepared.application), pack_u64(names_count), db=self.tables.meta
        )

    # Writes, one by one.

    def _write_all(self, rows: Rows | Columns, nodes: list[int], fresh: int) -> list[Outcome]:
        if isinstance(rows, Rows):
            return [self._write(row, nodes) for row in rows.one_by_one()]
        outcomes = np.full(len(rows.slots), Outcome.EXISTING, np.uint8)
        special, chosen = rows.divide(self._marks | rows.attributed)
        for index in special.tolist():
            outcomes[index] = self._write(rows.row(index), nodes)
        created = self._write_columns(rows, chosen, np.array(nodes, np.uint64), fresh)
        outcomes[created] = Outcome.CREATED
        return outcomes_of(outcomes)

    def _write(self, row: OneRow, nodes: list[int]) -> Outcome:
        resource, slot, subject_slot, subject, expires_at_ms = row
        resource, subject = nodes[resource], nodes[subject]
        outcome = Outcome.CREATED
        found = self._find(resource, slot, subject_slot, subject)
        if found is not None:
            if not self._expired(found):
                if found.expires_at_ms == expires_at_ms:
                    return Outcome.EXISTING
                outcome = Outcome.REPLACED
            self._bury(found)
        self._put(resource, slot, subject_slot, subject, expires_at_ms)
        return outcome

    def _put(
        self, resource: int, slot: int, subject_slot: int, subject: int, expires_at_ms: int | None
    ) -> None:
        self.touch()
        kind = PLAIN if expires_at_ms is None else ATTRIBUTED
        key = pack_key(resource, slot << 8 | kind, subject_slot)
        value = pack_u32(subject) + self._created
        self._forward.put(key, value)
        self._reverse.put(
            pack_key(subject, subject_slot << 8 | kind, slot), pack_u32(resource) + self._created
        )
        if expires_at_ms is not None:
            self._mark(slot, subject_slot)
            put = self.transaction.put
            put(key + value, pack_attributes(expires_at_ms), db=self.tables.attributes)
            put(pack_u64(expires_at_ms) + key + value, b"", db=self.tables.expiries)
        if self._leads(subject_slot):
            self.transaction.put(
                pack_u32(subject_slot) + pack_u32(slot), pack_u32(subject), db=self.tables.led
            )
        self._change_rows += pack_change(THERE, resource, slot, subject_slot, subject, kind)

    def _leads(self, subject_slot: int) -> bool:
        """Whether rows with this form of subject are indexed by it in ``led``."""
        known = self._userset_slots.get(subject_slot)
        if known is None:
            known = is_userset(self.transaction, self.tables, subject_slot)
            self._userset_slots[subject_slot] = known
        return known

    def _lead_columns(
        self, slots: NDArray[Any], others: NDArray[Any], nodes: NDArray[Any]
    ) -> None:
        """Index rows (slot, subject slot, subject) whose subjects are usersets."""
        leading = [slot for slot in np.unique(others).tolist() if self._leads(slot)]
        if not leading:
            return
        chosen = np.isin(others, np.array(leading, others.dtype))
        entries, _ = sorted_distinct(np.stack((others[chosen], slots[chosen], nodes[chosen])))
        pairs = zip(pack_columns(entries[0], entries[1]), pack_columns(entries[2]), strict=True)
        self.transaction.cursor(self.tables.led).putmulti(pairs, dupdata=False)

    def _mark(self, slot: int, subject_slot: int) -> None:
        """Tell every reader from this commit on to look for attributed rows of the pair."""
        if (slot, subject_slot) not in self._marks:
            self._marks.add((slot, subject_slot))
            self.counters.marks += 1
            self.transaction.put(mark_key(slot, subject_slot), b"", db=self.tables.meta)

    # Writes of many plain rows.

    def _write_columns(
        self, columns: Columns, chosen: NDArray[Any], nodes: NDArray[Any], fresh: int
    ) -> NDArray[Any]:
        """Write those that are absent; which indexes these are."""
        fields, chosen = columns.rows(chosen, nodes)
        absent = self._absent(fields, fresh)
        if not absent.all():
            fields, chosen = fields[:, absent], chosen[absent]
        if len(chosen):
            self.touch()
            self._put_columns(fields)
        return chosen

    def _absent(self, fields: NDArray[Any], fresh: int) -> NDArray[Any]:
        """Which of the sorted rows are not stored."""
        resources, slots, subject_slots, subjects = fields
        absent = np.ones(fields.shape[1], bool)
        old = np.flatnonzero((resources < fresh) & (subjects < fresh))
        keys = pack_columns(resources[old], slots[old] << np.uint64(8), subject_slots[old])
        seek, value = self._forward.set_range_dup, self._forward.value
        absent[old] = [
            not (seek(key, prefix) and value()[:4] == prefix)
            for key, prefix in zip(keys, pack_columns(subjects[old]), strict=True)
        ]
        return absent

    def _put_columns(self, fields: NDArray[Any]) -> None:
        """Put sorted rows that are known to be absent."""
        resources, slots, subject_slots, subjects = fields
        order = np.lexsort((resources, slots, subject_slots, subjects))
        created = np.void(self._created)
        for cursor, (first, second, third, other) in (
            (self._forward, fields),
            (self._reverse, fields[::-1, order]),
        ):
            keys = pack_columns(first, second << np.uint64(8), third)
            cursor.putmulti(zip(keys, pack_values(other, created), strict=True))
        self._lead_columns(slots, subject_slots, subjects)
        self._change_rows += pack_change_columns(THERE, fields)

"""Writing and deleting relationships inside a write transaction.

INVARIANT: a relationship never has two rows in ``forward``. Every write looks for the row first,
by the subject's four bytes, unless one of its nodes is new in this very call.

Deleting moves a row to the tombstones with the revision that ended it, except a row made by this
commit, which nobody can have seen. Many plain rows are written by columns; rows of slots that ever
held an expiry go one by one.
"""

from __future__ import annotations

from functools import wraps
from typing import TYPE_CHECKING, Any, Concatenate, NamedTuple, ParamSpec, TypeVar

import numpy as np

from zeratul.domain.vocabulary import NODE_MAX
from zeratul.errors import LimitError, StoreError
from zeratul.store.interface import Applied, Outcome
from zeratul.store.lmdb.codec import (
    ATTRIBUTED,
    CHANGE_RECORD,
    KEY,
    KEY_SIZE,
    PLAIN,
    REVISION_MAX,
    ROW_VALUE_SIZE,
    U32,
    U64,
    bounded_all,
    pack_attributes,
    pack_change,
    pack_key,
    pack_u32,
    pack_u48,
    pack_u64,
    unpack_expiry,
)
from zeratul.store.lmdb.environment import (
    is_userset,
    mark_key,
    names_count_key,
    read_counters,
    read_marks,
)
from zeratul.store.lmdb.failures import translated
from zeratul.store.lmdb.prepare import UNKNOWN, PreparedRows
from zeratul.store.lmdb.snapshot import LmdbSnapshot

if TYPE_CHECKING:
    from collections.abc import Callable

    import lmdb
    from numpy.typing import NDArray

    from zeratul.domain.limits import Limits
    from zeratul.store.interface import Prepared, Snapshot
    from zeratul.store.lmdb.environment import Tables
    from zeratul.store.lmdb.prepare import Columns, Rows

P = ParamSpec("P")
T = TypeVar("T")
W = TypeVar("W", bound="RowWriter")

_OUTCOMES = tuple(Outcome)
_GONE, _THERE = 0, 1  # ``op`` of a change


class Found(NamedTuple):
    """A stored row: forward key, forward value, expiry."""

    key: bytes
    value: bytes
    expires_at_ms: int | None


def atomic(method: Callable[Concatenate[W, P], T]) -> Callable[Concatenate[W, P], T]:
    """The method, which dooms the job if it fails half-way: swallowing the error does not help."""

    @wraps(method)
    def wrapper(self: W, /, *args: P.args, **kwargs: P.kwargs) -> T:
        try:
            return method(self, *args, **kwargs)
        except BaseException as error:
            if self.touched:
                self.doomed = error
            raise

    return wrapper


class RowWriter:
    """The part of a write transaction that changes relationships.

    Attributes:
        transaction, tables: the LMDB transaction and its tables.
        counters: the store's counters as this transaction leaves them.
        revision: the revision this commit will have if it changes anything.
        now_ms: its time.
        snapshot: reads that see what the transaction wrote so far.
        touched: whether the running job put anything.
        changed: whether the running job changed what readers of the newest revision see.
        advanced: whether any job of the transaction did.
        doomed: the failure that left the running job half done, or None.
    """

    def __init__(
        self,
        transaction: lmdb.Transaction[bytes],
        tables: Tables,
        limits: Limits,
        *,
        now_ms: int,
    ) -> None:
        self.transaction = transaction
        self.tables = tables
        self.counters = read_counters(transaction, tables)
        self.revision = self.counters.head + 1
        if self.revision > REVISION_MAX:
            raise StoreError("the store has no revision number left", reason="exhausted")
        self.now_ms = now_ms
        self.touched = False
        self.changed = False
        self.advanced = False
        self.doomed: BaseException | None = None
        self._limits = limits
        self._marks = set(read_marks(transaction, tables)) if self.counters.marks else set()
        self._change_rows = bytearray()
        self._change_documents: list[tuple[int, str, str]] = []
        self._created = pack_u48(self.revision)
        self._buried_forward: list[tuple[bytes, bytes]] = []
        self._buried_reverse: list[tuple[bytes, bytes]] = []
        self._userset_slots: dict[int, bool] = {}
        self._reads = LmdbSnapshot(
            transaction,
            tables,
            self._marks,
            revision=self.revision,
            head=self.revision,
            oldest=self.counters.oldest,
            now_ms=now_ms,
            vocabularies=None,
        )
        self.snapshot: Snapshot = self._reads
        self._forward = transaction.cursor(tables.forward)
        self._reverse = transaction.cursor(tables.reverse)

    def touch(self, *, change: bool = True) -> None:
        """Note that the job is about to put something, and whether that is a change to readers."""
        self.touched = True
        if change:
            self.changed = True
            self.advanced = True

    @atomic
    @translated
    def apply(self, prepared: Prepared) -> Applied:
        """Delete, then write the prepared rows; interns the names the writes need.

        Raises:
            LimitError: the application's quota of names is used up.
            StoreError: full, or numbers exhausted.
        """
        if not isinstance(prepared, PreparedRows):
            raise TypeError("rows prepared by another engine")
        nodes = self._look_again(prepared)
        missing = [index for index in prepared.needed if nodes[index] == UNKNOWN]
        # Before anything is put, so that a job this refuses is undone for nothing.
        names_count = self._room_for(prepared.application, len(missing))
        deletes = self._delete_all(prepared.deletes, prepared.delete_columns, nodes)
        fresh = self.counters.next_node
        self._intern(prepared, missing, nodes, names_count)
        writes = self._write_all(prepared.writes, prepared.write_columns, nodes, fresh)
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
        numbers = _packed(np.arange(first, first + len(missing)))
        put = self.transaction.cursor(self.tables.names).putmulti
        put(zip(bounded_all(names), numbers, strict=True))
        put = self.transaction.cursor(self.tables.nodes).putmulti
        put(zip(numbers, names, strict=True), append=True)
        self.transaction.put(
            names_count_key(prepared.application), pack_u64(names_count), db=self.tables.meta
        )

    # Deletes.

    def _delete_all(self, rows: Rows, columns: Columns | None, nodes: list[int]) -> list[Outcome]:
        outcomes = [Outcome.ABSENT] * len(rows.slots)
        order: range | list[int] = range(len(outcomes))
        if columns is not None:
            # Neighbours share pages; lexsort is stable, so of equal rows the first is deleted.
            numbers = np.array(nodes, np.uint64)
            order = np.lexsort(
                (
                    numbers[columns.subjects],
                    columns.subject_slots,
                    columns.slots,
                    numbers[columns.resources],
                )
            ).tolist()
        for index in order:
            resource, subject = nodes[rows.resources[index]], nodes[rows.subjects[index]]
            if resource and subject:
                outcomes[index] = self._delete(
                    resource, rows.slots[index], rows.subject_slots[index], subject
                )
        return outcomes

    def _delete(self, resource: int, slot: int, subject_slot: int, subject: int) -> Outcome:
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
            _GONE, resource, second >> 8, subject_slot, U32.unpack_from(value)[0], kind
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

    # Writes, one by one.

    def _write_all(
        self, rows: Rows, columns: Columns | None, nodes: list[int], fresh: int
    ) -> list[Outcome]:
        if columns is None:
            return [self._write(rows, index, nodes) for index in range(len(rows.slots))]
        outcomes = np.full(len(rows.slots), Outcome.EXISTING, np.uint8)
        chosen = np.arange(len(rows.slots))
        single = self._marks | rows.attributed
        if single:
            pairs = columns.slots << np.uint64(32) | columns.subject_slots
            wanted = np.array([slot << 32 | other for slot, other in single], np.uint64)
            special = np.isin(pairs, wanted)
            for index in np.flatnonzero(special).tolist():
                outcomes[index] = self._write(rows, index, nodes)
            chosen = np.flatnonzero(~special)
        created = self._write_columns(columns, chosen, np.array(nodes, np.uint64), fresh)
        outcomes[created] = Outcome.CREATED
        return [_OUTCOMES[outcome] for outcome in outcomes.tolist()]

    def _write(self, rows: Rows, index: int, nodes: list[int]) -> Outcome:
        resource, subject = nodes[rows.resources[index]], nodes[rows.subjects[index]]
        slot, subject_slot = rows.slots[index], rows.subject_slots[index]
        expires_at_ms = rows.expiries[index]
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
        self._change_rows += pack_change(_THERE, resource, slot, subject_slot, subject, kind)

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
        entries = np.unique(np.stack((others[chosen], slots[chosen], nodes[chosen])), axis=1)
        pairs = zip(_packed(entries[0], entries[1]), _packed(entries[2]), strict=True)
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
        resources, subjects = nodes[columns.resources[chosen]], nodes[columns.subjects[chosen]]
        slots, subject_slots = columns.slots[chosen], columns.subject_slots[chosen]
        order = np.lexsort((subjects, subject_slots, slots, resources))
        fields = np.stack((resources, slots, subject_slots, subjects))[:, order]
        # Of equal rows only the first counts; lexsort is stable.
        distinct = np.ones(len(order), bool)
        distinct[1:] = (fields[:, 1:] != fields[:, :-1]).any(axis=0)
        fields, order = fields[:, distinct], order[distinct]
        absent = self._absent(fields, fresh)
        fields, order = fields[:, absent], order[absent]
        if len(order):
            self.touch()
            self._put_columns(fields)
        created: NDArray[Any] = chosen[order]
        return created

    def _absent(self, fields: NDArray[Any], fresh: int) -> NDArray[Any]:
        """Which of the sorted rows are not stored."""
        resources, slots, subject_slots, subjects = fields
        absent = np.ones(fields.shape[1], bool)
        old = np.flatnonzero((resources < fresh) & (subjects < fresh))
        keys = _packed(resources[old], slots[old] << np.uint64(8), subject_slots[old])
        seek, value = self._forward.set_range_dup, self._forward.value
        absent[old] = [
            not (seek(key, prefix) and value()[:4] == prefix)
            for key, prefix in zip(keys, _packed(subjects[old]), strict=True)
        ]
        return absent

    def _put_columns(self, fields: NDArray[Any]) -> None:
        """Put sorted rows that are known to be absent."""
        resources, slots, subject_slots, subjects = fields
        keys = _packed(resources, slots << np.uint64(8), subject_slots)
        self._forward.putmulti(zip(keys, self._values(subjects), strict=True))
        order = np.lexsort((resources, slots, subject_slots, subjects))
        keys = _packed(subjects[order], subject_slots[order] << np.uint64(8), slots[order])
        self._reverse.putmulti(zip(keys, self._values(resources[order]), strict=True))
        self._lead_columns(slots, subject_slots, subjects)
        changes = np.empty(len(resources), CHANGE_RECORD)
        changes["op"], changes["attributed"] = _THERE, PLAIN
        changes["resource"], changes["slot"] = resources, slots
        changes["subject_slot"], changes["subject"] = subject_slots, subjects
        self._change_rows += changes.tobytes()

    def _values(self, nodes: NDArray[Any]) -> list[bytes]:
        values = np.empty(len(nodes), [("node", ">u4"), ("created", "V6")])
        values["node"] = nodes
        values["created"] = np.void(self._created)
        packed: list[bytes] = values.view(f"V{ROW_VALUE_SIZE}").tolist()
        return packed


def _packed(*fields: NDArray[Any]) -> list[bytes]:
    """Rows of big-endian u32 columns, as bytes."""
    table = np.empty((len(fields[0]), len(fields)), ">u4")
    for position, field in enumerate(fields):
        table[:, position] = field
    packed: list[bytes] = table.view(f"V{4 * len(fields)}").ravel().tolist()
    return packed

"""The write transaction a job is handed: rows, documents, answers, numbers of names."""

from __future__ import annotations

from typing import TYPE_CHECKING

from zeratul.errors import LimitError, NotFoundError, StoreError
from zeratul.store.lmdb.codec import (
    APPLICATION_MAX,
    BOUNDED_KEY_SIZE_MAX,
    CHANGE_RECORD,
    CHANGE_ROWS_PER_PART,
    SLOT_MAX,
    U64,
    answer_key,
    bounded,
    change_key,
    documents_prefix,
    event_key,
    pack_changes,
    pack_document,
    pack_u32,
    pack_u64,
    slot_name,
)
from zeratul.store.lmdb.environment import STATE_KEY, dropped_key, renamed_key, sweep_key
from zeratul.store.lmdb.failures import translated
from zeratul.store.lmdb.renaming import plan_renames
from zeratul.store.lmdb.rows import RowWriter
from zeratul.store.lmdb.writing import atomic

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

_PART_SIZE = CHANGE_ROWS_PER_PART * CHANGE_RECORD.itemsize


class LmdbTransaction(RowWriter):
    """All or nothing, on the writer's thread only; see ``zeratul.store.interface``."""

    @property
    def effective_revision(self) -> int:
        """The revision whose state the job leaves: the head, if nothing changed."""
        return self.revision if self.advanced else self.counters.head

    @atomic
    @translated
    def put_document(self, application: int, kind: str, document_id: str, body: bytes) -> None:
        """Create or replace a document.

        Raises:
            NotFoundError: the application was dropped.
        """
        self.require_there(application)
        self.touch()
        full = documents_prefix(application, kind) + document_id.encode()
        value = pack_document(document_id, body, long=len(full) >= BOUNDED_KEY_SIZE_MAX)
        self.transaction.put(bounded(full), value, db=self.tables.documents)
        self._change_documents.append((application, kind, document_id))

    @atomic
    @translated
    def delete_document(self, application: int, kind: str, document_id: str) -> bool:
        """Remove a document; whether it was there.

        Raises:
            NotFoundError: the application was dropped.
        """
        self.require_there(application)
        key = bounded(documents_prefix(application, kind) + document_id.encode())
        if self.transaction.get(key, db=self.tables.documents) is None:
            return False
        self.touch()
        self.transaction.delete(key, db=self.tables.documents)
        self._change_documents.append((application, kind, document_id))
        return True

    @atomic
    @translated
    def remember(self, application: int, key: bytes, body: bytes, expires_at_ms: int) -> None:
        """Keep an answer for ``Snapshot.recall`` until a time; no change to any other reader.

        Raises:
            NotFoundError: the application was dropped.
        """
        self.require_there(application)
        self.touch(change=False)
        stored = answer_key(application, key)
        old = self.transaction.get(stored, db=self.tables.answers)
        if old is not None:
            self.transaction.delete(old[: U64.size] + stored, db=self.tables.answer_expiries)
        expires = pack_u64(expires_at_ms)
        self.transaction.put(stored, expires + body, db=self.tables.answers)
        self.transaction.put(expires + stored, b"", db=self.tables.answer_expiries)

    @atomic
    @translated
    def record(self, application: int, event: bytes) -> None:
        """Append an event to the application's audit log; it is a change like any other.

        Raises:
            LimitError: the event is larger than ``audit_event_bytes_max``.
            NotFoundError: the application was dropped.
        """
        self.require_there(application)
        maximum = self._limits.audit_event_bytes_max
        if len(event) > maximum:
            raise LimitError("audit_event_bytes_max", maximum)
        self.touch()
        sequence = self._recorded.get(application, 0)
        self._recorded[application] = sequence + 1
        key = event_key(application, self.revision, sequence)
        self.transaction.put(key, event, db=self.tables.audit)

    def new_application(self) -> int:
        """A fresh application number, never used before.

        Raises:
            StoreError: numbers exhausted.
        """
        number = self.counters.next_application
        if number > APPLICATION_MAX:
            raise StoreError("the store has no application number left", reason="exhausted")
        self.touch()
        self.counters.next_application = number + 1
        return number

    @atomic
    @translated
    def intern_slots(self, application: int, names: Sequence[tuple[str, str]]) -> None:
        """Give each (type, relation) a number unless it has one.

        Raises:
            NotFoundError: the application was dropped.
            StoreError: numbers exhausted.
        """
        self.require_there(application)
        full_names = [slot_name(application, *name) for name in dict.fromkeys(names)]
        get, tables = self.transaction.get, self.tables
        missing = [name for name in full_names if get(bounded(name), db=tables.slots) is None]
        if not missing:
            return
        if self.counters.next_slot + len(missing) - 1 > SLOT_MAX:
            raise StoreError("the store has no slot number left", reason="exhausted")
        self.touch()
        for name in missing:
            number = pack_u32(self.counters.next_slot)
            self.counters.next_slot += 1
            self.transaction.put(bounded(name), number, db=tables.slots)
            self.transaction.put(number, name, db=tables.slot_names)

    @atomic
    @translated
    def rename_slots(
        self, application: int, mapping: Mapping[tuple[str, str], tuple[str, str]]
    ) -> None:
        """Give slots other names, all at once; rows and names of objects stay as they are.

        Raises:
            NotFoundError: the application was dropped.
            ValueError: two slots would have one name, or one another form or another type's.
        """
        self.require_there(application)
        vocabulary = self._reads.vocabulary(application)
        renames = plan_renames(vocabulary.slots, mapping, self.revision)
        if not renames:
            return
        self.touch()
        delete, put, tables = self.transaction.delete, self.transaction.put, self.tables
        for slot in renames:
            delete(bounded(slot_name(application, *vocabulary.names[slot])), db=tables.slots)
        for slot, name in renames.items():
            full, number = slot_name(application, *name), pack_u32(slot)
            put(bounded(full), number, db=tables.slots)
            put(number, full, db=tables.slot_names)
        put(renamed_key(application), pack_u64(self.revision), db=tables.meta)

    @atomic
    @translated
    def drop_application(self, application: int) -> None:
        """Make everything of an application unreadable; ``Store.sweep`` removes it.

        Raises:
            NotFoundError: there is no such application, or it was dropped before.
        """
        if not 0 < application < self.counters.next_application:
            raise NotFoundError(f"there is no application {application}")
        self.require_there(application)
        self.touch()
        for kind in self._reads.kinds(application):
            self._change_documents.append((application, kind, ""))
        self._there.discard(application)
        self.transaction.put(dropped_key(application), b"", db=self.tables.meta)
        self.transaction.put(sweep_key(application), b"", db=self.tables.meta)

    @translated
    def finish(self) -> None:
        """Write what the commit says of itself; one that changed nothing has no revision."""
        if self.advanced:
            self._put_changes()
            self.transaction.put(
                pack_u64(self.revision), pack_u64(self.now_ms), db=self.tables.revisions
            )
            self.counters.head = self.revision
        self.transaction.put(STATE_KEY, self.counters.pack(), db=self.tables.meta)

    def _put_changes(self) -> None:
        """At least one part, so that collection meets every revision."""
        rows = bytes(self._change_rows)
        starts = range(0, max(len(rows), 1), _PART_SIZE)
        for part, start in enumerate(starts):
            packed = rows[start : start + _PART_SIZE]
            last = part == len(starts) - 1
            self.transaction.put(
                change_key(self.revision, part),
                pack_changes(packed, self._change_documents, self._recorded)
                if last
                else pack_changes(packed, ()),
                db=self.tables.changes,
            )

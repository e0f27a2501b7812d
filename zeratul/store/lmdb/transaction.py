"""The write transaction a job is handed: rows, documents, answers, numbers of names."""

from __future__ import annotations

from typing import TYPE_CHECKING

from zeratul.errors import StoreError
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
    pack_changes,
    pack_document,
    pack_u32,
    pack_u64,
    slot_name,
)
from zeratul.store.lmdb.environment import STATE_KEY
from zeratul.store.lmdb.failures import translated
from zeratul.store.lmdb.rows import RowWriter, atomic

if TYPE_CHECKING:
    from collections.abc import Sequence

_PART_SIZE = CHANGE_ROWS_PER_PART * CHANGE_RECORD.itemsize


class LmdbTransaction(RowWriter):
    """All or nothing, on the writer's thread only; see ``zeratul.store.interface``."""

    @property
    def effective_revision(self) -> int:
        """The revision whose state the job leaves: the head, if nothing changed."""
        return self.revision if self.advanced else self.counters.head

    def start_job(self) -> None:
        """Forget what the job before did."""
        self.touched = False
        self.changed = False
        self.doomed = None

    @atomic
    @translated
    def put_document(self, application: int, kind: str, document_id: str, body: bytes) -> None:
        """Create or replace a document."""
        self.touch()
        full = documents_prefix(application, kind) + document_id.encode()
        value = pack_document(document_id, body, long=len(full) >= BOUNDED_KEY_SIZE_MAX)
        self.transaction.put(bounded(full), value, db=self.tables.documents)
        self._change_documents.append((application, kind, document_id))

    @atomic
    @translated
    def delete_document(self, application: int, kind: str, document_id: str) -> bool:
        """Remove a document; whether it was there."""
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
        """Keep an answer for ``Snapshot.recall`` until a time; no change to any other reader."""
        self.touch(change=False)
        stored = answer_key(application, key)
        old = self.transaction.get(stored, db=self.tables.answers)
        if old is not None:
            self.transaction.delete(old[: U64.size] + stored, db=self.tables.answer_expiries)
        expires = pack_u64(expires_at_ms)
        self.transaction.put(stored, expires + body, db=self.tables.answers)
        self.transaction.put(expires + stored, b"", db=self.tables.answer_expiries)

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
            StoreError: numbers exhausted.
        """
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
            documents = self._change_documents if part == len(starts) - 1 else []
            self.transaction.put(
                change_key(self.revision, part),
                pack_changes(rows[start : start + _PART_SIZE], documents),
                db=self.tables.changes,
            )

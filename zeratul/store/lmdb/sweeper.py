"""Removing what is left of dropped applications, in small steps.

Theory of operation: nobody can read it any more, so a step may leave anything half removed; it
only must not lead the collector to something that is not there. What was removed is the progress:
each step begins with the first thing that is left, so a killed process loses nothing and several
may sweep. The application's slots lead to its names, these to its nodes, these to its rows; each
goes when what it leads to is gone. Only expiries stand elsewhere: whatever has one names it.

What a step costs depends on what it removes, never on other applications. The changes of the
dropped application leave with the history.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from zeratul.domain.vocabulary import SELF, WILDCARD_SLOT
from zeratul.errors import StoreError
from zeratul.store.lmdb.adjacency import forward_row
from zeratul.store.lmdb.codec import (
    ATTRIBUTED,
    KEY,
    U32,
    U64,
    pack_u32,
    pack_u64,
    split_slot_name,
    unpack_expiry,
)
from zeratul.store.lmdb.environment import (
    marks_prefix,
    names_count_key,
    next_to_sweep,
    renamed_key,
    sweep_key,
)

if TYPE_CHECKING:
    import lmdb

    from zeratul.store.lmdb.environment import Database
    from zeratul.store.lmdb.transaction import LmdbTransaction

# LIMIT: entries a step removes; 5 ms under the writers' lock. Plain rows of one key are
# removed as one, however many: LMDB frees their pages without reading them.
STEP_ENTRIES = 4_000


def sweep_step(transaction: LmdbTransaction) -> int:
    """One step; how many entries it removed, 0 when nothing is left of any dropped application."""
    application = next_to_sweep(transaction.transaction, transaction.tables)
    if application is None:
        return 0
    transaction.touch(change=False)
    return _Sweep(transaction, application).run()


class _Sweep:
    """One step over one application."""

    def __init__(self, transaction: LmdbTransaction, application: int) -> None:
        self._raw = transaction.transaction
        self._tables = transaction.tables
        self._application = application
        self._removed = 0

    def run(self) -> int:
        prefix = pack_u32(self._application)
        tables = self._tables
        if (
            self._clear_table(tables.documents, prefix)
            and self._clear_table(tables.audit, prefix)
            and self._clear_answers(prefix)
            and self._clear_slots(prefix)
        ):
            for key in (
                names_count_key(self._application),
                renamed_key(self._application),
                sweep_key(self._application),
            ):
                self._removed += self._raw.delete(key, db=tables.meta)
        return self._removed

    @property
    def _spent(self) -> bool:
        return self._removed >= STEP_ENTRIES

    # Each of these goes on until nothing is left (True), or the step has removed enough (False).

    def _clear_table(self, table: Database | None, prefix: bytes) -> bool:
        """Remove the entries whose keys begin with a prefix."""
        with self._raw.cursor(table) as cursor:
            found = cursor.set_range(prefix)
            while found and cursor.key().startswith(prefix):
                if self._spent:
                    return False
                found = self._delete(cursor)
        return True

    def _clear_rows(self, table: Database, prefix: bytes) -> bool:
        """The same in a table of rows, each key with all its values."""
        with self._raw.cursor(table) as cursor:
            found = cursor.set_range(prefix)
            while found and cursor.key().startswith(prefix):
                if self._spent:
                    return False
                found = self._delete_values(cursor)
        return True

    def _clear_answers(self, prefix: bytes) -> bool:
        """Remove remembered answers, and the entries that say when they expire."""
        with self._raw.cursor(self._tables.answers) as cursor:
            found = cursor.set_range(prefix)
            while found and cursor.key().startswith(prefix):
                if self._spent:
                    return False
                expires = cursor.value()[: U64.size]
                self._drop(self._tables.answer_expiries, expires + cursor.key())
                found = self._delete(cursor)
        return True

    def _clear_slots(self, prefix: bytes) -> bool:
        """Remove the slots, each after everything that is found by it."""
        tables = self._tables
        with self._raw.cursor(tables.slots) as cursor:
            found = cursor.set_range(prefix)
            while found and cursor.key().startswith(prefix):
                number = cursor.value()
                name = self._raw.get(number, db=tables.slot_names)
                if name is None:
                    raise StoreError("a slot has no name", reason="corrupted")
                if not self._clear_slot(number, split_slot_name(name)[2]) or self._spent:
                    return False
                self._drop(tables.slot_names, number)
                found = self._delete(cursor)
        return True

    def _clear_slot(self, number: bytes, relation: str) -> bool:
        if relation == SELF:
            return self._clear_names(number)
        if relation == WILDCARD_SLOT:
            return True
        marks = marks_prefix(U32.unpack(number)[0])
        return self._clear_rows(self._tables.led, number) and self._clear_table(
            self._tables.meta, marks
        )

    def _clear_names(self, prefix: bytes) -> bool:
        """Remove a type's names, each after its node's rows."""
        tables = self._tables
        with self._raw.cursor(tables.names) as cursor:
            found = cursor.set_range(prefix)
            while found and cursor.key().startswith(prefix):
                node = cursor.value()
                if not self._clear_node(node) or self._spent:
                    return False
                self._drop(tables.nodes, node)
                found = self._delete(cursor)
        return True

    def _clear_node(self, node: bytes) -> bool:
        """Remove the rows and tombstones that begin with a node; their other half is another's."""
        tables = self._tables
        return (
            self._clear_attributes(node)
            and self._clear_rows(tables.forward, node)
            and self._clear_rows(tables.buried_forward, node)
            and self._clear_reverse(node)
            and self._clear_rows(tables.buried_reverse, node)
        )

    def _clear_attributes(self, node: bytes) -> bool:
        """Remove what a resource's rows carry, before them: an expiry must not outlive its row."""
        with self._raw.cursor(self._tables.attributes) as cursor:
            found = cursor.set_range(node)
            while found and cursor.key().startswith(node):
                if self._spent:
                    return False
                self._drop_expiry(cursor.key(), cursor.value())
                found = self._delete(cursor)
        return True

    def _clear_reverse(self, node: bytes) -> bool:
        """Remove a subject's rows, those with attributes one by one, each after its expiry."""
        with self._raw.cursor(self._tables.reverse) as cursor:
            found = cursor.set_range(node)
            while found and cursor.key().startswith(node):
                if self._spent:
                    return False
                if KEY.unpack(cursor.key())[1] & 0xFF != ATTRIBUTED:
                    found = self._delete_values(cursor)
                    continue
                forward = forward_row(cursor.key() + cursor.value())
                attributes = self._raw.get(forward, db=self._tables.attributes)
                if attributes is not None:
                    self._drop_expiry(forward, attributes)
                found = self._delete(cursor)
        return True

    def _delete(self, cursor: lmdb.Cursor[bytes]) -> bool:
        """Remove the cursor's entry; whether there is a next one."""
        self._removed += 1
        return cursor.delete()

    def _delete_values(self, cursor: lmdb.Cursor[bytes]) -> bool:
        """Remove the cursor's key with all its values; whether there is a next one."""
        self._removed += cursor.count()
        return cursor.delete(dupdata=True)

    def _drop_expiry(self, forward: bytes, attributes: bytes) -> None:
        """Remove the entry of a forward row in the order of expiry, if it is still there."""
        self._drop(self._tables.expiries, pack_u64(unpack_expiry(attributes)) + forward)

    def _drop(self, table: Database, key: bytes) -> None:
        """Remove an entry, if it is there."""
        self._removed += self._raw.delete(key, db=table)

"""Collection in small steps: expired rows, remembered answers, history past its retention.

History is what ended before the retention: tombstones, changes, commit times, audit events.

Each step is one short write transaction, so that single writes get between. Moving ``oldest``
forward and removing what it makes unreadable happen in one commit; a snapshot that was opened
before goes on reading its own pages.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from zeratul.store.lmdb.codec import (
    ATTRIBUTED,
    CHANGE_RECORD,
    U32,
    U64,
    change_revision,
    event_key,
    pack_key,
    pack_u32,
    pack_u48,
    pack_u64,
    unpack_changes,
    unpack_recorded,
)

if TYPE_CHECKING:
    from zeratul.store.lmdb.environment import Database
    from zeratul.store.lmdb.transaction import LmdbTransaction

# LIMIT: entries a step removes; about 10 ms under the writers' lock. One part of changes
# (4,096 rows) is never split, so a step may remove that many more.
STEP_ENTRIES = 1_000


def collect_step(transaction: LmdbTransaction, retention_s: int) -> int:
    """One step; how many entries it removed, 0 when there is nothing left to collect now."""
    removed = _expire_rows(transaction, STEP_ENTRIES)
    if removed < STEP_ENTRIES:
        removed += _forget_answers(transaction, STEP_ENTRIES - removed)
    if removed < STEP_ENTRIES:
        cutoff_ms = transaction.now_ms - retention_s * 1_000
        removed += _forget_history(transaction, cutoff_ms, STEP_ENTRIES - removed)
    return removed


def _expire_rows(transaction: LmdbTransaction, budget: int) -> int:
    """Delete rows that have expired; they become tombstones like any other."""
    due = _due(transaction, transaction.tables.expiries, budget)
    for key in due:
        transaction.expire(key[U64.size :])
    transaction.put_tombstones()
    return len(due)


def _forget_answers(transaction: LmdbTransaction, budget: int) -> int:
    tables = transaction.tables
    due = _due(transaction, tables.answer_expiries, budget)
    for key in due:
        transaction.touch(change=False)
        transaction.transaction.delete(key, db=tables.answer_expiries)
        transaction.transaction.delete(key[U64.size :], db=tables.answers)
    return len(due)


def _due(transaction: LmdbTransaction, table: Database, budget: int) -> list[bytes]:
    """Keys of a table ordered by expiry that have expired, at most ``budget``."""
    end = pack_u64(transaction.now_ms + 1)
    due: list[bytes] = []
    with transaction.transaction.cursor(table) as cursor:
        found = cursor.first()
        while found and len(due) < budget and cursor.key() < end:
            due.append(cursor.key())
            found = cursor.next()
    return due


def _forget_history(transaction: LmdbTransaction, cutoff_ms: int, budget: int) -> int:
    """Remove what only revisions that ended before ``cutoff_ms`` can see."""
    tables, raw = transaction.tables, transaction.transaction
    removed = 0
    while removed < budget:
        with raw.cursor(tables.changes) as cursor:
            if not cursor.first():
                break
            key, value = cursor.item()
        revision = change_revision(key)
        committed = raw.get(pack_u64(revision), db=tables.revisions)
        # Without a time an earlier step thinned it: its other parts are still to go.
        if committed is not None and U64.unpack(committed)[0] > cutoff_ms:
            break
        transaction.touch(change=False)
        if transaction.counters.oldest < revision:
            transaction.counters.oldest = revision
            _thin_times(transaction, revision)
        removed += _forget_events(transaction, revision, value, budget - removed)
        if removed >= budget:
            break  # The part leads to what is left of its events.
        removed += 1 + _forget_tombstones(transaction, revision, value)
        raw.delete(key, db=tables.changes)
    return removed


def _forget_events(
    transaction: LmdbTransaction, revision: int, changes: bytes, budget: int
) -> int:
    """Remove at most ``budget`` of the audit events recorded by a revision."""
    removed = 0
    for application in unpack_recorded(changes):
        prefix = event_key(application, revision, 0)[: -U32.size]
        with transaction.transaction.cursor(transaction.tables.audit) as cursor:
            found = cursor.set_range(prefix)
            while found and removed < budget and cursor.key().startswith(prefix):
                found = cursor.delete()
                removed += 1
    return removed


def _thin_times(transaction: LmdbTransaction, revision: int) -> None:
    """Keep one commit time a second, so that old rows still say when they were made."""
    with transaction.transaction.cursor(transaction.tables.revisions) as cursor:
        if not cursor.set_key(pack_u64(revision)):
            return
        second = U64.unpack(cursor.value())[0] // 1_000
        if cursor.prev() and U64.unpack(cursor.value())[0] // 1_000 == second:
            cursor.next()
            cursor.delete()


def _forget_tombstones(transaction: LmdbTransaction, revision: int, changes: bytes) -> int:
    """Remove the tombstones of the rows that a part of a revision's changes says were deleted."""
    rows = np.frombuffer(unpack_changes(revision, changes).rows, CHANGE_RECORD)
    removed = 0
    for _, resource, slot, subject_slot, subject, kind in rows[rows["op"] == 0].tolist():
        removed += _forget_tombstone(
            transaction, (resource, slot, subject_slot, subject), kind, pack_u48(revision)
        )
    return removed


def _forget_tombstone(
    transaction: LmdbTransaction, row: tuple[int, int, int, int], kind: int, deleted: bytes
) -> int:
    """Remove the tombstone of a row that ended at a revision; a row made in it has left none."""
    resource, slot, subject_slot, subject = row
    tables, raw = transaction.tables, transaction.transaction
    key = pack_key(resource, slot << 8 | kind, subject_slot)
    prefix = pack_u32(subject)
    with raw.cursor(tables.buried_forward) as cursor:
        found, value = cursor.set_range_dup(key, prefix), b""
        while found and (value := cursor.value())[:4] == prefix and value[10:] != deleted:
            found = cursor.next_dup()
        if not found or value[:4] != prefix:
            return 0
        cursor.delete()
    reverse_key = pack_key(subject, subject_slot << 8 | kind, slot)
    raw.delete(reverse_key, key[:4] + value[4:], db=tables.buried_reverse)
    if kind == ATTRIBUTED:
        raw.delete(key + value[:10], db=tables.attributes)
    return 1

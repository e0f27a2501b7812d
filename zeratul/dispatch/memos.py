"""Memos of closures that die precisely (design §3).

A subject's closure rests on rows that name the subject, and on rows that name a userset in the
closure, in slots that feed closable usersets. Wide closures rest on rows of tuplesets as well. So
a committed row kills

- naming a plain subject: the memo of that subject, by key;
- naming a userset, or in a tupleset an object: every memo whose own bitmap holds it; such rows are
  rare and logged, and each memo tests itself against the log when it is next used;
- naming a wildcard: all memos of the application, rarer still.

INVARIANT (the rule of design §3): the revision r is read inside the snapshot; under one lock the
changes (applied, r] are read from that snapshot and memos killed, then applied = r is published; a
memo is used only if first <= r <= applied and it is in the table after ``applied`` was read; it is
inserted only under the lock and if r == applied. If changes that are needed were collected, all
die.
A memo also lasts only over times it was made for: from its ``now`` to the earliest expiry it used.
"""

from __future__ import annotations

import threading
from collections import OrderedDict
from typing import TYPE_CHECKING

import numpy as np

from zeratul.dispatch.basis import CHANGE, CHANGE_ROW, LOOP_ROWS_MAX, Touched
from zeratul.errors import RevisionError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from zeratul.graph.plan import Plan
    from zeratul.graph.requests import Closure
    from zeratul.store.interface import ChangeSet, Snapshot

Key = tuple[int, int]  # node, slot of the subject

# LIMIT: a memo tests itself against at most this many logged rows, then all start afresh.
_LOG_LENGTH_MAX = 10_000
# LIMIT: the part of the memory for memos that is freed at once: some hundred memos, well under a
# millisecond.
_ROOM_PART = 1_024


class Memo:
    """A closure and where it holds.

    Attributes:
        first: revision it was made at.
        now_ms, expires_ms: times it holds for, from the first on and before the second.
        log_position: logged rows before it are in it or do not touch it.
        walks: how many questions had to walk although they had it; it is made wide by that.
        tries: how often that was tried, in vain.
        may_widen: whether it may be tried again.
    """

    __slots__ = (
        "closure",
        "expires_ms",
        "first",
        "log_position",
        "may_widen",
        "now_ms",
        "size",
        "tries",
        "walks",
    )

    def __init__(
        self, closure: Closure, first: int, now_ms: int, expires_ms: int | None, log_position: int
    ) -> None:
        self.closure = closure
        self.first = first
        self.now_ms = now_ms
        self.expires_ms = expires_ms
        self.log_position = log_position
        self.walks = 0
        self.tries = 0
        self.may_widen = not closure.wide
        # Roaring bitmaps take at most about 2 bytes a node when dense, 4 with small containers.
        self.size = 300 + sum(100 + 4 * len(nodes) for nodes in closure.sets.values())


class Meter:
    """What the tables of a process hold together, in bytes."""

    __slots__ = ("total",)

    def __init__(self) -> None:
        self.total = 0


class MemoTable:
    """Memos of one application under one plan.

    Attributes:
        meter: counts its bytes; None for a table that changes do not reach and nothing is kept in.
        entries: the memos, in the order they were kept.
        log: logged rows; the first of them is at position ``log_start``, the next one to come
            will be at ``log_end``.
    """

    def __init__(self, plan: Plan) -> None:
        self.meter: Meter | None = None
        self.entries: OrderedDict[Key, Memo] = OrderedDict()
        self.log: list[Key] = []
        self.log_start = 0
        self.log_end = 0
        self.size = 0
        self.watched = plan.fed_by_subject | frozenset(plan.fed_by_arrow)
        self._fed_by_subject = plan.fed_by_subject
        self._fed_by_arrow = plan.fed_by_arrow
        self._wildcard_slots = frozenset(plan.wildcards.values())
        self._relation_slots = frozenset(plan.bodies)

    def touch(self, slot: int, subject: int, subject_slot: int) -> None:
        """A row in a watched slot, naming this subject, came or went."""
        for target in self._fed_by_arrow.get(slot, ()):
            self._log((subject, target))
        if slot not in self._fed_by_subject:
            return
        if subject_slot in self._wildcard_slots:
            self.clear()
        elif subject_slot in self._relation_slots:
            self._log((subject, subject_slot))
        else:
            self.drop((subject, subject_slot))

    def _log(self, key: Key) -> None:
        if len(self.log) >= _LOG_LENGTH_MAX:
            self.clear()
        self.log.append(key)
        self.log_end += 1

    def keep(self, key: Key, memo: Memo) -> None:
        """Keep a memo in place of the one that is there."""
        self.drop(key)
        self.entries[key] = memo
        self._count(memo.size)

    def drop(self, key: Key) -> None:
        """Forget one memo."""
        memo = self.entries.pop(key, None)
        if memo is not None:
            self._count(-memo.size)

    def drop_oldest(self) -> None:
        """Forget the memo that was kept first."""
        _, memo = self.entries.popitem(last=False)
        self._count(-memo.size)

    def clear(self) -> None:
        """Forget all."""
        self.entries = OrderedDict()
        self._count(-self.size)
        self.log_start = self.log_end
        self.log = []

    def _count(self, size: int) -> None:
        self.size += size
        if self.meter is not None:
            self.meter.total += size


class Memos:
    """All memo tables of a process, and the revision they are true up to.

    Attributes:
        applied: that revision.
        touched: what commits up to it touched.
    """

    def __init__(
        self,
        bytes_max: int,
        on_documents: Callable[[Iterable[tuple[int, str, str]]], None],
    ) -> None:
        self._lock = threading.RLock()
        self._tables: dict[int, MemoTable] = {}
        self._table_by_slot: dict[int, MemoTable] = {}
        self._slots = np.empty(0, dtype=np.uint32)
        self._bytes_max = bytes_max
        self._meter = Meter()
        self._on_documents = on_documents
        self.applied = 0
        self.touched = Touched()

    @property
    def lock(self) -> threading.RLock:
        """Held while changes are applied; whoever ties more to ``applied`` holds it as well."""
        return self._lock

    @property
    def bytes_held(self) -> int:
        """Roughly what all memos take in memory."""
        return self._meter.total

    def adopt(self, application: int, table: MemoTable) -> None:
        """Let changes reach a table; the application's old one is forgotten."""
        with self._lock:
            self._let_go(self._tables.get(application))
            self._tables[application] = table
            table.meter = self._meter
            self._watch()

    def forget(self, application: int) -> None:
        """Drop an application's table."""
        with self._lock:
            self._let_go(self._tables.pop(application, None))
            self._watch()

    def _let_go(self, table: MemoTable | None) -> None:
        if table is not None:
            table.clear()
            table.meter = None

    def _watch(self) -> None:
        self._table_by_slot = {
            slot: table for table in self._tables.values() for slot in table.watched
        }
        self._slots = np.array(sorted(self._table_by_slot), dtype=np.uint32)

    def follow(self, snapshot: Snapshot) -> None:
        """Bring the memos up to the snapshot's revision."""
        revision = snapshot.head
        if revision <= self.applied:
            return
        with self._lock:
            if revision <= self.applied:
                return
            if not self.applied:
                # Nothing was derived from anything yet, but of an empty store perhaps.
                self.touched.note_all(revision)
                self.applied = revision
                return
            try:
                for change in snapshot.changes(self.applied, revision):
                    self._apply(change)
            except RevisionError:
                # Too far behind: what changed is no longer known.
                self._on_documents(())
                self.touched.note_all(revision)
                for table in self._tables.values():
                    table.clear()
            self.applied = revision

    def _apply(self, change: ChangeSet) -> None:
        self.touched.note(change)
        if change.documents:
            self._on_documents(change.documents)
        rows = change.rows
        if not rows or not self._table_by_slot:
            return
        if len(rows) <= LOOP_ROWS_MAX * CHANGE_ROW.size:
            for _, _, slot, subject_slot, subject, _ in CHANGE_ROW.iter_unpack(rows):
                table = self._table_by_slot.get(slot)
                if table is not None:
                    table.touch(slot, subject, subject_slot)
            return
        packed = np.frombuffer(rows, dtype=CHANGE)
        relevant = packed[np.isin(packed["slot"], self._slots)]
        for slot, subject_slot, subject in zip(
            relevant["slot"].tolist(),
            relevant["subject_slot"].tolist(),
            relevant["subject"].tolist(),
            strict=True,
        ):
            self._table_by_slot[slot].touch(slot, subject, subject_slot)

    def get(self, table: MemoTable, key: Key, revision: int, now_ms: int) -> Memo | None:
        """The memo, if it is true at this revision and time."""
        applied = self.applied
        memo = table.entries.get(key)
        if memo is None or not memo.first <= revision <= applied:
            return None
        if now_ms < memo.now_ms or (memo.expires_ms is not None and now_ms >= memo.expires_ms):
            return None
        if memo.log_position != table.log_end and not self._passes_log(table, key, memo):
            return None
        return memo

    def _passes_log(self, table: MemoTable, key: Key, memo: Memo) -> bool:
        """Whether nothing logged since touches the memo; otherwise it is dropped."""
        with self._lock:
            if table.entries.get(key) is not memo:
                return False
            sets = memo.closure.sets
            for node, slot in table.log[memo.log_position - table.log_start :]:
                nodes = sets.get(slot)
                if nodes is not None and node in nodes:
                    table.drop(key)
                    return False
            memo.log_position = table.log_end
            return True

    def put(
        self,
        table: MemoTable,
        key: Key,
        closure: Closure,
        *,
        revision: int,
        now_ms: int,
        expires_ms: int | None,
    ) -> Memo:
        """Keep a closure made at a revision, unless history has moved on since; its memo."""
        with self._lock:
            memo = Memo(closure, revision, now_ms, expires_ms, table.log_end)
            is_due = table.meter is not None and revision == self.applied
            if is_due and memo.size <= self._bytes_max:
                table.keep(key, memo)
                if self._meter.total > self._bytes_max:
                    self._make_room()
            return memo

    def _make_room(self) -> None:
        """Forget the oldest memos of the largest tables, some more than there must be."""
        room = self._bytes_max - self._bytes_max // _ROOM_PART
        while self._meter.total > room:
            largest = max(self._tables.values(), key=lambda table: table.size)
            while largest.entries and self._meter.total > room:
                largest.drop_oldest()

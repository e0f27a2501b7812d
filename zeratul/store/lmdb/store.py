"""The store: snapshots, prepared writes, collection, backup, numbers."""

from __future__ import annotations

from pathlib import Path
from time import time_ns
from typing import TYPE_CHECKING, TypeVar

from zeratul.domain.limits import Limits
from zeratul.errors import StoreError
from zeratul.store.lmdb.backup import copy_store
from zeratul.store.lmdb.codec import unpack_state
from zeratul.store.lmdb.collector import collect_step
from zeratul.store.lmdb.environment import (
    MAP_BYTES_DEFAULT,
    STATE_KEY,
    Environment,
    next_to_sweep,
    read_counters,
    read_marks,
)
from zeratul.store.lmdb.failures import translated
from zeratul.store.lmdb.known_names import KnownNames
from zeratul.store.lmdb.prepare import prepare_rows
from zeratul.store.lmdb.snapshot import LmdbSnapshot
from zeratul.store.lmdb.sweeper import sweep_step
from zeratul.store.lmdb.transaction import LmdbTransaction
from zeratul.store.lmdb.writer import Writer

if TYPE_CHECKING:
    import os
    from collections.abc import Callable, Sequence
    from concurrent.futures import Future

    import lmdb

    from zeratul.store.interface import Prepared, Row, RowColumns, WriteTransaction
    from zeratul.store.lmdb.snapshot import VersionedVocabulary

T = TypeVar("T")


def _system_time_ms() -> int:
    return time_ns() // 1_000_000


def open_store(
    path: str | os.PathLike[str],
    *,
    limits: Limits | None = None,
    map_bytes: int = MAP_BYTES_DEFAULT,
    readonly: bool = False,
    create: bool = True,
    clock_ms: Callable[[], int] = _system_time_ms,
) -> LmdbStore:
    """Open the store in a directory, and make it unless it is there.

    Any number of processes may have it open, each once. Close it before the process forks.

    Args:
        path: the directory.
        limits: bounds; the quota of names is the one that matters here.
        map_bytes: address space for the file, and so the most it can grow to. The first process
            names it, the others take the same.
        readonly: refuse writes.
        create: make directory and tables where they are missing.
        clock_ms: the time, in milliseconds since 1970.

    Raises:
        StoreError: ``format`` for what is not a store of this version, ``io`` where the system
            refuses, ``full`` where there is no room for the tables.
    """
    environment = Environment(Path(path), map_bytes=map_bytes, readonly=readonly, create=create)
    return LmdbStore(environment, limits or Limits(), clock_ms)


class LmdbStore:
    """One environment in one process; see ``zeratul.store.interface.Store``."""

    def __init__(
        self, environment: Environment, limits: Limits, clock_ms: Callable[[], int]
    ) -> None:
        self._environment = environment
        self._tables = environment.tables
        self._meta = environment.tables.meta
        self._begin = environment.lmdb.begin
        self._clock_ms = clock_ms
        # What is derived from the tables, each with the counter that tells whether it still holds.
        # Replaced as a whole, never changed: any thread may read them.
        self._marks: tuple[int, frozenset[tuple[int, int]]] = (0, frozenset())
        # Number of a commit with what ``_count`` read of it.
        self._counted: tuple[int, int, int, int, frozenset[tuple[int, int]]] = (
            -1,
            0,
            0,
            0,
            frozenset(),
        )
        self._vocabularies: dict[int, VersionedVocabulary] = {}
        self._known_names = KnownNames()
        self._writer = None if environment.readonly else Writer(environment, limits, clock_ms)

    def snapshot(self, *, now_ms: int | None = None, revision: int | None = None) -> LmdbSnapshot:
        """A view of the latest commit, or as of ``revision``.

        Raises:
            RevisionError: the revision is in the future or was collected.
            StoreError: no reader slot, or closed.
        """
        try:
            return self._snapshot(now_ms, revision)
        except StoreError as error:
            if error.reason != "busy":
                raise
        # The slots of killed processes are free, once somebody looks.
        self._environment.clear_dead_readers()
        return self._snapshot(now_ms, revision)

    @translated
    def glance(self) -> tuple[int, int]:
        """The mark of the latest commit, of whatever process, and the time in milliseconds.

        Raises:
            StoreError: no reader slot, or closed.
        """
        transaction = self._begin()
        mark: int = transaction.id()
        transaction.abort()
        return mark, self._clock_ms()

    @translated
    def _snapshot(self, now_ms: int | None, revision: int | None) -> LmdbSnapshot:
        transaction = self._begin()
        # A commit's number is its own: whoever sees the same one sees the same counters.
        number, head, oldest, next_node, marks = self._counted
        if number != transaction.id():
            head, oldest, next_node, marks = self._count(transaction)
        snapshot = LmdbSnapshot(
            transaction,
            self._tables,
            marks,
            revision=head if revision is None else revision,
            head=head,
            oldest=oldest,
            now_ms=self._clock_ms() if now_ms is None else now_ms,
            vocabularies=self._vocabularies,
            known=self._known_names,
            next_node=next_node,
        )
        if revision is not None:
            try:
                snapshot.check_readable(revision)
            except BaseException:
                snapshot.close()
                raise
        return snapshot

    def _count(
        self, transaction: lmdb.Transaction[bytes]
    ) -> tuple[int, int, int, frozenset[tuple[int, int]]]:
        """Read the counters: newest and oldest revision, next node, and the marks."""
        state = transaction.get(STATE_KEY, db=self._meta)
        if state is None:
            raise StoreError("the store has lost its counters", reason="corrupted")
        head, oldest, next_node, _, _, marks_count = unpack_state(state)
        # A newer set only holds more pairs: looking for rows that are not there yet is no error.
        known_count, marks = self._marks
        if known_count < marks_count:
            marks = read_marks(transaction, self._tables)
            self._marks = (marks_count, marks)
        self._counted = (transaction.id(), head, oldest, next_node, marks)
        return head, oldest, next_node, marks

    @translated
    def prepare(
        self,
        application: int,
        writes: Sequence[Row] | RowColumns,
        deletes: Sequence[Row] = (),
    ) -> Prepared:
        """Look up and sort rows outside the writers' lock, on the caller's thread."""
        with self.snapshot() as snapshot:
            next_node = snapshot.next_node()
            return prepare_rows(snapshot, next_node, application, writes, deletes)

    def write(self, job: Callable[[WriteTransaction], T]) -> Future[T]:
        """Run ``job`` in a transaction shared with other waiting jobs; commit; then resolve.

        The future resolves after the commit is durable. A job that raises is undone alone and its
        future gets the error. A job may be run more than once: it must not act outside ``tx``.

        Raises:
            StoreError: opened read-only. Whatever else goes wrong is the future's exception.
        """
        return self._opened_writer().submit(job)

    def _opened_writer(self) -> Writer:
        if self._writer is None:
            raise StoreError("the store was opened read-only", reason="io")
        return self._writer

    def collect(self, *, retention_s: int, steps: int = 1) -> int:
        """Collect in at most ``steps`` small commits; how many entries were removed.

        Raises:
            StoreError: the write failed.
        """
        self._environment.clear_dead_readers()
        total = 0
        for _ in range(steps):
            removed = self.write(lambda tx: collect_step(_own(tx), retention_s)).result()
            total += removed
            if not removed:
                break
        return total

    def sweep(self, steps: int = 1) -> int:
        """Remove what is left of dropped applications, in at most ``steps`` small commits.

        Returns:
            How many entries were removed; 0 when nothing is left of any.

        Raises:
            StoreError: the write failed.
        """
        total = 0
        for _ in range(steps):
            if not self._has_to_sweep():
                break
            total += self._opened_writer().submit(lambda tx: sweep_step(_own(tx))).result()
        return total

    @translated
    def _has_to_sweep(self) -> bool:
        """Asked often and seldom so: it costs no write transaction."""
        with self._begin() as transaction:
            return next_to_sweep(transaction, self._tables) is not None

    def backup(self, path: Path) -> None:
        """Write a compact copy of one consistent state into a new or empty directory, durably.

        Raises:
            StoreError: the directory holds something, or the system refuses.
        """
        copy_store(self._environment.lmdb, path)

    @translated
    def statistics(self) -> dict[str, int]:
        """Numbers for metrics: revisions, bytes, entries by table, readers, the writers' lock."""
        info, stat = self._environment.lmdb.info(), self._environment.lmdb.stat()
        with self._begin() as transaction:
            counters = read_counters(transaction, self._tables)
            entries = {
                f"entries_{name}": transaction.stat(table)["entries"]
                for name, table in zip(self._tables._fields, self._tables, strict=True)
                if table is not None
            }
        writer = self._writer
        return {
            "revision": counters.head,
            "oldest_revision": counters.oldest,
            "nodes": counters.next_node - 1,
            "bytes_used": (info["last_pgno"] + 1) * stat["psize"],
            "map_bytes": info["map_size"],
            "readers": len(self._readers()),
            "commits": writer.commits if writer else 0,
            "jobs": writer.jobs if writer else 0,
            "lock_held_ms": writer.held_ms if writer else 0,
            "lock_held_longest_ms": writer.longest_hold_ms if writer else 0,
            **entries,
        }

    def _readers(self) -> list[str]:
        # A table with a heading, or one line that says there are none.
        return self._environment.lmdb.readers().splitlines()[1:]

    def close(self) -> None:
        """Answer what waits, then release everything."""
        if self._writer is not None:
            self._writer.close()
        self._environment.close()


def _own(transaction: WriteTransaction) -> LmdbTransaction:
    if not isinstance(transaction, LmdbTransaction):
        raise TypeError("a transaction of another engine")
    return transaction

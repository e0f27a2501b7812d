"""Opening the environment: map, tables, format, and who is first among processes.

Several processes open one directory. The first names the size of the map; the others take the
size the file has, because a process that changed it would break the ones that have it open. Who is
first is told by a lock on a file of our own, which the system releases however a process ends.
"""

from __future__ import annotations

import fcntl
import os
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, NamedTuple

import lmdb

from zeratul.domain.vocabulary import SELF, WILDCARD_SLOT
from zeratul.errors import StoreError
from zeratul.store.lmdb.codec import (
    FORMAT_VERSION,
    U32,
    Counters,
    pack_u32,
    pack_u64,
    split_slot_name,
    unpack_state,
)
from zeratul.store.lmdb.failures import translated

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    Database = lmdb._Database  # noqa: SLF001 - the library's name for a table's handle

DATA_FILE = "data.mdb"
OPEN_FILE = "open.lock"

MAP_BYTES_DEFAULT = 256 * 1024**3
# LIMIT: one slot per open snapshot over all processes; snapshots live for milliseconds.
READERS_MAX = 1_024
# LIMIT: read transactions kept for reuse, about as many as threads read at once.
SPARE_TRANSACTIONS_MAX = 16

STATE_KEY = b"state"
_FORMAT_KEY = b"format"
_MAP_BYTES_KEY = b"map_bytes"
_NAMES_COUNT_PREFIX = b"names"
_MARK_PREFIX = b"mark"
_RENAMED_PREFIX = b"renamed"
_DROPPED_PREFIX = b"dropped"
_SWEEP_PREFIX = b"sweep"


class Tables(NamedTuple):
    """Handles of all tables; ``open_tables`` relies on ``audit`` being the last."""

    meta: Database
    names: Database
    nodes: Database
    slots: Database
    slot_names: Database
    forward: Database
    reverse: Database
    buried_forward: Database
    buried_reverse: Database
    led: Database
    attributes: Database
    expiries: Database
    changes: Database
    revisions: Database
    documents: Database
    answers: Database
    answer_expiries: Database
    # Read-only, a store has no ``audit`` that no version with one has opened for writing yet.
    audit: Database | None


_ROW_TABLES = {"forward", "reverse", "buried_forward", "buried_reverse", "led"}
# What stores made by earlier versions of this format lack: made when opened for writing.
_LATER_TABLE = "audit"


class Environment:
    """An open LMDB environment with its tables.

    Attributes:
        lmdb: the environment.
        tables: handles of its tables.
        readonly: whether it refuses write transactions.
    """

    __slots__ = ("_open_file", "lmdb", "readonly", "tables")

    def __init__(self, path: Path, *, map_bytes: int, readonly: bool, create: bool) -> None:
        """Open, and create what is missing.

        Raises:
            StoreError: ``format`` for what is not a store of this version, ``io`` where the system
                refuses (the help names the map option where that is why), ``full``.
        """
        self.readonly = readonly
        with system_errors(path):
            if create and not readonly:
                path.mkdir(mode=0o700, parents=True, exist_ok=True)
            if not (create and not readonly) and not (path / DATA_FILE).is_file():
                raise StoreError(
                    f"there is no store in `{path}`", reason="io", help="check the path"
                )
            self._open_file = os.open(
                path / OPEN_FILE, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600
            )
        try:
            with _one_at_a_time(path):
                first = _is_first(self._open_file)
                self.lmdb = _open(path, map_bytes=map_bytes if first else 0, readonly=readonly)
                try:
                    self.tables = open_tables(self.lmdb, readonly=readonly)
                    if first and not readonly:
                        _write_map_size(self.lmdb, self.tables, map_bytes)
                except BaseException:
                    self.lmdb.close()
                    raise
                sync_directory(path)
                fcntl.flock(self._open_file, fcntl.LOCK_SH)
        except BaseException:
            os.close(self._open_file)
            raise

    @translated
    def clear_dead_readers(self) -> None:
        """Free the reader slots of processes that ended without closing."""
        self.lmdb.reader_check()

    @translated
    def close(self) -> None:
        """Release everything."""
        self.lmdb.close()
        if self._open_file >= 0:
            os.close(self._open_file)
            self._open_file = -1


@contextmanager
def system_errors(path: Path) -> Iterator[None]:
    """Turn the system's refusals into ``StoreError``."""
    try:
        yield
    except OSError as error:
        raise StoreError(
            f"the directory `{path}` cannot be used: {error.strerror}", reason="io"
        ) from error


@contextmanager
def _one_at_a_time(path: Path) -> Iterator[None]:
    """Hold the directory's own lock: nobody else asks who is first before this one is open."""
    with system_errors(path):
        descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX)
            yield
        finally:
            os.close(descriptor)


def _is_first(descriptor: int) -> bool:
    """Whether no other process has the environment open: each holds a shared lock meanwhile."""
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


@translated
def _open(path: Path, *, map_bytes: int, readonly: bool) -> lmdb.Environment:
    environment = lmdb.open(
        str(path),
        map_size=map_bytes,
        readonly=readonly,
        create=not readonly,
        max_dbs=len(Tables._fields),
        max_readers=READERS_MAX,
        max_spare_txns=SPARE_TRANSACTIONS_MAX,
        readahead=False,
        meminit=False,
    )
    environment.reader_check()
    return environment


@translated
def open_tables(environment: lmdb.Environment, *, readonly: bool) -> Tables:
    """Handles of the tables; those that are missing are made unless it is read-only.

    Every opener makes them, not only the first process: the others hold no handle of them yet and
    go on with theirs, and the writers' lock lets only one make them.

    Raises:
        StoreError: it is not a store of this format.
    """
    # NOTE: handles are opened with the writers' lock, for which opening may wait: py-lmdb (3.0)
    # resets a read transaction at its end, and handles opened in one would end with it.
    with environment.begin(write=not readonly) as transaction:
        empty = not transaction.stat()["entries"]
        if empty and readonly:
            raise StoreError("the store is empty", reason="format")
        if not empty and transaction.get(b"meta") is None:
            raise _foreign()
        if empty:
            made = _tables(environment, transaction, create=True)
            transaction.put(_FORMAT_KEY, pack_u32(FORMAT_VERSION), db=made.meta)
            transaction.put(STATE_KEY, Counters().pack(), db=made.meta)
        elif not readonly:
            meta = environment.open_db(b"meta", txn=transaction, create=False)
            _check_format(transaction, meta)
            _tables(environment, transaction, create=True)
    with environment.begin() as transaction:
        complete = transaction.get(_LATER_TABLE.encode()) is not None
    tables = _tables(environment, None, create=False, complete=complete)
    with environment.begin() as transaction:
        _check_format(transaction, tables.meta)
    return tables


@translated
def _write_map_size(environment: lmdb.Environment, tables: Tables, map_bytes: int) -> None:
    """Commit the size of the map where it is another than before.

    LMDB writes it into the file only with a commit, and the processes that open next take it from
    there: without this they would go on with the old size and break when the file outgrows it.
    """
    packed = pack_u64(map_bytes)
    with environment.begin(write=True) as transaction:
        if transaction.get(_MAP_BYTES_KEY, db=tables.meta) != packed:
            transaction.put(_MAP_BYTES_KEY, packed, db=tables.meta)


def _tables(
    environment: lmdb.Environment,
    transaction: lmdb.Transaction[bytes] | None,
    *,
    create: bool,
    complete: bool = True,
) -> Tables:
    def handle(name: str) -> Database:
        return environment.open_db(
            name.encode(),
            txn=transaction,
            create=create,
            dupsort=name in _ROW_TABLES,
            dupfixed=name in _ROW_TABLES,
        )

    handles: dict[str, Any] = {name: handle(name) for name in Tables._fields[:-1]}
    return Tables(**handles, audit=handle(_LATER_TABLE) if complete else None)


def _foreign() -> StoreError:
    return StoreError("the directory holds an LMDB environment of something else", reason="format")


def _check_format(transaction: lmdb.Transaction[bytes], meta: Database) -> None:
    found = transaction.get(_FORMAT_KEY, db=meta)
    if found is None:
        raise _foreign()
    version = U32.unpack(found)[0]
    if version != FORMAT_VERSION:
        raise StoreError(
            f"the store has format {version}, this program reads format {FORMAT_VERSION}",
            reason="format",
            help="export it with the program that wrote it, then import it",
        )


def sync_directory(path: Path) -> None:
    """Make the directory's entries durable; LMDB syncs only the file's content."""
    descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


# Entries of ``meta`` besides the counters.


def is_userset(transaction: lmdb.Transaction[bytes], tables: Tables, slot: int) -> bool:
    """Whether a slot is a relation's, not one that stands for the objects of a type."""
    name = transaction.get(pack_u32(slot), db=tables.slot_names)
    return name is not None and split_slot_name(name)[2] not in (SELF, WILDCARD_SLOT)


def read_counters(transaction: lmdb.Transaction[bytes], tables: Tables) -> Counters:
    """The counters as a transaction sees them."""
    value = transaction.get(STATE_KEY, db=tables.meta)
    if value is None:
        raise StoreError("the store has lost its counters", reason="corrupted")
    return Counters(*unpack_state(value))


def names_count_key(application: int) -> bytes:
    """Where the number of an application's names stands in ``meta``."""
    return _NAMES_COUNT_PREFIX + pack_u32(application)


def renamed_key(application: int) -> bytes:
    """Entry of ``meta`` with the revision that last gave slots of the application other names."""
    return _RENAMED_PREFIX + pack_u32(application)


def dropped_key(application: int) -> bytes:
    """Entry of ``meta`` that says the application was dropped. It stays for ever."""
    return _DROPPED_PREFIX + pack_u32(application)


def sweep_key(application: int) -> bytes:
    """Entry of ``meta`` that says a dropped application has something left to remove."""
    return _SWEEP_PREFIX + pack_u32(application)


def next_to_sweep(transaction: lmdb.Transaction[bytes], tables: Tables) -> int | None:
    """A dropped application of which something is left."""
    with transaction.cursor(tables.meta) as cursor:
        if not cursor.set_range(_SWEEP_PREFIX) or not cursor.key().startswith(_SWEEP_PREFIX):
            return None
        return int(U32.unpack_from(cursor.key(), len(_SWEEP_PREFIX))[0])


def marks_prefix(slot: int) -> bytes:
    """What the marks of a slot begin with."""
    return _MARK_PREFIX + pack_u32(slot)


def mark_key(slot: int, subject_slot: int) -> bytes:
    """Entry of ``meta`` that says the pair ever held attributed rows."""
    return marks_prefix(slot) + pack_u32(subject_slot)


def read_marks(transaction: lmdb.Transaction[bytes], tables: Tables) -> frozenset[tuple[int, int]]:
    """All pairs (slot, subject slot) that ever held attributed rows."""
    marks = set()
    with transaction.cursor(tables.meta) as cursor:
        found = cursor.set_range(_MARK_PREFIX)
        while found and cursor.key().startswith(_MARK_PREFIX):
            key = cursor.key()
            slot, subject_slot = U32.unpack_from(key, 4)[0], U32.unpack_from(key, 8)[0]
            marks.add((slot, subject_slot))
            found = cursor.next()
    return frozenset(marks)

"""Hot copies of the environment.

Theory of operation: LMDB copies its file as it is, in one go and with one short read transaction;
the copy is then written anew, table by table in key order, which leaves out free pages and fills
the rest. So no long read transaction keeps old pages in the store that is being served.

Decision: not LMDB's own compacting copy. Version 0.9.36 ends the process with a segmentation fault
once a key of a DUPFIXED table has more than one page of values.
"""

from __future__ import annotations

import shutil
from itertools import islice
from typing import TYPE_CHECKING

import lmdb

from zeratul.errors import StoreError
from zeratul.store.lmdb.environment import (
    DATA_FILE,
    Tables,
    open_tables,
    sync_directory,
    system_errors,
)
from zeratul.store.lmdb.failures import translated

if TYPE_CHECKING:
    from pathlib import Path

    from zeratul.store.lmdb.environment import Database

_RAW_DIRECTORY = "copying"
# LIMIT: entries per commit of the new file; bounds the pages a transaction keeps in memory.
_COMMIT_ENTRIES = 100_000
_ROOM_BYTES = 64 * 1024 * 1024


def copy_store(environment: lmdb.Environment, path: Path) -> None:
    """Copy one consistent state into a new or empty directory, without free pages, durably.

    Needs room for two copies while it works. A directory it could not finish has no ``data.mdb``.

    Raises:
        StoreError: the directory holds something, or the system refuses.
    """
    raw, fresh = path / _RAW_DIRECTORY, path / "compact"
    with system_errors(path):
        path.mkdir(mode=0o700, parents=True, exist_ok=True)
        if any(path.iterdir()):
            raise StoreError(f"the directory `{path}` is not empty", reason="io")
        raw.mkdir(mode=0o700)
        fresh.mkdir(mode=0o700)
    try:
        _copy_raw(environment, raw)
        _rewrite(raw, fresh)
        with system_errors(path):
            (fresh / DATA_FILE).rename(path / DATA_FILE)
            sync_directory(path)
    finally:
        shutil.rmtree(raw, ignore_errors=True)
        shutil.rmtree(fresh, ignore_errors=True)


@translated
def _copy_raw(environment: lmdb.Environment, target: Path) -> None:
    environment.copy(str(target))


@translated
def _rewrite(source_path: Path, target_path: Path) -> None:
    size = (source_path / DATA_FILE).stat().st_size
    source = lmdb.open(
        str(source_path), readonly=True, lock=False, max_dbs=len(Tables._fields), readahead=True
    )
    try:
        target = lmdb.open(
            str(target_path),
            map_size=2 * size + _ROOM_BYTES,
            max_dbs=len(Tables._fields),
            # One sync at the end: nobody reads it before.
            sync=False,
            lock=False,
        )
        try:
            source_tables = open_tables(source, readonly=True)
            target_tables = open_tables(target, readonly=False)
            for from_table, to_table in zip(source_tables, target_tables, strict=True):
                if from_table is not None and to_table is not None:
                    _rewrite_table(source, from_table, target, to_table)
            target.sync(force=True)
        finally:
            target.close()
    finally:
        source.close()


def _rewrite_table(
    source: lmdb.Environment,
    from_table: Database,
    target: lmdb.Environment,
    to_table: Database,
) -> None:
    """Copy a table in key order, replacing what creating the new one put into it."""
    in_order = not to_table.flags()["dupsort"]
    with source.begin() as reader, reader.cursor(from_table) as cursor:
        with target.begin(write=True) as writer:
            writer.drop(to_table, delete=False)
        entries = iter(cursor)
        while True:
            with target.begin(write=True) as writer:
                put = writer.cursor(to_table).putmulti
                # In a table of rows, appending is only for the values of one key.
                consumed, added = put(islice(entries, _COMMIT_ENTRIES), append=in_order)
            if added != consumed:
                raise StoreError("the copy lacks entries of the store", reason="corrupted")
            if not consumed:
                return

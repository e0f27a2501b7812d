"""The embedded engine: LMDB, several processes on one directory, rows that are versions.

Theory of operation (design §4). ``forward`` and ``reverse`` hold the rows of the newest revision,
sorted by either end, each with the revision that made it; deleting moves a row to the tombstones,
where reads of the past find it until it is collected. Names are interned once. One writer thread a
process commits in groups; LMDB's lock orders the writers of all processes, and every snapshot sees
whatever was committed anywhere before it was opened.

Rules of this package: only ``failures`` knows LMDB's exceptions; only ``codec`` knows layouts;
only the writer's thread holds a write transaction; nothing is logged and nothing sleeps.

Decision: the past in tables of its own. Keeping deleted rows in ``forward`` with an end would make
every check step over them and counts useless; the price is two more puts for a delete.

Decision: no compaction of the revision counter into LMDB's transaction id, which does not survive
a compacting copy.
"""

from zeratul.store.lmdb.store import LmdbStore, open_store

__all__ = ["LmdbStore", "open_store"]

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

Decision: audit events stand by application, revision and sequence, so an application's log is one
range. The changes of a commit say which applications recorded any: collecting history leads to the
events to forget, and costs what it removes. An index of its own would be one more page a commit.

Decision: a dropped application is a mark that stays for ever; documents, answers, events and
vocabularies ask for it with every read. Rows and names do not: their numbers are found by the
vocabulary only, and numbers are never given again. So dropping is one small commit however much
there is, and sweeping may take its time.

Decision: no compaction of the revision counter into LMDB's transaction id, which does not survive
a compacting copy.
"""

from zeratul.store.lmdb.store import LmdbStore, open_store

__all__ = ["LmdbStore", "open_store"]

"""Snapshots: one LMDB read transaction, seen as of one revision and one time."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Self

from zeratul.domain.vocabulary import Vocabulary
from zeratul.errors import RevisionError
from zeratul.store.interface import StoredEvent
from zeratul.store.lmdb.codec import (
    U32,
    U64,
    answer_key,
    bounded,
    change_key,
    change_revision,
    documents_prefix,
    event_revision,
    pack_u32,
    pack_u64,
    split_slot_name,
    unpack_changes,
    unpack_document,
)
from zeratul.store.lmdb.environment import dropped_key, read_counters, renamed_key
from zeratul.store.lmdb.failures import translated
from zeratul.store.lmdb.names import Names

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from collections.abc import Set as AbstractSet
    from types import TracebackType

    import lmdb

    from zeratul.store.interface import ChangeSet
    from zeratul.store.lmdb.environment import Tables
    from zeratul.store.lmdb.known_names import KnownNames

# A vocabulary with what tells whether it still holds: first free slot, last renaming.
VersionedVocabulary = tuple[tuple[int, bytes | None], Vocabulary]

# LIMIT: applications whose vocabularies a process keeps, 10 KB each with a small catalog, then it
# starts afresh; nobody tells it which of them are gone.
VOCABULARIES_MAX = 1_000


class LmdbSnapshot(Names):
    """A view at one revision and one time; see ``zeratul.store.interface.Snapshot``."""

    __slots__ = ("_oldest", "_vocabularies")

    def __init__(
        self,
        transaction: lmdb.Transaction[bytes],
        tables: Tables,
        marks: AbstractSet[tuple[int, int]],
        *,
        revision: int,
        head: int,
        oldest: int,
        now_ms: int,
        vocabularies: dict[int, VersionedVocabulary] | None,
        known: KnownNames | None = None,
        next_node: int = 0,
    ) -> None:
        super().__init__(transaction, tables, marks, revision, head, now_ms)
        self._oldest = oldest
        self._vocabularies = vocabularies
        self._known = known
        self._next_node = next_node

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def close(self) -> None:
        """Release it; later reads fail."""
        self._transaction.abort()

    @property
    def mark(self) -> int:
        """The commit it was opened at: LMDB's number of it, another for each."""
        mark: int = self._transaction.id()
        return mark

    # Documents.

    @translated
    def document(self, application: int, kind: str, document_id: str) -> bytes | None:
        """The latest committed text, or None."""
        full = documents_prefix(application, kind) + document_id.encode()
        value = self._transaction.get(bounded(full), db=self._tables.documents)
        if value is None or self._is_dropped(application):
            return None
        return unpack_document(value)[1]

    @translated
    def documents(
        self, application: int, kind: str, *, after: str = "", limit: int = 1_000
    ) -> list[tuple[str, bytes]]:
        """(id, text) in id order, behind ``after``; ids of half a kilobyte sort by their start."""
        if self._is_dropped(application):
            return []
        prefix = documents_prefix(application, kind)
        begin = bounded(prefix + after.encode())
        found: list[tuple[str, bytes]] = []
        with self._transaction.cursor(self._tables.documents) as cursor:
            more = cursor.set_range(begin)
            if more and after and cursor.key() == begin:
                more = cursor.next()
            while more and len(found) < limit:
                key, value = cursor.item()
                if not key.startswith(prefix):
                    break
                long_id, body = unpack_document(value)
                found.append((long_id or key[len(prefix) :].decode(), body))
                more = cursor.next()
        return found

    def kinds(self, application: int) -> list[str]:
        """The kinds of documents an application has."""
        prefix = pack_u32(application)
        found: list[str] = []
        with self._transaction.cursor(self._tables.documents) as cursor:
            more = cursor.set_range(prefix)
            while more and cursor.key().startswith(prefix):
                kind = cursor.key()[len(prefix) :].partition(b"\x00")[0]
                found.append(kind.decode())
                more = cursor.set_range(prefix + kind + b"\x01")
        return found

    @translated
    def recall(self, application: int, key: bytes) -> bytes | None:
        """What ``WriteTransaction.remember`` stored under the key, unless it expired."""
        value = self._transaction.get(answer_key(application, key), db=self._tables.answers)
        if value is None or U64.unpack_from(value)[0] <= self.now_ms:
            return None
        if self._is_dropped(application):
            return None
        return value[U64.size :]

    # Audit.

    @translated
    def events(
        self,
        application: int,
        *,
        before: bytes = b"",
        upto: int | None = None,
        limit: int,
        bytes_max: int | None = None,
    ) -> list[StoredEvent]:
        """Recorded events of the snapshot's revision and earlier, newest first."""
        if self._tables.audit is None or self._is_dropped(application):
            return []
        newest = self.revision if upto is None else min(upto, self.revision)
        prefix = pack_u32(application)
        end = pack_u64(newest + 1)
        found: list[StoredEvent] = []
        size = 0
        with self._transaction.cursor(self._tables.audit) as cursor:
            behind = cursor.set_range(prefix + (min(before, end) if before else end))
            more = cursor.prev() if behind else cursor.last()
            while more and len(found) < limit and (bytes_max is None or size < bytes_max):
                key, body = cursor.item()
                if not key.startswith(prefix):
                    break
                found.append(StoredEvent(key[len(prefix) :], event_revision(key), body))
                size += len(body)
                more = cursor.prev()
        return found

    # History.

    @translated
    def revision_at(self, time_ms: int) -> int:
        """Newest revision committed at or before a time, none newer than the snapshot's; or 0."""
        low, high = 0, self.revision
        found = 0
        with self._transaction.cursor(self._tables.revisions) as cursor:
            while low < high:
                middle = (low + high + 1) // 2
                # Times of collected revisions are sparse: the nearest before stands for the rest.
                behind = cursor.set_range(pack_u64(middle + 1))
                if not (cursor.prev() if behind else cursor.last()):
                    low = middle
                    continue
                revision = U64.unpack(cursor.key())[0]
                if U64.unpack(cursor.value())[0] <= time_ms:
                    low = middle
                    found = revision
                else:
                    high = revision - 1
        return found

    @translated
    def vocabulary(self, application: int) -> Vocabulary:
        """All slots of an application."""
        if self._is_dropped(application):
            return Vocabulary(application, {}, {})
        if self._vocabularies is None:
            return self._read_vocabulary(application)
        # Numbers are only ever added, so the first free one tells whether any were.
        counters = read_counters(self._transaction, self._tables)
        renamed = self._transaction.get(renamed_key(application), db=self._tables.meta)
        version = (counters.next_slot, renamed)
        known = self._vocabularies.get(application)
        if known is None or known[0] != version:
            known = (version, self._read_vocabulary(application))
            if len(self._vocabularies) >= VOCABULARIES_MAX:
                self._vocabularies.clear()
            self._vocabularies[application] = known
        return known[1]

    def _is_dropped(self, application: int) -> bool:
        return self._transaction.get(dropped_key(application), db=self._tables.meta) is not None

    def _read_vocabulary(self, application: int) -> Vocabulary:
        prefix = pack_u32(application)
        numbers: list[bytes] = []
        with self._transaction.cursor(self._tables.slots) as cursor:
            more = cursor.set_range(prefix)
            while more and cursor.key().startswith(prefix):
                numbers.append(cursor.value())
                more = cursor.next()
        names = {
            U32.unpack(number)[0]: split_slot_name(name)[1:]
            for number, name in self._transaction.cursor(self._tables.slot_names).getmulti(
                sorted(numbers)
            )
        }
        return Vocabulary(application, {name: slot for slot, name in names.items()}, names)

    def check_readable(self, revision: int) -> None:
        """Whether the past since ``revision`` is still there.

        Raises:
            RevisionError: it is in the future or was collected.
        """
        if revision > self.head:
            raise RevisionError(
                f"revision {revision} is newer than the newest, {self.head}", reason="future"
            )
        if revision < self._oldest:
            raise RevisionError(
                f"revision {revision} was collected; the oldest is {self._oldest}",
                reason="collected",
            )

    def changes(self, after: int, upto: int) -> Iterator[ChangeSet]:
        """Change sets of revisions in (after, upto], ascending; read as they are asked for.

        Raises:
            RevisionError: some of them were collected.
        """
        self.check_readable(after)
        return self._changes(after, upto)

    def _changes(self, after: int, upto: int) -> Iterator[ChangeSet]:
        key: bytes | None = change_key(after + 1, 0)
        while key is not None:
            found = self._change(key)
            if found is None or change_revision(found[0]) > upto:
                return
            yield unpack_changes(change_revision(found[0]), found[1])
            key = found[0] + b"\x00"  # The next key behind it.

    @translated
    def _change(self, key: bytes) -> tuple[bytes, bytes] | None:
        with self._transaction.cursor(self._tables.changes) as cursor:
            return cursor.item() if cursor.set_range(key) else None

    @translated
    def revision_times(self, revisions: Sequence[int]) -> list[int | None]:
        """Commit times in milliseconds, of collected revisions to the second, or None."""
        return [self._revision_time(revision) for revision in revisions]

    def _revision_time(self, revision: int) -> int | None:
        key = pack_u64(revision)
        value: Any = self._transaction.get(key, db=self._tables.revisions)
        if value is None and revision <= self._oldest:
            # Collection keeps one time of each second; the nearest before stands for the rest.
            with self._transaction.cursor(self._tables.revisions) as cursor:
                found = cursor.prev() if cursor.set_range(key) else cursor.last()
                value = cursor.value() if found else None
        return None if value is None else int(U64.unpack(value)[0])

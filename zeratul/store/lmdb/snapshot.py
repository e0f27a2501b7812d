"""Snapshots: one LMDB read transaction, seen as of one revision and one time."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Self

import numpy as np

from zeratul.domain.vocabulary import Vocabulary
from zeratul.errors import RevisionError, StoreError
from zeratul.store.lmdb.codec import (
    BOUNDED_KEY_SIZE_MAX,
    U32,
    U64,
    answer_key,
    bounded,
    bounded_all,
    change_key,
    change_revision,
    documents_prefix,
    name_of,
    pack_u32,
    pack_u64,
    split_slot_name,
    unpack_changes,
    unpack_document,
)
from zeratul.store.lmdb.environment import read_counters
from zeratul.store.lmdb.failures import translated
from zeratul.store.lmdb.scans import Scans

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from collections.abc import Set as AbstractSet
    from types import TracebackType

    import lmdb

    from zeratul.store.interface import ChangeSet
    from zeratul.store.lmdb.environment import Tables

_SLOT_OVERHEAD = 4  # type slot in front of an id in ``nodes``


class LmdbSnapshot(Scans):
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
        vocabularies: dict[int, tuple[int, Vocabulary]] | None,
    ) -> None:
        super().__init__(transaction, tables, marks, revision=revision, head=head, now_ms=now_ms)
        self._oldest = oldest
        self._vocabularies = vocabularies

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

    # Names.

    @translated
    def node(self, type_slot: int, object_id: str) -> int | None:
        """The node of a name, or None where no commit interned it."""
        name = name_of(type_slot, object_id)
        value = self._transaction.get(bounded(name), db=self._tables.names)
        return None if value is None else self._verified(name, value)

    @translated
    def nodes(self, names: Sequence[tuple[int, str]]) -> list[int | None]:
        """Nodes of many (type slot, id), in their order."""
        get, table = self._transaction.get, self._tables.names
        found: list[int | None] = []
        for type_slot, object_id in names:
            name = name_of(type_slot, object_id)
            value = get(bounded(name), db=table)
            found.append(None if value is None else self._verified(name, value))
        return found

    def nodes_of(self, full_names: Sequence[bytes]) -> dict[bytes, int]:
        """Node by full name, of those that have one."""
        # Sorted, so that neighbours share pages.
        ordered = sorted(set(full_names))
        keys = bounded_all(ordered)
        cursor = self._transaction.cursor(self._tables.names)
        found = cursor.getmulti(keys)
        if keys is not ordered:
            names = dict(zip(keys, ordered, strict=True))
            return {names[key]: self._verified(names[key], value) for key, value in found}
        # No digest among them: every key is the name itself.
        numbers = np.frombuffer(b"".join([value for _, value in found]), ">u4").tolist()
        return dict(zip([key for key, _ in found], numbers, strict=True))

    def _verified(self, name: bytes, value: bytes) -> int:
        """The node, after a look whether a digested key stands for this very name."""
        if (
            len(name) >= BOUNDED_KEY_SIZE_MAX
            and self._transaction.get(value, db=self._tables.nodes) != name
        ):
            raise StoreError("the digest of a long name is another name's", reason="corrupted")
        return int(U32.unpack(value)[0])

    @translated
    def names(self, nodes: Sequence[int]) -> list[tuple[int, str]]:
        """(type slot, id) of many nodes, in their order."""
        return [
            (U32.unpack_from(name)[0], name[_SLOT_OVERHEAD:].decode())
            for _, name in self._node_entries(nodes)
        ]

    @translated
    def ids(self, nodes: Sequence[int]) -> list[str]:
        """Only the ids, the fast path of lists."""
        return [str(name[_SLOT_OVERHEAD:], "utf-8") for _, name in self._node_entries(nodes)]

    def _node_entries(self, nodes: Sequence[int]) -> list[tuple[bytes, bytes]]:
        keys: list[bytes] = np.asarray(nodes, ">u4").view("V4").tolist()
        entries = self._transaction.cursor(self._tables.nodes).getmulti(keys)
        if len(entries) != len(keys):
            raise StoreError("a node has no name", reason="corrupted")
        return entries

    def next_node(self) -> int:
        """First node that no name has yet."""
        return read_counters(self._transaction, self._tables).next_node

    # Documents.

    @translated
    def document(self, application: int, kind: str, document_id: str) -> bytes | None:
        """The latest committed text, or None."""
        full = documents_prefix(application, kind) + document_id.encode()
        value = self._transaction.get(bounded(full), db=self._tables.documents)
        return None if value is None else unpack_document(value)[1]

    @translated
    def documents(
        self, application: int, kind: str, *, after: str = "", limit: int = 1_000
    ) -> list[tuple[str, bytes]]:
        """(id, text) in id order, behind ``after``; ids of half a kilobyte sort by their start."""
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

    @translated
    def recall(self, application: int, key: bytes) -> bytes | None:
        """What ``WriteTransaction.remember`` stored under the key, unless it expired."""
        value = self._transaction.get(answer_key(application, key), db=self._tables.answers)
        if value is None or U64.unpack_from(value)[0] <= self.now_ms:
            return None
        return value[U64.size :]

    # History.

    @translated
    def vocabulary(self, application: int) -> Vocabulary:
        """All slots of an application."""
        if self._vocabularies is None:
            return self._read_vocabulary(application)
        # Slots are only ever added, so the first free number tells whether any were.
        version = read_counters(self._transaction, self._tables).next_slot
        known_version, known = self._vocabularies.get(application, (0, None))
        if known is None or known_version != version:
            known = self._read_vocabulary(application)
            self._vocabularies[application] = (version, known)
        return known

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

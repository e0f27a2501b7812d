"""What a storage engine promises: snapshot reads in batches, writes by function, changes since.

Theory of operation: names are interned once into numbers (``domain.vocabulary``); the graph is
adjacency rows (resource node, slot, subject slot, subject node), readable from both ends, each row
carrying the revision that made it. A snapshot reads as of one revision and one time: rows created
later, deleted at or before it, or expired at its time are absent, in every method alike.

The subject slot says what the subject is: ``(type, "")`` a plain subject of that type, ``(type,
"*")`` the wildcard (its node is the one named ``*``), ``(type, relation)`` a userset.

Rules: an engine reports failures as ``StoreError`` only (never its own exceptions), keeps a write
atomic, and answers a write's future after it is durable.
"""

from __future__ import annotations

from enum import IntEnum
from typing import TYPE_CHECKING, NamedTuple, Protocol, Self, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterator, Sequence
    from concurrent.futures import Future
    from pathlib import Path
    from types import TracebackType

    from pyroaring import BitMap

    from zeratul.domain.vocabulary import Vocabulary

T = TypeVar("T")

# Shapes of keys, plain tuples because a check makes several and a bulk call millions.
HasKey = tuple[int, int, int, int]  # resource node, slot, subject slot, subject node
SubjectsKey = tuple[int, int, int]  # resource node, slot, subject slot
ResourcesKey = tuple[int, int, int]  # subject node, subject slot, slot


class Row(NamedTuple):
    """A relationship to write or delete: slots as numbers, ids still as text."""

    resource_type: int  # slot (type, "")
    resource_id: str
    slot: int
    subject_slot: int
    subject_type: int  # slot (type, "")
    subject_id: str
    expires_at_ms: int | None = None


class StoredRow(NamedTuple):
    """A live relationship as a scan yields it."""

    position: bytes  # opaque; pass the last one as ``after`` to go on behind it
    resource: int
    slot: int
    subject_slot: int
    subject: int
    created: int  # revision
    expires_at_ms: int | None


class Outcome(IntEnum):
    """What became of one row of a write."""

    CREATED = 0  # it was absent and is there now
    EXISTING = 1  # it was there already with the same expiry; nothing changed
    REPLACED = 2  # it was there with another expiry and has the new one now
    DELETED = 3
    ABSENT = 4  # asked to delete, was not there


class Applied(NamedTuple):
    """Outcomes in the order of the prepared rows."""

    writes: list[Outcome]
    deletes: list[Outcome]


class ChangeSet(NamedTuple):
    """What one commit changed.

    ``rows`` is a packed array of big-endian records ``op u8, resource u32, slot u32, subject slot
    u32, subject u32, attributed u8`` (numpy: ``CHANGE_FIELDS``), op 1 = now there, 0 = now absent;
    attributed 1 = the row carries an expiry (or, later, a condition).
    A commit with many rows comes as several change sets of one revision.
    """

    revision: int
    rows: bytes
    documents: list[tuple[int, str, str]]  # application, kind, id


CHANGE_FIELDS = [
    ("op", "u1"),
    ("resource", ">u4"),
    ("slot", ">u4"),
    ("subject_slot", ">u4"),
    ("subject", ">u4"),
    ("attributed", "u1"),
]


class Prepared(Protocol):
    """Rows made ready outside the writers' lock; opaque, usable in any later transaction."""


class Snapshot(Protocol):
    """Read-only view at one revision and one time. Use as a context manager; short-lived.

    Attributes:
        revision: the revision it reads as of.
        head: the newest committed revision when it was opened.
        now_ms: rows that expire at or before this time are absent.
        expires_min_ms: earliest expiry among the rows that its adjacency reads returned so far, or
            None; whoever keeps what was derived from them forgets it then.
    """

    revision: int
    head: int
    now_ms: int
    expires_min_ms: int | None

    def __enter__(self) -> Self: ...
    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None: ...
    def close(self) -> None:
        """Release it; nothing may be read afterwards."""

    # Names.
    def node(self, type_slot: int, object_id: str) -> int | None:
        """The node of a name, or None where no commit interned it."""

    def nodes(self, names: Sequence[tuple[int, str]]) -> list[int | None]:
        """Nodes of many (type slot, id), in their order."""

    def names(self, nodes: Sequence[int]) -> list[tuple[int, str]]:
        """(type slot, id) of many nodes, in their order; ascending nodes are fastest."""

    def ids(self, nodes: Sequence[int]) -> list[str]:
        """Only the ids, the fast path of lists."""

    # Adjacency, the evaluator's reads. All take many keys: one call is one round.
    def has(self, keys: Sequence[HasKey]) -> list[bool]:
        """Whether each row is there."""

    def rows(self, keys: Sequence[HasKey]) -> list[StoredRow | None]:
        """Each live row (its ``position`` empty), None where it is absent."""

    def subjects(self, keys: Sequence[SubjectsKey]) -> list[BitMap]:
        """Subject nodes of each key (fresh or frozen bitmaps: callers must not change them)."""

    def resources(self, keys: Sequence[ResourcesKey]) -> list[BitMap]:
        """Resource nodes of each key."""

    def meets(self, keys: Sequence[tuple[int, int, int, BitMap]]) -> list[int | None]:
        """For (resource, slot, subject slot, nodes): one subject of the key that is in ``nodes``.

        Takes the smaller side: gallops over few, reads both whole where both are large.
        """

    def subjects_of_all(self, resources: BitMap, slot: int, subject_slot: int) -> BitMap:
        """Union of ``subjects`` over many resources, vectorised."""

    def resources_of_all(self, subjects: BitMap, subject_slot: int, slot: int) -> BitMap:
        """Union of ``resources`` over many subjects, vectorised."""

    def subject_counts(self, keys: Sequence[SubjectsKey]) -> list[int]:
        """Upper bounds of the number of subjects, without reading them."""

    def resource_counts(self, keys: Sequence[ResourcesKey]) -> list[int]:
        """Upper bounds of the number of resources, without reading them."""

    # Scans, in key order, stable for one revision across calls and processes.
    def scan_resource(
        self,
        resource: int,
        *,
        slots: Collection[int] | None = None,
        after: bytes = b"",
        limit: int,
    ) -> list[StoredRow]:
        """Rows of one resource, at most ``limit``, behind position ``after``."""

    def scan_subject(
        self,
        subject: int,
        *,
        subject_slot: int | None = None,
        slots: Collection[int] | None = None,
        after: bytes = b"",
        limit: int,
    ) -> list[StoredRow]:
        """Rows that name a subject, at most ``limit``, behind position ``after``."""

    def scan_type(
        self,
        type_slot: int,
        *,
        slots: Collection[int] | None = None,
        after: bytes = b"",
        limit: int,
    ) -> list[StoredRow]:
        """Rows of every resource of a type, at most ``limit``, behind position ``after``."""

    # Documents: small JSON texts by (application, kind, id).
    def document(self, application: int, kind: str, document_id: str) -> bytes | None:
        """The latest committed text, or None."""

    def documents(
        self, application: int, kind: str, *, after: str = "", limit: int = 1_000
    ) -> list[tuple[str, bytes]]:
        """(id, text) in id order, behind ``after``."""

    def recall(self, application: int, key: bytes) -> bytes | None:
        """What ``WriteTransaction.remember`` stored under the key, unless it expired."""

    # History.
    def vocabulary(self, application: int) -> Vocabulary:
        """All slots of an application."""

    def changes(self, after: int, upto: int) -> Iterator[ChangeSet]:
        """Change sets of revisions in (after, upto], ascending.

        Raises:
            RevisionError: some of them were collected.
        """

    def revision_times(self, revisions: Sequence[int]) -> list[int | None]:
        """Commit times in milliseconds; None for revisions whose time is not known any more.

        LMDB keeps the times of collected revisions to the second.
        """


class WriteTransaction(Protocol):
    """Handed to a job by ``Store.write``; all or nothing, on the writer's thread only.

    Attributes:
        revision: the revision this commit will have.
        now_ms: its time.
        snapshot: reads that see what the transaction wrote so far (its ``changes`` end at the
            commit before).
        changed: whether this job changed anything a snapshot shows. What ``remember`` keeps does
            not count: a commit of nothing else has no revision of its own.
        effective_revision: the revision whose state this job's caller has seen: ``revision`` if
            this job or one before it in the same commit changed anything, else the newest one.
    """

    revision: int
    now_ms: int
    snapshot: Snapshot
    changed: bool

    @property
    def effective_revision(self) -> int:
        """The revision whose state this job's caller has seen."""

    def apply(self, prepared: Prepared) -> Applied:
        """Delete, then write the prepared rows; interns the names the writes need.

        Raises:
            LimitError: the application's quota of names is used up.
            StoreError: full, or numbers exhausted.
        """

    def put_document(self, application: int, kind: str, document_id: str, body: bytes) -> None:
        """Create or replace a document."""

    def delete_document(self, application: int, kind: str, document_id: str) -> bool:
        """Remove a document; whether it was there."""

    def remember(self, application: int, key: bytes, body: bytes, expires_at_ms: int) -> None:
        """Keep an answer for ``Snapshot.recall`` until a time (idempotency)."""

    def new_application(self) -> int:
        """A fresh application number, never used before."""

    def intern_slots(self, application: int, names: Sequence[tuple[str, str]]) -> None:
        """Give each (type, relation) a number unless it has one."""


class Store(Protocol):
    """One environment: any number of snapshots, one writer at a time over all processes."""

    def snapshot(self, *, now_ms: int | None = None, revision: int | None = None) -> Snapshot:
        """A view of the latest commit, or as of ``revision``.

        Raises:
            RevisionError: the revision is in the future or was collected.
            StoreError: no reader slot, or closed.
        """

    def prepare(
        self, application: int, writes: Sequence[Row], deletes: Sequence[Row] = ()
    ) -> Prepared:
        """Look up and sort rows outside the writers' lock, on the caller's thread."""

    def write(self, job: Callable[[WriteTransaction], T]) -> Future[T]:
        """Run ``job`` in a transaction shared with other waiting jobs; commit; then resolve.

        The future resolves after the commit is durable. A job that raises is undone alone and its
        future gets the error. A job may be run more than once: it must not act outside ``tx``.
        """

    def collect(self, *, retention_s: int, steps: int = 1) -> int:
        """One small step of collection: expired rows, old tombstones and changes; rows removed."""

    def backup(self, path: Path) -> None:
        """A hot, compact copy of one consistent state."""

    def statistics(self) -> dict[str, int]:
        """Numbers for metrics: revision, bytes used, map bytes, entries by table, readers."""

    def close(self) -> None:
        """Answer what waits, then release everything."""

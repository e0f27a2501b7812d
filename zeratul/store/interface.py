"""What a storage engine promises: snapshot reads in batches, writes by function, changes since.

Theory of operation: names are interned once into numbers (``domain.vocabulary``); the graph is
adjacency rows (resource node, slot, subject slot, subject node), readable from both ends, each row
carrying the revision that made it. A snapshot reads as of one revision and one time: rows created
later, deleted at or before it, or expired at its time are absent, in every method alike.

The subject slot says what the subject is: ``(type, "")`` a plain subject of that type, ``(type,
"*")`` the wildcard (its node is the one named ``*``), ``(type, relation)`` a userset.

Rules: an engine reports failures as ``StoreError`` only (never its own exceptions), keeps a write
atomic, and answers a write's future after it is durable. Every write to an application that was
dropped is refused with ``NotFoundError``, whatever was prepared before.
"""

from __future__ import annotations

from enum import IntEnum
from itertools import repeat
from typing import TYPE_CHECKING, NamedTuple, Protocol, Self, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
    from concurrent.futures import Future
    from pathlib import Path
    from types import TracebackType

    import numpy as np
    from numpy.typing import NDArray
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


class RowColumns(NamedTuple):
    """Thousands of rows to write as columns: a fraction of the work of as many ``Row``.

    Attributes:
        types: slot (type, "") of each name.
        ids: id of each name; together they say which node it is. One may stand there twice.
        resources, subjects: of each row, as indexes of names. Every name is some row's.
        slots, subject_slots: of each row.
        expiries: of each row; None where no row has one.
    """

    types: Sequence[int]
    ids: Sequence[str]
    resources: NDArray[np.intp]
    slots: NDArray[np.uint64]
    subject_slots: NDArray[np.uint64]
    subjects: NDArray[np.intp]
    expiries: Sequence[int | None] | None

    def rows(self) -> list[Row]:
        """The same as rows."""
        types, ids = self.types, self.ids
        return [
            Row(types[resource], ids[resource], slot, other, types[subject], ids[subject], expiry)
            for resource, slot, other, subject, expiry in zip(
                self.resources.tolist(),
                self.slots.tolist(),
                self.subject_slots.tolist(),
                self.subjects.tolist(),
                self.expiries or repeat(None, len(self.slots)),
                strict=True,
            )
        ]


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


class StoredEvent(NamedTuple):
    """An audit event as it was recorded."""

    position: bytes  # opaque, unique in its application, newer ones are greater; never changes
    revision: int
    body: bytes


class ChangeSet(NamedTuple):
    """What one commit changed.

    ``rows`` is a packed array of big-endian records ``op u8, resource u32, slot u32, subject slot
    u32, subject u32, attributed u8`` (numpy: ``CHANGE_FIELDS``), op 1 = now there, 0 = now absent;
    attributed 1 = the row carries an expiry (or, later, a condition).
    A commit with many rows comes as several change sets of one revision. A document with the id
    ``""`` stands for all of its kind: the application was dropped.
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

    @property
    def mark(self) -> int:
        """Of the commit it was opened at, see ``Store.glance``."""

    # Names.
    def node(self, type_slot: int, object_id: str) -> int | None:
        """The node of a name, or None where no commit interned it."""

    def nodes(self, names: Sequence[tuple[int, str]]) -> list[int | None]:
        """Nodes of many (type slot, id), in their order."""

    def names(self, nodes: Sequence[int]) -> list[tuple[int, str]]:
        """(type slot, id) of many nodes, in their order; ascending nodes are fastest."""

    def ids(self, nodes: Sequence[int]) -> list[str]:
        """Only the ids, in their order."""

    def id_texts(self, type_slot: int, nodes: Sequence[int], *, keep: bool = False) -> bytes:
        """Only the ids of nodes of one type, in their order, as UTF-8 with a NUL between two.

        No id holds a NUL. The fast path of lists; ascending nodes are fastest. What is to be kept
        in memory may soon be asked for again.
        """

    # Adjacency, the evaluator's reads. All take many keys: one call is one round.
    def has(self, keys: Sequence[HasKey]) -> list[bool]:
        """Whether each row is there."""

    def rows(self, keys: Sequence[HasKey]) -> list[StoredRow | None]:
        """Each live row (its ``position`` empty), None where it is absent."""

    def subjects(self, keys: Sequence[SubjectsKey]) -> list[BitMap]:
        """Subject nodes of each key (fresh or frozen bitmaps: callers must not change them)."""

    def resources(self, keys: Sequence[ResourcesKey]) -> list[BitMap]:
        """Resource nodes of each key."""

    def few_resources(self, keys: Sequence[ResourcesKey], most: int) -> list[Sequence[int]] | None:
        """Resource nodes of each key, ascending; None if they may be more than ``most`` in all."""

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
        one_each: bool = False,
    ) -> list[StoredRow]:
        """Rows of every resource of a type, at most ``limit``, behind position ``after``.

        With ``one_each`` only the first row of each resource, and it goes on behind the resource.
        """

    # Documents: small JSON texts by (application, kind, id).
    def document(self, application: int, kind: str, document_id: str) -> bytes | None:
        """The latest committed text, or None."""

    def documents(
        self, application: int, kind: str, *, after: str = "", limit: int = 1_000
    ) -> list[tuple[str, bytes]]:
        """(id, text) in id order, behind ``after``."""

    def recall(self, application: int, key: bytes) -> bytes | None:
        """What ``WriteTransaction.remember`` stored under the key, unless it expired."""

    # Audit.
    def events(
        self,
        application: int,
        *,
        before: bytes = b"",
        upto: int | None = None,
        limit: int,
        bytes_max: int | None = None,
    ) -> list[StoredEvent]:
        """Recorded events of the snapshot's revision and earlier, newest first.

        Args:
            application: whose.
            before: only events older than the one at this position; all without it.
            upto: only events of this revision and earlier.
            limit: at most so many.
            bytes_max: end early once the bodies together have so many bytes, never without any
                event: with it only an empty answer is the end.
        """

    # History.
    def revision_at(self, time_ms: int) -> int:
        """Newest revision committed at or before a time, none newer than the snapshot's; or 0.

        Of times whose revisions were collected it is known to the second. Where the clock was set
        back, it is one of the revisions between which the time passed by.
        """

    def vocabulary(self, application: int) -> Vocabulary:
        """All slots of an application, by today's names whatever the revision; moved ones too."""

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
        job: which job of the commit this is; no other one of it has the same number.
        now_ms: its time.
        snapshot: reads that see what the transaction wrote so far (its ``changes`` end at the
            commit before).
        changed: whether this job changed anything a snapshot shows. What ``remember`` keeps does
            not count: a commit of nothing else has no revision of its own.
        effective_revision: the revision whose state this job's caller has seen: ``revision`` if
            this job or one before it in the same commit changed anything, else the newest one.
    """

    revision: int
    job: int
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

    def record(self, application: int, event: bytes) -> None:
        """Append an event to the application's audit log; it is a change like any other.

        Raises:
            LimitError: the event is larger than ``audit_event_bytes_max``.
        """

    def new_application(self) -> int:
        """A fresh application number, never used before."""

    def intern_slots(self, application: int, names: Sequence[tuple[str, str]]) -> None:
        """Give each (type, relation) a number unless it has one."""

    def rename_slots(
        self, application: int, mapping: Mapping[tuple[str, str], tuple[str, str]]
    ) -> None:
        """Give slots other names, all at once; rows and names of objects stay as they are.

        A type's own slot takes along the type's other slots unless the mapping names them. What
        has a name that is taken is moved aside to one that nobody can type: a type with all its
        slots to ``⟨gone revision⟩type``, a relation to ``⟨gone revision⟩relation``. An old name is
        free: interned again it gets a fresh number. A mapped name without a number takes its new
        name from others, too.

        Raises:
            ValueError: two slots would have one name, a relation would become a type's own slot or
                wildcard (or the other way round), or a slot would leave its type.
        """

    def drop_application(self, application: int) -> None:
        """Make everything of an application unreadable from this commit on.

        That is documents, vocabulary and through it names and rows, events and answers, at past
        revisions, too. Its number is never given again. ``Store.sweep`` removes what is left.
        Snapshots that were opened before read on. Its audit log is gone with it, so what happened
        is recorded elsewhere.

        Raises:
            NotFoundError: ``new_application`` never gave the number, or it was dropped before.
        """


class Store(Protocol):
    """One environment: any number of snapshots, one writer at a time over all processes."""

    def snapshot(self, *, now_ms: int | None = None, revision: int | None = None) -> Snapshot:
        """A view of the latest commit, or as of ``revision``.

        Raises:
            RevisionError: the revision is in the future or was collected.
            StoreError: no reader slot, or closed.
        """

    def glance(self) -> tuple[int, int]:
        """The mark of the latest commit, of whatever process, and the time in milliseconds.

        Cheaper than a snapshot, for who only asks whether anything was committed since one was
        opened: a snapshot of the same ``mark`` holds the same.

        Raises:
            StoreError: no reader slot, or closed.
        """

    def prepare(
        self,
        application: int,
        writes: Sequence[Row] | RowColumns,
        deletes: Sequence[Row] = (),
    ) -> Prepared:
        """Look up and sort rows outside the writers' lock, on the caller's thread."""

    def write(self, job: Callable[[WriteTransaction], T]) -> Future[T]:
        """Run ``job`` in a transaction shared with other waiting jobs; commit; then resolve.

        The future resolves after the commit is durable. A job that raises is undone alone and its
        future gets the error. A job may be run more than once: it must not act outside ``tx``.
        """

    def collect(self, *, retention_s: int, steps: int = 1) -> int:
        """At most ``steps`` small commits of collection; how many entries were removed.

        Expired rows, answers past their time, and what ended before the retention: tombstones,
        changes, commit times, audit events. 0 when there is nothing left to collect now.
        """

    def sweep(self, steps: int = 1) -> int:
        """Remove what is left of dropped applications, in at most ``steps`` small commits.

        Any process may, at any time, several at once; it goes on where another one stopped or was
        killed. Returns how many entries were removed, 0 when nothing is left.
        """

    def backup(self, path: Path) -> None:
        """A hot, compact copy of one consistent state."""

    def statistics(self) -> dict[str, int]:
        """Numbers for metrics: revision, bytes used, map bytes, entries by table, readers."""

    def close(self) -> None:
        """Answer what waits, then release everything."""

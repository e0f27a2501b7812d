"""Who can, and what can: computed lists in pages or streamed, exact and never silently cut.

Theory of operation: a list is computed once, as bitmaps of node numbers; rows come in node order,
the wildcard's row first. The first page's cursor pins revision, time and model; later pages show
the same list, from a small memory of recent ones or computed again as of that revision. Numbers
never change their names, so names are read from whatever snapshot is at hand and none is held
between pages or chunks.
"""

from __future__ import annotations

import struct
from collections import OrderedDict
from dataclasses import dataclass
from threading import Lock
from typing import TYPE_CHECKING, Any, NamedTuple, TypeVar

import numpy as np
from pyroaring import BitMap

from zeratul.domain.relationship import WILDCARD
from zeratul.errors import ConflictError
from zeratul.service.answers import (
    FIRST_PAGE,
    Page,
    ResourcePage,
    ResourceRow,
    RowStream,
    SubjectPage,
    SubjectRow,
)
from zeratul.service.cursors import Cursor, query_digest
from zeratul.service.validation import require_resource, require_subject, require_type

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    from zeratul.dispatch.view import View
    from zeratul.domain.relationship import ObjectRef, SubjectRef
    from zeratul.graph.answers import Via
    from zeratul.service.caller import Caller
    from zeratul.service.foundation import Foundation
    from zeratul.store.interface import Snapshot

AnyRow = TypeVar("AnyRow", SubjectRow, ResourceRow)

VIA_ORDER: tuple[Via, ...] = ("direct", "group", "role", "record", "model")

# LIMIT: rows of a streamed chunk; about 20 KB of names.
STREAM_CHUNK_ROWS = 1_000
# LIMIT: exceptions a wildcard's row lists; the row says how many there are.
EXCEPTIONS_LISTED_MAX = 10_000
# LIMIT: memory for lists whose later pages may still be asked for, in one process.
LISTS_BYTES_MAX = 64 * 1024 * 1024

_POSITION = struct.Struct(">I")
# Numbers of nodes begin at 1; the wildcard's row stands before them all.
_WILDCARD_POSITION = 0


class Listing(NamedTuple):
    """A computed list in numbers; ``wildcard_via`` is None without a wildcard row."""

    nodes: BitMap
    via: Mapping[Via, BitMap]
    wildcard_via: tuple[str, ...] | None
    exceptions: BitMap

    @property
    def total(self) -> int:
        """How many rows."""
        return len(self.nodes) + (self.wildcard_via is not None)

    def size_bytes(self) -> int:
        """Roughly what it takes in memory."""
        bitmaps = (self.nodes, self.exceptions, *self.via.values())
        return sum(_size_bytes(bitmap) for bitmap in bitmaps)


class _Slice(NamedTuple):
    """Some rows of a list: the wildcard's, if it is among them, then nodes with their ways."""

    wildcard: bool
    nodes: list[int]
    ways: list[tuple[str, ...]]
    last: int | None  # position behind them; None at the end of the list


class _Part(NamedTuple):
    """A slice, and what it is as of."""

    listing: Listing
    rows: _Slice
    cursor: str | None
    size: int
    revision: int
    zookie: str


@dataclass(frozen=True, slots=True)
class _Query:
    """One list, whatever the page."""

    digest: bytes
    compute: Callable[[View], Listing]


class Lookups:
    """Lists of subjects and resources."""

    def __init__(self, foundation: Foundation) -> None:
        self._base = foundation
        self._recent = RecentListings(LISTS_BYTES_MAX)

    def who_can(
        self,
        caller: Caller,
        resource: ObjectRef,
        relation: str,
        *,
        subject_type: str = "user",
        subject_relation: str = "",
        page: Page = FIRST_PAGE,
        total: bool = False,
        at_least: str | None = None,
    ) -> SubjectPage:
        """Everyone of a form who has the relation to the resource, a page of it.

        Raises:
            ForbiddenError: the caller lacks ``checks:explain``.
            InputError: an unknown name, an id, page size or cursor that is none.
            RevisionError: the cursor's revision was collected, or ``at_least`` can not be met.
            ConflictError: the model changed since the first page.
            LimitError: too many reads.
        """
        query = _who(caller, resource, relation, subject_type, subject_relation)
        part = self._part(caller, query, page, at_least)
        with self._base.store.snapshot() as snapshot:
            rows = _subject_rows(snapshot, part.listing, part.rows, subject_type, subject_relation)
        return SubjectPage(
            rows=rows,
            next_cursor=part.cursor,
            complete=part.cursor is None,
            total=part.listing.total if total else None,
            page_size=part.size,
            revision=part.revision,
            zookie=part.zookie,
        )

    def what_can(
        self,
        caller: Caller,
        subject: SubjectRef,
        type_name: str,
        relation: str,
        *,
        page: Page = FIRST_PAGE,
        total: bool = False,
        at_least: str | None = None,
    ) -> ResourcePage:
        """Every resource of a type the subject has the relation to, a page of it.

        Raises:
            ForbiddenError, InputError, RevisionError, ConflictError, LimitError: like ``who_can``.
        """
        query = _what(caller, subject, type_name, relation)
        part = self._part(caller, query, page, at_least)
        with self._base.store.snapshot() as snapshot:
            rows = _resource_rows(snapshot, part.rows, type_name)
        return ResourcePage(
            rows=rows,
            next_cursor=part.cursor,
            complete=part.cursor is None,
            total=part.listing.total if total else None,
            page_size=part.size,
            revision=part.revision,
            zookie=part.zookie,
        )

    def stream_who_can(
        self,
        caller: Caller,
        resource: ObjectRef,
        relation: str,
        *,
        subject_type: str = "user",
        subject_relation: str = "",
        at_least: str | None = None,
    ) -> RowStream[SubjectRow]:
        """All rows of ``who_can`` at one revision; errors come before the first chunk."""
        query = _who(caller, resource, relation, subject_type, subject_relation)

        def name(snapshot: Snapshot, listing: Listing, rows: _Slice) -> list[SubjectRow]:
            return _subject_rows(snapshot, listing, rows, subject_type, subject_relation)

        return self._stream(caller, query, at_least, name)

    def stream_what_can(
        self,
        caller: Caller,
        subject: SubjectRef,
        type_name: str,
        relation: str,
        *,
        at_least: str | None = None,
    ) -> RowStream[ResourceRow]:
        """All rows of ``what_can`` at one revision; errors come before the first chunk."""
        query = _what(caller, subject, type_name, relation)

        def name(snapshot: Snapshot, _: Listing, rows: _Slice) -> list[ResourceRow]:
            return _resource_rows(snapshot, rows, type_name)

        return self._stream(caller, query, at_least, name)

    def _stream(
        self,
        caller: Caller,
        query: _Query,
        at_least: str | None,
        name: Callable[[Snapshot, Listing, _Slice], list[AnyRow]],
    ) -> RowStream[AnyRow]:
        base = self._base
        with base.view(caller) as view:
            base.require_fresh(view, at_least)
            listing = query.compute(view)
            revision, zookie = view.revision, base.view_zookie(view)

        def chunks() -> Iterator[list[AnyRow]]:
            last: int | None = -1
            while last is not None:
                rows = _slice(listing, last, STREAM_CHUNK_ROWS)
                last = rows.last
                with base.store.snapshot() as snapshot:
                    named = name(snapshot, listing, rows)
                if named:
                    yield named

        return RowStream(total=listing.total, revision=revision, zookie=zookie, chunks=chunks())

    def _part(self, caller: Caller, query: _Query, page: Page, at_least: str | None) -> _Part:
        base = self._base
        size = base.page_size(page)
        with base.view(caller) as view:
            base.require_fresh(view, at_least)
            if not page.cursor:
                listing = query.compute(view)
                schema_revision = view.schema_revision
                revision, now_ms = view.revision, view.snapshot.now_ms
                after = -1
            else:
                cursor = Cursor.decode(page.cursor, base.cursor_secret, query.digest)
                _, revision, now_ms, schema_revision, position = cursor
                if schema_revision != view.schema_revision:
                    raise ConflictError(
                        "the model changed since the first page",
                        help="start again without a cursor",
                    )
                after = _POSITION.unpack(position)[0]
                listing = self._listing(caller, query, cursor)
        rows = _slice(listing, after, size)
        following = None
        if rows.last is not None:
            self._recent.keep((query.digest, revision, now_ms), listing)
            following = Cursor(
                query.digest, revision, now_ms, schema_revision, _POSITION.pack(rows.last)
            ).encode(base.cursor_secret)
        zookie = base.zookie(caller.application, revision, schema_revision)
        return _Part(listing, rows, following, size, revision, zookie)

    def _listing(self, caller: Caller, query: _Query, cursor: Cursor) -> Listing:
        """The list a cursor belongs to."""
        kept = self._recent.get((query.digest, cursor.revision, cursor.now_ms))
        if kept is not None:
            return kept
        with self._base.pinned(caller, cursor) as view:
            if view.schema_revision != cursor.schema_revision:
                raise ConflictError(
                    "the model changed since the first page", help="start again without a cursor"
                )
            return query.compute(view)


class RecentListings:
    """The lists of the last few cursors, within a limit of memory."""

    def __init__(self, bytes_max: int) -> None:
        self._bytes_max = bytes_max
        self._bytes = 0
        self._lock = Lock()
        self._kept: OrderedDict[tuple[bytes, int, int], tuple[Listing, int]] = OrderedDict()

    def get(self, key: tuple[bytes, int, int]) -> Listing | None:
        """The list, if it is still there."""
        with self._lock:
            found = self._kept.get(key)
            if found is None:
                return None
            self._kept.move_to_end(key)
            return found[0]

    def keep(self, key: tuple[bytes, int, int], listing: Listing) -> None:
        """Keep a list, unless it alone is too large; the ones not used for longest make room."""
        with self._lock:
            if key in self._kept:
                return
            size = listing.size_bytes()
            if size > self._bytes_max:
                return
            self._kept[key] = (listing, size)
            self._bytes += size
            while self._bytes > self._bytes_max:
                _, (_, dropped) = self._kept.popitem(last=False)
                self._bytes -= dropped


def _who(
    caller: Caller, resource: ObjectRef, relation: str, subject_type: str, subject_relation: str
) -> _Query:
    caller.require("checks:explain")

    def compute(view: View) -> Listing:
        require_resource(view.schema, resource)
        view.schema.relation(resource.type, relation, field="relation")
        require_type(view.schema, subject_type, "subjectType")
        if subject_relation:
            view.schema.relation(subject_type, subject_relation, field="subjectRelation")
        answer = view.lookup_subjects(resource, relation, subject_type, subject_relation)
        wildcard_via = tuple(answer.wildcard_via) if answer.wildcard else None
        return Listing(answer.nodes, answer.via, wildcard_via, answer.exceptions)

    parts = ("who-can", caller.application, resource, relation, subject_type, subject_relation)
    return _Query(query_digest(*parts), compute)


def _what(caller: Caller, subject: SubjectRef, type_name: str, relation: str) -> _Query:
    caller.require("checks:explain")

    def compute(view: View) -> Listing:
        require_type(view.schema, type_name, "resource")
        view.schema.relation(type_name, relation, field="relation")
        require_subject(view.schema, subject)
        answer = view.lookup_resources(subject, type_name, relation)
        return Listing(answer.nodes, answer.via, None, BitMap())

    parts = ("what-can", caller.application, subject, type_name, relation)
    return _Query(query_digest(*parts), compute)


def _slice(listing: Listing, after: int, size: int) -> _Slice:
    """At most ``size`` rows behind position ``after`` (-1: from the start)."""
    wildcard = after < _WILDCARD_POSITION and listing.wildcard_via is not None
    begin = listing.nodes.rank(after) if after > 0 else 0
    chosen = listing.nodes[begin : begin + size - wildcard]
    nodes = chosen.to_array().tolist()
    ended = begin + len(nodes) >= len(listing.nodes)
    last = None if ended else (nodes[-1] if nodes else _WILDCARD_POSITION)
    return _Slice(wildcard, nodes, _ways(listing.via, chosen, nodes), last)


def _ways(
    via: Mapping[Via, BitMap], chosen: BitMap, nodes: Sequence[int]
) -> list[tuple[str, ...]]:
    """The kinds of way each node is reached by, in a fixed order."""
    masks = np.zeros(len(nodes), np.uint8)
    for bit, kind in enumerate(VIA_ORDER):
        reached = via.get(kind)
        common = reached & chosen if reached else None
        if not common:
            continue
        if len(common) == len(nodes):
            masks |= 1 << bit
        else:
            masks |= np.isin(nodes, common.to_array()).astype(np.uint8) << bit
    return [_WAYS[mask] for mask in masks.tolist()]


_WAYS: list[tuple[str, ...]] = [
    tuple(kind for bit, kind in enumerate(VIA_ORDER) if mask >> bit & 1)
    for mask in range(1 << len(VIA_ORDER))
]


def _subject_rows(
    snapshot: Snapshot, listing: Listing, rows: _Slice, subject_type: str, subject_relation: str
) -> list[SubjectRow]:
    prefix = subject_type + ":"
    suffix = f"#{subject_relation}" if subject_relation else ""
    ids = snapshot.ids(rows.nodes) if rows.nodes else []
    named = [
        SubjectRow(prefix + subject_id + suffix, ways)
        for subject_id, ways in zip(ids, rows.ways, strict=True)
    ]
    if rows.wildcard and listing.wildcard_via is not None:
        listed = listing.exceptions[:EXCEPTIONS_LISTED_MAX].to_array().tolist()
        exceptions = tuple(prefix + subject_id for subject_id in snapshot.ids(listed))
        total = len(listing.exceptions)
        named.insert(0, SubjectRow(prefix + WILDCARD, listing.wildcard_via, exceptions, total))
    return named


def _resource_rows(snapshot: Snapshot, rows: _Slice, type_name: str) -> list[ResourceRow]:
    ids = snapshot.ids(rows.nodes) if rows.nodes else []
    return [
        ResourceRow(type_name, resource_id, ways)
        for resource_id, ways in zip(ids, rows.ways, strict=True)
    ]


def _size_bytes(bitmap: BitMap) -> int:
    statistics: Mapping[str, Any] = bitmap.get_statistics()
    return sum(value for name, value in statistics.items() if name.startswith("n_bytes_"))

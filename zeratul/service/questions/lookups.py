"""Who can, and what can: computed lists in pages or streamed, exact and never silently cut.

Theory of operation: a list is computed once, as bitmaps of node numbers; rows come in node order,
behind a few at its head: the wildcard's, and one for each place where a role gives it. The first
page's cursor pins revision, time and model; later pages show the same list, from a small memory of
recent ones or computed again as of that revision. Numbers never change their names, so names are
read from whatever snapshot is at hand and none is held between pages or chunks.

Relationships and role assignments are read as of the list's revision, roles and policies are not:
they have no past. Where one changed since, a list that is not in memory any more is refused, with
words that say why; it never mixes two states.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, NamedTuple, TypeVar

from zeratul.domain.relationship import WILDCARD
from zeratul.domain.vocabulary import SELF
from zeratul.errors import ConflictError, MalformedError
from zeratul.service.ground.answers import FIRST_PAGE, Page
from zeratul.service.ground.blocks import Block
from zeratul.service.ground.cursors import Cursor, query_digest
from zeratul.service.ground.labels import require_tenant
from zeratul.service.ground.validation import require_resource, require_subject, require_type
from zeratul.service.questions.list_answers import (
    ResourcePage,
    ResourceRow,
    RowStream,
    SubjectPage,
    SubjectRow,
)
from zeratul.service.questions.listings import (
    Listing,
    RecentListings,
    Slice,
    cut_out,
    resources_listing,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from zeratul.dispatch.view import View
    from zeratul.domain.relationship import ObjectRef, SubjectRef
    from zeratul.service.ground.caller import Caller
    from zeratul.service.ground.foundation import Foundation
    from zeratul.store.interface import Snapshot

AnyRow = TypeVar("AnyRow", SubjectRow, ResourceRow)

# LIMIT: rows of a streamed chunk; about 100 KB of names, 16 MB where all are as long as can be.
STREAM_CHUNK_ROWS = 4_000
# LIMIT: exceptions a wildcard's row lists; the row says how many there are.
EXCEPTIONS_LISTED_MAX = 10_000
# LIMIT: memory for lists whose later pages may still be asked for, in one process.
LISTS_BYTES_MAX = 64 * 1024 * 1024

# A position is how many rows of the head were shown; behind the head, that and the last node.
_POSITION = struct.Struct(">Q")


class _Part(NamedTuple):
    """A slice, and what it is as of."""

    listing: Listing
    rows: Slice
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
        tenant: str | None = None,
        page: Page = FIRST_PAGE,
        total: bool = False,
        at_least: str | None = None,
    ) -> SubjectPage:
        """Everyone of a form who has the relation to the resource, a page of it.

        Raises:
            ForbiddenError: the caller lacks ``checks:explain``.
            NotFoundError: the caller acts in another tenant than the question's.
            InputError: an unknown name, an id, page size or cursor that is none.
            RevisionError: the cursor's revision was collected, or ``at_least`` can not be met.
            ConflictError: the model, a role or a policy changed since the first page.
            LimitError: too many reads.
        """
        query = _who(caller, resource, relation, (subject_type, subject_relation), tenant)
        part = self._part(caller, query, page, at_least)
        with self._base.store.snapshot() as snapshot:
            block = _subjects(snapshot, part.listing, part.rows, subject_type, subject_relation)
        return SubjectPage(
            block=block,
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
        tenant: str | None = None,
        page: Page = FIRST_PAGE,
        total: bool = False,
        at_least: str | None = None,
    ) -> ResourcePage:
        """Every resource of a type the subject has the relation to, a page of it.

        Raises:
            ForbiddenError, NotFoundError, InputError, RevisionError, ConflictError, LimitError:
                like ``who_can``.
            UserScopeError: the caller speaks for one user, and this is not about that one.
        """
        query = _what(caller, subject, type_name, relation, tenant)
        part = self._part(caller, query, page, at_least)
        with self._base.store.snapshot() as snapshot:
            block = _resources(snapshot, part.listing, part.rows, type_name)
        return ResourcePage(
            block=block,
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
        tenant: str | None = None,
        at_least: str | None = None,
    ) -> RowStream[SubjectRow]:
        """All rows of ``who_can`` at one revision; errors come before the first chunk."""
        query = _who(caller, resource, relation, (subject_type, subject_relation), tenant)

        def name(snapshot: Snapshot, listing: Listing, rows: Slice) -> Block[SubjectRow]:
            return _subjects(snapshot, listing, rows, subject_type, subject_relation)

        return self._stream(caller, query, at_least, name)

    def stream_what_can(
        self,
        caller: Caller,
        subject: SubjectRef,
        type_name: str,
        relation: str,
        *,
        tenant: str | None = None,
        at_least: str | None = None,
    ) -> RowStream[ResourceRow]:
        """All rows of ``what_can`` at one revision; errors come before the first chunk."""
        query = _what(caller, subject, type_name, relation, tenant)

        def name(snapshot: Snapshot, listing: Listing, rows: Slice) -> Block[ResourceRow]:
            return _resources(snapshot, listing, rows, type_name)

        return self._stream(caller, query, at_least, name)

    def is_at_hand(self, page: Page) -> bool:
        """Whether a page only has to be cut from a list that is remembered: a matter of names."""
        if not page.cursor:
            return False
        try:
            cursor = Cursor.open(page.cursor, self._base.cursor_secret)
        except MalformedError:
            return False
        return self._recent.get((cursor.query, cursor.revision, cursor.now_ms)) is not None

    def _stream(
        self,
        caller: Caller,
        query: _Query,
        at_least: str | None,
        name: Callable[[Snapshot, Listing, Slice], Block[AnyRow]],
    ) -> RowStream[AnyRow]:
        base = self._base
        with base.view(caller) as view:
            base.require_fresh(view, at_least)
            listing = query.compute(view)
            revision, zookie = view.revision, base.view_zookie(view)

        def chunks() -> Iterator[Block[AnyRow]]:
            last: int | None = 0 if listing.total else None
            while last is not None:
                rows = cut_out(listing, last, STREAM_CHUNK_ROWS)
                last = rows.last
                with base.store.snapshot() as snapshot:
                    block = name(snapshot, listing, rows)
                yield block

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
                after = 0
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
        rows = cut_out(listing, after, size)
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
            if view.roles_moved():
                raise ConflictError(
                    "a role or policy changed since the first page",
                    help="start again without a cursor",
                )
            return query.compute(view)


def _who(
    caller: Caller,
    resource: ObjectRef,
    relation: str,
    form: tuple[str, str],
    tenant: str | None,
) -> _Query:
    caller.require("checks:explain")
    tenant = _asked_in(caller, tenant)
    subject_type, subject_relation = form

    def compute(view: View) -> Listing:
        require_resource(view.schema, resource)
        view.schema.relation(resource.type, relation, field="relation")
        require_type(view.schema, subject_type, "subjectType")
        if subject_relation:
            view.schema.relation(subject_type, subject_relation, field="subjectRelation")
        answer = view.lookup_subjects(resource, relation, subject_type, subject_relation, tenant)
        wildcard_via = tuple(answer.wildcard_via) if answer.wildcard else None
        type_slot = view.vocabulary.slots[subject_type, SELF]
        return Listing(type_slot, answer.nodes, answer.via, wildcard_via, answer.exceptions)

    parts = ("who-can", caller.application, resource, relation, *form, tenant)
    return _Query(query_digest(*parts), compute)


def _what(
    caller: Caller, subject: SubjectRef, type_name: str, relation: str, tenant: str | None
) -> _Query:
    caller.require_question("checks:explain", subject)
    tenant = _asked_in(caller, tenant)

    def compute(view: View) -> Listing:
        require_type(view.schema, type_name, "resource")
        view.schema.relation(type_name, relation, field="relation")
        require_subject(view.schema, subject)
        answer = view.lookup_resources(subject, type_name, relation, tenant)
        return resources_listing(view, type_name, answer)

    parts = ("what-can", caller.application, subject, type_name, relation, tenant)
    return _Query(query_digest(*parts), compute)


def _asked_in(caller: Caller, tenant: str | None) -> str | None:
    tenant = caller.question_tenant(tenant)
    if tenant is not None:
        require_tenant(tenant)
    return tenant


def _subjects(
    snapshot: Snapshot, listing: Listing, rows: Slice, subject_type: str, subject_relation: str
) -> Block[SubjectRow]:
    prefix = subject_type + ":"
    suffix = f"#{subject_relation}" if subject_relation else ""
    head: tuple[SubjectRow, ...] = ()
    if rows.head and listing.wildcard_via is not None:
        listed = listing.exceptions[:EXCEPTIONS_LISTED_MAX].to_array().tolist()
        exceptions = tuple(prefix + subject_id for subject_id in snapshot.ids(listed))
        total = len(listing.exceptions)
        head = (SubjectRow(prefix + WILDCARD, listing.wildcard_via, exceptions, total),)
    return Block(
        head=head,
        ids=snapshot.id_texts(listing.type_slot, rows.nodes),
        ways=rows.ways,
        row=lambda row_id, ways: SubjectRow(prefix + row_id + suffix, ways),
    )


def _resources(
    snapshot: Snapshot, listing: Listing, rows: Slice, type_name: str
) -> Block[ResourceRow]:
    places = listing.places[rows.head.start : rows.head.stop]
    return Block(
        head=tuple(ResourceRow(type_name, *place) for place in places),
        ids=snapshot.id_texts(listing.type_slot, rows.nodes),
        ways=rows.ways,
        row=partial(ResourceRow, type_name),
    )

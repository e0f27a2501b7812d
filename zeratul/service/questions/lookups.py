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
from typing import TYPE_CHECKING, Generic, TypeVar

from zeratul.domain.relationship import WILDCARD
from zeratul.domain.vocabulary import SELF
from zeratul.errors import ConflictError, MalformedError
from zeratul.service.ground.answers import FIRST_PAGE, Page
from zeratul.service.ground.blocks import Block
from zeratul.service.ground.cursors import Cursor, query_digest
from zeratul.service.ground.labels import require_tenant
from zeratul.service.ground.validation import require_resource, require_subject, require_type
from zeratul.service.questions.list_answers import (
    ResourceRow,
    RowPage,
    RowStream,
    SubjectRow,
)
from zeratul.service.questions.listings import (
    Listing,
    RecentListings,
    RowsAhead,
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
    from zeratul.service.questions.listings import ListingKey
    from zeratul.store.interface import Snapshot

AnyRow = TypeVar("AnyRow", SubjectRow, ResourceRow)

# LIMIT: rows of a streamed chunk; about 100 KB of names, 16 MB where all are as long as can be.
STREAM_CHUNK_ROWS = 4_000
# LIMIT: exceptions a wildcard's row lists; the row says how many there are.
EXCEPTIONS_LISTED_MAX = 10_000
# LIMIT: memory for lists whose later pages may still be asked for, in one process.
LISTS_BYTES_MAX = 64 * 1024 * 1024

# LIMIT: lists of at most so many rows have their names kept in memory; longer ones would drive out
# those of all others.
NAMES_KEPT_ROWS_MAX = 100_000

# A position is how many rows of the head were shown; behind the head, that and the last node.
_POSITION = struct.Struct(">Q")
_START = _POSITION.pack(0)


@dataclass(frozen=True, slots=True)
class _Query(Generic[AnyRow]):
    """One list, whatever the page.

    Attributes:
        digest: what its cursors are bound to.
        compute: makes it.
        head: rows of its head, by their numbers.
        row: any other row, of its id and ways.
    """

    digest: bytes
    compute: Callable[[View], Listing]
    head: Callable[[Snapshot, Listing, range], tuple[AnyRow, ...]]
    row: Callable[[str, tuple[str, ...]], AnyRow]

    def block(
        self, snapshot: Snapshot, listing: Listing, rows: Slice, ids: bytes
    ) -> Block[AnyRow]:
        """A slice with everything that is told of its rows."""
        head = self.head(snapshot, listing, rows.head) if rows.head else ()
        return Block(head=head, ids=ids, ways=rows.ways, row=self.row)


class Lookups:
    """Lists of subjects and resources."""

    def __init__(self, foundation: Foundation) -> None:
        self._base = foundation
        self._recent = RecentListings(LISTS_BYTES_MAX)
        self._ahead = RowsAhead()

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
    ) -> RowPage[SubjectRow]:
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
        return self._page(caller, query, page, at_least, total=total)

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
    ) -> RowPage[ResourceRow]:
        """Every resource of a type the subject has the relation to, a page of it.

        Raises:
            ForbiddenError, NotFoundError, InputError, RevisionError, ConflictError, LimitError:
                like ``who_can``.
            UserScopeError: the caller speaks for one user, and this is not about that one.
        """
        query = _what(caller, subject, type_name, relation, tenant)
        return self._page(caller, query, page, at_least, total=total)

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
        return self._stream(caller, query, at_least)

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
        return self._stream(caller, query, at_least)

    def is_at_hand(self, page: Page) -> bool:
        """Whether a page only has to be cut from a list that is remembered: a matter of names."""
        if not page.cursor:
            return False
        try:
            cursor = Cursor.open(page.cursor, self._base.cursor_secret)
        except MalformedError:
            return False
        return self._recent.get(_key(cursor)) is not None

    def read_ahead(self, page: Page) -> None:
        """Read the names of a page that is likely to be asked for, if its list is remembered."""
        if not page.cursor:
            return
        cursor = Cursor.open(page.cursor, self._base.cursor_secret)
        listing = self._recent.get(_key(cursor))
        if listing is None:
            return
        size = self._base.page_size(page)
        rows = cut_out(listing, _after(cursor), size)
        with self._base.store.snapshot() as snapshot:
            self._ahead.keep(
                (_key(cursor), _after(cursor), size), rows, _ids(snapshot, listing, rows)
            )

    def _stream(
        self, caller: Caller, query: _Query[AnyRow], at_least: str | None
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
                    ids = _ids(snapshot, listing, rows)
                    block = query.block(snapshot, listing, rows, ids)
                yield block

        return RowStream(total=listing.total, revision=revision, zookie=zookie, chunks=chunks())

    def _page(
        self,
        caller: Caller,
        query: _Query[AnyRow],
        page: Page,
        at_least: str | None,
        *,
        total: bool,
    ) -> RowPage[AnyRow]:
        base = self._base
        size = base.page_size(page)
        with base.view(caller) as view:
            base.require_fresh(view, at_least)
            schema_revision = view.schema_revision
            if not page.cursor:
                listing = query.compute(view)
                start = Cursor(
                    query.digest, view.revision, view.snapshot.now_ms, schema_revision, _START
                )
            else:
                start = Cursor.decode(page.cursor, base.cursor_secret, query.digest)
                if start.schema_revision != schema_revision:
                    raise ConflictError(
                        "the model changed since the first page",
                        help="start again without a cursor",
                    )
                listing = self._listing(caller, query, start)
        ahead = self._ahead.take((_key(start), _after(start), size))
        with base.store.snapshot() as snapshot:
            if ahead is None:
                rows = cut_out(listing, _after(start), size)
                ids = _ids(snapshot, listing, rows)
            else:
                rows, ids = ahead
            block = query.block(snapshot, listing, rows, ids)
        following = None
        if rows.last is not None:
            self._recent.keep(_key(start), listing)
            position = _POSITION.pack(rows.last)
            following = start._replace(position=position).encode(base.cursor_secret)
        return RowPage(
            block=block,
            next_cursor=following,
            complete=following is None,
            total=listing.total if total else None,
            page_size=size,
            revision=start.revision,
            zookie=base.zookie(caller.application, start.revision, schema_revision),
        )

    def _listing(self, caller: Caller, query: _Query[AnyRow], cursor: Cursor) -> Listing:
        """The list a cursor belongs to."""
        kept = self._recent.get(_key(cursor))
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
) -> _Query[SubjectRow]:
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

    prefix = subject_type + ":"
    suffix = f"#{subject_relation}" if subject_relation else ""

    def head(snapshot: Snapshot, listing: Listing, _: range) -> tuple[SubjectRow, ...]:
        if listing.wildcard_via is None:
            return ()
        listed = listing.exceptions[:EXCEPTIONS_LISTED_MAX].to_array().tolist()
        exceptions = tuple(prefix + subject_id for subject_id in snapshot.ids(listed))
        total = len(listing.exceptions)
        return (SubjectRow(prefix + WILDCARD, listing.wildcard_via, exceptions, total),)

    parts = ("who-can", caller.application, resource, relation, *form, tenant)
    return _Query(
        query_digest(*parts),
        compute,
        head,
        lambda row_id, ways: SubjectRow(prefix + row_id + suffix, ways),
    )


def _what(
    caller: Caller, subject: SubjectRef, type_name: str, relation: str, tenant: str | None
) -> _Query[ResourceRow]:
    caller.require_question("checks:explain", subject)
    tenant = _asked_in(caller, tenant)

    def compute(view: View) -> Listing:
        require_type(view.schema, type_name, "resource")
        view.schema.relation(type_name, relation, field="relation")
        require_subject(view.schema, subject)
        answer = view.lookup_resources(subject, type_name, relation, tenant)
        return resources_listing(view, type_name, answer)

    def head(_: Snapshot, listing: Listing, numbers: range) -> tuple[ResourceRow, ...]:
        places = listing.places[numbers.start : numbers.stop]
        return tuple(ResourceRow(type_name, *place) for place in places)

    parts = ("what-can", caller.application, subject, type_name, relation, tenant)
    return _Query(query_digest(*parts), compute, head, partial(ResourceRow, type_name))


def _asked_in(caller: Caller, tenant: str | None) -> str | None:
    tenant = caller.question_tenant(tenant)
    if tenant is not None:
        require_tenant(tenant)
    return tenant


def _key(cursor: Cursor) -> ListingKey:
    """Which list a cursor goes on with."""
    return cursor.query, cursor.revision, cursor.now_ms


def _after(cursor: Cursor) -> int:
    """The position it goes on behind."""
    return int(_POSITION.unpack(cursor.position)[0])


def _ids(snapshot: Snapshot, listing: Listing, rows: Slice) -> bytes:
    """The names of a slice."""
    keep = listing.total <= NAMES_KEPT_ROWS_MAX
    return snapshot.id_texts(listing.type_slot, rows.nodes, keep=keep)

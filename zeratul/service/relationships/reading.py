"""The two stored views: what is on a resource, what names a subject."""

from __future__ import annotations

from typing import TYPE_CHECKING

from zeratul.service.ground.answers import FIRST_PAGE, Page, RelationshipPage
from zeratul.service.ground.cursors import Cursor, query_digest
from zeratul.service.ground.stored_rows import stored_relationships
from zeratul.service.ground.validation import DIRECT_GRANTS
from zeratul.service.relationships.filters import Selection, select
from zeratul.service.relationships.relationship_answers import RelationshipFilter

if TYPE_CHECKING:
    from zeratul.domain.relationship import ObjectRef, SubjectRef
    from zeratul.service.ground.caller import Caller
    from zeratul.service.ground.foundation import Foundation


class Reading:
    """Reads stored relationships; nothing is computed."""

    def __init__(self, foundation: Foundation) -> None:
        self._base = foundation

    def by_resource(
        self,
        caller: Caller,
        resource: ObjectRef,
        *,
        relation: str | None = None,
        subject: SubjectRef | None = None,
        page: Page = FIRST_PAGE,
        at_least: str | None = None,
    ) -> RelationshipPage:
        """What is stored on a resource; see ``read``."""
        wanted = RelationshipFilter(subject, resource.type, resource.id, relation)
        return self.read(caller, wanted, page=page, at_least=at_least)

    def by_subject(
        self,
        caller: Caller,
        subject: SubjectRef,
        *,
        resource_type: str | None = None,
        relation: str | None = None,
        page: Page = FIRST_PAGE,
        at_least: str | None = None,
    ) -> RelationshipPage:
        """What names a subject; see ``read``."""
        wanted = RelationshipFilter(subject, resource_type, None, relation)
        return self.read(caller, wanted, page=page, at_least=at_least)

    def read(
        self,
        caller: Caller,
        wanted: RelationshipFilter,
        *,
        page: Page = FIRST_PAGE,
        at_least: str | None = None,
    ) -> RelationshipPage:
        """A page of the stored relationships a filter names, as of the first page's revision.

        Raises:
            ForbiddenError: the caller lacks ``relationships:read``.
            TenantScopeError: the caller acts in one tenant only.
            InputError: a filter, page size or cursor that is none; an unknown name.
            RevisionError: the cursor's revision was collected, or ``at_least`` can not be met.
        """
        caller.require("relationships:read")
        caller.require_whole_application(DIRECT_GRANTS)
        base = self._base
        size = base.page_size(page)
        query = query_digest("relationships", caller.application, wanted)
        cursor = Cursor.decode(page.cursor, base.cursor_secret, query) if page.cursor else None
        with base.pinned(caller, cursor) if cursor else base.view(caller) as view:
            base.require_fresh(view, at_least)
            snapshot = view.snapshot
            # A page that goes on was valid when it began; a type may have left the model since.
            selection = Selection(wanted) if cursor else select(view.schema, wanted)
            after = cursor.position if cursor else b""
            rows = selection.read(snapshot, view.vocabulary, after=after, limit=size + 1)
            more = len(rows) > size
            del rows[size:]
            following = None
            if more:
                following = Cursor(
                    query,
                    snapshot.revision,
                    snapshot.now_ms,
                    view.schema_revision,
                    rows[-1].position,
                ).encode(base.cursor_secret)
            return RelationshipPage(
                rows=stored_relationships(snapshot, view.vocabulary, rows),
                next_cursor=following,
                page_size=size,
                revision=snapshot.revision,
                zookie=base.view_zookie(view),
            )

"""Members of groups: listed, added, removed (contract authaz §4)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from zeratul.domain.relationship import WILDCARD, Relationship
from zeratul.errors import LimitError, ValidationError, ZeratulError
from zeratul.service.ground.answers import FIRST_PAGE, Page, RelationshipPage
from zeratul.service.ground.audit import batch_of, record
from zeratul.service.ground.cursors import Cursor, query_digest
from zeratul.service.ground.futures import resolved, retrying
from zeratul.service.ground.stored_model import require_model
from zeratul.service.ground.stored_rows import stored_relationships
from zeratul.service.ground.validation import findings_of
from zeratul.service.groups.group_answers import MembersAdded, MembersRemoved
from zeratul.service.groups.stored_groups import (
    GROUP_TYPE,
    MEMBER,
    group_form,
    has_document,
    put_group,
    require_group,
    some_members,
    written_subjects,
)
from zeratul.store.interface import Outcome

if TYPE_CHECKING:
    from collections.abc import Sequence
    from concurrent.futures import Future

    from zeratul.dispatch.view import View
    from zeratul.domain.relationship import SubjectRef
    from zeratul.service.ground.caller import Caller
    from zeratul.service.ground.foundation import Foundation
    from zeratul.service.ground.idempotency import Idempotent, Replay
    from zeratul.store.interface import Row, WriteTransaction


ALONE = "subject"
"""Field of a subject that is not one of a list."""


class Members:
    """Use cases around the members of one group."""

    def __init__(self, foundation: Foundation) -> None:
        self._base = foundation

    def members(
        self,
        caller: Caller,
        group_id: str,
        *,
        page: Page = FIRST_PAGE,
        at_least: str | None = None,
    ) -> RelationshipPage:
        """A page of what is stored as members, nested groups unexpanded.

        Raises:
            ForbiddenError, TenantScopeError, ConflictError, NotFoundError: like ``get``.
            InputError: an id, page size or cursor that is none.
            RevisionError: the cursor's revision was collected, or ``at_least`` can not be met.
        """
        require_groups(caller, "groups:read")
        base = self._base
        size = base.page_size(page)
        query = query_digest("members", caller.application, group_id)
        cursor = Cursor.decode(page.cursor, base.cursor_secret, query) if page.cursor else None
        with base.pinned(caller, cursor) if cursor else base.view(caller) as view:
            base.require_fresh(view, at_least)
            form = group_form(view, group_id)
            snapshot = view.snapshot
            if cursor is None:
                require_group(snapshot, form, group_id)
            after = cursor.position if cursor else b""
            rows = some_members(snapshot, form, group_id, after=after, limit=size + 1)
            following = rows[size - 1].position if len(rows) > size else None
            return RelationshipPage(
                rows=stored_relationships(snapshot, view.vocabulary, rows[:size]),
                next_cursor=self.next_cursor(view, query, following),
                page_size=size,
                revision=view.revision,
                zookie=base.view_zookie(view),
            )

    def next_cursor(self, view: View, query: bytes, position: bytes | None) -> str | None:
        """The cursor for what is behind a position."""
        if position is None:
            return None
        now_ms = view.snapshot.now_ms
        cursor = Cursor(query, view.revision, now_ms, view.schema_revision, position)
        return cursor.encode(self._base.cursor_secret)

    def add(
        self,
        caller: Caller,
        group_id: str,
        subjects: Sequence[SubjectRef | ZeratulError],
        *,
        field: str = "subjects",
        idempotency: Idempotent | None = None,
    ) -> Future[MembersAdded | Replay]:
        """Make sure these are members for good; makes the group if it is not there.

        Raises:
            ForbiddenError, TenantScopeError: the caller may not write groups.
            InputError: an id that is none.
            ValidationError: subjects the model does not take, each by its place.
            LimitError: more subjects than a call may have.
            ConflictError: the model's groups have no members.
            IdempotencyError: (also from the future) the same key with another request.
        """
        require_groups(caller, "groups:write")
        self.require_few(subjects, field)
        return retrying(lambda: self._add(caller, group_id, subjects, field, idempotency))

    def _add(
        self,
        caller: Caller,
        group_id: str,
        subjects: Sequence[SubjectRef | ZeratulError],
        field: str,
        idempotency: Idempotent | None,
    ) -> Future[MembersAdded | Replay]:
        base, application = self._base, caller.application
        with base.view(caller) as view:
            replay = base.replay(idempotency, caller, view.snapshot)
            if replay is not None:
                return resolved(replay)
            form = group_form(view, group_id)
            rows = member_rows(base, view, group_id, subjects, field)
        prepared = base.store.prepare(application, rows)

        def job(tx: WriteTransaction) -> MembersAdded:
            require_model(tx.snapshot, application, form.schema_revision)
            outcomes = tx.apply(prepared).writes
            if rows and not has_document(tx.snapshot, form, group_id):
                put_group(tx, form, group_id, None)
            changed = _of(rows, outcomes, {Outcome.CREATED, Outcome.REPLACED})
            _record_members(tx, caller, "group.member_added", group_id, changed)
            added = outcomes.count(Outcome.CREATED)
            zookie = base.zookie(application, tx.effective_revision, form.schema_revision)
            # Subjects named twice are one row: the second time it was there already.
            return MembersAdded(added, len(subjects) - added, zookie)

        return base.write_once(caller, idempotency, job)

    def remove(
        self,
        caller: Caller,
        group_id: str,
        subjects: Sequence[SubjectRef | ZeratulError],
        *,
        field: str = "subjects",
    ) -> Future[MembersRemoved]:
        """Make sure these are no members; whoever was none is no error, nor is an absent group.

        Raises:
            ForbiddenError, TenantScopeError: the caller may not write groups.
            InputError: an id that is none.
            ValidationError: subjects with unknown names or bad ids, each by its place.
            LimitError: more subjects than a call may have.
            ConflictError: the model's groups have no members.
        """
        require_groups(caller, "groups:write")
        self.require_few(subjects, field)
        base, application = self._base, caller.application
        with base.view(caller) as view:
            form = group_form(view, group_id)
            found, errors = base.table(view).absent_rows(
                _relationships(group_id, subjects), prefix=field
            )
            _refuse(errors, field)
        rows = list(dict.fromkeys(row for row in found if row is not None))
        prepared = base.store.prepare(application, (), rows)

        def job(tx: WriteTransaction) -> MembersRemoved:
            gone = _of(rows, tx.apply(prepared).deletes, {Outcome.DELETED})
            _record_members(tx, caller, "group.member_removed", group_id, gone)
            zookie = base.zookie(application, tx.effective_revision, form.schema_revision)
            return MembersRemoved(len(gone), len(subjects) - len(gone), zookie)

        return base.store.write(job)

    def require_few(self, subjects: Sequence[object], field: str) -> None:
        """Refuse more subjects than a call may have.

        Raises:
            LimitError: naming the limit and the count.
        """
        most = self._base.limits.bulk_writes_max
        if len(subjects) > most:
            raise LimitError(
                "bulk_writes_max",
                most,
                f"a call takes at most {most:,} `{field}`, this one has {len(subjects):,}",
                help="send them in several calls, or use the import",
                field=field,
            )


def require_groups(caller: Caller, permission: str) -> None:
    """Refuse who may not do this with groups, and callers of one tenant.

    Raises:
        ForbiddenError, TenantScopeError: it is one of them.
    """
    caller.require(permission)
    caller.require_whole_application("groups")


def _relationships(
    group_id: str, subjects: Sequence[SubjectRef | ZeratulError]
) -> list[Relationship | ZeratulError]:
    return [
        each
        if isinstance(each, ZeratulError)
        else Relationship(GROUP_TYPE, group_id, MEMBER, *each)
        for each in subjects
    ]


def _refuse(errors: Sequence[tuple[int, ZeratulError]], field: str) -> None:
    """Raise the findings, each under the place of its subject.

    Raises:
        ValidationError: there are any.
    """
    findings: dict[str, list[str]] = {}
    for index, error in errors:
        messages = [text for found in findings_of([error]).values() for text in found]
        place = field if field == ALONE else f"{field}[{index}]"
        findings.setdefault(place, []).extend(messages)
    if findings:
        raise ValidationError(findings)


def _of(rows: Sequence[Row], outcomes: Sequence[Outcome], wanted: set[Outcome]) -> list[Row]:
    return [row for row, outcome in zip(rows, outcomes, strict=True) if outcome in wanted]


def _record_members(
    tx: WriteTransaction, caller: Caller, action: str, group_id: str, rows: Sequence[Row]
) -> None:
    """One summary for a call that changed anything, about the user if it is about one only."""
    if not rows:
        return
    vocabulary = tx.snapshot.vocabulary(caller.application)
    changes = written_subjects(rows, vocabulary, "members")
    kind, _, name = changes["members"][0].partition(":")
    alone = len(rows) == 1 and kind == "user" and "#" not in name and name != WILDCARD
    removed = action == "group.member_removed"
    record(
        tx,
        caller,
        action,
        GROUP_TYPE,
        group_id,
        user_id=name if alone else None,
        before=changes if removed else None,
        after=None if removed else changes,
        batch_id=batch_of(tx),
    )


def member_rows(
    base: Foundation,
    view: View,
    group_id: str,
    subjects: Sequence[SubjectRef | ZeratulError],
    field: str,
) -> list[Row]:
    """The rows that make them members, each once.

    Raises:
        ValidationError: what the model does not take, each by its place in the list.
    """
    rows, errors = base.table(view).rows(
        _relationships(group_id, subjects), now_ms=view.snapshot.now_ms, prefix=field
    )
    _refuse(errors, field)
    return list(dict.fromkeys(row for row in rows if row is not None))

"""Groups: named sets of subjects, nested to any depth (contract authaz §4).

A member is a relationship ``group:eng#member@user:u1``, written here or anywhere else; there is no
second place that could disagree. A document beside them holds the group's name. So a group is
there as soon as either is: made here, or spoken of by a relationship on it.

*Decision*: a group that something rests on (a grant to ``group:eng#member``, a group it is nested
in, a role it holds) is not deleted without ``force``. Context: what stays behind would come back
to life when somebody makes another group of that name. Options: leave it, delete it silently,
refuse. Outcome: refuse and say what it is, like every other deletion of the contract; with
``force`` all of it goes in one commit.
"""

from __future__ import annotations

from enum import Enum
from typing import TYPE_CHECKING, Literal, NamedTuple

from zeratul.domain.relationship import id_problem
from zeratul.errors import LimitError, MalformedError, ZeratulError
from zeratul.service.ground.answers import FIRST_PAGE, Page
from zeratul.service.ground.audit import batch_of, record
from zeratul.service.ground.cursors import Cursor, query_digest
from zeratul.service.ground.futures import retrying
from zeratul.service.ground.labels import NAME_LENGTH_MAX
from zeratul.service.ground.stored_model import require_model
from zeratul.service.ground.stored_rows import delete_stored, find_stored
from zeratul.service.groups.group_answers import Group, GroupDeleted, GroupPage, GroupPut
from zeratul.service.groups.members import Members, member_rows, require_groups
from zeratul.service.groups.stored_groups import (
    GROUP_TYPE,
    all_members,
    event_of,
    find_group,
    forget_group,
    group_form,
    has_document,
    own_rows,
    put_group,
    require_group,
    require_unused,
    some_groups,
    stored_subjects,
    uses,
    written_subjects,
)
from zeratul.service.roles.stored_grants import drop_unheld, grant_form

if TYPE_CHECKING:
    from collections.abc import Sequence
    from concurrent.futures import Future

    from zeratul.domain.relationship import SubjectRef
    from zeratul.service.ground.caller import Caller
    from zeratul.service.groups.stored_groups import GroupForm
    from zeratul.service.roles.stored_grants import GrantForm
    from zeratul.store.interface import Row, Snapshot, StoredRow, WriteTransaction

# LIMIT: uses counted under the writers' lock; before it, all are.
_RECOUNTED_MAX = 1_000


class Keep(Enum):
    """Says that a field keeps its value."""

    KEEP = 0


KEEP: Literal[Keep.KEEP] = Keep.KEEP


class _Gone(NamedTuple):
    """Rows that were deleted, and whether those were all."""

    members: int
    uses: int
    complete: bool


class Groups(Members):
    """Use cases around groups; those around their members are in the base class."""

    def get(self, caller: Caller, group_id: str, *, at_least: str | None = None) -> Group:
        """One group, with the number of its members.

        Raises:
            ForbiddenError, TenantScopeError: the caller may not read groups.
            InputError: an id that is none.
            ConflictError: the model's groups have no members.
            NotFoundError: neither a document nor a relationship speaks of it.
            RevisionError: ``at_least`` can not be met.
        """
        require_groups(caller, "groups:read")
        with self._base.view(caller) as view:
            self._base.require_fresh(view, at_least)
            return require_group(view.snapshot, group_form(view, group_id), group_id)

    def list(
        self, caller: Caller, *, page: Page = FIRST_PAGE, at_least: str | None = None
    ) -> GroupPage:
        """A page of all groups, as of the first page's revision; names are the latest.

        Raises:
            ForbiddenError, TenantScopeError: the caller may not read groups.
            InputError: a page size or cursor that is none.
            ConflictError: the model's groups have no members.
            RevisionError: the cursor's revision was collected, or ``at_least`` can not be met.
        """
        require_groups(caller, "groups:read")
        base = self._base
        size = base.page_size(page)
        query = query_digest("groups", caller.application)
        cursor = Cursor.decode(page.cursor, base.cursor_secret, query) if page.cursor else None
        with base.pinned(caller, cursor) if cursor else base.view(caller) as view:
            base.require_fresh(view, at_least)
            position = cursor.position if cursor else b""
            rows, following = some_groups(view.snapshot, group_form(view), position, size)
            return GroupPage(
                rows=rows,
                next_cursor=self.next_cursor(view, query, following),
                page_size=size,
                revision=view.revision,
                zookie=base.view_zookie(view),
            )

    def put(
        self,
        caller: Caller,
        group_id: str,
        *,
        name: str | Literal[Keep.KEEP] | None = KEEP,
        members: Sequence[SubjectRef | ZeratulError] | None = None,
    ) -> Future[GroupPut]:
        """Make sure the group is there, with this name and exactly these members.

        A member that is there already stays as it is, its expiry included.

        Args:
            caller: who asks.
            group_id: which.
            name: for people; None takes it away.
            members: all of them; None leaves them alone.

        Raises:
            ForbiddenError, TenantScopeError: the caller may not write groups.
            InputError: an id or name that is none.
            ValidationError: members the model does not take, each by its place.
            LimitError: (also from the future) too many members, to put or to remove.
            ConflictError: the model's groups have no members.
        """
        require_groups(caller, "groups:write")
        if isinstance(name, str):
            _require_name(name)
        if members is not None:
            self.require_few(members, "members")
        return retrying(lambda: self._put(caller, group_id, name, members))

    def _put(
        self,
        caller: Caller,
        group_id: str,
        name: str | Literal[Keep.KEEP] | None,
        members: Sequence[SubjectRef | ZeratulError] | None,
    ) -> Future[GroupPut]:
        base, application = self._base, caller.application
        most = base.limits.filter_deletes_max
        with base.view(caller) as view:
            form = group_form(view, group_id)
            wanted = (
                None if members is None else member_rows(base, view, group_id, members, "members")
            )

        def job(tx: WriteTransaction) -> GroupPut:
            require_model(tx.snapshot, application, form.schema_revision)
            vocabulary = tx.snapshot.vocabulary(application)
            before = find_group(tx.snapshot, form, group_id)
            added: list[Row] = []
            removed: list[StoredRow] = []
            if wanted is not None:
                added, removed = _difference(tx.snapshot, form, group_id, wanted, most)
                delete_stored(tx, base.store, vocabulary, removed)
                tx.apply(base.store.prepare(application, added))
            kept = before.name if before else None
            named = kept if name is KEEP else name
            moved = before is None or bool(added or removed) or named != kept
            if moved or not has_document(tx.snapshot, form, group_id):
                put_group(tx, form, group_id, named)
            group = require_group(tx.snapshot, form, group_id)
            if moved:
                changes = written_subjects(added, vocabulary, "added")
                changes |= stored_subjects(tx.snapshot, vocabulary, removed, "removed")
                record(
                    tx,
                    caller,
                    "group.updated" if before else "group.created",
                    GROUP_TYPE,
                    group_id,
                    before=event_of(before) if before else None,
                    after=event_of(group) | changes,
                    batch_id=batch_of(tx) if changes else None,
                )
            zookie = base.zookie(application, tx.effective_revision, form.schema_revision)
            return GroupPut(
                group=group,
                created=before is None,
                added=len(added),
                removed=len(removed),
                zookie=zookie,
            )

        return base.store.write(job)

    def delete(
        self, caller: Caller, group_id: str, *, force: bool = False
    ) -> Future[GroupDeleted]:
        """Delete the group and its members; with ``force`` also whatever names it.

        Everything goes in one commit, up to ``Limits.filter_deletes_max`` relationships: members
        first, then what names the group, the document last. What is left is left for another call.

        Raises:
            ForbiddenError, TenantScopeError: the caller may not write groups.
            InputError: an id that is none.
            NotFoundError: (also from the future) there is no such group.
            InUseError: (also from the future) it is named as a subject, and ``force`` is off.
            ConflictError: the model's groups have no members.
        """
        require_groups(caller, "groups:write")
        return retrying(lambda: self._delete(caller, group_id, force=force))

    def _delete(self, caller: Caller, group_id: str, *, force: bool) -> Future[GroupDeleted]:
        base, application = self._base, caller.application
        most = base.limits.filter_deletes_max
        with base.view(caller) as view:
            form = group_form(view, group_id)
            grants = grant_form(view)
            require_group(view.snapshot, form, group_id)
            node = view.snapshot.node(form.type_slot, group_id)
            if node is not None and not force:
                require_unused(view.snapshot, view.vocabulary, node, group_id, most)

        def job(tx: WriteTransaction) -> GroupDeleted:
            snapshot = tx.snapshot
            require_model(snapshot, application, form.schema_revision)
            before = require_group(snapshot, form, group_id)
            node = snapshot.node(form.type_slot, group_id)
            gone = _Gone(0, 0, complete=True)
            if node is not None:
                if not force:
                    vocabulary = snapshot.vocabulary(application)
                    require_unused(snapshot, vocabulary, node, group_id, _RECOUNTED_MAX)
                gone = self._delete_rows(tx, application, node, grants)
            if gone.complete:
                forget_group(tx, form, group_id)
            record(
                tx,
                caller,
                "group.deleted",
                GROUP_TYPE,
                group_id,
                before=event_of(before),
                after={"removed": gone.members, "uses": gone.uses, "complete": gone.complete},
                batch_id=batch_of(tx) if gone.members or gone.uses else None,
            )
            zookie = base.zookie(application, tx.effective_revision, form.schema_revision)
            return GroupDeleted(*gone, zookie)

        return base.store.write(job)

    def _delete_rows(
        self, tx: WriteTransaction, application: int, node: int, grants: GrantForm | None
    ) -> _Gone:
        """Delete what is stored on a group and what names it, as much as a call may."""
        base, snapshot = self._base, tx.snapshot
        most = base.limits.filter_deletes_max
        vocabulary = snapshot.vocabulary(application)
        members = used = 0
        held: set[int] = set()
        for rows in own_rows(snapshot, node, most):
            members += delete_stored(tx, base.store, vocabulary, rows)
        for rows in uses(snapshot, node, most - members):
            if grants is not None:
                held |= {row.resource for row in rows if row.slot == grants.holder}
            used += delete_stored(tx, base.store, vocabulary, rows)
        if grants is not None:
            drop_unheld(tx, base, grants, held)
        left = snapshot.scan_resource(node, limit=1) or snapshot.scan_subject(node, limit=1)
        return _Gone(members, used, complete=not left)


def _require_name(name: str) -> None:
    problem = id_problem(name.replace("#", "-"))  # The rules of ids, but `#` is no mark here.
    if not name:
        raise MalformedError("a name must not be empty", field="name", help="null takes it away")
    if len(name) > NAME_LENGTH_MAX:
        raise MalformedError(f"a name has at most {NAME_LENGTH_MAX} characters", field="name")
    if problem:
        raise MalformedError(problem.replace("an id", "a name"), field="name")


def _difference(
    snapshot: Snapshot, form: GroupForm, group_id: str, wanted: Sequence[Row], most: int
) -> tuple[list[Row], list[StoredRow]]:
    """The rows to write, and the stored ones to delete."""
    there = find_stored(snapshot, wanted)
    added = [row for row, found in zip(wanted, there, strict=True) if found is None]
    stay = {(found.subject_slot, found.subject) for found in there if found is not None}
    removed: list[StoredRow] = []
    for rows in all_members(snapshot, form, group_id):
        removed += (row for row in rows if (row.subject_slot, row.subject) not in stay)
        if len(removed) > most:
            raise LimitError(
                "filter_deletes_max",
                most,
                f"putting these members would remove more than {most:,}",
                help="remove them in several calls of `DELETE /authorization/relationships`",
                field="members",
            )
    return added, removed

"""Role assignments: who has which role, in a tenant, on a path or everywhere (contract §3).

*Decision*: where a role is defined and where it is assigned are two things. A tenant's own role
holds in its tenant only; a global one holds in one tenant, on one path or in the whole
application, whichever it is assigned for.

*Decision*: what keeps assignments apart is who, which role and where; the expiry belongs to one.
Assigning again with another expiry replaces it, as with relationships.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from zeratul.errors import NotFoundError
from zeratul.service.ground.answers import Deleted
from zeratul.service.ground.futures import resolved, retrying
from zeratul.service.ground.stored_model import require_model
from zeratul.service.ground.stored_rows import delete_stored, find_stored
from zeratul.service.roles.assigning import placed, record_assignment, warnings_of
from zeratul.service.roles.assignment_lists import AssignmentLists
from zeratul.service.roles.bulk_assignments import apply_bulk
from zeratul.service.roles.role_answers import Assigned
from zeratul.service.roles.stored_grants import (
    GrantForm,
    assignments,
    drop_unheld,
    find_assignment,
    grant_form,
    index_rows,
)
from zeratul.service.roles.stored_roles import require_role
from zeratul.service.roles.tenancy import note_tenant
from zeratul.store.interface import Outcome

if TYPE_CHECKING:
    from concurrent.futures import Future

    from zeratul.service.ground.caller import Caller
    from zeratul.service.ground.idempotency import Idempotent, Replay
    from zeratul.service.roles.role_answers import (
        Assignment,
        BulkAssigned,
        BulkAssignment,
        Wish,
    )
    from zeratul.store.interface import StoredRow, WriteTransaction


class Assignments(AssignmentLists):
    """Use cases around role assignments; the lists are in the base class."""

    def assign(
        self,
        caller: Caller,
        wish: Wish,
        tenant_id: str | None = None,
        *,
        idempotency: Idempotent | None = None,
    ) -> Future[Assigned | Replay]:
        """Make sure a subject has a role somewhere, with this expiry.

        Args:
            caller: who asks.
            wish: who, which role, where.
            tenant_id: the tenant of the call's path, if it has one.
            idempotency: what makes the request recognisable.

        Raises:
            ForbiddenError, TenantScopeError: the caller may not assign this.
            NotFoundError: another tenant than the caller's.
            InputError: an unknown role, a subject that can not have one, a tenant's own role
                elsewhere, a path, tenant id or expiry that is none.
            IdempotencyError: (also from the future) the same key with another request.
        """
        self._enter(caller, "assignments:write", tenant_id)
        return retrying(lambda: self._assign(caller, wish, tenant_id, idempotency))

    def _assign(
        self, caller: Caller, wish: Wish, tenant_id: str | None, idempotency: Idempotent | None
    ) -> Future[Assigned | Replay]:
        base, application = self._base, caller.application
        with base.view(caller) as view:
            replay = base.replay(idempotency, caller, view.snapshot)
            if replay is not None:
                return resolved(replay)
            form = grant_form(view)
            row, grant = placed(caller, view, form, wish, tenant_id, roles={}, new=True)
            if form is None:
                raise TypeError("placed without a form")
            prepared = base.store.prepare(
                application, [row, *index_rows(form, view.snapshot, [grant])]
            )

        def job(tx: WriteTransaction) -> Assigned:
            require_model(tx.snapshot, application, form.schema_revision)
            require_role(tx.snapshot, caller, grant.role)
            stored = find_stored(tx.snapshot, [row])[0]
            before = _assignment(tx, form, stored) if stored is not None else None
            outcome = tx.apply(prepared).writes[0]
            if grant.scope.tenant is not None:
                note_tenant(tx, application)
            after = _assignment(tx, form, find_stored(tx.snapshot, [row])[0])
            if outcome is not Outcome.EXISTING:
                record_assignment(tx, caller, before=before, after=after)
            return Assigned(
                after,
                outcome is Outcome.CREATED,
                warnings_of(tx.snapshot, caller, grant.scope),
                base.zookie(application, tx.effective_revision, form.schema_revision),
            )

        return base.write_once(caller, idempotency, job)

    def unassign(
        self, caller: Caller, wish: Wish, tenant_id: str | None = None
    ) -> Future[Deleted]:
        """Make sure a subject does not have a role somewhere; whatever expiry it had.

        Raises:
            ForbiddenError, TenantScopeError: the caller may not take this away.
            NotFoundError: another tenant than the caller's.
            InputError: an unknown role, a subject that can not have one, a path or tenant id that
                is none.
        """
        self._enter(caller, "assignments:write", tenant_id)
        return retrying(lambda: self._unassign(caller, wish, tenant_id))

    def _unassign(self, caller: Caller, wish: Wish, tenant_id: str | None) -> Future[Deleted]:
        base = self._base
        with base.view(caller) as view:
            form = grant_form(view)
            row, _ = placed(caller, view, form, wish, tenant_id, roles={}, new=False)
            if form is None:
                raise TypeError("placed without a form")

        def job(tx: WriteTransaction) -> Deleted:
            require_model(tx.snapshot, caller.application, form.schema_revision)
            stored = find_stored(tx.snapshot, [row])[0]
            if stored is not None:
                self._take(tx, caller, form, stored)
            zookie = base.zookie(caller.application, tx.effective_revision, form.schema_revision)
            return Deleted(int(stored is not None), zookie)

        return base.store.write(job)

    def unassign_id(
        self, caller: Caller, assignment_id: str, tenant_id: str | None = None
    ) -> Future[str]:
        """Take an assignment away by its id; the future has the zookie.

        Raises:
            ForbiddenError, TenantScopeError: the caller may not take this away.
            NotFoundError: (also from the future) there is none of this id, or not in the tenant.
            InputError: a tenant id that is none.
        """
        self._enter(caller, "assignments:write", tenant_id)
        inside = tenant_id or caller.tenant_id
        return retrying(lambda: self._unassign_id(caller, assignment_id, inside))

    def _unassign_id(self, caller: Caller, assignment_id: str, inside: str | None) -> Future[str]:
        base = self._base
        with base.view(caller) as view:
            form = grant_form(view)
            if form is None:
                raise _missing(assignment_id)

        def job(tx: WriteTransaction) -> str:
            require_model(tx.snapshot, caller.application, form.schema_revision)
            stored = find_assignment(tx.snapshot, form, assignment_id)
            if stored is None:
                raise _missing(assignment_id)
            # Like for one that is not there: nothing is learned of other tenants.
            if inside is not None and _assignment(tx, form, stored).scope.tenant != inside:
                raise _missing(assignment_id)
            self._take(tx, caller, form, stored)
            return base.zookie(caller.application, tx.effective_revision, form.schema_revision)

        return base.store.write(job)

    def bulk(
        self, caller: Caller, request: BulkAssignment, tenant_id: str | None = None
    ) -> Future[BulkAssigned | Replay]:
        """Take away, then assign: thousands in one transaction, each item diagnosed.

        Raises:
            ForbiddenError: the caller lacks ``assignments:write``.
            NotFoundError: the path's tenant is another one than the caller's.
            LimitError: more items than a call may have.
            ValidationError: invalid items, all told, when errors are to fail the call.
            IdempotencyError: (also from the future) the same key with another request.
        """
        self._enter(caller, "assignments:write", tenant_id)
        return apply_bulk(self._base, caller, request, tenant_id)

    def _take(
        self, tx: WriteTransaction, caller: Caller, form: GrantForm, stored: StoredRow
    ) -> None:
        before = _assignment(tx, form, stored)
        delete_stored(tx, self._base.store, form.vocabulary, [stored])
        drop_unheld(tx, self._base, form, [stored.resource])
        record_assignment(tx, caller, before=before)


def _missing(assignment_id: str) -> NotFoundError:
    return NotFoundError(f"there is no role assignment `{assignment_id[:128]}`")


def _assignment(tx: WriteTransaction, form: GrantForm, stored: StoredRow | None) -> Assignment:
    if stored is None:
        raise TypeError("the row was written")
    found = assignments(tx.snapshot, form, [stored])[0]
    if stored.created == tx.revision:  # A time of its own comes with the commit.
        return found._replace(created_at_ms=tx.now_ms)
    return found

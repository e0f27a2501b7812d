"""Thousands of assignments in one transaction, each item diagnosed (contract authaz §3, §5)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal, NamedTuple

from zeratul.errors import InputError, LimitError, ValidationError, ZeratulError
from zeratul.service.ground.answers import BulkAnswer, ItemResult, ItemStatus
from zeratul.service.ground.audit import batch_of, record
from zeratul.service.ground.futures import ModelMovedError, resolved, retrying
from zeratul.service.ground.stored_model import require_model
from zeratul.service.ground.validation import SUGGESTIONS_MAX, findings_of, place
from zeratul.service.relationships.bulk import foresee
from zeratul.service.roles.assigning import Placed, placed, warnings_of
from zeratul.service.roles.role_answers import BulkAssigned, BulkAssignment
from zeratul.service.roles.stored_grants import GrantForm, drop_unheld, grant_form, index_rows
from zeratul.service.roles.stored_roles import ROLE_KIND
from zeratul.service.roles.tenancy import note_tenant
from zeratul.store.interface import Applied, Outcome

if TYPE_CHECKING:
    from collections.abc import Sequence
    from concurrent.futures import Future

    from zeratul.dispatch.view import View
    from zeratul.service.ground.caller import Caller
    from zeratul.service.ground.foundation import Foundation
    from zeratul.service.ground.idempotency import Replay
    from zeratul.service.roles.role_answers import Wish
    from zeratul.service.roles.stored_roles import StoredRole
    from zeratul.store.interface import Row, Snapshot, WriteTransaction

Operation = Literal["write", "delete"]

_STATUS: dict[Outcome, ItemStatus] = {
    Outcome.CREATED: "created",
    Outcome.EXISTING: "existing",
    Outcome.REPLACED: "replaced",
    Outcome.DELETED: "deleted",
    Outcome.ABSENT: "absent",
}


class _Judged(NamedTuple):
    """Items of one list, in their order: a row and its grant, or an error."""

    items: list[Placed | ZeratulError]

    @property
    def placed(self) -> list[Placed]:
        return [each for each in self.items if isinstance(each, Placed)]

    @property
    def rows(self) -> list[Row]:
        return [each.row for each in self.placed]

    @property
    def errors(self) -> list[ZeratulError]:
        return [each for each in self.items if isinstance(each, ZeratulError)]


class _Valid(NamedTuple):
    """A bulk call judged by one schema; ``form`` is None where nothing in it is valid."""

    assign: _Judged
    unassign: _Judged
    form: GrantForm | None
    schema_revision: int


def apply_bulk(
    base: Foundation, caller: Caller, request: BulkAssignment, tenant_id: str | None
) -> Future[BulkAssigned | Replay]:
    """See ``Assignments.bulk``."""
    _require_size(base, request.assign, "assign")
    _require_size(base, request.unassign, "unassign")
    place(request.assign, "assign")
    place(request.unassign, "unassign")
    if request.dry_run:
        return resolved(_try(base, caller, request, tenant_id))
    return retrying(lambda: _write(base, caller, request, tenant_id))


def _require_size(base: Foundation, items: Sequence[object], name: str) -> None:
    most = base.limits.bulk_assignments_max
    if len(items) > most:
        raise LimitError(
            "bulk_assignments_max",
            most,
            f"a bulk call takes at most {most:,} items in `{name}`, this one has {len(items):,}",
            help="send them in several calls",
            field=name,
        )


def _try(
    base: Foundation, caller: Caller, request: BulkAssignment, tenant_id: str | None
) -> BulkAssigned:
    """What would happen now."""
    with base.view(caller) as view:
        valid = _judge(view, caller, request, tenant_id)
        applied = foresee(view.snapshot, valid.assign.rows, valid.unassign.rows)
        return _answer(view.snapshot, caller, request, valid, applied, base.view_zookie(view))


def _write(
    base: Foundation, caller: Caller, request: BulkAssignment, tenant_id: str | None
) -> Future[BulkAssigned | Replay]:
    idempotency = request.idempotency
    with base.view(caller) as view:
        replay = base.replay(idempotency, caller, view.snapshot)
        if replay is not None:
            return resolved(replay)
        valid = _judge(view, caller, request, tenant_id)
        rows = valid.assign.rows
        indexes: list[Row] = []
        if valid.form is not None:
            grants = [each.grant for each in valid.assign.placed]
            indexes = index_rows(valid.form, view.snapshot, grants)
    prepared = base.store.prepare(caller.application, [*rows, *indexes], valid.unassign.rows)

    def job(tx: WriteTransaction) -> BulkAssigned:
        require_model(tx.snapshot, caller.application, valid.schema_revision)
        _require_roles(tx.snapshot, caller.application, valid)
        applied = tx.apply(prepared)
        applied = Applied(applied.writes[: len(rows)], applied.deletes)
        _tidy(tx, base, caller, valid, applied)
        _record(tx, caller, tenant_id, applied)
        zookie = base.zookie(caller.application, tx.effective_revision, valid.schema_revision)
        return _answer(tx.snapshot, caller, request, valid, applied, zookie)

    return base.write_once(caller, idempotency, job)


def _judge(view: View, caller: Caller, request: BulkAssignment, tenant_id: str | None) -> _Valid:
    form = grant_form(view)
    roles: dict[str, StoredRole] = {}
    assign = _judge_all(view, caller, form, request.assign, tenant_id, roles, new=True)
    unassign = _judge_all(view, caller, form, request.unassign, tenant_id, roles, new=False)
    errors = assign.errors + unassign.errors
    if errors and request.on_error == "fail":
        count = len(errors)
        raise ValidationError(
            findings_of(errors),
            f"{count} invalid item{'s' if count != 1 else ''}; nothing was written",
        )
    return _Valid(assign, unassign, form, view.schema_revision)


def _judge_all(
    view: View,
    caller: Caller,
    form: GrantForm | None,
    wishes: Sequence[Wish | ZeratulError],
    tenant_id: str | None,
    roles: dict[str, StoredRole],
    *,
    new: bool,
) -> _Judged:
    name = "assign" if new else "unassign"
    items: list[Placed | ZeratulError] = []
    suggestions = SUGGESTIONS_MAX
    for index, wish in enumerate(wishes):
        where = f"{name}[{index}]"
        if isinstance(wish, ZeratulError):
            items.append(wish)
            continue
        try:
            found = placed(
                caller,
                view,
                form,
                wish,
                tenant_id,
                roles=roles,
                new=new,
                where=where + ".",
                suggest=suggestions > 0,
            )
        except InputError as error:
            items.append(error)
            suggestions -= 1
        except ZeratulError as error:
            # Of another tenant, or of the whole application: about the item all the same.
            items.append(InputError(error.message, field=where, help=error.help))
        else:
            items.append(found)
    return _Judged(items)


def _require_roles(snapshot: Snapshot, application: int, valid: _Valid) -> None:
    """Whether all roles are still there; a role never changes its tenant.

    Raises:
        ModelMovedError: one went: everything is to be judged again.
    """
    for role_id in dict.fromkeys(each.grant.role for each in valid.assign.placed):
        if snapshot.document(application, ROLE_KIND, role_id) is None:
            raise ModelMovedError


def _tidy(
    tx: WriteTransaction, base: Foundation, caller: Caller, valid: _Valid, applied: Applied
) -> None:
    form = valid.form
    if form is None:
        return
    gone = {
        each.row.resource_id
        for each, outcome in zip(valid.unassign.placed, applied.deletes, strict=True)
        if outcome is Outcome.DELETED
    }
    nodes = tx.snapshot.nodes([(form.grant_type, name) for name in gone])
    drop_unheld(tx, base, form, [node for node in nodes if node is not None])
    if any(each.grant.scope.tenant is not None for each in valid.assign.placed):
        note_tenant(tx, caller.application)


def _record(tx: WriteTransaction, caller: Caller, tenant_id: str | None, applied: Applied) -> None:
    """One summary for each direction; the change log has the rest under the batch's id."""
    inside = tenant_id or caller.tenant_id
    assigned = applied.writes.count(Outcome.CREATED) + applied.writes.count(Outcome.REPLACED)
    unassigned = applied.deletes.count(Outcome.DELETED)
    batch = batch_of(tx)
    summaries: list[tuple[str, dict[str, Any] | None, dict[str, Any] | None]] = []
    if unassigned:
        summaries.append(("role.unassigned", {"assignments": unassigned}, None))
    if assigned:
        summaries.append(("role.assigned", None, {"assignments": assigned}))
    for action, before, after in summaries:
        record(
            tx,
            caller,
            action,
            "role-assignments",
            batch,
            tenant_id=inside,
            before=before,
            after=after,
            batch_id=batch,
        )


def _answer(
    snapshot: Snapshot,
    caller: Caller,
    request: BulkAssignment,
    valid: _Valid,
    applied: Applied,
    zookie: str,
) -> BulkAssigned:
    results = _results(valid.assign, applied.writes, "write")
    results += _results(valid.unassign, applied.deletes, "delete")
    if request.results == "errors":
        results = [each for each in results if each.error is not None]
    replaced = applied.writes.count(Outcome.REPLACED)
    bulk = BulkAnswer(
        created=applied.writes.count(Outcome.CREATED),
        existing=applied.writes.count(Outcome.EXISTING) + replaced,
        replaced=replaced,
        deleted=applied.deletes.count(Outcome.DELETED),
        failed=len(valid.assign.errors) + len(valid.unassign.errors),
        results=results,
        dry_run=request.dry_run,
        zookie=zookie,
    )
    scopes = [each.grant.scope for each in valid.assign.placed]
    return BulkAssigned(bulk, warnings_of(snapshot, caller, *scopes))


def _results(
    judged: _Judged, outcomes: Sequence[Outcome], operation: Operation
) -> list[ItemResult]:
    left = iter(outcomes)
    return [
        ItemResult(index, "failed", item, operation)
        if isinstance(item, ZeratulError)
        else ItemResult(index, _STATUS[next(left)], None, operation)
        for index, item in enumerate(judged.items)
    ]

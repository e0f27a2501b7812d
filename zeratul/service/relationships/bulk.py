"""Thousands of writes and deletes in one transaction, each item diagnosed (contract authaz §5)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, NamedTuple

from zeratul.errors import InputError, LimitError, PreconditionError, ValidationError, ZeratulError
from zeratul.service.ground.answers import BulkAnswer, ItemResult
from zeratul.service.ground.audit import record_many
from zeratul.service.ground.columns import storable
from zeratul.service.ground.futures import resolved, retrying
from zeratul.service.ground.stored_model import require_model
from zeratul.service.ground.stored_rows import find_stored
from zeratul.service.ground.validation import findings_of, place
from zeratul.store.interface import Applied, Outcome, Row

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence, Sized
    from concurrent.futures import Future

    from zeratul.dispatch.view import View
    from zeratul.domain.relationship import Relationship
    from zeratul.service.ground.answers import ItemStatus, OnError
    from zeratul.service.ground.caller import Caller
    from zeratul.service.ground.columns import Candidates
    from zeratul.service.ground.foundation import Foundation
    from zeratul.service.ground.idempotency import Idempotent, Replay
    from zeratul.service.ground.validation import WriteTable
    from zeratul.service.relationships.relationship_answers import Precondition
    from zeratul.store.interface import RowColumns, Snapshot, WriteTransaction

_STATUS: dict[Outcome, ItemStatus] = {
    Outcome.CREATED: "created",
    Outcome.EXISTING: "existing",
    Outcome.REPLACED: "replaced",
    Outcome.DELETED: "deleted",
    Outcome.ABSENT: "absent",
}


@dataclass(frozen=True, slots=True)
class Draft:
    """Writes as columns, which are quicker where all of them are good.

    Attributes:
        candidates: the columns.
        items: makes the same one by one, to say what is wrong with which.
    """

    candidates: Candidates
    items: Callable[[], Sequence[Relationship | ZeratulError]]

    def __len__(self) -> int:
        return len(self.candidates.rows[0])


@dataclass(frozen=True, slots=True, kw_only=True)
class BulkRequest:
    """One bulk call, as asked."""

    writes: Sequence[Relationship | ZeratulError] | Draft
    deletes: Sequence[Relationship | ZeratulError]
    preconditions: Sequence[Precondition | ZeratulError]
    on_error: OnError
    results: Literal["all", "errors"]
    idempotency: Idempotent | None


class _Condition(NamedTuple):
    row: Row | None  # None: can never be there
    must_exist: bool
    text: str


_Failure = tuple[Literal["write", "delete"], int, ZeratulError]


class _Valid(NamedTuple):
    """A bulk call validated against one schema."""

    writes: list[Row] | RowColumns
    deletes: list[Row]
    write_places: Sequence[int | None]  # where in ``writes`` an item went; None: failed
    delete_places: Sequence[int | None]  # likewise; None: failed, or never stored
    errors: list[_Failure]
    conditions: list[_Condition]
    schema_revision: int


class Bulk:
    """Applies bulk calls."""

    def __init__(self, foundation: Foundation) -> None:
        self._base = foundation

    def apply(
        self,
        caller: Caller,
        writes: Sequence[Relationship | ZeratulError] | Draft,
        deletes: Sequence[Relationship | ZeratulError],
        *,
        on_error: OnError,
        dry_run: bool,
        preconditions: Sequence[Precondition | ZeratulError],
        results: Literal["all", "errors"],
        idempotency: Idempotent | None,
    ) -> Future[BulkAnswer | Replay]:
        """See ``Relationships.bulk``."""
        self._require_size(writes, "writes")
        self._require_size(deletes, "deletes")
        self._require_size(preconditions, "preconditions")
        if not isinstance(writes, Draft):
            place(writes, "writes")
        place(deletes, "deletes")
        place(preconditions, "preconditions")
        request = BulkRequest(
            writes=writes,
            deletes=deletes,
            preconditions=preconditions,
            on_error=on_error,
            results=results,
            idempotency=idempotency,
        )
        if dry_run:
            return resolved(self._try(caller, request))
        return retrying(lambda: self._write(caller, request))

    def _require_size(self, items: Sized, name: str) -> None:
        most = self._base.limits.bulk_writes_max
        if len(items) > most:
            raise LimitError(
                "bulk_writes_max",
                most,
                f"a bulk call takes at most {most:,} {name}, this one has {len(items):,}",
                help="send it in several calls, or use the import",
                field=name,
            )

    def _write(self, caller: Caller, request: BulkRequest) -> Future[BulkAnswer | Replay]:
        base = self._base
        idempotency = request.idempotency
        with base.view(caller) as view:
            replay = base.replay(idempotency, caller, view.snapshot)
            if replay is not None:
                return resolved(replay)
            valid = self._validate(view, request)
        prepared = base.store.prepare(caller.application, valid.writes, valid.deletes)

        def job(tx: WriteTransaction) -> BulkAnswer:
            require_model(tx.snapshot, caller.application, valid.schema_revision)
            _require_conditions(tx.snapshot, valid.conditions)
            applied = tx.apply(prepared)
            zookie = base.zookie(caller.application, tx.effective_revision, valid.schema_revision)
            answer = _answer(request, valid, applied, zookie, dry_run=False)
            counts = (answer.created, answer.replaced, answer.deleted)
            if any(counts):
                record_many(
                    tx,
                    caller,
                    "relationships.written",
                    dict(zip(("created", "replaced", "deleted"), counts, strict=True)),
                )
            return answer

        return base.write_once(caller, idempotency, job)

    def _try(self, caller: Caller, request: BulkRequest) -> BulkAnswer:
        """What would happen now."""
        with self._base.view(caller) as view:
            valid = self._validate(view, request)
            _require_conditions(view.snapshot, valid.conditions)
            writes = valid.writes
            rows = writes if isinstance(writes, list) else writes.rows()
            applied = foresee(view.snapshot, rows, valid.deletes)
            return _answer(request, valid, applied, self._base.view_zookie(view), dry_run=True)

    def _validate(self, view: View, request: BulkRequest) -> _Valid:
        table = self._base.table(view)
        writes, write_places, write_errors = _writes(table, request.writes, view.snapshot.now_ms)
        absent_rows, delete_errors = table.absent_rows(request.deletes, prefix="deletes")
        conditions, condition_errors = _conditions(table, request.preconditions)
        errors: list[_Failure] = [("write", *found) for found in write_errors]
        errors += [("delete", *found) for found in delete_errors]
        if condition_errors or (errors and request.on_error == "fail"):
            # A precondition nobody can evaluate never counts as one that holds.
            found = [error for _, _, error in errors] + condition_errors
            raise ValidationError(findings_of(found), _summary(len(found)))
        deletes, delete_places = _places(absent_rows)
        return _Valid(
            writes,
            deletes,
            write_places,
            delete_places,
            errors,
            conditions,
            view.schema_revision,
        )


def _writes(
    table: WriteTable, asked: Sequence[Relationship | ZeratulError] | Draft, now_ms: int
) -> tuple[list[Row] | RowColumns, Sequence[int | None], list[tuple[int, ZeratulError]]]:
    """The rows to write, where each item's went, and what is wrong with which item."""
    if isinstance(asked, Draft):
        columns, others = storable(table, asked.candidates, now_ms=now_ms)
        if not others:
            return columns, range(len(asked)), []
        asked = asked.items()
        place(asked, "writes")
    rows, errors = table.rows(asked, now_ms=now_ms, prefix="writes")
    return *_places(rows), errors


def _summary(count: int) -> str:
    return f"{count} invalid item{'s' if count != 1 else ''}; nothing was written"


def _places(rows: Sequence[Row | None]) -> tuple[list[Row], Sequence[int | None]]:
    """The rows there are, and where each item's went."""
    present = [row for row in rows if row is not None]
    if len(present) == len(rows):
        return present, range(len(rows))
    places: list[int | None] = []
    count = 0
    for row in rows:
        places.append(None if row is None else count)
        count += row is not None
    return present, places


def _conditions(
    table: WriteTable, preconditions: Sequence[Precondition | ZeratulError]
) -> tuple[list[_Condition], list[ZeratulError]]:
    conditions: list[_Condition] = []
    errors: list[ZeratulError] = []
    for index, item in enumerate(preconditions):
        if isinstance(item, ZeratulError):
            errors.append(item)
            continue
        kind = "mustExist" if item.must_exist else "mustNotExist"
        where = f"preconditions[{index}].{kind}"
        try:
            row = table.absent_row(item.relationship, where + ".")
        except InputError as error:
            errors.append(error)
            continue
        conditions.append(_Condition(row, item.must_exist, f"`{where}`: `{item.relationship}`"))
    return conditions, errors


def _require_conditions(snapshot: Snapshot, conditions: list[_Condition]) -> None:
    possible = [condition.row for condition in conditions if condition.row is not None]
    found = iter(find_stored(snapshot, possible))
    for condition in conditions:
        there = condition.row is not None and next(found) is not None
        if there != condition.must_exist:
            state = "is there" if there else "is not there"
            raise PreconditionError(f"the precondition {condition.text} {state}")


def foresee(snapshot: Snapshot, writes: list[Row], deletes: list[Row]) -> Applied:
    """What applying the rows would come to, by the same rules as the store's."""
    expiries: dict[tuple[object, ...], int | None] = {}
    for row, stored in zip(
        [*deletes, *writes], find_stored(snapshot, [*deletes, *writes]), strict=True
    ):
        if stored is not None:
            expiries[row[:6]] = stored.expires_at_ms
    deleted: list[Outcome] = []
    for row in deletes:
        deleted.append(Outcome.DELETED if row[:6] in expiries else Outcome.ABSENT)
        expiries.pop(row[:6], None)
    written: list[Outcome] = []
    for row in writes:
        if row[:6] not in expiries:
            written.append(Outcome.CREATED)
        elif expiries[row[:6]] == row.expires_at_ms:
            written.append(Outcome.EXISTING)
        else:
            written.append(Outcome.REPLACED)
        expiries[row[:6]] = row.expires_at_ms
    return Applied(written, deleted)


def _answer(
    request: BulkRequest, valid: _Valid, applied: Applied, zookie: str, *, dry_run: bool
) -> BulkAnswer:
    failures = {(operation, index): error for operation, index, error in valid.errors}
    replaced = applied.writes.count(Outcome.REPLACED)
    if request.results == "errors":
        results = [
            ItemResult(index, "failed", error, operation)
            for (operation, index), error in failures.items()
        ]
    else:
        status = _STATUS
        writes, deletes = applied.writes, applied.deletes
        results = [
            ItemResult(index, "failed", failures["write", index])
            if row is None
            else ItemResult(index, status[writes[row]])
            for index, row in enumerate(valid.write_places)
        ]
        for index, row in enumerate(valid.delete_places):
            error = failures.get(("delete", index))
            if error is not None:
                results.append(ItemResult(index, "failed", error, "delete"))
            else:
                found = status[deletes[row]] if row is not None else "absent"
                results.append(ItemResult(index, found, None, "delete"))
    return BulkAnswer(
        created=applied.writes.count(Outcome.CREATED),
        existing=applied.writes.count(Outcome.EXISTING) + replaced,
        replaced=replaced,
        deleted=applied.deletes.count(Outcome.DELETED),
        failed=len(failures),
        results=results,
        dry_run=dry_run,
        zookie=zookie,
    )

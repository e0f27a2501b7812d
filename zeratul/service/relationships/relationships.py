"""Write, delete and read stored relationships (contract authaz §5).

A write is validated against the schema of a view, before the writers' lock; inside the transaction
the model must still be the same one, else everything is validated again: no row is ever written
that the current model forbids.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from zeratul.service.ground.answers import Deleted, OnError
from zeratul.service.ground.audit import record, relationship_event, user_of
from zeratul.service.ground.futures import resolved, retrying
from zeratul.service.ground.stored_model import require_model
from zeratul.service.ground.stored_rows import find_stored
from zeratul.service.ground.validation import DIRECT_GRANTS
from zeratul.service.relationships.bulk import Bulk, Draft
from zeratul.service.relationships.deletion import delete_by_filter
from zeratul.service.relationships.reading import Reading
from zeratul.service.relationships.relationship_answers import RelationshipFilter, Written
from zeratul.store.interface import Outcome

if TYPE_CHECKING:
    from collections.abc import Sequence
    from concurrent.futures import Future
    from typing import Literal

    from zeratul.domain.relationship import Relationship
    from zeratul.errors import ZeratulError
    from zeratul.service.ground.answers import BulkAnswer
    from zeratul.service.ground.caller import Caller
    from zeratul.service.ground.foundation import Foundation
    from zeratul.service.ground.idempotency import Idempotent, Replay
    from zeratul.service.relationships.relationship_answers import Precondition
    from zeratul.store.interface import Row, WriteTransaction


class Relationships(Reading):
    """Use cases around stored relationships; the reading ones are in the base class."""

    def __init__(self, foundation: Foundation) -> None:
        super().__init__(foundation)
        self._bulk = Bulk(foundation)

    def write(
        self,
        caller: Caller,
        relationship: Relationship,
        *,
        idempotency: Idempotent | None = None,
    ) -> Future[Written | Replay]:
        """Make sure the relationship is there, with this expiry.

        Raises:
            ForbiddenError: the caller lacks ``relationships:write``.
            TenantScopeError: the caller acts in one tenant only.
            InputError: the schema or the rules of ids do not let it be stored.
            IdempotencyError: (also from the future) the same key with another request.
        """
        _require_write(caller)
        return retrying(lambda: self._write(caller, relationship, idempotency))

    def _write(
        self, caller: Caller, relationship: Relationship, idempotency: Idempotent | None
    ) -> Future[Written | Replay]:
        base = self._base
        with base.view(caller) as view:
            replay = base.replay(idempotency, caller, view.snapshot)
            if replay is not None:
                return resolved(replay)
            row = base.table(view).row(relationship, now_ms=view.snapshot.now_ms)
            schema_revision = view.schema_revision
        prepared = base.store.prepare(caller.application, (row,))

        def job(tx: WriteTransaction) -> Written:
            snapshot = tx.snapshot
            require_model(snapshot, caller.application, schema_revision)
            stored = find_stored(snapshot, [row])[0]
            outcome = tx.apply(prepared).writes[0]
            created = outcome == Outcome.CREATED
            if outcome != Outcome.EXISTING:
                before = None
                if stored is not None:
                    before = relationship._replace(expires_at_ms=stored.expires_at_ms)
                _record(tx, caller, before, relationship)
            return Written(
                relationship,
                created,
                tx.now_ms if created else _created_at_ms(tx, row),
                base.zookie(caller.application, tx.effective_revision, schema_revision),
            )

        return base.write_once(caller, idempotency, job)

    def delete(
        self, caller: Caller, relationship: Relationship, *, dry_run: bool = False
    ) -> Future[Deleted]:
        """Make sure the relationship is not there; absent is no error.

        Raises:
            ForbiddenError: the caller lacks ``relationships:write``.
            TenantScopeError: the caller acts in one tenant only.
            InputError: a type or relation that is not declared, or an id that breaks the rules.
        """
        _require_write(caller)
        base = self._base
        with base.view(caller) as view:
            row = base.table(view).absent_row(relationship, "")
            if row is None:
                return resolved(Deleted(0, base.view_zookie(view), dry_run=dry_run))
            if dry_run:
                there = find_stored(view.snapshot, [row])[0] is not None
                return resolved(Deleted(int(there), base.view_zookie(view), dry_run=True))
            schema_revision = view.schema_revision
        prepared = base.store.prepare(caller.application, (), (row,))

        def job(tx: WriteTransaction) -> Deleted:
            stored = find_stored(tx.snapshot, [row])[0]
            deleted = tx.apply(prepared).deletes[0] == Outcome.DELETED
            if deleted and stored is not None:
                before = relationship._replace(expires_at_ms=stored.expires_at_ms)
                _record(tx, caller, before, None)
            zookie = base.zookie(caller.application, tx.effective_revision, schema_revision)
            return Deleted(int(deleted), zookie)

        return base.store.write(job)

    def delete_by_filter(
        self, caller: Caller, wanted: RelationshipFilter, *, dry_run: bool = False
    ) -> Future[Deleted]:
        """Delete what matches at the commit, at most ``Limits.filter_deletes_max`` of it.

        Raises:
            ForbiddenError: the caller lacks ``relationships:write``.
            TenantScopeError: the caller acts in one tenant only.
            InputError: neither a subject nor a resource with its id, or an unknown name.
        """
        _require_write(caller)
        return delete_by_filter(self._base, caller, wanted, dry_run=dry_run)

    def bulk(
        self,
        caller: Caller,
        writes: Sequence[Relationship | ZeratulError] | Draft,
        deletes: Sequence[Relationship | ZeratulError] = (),
        *,
        on_error: OnError = "fail",
        dry_run: bool = False,
        preconditions: Sequence[Precondition | ZeratulError] = (),
        results: Literal["all", "errors"] = "all",
        idempotency: Idempotent | None = None,
    ) -> Future[BulkAnswer | Replay]:
        """Apply many writes and deletes in one transaction; deletes first.

        Args:
            caller: who asks.
            writes: relationships, or what was wrong with an item that could not be decoded; or
                all of them as columns.
            deletes: the same one by one.
            on_error: ``fail`` refuses everything if anything is invalid, ``continue`` applies the
                valid items.
            dry_run: say what would happen.
            preconditions: what must hold at the commit.
            results: whether ``results`` lists every item or only failed ones.
            idempotency: what makes a repeated request recognisable.

        Raises:
            ForbiddenError: the caller lacks ``relationships:write``.
            TenantScopeError: the caller acts in one tenant only.
            LimitError: more items than a call may have.
            ValidationError: (``fail`` only; also from the future) every finding, by item.
            PreconditionError: (also from the future) naming the one that does not hold.
        """
        _require_write(caller)
        return self._bulk.apply(
            caller,
            writes,
            deletes,
            on_error=on_error,
            dry_run=dry_run,
            preconditions=preconditions,
            results=results,
            idempotency=idempotency,
        )


def _record(
    tx: WriteTransaction,
    caller: Caller,
    before: Relationship | None,
    after: Relationship | None,
) -> None:
    """The event of one relationship; its target is the resource."""
    fact = after or before
    if fact is None:
        return
    if before is None:
        action = "relationship.created"
    else:
        action = "relationship.deleted" if after is None else "relationship.updated"
    record(
        tx,
        caller,
        action,
        fact.resource_type,
        fact.resource_id,
        user_id=user_of(fact.subject),
        before=relationship_event(before) if before is not None else None,
        after=relationship_event(after) if after is not None else None,
    )


def _require_write(caller: Caller) -> None:
    caller.require("relationships:write")
    caller.require_whole_application(DIRECT_GRANTS)


def _created_at_ms(tx: WriteTransaction, row: Row) -> int | None:
    found = find_stored(tx.snapshot, [row])[0]
    if found is None:
        return None
    if found.created == tx.revision:  # Another job of this very commit made it.
        return tx.now_ms
    return tx.snapshot.revision_times([found.created])[0]

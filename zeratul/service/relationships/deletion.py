"""Deletion by filter: everything of a user, everything on a resource."""

from __future__ import annotations

from typing import TYPE_CHECKING

from zeratul.service.ground.answers import Deleted
from zeratul.service.ground.audit import record_many, user_of
from zeratul.service.ground.futures import resolved, retrying
from zeratul.service.ground.stored_model import require_model
from zeratul.service.ground.stored_rows import delete_stored
from zeratul.service.relationships.filters import select

if TYPE_CHECKING:
    from collections.abc import Iterator
    from concurrent.futures import Future

    from zeratul.domain.vocabulary import Vocabulary
    from zeratul.service.ground.caller import Caller
    from zeratul.service.ground.foundation import Foundation
    from zeratul.service.relationships.filters import Selection
    from zeratul.service.relationships.relationship_answers import RelationshipFilter
    from zeratul.store.interface import Snapshot, StoredRow, WriteTransaction

# LIMIT: rows in memory at a time.
_CHUNK_ROWS = 10_000


def delete_by_filter(
    base: Foundation, caller: Caller, wanted: RelationshipFilter, *, dry_run: bool
) -> Future[Deleted]:
    """See ``Relationships.delete_by_filter``.

    The rows are read inside the transaction: what is deleted is exactly what is there at its
    commit, whatever was written since the caller last looked. The rules must still be the same: a
    type that was renamed meanwhile must not look like one that holds nothing.
    """
    return retrying(lambda: _attempt(base, caller, wanted, dry_run=dry_run))


def _attempt(
    base: Foundation, caller: Caller, wanted: RelationshipFilter, *, dry_run: bool
) -> Future[Deleted]:
    most = base.limits.filter_deletes_max
    with base.view(caller) as view:
        selection = select(view.schema, wanted)
        schema_revision = view.schema_revision
        if dry_run:
            chunks = _chunks(selection, view.snapshot, view.vocabulary, most + 1)
            count = sum(map(len, chunks))
            zookie = base.view_zookie(view)
            return resolved(
                Deleted(min(count, most), zookie, complete=count <= most, dry_run=True)
            )

    def job(tx: WriteTransaction) -> Deleted:
        require_model(tx.snapshot, caller.application, schema_revision)
        vocabulary = tx.snapshot.vocabulary(caller.application)
        deleted, last = 0, b""
        for rows in _chunks(selection, tx.snapshot, vocabulary, most):
            deleted += delete_stored(tx, base.store, vocabulary, rows)
            last = rows[-1].position
        left = deleted >= most and bool(
            selection.read(tx.snapshot, vocabulary, after=last, limit=1)
        )
        if deleted:
            record_many(
                tx,
                caller,
                "relationships.deleted",
                {"deleted": deleted, "complete": not left},
                before=_event(wanted),
                user_id=user_of(wanted.subject),
            )
        zookie = base.zookie(caller.application, tx.effective_revision, schema_revision)
        return Deleted(deleted, zookie, complete=not left)

    return base.store.write(job)


def _event(wanted: RelationshipFilter) -> dict[str, str]:
    """What was asked to be deleted."""
    named = {
        "subject": None if wanted.subject is None else str(wanted.subject),
        "resource": wanted.resource_type,
        "resourceId": wanted.resource_id,
        "relation": wanted.relation,
    }
    return {name: value for name, value in named.items() if value is not None}


def _chunks(
    selection: Selection, snapshot: Snapshot, vocabulary: Vocabulary, most: int
) -> Iterator[list[StoredRow]]:
    """Matching rows in chunks, ``most`` in all; rows already given may be deleted meanwhile."""
    after = b""
    while most > 0:
        rows = selection.read(snapshot, vocabulary, after=after, limit=min(_CHUNK_ROWS, most))
        if not rows:
            return
        after = rows[-1].position
        most -= len(rows)
        yield rows

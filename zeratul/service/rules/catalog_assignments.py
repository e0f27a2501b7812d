"""Role assignments on paths of resources that go: counted, and taken away when forced.

Without its resource a path gives nothing; but it would again, to whoever has it, as soon as
somebody declares a resource of that name.
"""

from __future__ import annotations

from contextlib import nullcontext
from typing import TYPE_CHECKING

from pyroaring import BitMap

from zeratul.domain.scopes import first_segment
from zeratul.errors import LimitError
from zeratul.service.roles.stored_grants import (
    CHUNK_ROWS,
    count_holders,
    drop_grants,
    grants_of_scopes,
)
from zeratul.service.rules.orphans import may_have_come

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterator
    from contextlib import AbstractContextManager

    from zeratul.dispatch.view import View
    from zeratul.service.ground.foundation import Foundation
    from zeratul.service.roles.stored_grants import GrantForm
    from zeratul.store.interface import Snapshot, Store, WriteTransaction


class PathAssignments:
    """Assignments on paths that begin with certain segments.

    NOTE: no index leads from a segment to its paths: each scope that anybody has a role on is
    looked at (7 us each). That is before the writers' lock, and never for a change that takes no
    resource away; in the transaction only if one may have come meanwhile.

    Args:
        form: None as long as the application has no roles.
        segments: as they are stored (``Catalog.segment``).
    """

    def __init__(self, form: GrantForm | None, segments: Collection[str]) -> None:
        self._form = form if segments else None
        self._segments = segments
        self._found = BitMap()

    def count(self, view: View, store: Store) -> dict[str, int]:
        """Find them: live ones by form of subject (``group#member``), as of the view.

        No snapshot is held for long: each chunk is read as of the view's revision.
        """
        if self._form is None:
            return {}
        revision, now_ms = view.revision, view.snapshot.now_ms

        def open_snapshot() -> AbstractContextManager[Snapshot]:
            return store.snapshot(revision=revision, now_ms=now_ms)

        counts: dict[str, int] = {}
        for grants in self._grants(self._form, open_snapshot):
            self._found |= grants
            with open_snapshot() as snapshot:
                for form, count in count_holders(snapshot, self._form, grants).items():
                    counts[form] = counts.get(form, 0) + count
        return counts

    def delete(self, tx: WriteTransaction, base: Foundation, since: int) -> dict[str, int]:
        """Take those away that were counted as of revision ``since``, and those that came since.

        Returns:
            How many there were, by form of subject.

        Raises:
            LimitError: more than may go in one commit.
        """
        form, grants = self._form, self._found
        if form is None:
            return {}
        holders = {(form.holder, slot) for slot, _ in form.holders.values()}
        if may_have_come(tx, since, holders):
            found = self._grants(form, lambda: nullcontext(tx.snapshot))
            grants = BitMap.union(BitMap(), *found)
        counts = count_holders(tx.snapshot, form, grants)
        total, most = sum(counts.values()), base.limits.role_unassign_max
        if total > most:
            raise LimitError(
                "role_unassign_max",
                most,
                f"{total:,} role assignments would go, at most {most:,} go in one call",
                help="take them away in bulk calls first",
            )
        drop_grants(tx, base, form, grants)
        return counts

    def _grants(
        self, form: GrantForm, open_snapshot: Callable[[], AbstractContextManager[Snapshot]]
    ) -> Iterator[BitMap]:
        """The grants on these paths, in chunks; grants may vanish between two of them."""
        after = b""
        while True:
            with open_snapshot() as snapshot:
                rows = snapshot.scan_type(
                    form.scope_type,
                    slots=(form.scope_grants,),
                    after=after,
                    limit=CHUNK_ROWS,
                    one_each=True,
                )
                if not rows:
                    return
                nodes = [row.resource for row in rows]
                chosen = [
                    node
                    for node, name in zip(nodes, snapshot.ids(nodes), strict=True)
                    if first_segment(name) in self._segments
                ]
                grants = grants_of_scopes(snapshot, form, chosen)
            after = rows[-1].position
            if grants:
                yield grants

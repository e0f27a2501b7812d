"""A small application in a store, and short ways to write and read it by names."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from tests.unit.store.model import Fact
from zeratul.store.interface import Applied, Outcome, Row, RowColumns

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from zeratul.store.interface import Prepared, Snapshot, Store, WriteTransaction

NAMES = [
    *(("user", ""), ("user", "*")),
    *(("group", ""), ("group", "*"), ("group", "member")),
    *(("doc", ""), ("doc", "*"), ("doc", "viewer"), ("doc", "owner")),
]


def columns_of(rows: Sequence[Row]) -> RowColumns:
    """The same as columns; a name stands there once for each end."""
    expiries = [row.expires_at_ms for row in rows]
    return RowColumns(
        [row.resource_type for row in rows] + [row.subject_type for row in rows],
        [row.resource_id for row in rows] + [row.subject_id for row in rows],
        np.arange(len(rows)),
        np.array([row.slot for row in rows], np.uint64),
        np.array([row.subject_slot for row in rows], np.uint64),
        np.arange(len(rows)) + len(rows),
        None if expiries.count(None) == len(rows) else expiries,
    )


class World:
    """Users, groups of users and groups, documents with viewers and owners."""

    def __init__(self, store: Store) -> None:
        self.store = store

        def set_up(tx: WriteTransaction) -> int:
            application = tx.new_application()
            tx.intern_slots(application, NAMES)
            return application

        self.application = store.write(set_up).result()
        with store.snapshot() as snapshot:
            self.vocabulary = snapshot.vocabulary(self.application)

    def slot(self, type_name: str, relation: str = "") -> int:
        """The number of a slot."""
        return self.vocabulary.slots[type_name, relation]

    def fact(self, text: str) -> Fact:
        """``doc:a#viewer@user:u`` with this world's numbers."""
        resource, _, rest = text.partition("#")
        relation, _, subject_text = rest.partition("@")
        subject, _, subject_relation = subject_text.partition("#")
        if subject.endswith(":*"):
            subject_relation = "*"
        return Fact(
            resource,
            self.slot(resource.split(":", 1)[0], relation),
            self.slot(subject.split(":", 1)[0], subject_relation),
            subject,
        )

    def row(self, fact: Fact, expires_at_ms: int | None = None) -> Row:
        """A row to write."""
        resource_type, resource_id = fact.resource.split(":", 1)
        subject_type, subject_id = fact.subject.split(":", 1)
        return Row(
            self.slot(resource_type),
            resource_id,
            fact.slot,
            fact.subject_slot,
            self.slot(subject_type),
            subject_id,
            expires_at_ms,
        )

    def prepare(
        self,
        writes: Iterable[str | Fact | tuple[str | Fact, int | None]] = (),
        deletes: Iterable[str | Fact] = (),
        *,
        as_columns: bool = False,
    ) -> Prepared:
        """Prepare relationships given as text; with an expiry where they come as pairs."""
        write_rows = []
        for item in writes:
            pair = isinstance(item, tuple) and not isinstance(item, Fact)
            fact, expires_at_ms = item if pair else (item, None)
            write_rows.append(self.row(self._fact(fact), expires_at_ms))
        delete_rows = [self.row(self._fact(item)) for item in deletes]
        chosen = columns_of(write_rows) if as_columns else write_rows
        return self.store.prepare(self.application, chosen, delete_rows)

    def _fact(self, item: str | Fact) -> Fact:
        return self.fact(item) if isinstance(item, str) else item

    def apply(
        self,
        writes: Iterable[str | Fact | tuple[str | Fact, int | None]] = (),
        deletes: Iterable[str | Fact] = (),
    ) -> Applied:
        """Write and delete in one commit."""
        prepared = self.prepare(writes, deletes)
        return self.store.write(lambda tx: tx.apply(prepared)).result()

    def write(self, *writes: str | tuple[str, int | None]) -> list[Outcome]:
        """Write in one commit."""
        return self.apply(writes).writes

    def delete(self, *deletes: str) -> list[Outcome]:
        """Delete in one commit."""
        return self.apply((), deletes).deletes

    def revision(self) -> int:
        """The newest revision."""
        with self.store.snapshot() as snapshot:
            return snapshot.revision

    def node(self, snapshot: Snapshot, name: str) -> int | None:
        """Node of ``type:id``."""
        type_name, object_id = name.split(":", 1)
        return snapshot.node(self.slot(type_name), object_id)

    def known(self, snapshot: Snapshot, names: Iterable[str]) -> dict[str, int]:
        """Nodes of those names that have one."""
        nodes = {name: self.node(snapshot, name) for name in names}
        return {name: node for name, node in nodes.items() if node is not None}

    def has(self, snapshot: Snapshot, *texts: str) -> list[bool]:
        """Whether each relationship is there."""
        return [self._has(snapshot, self.fact(text)) for text in texts]

    def _has(self, snapshot: Snapshot, fact: Fact) -> bool:
        resource, subject = self.node(snapshot, fact.resource), self.node(snapshot, fact.subject)
        if resource is None or subject is None:
            return False
        return snapshot.has([(resource, fact.slot, fact.subject_slot, subject)])[0]

    def texts(self, snapshot: Snapshot, nodes: Iterable[int]) -> set[str]:
        """Names of nodes."""
        return {
            f"{self.vocabulary.names[type_slot][0]}:{object_id}"
            for type_slot, object_id in snapshot.names(list(nodes))
        }

    def everything(self, snapshot: Snapshot, *, limit: int = 1_000) -> list[Fact]:
        """All relationships of all types, read in pages."""
        facts: list[Fact] = []
        for type_name in ("doc", "group", "user"):
            after = b""
            while page := snapshot.scan_type(self.slot(type_name), after=after, limit=limit):
                facts += facts_of(self, snapshot, page)
                after = page[-1].position
        return facts


def facts_of(world: World, snapshot: Snapshot, rows: Sequence[object]) -> list[Fact]:
    """Stored rows by their names."""
    facts = []
    for row in rows:
        (resource,) = world.texts(snapshot, [row.resource])  # type: ignore[attr-defined]
        (subject,) = world.texts(snapshot, [row.subject])  # type: ignore[attr-defined]
        facts.append(Fact(resource, row.slot, row.subject_slot, subject))  # type: ignore[attr-defined]
    return facts

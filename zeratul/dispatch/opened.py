"""What a view stands on: an open snapshot with an application's rules, and how evaluations run."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Self, TypeVar

from zeratul.dispatch.closures import Closures
from zeratul.dispatch.driver import drive
from zeratul.dispatch.overlay import Overlay
from zeratul.domain.paths import resource_path

if TYPE_CHECKING:
    from collections.abc import Sequence

    from zeratul.dispatch.memos import Memos
    from zeratul.dispatch.naming import Naming
    from zeratul.dispatch.recent import RecentAnswers
    from zeratul.dispatch.roles import Roles
    from zeratul.dispatch.state import ApplicationState
    from zeratul.domain.catalog import Catalog
    from zeratul.domain.limits import Limits
    from zeratul.domain.paths import Path
    from zeratul.domain.relationship import ObjectRef, Relationship
    from zeratul.graph.requests import Closure, Evaluation, Subject
    from zeratul.store.interface import Snapshot

Answer = TypeVar("Answer")


class Opened:
    """A snapshot, the rules it is read under, and how evaluations run over it.

    Attributes:
        application: its number.
        snapshot: the store's snapshot, for scans and names.
        schema: the compiled schema (built-in types included; empty model = built-ins only).
        schema_revision: revision of the commit that set the model, 0 without one.
        vocabulary: slots by name.
        revision: what the answers are as of.
    """

    __slots__ = (
        "_closures",
        "_deadline",
        "_limits",
        "_memos",
        "_recent",
        "_roles",
        "_state",
        "application",
        "revision",
        "schema",
        "schema_revision",
        "snapshot",
        "vocabulary",
    )

    def __init__(
        self,
        application: int,
        snapshot: Snapshot,
        state: ApplicationState,
        *,
        memos: Memos,
        recent: RecentAnswers | None,
        roles: Roles | None,
        limits: Limits,
    ) -> None:
        self._state = state
        self._memos = memos
        self._recent = recent
        self._roles = roles
        self._limits = limits
        self._closures: Closures | None = None  # many questions need none
        self._deadline = time.monotonic() + limits.request_timeout_s
        self.application = application
        self.snapshot = snapshot
        self.schema = state.schema
        self.schema_revision = state.schema_revision
        self.vocabulary = state.vocabulary
        self.revision = snapshot.revision

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *details: object) -> None:
        self.snapshot.close()

    def close(self) -> None:
        """Release the snapshot."""
        self.snapshot.close()

    @property
    def catalog(self) -> Catalog | None:
        """The catalog that is attached to the schema, None without one."""
        return self._state.catalog

    def slot(self, type_name: str, relation: str) -> int:
        """The number of a declared relation or permission.

        Raises:
            UnknownNameError: type or relation not declared.
        """
        return self._state.slot(type_name, relation)

    def roles_moved(self) -> bool:
        """Whether roles or policies changed after the revision that this view reads as of.

        They are read as of today; a list that goes on at its revision would mix two states.

        Raises:
            RevisionError: what changed since was collected.
        """
        return self._roles is not None and self._roles.moved_since(self.revision)

    def _path(self, resource: ObjectRef) -> Path:
        catalog = self._state.catalog
        return resource_path(*resource, catalog.segments if catalog is not None else None)

    def _overlay(
        self, naming: Naming, added: Sequence[Relationship], removed: Sequence[Relationship] = ()
    ) -> Overlay:
        for relationship in added:
            self.schema.validate_relationship(relationship, prefix="contextualRelationships.")
        return Overlay(
            self.snapshot,
            [naming.row(relationship) for relationship in added],
            [naming.row(relationship) for relationship in removed],
        )

    def _run(self, evaluation: Evaluation[Answer], source: Overlay | None) -> Answer:
        if source is None:
            return drive(
                evaluation,
                self.snapshot,
                self._closure,
                self._deadline,
                self._roles,
                self._walked,
            )
        return drive(
            evaluation,
            source,
            lambda request: self._prepared().over(source, request[0]),
            self._deadline,
            self._roles,
        )

    def _closure(self, request: tuple[Subject, bool]) -> Closure | None:
        return self._prepared().answer(request)

    def _walked(self, subjects: Sequence[Subject]) -> None:
        self._prepared().walked(subjects)

    def _prepared(self) -> Closures:
        if self._closures is None:
            self._closures = Closures(
                self.snapshot, self._state, self._memos, self._limits, self._deadline
            )
        return self._closures

"""The one door to the evaluator: opens views, owns compiled schemas and memos of this process."""

from __future__ import annotations

from typing import TYPE_CHECKING

from zeratul.dispatch.memos import Memos
from zeratul.dispatch.recent import RecentAnswers
from zeratul.dispatch.roles import POLICY_KIND, ROLE_KIND, RoleCache, Roles
from zeratul.dispatch.state import MODEL_KIND, ApplicationState, load_state
from zeratul.dispatch.view import View
from zeratul.errors import StoreError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from zeratul.domain.limits import Limits
    from zeratul.graph.answers import CheckQuestion, Decision
    from zeratul.store.interface import Snapshot, Store


class Engine:
    """Opens views; owns compiled schemas and memos of this process. Safe to share by threads."""

    def __init__(self, store: Store, limits: Limits) -> None:
        self.store = store
        self.limits = limits
        self.memos = Memos(limits.memo_bytes_max, self._documents_changed)
        self._states: dict[int, ApplicationState] = {}
        self._roles: dict[int, RoleCache] = {}
        self._recent = RecentAnswers(self.memos)
        # Mark and revision of the newest commit that was followed.
        self._newest = (-1, -1)
        self._listeners: list[Callable[[Iterable[tuple[int, str, str]]], None]] = []

    def on_documents(self, listener: Callable[[Iterable[tuple[int, str, str]]], None]) -> None:
        """Call ``listener`` with (application, kind, id) of documents that commits changed.

        An empty call means that everything may have changed. It runs while a view is being opened,
        before that view answers anything.
        """
        self._listeners.append(listener)

    def view(
        self, application: int, *, revision: int | None = None, now_ms: int | None = None
    ) -> View:
        """A view of the latest commit, or as of a revision and time.

        Raises:
            RevisionError: the revision is in the future or was collected.
        """
        snapshot = self.store.snapshot(now_ms=now_ms, revision=revision)
        try:
            self._follow(snapshot)
            state = self._states.get(application)
            if state is None or state.schema_revision > snapshot.head:
                state = self._load(application, snapshot)
            return View(
                application,
                snapshot,
                state,
                memos=self.memos,
                # A past revision is read under today's schema: what was answered while it was the
                # newest one may be another answer.
                recent=self._recent if snapshot.revision == snapshot.head else None,
                # An application without roles pays nothing for them.
                roles=self._roles_at(snapshot, state) if state.plan.holder is not None else None,
                limits=self.limits,
            )
        except BaseException:
            snapshot.close()
            raise

    def recall(
        self, application: int, question: CheckQuestion, *, now_ms: int | None = None
    ) -> tuple[int, Decision] | None:
        """Revision and decision, if no commit touched what the answer rests on, else None.

        What a view would answer, without opening one: the newest commit is one that a view was
        opened on, so no listener has to be told of anything.
        """
        try:
            mark, clock_ms = self.store.glance()
        except StoreError:
            return None  # a view tries harder, and tells
        followed, revision = self._newest
        if mark != followed:
            return None
        at_ms = clock_ms if now_ms is None else now_ms
        state = self._states.get(application)
        if state is None:
            return None
        found = self._recent.get(application, question, revision, at_ms, state.table)
        return None if found is None else (revision, found)

    def follow(self) -> None:
        """Learn what other processes committed, without asking anything."""
        with self.store.snapshot() as snapshot:
            self._follow(snapshot)

    def _follow(self, snapshot: Snapshot) -> None:
        self.memos.follow(snapshot)
        if snapshot.mark != self._newest[0]:
            self._newest = (snapshot.mark, snapshot.head)

    def _roles_at(self, snapshot: Snapshot, state: ApplicationState) -> Roles:
        """What a view knows of roles."""
        application = state.vocabulary.application
        cache = self._roles.get(application)
        if cache is None or cache.born > snapshot.head:
            cache = RoleCache(snapshot.head)
            # INVARIANT: see `dispatch.roles`. A change that was applied already reaches no cache
            # that is shared later.
            with self.memos.lock:
                if snapshot.head == self.memos.applied:
                    cache = self._roles.setdefault(application, cache)
        return Roles(snapshot, state, cache)

    def _documents_changed(self, documents: Iterable[tuple[int, str, str]]) -> None:
        documents = list(documents)
        if not documents:
            self._states.clear()
            self._roles.clear()
        for application, kind, _ in documents:
            if kind == MODEL_KIND and self._states.pop(application, None) is not None:
                self.memos.forget(application)
            elif kind in {ROLE_KIND, POLICY_KIND}:
                self._roles.pop(application, None)
        for listener in self._listeners:
            listener(documents)

    def _load(self, application: int, snapshot: Snapshot) -> ApplicationState:
        state = load_state(application, snapshot, self.limits)
        # INVARIANT: only a state that is true at ``applied`` is kept for later views. One with
        # provisional slots is not: a write may intern them without touching the model. Changes
        # reach only a kept state's memos, so both happen under one lock; the memos of any other
        # state die with its view.
        with self.memos.lock:
            if snapshot.head == self.memos.applied and not state.is_provisional:
                self._states[application] = state
                self.memos.adopt(application, state.table)
        return state

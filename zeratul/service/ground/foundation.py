"""What every service stands on: confirmed views, zookies, write tables, the cursor secret."""

from __future__ import annotations

import secrets
from typing import TYPE_CHECKING, TypeVar

from zeratul.domain.zookie import Zookie
from zeratul.errors import (
    ConflictError,
    InputError,
    InternalError,
    LimitError,
    MalformedError,
    RevisionError,
)
from zeratul.service.ground.decisions import Decisions
from zeratul.service.ground.directory import APPLICATION_KIND, SERVER, Directory
from zeratul.service.ground.validation import WriteTable

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from concurrent.futures import Future

    from zeratul.dispatch.engine import Engine
    from zeratul.dispatch.view import View
    from zeratul.domain.limits import Limits
    from zeratul.graph.answers import CheckQuestion, Decision
    from zeratul.service.ground.answers import Page
    from zeratul.service.ground.caller import Caller
    from zeratul.service.ground.cursors import Cursor
    from zeratul.service.ground.idempotency import Idempotent, Replay
    from zeratul.store.interface import Snapshot, Store, WriteTransaction

T = TypeVar("T")

_SERVER_KIND = "server"
_CURSOR_SECRET_ID = "cursor-secret"  # noqa: S105 - a document's name


class Foundation:
    """Shared by all services of a process.

    Attributes:
        store, engine, limits: what they work on.
        clock_ms: the time, for what is not decided at a snapshot's time.
        directory: known keys and applications.
        decisions: the log of decisions, where an application wants one.
        cursor_secret: seals page cursors; one for the store, made on its first use.
    """

    def __init__(
        self, store: Store, engine: Engine, limits: Limits, clock_ms: Callable[[], int]
    ) -> None:
        self.store = store
        self.engine = engine
        self.limits = limits
        self.clock_ms = clock_ms
        self.cursor_secret = _cursor_secret(store)
        # From the first revision on, the engine tells what changes.
        engine.follow()
        self.directory = Directory(engine, clock_ms)
        self.decisions = Decisions(engine, limits, clock_ms)
        self._zookies: dict[int, tuple[int, int, str]] = {}
        self._tables: dict[int, tuple[object, WriteTable]] = {}
        engine.on_documents(self._documents_changed)

    def view(
        self, caller: Caller, *, revision: int | None = None, now_ms: int | None = None
    ) -> View:
        """A view of the caller's application, opened after its key was confirmed by it.

        Raises:
            UnauthenticatedError: the key does not hold any more.
            RevisionError: the revision is in the future or was collected.
        """
        view = self.engine.view(caller.application, revision=revision, now_ms=now_ms)
        known = caller.known_key
        if known is not None and not known.alive:
            try:
                self.directory.confirm(caller, view.snapshot)
            except BaseException:
                view.close()
                raise
        return view

    def recall(self, caller: Caller, question: CheckQuestion) -> tuple[int, Decision] | None:
        """The revision and the answer, if it was given before and the caller's key holds."""
        found = self.engine.recall(caller.application, question)
        known = caller.known_key
        # Looked at after the commit was: what took the key away is not of that commit then.
        return found if known is None or known.alive else None

    def pinned(self, caller: Caller, cursor: Cursor) -> View:
        """A view of what a cursor goes on with.

        Raises:
            UnauthenticatedError: the key does not hold any more.
            RevisionError: the cursor's revision was collected.
            ConflictError: something was renamed since; the names of the query are other ones now.
        """
        try:
            view = self.view(caller, revision=cursor.revision, now_ms=cursor.now_ms)
        except RevisionError as error:
            error.field = "cursor"
            raise
        if view.catalog is not None and view.catalog.renamed > cursor.revision:
            view.close()
            raise ConflictError(
                "something was renamed since the first page", help="start again without a cursor"
            )
        return view

    def snapshot(self, caller: Caller) -> Snapshot:
        """The latest commit, opened after the caller's key was confirmed by it.

        Raises:
            UnauthenticatedError: the key does not hold any more.
        """
        snapshot = self.store.snapshot()
        try:
            self.engine.memos.follow(snapshot)
            self.directory.confirm(caller, snapshot)
        except BaseException:
            snapshot.close()
            raise
        return snapshot

    def zookie(self, application: int, revision: int, schema_revision: int) -> str:
        """The zookie's text; the latest one of each application is kept."""
        kept = self._zookies.get(application)
        if kept is not None and kept[0] == revision and kept[1] == schema_revision:
            return kept[2]
        text = Zookie(application, revision, schema_revision).encode()
        if kept is None or kept[0] <= revision:
            self._zookies[application] = (revision, schema_revision, text)
        return text

    def view_zookie(self, view: View) -> str:
        """The zookie of what a view answers."""
        return self.zookie(view.application, view.revision, view.schema_revision)

    def require_fresh(self, view: View, at_least: str | None) -> None:
        """Refuse to answer with less than the caller has seen.

        Raises:
            MalformedError: the zookie is not one of ours.
            RevisionError: it is of another application, or newer than this store.
        """
        if at_least is None:
            return
        zookie = Zookie.decode(at_least)
        if zookie.application != view.application:
            raise RevisionError(
                "the zookie belongs to another application", reason="foreign", field="zookie"
            )
        if zookie.revision > view.snapshot.head:
            raise RevisionError(
                "the zookie is newer than this store", reason="future", field="zookie"
            )

    def table(self, view: View) -> WriteTable:
        """What the view's schema lets be written, made once for each schema."""
        kept = self._tables.get(view.application)
        if kept is not None and kept[0] is view.schema:
            return kept[1]
        interned = view.snapshot.vocabulary(view.application)
        if not view.vocabulary.slots.keys() <= interned.slots.keys():
            # Numbers of the view's own must never be stored.
            raise InternalError("the application has names without numbers")
        table = WriteTable(view.schema, interned, view.schema_revision)
        self._tables[view.application] = (view.schema, table)
        return table

    def _documents_changed(self, documents: Iterable[tuple[int, str, str]]) -> None:
        """Keep nothing of applications that are gone."""
        if any(where == SERVER and kind == APPLICATION_KIND for where, kind, _ in documents):
            self._tables.clear()
            self._zookies.clear()

    def page_size(self, page: Page) -> int:
        """How many rows a page may have.

        Raises:
            InputError: outside 1 to the limit.
        """
        if page.size is None:
            return self.limits.page_size_default
        if 1 <= page.size <= self.limits.page_size_max:
            return page.size
        raise InputError(f"a page has 1 to {self.limits.page_size_max:,} rows", field="pageSize")

    def write_once(
        self,
        caller: Caller,
        idempotency: Idempotent | None,
        job: Callable[[WriteTransaction], T],
        *,
        secret: bool = False,
    ) -> Future[T | Replay]:
        """What a job answers, remembered in its own commit; or what it answered the first time.

        Args:
            caller: who asks.
            idempotency: what makes the request recognisable; without it nothing is remembered.
            job: see ``Store.write``.
            secret: whether the answer holds one.

        Raises:
            IdempotencyError, MalformedError, LimitError: (from the future) as ``replay``.
        """

        def once(tx: WriteTransaction) -> T | Replay:
            replay = self.replay(idempotency, caller, tx.snapshot, secret=secret)
            if replay is not None:
                return replay
            answer = job(tx)
            if idempotency is not None:
                idempotency.remember(caller, tx, answer, self.limits, secret=secret)
            return answer

        return self.store.write(once)

    def replay(
        self,
        idempotency: Idempotent | None,
        caller: Caller,
        snapshot: Snapshot,
        *,
        secret: bool = False,
    ) -> Replay | None:
        """The first answer to a repeated request, None for a new one.

        Raises:
            IdempotencyError: the same key with another request.
            MalformedError, LimitError: a key that is empty or too long.
        """
        if idempotency is None:
            return None
        if not idempotency.key:
            raise MalformedError("the idempotency key is empty", field="Idempotency-Key")
        length_max = self.limits.idempotency_key_length_max
        if len(idempotency.key) > length_max:
            raise LimitError(
                "idempotency_key_length_max",
                length_max,
                f"an idempotency key has at most {length_max} characters",
                field="Idempotency-Key",
            )
        return idempotency.recall(caller, snapshot, secret=secret)


def _cursor_secret(store: Store) -> bytes:
    with store.snapshot() as snapshot:
        found = snapshot.document(SERVER, _SERVER_KIND, _CURSOR_SECRET_ID)
    if found is not None:
        return bytes.fromhex(found.decode())
    fresh = secrets.token_hex(32).encode()

    def job(tx: WriteTransaction) -> bytes:
        # Another process may have been first.
        found = tx.snapshot.document(SERVER, _SERVER_KIND, _CURSOR_SECRET_ID)
        if found is None:
            tx.put_document(SERVER, _SERVER_KIND, _CURSOR_SECRET_ID, fresh)
        return found or fresh

    return bytes.fromhex(store.write(job).result().decode())

"""Applications: made by the root key, looked up by id, deleted with everything in them.

*Theory of operation.* A deletion is one commit: it takes the application's documents of the
server away and marks its number, so that from then on nobody finds it, none of its keys opens
anything and nothing in it is read. What it held is removed afterwards in small steps
(``sweep_step`` for its keys, the store's own for the rest), which go on after a restart. Its
number is never given again.

*Decision: `default` can be deleted like any other, and an empty one takes its place.* Context: the
root key acts in `default` where no application is named, and a first start makes it. Options:
refuse (then nobody could ever empty it), let it be absent (then the root key alone could not even
list the applications), make it anew. Outcome: anew in the same commit, under another number; its
keys are gone like those of any other, and nothing of the old one is seen in the new one.
"""

from __future__ import annotations

import secrets
from dataclasses import replace
from typing import TYPE_CHECKING

import orjson

from zeratul.domain.relationship import id_is_valid, id_problem
from zeratul.errors import AlreadyExistsError, InputError, MalformedError
from zeratul.language.openfga import empty_schema
from zeratul.service.administration.application_answers import Application, ApplicationPage
from zeratul.service.ground.answers import FIRST_PAGE, Page
from zeratul.service.ground.audit import record, server_caller
from zeratul.service.ground.cursors import Cursor, query_digest
from zeratul.service.ground.directory import (
    APPLICATION_KIND,
    APPLICATION_NAME_KIND,
    DEFAULT_APPLICATION,
    SERVER,
    name_id,
    no_application,
)
from zeratul.service.ground.futures import resolved
from zeratul.service.ground.labels import NAME_LENGTH_MAX
from zeratul.service.ground.setting_documents import delete_settings
from zeratul.service.ground.stored_model import slot_names
from zeratul.service.keys.key_documents import delete_keys_of, index_all

if TYPE_CHECKING:
    from concurrent.futures import Future

    from zeratul.service.ground.caller import Caller
    from zeratul.service.ground.foundation import Foundation
    from zeratul.service.ground.idempotency import Idempotent, Replay
    from zeratul.store.interface import Snapshot, WriteTransaction

TENANCY_TYPES = ("single", "multi_tenant")
# An application that is deleted and whose keys are still to be removed; ids are numbers.
_LEFT_KIND = "application-left"


class Applications:
    """Use cases around applications."""

    def __init__(self, foundation: Foundation) -> None:
        self._base = foundation

    def ensure_default(self) -> None:
        """Make application ``default`` unless it is there; returns once that is durable."""
        store = self._base.store
        with store.snapshot() as snapshot:
            if snapshot.document(SERVER, APPLICATION_KIND, DEFAULT_APPLICATION) is not None:
                return

        def job(tx: WriteTransaction) -> None:
            if tx.snapshot.document(SERVER, APPLICATION_KIND, DEFAULT_APPLICATION) is None:
                _create(tx, DEFAULT_APPLICATION, DEFAULT_APPLICATION, "single")
                index_all(tx)  # A fresh store's keys are found by their application.

        store.write(job).result()

    def number(self, application_id: str) -> int:
        """The number of an application.

        Raises:
            NotFoundError: there is none of this id.
        """
        return self._base.directory.application(application_id)

    def enter(self, caller: Caller, application_id: str) -> Caller:
        """The caller, acting in the application a path names.

        Raises:
            NotFoundError: there is none, or the key belongs to another one.
        """
        if caller.application_id == application_id:
            return caller
        if not caller.is_root:
            # The same answer as for an absent one: a key learns nothing of other applications.
            raise no_application(application_id)
        number = self.number(application_id)
        return replace(caller, application_id=application_id, application=number)

    def create(
        self,
        caller: Caller,
        name: str,
        tenancy_type: str = "single",
        *,
        idempotency: Idempotent | None = None,
    ) -> Future[Application | Replay]:
        """Make an application.

        Raises:
            ForbiddenError: the caller is not the root key.
            InputError: a name or tenancy type that is not one.
            AlreadyExistsError: (from the future) another application has this name.
        """
        caller.require_root("applications:write")
        base = self._base
        with base.snapshot(caller) as snapshot:
            replay = base.replay(idempotency, caller, snapshot)
            if replay is not None:
                return resolved(replay)
        _require_name(name)
        if tenancy_type not in TENANCY_TYPES:
            raise InputError(
                f"unknown tenancy type `{tenancy_type[:128]}`",
                field="tenancyType",
                help="one of `single`, `multi_tenant`",
            )
        application_id = f"app_{secrets.token_hex(8)}"

        def job(tx: WriteTransaction) -> Application:
            created = _create(tx, application_id, name, tenancy_type)
            inside = replace(caller, application_id=application_id, application=created.number)
            for each in (server_caller(caller), inside):
                record(
                    tx, each, "application.created", "application", application_id,
                    after=_event(created),
                )  # fmt: skip
            zookie = base.zookie(created.number, tx.revision, 0)
            return replace(created, zookie=zookie)

        return base.write_once(caller, idempotency, job)

    def list(self, caller: Caller, *, page: Page = FIRST_PAGE) -> ApplicationPage:
        """A page of all applications, in id order.

        Raises:
            ForbiddenError: the caller is not the root key.
            InputError: a page size or cursor that is none.
        """
        caller.require_root("applications:read")
        base = self._base
        size = base.page_size(page)
        query = query_digest("applications")
        after = ""
        if page.cursor:
            after = Cursor.decode(page.cursor, base.cursor_secret, query).position.decode()
        with base.snapshot(caller) as snapshot:
            found = snapshot.documents(SERVER, APPLICATION_KIND, after=after, limit=size + 1)
            rows = [_application(body) for _, body in found[:size]]
            following = None
            if len(found) > size:
                following = Cursor(
                    query, snapshot.revision, snapshot.now_ms, 0, rows[-1].id.encode()
                ).encode(base.cursor_secret)
        return ApplicationPage(rows=rows, next_cursor=following, page_size=size)

    def get(self, caller: Caller, application_id: str) -> Application:
        """One application.

        Raises:
            ForbiddenError: the caller is not the root key.
            NotFoundError: there is none of this id.
        """
        caller.require_root("applications:read")
        with self._base.snapshot(caller) as snapshot:
            return _found(snapshot, application_id)

    def delete(self, caller: Caller, application_id: str, confirm: str | None) -> Future[str]:
        """Delete an application and everything in it; the future has the zookie.

        Args:
            caller: the root key.
            application_id: which one; ``default`` is empty afterwards, any other is gone.
            confirm: its name, from somebody who knows what it is.

        Raises:
            ForbiddenError: the caller is not the root key.
            NotFoundError: (also from the future) there is none of this id.
            InputError: (also from the future) ``confirm`` is not its name.
        """
        caller.require_root("applications:delete")
        base = self._base
        with base.snapshot(caller) as snapshot:
            _require_confirmed(_found(snapshot, application_id), confirm)

        def job(tx: WriteTransaction) -> str:
            found = _found(tx.snapshot, application_id)
            _require_confirmed(found, confirm)
            tx.delete_document(SERVER, APPLICATION_KIND, application_id)
            tx.delete_document(SERVER, APPLICATION_NAME_KIND, name_id(found.name))
            tx.put_document(SERVER, _LEFT_KIND, str(found.number), b"{}")
            delete_settings(tx, found.number)
            self._sweep(tx)
            tx.drop_application(found.number)
            record(
                tx, server_caller(caller), "application.deleted", "application", application_id,
                before=_event(found),
            )  # fmt: skip
            if application_id == DEFAULT_APPLICATION:
                _create(tx, DEFAULT_APPLICATION, DEFAULT_APPLICATION, "single")
            return base.zookie(found.number, tx.revision, 0)

        return base.store.write(job)

    def sweep_step(self) -> int:
        """Remove some of what deleted applications left among the server's documents.

        Returns:
            How many documents; 0 when nothing is left.

        Raises:
            StoreError: the write failed.
        """
        with self._base.store.snapshot() as snapshot:
            if not snapshot.documents(SERVER, _LEFT_KIND, limit=1):
                return 0
        return self._base.store.write(self._sweep).result()

    def _sweep(self, tx: WriteTransaction) -> int:
        most = self._base.limits.application_keys_step
        for number, _ in tx.snapshot.documents(SERVER, _LEFT_KIND, limit=1):
            removed = delete_keys_of(tx, int(number), most)
            if removed < most:
                tx.delete_document(SERVER, _LEFT_KIND, number)
                removed += 1
            return removed
        return 0


def _create(
    tx: WriteTransaction, application_id: str, name: str, tenancy_type: str
) -> Application:
    named = name_id(name)
    if tx.snapshot.document(SERVER, APPLICATION_NAME_KIND, named) is not None:
        raise AlreadyExistsError(f"there is an application called `{name}` already")
    number = tx.new_application()
    body = orjson.dumps(
        {
            "id": application_id,
            "number": number,
            "name": name,
            "tenancyType": tenancy_type,
            "createdAtMs": tx.now_ms,
        }
    )
    tx.put_document(SERVER, APPLICATION_KIND, application_id, body)
    tx.put_document(SERVER, APPLICATION_NAME_KIND, named, application_id.encode())
    tx.intern_slots(number, slot_names(empty_schema()))
    return _application(body)


def _found(snapshot: Snapshot, application_id: str) -> Application:
    body = None
    if id_is_valid(application_id):  # a path may hold anything
        body = snapshot.document(SERVER, APPLICATION_KIND, application_id)
    if body is None:
        raise no_application(application_id)
    return _application(body)


def _require_confirmed(found: Application, confirm: str | None) -> None:
    if confirm != found.name:
        raise InputError(
            "the deletion is not confirmed",
            field="confirm",
            help="send `confirm` with the name of the application",
        )


def _event(found: Application) -> dict[str, str]:
    return {"id": found.id, "name": found.name, "tenancyType": found.tenancy_type}


def _application(body: bytes) -> Application:
    stored = orjson.loads(body)
    return Application(
        id=stored["id"],
        number=stored["number"],
        name=stored["name"],
        tenancy_type=stored["tenancyType"],
        created_at_ms=stored["createdAtMs"],
    )


def _require_name(name: str) -> None:
    problem = "a name must not be empty" if not name else None
    if len(name) > NAME_LENGTH_MAX:
        problem = f"a name has at most {NAME_LENGTH_MAX} characters"
    elif name:
        problem = id_problem(name.replace("#", ""))  # The rules of ids, but `#` is no mark here.
    if problem:
        raise MalformedError(problem.replace("an id", "a name"), field="name")

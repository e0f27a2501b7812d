"""Applications: made by the root key, looked up by id."""

from __future__ import annotations

import secrets
from dataclasses import replace
from typing import TYPE_CHECKING

import orjson

from zeratul.domain.relationship import id_problem
from zeratul.domain.vocabulary import SELF, WILDCARD_SLOT
from zeratul.errors import AlreadyExistsError, InputError, MalformedError, NotFoundError
from zeratul.language.openfga import empty_schema
from zeratul.service.answers import Application
from zeratul.service.directory import (
    APPLICATION_KIND,
    APPLICATION_NAME_KIND,
    SERVER,
    secret_digest,
)
from zeratul.service.futures import resolved

if TYPE_CHECKING:
    from concurrent.futures import Future

    from zeratul.domain.schema import Schema
    from zeratul.service.caller import Caller
    from zeratul.service.foundation import Foundation
    from zeratul.service.idempotency import Idempotent, Replay
    from zeratul.store.interface import WriteTransaction

DEFAULT_APPLICATION = "default"
TENANCY_TYPES = ("single", "multi_tenant")
# LIMIT: a name is shown in menus.
NAME_LENGTH_MAX = 200


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
            raise NotFoundError(f"there is no application `{application_id[:128]}`")
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

        def job(tx: WriteTransaction) -> Application | Replay:
            replay = base.replay(idempotency, caller, tx.snapshot)
            if replay is not None:
                return replay
            created = _create(tx, application_id, name, tenancy_type)
            zookie = base.zookie(created.number, tx.revision, 0)
            answer = replace(created, zookie=zookie)
            if idempotency is not None:
                idempotency.remember(caller, tx, answer, base.limits)
            return answer

        return base.store.write(job)

    def list(self, caller: Caller) -> list[Application]:
        """Every application, in id order.

        Raises:
            ForbiddenError: the caller is not the root key.
        """
        caller.require_root("applications:read")
        found: list[Application] = []
        with self._base.snapshot(caller) as snapshot:
            while True:
                after = found[-1].id if found else ""
                documents = snapshot.documents(SERVER, APPLICATION_KIND, after=after)
                if not documents:
                    return found
                found += (_application(body) for _, body in documents)

    def get(self, caller: Caller, application_id: str) -> Application:
        """One application.

        Raises:
            ForbiddenError: the caller is not the root key.
            NotFoundError: there is none of this id.
        """
        caller.require_root("applications:read")
        with self._base.snapshot(caller) as snapshot:
            body = snapshot.document(SERVER, APPLICATION_KIND, application_id)
        if body is None:
            raise NotFoundError(f"there is no application `{application_id[:128]}`")
        return _application(body)


def slot_names(schema: Schema) -> list[tuple[str, str]]:
    """Every (type, relation) of a schema that needs a number."""
    names: list[tuple[str, str]] = []
    for type_name, definition in schema.types.items():
        names += ((type_name, SELF), (type_name, WILDCARD_SLOT))
        names += ((type_name, relation) for relation in definition.relations)
    return names


def _create(
    tx: WriteTransaction, application_id: str, name: str, tenancy_type: str
) -> Application:
    name_id = secret_digest(name).hex()  # Document ids are short; names need not be.
    if tx.snapshot.document(SERVER, APPLICATION_NAME_KIND, name_id) is not None:
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
    tx.put_document(SERVER, APPLICATION_NAME_KIND, name_id, application_id.encode())
    tx.intern_slots(number, slot_names(empty_schema()))
    return _application(body)


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

"""Numbers for the names that Zeratul declares itself, in applications made by an older release.

A new release may bring another built-in type or relation. Every application's schema has it at
once, but only a commit gives names their numbers, and until then nothing may be written in the
application. So the first start with other declarations than the last one gives every application
the numbers it lacks.
"""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING

import orjson

from zeratul.language.application import application_schema
from zeratul.language.declared import declared
from zeratul.service.ground.directory import APPLICATION_KIND, SERVER
from zeratul.service.ground.stored_model import read_rules, slot_names

if TYPE_CHECKING:
    from zeratul.domain.limits import Limits
    from zeratul.store.interface import Store, WriteTransaction

_KIND = "server"
_ID = "declared-names"
_FILES = ("builtin.json", "relations.json")


def ensure_declared_names(store: Store, limits: Limits) -> int:
    """Intern what is missing; returns how many applications lacked something, once durable.

    Raises:
        StoreError: it can not be written, or no number is left.
    """
    digest = hashlib.sha256(b"\0".join(declared(name) for name in _FILES)).hexdigest().encode()
    with store.snapshot() as snapshot:
        if snapshot.document(SERVER, _KIND, _ID) == digest:
            return 0
        applications: list[str] = []
        after = ""
        while documents := snapshot.documents(SERVER, APPLICATION_KIND, after=after):
            after = documents[-1][0]
            applications += (application_id for application_id, _ in documents)
    # One commit each: a writer that waits gets between.
    changed = sum(_intern(store, application, limits) for application in applications)
    store.write(lambda tx: tx.put_document(SERVER, _KIND, _ID, digest)).result()
    return changed


def _intern(store: Store, application_id: str, limits: Limits) -> bool:
    def job(tx: WriteTransaction) -> bool:
        body = tx.snapshot.document(SERVER, APPLICATION_KIND, application_id)
        if body is None:  # Deleted meanwhile.
            return False
        application = int(orjson.loads(body)["number"])
        rules = read_rules(tx.snapshot, application)
        schema = application_schema(rules.model, rules.catalog, roles=rules.roles, limits=limits)
        known = tx.snapshot.vocabulary(application).slots
        missing = [name for name in slot_names(schema) if name not in known]
        tx.intern_slots(application, missing)
        return bool(missing)

    return store.write(job).result()

"""Roles, policies and assignments for tests, written below the services.

Documents and rows have the shapes that the services write; each change is one commit.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import orjson

from zeratul.dispatch.roles import POLICY_KIND, ROLE_KIND
from zeratul.dispatch.state import MODEL_ID, MODEL_KIND
from zeratul.domain.relationship import WILDCARD
from zeratul.domain.scopes import (
    GRANT_TYPE,
    GRANTS,
    HOLDER,
    INNER,
    ROLE_TYPE,
    SCOPE_TYPE,
    Grant,
    Scope,
    grant_id,
    inner_scopes,
)
from zeratul.domain.vocabulary import SELF, WILDCARD_SLOT
from zeratul.language.application import application_schema
from zeratul.language.catalog import catalog_json
from zeratul.store.interface import Row

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from tests.reference.roles import Assignment, Role
    from zeratul.domain.catalog import Catalog
    from zeratul.domain.schema import Schema
    from zeratul.domain.vocabulary import Vocabulary
    from zeratul.store.interface import Store, WriteTransaction


def put_rules(
    store: Store, application: int | None, model: dict[str, Any], catalog: Catalog
) -> tuple[int, int]:
    """Set the model and catalog of an application with roles (a new one for None).

    Returns:
        Its number, and the revision.
    """
    schema = application_schema(model, catalog, roles=True)

    def job(tx: WriteTransaction) -> tuple[int, int]:
        number = tx.new_application() if application is None else application
        tx.intern_slots(number, slot_names(schema))
        document = {
            "revision": tx.revision,
            "model": model,
            "catalog": catalog_json(catalog),
            "roles": True,
        }
        tx.put_document(number, MODEL_KIND, MODEL_ID, orjson.dumps(document))
        return number, tx.revision

    return store.write(job).result()


def slot_names(schema: Schema) -> list[tuple[str, str]]:
    """Every (type, relation) of a schema that has a slot."""
    return [
        (name, part)
        for name, definition in schema.types.items()
        for part in (SELF, WILDCARD_SLOT, *definition.relations)
    ]


def put_documents(
    store: Store,
    application: int,
    *,
    policies: Mapping[str, Iterable[str] | None] = {},
    roles: Mapping[str, Role | None] = {},
) -> int:
    """Write policies and roles; None deletes one. The revision."""

    def job(tx: WriteTransaction) -> int:
        for policy_id, permissions in policies.items():
            document = None if permissions is None else _policy(policy_id, permissions)
            _put(tx, application, POLICY_KIND, policy_id, document)
        for role_id, role in roles.items():
            document = None if role is None else _role(role_id, role)
            _put(tx, application, ROLE_KIND, role_id, document)
        return tx.effective_revision

    return store.write(job).result()


def _put(
    tx: WriteTransaction, application: int, kind: str, name: str, document: dict[str, Any] | None
) -> None:
    if document is None:
        tx.delete_document(application, kind, name)
    else:
        tx.put_document(application, kind, name, orjson.dumps(document))


def _policy(policy_id: str, permissions: Iterable[str]) -> dict[str, Any]:
    return {
        "id": policy_id,
        "name": policy_id,
        "description": "",
        "permissions": sorted(permissions),
        "createdAtMs": 0,
        "updatedAtMs": 0,
    }


def _role(role_id: str, role: Role) -> dict[str, Any]:
    return {
        "id": role_id,
        "name": role_id,
        "description": "",
        "policyIds": list(role.policies),
        "tenantId": role.tenant,
        "createdAtMs": 0,
        "updatedAtMs": 0,
    }


def assign(
    store: Store,
    application: int,
    added: Mapping[Assignment, int | None],
    removed: Sequence[Assignment] = (),
    kept: Iterable[Assignment] = (),
) -> int:
    """Add and remove assignments in one commit; the revision.

    Args:
        store: written to.
        application: which.
        added: what to add -> when it ends.
        removed: what to take away.
        kept: what is there afterwards: the index of a grant goes with its last holder.
    """
    with store.snapshot() as snapshot:
        vocabulary = snapshot.vocabulary(application)
    still = {_grant(each) for each in (*added, *kept)}
    writes = [_holder(vocabulary, each, expires) for each, expires in added.items()]
    for each in dict.fromkeys(_grant(assignment) for assignment in added):
        writes += _index(vocabulary, each)
        writes += _inner(vocabulary, each.scope)
    deletes = [_holder(vocabulary, each, None) for each in removed]
    for each in dict.fromkeys(_grant(assignment) for assignment in removed):
        if each not in still:
            deletes += _index(vocabulary, each)
    prepared = store.prepare(
        application, list(dict.fromkeys(writes)), list(dict.fromkeys(deletes))
    )

    def job(tx: WriteTransaction) -> int:
        tx.apply(prepared)
        return tx.effective_revision

    return store.write(job).result()


def _grant(assignment: Assignment) -> Grant:
    return Grant(assignment.role, Scope(assignment.tenant, assignment.path))


def _name(grant: Grant) -> str:
    return grant_id(grant.role, grant.scope.id)


def _holder(vocabulary: Vocabulary, assignment: Assignment, expires_at_ms: int | None) -> Row:
    slots = vocabulary.slots
    holder = assignment.holder
    assert holder.id != WILDCARD
    return Row(
        slots[GRANT_TYPE, SELF],
        _name(_grant(assignment)),
        slots[GRANT_TYPE, HOLDER],
        slots[holder.type, holder.relation],
        slots[holder.type, SELF],
        holder.id,
        expires_at_ms,
    )


def _index(vocabulary: Vocabulary, grant: Grant) -> list[Row]:
    slots = vocabulary.slots
    return [
        Row(
            slots[type_name, SELF],
            name,
            slots[type_name, GRANTS],
            slots[GRANT_TYPE, HOLDER],
            slots[GRANT_TYPE, SELF],
            _name(grant),
        )
        for type_name, name in ((SCOPE_TYPE, grant.scope.id), (ROLE_TYPE, grant.role))
    ]


def _inner(vocabulary: Vocabulary, scope: Scope) -> list[Row]:
    slots = vocabulary.slots
    type_slot = slots[SCOPE_TYPE, SELF]
    return [
        Row(type_slot, name, slots[SCOPE_TYPE, INNER], type_slot, type_slot, name)
        for name in inner_scopes(scope.path)
    ]

"""How roles are stored: a document each, an index of names, an index by tenant.

Everything here reads one snapshot, a transaction's own included. The index by tenant holds
``-/<role id>`` for global roles and ``<digest of the tenant>/<role id>`` for tenants' own: in its
order, global roles come first, then the roles of each tenant together.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

import msgspec

from zeratul.dispatch.state import MODEL_ID, MODEL_KIND
from zeratul.domain.catalog import EVERY_ACTION
from zeratul.domain.schema import Schema
from zeratul.errors import NotFoundError
from zeratul.language.reserved import reserved_types
from zeratul.service.ground.etags import etag_of
from zeratul.service.ground.stored_model import pack_rules, read_rules, slot_names
from zeratul.service.roles.labelled import LabelledDocument, NameIndex
from zeratul.service.roles.role_answers import Role
from zeratul.service.roles.stored_policies import (
    GLOBAL_PART,
    POLICY_KIND,
    attach,
    detach,
    part_of,
    unpack_policy,
)

if TYPE_CHECKING:
    from collections.abc import Iterable

    from zeratul.domain.catalog import Catalog
    from zeratul.service.ground.caller import Caller
    from zeratul.store.interface import Snapshot, WriteTransaction

ROLE_KIND = "role"
ROLE_NAMES = NameIndex("role", "role-name")
TENANT_ROLE_KIND = "tenant-role"
# Every id of an index that begins with `<part>/` is less than `<part>0`.
_BEHIND = "0"


class StoredRole(LabelledDocument, frozen=True):
    """A role as its document says."""

    policy_ids: tuple[str, ...]
    tenant_id: str | None
    created_at_ms: int
    updated_at_ms: int
    # A list of roles goes on at the revision it began with.
    created_revision: int = 0

    def event(self) -> dict[str, Any]:
        """What an audit event shows of it."""
        return {
            "name": self.name,
            "description": self.description,
            "policyIds": self.policy_ids,
        }


_decode = msgspec.json.Decoder(StoredRole).decode


def unpack_role(body: bytes) -> StoredRole:
    """The role of a document."""
    return _decode(body)


def find_role(snapshot: Snapshot, application: int, role_id: str) -> StoredRole | None:
    """The role of an id, if there is one."""
    body = snapshot.document(application, ROLE_KIND, role_id)
    return None if body is None else unpack_role(body)


def visible_role(snapshot: Snapshot, caller: Caller, role_id: str, tenant_id: str | None) -> bytes:
    """The document of a role that can be seen: a tenant sees its own roles and global ones.

    Args:
        snapshot: read from.
        caller: who asks.
        role_id: which.
        tenant_id: the tenant whose roles are asked for; None for anybody's.

    Raises:
        NotFoundError: there is none, or it is another tenant's.
    """
    body = snapshot.document(caller.application, ROLE_KIND, role_id)
    if body is not None:
        owner = unpack_role(body).tenant_id
        inside = tenant_id or caller.tenant_id
        if owner is None or inside in (None, owner):
            return body
    raise NotFoundError(f"there is no role `{role_id[:128]}`")


def require_role(
    snapshot: Snapshot, caller: Caller, role_id: str, *, field: str = "roleId"
) -> StoredRole:
    """The role that an assignment names.

    Raises:
        UnknownNameError: there is none the caller can see.
    """
    role = find_role(snapshot, caller.application, role_id)
    if role is not None and (role.tenant_id is None or caller.tenant_id in (None, role.tenant_id)):
        return role
    inside = dict.fromkeys((caller.tenant_id, None))
    raise ROLE_NAMES.unknown(snapshot, caller.application, inside, role_id, field)


def switch_on(tx: WriteTransaction, application: int, schema: Schema) -> int:
    """Make the server's own types part of the rules: what the first role of an application does.

    Args:
        tx: the transaction that makes that role.
        application: whose.
        schema: of the rules as they are, without those types.

    Returns:
        The new schema revision.
    """
    rules = read_rules(tx.snapshot, application)._replace(revision=tx.revision, roles=True)
    types = {**schema.types, **reserved_types(schema.types)}
    tx.intern_slots(application, slot_names(Schema(types)))
    tx.put_document(application, MODEL_KIND, MODEL_ID, pack_rules(rules))
    return tx.revision


def put_role(
    tx: WriteTransaction, application: int, role: StoredRole, before: StoredRole | None = None
) -> bytes:
    """Write a role, its name and what it is attached to; the document that was written.

    Raises:
        AlreadyExistsError: the name is another role's, in its tenant or among the global ones.
    """
    ROLE_NAMES.claim(tx, application, role.tenant_id, role, before)
    if before is None:
        tx.put_document(application, TENANT_ROLE_KIND, _index_id(role), b"")
    attached = () if before is None else before.policy_ids
    for policy_id in role.policy_ids:
        if policy_id not in attached:
            attach(tx, application, policy_id, role.id, role.tenant_id)
    for policy_id in attached:
        if policy_id not in role.policy_ids:
            detach(tx, application, policy_id, role.id, role.tenant_id)
    body = role.pack()
    tx.put_document(application, ROLE_KIND, role.id, body)
    return body


def forget_role(tx: WriteTransaction, application: int, role: StoredRole) -> None:
    """Remove a role, its name and what it is attached to."""
    tx.delete_document(application, ROLE_KIND, role.id)
    tx.delete_document(application, TENANT_ROLE_KIND, _index_id(role))
    ROLE_NAMES.free(tx, application, role.tenant_id, role)
    for policy_id in role.policy_ids:
        detach(tx, application, policy_id, role.id, role.tenant_id)


def _index_id(role: StoredRole) -> str:
    return f"{part_of(role.tenant_id)}/{role.id}"


# --- Lists.


class Range(NamedTuple):
    """A part of the index by tenant: behind ``after``, before ``end``."""

    after: str
    end: str


ALL_ROLES = Range("", "~")
GLOBAL_ROLES = Range(f"{GLOBAL_PART}/", f"{GLOBAL_PART}{_BEHIND}")
TENANT_ROLES = Range(GLOBAL_ROLES.end, ALL_ROLES.end)


def roles_of(tenant_id: str) -> Range:
    """The roles of one tenant."""
    part = part_of(tenant_id)
    return Range(f"{part}/", f"{part}{_BEHIND}")


def indexed_roles(
    snapshot: Snapshot, application: int, ranges: Iterable[Range], after: str, limit: int
) -> list[str]:
    """Ids in the index behind ``after``, at most ``limit``; ranges are given in their order."""
    found: list[str] = []
    for begin, end in ranges:
        if after >= end:
            continue
        rows = snapshot.documents(
            application,
            TENANT_ROLE_KIND,
            after=max(after, begin),
            limit=limit - len(found),
        )
        found += (index_id for index_id, _ in rows if index_id < end)
        if len(found) >= limit:
            break
    return found


def role_of_index(index_id: str) -> str:
    """The role id of an id in the index."""
    return index_id.rpartition("/")[2]


# --- Permissions of roles.


class Flattening:
    """Permissions of policies, every declared action spelled out; for one answer.

    Args:
        snapshot: read from.
        application: whose.
        catalog: what ``resource:*`` stands for.
    """

    def __init__(self, snapshot: Snapshot, application: int, catalog: Catalog | None) -> None:
        self._snapshot = snapshot
        self._application = application
        self._catalog = catalog
        self._known: dict[str, frozenset[str]] = {}

    def of(self, policy_ids: Iterable[str]) -> tuple[str, ...]:
        """Permissions of all these policies, sorted."""
        return tuple(sorted(frozenset[str]().union(*map(self._policy, policy_ids))))

    def _policy(self, policy_id: str) -> frozenset[str]:
        found = self._known.get(policy_id)
        if found is None:
            body = self._snapshot.document(self._application, POLICY_KIND, policy_id)
            permissions = () if body is None else unpack_policy(body).permissions
            found = self._known[policy_id] = frozenset(self._spelled_out(permissions))
        return found

    def _spelled_out(self, permissions: Iterable[str]) -> Iterable[str]:
        for permission in permissions:
            resource, _, action = permission.partition(":")
            if action != EVERY_ACTION:
                yield permission
            elif self._catalog is not None and resource in self._catalog.resources:
                for declared in self._catalog.resources[resource].actions:
                    yield f"{resource}:{declared}"


def role_answer(
    body: bytes, flattening: Flattening, user_count: int, *, zookie: str | None = None
) -> Role:
    """A role as it is shown."""
    stored = unpack_role(body)
    return Role(
        id=stored.id,
        name=stored.name,
        description=stored.description,
        policy_ids=stored.policy_ids,
        tenant_id=stored.tenant_id,
        user_count=user_count,
        permissions=flattening.of(stored.policy_ids),
        created_at_ms=stored.created_at_ms,
        updated_at_ms=stored.updated_at_ms,
        etag=etag_of(body),
        zookie=zookie,
    )

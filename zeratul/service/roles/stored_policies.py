"""How policies are stored: a document each, an index of names, and who is attached to whom.

Everything here reads one snapshot, a transaction's own included. Attachments are kept beside the
roles' documents so that nothing scans: one empty document for each (policy, role), and for each
policy counters of its roles by tenant, so that a tenant's callers see no number another tenant
moves.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import msgspec

from zeratul.errors import NotFoundError
from zeratul.service.ground.etags import etag_of
from zeratul.service.ground.labels import tenant_digest
from zeratul.service.roles.labelled import LabelledDocument, NameIndex
from zeratul.service.roles.role_answers import Policy

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from zeratul.service.ground.caller import Caller
    from zeratul.store.interface import Snapshot, WriteTransaction

POLICY_KIND = "policy"
POLICY_NAMES = NameIndex("policy", "policy-name")
POLICY_ROLE_KIND = "policy-role"
"""Documents ``<policy id>/<role id>``: the role has the policy."""
POLICY_COUNT_KIND = "policy-roles"
"""Documents ``<policy id>/<part>``: how many roles have it, of all, or of one part."""

GLOBAL_PART = "-"
_ALL_PART = "*"


class StoredPolicy(LabelledDocument, frozen=True):
    """A policy as its document says."""

    permissions: tuple[str, ...]
    created_at_ms: int
    updated_at_ms: int
    # A list of policies goes on at the revision it began with.
    created_revision: int = 0

    def event(self) -> dict[str, Any]:
        """What an audit event shows of it."""
        return {
            "name": self.name,
            "description": self.description,
            "permissions": self.permissions,
        }


_decode = msgspec.json.Decoder(StoredPolicy).decode


def unpack_policy(body: bytes) -> StoredPolicy:
    """The policy of a document."""
    return _decode(body)


def require_policy(snapshot: Snapshot, application: int, policy_id: str) -> bytes:
    """The document of a policy.

    Raises:
        NotFoundError: there is none of this id.
    """
    body = snapshot.document(application, POLICY_KIND, policy_id)
    if body is None:
        raise NotFoundError(f"there is no policy `{policy_id[:128]}`")
    return body


def require_policies(snapshot: Snapshot, application: int, policy_ids: Sequence[str]) -> None:
    """Whether all of these are there.

    Raises:
        UnknownNameError: naming the first that is not.
    """
    for index, policy_id in enumerate(policy_ids):
        if snapshot.document(application, POLICY_KIND, policy_id) is None:
            raise POLICY_NAMES.unknown(
                snapshot, application, (None,), policy_id, f"policyIds[{index}]"
            )


def put_policy(tx: WriteTransaction, application: int, policy: StoredPolicy) -> bytes:
    """Write a policy's document; what was written."""
    body = policy.pack()
    tx.put_document(application, POLICY_KIND, policy.id, body)
    return body


def policy_answer(
    snapshot: Snapshot, caller: Caller, body: bytes, *, zookie: str | None = None
) -> Policy:
    """A policy as a caller sees it."""
    stored = unpack_policy(body)
    return Policy(
        id=stored.id,
        name=stored.name,
        description=stored.description,
        permissions=stored.permissions,
        role_count=_role_count(snapshot, caller, stored.id),
        created_at_ms=stored.created_at_ms,
        updated_at_ms=stored.updated_at_ms,
        etag=etag_of(body),
        zookie=zookie,
    )


# --- Attachments.


def part_of(tenant_id: str | None) -> str:
    """The part of all roles that a tenant's are (None: the global ones)."""
    return GLOBAL_PART if tenant_id is None else tenant_digest(tenant_id)


def attach(
    tx: WriteTransaction, application: int, policy_id: str, role_id: str, tenant_id: str | None
) -> None:
    """Note that a role has a policy."""
    tx.put_document(application, POLICY_ROLE_KIND, f"{policy_id}/{role_id}", b"")
    _count(tx, application, policy_id, tenant_id, 1)


def detach(
    tx: WriteTransaction, application: int, policy_id: str, role_id: str, tenant_id: str | None
) -> None:
    """Note that a role has a policy no more."""
    tx.delete_document(application, POLICY_ROLE_KIND, f"{policy_id}/{role_id}")
    _count(tx, application, policy_id, tenant_id, -1)


def attached_roles(
    snapshot: Snapshot, application: int, policy_id: str, *, limit: int
) -> Iterator[str]:
    """Ids of roles that have a policy, at most ``limit``."""
    prefix = f"{policy_id}/"
    found = snapshot.documents(application, POLICY_ROLE_KIND, after=prefix, limit=limit)
    for document_id, _ in found:
        if not document_id.startswith(prefix):
            return
        yield document_id.removeprefix(prefix)


def attached_count(snapshot: Snapshot, application: int, policy_id: str) -> int:
    """How many roles have a policy, whosever they are."""
    return _counted(snapshot, application, policy_id, _ALL_PART)


def _role_count(snapshot: Snapshot, caller: Caller, policy_id: str) -> int:
    application, tenant_id = caller.application, caller.tenant_id
    if tenant_id is None:
        return attached_count(snapshot, application, policy_id)
    parts = (GLOBAL_PART, part_of(tenant_id))
    return sum(_counted(snapshot, application, policy_id, part) for part in parts)


def _count(
    tx: WriteTransaction, application: int, policy_id: str, tenant_id: str | None, change: int
) -> None:
    for part in (_ALL_PART, part_of(tenant_id)):
        count = _counted(tx.snapshot, application, policy_id, part) + change
        document_id = f"{policy_id}/{part}"
        if count:
            tx.put_document(application, POLICY_COUNT_KIND, document_id, b"%d" % count)
        else:
            tx.delete_document(application, POLICY_COUNT_KIND, document_id)


def _counted(snapshot: Snapshot, application: int, policy_id: str, part: str) -> int:
    body = snapshot.document(application, POLICY_COUNT_KIND, f"{policy_id}/{part}")
    return int(body) if body is not None else 0

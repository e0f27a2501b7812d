"""Audit: who changed what, written in the same transaction as the change (contract authaz §7).

What changed nothing leaves no event. A call that changes many things leaves one summary; what it
changed stands in the change log under the revision that its batch id begins with. What concerns
the server rather than an application (applications made and deleted, the root key) stands in the
server's own log.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import orjson

from zeratul.service.ground.caller import Caller
from zeratul.service.ground.directory import SERVER
from zeratul.service.ground.times import format_time

if TYPE_CHECKING:
    from zeratul.domain.relationship import Relationship, SubjectRef
    from zeratul.store.interface import WriteTransaction

USER_TYPE = "user"


def record(
    tx: WriteTransaction,
    caller: Caller,
    action: str,
    target_type: str,
    target_id: str,
    *,
    permission: str | None = None,
    tenant_id: str | None = None,
    user_id: str | None = None,
    before: Any = None,
    after: Any = None,
    batch_id: str | None = None,
) -> None:
    """Append an event to the application's audit log, inside the change's own transaction.

    Args:
        tx: the transaction that makes the change.
        caller: who makes it.
        action: what happened, ``policy.updated``.
        target_type, target_id: to what.
        permission: the permission it is about, if it is about one.
        tenant_id: the tenant it happened in, if in one; a tenant's caller is always in its own.
        user_id: the user it is about (who got a role, a grant), if it is about one.
        before, after: the target's JSON form; None where it was or is not there.
        batch_id: common to what one call changed (``batch_of``).
    """
    event = {
        "time": tx.now_ms,
        "actor": {"type": caller.actor_type, "id": caller.actor_id, "name": caller.actor_name},
        "action": action,
        "target": {"type": target_type, "id": target_id},
        "permission": permission,
        "tenantId": caller.tenant_id if tenant_id is None else tenant_id,
        "userId": user_id,
        "before": before,
        "after": after,
        "requestId": caller.request_id or None,
        "ip": caller.ip or None,
        "batchId": batch_id,
    }
    tx.record(caller.application, orjson.dumps(event))


def batch_of(tx: WriteTransaction) -> str:
    """The id common to what one call changed: ``bat_<revision>_<job of that commit>``.

    The revision is where the change log has it, with what other calls of the commit changed.
    """
    return f"bat_{tx.revision}_{tx.job}"


def record_many(
    tx: WriteTransaction,
    caller: Caller,
    action: str,
    counts: dict[str, Any],
    *,
    batch_id: str | None = None,
    before: Any = None,
    user_id: str | None = None,
) -> None:
    """The one event of a call that changed many relationships.

    Args:
        tx, caller, action: like ``record``.
        counts: what came of it.
        batch_id: of what a former transaction of the same call began; else this transaction's.
        before: what was asked for, where that says more than the counts.
        user_id: the user all of it is about.
    """
    batch_id = batch_id or batch_of(tx)
    record(
        tx,
        caller,
        action,
        "relationships",
        batch_id,
        user_id=user_id,
        before=before,
        after=counts,
        batch_id=batch_id,
    )


def server_caller(caller: Caller | None = None) -> Caller:
    """Whoever acts, recording in the server's own log; without anyone the server itself."""
    if caller is None:
        return Caller("", SERVER, "server", is_root=True)
    return replace(caller, application_id="", application=SERVER)


def relationship_event(fact: Relationship) -> dict[str, Any]:
    """A relationship as an event shows it, before or after."""
    value: dict[str, Any] = {
        "subject": str(fact.subject),
        "resource": fact.resource_type,
        "resourceId": fact.resource_id,
        "relation": fact.relation,
    }
    if fact.expires_at_ms is not None:
        value["expiresAt"] = format_time(fact.expires_at_ms)
    return value


def user_of(who: SubjectRef | None) -> str | None:
    """The user an event is about, where it is about exactly one."""
    if who is None or who.type != USER_TYPE or who.relation or who.is_wildcard:
        return None
    return who.id

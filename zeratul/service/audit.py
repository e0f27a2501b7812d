"""Audit: who changed what, written in the same transaction as the change (contract authaz §7)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import orjson

if TYPE_CHECKING:
    from zeratul.service.caller import Caller
    from zeratul.store.interface import WriteTransaction


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
        tenant_id: the tenant it happened in, if in one.
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
        "tenantId": tenant_id,
        "userId": user_id,
        "before": before,
        "after": after,
        "requestId": caller.request_id or None,
        "ip": caller.ip or None,
        "batchId": batch_id,
    }
    tx.record(caller.application, orjson.dumps(event))


def batch_of(tx: WriteTransaction) -> str:
    """The id under which a bulk call's relationships are found in the change log."""
    return f"bat_{tx.revision}"

"""Whether an application has tenants. They are never registered: using one is enough."""

from __future__ import annotations

from typing import TYPE_CHECKING

import orjson

from zeratul.service.ground.directory import APPLICATION_KIND, SERVER

if TYPE_CHECKING:
    from zeratul.service.ground.caller import Caller
    from zeratul.store.interface import Snapshot, WriteTransaction

_TENANCY_KIND, _TENANCY_ID = "tenancy", "used"
_MULTI_TENANT = "multi_tenant"


def has_tenants(snapshot: Snapshot, caller: Caller) -> bool:
    """Whether an application has tenants: it was made for them, or has used one."""
    body = snapshot.document(SERVER, APPLICATION_KIND, caller.application_id)
    if body is not None and orjson.loads(body)["tenancyType"] == _MULTI_TENANT:
        return True
    return snapshot.document(caller.application, _TENANCY_KIND, _TENANCY_ID) is not None


def note_tenant(tx: WriteTransaction, application: int) -> None:
    """Remember that the application uses tenants."""
    if tx.snapshot.document(application, _TENANCY_KIND, _TENANCY_ID) is None:
        tx.put_document(application, _TENANCY_KIND, _TENANCY_ID, b"")

"""Management permissions: what a key may be given, and by whom (contract authaz §7)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from zeratul.errors import StrongerKeyError, UnknownNameError
from zeratul.service.ground.times import format_time

if TYPE_CHECKING:
    from collections.abc import Sequence

    from zeratul.service.ground.caller import Caller

_AREAS = (
    "catalog",
    "policies",
    "roles",
    "assignments",
    "groups",
    "relationships",
    "keys",
    "records",
    "model",
)
# What only the root key may do (`applications:*`) is not among them: no key can be given it.
MANAGEMENT_PERMISSIONS = frozenset(
    [f"{area}:{verb}" for area in _AREAS for verb in ("read", "write", "*")]
    + ["relationships:import", "relationships:export"]
    + ["checks:create", "checks:explain", "checks:*", "audit:read", "audit:*", "*"]
)


def granted(caller: Caller, permissions: Sequence[str] | None) -> tuple[str, ...]:
    """What a new key may do: what is asked for, or what its maker may; never more than that.

    Raises:
        UnknownNameError: one is no management permission; names the nearest.
        ForbiddenError: the caller lacks one of them.
    """
    if permissions is None:
        return tuple(sorted(caller.permissions))
    for index, permission in enumerate(permissions):
        if permission not in MANAGEMENT_PERMISSIONS:
            raise UnknownNameError(
                "management permission",
                permission,
                MANAGEMENT_PERMISSIONS,
                field=f"permissions[{index}]",
            )
    for permission in permissions:
        caller.require(permission)
    return tuple(sorted(set(permissions)))


def require_no_stronger(
    caller: Caller,
    permissions: Sequence[str],
    tenant_id: str | None,
    expires_at_ms: int | None,
) -> None:
    """Refuse to hand out a secret that opens more, or for longer, than the caller's own.

    Raises:
        ForbiddenError: the caller lacks one of the permissions.
        NotFoundError: the key is of another tenant, or of the whole application.
        StrongerKeyError: it outlives the caller's key.
    """
    for permission in permissions:
        caller.require(permission)
    if caller.tenant_id is not None:
        caller.enter_tenant(tenant_id or "")
    ends_at_ms = caller.known_key.expires_at_ms if caller.known_key is not None else None
    if ends_at_ms is not None and (expires_at_ms is None or expires_at_ms > ends_at_ms):
        raise StrongerKeyError(format_time(ends_at_ms))

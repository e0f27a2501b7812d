"""What every way of assigning roles shares: the rules of who, which role and where."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

from zeratul.domain.paths import canonical, path_text
from zeratul.domain.scopes import Grant, Scope
from zeratul.errors import InputError, ValidationError
from zeratul.service.ground.audit import record
from zeratul.service.ground.labels import require_tenant
from zeratul.service.ground.times import format_time
from zeratul.service.ground.validation import require_id, require_subject
from zeratul.service.roles.role_answers import APP_WIDE_GRANT
from zeratul.service.roles.stored_grants import holder_row, stored_scope
from zeratul.service.roles.stored_roles import require_role
from zeratul.service.roles.tenancy import has_tenants

if TYPE_CHECKING:
    from zeratul.dispatch.view import View
    from zeratul.domain.relationship import SubjectRef
    from zeratul.service.ground.caller import Caller
    from zeratul.service.roles.role_answers import Assignment, Wish
    from zeratul.service.roles.stored_grants import GrantForm
    from zeratul.service.roles.stored_roles import StoredRole
    from zeratul.store.interface import Row, Snapshot, WriteTransaction

USER_TYPE = "user"


class Placed(NamedTuple):
    """A wish that was judged: its row and the grant it belongs to."""

    row: Row
    grant: Grant


def scope_of(
    caller: Caller, tenant_id: str | None, wish_tenant: str | None, path: str | None, where: str
) -> Scope:
    """Where an assignment is to hold.

    Args:
        caller: who asks; one of a tenant acts in it without naming it.
        tenant_id: the tenant of the call's path, if it has one.
        wish_tenant: the tenant that is named beside the role.
        path: the resource path that is named.
        where: put before names of fields.

    Raises:
        ValidationError: a tenant and a path, or two tenants, or an empty path.
        MalformedError: a tenant id or path that is none.
        NotFoundError: another tenant than the caller's.
        TenantScopeError: a path, and a caller of one tenant.
    """
    if tenant_id is not None and wish_tenant not in (None, tenant_id):
        raise ValidationError({where + "tenantId": ["is not the tenant of the path"]})
    tenant = tenant_id if tenant_id is not None else wish_tenant
    if tenant is not None:
        require_tenant(tenant, where + "tenantId")
    if path is not None:
        if tenant is not None:
            raise ValidationError(
                {where + "scope": ["a role holds in a tenant or on a path, not both"]}
            )
        caller.require_whole_application("assignments on a path")
        if not path:
            # Nothing at all where a path is expected would be a mistake with a large effect.
            raise ValidationError({where + "scope": ["must not be empty; everything is `*`"]})
        return Scope(None, canonical(path, field=where + "scope"))
    return Scope(caller.question_tenant(tenant), ())


def placed(
    caller: Caller,
    view: View,
    form: GrantForm | None,
    wish: Wish,
    tenant_id: str | None,
    *,
    roles: dict[str, StoredRole],
    new: bool,
    where: str = "",
    suggest: bool = True,
) -> Placed:
    """The row of an assignment to write or delete.

    Args:
        caller: who asks.
        view: judged by.
        form: None as long as the application has no roles.
        wish: what is asked for.
        tenant_id: the tenant of the call's path, if it has one.
        roles: those looked up already, by id; added to.
        new: whether it is to be written.
        where: put before names of fields.
        suggest: whether time may go into finding the nearest name.

    Raises:
        ZeratulError: like ``scope_of``; an unknown role; a subject that can not have one; a
            tenant's own role outside of it; an expiry in the past.
    """
    scope = scope_of(caller, tenant_id, wish.tenant_id, wish.path, where)
    role = roles.get(wish.role_id)
    if role is None:
        role = require_role(view.snapshot, caller, wish.role_id, field=where + "roleId")
        roles[role.id] = role
    if suggest:
        require_subject(view.schema, wish.holder, where + "subject")
    else:
        require_id(wish.holder.id, where + "subject")
    if form is None:  # There is a role, so the server's own types are there.
        raise InputError("the application has no roles", field=where + "roleId")
    grant = Grant(role.id, stored_scope(scope, form.catalog))
    row = holder_row(form, wish.holder, grant, wish.expires_at_ms, field=where + "subject")
    if new:
        _require_place(role, scope, where)
        if wish.expires_at_ms is not None and wish.expires_at_ms <= view.snapshot.now_ms:
            raise InputError("the expiry is in the past", field=where + "expiresAt")
    return Placed(row, grant)


def _require_place(role: StoredRole, scope: Scope, where: str) -> None:
    """A tenant's own role holds in its tenant and nowhere else.

    Raises:
        InputError: it would be somewhere else.
    """
    owner = role.tenant_id
    if owner is None or scope == Scope(owner, ()):
        return
    raise InputError(
        f"the role `{role.name}` belongs to tenant `{owner[:128]}` and holds there only",
        field=where + ("scope" if scope.path else "tenantId"),
        help="assign it in that tenant, or a global role here",
    )


def warnings_of(snapshot: Snapshot, caller: Caller, *scopes: Scope) -> tuple[str, ...]:
    """What to think over before assigning like this."""
    wide = any(scope == Scope(None, ()) for scope in scopes)
    return (APP_WIDE_GRANT,) if wide and has_tenants(snapshot, caller) else ()


def user_of(holder: SubjectRef) -> str | None:
    """The user's id, of a plain user."""
    return holder.id if holder.type == USER_TYPE and not holder.relation else None


def scope_text(scope: Scope) -> str | None:
    """The path of a scope as text; None for a tenant's and the whole application's."""
    return path_text(scope.path) if scope.path else None


def record_assignment(
    tx: WriteTransaction,
    caller: Caller,
    *,
    before: Assignment | None = None,
    after: Assignment | None = None,
    batch_id: str | None = None,
) -> None:
    """The audit event of one assignment that was made, changed or taken away."""
    shown = after or before
    if shown is None:
        raise TypeError("an event about nothing")
    record(
        tx,
        caller,
        "role.assigned" if after is not None else "role.unassigned",
        "role",
        shown.role_id,
        tenant_id=shown.scope.tenant,
        user_id=user_of(shown.holder),
        before=_event(before),
        after=_event(after),
        batch_id=batch_id,
    )


def _event(assignment: Assignment | None) -> dict[str, Any] | None:
    if assignment is None:
        return None
    expires_at_ms = assignment.expires_at_ms
    return {
        "id": assignment.id,
        "subject": str(assignment.holder),
        "roleId": assignment.role_id,
        "tenantId": assignment.scope.tenant,
        "scope": scope_text(assignment.scope),
        "expiresAt": None if expires_at_ms is None else format_time(expires_at_ms),
    }

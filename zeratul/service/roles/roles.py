"""Roles: named sets of policies, global or a tenant's own (contract authaz §3).

What a role gives is looked up when a question is asked: editing one rewrites no relationship and
is effective at once for everyone who has it. A role never moves between tenants, and there is no
inheritance between roles: they share policies.
"""

from __future__ import annotations

import secrets
from typing import TYPE_CHECKING

from msgspec.structs import replace

from zeratul.domain.scopes import GRANT_TYPE
from zeratul.errors import InUseError, LimitError, NotFoundError
from zeratul.service.ground.audit import batch_of, record
from zeratul.service.ground.etags import require_match
from zeratul.service.ground.futures import resolved, retrying
from zeratul.service.ground.labels import require_name
from zeratul.service.ground.stored_model import require_model
from zeratul.service.roles.labelled import require_labels
from zeratul.service.roles.role_reading import RoleReading, user_count
from zeratul.service.roles.stored_grants import (
    GrantForm,
    count_holders,
    drop_role,
    grant_form,
    grants_of_role,
)
from zeratul.service.roles.stored_policies import require_policies
from zeratul.service.roles.stored_roles import (
    Flattening,
    StoredRole,
    forget_role,
    put_role,
    role_answer,
    switch_on,
    unpack_role,
    visible_role,
)

if TYPE_CHECKING:
    from concurrent.futures import Future

    from zeratul.service.ground.caller import Caller
    from zeratul.service.ground.idempotency import Idempotent, Replay
    from zeratul.service.roles.role_answers import Labelled, Role
    from zeratul.store.interface import Snapshot, WriteTransaction


class Roles(RoleReading):
    """Use cases around roles; the reading ones are in the base class."""

    def create(
        self,
        caller: Caller,
        given: Labelled,
        tenant_id: str | None = None,
        *,
        idempotency: Idempotent | None = None,
    ) -> Future[Role | Replay]:
        """Make a role: a tenant's own, or without a tenant a global one.

        Raises:
            ForbiddenError, TenantScopeError: the caller may not write such roles.
            NotFoundError: another tenant than the caller's.
            InputError: a name or description that is none, too many policies; (from the future)
                a policy that is not there.
            AlreadyExistsError: (from the future) another role of the same tenant has this name.
            IdempotencyError: (also from the future) the same key with another request.
        """
        self._enter(caller, "roles:write", tenant_id)
        if tenant_id is None:
            caller.require_whole_application("global roles")
        require_name(given.name or "")
        self._require(given)
        return retrying(lambda: self._create(caller, given, tenant_id, idempotency))

    def _create(
        self,
        caller: Caller,
        given: Labelled,
        tenant_id: str | None,
        idempotency: Idempotent | None,
    ) -> Future[Role | Replay]:
        base, application = self._base, caller.application
        with base.view(caller) as view:
            replay = base.replay(idempotency, caller, view.snapshot)
            if replay is not None:
                return resolved(replay)
            schema, catalog = view.schema, view.catalog
            before_revision = view.schema_revision
        role_id = f"role_{secrets.token_hex(8)}"
        policy_ids = tuple(dict.fromkeys(given.content or ()))

        def job(tx: WriteTransaction) -> Role:
            require_model(tx.snapshot, application, before_revision)
            schema_revision = before_revision
            if GRANT_TYPE not in schema.types:
                schema_revision = switch_on(tx, application, schema)
            require_policies(tx.snapshot, application, policy_ids)
            role = StoredRole(
                id=role_id,
                name=given.name or "",
                description=given.description or "",
                policy_ids=policy_ids,
                tenant_id=tenant_id,
                created_at_ms=tx.now_ms,
                updated_at_ms=tx.now_ms,
                created_revision=tx.revision,
            )
            body = put_role(tx, application, role)
            _record(tx, caller, "role.created", role, after=role)
            zookie = base.zookie(application, tx.effective_revision, schema_revision)
            flattening = Flattening(tx.snapshot, application, catalog)
            return role_answer(body, flattening, 0, zookie=zookie)

        return base.write_once(caller, idempotency, job)

    def update(
        self,
        caller: Caller,
        role_id: str,
        given: Labelled,
        tenant_id: str | None = None,
        *,
        if_match: str | None = None,
    ) -> Future[Role]:
        """Change a role, effective on the next question anywhere.

        Args:
            caller: who asks.
            role_id: which.
            given: what it becomes; None leaves a part as it is.
            tenant_id: the tenant whose own role it must be; None: anybody's, global ones too.
            if_match: text of ``If-Match``.

        Raises:
            ForbiddenError, TenantScopeError: the caller may not write this role.
            NotFoundError: (also from the future) there is none of this id in the tenant.
            InputError: a name or description that is none, too many policies; (from the future)
                a policy that is not there.
            PreconditionError: (from the future) it was changed since.
            AlreadyExistsError: (from the future) another role of the same tenant has this name.
        """
        self._enter(caller, "roles:write", tenant_id)
        self._require(given)
        return retrying(lambda: self._update(caller, role_id, given, tenant_id, if_match))

    def _update(
        self,
        caller: Caller,
        role_id: str,
        given: Labelled,
        tenant_id: str | None,
        if_match: str | None,
    ) -> Future[Role]:
        base, application = self._base, caller.application
        with base.view(caller) as view:
            _own_role(view.snapshot, caller, role_id, tenant_id)
            catalog, schema_revision = view.catalog, view.schema_revision
            # Before the writers' lock: editing a role changes nothing in who holds it.
            users = user_count(view, role_id, tenant_id or caller.tenant_id)

        def job(tx: WriteTransaction) -> Role:
            require_model(tx.snapshot, application, schema_revision)
            body = _own_role(tx.snapshot, caller, role_id, tenant_id)
            require_match(if_match, body)
            before = unpack_role(body)
            after = before.relabelled(given)
            if given.content is not None:
                after = replace(after, policy_ids=tuple(dict.fromkeys(given.content)))
            if after != before:  # What changes nothing is no change: no event, no new tag.
                require_policies(tx.snapshot, application, after.policy_ids)
                after = replace(after, updated_at_ms=tx.now_ms)
                body = put_role(tx, application, after, before)
                _record(tx, caller, "role.updated", after, before=before, after=after)
            zookie = base.zookie(application, tx.effective_revision, schema_revision)
            flattening = Flattening(tx.snapshot, application, catalog)
            return role_answer(body, flattening, users, zookie=zookie)

        return base.store.write(job)

    def delete(
        self,
        caller: Caller,
        role_id: str,
        tenant_id: str | None = None,
        *,
        force: bool = False,
        if_match: str | None = None,
    ) -> Future[str]:
        """Delete a role; the future has the zookie.

        Args:
            caller: who asks.
            role_id: which.
            tenant_id: the tenant whose own role it must be; None: anybody's, global ones too.
            force: take it away from everyone who has it, in the same commit.
            if_match: text of ``If-Match``.

        Raises:
            ForbiddenError, TenantScopeError: the caller may not write this role.
            NotFoundError: (also from the future) there is none of this id in the tenant.
            InputError: a tenant id that is none.
            PreconditionError: (from the future) it was changed since.
            InUseError: (also from the future) somebody has it, and ``force`` is off.
            LimitError: too many have it.
        """
        self._enter(caller, "roles:write", tenant_id)
        return retrying(lambda: self._delete(caller, role_id, tenant_id, if_match, force=force))

    def _delete(
        self,
        caller: Caller,
        role_id: str,
        tenant_id: str | None,
        if_match: str | None,
        *,
        force: bool,
    ) -> Future[str]:
        base, application = self._base, caller.application
        with base.view(caller) as view:
            body = _own_role(view.snapshot, caller, role_id, tenant_id)
            schema_revision = view.schema_revision
            form = grant_form(view)
            require_match(if_match, body)
            if form is not None:
                # Counted before the writers' lock: the usual refusal never takes it.
                self._require_deletable(view.snapshot, form, unpack_role(body), force=force)

        def job(tx: WriteTransaction) -> str:
            require_model(tx.snapshot, application, schema_revision)
            body = _own_role(tx.snapshot, caller, role_id, tenant_id)
            require_match(if_match, body)
            role = unpack_role(body)
            count = 0
            if form is not None:
                if not force:
                    self._require_deletable(tx.snapshot, form, role, force=False)
                count = drop_role(tx, base, form, role_id)
            forget_role(tx, application, role)
            _record(tx, caller, "role.deleted", role, before=role, unassigned=count)
            return base.zookie(application, tx.effective_revision, schema_revision)

        return base.store.write(job)

    def _require_deletable(
        self, snapshot: Snapshot, form: GrantForm, role: StoredRole, *, force: bool
    ) -> None:
        counts = count_holders(snapshot, form, grants_of_role(snapshot, form, role.id))
        total = sum(counts.values())
        if total and not force:
            some = "1 assignment" if total == 1 else f"{total:,} assignments"
            raise InUseError(f"the role `{role.name}` has {some}", {"assignments": counts})
        most = self._base.limits.role_unassign_max
        if total > most:
            raise LimitError(
                "role_unassign_max",
                most,
                f"the role has {total:,} assignments, at most {most:,} go in one call",
                help="take its policies away first, which is effective at once;"
                " then take it away from its holders in bulk calls",
            )

    def _require(self, given: Labelled) -> None:
        require_labels(given)
        most = self._base.limits.role_policies_max
        if given.content is not None and len(set(given.content)) > most:
            raise LimitError(
                "role_policies_max",
                most,
                f"a role has at most {most:,} policies, this one has {len(set(given.content)):,}",
                field="policyIds",
            )


def _own_role(snapshot: Snapshot, caller: Caller, role_id: str, tenant_id: str | None) -> bytes:
    """The document of a role that the caller may change under this path.

    Raises:
        NotFoundError: there is none, or not in the tenant.
        TenantScopeError: it is global, and the caller acts in one tenant.
    """
    body = visible_role(snapshot, caller, role_id, tenant_id)
    if unpack_role(body).tenant_id is None:
        caller.require_whole_application("global roles")
        if tenant_id is not None:
            raise NotFoundError(
                f"tenant `{tenant_id[:128]}` has no role `{role_id[:128]}` of its own",
                help="it is global: change it by the path without a tenant",
            )
    return body


def _record(
    tx: WriteTransaction,
    caller: Caller,
    action: str,
    role: StoredRole,
    *,
    before: StoredRole | None = None,
    after: StoredRole | None = None,
    unassigned: int = 0,
) -> None:
    shown = before.event() if before is not None else None
    if shown is not None and action == "role.deleted":
        shown["assignments"] = unassigned
    record(
        tx,
        caller,
        action,
        "role",
        role.id,
        tenant_id=role.tenant_id,
        before=shown,
        after=after.event() if after is not None else None,
        batch_id=batch_of(tx) if unassigned else None,
    )

"""Policies: named sets of permissions, shared by roles (contract authaz §3).

What a policy gives is looked up when a question is asked: editing one rewrites no relationship and
changes every role that has it at once.

*Decision*: a policy that names a permission the catalog does not declare is refused when it is
written, by the very rules the write commits under; the catalog in turn takes what it withdraws out
of policies. So a policy never gives what nobody declared.
"""

from __future__ import annotations

import secrets
from typing import TYPE_CHECKING

from msgspec.structs import replace

from zeratul.errors import InUseError, LimitError
from zeratul.service.ground.answers import FIRST_PAGE, Page
from zeratul.service.ground.audit import batch_of, record
from zeratul.service.ground.cursors import Cursor, query_digest
from zeratul.service.ground.etags import require_match
from zeratul.service.ground.futures import resolved, retrying
from zeratul.service.ground.labels import require_name
from zeratul.service.ground.stored_model import require_model
from zeratul.service.roles.labelled import require_labels
from zeratul.service.roles.permission_names import require_permissions
from zeratul.service.roles.role_answers import Labelled, Policy, RowPage
from zeratul.service.roles.stored_policies import (
    POLICY_KIND,
    POLICY_NAMES,
    StoredPolicy,
    attached_count,
    attached_roles,
    policy_answer,
    put_policy,
    require_policy,
    unpack_policy,
)
from zeratul.service.roles.stored_roles import find_role, put_role

if TYPE_CHECKING:
    from concurrent.futures import Future

    from zeratul.dispatch.view import View
    from zeratul.service.ground.caller import Caller
    from zeratul.service.ground.foundation import Foundation
    from zeratul.service.ground.idempotency import Idempotent, Replay
    from zeratul.store.interface import Snapshot, WriteTransaction

# LIMIT: roles a refusal lists; it counts them all.
_LISTED_ROLES_MAX = 100
_WHAT = "policies"


class Policies:
    """Use cases around policies."""

    def __init__(self, foundation: Foundation) -> None:
        self._base = foundation

    def list(
        self, caller: Caller, *, page: Page = FIRST_PAGE, at_least: str | None = None
    ) -> RowPage[Policy]:
        """A page of the policies, in id order; later ones are left out of a list that goes on.

        Raises:
            ForbiddenError: the caller lacks ``policies:read``.
            InputError: a page size or cursor that is none.
            RevisionError: ``at_least`` can not be met.
        """
        caller.require("policies:read")
        base = self._base
        size = base.page_size(page)
        query = query_digest("policies", caller.application, caller.tenant_id)
        cursor = Cursor.decode(page.cursor, base.cursor_secret, query) if page.cursor else None
        with base.view(caller) as view:
            base.require_fresh(view, at_least)
            snapshot = view.snapshot
            upto = cursor.revision if cursor else view.revision
            after = cursor.position.decode() if cursor else ""
            bodies = _some_policies(snapshot, caller.application, after, upto, size + 1)
            rows = [policy_answer(snapshot, caller, body) for body in bodies[:size]]
            following = None
            if len(bodies) > size:
                following = Cursor(
                    query, upto, snapshot.now_ms, view.schema_revision, rows[-1].id.encode()
                ).encode(base.cursor_secret)
            return RowPage(
                rows=rows, next_cursor=following, page_size=size, zookie=base.view_zookie(view)
            )

    def get(self, caller: Caller, policy_id: str, *, at_least: str | None = None) -> Policy:
        """One policy.

        Raises:
            ForbiddenError: the caller lacks ``policies:read``.
            NotFoundError: there is none of this id.
            RevisionError: ``at_least`` can not be met.
        """
        caller.require("policies:read")
        base = self._base
        with base.view(caller) as view:
            base.require_fresh(view, at_least)
            body = require_policy(view.snapshot, caller.application, policy_id)
            return policy_answer(view.snapshot, caller, body, zookie=base.view_zookie(view))

    def create(
        self, caller: Caller, given: Labelled, *, idempotency: Idempotent | None = None
    ) -> Future[Policy | Replay]:
        """Make a policy.

        Raises:
            ForbiddenError, TenantScopeError: the caller may not write policies.
            InputError: a name, description or permission that is none.
            AlreadyExistsError: (from the future) another policy has this name.
            IdempotencyError: (also from the future) the same key with another request.
        """
        _require_writer(caller)
        require_name(given.name or "")
        require_labels(given)
        return retrying(lambda: self._create(caller, given, idempotency))

    def _create(
        self, caller: Caller, given: Labelled, idempotency: Idempotent | None
    ) -> Future[Policy | Replay]:
        base, application = self._base, caller.application
        with base.view(caller) as view:
            replay = base.replay(idempotency, caller, view.snapshot)
            if replay is not None:
                return resolved(replay)
            permissions = self._permissions(view, given) or ()
            schema_revision = view.schema_revision
        policy_id = f"pol_{secrets.token_hex(8)}"

        def job(tx: WriteTransaction) -> Policy:
            require_model(tx.snapshot, application, schema_revision)
            policy = StoredPolicy(
                id=policy_id,
                name=given.name or "",
                description=given.description or "",
                permissions=permissions,
                created_at_ms=tx.now_ms,
                updated_at_ms=tx.now_ms,
                created_revision=tx.revision,
            )
            POLICY_NAMES.claim(tx, application, None, policy)
            body = put_policy(tx, application, policy)
            record(tx, caller, "policy.created", "policy", policy_id, after=policy.event())
            zookie = base.zookie(application, tx.effective_revision, schema_revision)
            return policy_answer(tx.snapshot, caller, body, zookie=zookie)

        return base.write_once(caller, idempotency, job)

    def update(
        self, caller: Caller, policy_id: str, given: Labelled, *, if_match: str | None = None
    ) -> Future[Policy]:
        """Change a policy, effective on the next question anywhere.

        Args:
            caller: who asks.
            policy_id: which.
            given: what it becomes; None leaves a part as it is.
            if_match: text of ``If-Match``.

        Raises:
            ForbiddenError, TenantScopeError: the caller may not write policies.
            InputError: a name, description or permission that is none.
            NotFoundError: (also from the future) there is none of this id.
            PreconditionError: (from the future) it was changed since.
            AlreadyExistsError: (from the future) another policy has this name.
        """
        _require_writer(caller)
        require_labels(given)
        return retrying(lambda: self._update(caller, policy_id, given, if_match))

    def _update(
        self, caller: Caller, policy_id: str, given: Labelled, if_match: str | None
    ) -> Future[Policy]:
        base, application = self._base, caller.application
        with base.view(caller) as view:
            require_policy(view.snapshot, application, policy_id)
            permissions = self._permissions(view, given)
            schema_revision = view.schema_revision

        def job(tx: WriteTransaction) -> Policy:
            if permissions is not None:
                require_model(tx.snapshot, application, schema_revision)
            body = require_policy(tx.snapshot, application, policy_id)
            require_match(if_match, body)
            before = unpack_policy(body)
            after = before.relabelled(given)
            if permissions is not None:
                after = replace(after, permissions=permissions)
            if after != before:  # What changes nothing is no change: no event, no new tag.
                after = replace(after, updated_at_ms=tx.now_ms)
                POLICY_NAMES.claim(tx, application, None, after, before)
                body = put_policy(tx, application, after)
                record(
                    tx,
                    caller,
                    "policy.updated",
                    "policy",
                    policy_id,
                    before=before.event(),
                    after=after.event(),
                )
            zookie = base.zookie(application, tx.effective_revision, schema_revision)
            return policy_answer(tx.snapshot, caller, body, zookie=zookie)

        return base.store.write(job)

    def delete(
        self, caller: Caller, policy_id: str, *, force: bool = False, if_match: str | None = None
    ) -> Future[str]:
        """Delete a policy; the future has the zookie.

        Args:
            caller: who asks.
            policy_id: which.
            force: take it away from the roles that have it, in the same commit.
            if_match: text of ``If-Match``.

        Raises:
            ForbiddenError, TenantScopeError: the caller may not write policies.
            NotFoundError: (from the future) there is none of this id.
            PreconditionError: (from the future) it was changed since.
            InUseError: (from the future) roles have it, and ``force`` is off.
            LimitError: (from the future) too many roles have it.
        """
        _require_writer(caller)
        base, application = self._base, caller.application
        with base.view(caller) as view:
            schema_revision = view.schema_revision

        def job(tx: WriteTransaction) -> str:
            body = require_policy(tx.snapshot, application, policy_id)
            require_match(if_match, body)
            before = unpack_policy(body)
            count = attached_count(tx.snapshot, application, policy_id)
            if count and not force:
                raise _in_use(tx.snapshot, application, before, count)
            most = base.limits.policy_detach_max
            if count > most:
                raise LimitError(
                    "policy_detach_max",
                    most,
                    f"{count:,} roles have the policy, at most {most:,} lose it in one call",
                    help="take its permissions away first, which is effective at once;"
                    " then take it from roles one by one",
                )
            _detach_all(tx, application, policy_id, count)
            tx.delete_document(application, POLICY_KIND, policy_id)
            POLICY_NAMES.free(tx, application, None, before)
            record(
                tx,
                caller,
                "policy.deleted",
                "policy",
                policy_id,
                before=before.event() | {"roleCount": count},
                batch_id=batch_of(tx) if count else None,
            )
            return base.zookie(application, tx.effective_revision, schema_revision)

        return base.store.write(job)

    def _permissions(self, view: View, given: Labelled) -> tuple[str, ...] | None:
        if given.content is None:
            return None
        return require_permissions(given.content, view.catalog, self._base.limits)


def _require_writer(caller: Caller) -> None:
    caller.require("policies:write")
    caller.require_whole_application(_WHAT)


def _some_policies(
    snapshot: Snapshot, application: int, after: str, upto: int, limit: int
) -> list[bytes]:
    """Documents behind an id, at most ``limit``, of policies made at or before a revision."""
    found: list[bytes] = []
    while len(found) < limit:
        rows = snapshot.documents(application, POLICY_KIND, after=after, limit=limit - len(found))
        if not rows:
            break
        after = rows[-1][0]
        found += (body for _, body in rows if unpack_policy(body).created_revision <= upto)
    return found


def _in_use(snapshot: Snapshot, application: int, policy: StoredPolicy, count: int) -> InUseError:
    listed = attached_roles(snapshot, application, policy.id, limit=_LISTED_ROLES_MAX)
    some = "1 role has" if count == 1 else f"{count:,} roles have"
    return InUseError(f"{some} the policy `{policy.name}`", {"roles": dict.fromkeys(listed, 1)})


def _detach_all(tx: WriteTransaction, application: int, policy_id: str, count: int) -> None:
    """Take a policy away from every role that has it."""
    for role_id in list(attached_roles(tx.snapshot, application, policy_id, limit=count)):
        role = find_role(tx.snapshot, application, role_id)
        if role is not None:
            kept = tuple(each for each in role.policy_ids if each != policy_id)
            left = replace(role, policy_ids=kept, updated_at_ms=tx.now_ms)
            put_role(tx, application, left, role)

"""Which permissions a subject has: what an application puts into its own tokens and menus.

On one resource every declared action is a question like any other. On whole types only roles
count; their permissions are read out, however large the catalog is.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from zeratul.domain.catalog import EVERY_ACTION, Catalog
from zeratul.domain.membership import Membership
from zeratul.domain.relationship import WILDCARD, ObjectRef
from zeratul.errors import MalformedError, ValidationError, ZeratulError
from zeratul.graph.answers import CheckQuestion
from zeratul.service.ground.labels import require_tenant
from zeratul.service.ground.validation import require_id, require_subject, require_type
from zeratul.service.roles.role_answers import HeldPermissions

if TYPE_CHECKING:
    from collections.abc import Iterable

    from zeratul.dispatch.view import View
    from zeratul.domain.relationship import SubjectRef
    from zeratul.service.ground.caller import Caller
    from zeratul.service.ground.foundation import Foundation


class Permissions:
    """The use case of listing permissions."""

    def __init__(self, foundation: Foundation) -> None:
        self._base = foundation

    def held(
        self,
        caller: Caller,
        subject: SubjectRef,
        *,
        tenant_id: str | None = None,
        resource: str | None = None,
        resource_id: str | None = None,
        at_least: str | None = None,
    ) -> HeldPermissions:
        """The permissions a subject has.

        Args:
            caller: who asks.
            subject: about whom.
            tenant_id: counts roles of this tenant as well.
            resource: only this type; None: all of the catalog, as whole types.
            resource_id: on this resource; None: on the type as a whole, by roles alone.
            at_least: a zookie.

        Raises:
            ForbiddenError: the caller lacks ``checks:create``.
            UserScopeError: the caller speaks for another user.
            NotFoundError: another tenant than the caller's.
            InputError: an unknown type, a subject or id that is none.
            RevisionError: ``at_least`` can not be met.
            LimitError: a question takes too many reads.
        """
        caller.require_question("checks:create", subject)
        if tenant_id is not None:
            require_tenant(tenant_id)
        tenant = caller.question_tenant(tenant_id)
        if resource is None and resource_id is not None:
            raise ValidationError({"resource": ["is missing: an id belongs to a resource"]})
        base = self._base
        with base.view(caller) as view:
            base.require_fresh(view, at_least)
            require_subject(view.schema, subject)
            if resource is None:
                found = _by_roles(view, subject, tenant, _catalog(view).resources)
            else:
                require_type(view.schema, resource, "resource")
                if resource_id is None:
                    found = _by_roles(view, subject, tenant, (resource,))
                else:
                    found = _on_resource(view, subject, tenant, ObjectRef(resource, resource_id))
            return HeldPermissions(
                subject=subject,
                tenant_id=tenant,
                resource=resource,
                resource_id=resource_id,
                permissions=tuple(sorted(found)),
                zookie=base.view_zookie(view),
            )


def _catalog(view: View) -> Catalog:
    return view.catalog or Catalog()


def _by_roles(
    view: View, subject: SubjectRef, tenant: str | None, names: Iterable[str]
) -> list[str]:
    """What holds on whole types; one without declared actions gives nothing to hold."""
    resources = _catalog(view).resources
    chosen = [name for name in names if name in resources]
    found: list[str] = []
    for name, given in zip(
        chosen, view.permissions_on_types(subject, chosen, tenant), strict=True
    ):
        every = f"{name}:{EVERY_ACTION}" in given
        for action in resources[name].actions:
            permission = f"{name}:{action}"
            if every or permission in given:
                found.append(permission)
    return found


def _on_resource(
    view: View, subject: SubjectRef, tenant: str | None, resource: ObjectRef
) -> list[str]:
    """What holds on one resource, by any way: of the declared actions, or of all the model names.

    Raises:
        ZeratulError: one of the questions can not be answered.
    """
    require_id(resource.id, "resourceId")
    if resource.id == WILDCARD:
        raise MalformedError("a resource id must not be `*`", field="resourceId")
    declared = _catalog(view).resources.get(resource.type)
    actions = (
        list(declared.actions)
        if declared is not None
        else list(view.schema.types[resource.type].relations)
    )
    questions = [CheckQuestion(subject, resource, action, tenant) for action in actions]
    found: list[str] = []
    for action, answer in zip(actions, view.check_many(questions), strict=True):
        if isinstance(answer, ZeratulError):
            # INVARIANT: an error never becomes a decision, nor a list that is short of it.
            raise answer
        if answer is Membership.MEMBER:
            found.append(f"{resource.type}:{action}")
    return found

"""What would turn a no, the least first: a relationship, a role to assign, a policy to attach.

Relationships are tried by the evaluator, on top of everything that is there; the one that opens
least comes first, and one that opens everything (an owner's) is suggested only where nothing less
will do. Roles and policies are judged by the rule that grants are judged by: the role has to give
the permission, its scope has to cover the resource, the subject has to be one that can hold a
role.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from zeratul.domain.catalog import EVERY_ACTION
from zeratul.domain.paths import STAR, canonical, path_text, resource_path
from zeratul.domain.schema import AllowedSubject
from zeratul.errors import MalformedError
from zeratul.language.catalog import relation_actions
from zeratul.language.reserved import holders
from zeratul.service.questions.access_answers import Suggestion
from zeratul.service.roles.stored_policies import POLICY_KIND, unpack_policy
from zeratul.service.roles.stored_roles import (
    GLOBAL_ROLES,
    find_role,
    indexed_roles,
    role_of_index,
    roles_of,
)

if TYPE_CHECKING:
    from collections.abc import Iterable

    from zeratul.dispatch.view import View
    from zeratul.domain.paths import Path
    from zeratul.graph.answers import CheckQuestion, Explanation
    from zeratul.service.questions.access_answers import RoleExplained
    from zeratul.service.roles.stored_policies import StoredPolicy
    from zeratul.service.roles.stored_roles import StoredRole

# LIMIT: documents looked at; an explanation stays a matter of milliseconds.
DOCUMENTS_MAX = 1_000
# LIMIT: shown of each kind; a person picks one.
SHOWN_MAX = 3


class _Size(NamedTuple):
    """How much something gives: what sorts first gives least."""

    permissions: int
    name: str


def suggestions(
    view: View,
    question: CheckQuestion,
    found: Explanation,
    roles: tuple[RoleExplained, ...],
    *,
    visible_tenant: str | None,
) -> tuple[tuple[Suggestion, ...], bool]:
    """What would do, and whether more roles or policies are there than were looked at.

    Args:
        view: answers as of.
        question: what was asked.
        found: the evaluator's explanation of the no.
        roles: what the subject holds.
        visible_tenant: the one tenant whose roles may be shown; None: every tenant's.
    """
    suggested = [Suggestion(relationship=each) for each in found.suggestions]
    catalog = view.catalog
    declared = catalog.resources.get(question.resource.type) if catalog is not None else None
    if declared is None or question.relation not in declared.actions:
        return tuple(suggested), False  # no role can give it
    policies, cut = _all_policies(view)
    giving = _giving(view, question, policies)
    by_role: list[Suggestion] = []
    if _can_hold(view, question):
        stored, roles_cut = _assignable(view, question.tenant)
        by_role = _roles(view, question, stored, giving, visible_tenant)
        cut = cut or roles_cut
    by_role += _policies(roles, giving)
    implied = relation_actions(view.schema, catalog, question.resource.type)
    less = [
        each
        for each in suggested
        if each.relationship and implied[each.relationship.relation] != declared.actions
    ]
    if less or any(_gives_less(view, each, question.resource.type) for each in by_role):
        suggested = less
    return (*suggested, *by_role), cut


def _gives_less(view: View, suggestion: Suggestion, type_name: str) -> bool:
    """Whether a role or policy gives less than every action of the type."""
    policies = [suggestion.policy_id] if suggestion.policy_id is not None else []
    if suggestion.role_id is not None:
        role = find_role(view.snapshot, view.application, suggestion.role_id)
        policies += role.policy_ids if role is not None else ()
    given: set[str] = set()
    for policy_id in policies:
        body = view.snapshot.document(view.application, POLICY_KIND, policy_id)
        given.update(() if body is None else unpack_policy(body).permissions)
    return not all(
        each in given or f"{type_name}:{EVERY_ACTION}" in given
        for each in (f"{type_name}:{action}" for action in _actions(view, type_name))
    )


def _actions(view: View, type_name: str) -> tuple[str, ...]:
    """The declared actions of a type."""
    catalog = view.catalog
    declared = catalog.resources.get(type_name) if catalog is not None else None
    return declared.actions if declared is not None else ()


def _giving(
    view: View, question: CheckQuestion, policies: Iterable[StoredPolicy]
) -> dict[str, _Size]:
    """Policies that give the permission, and how much they give in all."""
    resource = question.resource.type
    wanted = {f"{resource}:{question.relation}", f"{resource}:{EVERY_ACTION}"}
    return {
        policy.id: _Size(_count(view, policy.permissions), policy.name)
        for policy in policies
        if not wanted.isdisjoint(policy.permissions)
    }


def _count(view: View, permissions: Iterable[str]) -> int:
    """How many permissions these are, ``resource:*`` as all of its actions."""
    total = 0
    for permission in permissions:
        resource, _, action = permission.partition(":")
        total += len(_actions(view, resource)) if action == EVERY_ACTION else 1
    return total


def _can_hold(view: View, question: CheckQuestion) -> bool:
    subject = question.subject
    form = AllowedSubject(subject.type, subject.relation, wildcard=subject.is_wildcard)
    return form in holders(view.schema.types)


def _roles(
    view: View,
    question: CheckQuestion,
    stored: Iterable[StoredRole],
    giving: dict[str, _Size],
    visible_tenant: str | None,
) -> list[Suggestion]:
    """Roles that give it, and where they are to be assigned: as narrowly as they can be.

    Within a tenant that is for who may assign nowhere else, and for questions about a type as a
    whole: on a path a role would hold in every tenant.
    """
    inside = question.tenant is not None and (
        visible_tenant is not None or not question.resource.id
    )
    sizes = dict(giving)
    fitting: list[tuple[_Size, StoredRole]] = []
    for role in stored:
        if not giving.keys().isdisjoint(role.policy_ids):
            size = sum(_size(view, each, sizes) for each in role.policy_ids)
            fitting.append((_Size(size, role.name), role))
    fitting.sort(key=lambda each: each[0])
    return [
        Suggestion(role_id=role.id, role_name=role.name, tenant_id=question.tenant)
        if inside or role.tenant_id is not None
        else Suggestion(role_id=role.id, role_name=role.name, path=_narrowest(question))
        for _, role in fitting[:SHOWN_MAX]
    ]


def _size(view: View, policy_id: str, sizes: dict[str, _Size]) -> int:
    """How much a policy gives; kept in ``sizes``."""
    found = sizes.get(policy_id)
    if found is None:
        body = view.snapshot.document(view.application, POLICY_KIND, policy_id)
        given = () if body is None else unpack_policy(body).permissions
        found = sizes[policy_id] = _Size(_count(view, given), "")
    return found.permissions


def _policies(roles: tuple[RoleExplained, ...], giving: dict[str, _Size]) -> list[Suggestion]:
    """Policies that give it, for the roles that the subject holds here and that do not."""
    smallest = sorted(giving.items(), key=lambda each: each[1])[:SHOWN_MAX]
    held = [role for role in roles if role.trace.reason == "does_not_carry"]
    return [
        Suggestion(
            role_id=role.trace.role_id,
            role_name=role.name,
            policy_id=policy_id,
            policy_name=size.name,
        )
        for role in held[:1]
        for policy_id, size in smallest
    ]


def _narrowest(question: CheckQuestion) -> str:
    """The narrowest path an assignment can name that covers the resource.

    A path holds fewer characters than an id may: where the resource itself can not be named, it is
    the resources of its type.
    """
    type_name, resource_id = question.resource
    asked = resource_path(type_name, resource_id)
    text = path_text(asked)
    if resource_id and _means(text, asked):
        return text
    return path_text((type_name,)) + "/*"


def _means(text: str, asked: Path) -> bool:
    try:
        path = canonical(text)
    except MalformedError:
        return False
    # A `*` in an id is a character; in a path it stands for any segment.
    return path == asked and STAR not in text


def _all_policies(view: View) -> tuple[list[StoredPolicy], bool]:
    """The first policies of the application, and whether there are more."""
    found = view.snapshot.documents(view.application, POLICY_KIND, limit=DOCUMENTS_MAX + 1)
    return [unpack_policy(body) for _, body in found[:DOCUMENTS_MAX]], len(found) > DOCUMENTS_MAX


def _assignable(view: View, tenant: str | None) -> tuple[list[StoredRole], bool]:
    """The first global roles and those of the tenant, and whether there are more.

    Roles of other tenants are not even counted: nothing that is told depends on them.
    """
    snapshot, application = view.snapshot, view.application
    ranges = [GLOBAL_ROLES] if tenant is None else [GLOBAL_ROLES, roles_of(tenant)]
    found = indexed_roles(snapshot, application, ranges, "", DOCUMENTS_MAX + 1)
    roles = [find_role(snapshot, application, role_of_index(each)) for each in found]
    return [role for role in roles[:DOCUMENTS_MAX] if role], len(found) > DOCUMENTS_MAX

"""Explanations complete: roles with their policies, direct grants, the closest permission, text.

The decision and its proof are the evaluator's (``View.explain``). What is added here tells about
them; it decides nothing. Everything is as of one view and the same hypothetical relationships.
"""

from __future__ import annotations

from dataclasses import replace
from difflib import SequenceMatcher
from typing import TYPE_CHECKING

from zeratul.domain.catalog import EVERY_ACTION
from zeratul.domain.membership import Membership
from zeratul.domain.paths import path_text
from zeratul.domain.scopes import parse_scope
from zeratul.graph.answers import Decision
from zeratul.service.questions.access_answers import ExplainAnswer, PolicyExplained, RoleExplained
from zeratul.service.questions.direct_grants import direct_grants
from zeratul.service.questions.suggestions import suggestions
from zeratul.service.questions.text import explanation_text
from zeratul.service.roles.stored_grants import shown_scope
from zeratul.service.roles.stored_policies import POLICY_KIND, unpack_policy
from zeratul.service.roles.stored_roles import find_role

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from zeratul.dispatch.view import View
    from zeratul.domain.relationship import Relationship
    from zeratul.graph.answers import CheckQuestion, RoleTrace
    from zeratul.service.questions.access_answers import Suggestion
    from zeratul.service.roles.stored_policies import StoredPolicy
    from zeratul.service.roles.stored_roles import StoredRole

# LIMIT: permissions listed of one policy, those of the resource asked about first; it says how
# many there are.
PERMISSIONS_LISTED_MAX = 100
# LIMIT: names compared to find the one most like another; comparing takes some microseconds each.
COMPARED_MAX = 1_000


def explained(
    view: View,
    question: CheckQuestion,
    *,
    added: Sequence[Relationship],
    removed: Sequence[Relationship],
    visible_tenant: str | None,
    zookie: str,
) -> ExplainAnswer:
    """Why or why not, with all that bears on it; how long it took is the caller's to say.

    Args:
        view: answers as of.
        question: what is asked; every name in it is known.
        added, removed: relationships taken as there, and as absent.
        visible_tenant: the one tenant whose roles may be shown; None: every tenant's.
        zookie: of the view.

    Raises:
        LimitError: too many reads; nothing was decided.
    """
    found = view.explain(question, added, removed, one_tenant=visible_tenant is not None)
    documents = _Documents(view)
    roles = tuple(documents.explained(trace, _permission(question)) for trace in found.roles)
    grants, grants_cut = direct_grants(view, question, found, added, removed)
    allowed = found.membership is Membership.MEMBER
    nearest: str | None = None
    suggested: tuple[Suggestion, ...] = ()
    suggested_cut = False
    if not allowed:
        nearest = _closest_held(view, question, added, removed)
        suggested, suggested_cut = suggestions(
            view, question, found, roles, visible_tenant=visible_tenant
        )
    answer = ExplainAnswer(
        question=question,
        allowed=allowed,
        explanation=found,
        roles=roles,
        # How much was read tells of other tenants as well.
        reads=found.reads if visible_tenant is None else None,
        direct_grants=grants,
        closest=nearest,
        suggestions=suggested,
        cut=found.cut or grants_cut or suggested_cut,
        revision=view.revision,
        duration_ms=0,
        text="",
        zookie=zookie,
    )
    return replace(answer, text=explanation_text(answer))


def _permission(question: CheckQuestion) -> str:
    return f"{question.resource.type}:{question.relation}"


class _Documents:
    """Roles and policies of one explanation, each read once."""

    def __init__(self, view: View) -> None:
        self._view = view
        self._roles: dict[str, StoredRole | None] = {}
        self._policies: dict[str, StoredPolicy | None] = {}

    def explained(self, trace: RoleTrace, permission: str) -> RoleExplained:
        """A trace with its role's name and policies."""
        view = self._view
        if trace.role_id not in self._roles:
            found = find_role(view.snapshot, view.application, trace.role_id)
            self._roles[trace.role_id] = found
        role = self._roles[trace.role_id]
        scope = shown_scope(parse_scope(trace.scope), view.catalog)
        return RoleExplained(
            trace=trace,
            name=role.name if role else None,
            tenant_id=scope.tenant,
            path=path_text(scope.path) if scope.tenant is None else None,
            policies=tuple(
                self._policy(policy_id, permission)
                for policy_id in (role.policy_ids if role else ())
            ),
        )

    def _policy(self, policy_id: str, permission: str) -> PolicyExplained:
        view = self._view
        if policy_id not in self._policies:
            body = view.snapshot.document(view.application, POLICY_KIND, policy_id)
            self._policies[policy_id] = None if body is None else unpack_policy(body)
        policy = self._policies[policy_id]
        given = policy.permissions if policy else ()
        matched = gives(given, permission)
        resource = permission.partition(":")[0]
        ordered = sorted(given, key=lambda each: each.partition(":")[0] != resource)
        return PolicyExplained(
            id=policy_id,
            name=policy.name if policy else None,
            matched=matched,
            permissions=tuple(ordered[:PERMISSIONS_LISTED_MAX]),
            permissions_total=len(given),
            closest=None if matched else closest(permission, given),
        )


def gives(permissions: Iterable[str], permission: str) -> bool:
    """Whether a policy's permissions hold this one, spelled out or as ``resource:*``."""
    every = f"{permission.partition(':')[0]}:{EVERY_ACTION}"
    return any(each in {permission, every} for each in permissions)


def closest(permission: str, permissions: Iterable[str]) -> str | None:
    """The permission most like another: on the same resource, or else the same action.

    >>> closest("documents:update", ["reports:update", "documents:read", "documents:create"])
    'documents:create'
    """
    resource, _, action = permission.partition(":")
    alike = [each for each in permissions if each.partition(":")[0] == resource]
    if alike:
        return max(
            alike[:COMPARED_MAX], key=lambda each: _likeness(each.partition(":")[2], action)
        )
    return next((each for each in permissions if each.partition(":")[2] == action), None)


def _likeness(name: str, other: str) -> float:
    return SequenceMatcher(None, name, other).ratio()


def _closest_held(
    view: View,
    question: CheckQuestion,
    added: Sequence[Relationship],
    removed: Sequence[Relationship],
) -> str | None:
    """The permission most like the one asked for that the subject does have there."""
    type_name = question.resource.type
    catalog = view.catalog
    declared = catalog.resources.get(type_name) if catalog is not None else None
    names = declared.actions if declared is not None else view.schema.types[type_name].relations
    others = [name for name in names if name != question.relation][:COMPARED_MAX]
    decisions = view.decide_many(
        [question._replace(relation=name) for name in others], added, removed
    )
    held = [
        f"{type_name}:{name}"
        for name, decision in zip(others, decisions, strict=True)
        if isinstance(decision, Decision) and decision.membership is Membership.MEMBER
    ]
    return closest(_permission(question), held)

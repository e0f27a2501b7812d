"""An explanation in this contract's words (contract authaz §6)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from zeratul.api.authaz.encoding import relationship, subject

if TYPE_CHECKING:
    from zeratul.domain.relationship import SubjectRef
    from zeratul.graph.answers import TraceNode
    from zeratul.service.questions.access_answers import (
        DirectGrant,
        ExplainAnswer,
        PolicyExplained,
        RoleExplained,
        Suggestion,
    )


def explanation(answer: ExplainAnswer) -> dict[str, Any]:
    """What decided, by role, by direct grant and by the model; on a denial also what would do.

    The tree comes as a list of nodes that name their children by number: a proof may be thousands
    of steps deep, deeper than JSON readers nest.
    """
    question, found = answer.question, answer.explanation
    roles = [_role(role) for role in answer.roles]
    value: dict[str, Any] = {
        "allowed": answer.allowed,
        "durationMs": round(answer.duration_ms, 3),
        "revision": answer.revision,
        **subject(question.subject),
        "permission": f"{question.resource.type}:{question.relation}",
        "tenantId": question.tenant,
        "resourceId": question.resource.id or None,
    }
    if found.via_role is not None:
        value["viaRole"] = found.via_role
    if found.via_relationships is not None:
        value["viaDirectGrant"] = found.via_relationships
    value |= {
        "roles": roles,
        "rolesTotal": found.roles_total,
        "roleTrace": roles,
        "policyTrace": [
            {"roleId": role.trace.role_id, **_policy(policy)}
            for role in answer.roles
            for policy in role.policies
        ],
        "directGrants": [_direct_grant(grant) for grant in answer.direct_grants],
        "records": [],
        "proof": [relationship(fact) for fact in found.proof],
        "nodes": _trace(found.root),
        "cut": answer.cut,
        "text": answer.text,
        "zookie": answer.zookie,
    }
    if answer.reads is not None:
        value["reads"] = answer.reads
    if not answer.allowed:
        value["closestPermission"] = answer.closest
        value["suggestions"] = [_suggestion(each, question.subject) for each in answer.suggestions]
    return value


def _role(role: RoleExplained) -> dict[str, Any]:
    trace = role.trace
    return {
        "roleId": trace.role_id,
        "name": role.name,
        "tenantId": role.tenant_id,
        "scope": role.path,
        "considered": trace.considered,
        "reason": trace.reason,
        "via": str(trace.holder),
        "relationships": [str(each) for each in trace.relationships],
        "policies": [_policy(policy) for policy in role.policies],
    }


def _policy(policy: PolicyExplained) -> dict[str, Any]:
    value: dict[str, Any] = {
        "policyId": policy.id,
        "name": policy.name,
        "matched": policy.matched,
        "permissions": policy.permissions,
        "permissionCount": policy.permissions_total,
    }
    if policy.closest is not None:
        value["closest"] = policy.closest
    return value


def _direct_grant(grant: DirectGrant) -> dict[str, Any]:
    return {
        "relation": grant.relation,
        "actions": grant.actions,
        "effect": grant.effect,
        "matched": grant.matched,
        "via": str(grant.subject),
    }


def _suggestion(suggestion: Suggestion, who: SubjectRef) -> dict[str, Any]:
    value: dict[str, Any] = {"kind": suggestion.kind}
    if suggestion.relationship is not None:
        return value | relationship(suggestion.relationship)
    value |= {"roleId": suggestion.role_id, "roleName": suggestion.role_name}
    if suggestion.policy_id is not None:
        return value | {"policyId": suggestion.policy_id, "policyName": suggestion.policy_name}
    value |= subject(who)
    if suggestion.tenant_id is not None:
        value["tenantId"] = suggestion.tenant_id
    if suggestion.path is not None:
        value["scope"] = suggestion.path
    return value


def _trace(root: TraceNode) -> list[dict[str, Any]]:
    values: list[dict[str, Any]] = []
    queue: list[TraceNode] = [root]
    for node in queue:  # grows while it is walked: breadth first, children numbered as they come
        first = len(queue)
        queue.extend(node.children)
        value: dict[str, Any] = {"kind": node.kind, "membership": node.membership.name.lower()}
        if node.resource is not None:
            value |= {"resource": node.resource.type, "resourceId": node.resource.id}
        if node.relation:
            value["relation"] = node.relation
        if node.relationship is not None:
            value["relationship"] = str(node.relationship)
        value["children"] = list(range(first, len(queue)))
        values.append(value)
    return values

"""An explanation as a tree for a person: the decision, roles, relationships, what would do."""

from __future__ import annotations

from typing import TYPE_CHECKING

from zeratul.domain.membership import Membership

if TYPE_CHECKING:
    from collections.abc import Iterable

    from zeratul.graph.answers import CheckQuestion, RoleReason, TraceNode
    from zeratul.service.questions.access_answers import (
        ExplainAnswer,
        PolicyExplained,
        RoleExplained,
        Suggestion,
    )

# LIMIT: deeper steps say their depth instead of standing further right.
INDENTED_DEPTH_MAX = 40

_WORD = {
    Membership.MEMBER: "yes",
    Membership.NOT_MEMBER: "no",
    Membership.CONDITIONAL: "depends",
}
_DECISION = {
    Membership.MEMBER: "allowed",
    Membership.NOT_MEMBER: "denied",
    Membership.CONDITIONAL: "depends on context that is missing",
}
_OPERATION = {
    "union": "any of",
    "intersection": "all of",
    "exclusion": "the first, but not the second",
}
_REASON: dict[RoleReason, str] = {
    "decides": "gives it",
    "does_not_carry": "does not give it",
    "does_not_cover": "does not hold here",
    "other_tenant": "not considered, the question is not about this tenant",
    "not_of_this_tenant": "not considered, it is another tenant's own role",
    "no_role": "not considered, there is no such role any more",
}


def explanation_text(answer: ExplainAnswer) -> str:
    """The decision, what it was looked for in, and what it rests on or what would turn it."""
    found = answer.explanation
    lines = [f"{_DECISION[found.membership]}: {_asked(answer.question)}"]
    if answer.roles:
        lines.append("roles")
        lines += _roles(answer.roles)
        more = found.roles_total - len(answer.roles)
        if more:
            lines.append(f"   ({more:,} more roles are not shown)")
    if answer.question.resource.id:
        if answer.roles:
            lines.append("relationships")
        lines += _tree(found.root)
    if answer.cut:
        lines.append("(cut: more was looked at than is shown)")
    if found.proof:
        lines.append("it rests on")
        lines += [f"  {relationship}" for relationship in found.proof]
    if answer.closest is not None:
        lines.append(f"what comes closest and is allowed is {answer.closest}")
    if answer.suggestions:
        lines.append("it would be allowed with any of")
        lines += [f"  {_suggestion(each)}" for each in answer.suggestions]
    return "\n".join(lines) + "\n"


def _asked(question: CheckQuestion) -> str:
    resource = question.resource
    on = str(resource) if resource.id else f"{resource.type} as a whole"
    where = "" if question.tenant is None else f" in tenant {question.tenant}"
    return f"{question.subject} as `{question.relation}` of {on}{where}"


def _roles(roles: Iterable[RoleExplained]) -> list[str]:
    listed = list(roles)
    lines: list[str] = []
    for index, role in enumerate(listed):
        last = index == len(listed) - 1
        trace = role.trace
        word = "yes" if trace.reason == "decides" else "no"
        name = f"`{role.name}` ({trace.role_id})" if role.name is not None else trace.role_id
        lines.append(
            f"{'└─' if last else '├─'} {word}: role {name} {_place(role.tenant_id, role.path)}:"
            f" {_REASON[trace.reason]}"
        )
        below = [_policy(policy) for policy in role.policies]
        below += [f"through {relationship}" for relationship in trace.relationships]
        for number, line in enumerate(below):
            branch = "└─" if number == len(below) - 1 else "├─"
            lines.append(f"{'   ' if last else '│  '}{branch} {line}")
    return lines


def _place(tenant_id: str | None, path: str | None) -> str:
    if tenant_id is not None:
        return f"in tenant {tenant_id}"
    return f"on {path}" if path not in (None, "*") else "in the whole application"


def _policy(policy: PolicyExplained) -> str:
    name = f"`{policy.name}` ({policy.id})" if policy.name is not None else policy.id
    if policy.matched:
        return f"yes: policy {name}"
    closest = "" if policy.closest is None else f", the closest it gives is {policy.closest}"
    return f"no: policy {name}{closest}"


def _suggestion(suggestion: Suggestion) -> str:
    if suggestion.relationship is not None:
        return str(suggestion.relationship)
    role = f"role `{suggestion.role_name}` ({suggestion.role_id})"
    if suggestion.policy_id is not None:
        return f"policy `{suggestion.policy_name}` ({suggestion.policy_id}) attached to {role}"
    return f"{role} {_place(suggestion.tenant_id, suggestion.path)}"


def _tree(root: TraceNode) -> list[str]:
    lines: list[str] = []
    # Iterative: an explanation is as deep as the nesting it explains.
    stack: list[tuple[TraceNode, str, bool, int]] = [(root, "", True, 0)]
    while stack:
        node, indent, is_last, depth = stack.pop()
        deep = f"[{depth}] " if depth > INDENTED_DEPTH_MAX else ""
        lines.append(f"{indent}{'└─' if is_last else '├─'} {deep}{_line(node)}")
        below = indent
        if depth < INDENTED_DEPTH_MAX:
            below += "   " if is_last else "│  "
        last = len(node.children) - 1
        stack.extend(
            (child, below, index == last, depth + 1)
            for index, child in reversed(list(enumerate(node.children)))
        )
    return lines


def _line(node: TraceNode) -> str:
    goal = f"{node.resource}#{node.relation}" if node.resource else ""
    word = _WORD[node.membership]
    missed = f" ({node.missed:,} usersets do not hold the subject)" if node.missed else ""
    match node.kind:
        case "relation":
            return f"{word}: {goal}{missed}"
        case "relationship" if node.membership is Membership.NOT_MEMBER:
            return f"{word}: {node.relationship} (not stored)"
        case "relationship":
            return f"{word}: {node.relationship} (stored)"
        case "follow":
            return f"{word}: through {node.relationship} (stored){missed}"
        case "itself":
            return f"{word}: {goal or 'it'} is the subject itself"
        case "seen":
            return f"{word}: {goal} (shown elsewhere)"
        case "cut":
            return f"{goal} (not shown)" if goal else "(not shown)"
        case kind:
            return f"{word}: {_OPERATION.get(kind, kind)}{missed}"

"""An explanation as a tree for a person."""

from __future__ import annotations

from typing import TYPE_CHECKING

from zeratul.domain.membership import Membership

if TYPE_CHECKING:
    from zeratul.graph.answers import CheckQuestion, Explanation, TraceNode

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


def explanation_text(question: CheckQuestion, explanation: Explanation) -> str:
    """The decision, what it was looked for in, and what it rests on or what would turn it."""
    asked = f"{question.subject} as `{question.relation}` of {question.resource}"
    lines = [f"{_DECISION[explanation.membership]}: {asked}", *_tree(explanation.root)]
    if explanation.cut:
        lines.append("(cut: more was looked at than is shown)")
    if explanation.proof:
        lines.append("it rests on")
        lines += [f"  {relationship}" for relationship in explanation.proof]
    if explanation.suggestions:
        lines.append("it would be allowed with any of")
        lines += [f"  {relationship}" for relationship in explanation.suggestions]
    return "\n".join(lines) + "\n"


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

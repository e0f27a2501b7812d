"""Every relation can have a member, every subject type can match (OpenFGA: "no entrypoint").

Theory of operation. "Can have a member" is the least solution of Horn clauses over the vertices
of `dependencies` and the nodes of the rewrites: a union needs one of its children, an intersection
each of them, an exclusion its base. Each part counts what it still needs; a part that needs no
more is told to those that wait for it. Every edge is looked at once: linear in the model.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from zeratul.language.dependencies import Vertex, leaf_vertex, targets
from zeratul.language.draft import DraftRelation, DraftType, Node, nodes
from zeratul.language.findings import shown

if TYPE_CHECKING:
    from collections.abc import Iterable

    from zeratul.language.draft import Draft
    from zeratul.language.findings import Findings

_Part = Node | Vertex


def check_members(draft: Draft, findings: Findings) -> None:
    """Note relations without any possible member, and subject types made of such."""
    possible = _Clauses(draft).possible()
    for definition, relation in draft.relations():
        if (definition.name, relation.name) not in possible:
            findings.add(
                relation.place,
                f"`{shown(definition.name)}#{shown(relation.name)}` can never have a member: every"
                " way into it leads back to itself or to a relation that has none",
            )
        for subject in relation.subjects:
            vertex = (subject.type, subject.relation)
            # On the relation itself it is the finding above.
            if vertex == (definition.name, relation.name) or not subject.relation:
                continue
            if draft.has_relation(*vertex) and vertex not in possible:
                findings.add(
                    subject.place,
                    f"`{shown(str(subject))}` can never match: `{shown(subject.relation)}` of"
                    f" `{shown(subject.type)}` can never have a member",
                )


class _Clauses:
    def __init__(self, draft: Draft) -> None:
        self._draft = draft
        self._needs: dict[_Part, int] = {}
        self._waiting: dict[_Part, list[_Part]] = {}
        self._true: list[_Part] = []
        self._seen: set[Vertex] = set()
        for definition, relation in draft.relations():
            self._one_of((definition.name, relation.name), [relation.rewrite])
            for node, _ in nodes(relation.rewrite):
                self._node(definition, relation, node)

    def possible(self) -> set[_Part]:
        """The parts that can have a member."""
        found: set[_Part] = set()
        while self._true:
            part = self._true.pop()
            if part in found:
                continue
            found.add(part)
            for waiting in self._waiting.get(part, ()):
                self._needs[waiting] -= 1
                if self._needs[waiting] == 0:
                    self._true.append(waiting)
        return found

    def _one_of(self, part: _Part, parts: Iterable[_Part]) -> None:
        self._all_of(part, parts, 1)

    def _all_of(self, part: _Part, parts: Iterable[_Part], count: int) -> None:
        self._needs[part] = count
        for needed in parts:
            self._waiting.setdefault(needed, []).append(part)

    def _node(self, definition: DraftType, relation: DraftRelation, node: Node) -> None:
        match node.kind:
            case "union":
                self._one_of(node, node.children)
            case "intersection":
                self._all_of(node, node.children, len(node.children))
            case "exclusion":
                self._one_of(node, node.children[:1])
            case _:
                self._leaf(definition, relation, node)

    def _leaf(self, definition: DraftType, relation: DraftRelation, node: Node) -> None:
        vertex = leaf_vertex(definition, relation, node)
        if vertex is None:
            self._true.append(node)
            return
        self._one_of(node, [vertex])
        if vertex in self._seen:
            return
        self._seen.add(vertex)
        found = targets(self._draft, vertex)
        match node.kind:
            case "computed":
                taken_as_true = node.relation not in definition.relations
            case "arrow":
                # What is stored on a tupleset is plain, so the arrow needs only its targets.
                taken_as_true = not found
            case _:
                usersets = [subject for subject in relation.subjects if subject.relation]
                others = len(usersets) < len(relation.subjects) or len(found) < len(usersets)
                taken_as_true = others or not relation.subjects or relation.subjects_broken
        if taken_as_true:
            self._true.append(vertex)
        elif node.kind != "computed":
            self._one_of(vertex, found)

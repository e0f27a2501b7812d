"""What depends on what in a draft, as vertices and edges.

A vertex is a relation ``(type, relation)``, what is stored on it ``(type, relation, "this")``, or
an arrow ``(type, tupleset, "->", relation)``. The last two stand between a relation and its many
targets, so that a model that names one arrow a thousand times has its targets once.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from zeratul.language.draft import nodes

if TYPE_CHECKING:
    from collections.abc import Iterator

    from zeratul.language.draft import Draft, DraftRelation, DraftType, Node

Vertex = tuple[str, ...]


class Dependency(NamedTuple):
    """A leaf of a relation's rewrite: the relation needs ``target``."""

    source: Vertex
    target: Vertex
    node: Node
    subtracted: bool


def leaf_vertex(definition: DraftType, relation: DraftRelation, node: Node) -> Vertex | None:
    """The vertex a leaf stands for; None for inner and broken nodes."""
    match node.kind:
        case "direct":
            return (definition.name, relation.name, "this")
        case "computed":
            return (definition.name, node.relation)
        case "arrow":
            return (definition.name, node.tupleset, "->", node.relation)
        case _:
            return None


def dependencies(draft: Draft) -> Iterator[Dependency]:
    """Every leaf of every relation."""
    for definition, relation in draft.relations():
        source = (definition.name, relation.name)
        for node, subtracted in nodes(relation.rewrite):
            target = leaf_vertex(definition, relation, node)
            if target is not None:
                yield Dependency(source, target, node, subtracted)


def targets(draft: Draft, vertex: Vertex) -> list[Vertex]:
    """The relations a stored part or an arrow leads to; those nobody declared are left out."""
    definition = draft.types.get(vertex[0])
    if definition is None:
        return []
    match vertex:
        case (_, name, "this"):
            return [
                (subject.type, subject.relation)
                for subject in definition.relations[name].subjects
                if subject.relation and draft.has_relation(subject.type, subject.relation)
            ]
        case (_, tupleset, "->", name):
            return [(target, name) for target in draft.arrow_targets(definition, tupleset, name)]
        case _:
            return []

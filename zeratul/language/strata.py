"""Whether a schema recurses through what an exclusion subtracts.

The rules of a model refuse that in the model itself (``rules.recursion``). A catalog adds
relations and actions to the model's types, and arrows of the model see them, so the two together
are looked at again. Only what the exclusions reach is: most schemas have none.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import networkx as nx

from zeratul.domain.rewrite import Arrow, Computed, Direct, Exclusion, Intersection, Union

if TYPE_CHECKING:
    from collections.abc import Iterator

    from zeratul.domain.rewrite import Rewrite
    from zeratul.domain.schema import Schema

Vertex = tuple[str, str]
"""A type and one of its relations."""


class _Need(NamedTuple):
    target: Vertex
    subtracted: bool


def recursion_through_subtraction(schema: Schema) -> Vertex | None:
    """A relation that depends on itself through what something subtracts, if there is one."""
    waiting = list(_subtracting(schema))
    graph: nx.DiGraph[Vertex] = nx.DiGraph()
    subtracted: list[tuple[Vertex, Vertex]] = []
    seen = set(waiting)
    while waiting:
        source = waiting.pop()
        for target, below in _needs(schema, source):
            graph.add_edge(source, target)
            if below:
                subtracted.append((source, target))
            if target not in seen:
                seen.add(target)
                waiting.append(target)
    component = {
        vertex: number
        for number, vertices in enumerate(nx.strongly_connected_components(graph))
        for vertex in vertices
    }
    return next(
        (source for source, target in subtracted if component[source] == component[target]), None
    )


def has_subtraction(schema: Schema) -> bool:
    """Whether anything subtracts in it at all."""
    return next(_subtracting(schema), None) is not None


def _subtracting(schema: Schema) -> Iterator[Vertex]:
    for name, definition in schema.types.items():
        for relation in definition.relations.values():
            if any(isinstance(node, Exclusion) for node, _ in _nodes(relation.rewrite)):
                yield name, relation.name


def _nodes(root: Rewrite) -> Iterator[tuple[Rewrite, bool]]:
    """Every node, and whether it stands in a subtracted part."""
    stack = [(root, False)]
    while stack:
        node, below = stack.pop()
        yield node, below
        match node:
            case Union(children) | Intersection(children):
                stack.extend((child, below) for child in children)
            case Exclusion(base, subtract):
                stack += ((base, below), (subtract, True))
            case _:
                pass


def _needs(schema: Schema, source: Vertex) -> Iterator[_Need]:
    type_name, name = source
    relations = schema.types[type_name].relations
    for node, below in _nodes(relations[name].rewrite):
        match node:
            case Direct():
                for form in relations[name].subjects:
                    if form.relation:
                        yield _Need((form.type, form.relation), below)
            case Computed(target):
                yield _Need((type_name, target), below)
            case Arrow(tupleset, target):
                for form in relations[tupleset].subjects:
                    if target in schema.types[form.type].relations:
                        yield _Need((form.type, target), below)
            case _:
                pass

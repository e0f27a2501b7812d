"""No relation depends on itself through what an exclusion subtracts.

"In it unless in it" has no answer. So the rewrites must be stratified: an edge out of a subtracted
part must leave its strongly connected component. Two subtractions in a row are refused like one;
that such a rewrite is monotone again helps nobody who has to read it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import networkx as nx

from zeratul.language.dependencies import Dependency, Vertex, dependencies, targets
from zeratul.language.findings import shown

if TYPE_CHECKING:
    from zeratul.language.draft import Draft
    from zeratul.language.findings import Findings

# LIMIT: naming a cycle searches the component again; the first ones show the mistake.
_CYCLES_NAMED_MAX = 20
_CYCLE_LENGTH_SHOWN_MAX = 10


def check_recursion(draft: Draft, findings: Findings) -> None:
    """Note every subtracted part that depends on what it is subtracted from."""
    graph, subtracted = _graph(draft)
    if not subtracted:
        return
    component = {
        vertex: number
        for number, vertices in enumerate(nx.strongly_connected_components(graph))
        for vertex in vertices
    }
    inside = [edge for edge in subtracted if component[edge.source] == component[edge.target]]
    for count, edge in enumerate(inside):
        source = _text(edge.source)
        message = f"`{source}` depends on itself through what is subtracted here"
        if count < _CYCLES_NAMED_MAX:
            message += ": " + _cycle(graph, edge)
        findings.add(edge.node.place, message)


def _graph(draft: Draft) -> tuple[nx.DiGraph[Vertex], list[Dependency]]:
    graph: nx.DiGraph[Vertex] = nx.DiGraph()
    subtracted: list[Dependency] = []
    for edge in dependencies(draft):
        if edge.target not in graph:
            graph.add_edges_from((edge.target, target) for target in targets(draft, edge.target))
        graph.add_edge(edge.source, edge.target)
        if edge.subtracted:
            subtracted.append(edge)
    return graph, subtracted


def _cycle(graph: nx.DiGraph[Vertex], edge: Dependency) -> str:
    # A path back always stays inside the component: whatever it touches reaches the edge's source.
    path: list[Vertex] = nx.shortest_path(graph, edge.target, edge.source)
    names = [_text(vertex) for vertex in [edge.source, *path] if len(vertex) == 2]
    if len(names) > _CYCLE_LENGTH_SHOWN_MAX:
        names[_CYCLE_LENGTH_SHOWN_MAX - 2 : -1] = ["…"]
    return " → ".join(names)


def _text(vertex: Vertex) -> str:
    return "#".join(shown(part) for part in vertex)

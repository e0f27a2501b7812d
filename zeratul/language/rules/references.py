"""Every type and relation that is named somewhere is declared somewhere."""

from __future__ import annotations

from typing import TYPE_CHECKING

from zeratul.language.draft import nodes
from zeratul.language.findings import shown

if TYPE_CHECKING:
    from zeratul.language.draft import Draft, DraftRelation, DraftType, Node
    from zeratul.language.findings import Findings, Place


def check_references(draft: Draft, findings: Findings) -> None:
    """Note every unknown type and relation, in subject types and in rewrites."""
    for definition, relation in draft.relations():
        _check_subjects(draft, relation, findings)
        for node, _ in nodes(relation.rewrite):
            _check_node(definition, node, findings)


def _check_subjects(draft: Draft, relation: DraftRelation, findings: Findings) -> None:
    for subject in relation.subjects:
        definition = draft.types.get(subject.type)
        if definition is None:
            findings.unknown(subject.place / "type", "type", subject.type, draft.types)
        elif subject.relation:
            _check_relation(definition, subject.relation, subject.place / "relation", findings)


def _check_node(definition: DraftType, node: Node, findings: Findings) -> None:
    if node.kind == "computed":
        place = node.place / "computedUserset" / "relation"
        _check_relation(definition, node.relation, place, findings)
    elif node.kind == "arrow":
        place = node.place / "tupleToUserset" / "tupleset" / "relation"
        _check_relation(definition, node.tupleset, place, findings)


def _check_relation(definition: DraftType, name: str, place: Place, findings: Findings) -> None:
    if not name or name in definition.relations or definition.relations_broken:
        return
    where = f" on type `{shown(definition.name)}`"
    findings.unknown(place, "relation", name, definition.relations, where)

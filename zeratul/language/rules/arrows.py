"""An arrow starts at a relation of plain objects and leads to a relation at least one of them has.

OpenFGA's rule: a tupleset must be readable from the store as it is. A computed one would make each
step of an arrow a question of its own, and a userset or a wildcard names no object to go on from.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from zeratul.language.draft import nodes
from zeratul.language.findings import shown

if TYPE_CHECKING:
    from collections.abc import Mapping

    from zeratul.language.draft import Draft, DraftRelation, DraftType, Node
    from zeratul.language.findings import Findings

# LIMIT: a message names that many subject types or types; a model may list a thousand.
_NAMED_MAX = 5


class _Tupleset(NamedTuple):
    """What is wrong with a tupleset, found once for all arrows over it."""

    problems: list[str]
    types: Mapping[str, DraftType]
    is_known: bool


def check_arrows(draft: Draft, findings: Findings) -> None:
    """Note tuplesets that are not direct and arrows that lead nowhere."""
    for definition in draft.types.values():
        tuplesets: dict[str, _Tupleset] = {}
        for relation in definition.relations.values():
            for node, _ in nodes(relation.rewrite):
                stored = definition.relations.get(node.tupleset) if node.kind == "arrow" else None
                if stored is None:
                    continue
                if stored.name not in tuplesets:
                    tuplesets[stored.name] = _tupleset(draft, definition, stored)
                _check_arrow(draft, definition, node, tuplesets[stored.name], findings)


def _tupleset(draft: Draft, definition: DraftType, stored: DraftRelation) -> _Tupleset:
    name = shown(stored.name)
    problems = []
    if stored.rewrite.kind not in ("direct", "broken"):
        problems.append(
            f"`{name}` is computed; an arrow starts at a relation that is only stored"
            " (exactly `this`)"
        )
    refused = [str(subject) for subject in stored.subjects if subject.wildcard or subject.relation]
    if refused:
        problems.append(
            f"`{name}` takes {_listed(refused)}; an arrow follows plain objects only, without"
            " relation or wildcard"
        )
    types = draft.arrow_types(definition, stored.name)
    # Without any type, or with one that could not be read, the finding is about the subject types.
    is_known = (
        bool(types)
        and not stored.subjects_broken
        and all(subject.type in types for subject in stored.subjects)
        and not any(target.relations_broken for target in types.values())
    )
    return _Tupleset(problems, types, is_known)


def _check_arrow(
    draft: Draft, definition: DraftType, node: Node, tupleset: _Tupleset, findings: Findings
) -> None:
    place = node.place / "tupleToUserset"
    for problem in tupleset.problems:
        findings.add(place / "tupleset" / "relation", problem)
    if not node.relation or not tupleset.is_known:
        return
    if not draft.arrow_targets(definition, node.tupleset, node.relation):
        findings.unknown(
            place / "computedUserset" / "relation",
            "relation",
            node.relation,
            (name for target in tupleset.types.values() for name in target.relations),
            f" on every type `{shown(node.tupleset)}` leads to ({_listed([*tupleset.types])})",
        )


def _listed(names: list[str]) -> str:
    more = ", …" if len(names) > _NAMED_MAX else ""
    return ", ".join(f"`{shown(name)}`" for name in names[:_NAMED_MAX]) + more

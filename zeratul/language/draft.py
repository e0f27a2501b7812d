"""A model that was read but not yet judged: every part knows its place in the document.

What could not be read is in the draft as ``broken``; rules take such a part as right, because its
finding is already noted and a second one about the consequences would hide the cause.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from collections.abc import Iterator

    from zeratul.language.findings import Place

Kind = Literal["broken", "direct", "computed", "arrow", "union", "intersection", "exclusion"]


# Compared by identity: two equal leaves at two places are two leaves.
@dataclass(slots=True, eq=False)
class Node:
    """One node of a rewrite; an exclusion's children are its base and what it subtracts.

    Attributes:
        place: where it stands.
        kind: what it is.
        relation: of a computed userset or an arrow; empty when it could not be read.
        tupleset: of an arrow; empty when it could not be read.
        children: of a union, intersection or exclusion.
    """

    place: Place
    kind: Kind = "broken"
    relation: str = ""
    tupleset: str = ""
    children: list[Node] = field(default_factory=list)


@dataclass(slots=True, eq=False)
class DraftSubject:
    """One form of subject a relation takes; ``condition`` is read so that it can be refused."""

    place: Place
    type: str
    relation: str = ""
    wildcard: bool = False
    condition: str = ""

    def __str__(self) -> str:
        if self.wildcard:
            return f"{self.type}:*"
        return f"{self.type}#{self.relation}" if self.relation else self.type


@dataclass(slots=True, eq=False)
class DraftRelation:
    """A relation or permission.

    Attributes:
        name: its name.
        place: where its rewrite stands.
        rewrite: the root of its rule tree.
        subjects_place: where its subject types stand, or would.
        subjects: those that could be read.
        subjects_broken: whether some could not.
    """

    name: str
    place: Place
    rewrite: Node
    subjects_place: Place
    subjects: list[DraftSubject] = field(default_factory=list)
    subjects_broken: bool = False


@dataclass(slots=True, eq=False)
class DraftType:
    """A type and its relations, by name."""

    name: str
    place: Place
    relations: dict[str, DraftRelation] = field(default_factory=dict)
    relations_broken: bool = False
    builtin: bool = False


@dataclass(slots=True, eq=False)
class Draft:
    """A whole model; of its conditions only the places, until they are supported."""

    types: dict[str, DraftType] = field(default_factory=dict)
    conditions: dict[str, Place] = field(default_factory=dict)
    _having: dict[str, dict[str, DraftType]] = field(default_factory=dict)
    _led_to: dict[tuple[str, str], dict[str, DraftType]] = field(default_factory=dict)

    def relations(self) -> Iterator[tuple[DraftType, DraftRelation]]:
        """Every relation with its type, in the order of the document."""
        for definition in self.types.values():
            for relation in definition.relations.values():
                yield definition, relation

    def has_relation(self, type_name: str, relation: str) -> bool:
        """Whether somebody declared it."""
        definition = self.types.get(type_name)
        return definition is not None and relation in definition.relations

    def arrow_types(self, definition: DraftType, tupleset: str) -> dict[str, DraftType]:
        """The declared types an arrow over ``tupleset`` leads to; the draft must be complete."""
        found = self._led_to.get((definition.name, tupleset))
        if found is None:
            relation = definition.relations.get(tupleset)
            subjects = relation.subjects if relation is not None else ()
            names = [subject.type for subject in subjects]
            found = {name: self.types[name] for name in names if name in self.types}
            self._led_to[definition.name, tupleset] = found
        return found

    def arrow_targets(self, definition: DraftType, tupleset: str, relation: str) -> list[str]:
        """Those of them that have ``relation``; the draft must be complete.

        Looks through the fewer: the types led to, or all that have the relation. Otherwise ten
        thousand arrows over a tupleset of a thousand types would cost seconds.
        """
        if not self._having:
            for each, declared in self.relations():
                self._having.setdefault(declared.name, {})[each.name] = each
        led_to = self.arrow_types(definition, tupleset)
        having = self._having.get(relation, {})
        fewer, more = (led_to, having) if len(led_to) <= len(having) else (having, led_to)
        return [name for name in fewer if name in more]


def nodes(root: Node) -> Iterator[tuple[Node, bool]]:
    """Every node with whether it stands in a subtracted part; parents first, children in order."""
    stack = [(root, False)]
    while stack:
        node, subtracted = stack.pop()
        yield node, subtracted
        for index in range(len(node.children) - 1, -1, -1):
            inside = subtracted or (node.kind == "exclusion" and index == 1)
            stack.append((node.children[index], inside))

"""Direct grants of an explanation: relationships on the resource that bear on the subject.

They are facts, whether or not they decide: a viewer who may not delete is shown as a viewer. What
decided is in the trace; the others are found by asking for each stored relation of the type, and
for the few that hold, by the trace of that question. A relation that the model only takes away
(``banned``) is told as such and never counted as a grant.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from zeratul.domain.catalog import Catalog, CatalogResource
from zeratul.domain.membership import Membership
from zeratul.domain.relationship import WILDCARD, SubjectRef
from zeratul.domain.rewrite import Arrow, Computed, Direct, Exclusion, Intersection, Union
from zeratul.graph.answers import Decision
from zeratul.language.catalog import relation_actions
from zeratul.service.questions.access_answers import DirectGrant

if TYPE_CHECKING:
    from collections.abc import Sequence

    from zeratul.dispatch.view import View
    from zeratul.domain.relationship import ObjectRef, Relationship
    from zeratul.domain.rewrite import Rewrite
    from zeratul.domain.schema import TypeDefinition
    from zeratul.graph.answers import CheckQuestion, Explanation
    from zeratul.service.questions.access_answers import Effect

# LIMIT: relations that hold and are traced to their relationship; a person reads no more.
TRACED_MAX = 20

# How a relation takes part in a rule, in the order in which it is told where it takes several.
_EFFECTS: tuple[Effect, ...] = ("grants", "takes_away", "leads")

Fact = tuple[str, SubjectRef]
"""Relation of the resource, and whom the relationship names."""


def direct_grants(
    view: View,
    question: CheckQuestion,
    found: Explanation,
    added: Sequence[Relationship],
    removed: Sequence[Relationship],
) -> tuple[tuple[DirectGrant, ...], bool]:
    """The grants, those that decided first, and whether some were left out.

    Args:
        view: answers as of.
        question: what was asked.
        found: the evaluator's explanation of it.
        added, removed: relationships taken as there, and as absent.
    """
    resource = question.resource
    if not resource.id:
        return (), False
    decided = dict.fromkeys(_facts(found, resource))
    facts = dict(decided)
    held = _held(view, question, added, removed)
    untraced = [relation for relation in held if not _named(facts, relation, question.subject)]
    for relation in untraced[:TRACED_MAX]:
        asked = question._replace(relation=relation, tenant=None)
        facts |= dict.fromkeys(_facts(view.explain(asked, added, removed), resource))
    definition = view.schema.types[resource.type]
    actions = _actions(view, resource.type)
    grants = []
    for relation, subject in facts:
        effect = _effect(definition, question.relation, relation)
        enough = actions.get(relation, ())
        counts = (relation, subject) in decided or question.relation in {relation, *enough}
        matched = bool(found.via_relationships) and effect != "takes_away" and counts
        grants.append(DirectGrant(relation, subject, enough, effect, matched))
    return tuple(grants), len(untraced) > TRACED_MAX


def _held(
    view: View,
    question: CheckQuestion,
    added: Sequence[Relationship],
    removed: Sequence[Relationship],
) -> list[str]:
    """Stored relations of the resource that the subject has, in whatever way."""
    definition = view.schema.types[question.resource.type]
    stored = [name for name, relation in definition.relations.items() if relation.subjects]
    decisions = view.decide_many(
        [question._replace(relation=name, tenant=None) for name in stored], added, removed
    )
    return [
        name
        for name, decision in zip(stored, decisions, strict=True)
        if isinstance(decision, Decision) and decision.via_relationships
    ]


def _named(facts: dict[Fact, None], relation: str, subject: SubjectRef) -> bool:
    """Whether a relationship of this relation that names the subject itself is known already."""
    everybody = SubjectRef(subject.type, WILDCARD)
    return (relation, subject) in facts or (relation, everybody) in facts


def _facts(found: Explanation, resource: ObjectRef) -> list[Fact]:
    """Relationships on the resource that are there and hold the subject."""
    facts: list[Fact] = []
    stack = [found.root]
    while stack:
        node = stack.pop()
        stack.extend(reversed(node.children))
        fact = node.relationship
        if fact is not None and fact.resource == resource and node.membership is Membership.MEMBER:
            facts.append((fact.relation, fact.subject))
    return facts


def _actions(view: View, type_name: str) -> dict[str, tuple[str, ...]]:
    """Relation -> what it alone is enough for: declared actions, or else all of the model's."""
    catalog = view.catalog
    if catalog is None or type_name not in catalog.resources:
        names = tuple(view.schema.types[type_name].relations)
        catalog = Catalog({type_name: CatalogResource(type_name, actions=names)})
    return relation_actions(view.schema, catalog, type_name)


def _effect(definition: TypeDefinition, asked: str, relation: str) -> Effect:
    """How a stored relation takes part in what was asked, or else in any other rule."""
    others = [name for name in definition.relations if name not in {asked, relation}]
    for names in ([asked], others):
        parts = {part for name in names for part in _parts(definition, name, relation)}
        found = next((effect for effect in _EFFECTS if effect in parts), None)
        if found is not None:
            return found
    return "grants"


def _parts(definition: TypeDefinition, name: str, relation: str) -> set[Effect]:
    """The ways in which a relation takes part in the rule of a name, on the same resource."""
    found: set[Effect] = set()
    seen = {(name, True)}
    waiting = [(name, True)]
    while waiting:
        at, adds = waiting.pop()
        stack: list[tuple[Rewrite, bool]] = [(definition.relations[at].rewrite, adds)]
        while stack:
            node, sign = stack.pop()
            match node:
                case Direct() if at == relation:
                    found.add("grants" if sign else "takes_away")
                case Arrow(tupleset, _) if tupleset == relation:
                    found.add("leads")
                case Computed(target) if (target, sign) not in seen:
                    seen.add((target, sign))
                    waiting.append((target, sign))
                case Union(children) | Intersection(children):
                    stack.extend((child, sign) for child in children)
                case Exclusion(base, subtract):
                    stack += ((base, sign), (subtract, not sign))
                case _:
                    pass
    return found

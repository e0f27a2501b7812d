"""Catalogs: from JSON and back, what they imply, and how they become part of a schema.

A catalog resource and a model type of the same name are one type. What the model names, the model
decides; the catalog adds the rest: the built-in relations and custom ones as stored relations, and
each declared action as the union of the relations that imply it. An action that nothing implies is
a permission nobody has through relations; a role may still carry it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from zeratul.domain.catalog import Catalog, CatalogRelation, CatalogResource
from zeratul.domain.rewrite import Computed, Direct, Union
from zeratul.domain.schema import AllowedSubject, Relation, Schema, TypeDefinition
from zeratul.language.builtins import builtins

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from zeratul.domain.rewrite import Rewrite

Json = dict[str, Any]


def catalog_json(catalog: Catalog) -> Json:
    """A catalog as it is stored; ``catalog_of`` gives an equal one."""
    return {
        "resources": [resource_json(each) for each in catalog.resources.values()],
        "segments": dict(catalog.segments),
        "renamed": catalog.renamed,
    }


def resource_json(resource: CatalogResource) -> Json:
    """One resource as it is stored, in the words of contract authaz §2."""
    return {
        "resource": resource.name,
        "description": resource.description,
        "actions": list(resource.actions),
        "relations": {
            name: {"actions": list(each.actions), "description": each.description}
            for name, each in resource.relations.items()
        },
    }


def catalog_of(document: Mapping[str, Any]) -> Catalog:
    """The catalog that ``catalog_json`` wrote; nothing is judged again."""
    return Catalog(
        {each["resource"]: resource_of(each) for each in document["resources"]},
        dict(document["segments"]),
        document["renamed"],
    )


def resource_of(document: Mapping[str, Any]) -> CatalogResource:
    """The resource that ``resource_json`` wrote."""
    return CatalogResource(
        document["resource"],
        document["description"],
        tuple(document["actions"]),
        {
            name: CatalogRelation(tuple(each["actions"]), each["description"])
            for name, each in document["relations"].items()
        },
    )


def permissions(catalog: Catalog) -> list[str]:
    """Every permission, ``resource:action``, in the order they were declared."""
    return [
        f"{resource.name}:{action}"
        for resource in catalog.resources.values()
        for action in resource.actions
    ]


def implied_actions(resource: CatalogResource) -> dict[str, tuple[str, ...]]:
    """Relation -> the declared actions it implies by the catalog: built-in ones first."""
    declared = resource.actions
    implied: dict[str, tuple[str, ...]] = {}
    for name, builtin in builtins().relations.items():
        override = resource.relations.get(name) if builtin.overridable else None
        chosen = frozenset(override.actions) if override is not None else None
        implied[name] = tuple(
            action
            for action in declared
            if (builtin.implies(action) if chosen is None else action in chosen)
        )
    for name, relation in resource.relations.items():
        if name not in implied:
            chosen = frozenset(relation.actions)
            implied[name] = tuple(action for action in declared if action in chosen)
    return implied


def relation_actions(
    schema: Schema, catalog: Catalog | None, resource: str
) -> dict[str, tuple[str, ...]]:
    """Relation -> the declared actions that holding it alone is enough for.

    Only relations that can be granted. Where the model decides an action, its rewrite says which
    relations are enough: those it reaches by unions alone.

    Args:
        schema: with the catalog attached.
        catalog: the application's, if it has one.
        resource: a type of the schema; without a catalog entry it has no declared actions.
    """
    found = catalog.resources.get(resource) if catalog is not None else None
    definition = schema.types[resource]
    enough: dict[str, list[str]] = {
        name: [] for name, relation in definition.relations.items() if relation.subjects
    }
    for action in found.actions if found is not None else ():
        for name in _sufficient(definition, action):
            if name in enough:
                enough[name].append(action)
    return {name: tuple(actions) for name, actions in enough.items()}


def attach(types: Mapping[str, TypeDefinition], catalog: Catalog) -> dict[str, TypeDefinition]:
    """The types with what the catalog adds to them; all of them, in a new mapping."""
    merged = dict(types)
    adding = _Adding(tuple(form for form in builtins().subjects if _exists(form, types)))
    for resource in catalog.resources.values():
        own = types.get(resource.name)
        named = own.relations if own is not None else {}
        merged[resource.name] = TypeDefinition(
            resource.name,
            {**named, **adding.to(resource, named)},
            builtin=own is not None and own.builtin,
        )
    return merged


class _Adding:
    """What a catalog adds; equal parts are one object: a large catalog has 100,000 actions."""

    def __init__(self, subjects: tuple[AllowedSubject, ...]) -> None:
        self._subjects = subjects
        self._stored: dict[str, Relation] = {}
        self._unions: dict[tuple[str, ...], Union] = {}

    def to(self, resource: CatalogResource, named: Mapping[str, Relation]) -> dict[str, Relation]:
        """The relations and actions that the model does not name."""
        implied = implied_actions(resource)
        added = {name: self._relation(name) for name in implied if name not in named}
        implying: dict[str, list[str]] = {
            action: [] for action in resource.actions if action not in named
        }
        for name, actions in implied.items():
            for action in actions:
                if action in implying:
                    implying[action].append(name)
        for action, names in implying.items():
            added[action] = Relation(action, self._union(tuple(names)))
        return added

    def _relation(self, name: str) -> Relation:
        found = self._stored.get(name)
        if found is None:
            found = self._stored[name] = Relation(name, Direct(), self._subjects)
        return found

    def _union(self, names: tuple[str, ...]) -> Union:
        found = self._unions.get(names)
        if found is None:
            found = self._unions[names] = Union(tuple(Computed(name) for name in names))
        return found


def _exists(form: AllowedSubject, types: Mapping[str, TypeDefinition]) -> bool:
    definition = types.get(form.type)
    if definition is None:
        return False
    if not form.relation:
        return True
    return form.relation in definition.relations


def _sufficient(definition: TypeDefinition, name: str) -> Iterator[str]:
    """The relation itself, and every relation of the type that it reaches by unions alone."""
    seen = {name}
    waiting = [name]
    while waiting:
        at = waiting.pop()
        yield at
        stack: list[Rewrite] = [definition.relations[at].rewrite]
        while stack:
            match stack.pop():
                case Union(children):
                    stack.extend(children)
                case Computed(target) if target not in seen:
                    seen.add(target)
                    waiting.append(target)
                case _:
                    pass

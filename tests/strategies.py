"""Generators of models, relationships and questions, small on purpose so that cycles happen.

Two modes. *Type-directed*: a model that compiles, relationships it allows, questions it knows; ids
come from a pool of three, so a dozen relationships already share and loop. *Arbitrary*: documents
that only resemble models, and any text, for whoever has to refuse them cleanly.

A type-directed model is stratified while it is drawn: every relation gets a stratum, uses those
up to its own stratum and subtracts only lower ones, so no recursion passes through an exclusion.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from functools import lru_cache
from typing import TYPE_CHECKING, Any, NamedTuple

import orjson
from hypothesis import assume
from hypothesis import strategies as st

from zeratul.domain.limits import Limits
from zeratul.domain.relationship import WILDCARD, ObjectRef, Relationship, SubjectRef
from zeratul.domain.rewrite import Exclusion, Intersection
from zeratul.domain.schema import walk
from zeratul.errors import SchemaError
from zeratul.graph.answers import CheckQuestion
from zeratul.language.openfga import compile_model

if TYPE_CHECKING:
    from collections.abc import Callable

    from zeratul.domain.schema import Schema

    Draw = Callable[[st.SearchStrategy[Any]], Any]

IDS = ("1", "2", "3")
GHOST = "ghost"
"""An id that questions use and no generated relationship names."""

NOW_MS = 4_000_000_000_000
"""The time questions are asked at: ahead of any clock, so that no store collects what expires."""

EXPIRIES = (NOW_MS - 1_000, NOW_MS, NOW_MS + 1, NOW_MS + 1_000)
RELATIONSHIPS_MAX = 16
# Room for memos: for all, or for a handful.
MEMO_BYTES = st.sampled_from([Limits().memo_bytes_max, 1_200, 800])
_OTHER_TYPES = ("group", "folder", "document")
_RELATIONS = ("a", "b", "c", "d")
_STRATA_MAX = 2
_DEPTH_MAX = 2
_REPAIRS_MAX = 20
_PICK_BYTES = 4
_DROPPED_BELOW = 64
_EXPIRING_FROM = 208
# One draw of bytes instead of a list of rows: the generator likes its lists short, and short lists
# hold neither groups in groups nor cycles. Zero bytes drop a row, so it shrinks all the same.
_PICKS = st.binary(
    min_size=_PICK_BYTES * RELATIONSHIPS_MAX, max_size=_PICK_BYTES * RELATIONSHIPS_MAX
)
_RELATION_PLACE = re.compile(r"type_definitions\[(\d+)\]\.relations\.(\w+)")


class World(NamedTuple):
    """A model, its compiled form and relationships it allows."""

    model: dict[str, Any]
    schema: Schema
    relationships: list[Relationship]


@dataclass
class _Sketch:
    """What is known of each relation before its rule is drawn: its stratum, if it is plain."""

    strata: dict[tuple[str, str], int] = field(default_factory=dict)
    plain: dict[tuple[str, str], list[str]] = field(default_factory=dict)
    exclusions: bool = True

    def relations(self, type_name: str) -> list[str]:
        return [name for kind, name in self.strata if kind == type_name]


class _RuleDrawer:
    """Draws the rewrite of one relation and remembers how strictly its own rows are used."""

    def __init__(self, draw: Draw, sketch: _Sketch, type_name: str, relation: str) -> None:
        self.draw = draw
        self.operators = ["union", "intersection", *(["difference"] * sketch.exclusions)]
        self.sketch = sketch
        self.type_name = type_name
        self.stratum = sketch.strata[type_name, relation]
        self.direct_limit: int | None = None

    def rewrite(self, limit: int, depth: int) -> dict[str, Any]:
        """A rewrite whose references stay within stratum ``limit``."""
        form = self.draw(st.sampled_from(["leaf", *(self.operators if depth else ())]))
        if form == "leaf":
            return self._leaf(limit)
        if form == "difference":
            return {
                "difference": {
                    "base": self.rewrite(limit, depth - 1),
                    "subtract": self.rewrite(min(limit, self.stratum - 1), depth - 1),
                }
            }
        children = self.draw(st.integers(2, 3))
        return {form: {"child": [self.rewrite(limit, depth - 1) for _ in range(children)]}}

    def _leaf(self, limit: int) -> dict[str, Any]:
        # A form first, then one of that form: else the many computed ones crowd out the rest.
        forms = [
            ["this"],
            [f"={name}" for name in self._computable(limit)],
            [f"{target} {tupleset}" for tupleset, target in self._arrows(limit)],
        ]
        leaf = self.draw(
            st.sampled_from([form for form in forms if form]).flatmap(st.sampled_from)
        )
        if leaf == "this":
            self.direct_limit = (
                limit if self.direct_limit is None else min(limit, self.direct_limit)
            )
            return {"this": {}}
        if leaf.startswith("="):
            return {"computedUserset": {"relation": leaf[1:]}}
        target, _, tupleset = leaf.partition(" ")
        return {
            "tupleToUserset": {
                "tupleset": {"relation": tupleset},
                "computedUserset": {"relation": target},
            }
        }

    def _computable(self, limit: int) -> list[str]:
        return [
            name
            for name in self.sketch.relations(self.type_name)
            if self.sketch.strata[self.type_name, name] <= limit
        ]

    def _arrows(self, limit: int) -> list[tuple[str, str]]:
        found = []
        for (kind, tupleset), parents in self.sketch.plain.items():
            if kind != self.type_name:
                continue
            for target in _RELATIONS:
                strata = [
                    self.sketch.strata[parent, target]
                    for parent in parents
                    if (parent, target) in self.sketch.strata
                ]
                if strata and max(strata) <= limit:
                    found.append((tupleset, target))
        return found

    def subjects(self, types: list[str]) -> list[dict[str, Any]]:
        """Subject forms of the relation's own rows, if its rewrite uses them."""
        if self.direct_limit is None:
            return []
        forms: list[dict[str, Any]] = [{"type": name} for name in types]
        forms += [{"type": name, "wildcard": {}} for name in types]
        forms += [
            {"type": kind, "relation": name}
            for (kind, name), stratum in self.sketch.strata.items()
            if stratum <= self.direct_limit
        ]
        few = st.lists(st.sampled_from(forms), min_size=1, max_size=4, unique_by=str)
        chosen: list[dict[str, Any]] = self.draw(few)
        return chosen


@st.composite
def models(draw: Draw, *, exclusions: bool = True) -> dict[str, Any]:
    """An OpenFGA model in JSON form that compiles, with or without exclusions."""
    others = _OTHER_TYPES[: draw(st.integers(1, len(_OTHER_TYPES)))]
    types = ["user", *others]
    sketch = _Sketch(exclusions=exclusions)
    for type_name in types:
        count = draw(st.integers(0, 1) if type_name == "user" else st.integers(1, 4))
        for relation in _RELATIONS[:count]:
            sketch.strata[type_name, relation] = draw(st.integers(0, _STRATA_MAX))
            if draw(st.integers(0, 2)) == 1:
                sketch.plain[type_name, relation] = draw(
                    st.lists(st.sampled_from(types), min_size=1, max_size=2, unique=True)
                )
                sketch.strata[type_name, relation] = 0
    model = {
        "schema_version": "1.1",
        "type_definitions": [_type_definition(draw, sketch, types, name) for name in types],
    }
    return _grounded(model)


def _type_definition(draw: Draw, sketch: _Sketch, types: list[str], name: str) -> dict[str, Any]:
    relations: dict[str, Any] = {}
    metadata: dict[str, Any] = {}
    for relation in sketch.relations(name):
        if (name, relation) in sketch.plain:
            relations[relation] = {"this": {}}
            stored = [{"type": parent} for parent in sketch.plain[name, relation]]
        else:
            drawer = _RuleDrawer(draw, sketch, name, relation)
            relations[relation] = drawer.rewrite(drawer.stratum, _DEPTH_MAX)
            stored = drawer.subjects(types)
        metadata[relation] = {"directly_related_user_types": stored}
    if not relations:
        return {"type": name}
    return {"type": name, "relations": relations, "metadata": {"relations": metadata}}


def _grounded(model: dict[str, Any]) -> dict[str, Any]:
    """The model with users let into each relation that nobody could ever be in.

    Rules that only lead back to themselves are refused by the compiler, and most drawn models have
    one; the findings name the relations.
    """
    for _ in range(_REPAIRS_MAX):
        try:
            compile_model(model)
        except SchemaError as error:
            places = [_RELATION_PLACE.fullmatch(place) for place in error.findings]
            for found in filter(None, places):
                _let_users_in(model["type_definitions"][int(found[1])], found[2])
        else:
            break
    return model


def _let_users_in(definition: dict[str, Any], relation: str) -> None:
    rule = definition["relations"][relation]
    if "this" not in rule:
        definition["relations"][relation] = {"union": {"child": [{"this": {}}, rule]}}
    stored = definition["metadata"]["relations"][relation]["directly_related_user_types"]
    if {"type": "user"} not in stored:
        stored.append({"type": "user"})


@lru_cache(maxsize=4_096)
def _compile(text: bytes) -> Schema | None:
    try:
        return compile_model(orjson.loads(text))
    except SchemaError:
        return None


def compiled(model: dict[str, Any]) -> Schema:
    """The schema of a drawn model; rejects the example where the compiler rejects the model."""
    schema = _compile(orjson.dumps(model))
    assume(schema is not None)
    assert schema is not None
    return schema


def relationships(schema: Schema, *, expiring: bool = True) -> st.SearchStrategy[Relationship]:
    """Relationships the schema allows between ids of the pool, some of them with an expiry."""
    possible = possible_relationships(schema)
    if not possible:
        return st.nothing()
    expiries = st.sampled_from((*[None] * 12, *EXPIRIES) if expiring else (None,))
    return st.builds(
        lambda row, expires: row._replace(expires_at_ms=expires),
        st.sampled_from(possible),
        expiries,
    )


def possible_relationships(schema: Schema) -> list[Relationship]:
    """Every relationship the model's own types allow between ids of the pool."""
    return [
        Relationship(
            type_name, resource_id, relation.name, allowed.type, subject_id, allowed.relation
        )
        for type_name, definition in schema.types.items()
        for relation in definition.relations.values()
        for allowed in relation.subjects
        for resource_id in IDS
        for subject_id in ([WILDCARD] if allowed.wildcard else IDS)
        if not definition.builtin
    ]


def relationship_lists(
    schema: Schema, *, expiring: bool = True
) -> st.SearchStrategy[list[Relationship]]:
    """Lists without a repeated relationship (one relationship has one expiry)."""
    return _PICKS.map(
        lambda picks: _picked(possible_relationships(schema), picks, expiring=expiring)
    )


def _picked(possible: list[Relationship], picks: bytes, *, expiring: bool) -> list[Relationship]:
    found: dict[Relationship, Relationship] = {}
    for start in range(0, len(picks), _PICK_BYTES):
        keep, high, low, expiry = picks[start : start + _PICK_BYTES]
        if keep < _DROPPED_BELOW or not possible:
            continue
        row = possible[(high << 8 | low) % len(possible)]
        expires = expiring and expiry >= _EXPIRING_FROM
        found.setdefault(
            row, row._replace(expires_at_ms=EXPIRIES[expiry % len(EXPIRIES)] if expires else None)
        )
    return list(found.values())


@st.composite
def worlds(draw: Draw, *, expiring: bool = True, exclusions: bool = True) -> World:
    """A model with relationships."""
    # Picks before the model: when the generator replaces a part of the model by one of another
    # length, what is drawn behind it turns to zero, and half of all worlds were empty.
    picks = draw(_PICKS)
    model = draw(models(exclusions=exclusions))
    schema = compiled(model)
    possible = possible_relationships(schema)
    return World(model, schema, _picked(possible, picks, expiring=expiring))


def is_pure_union(schema: Schema) -> bool:
    """Whether no relation intersects or subtracts."""
    return not any(
        isinstance(node, Exclusion | Intersection)
        for definition in schema.types.values()
        for relation in definition.relations.values()
        for node in walk(relation.rewrite)
    )


def goals(schema: Schema) -> list[tuple[str, str]]:
    """Every (type, relation) of the model's own types."""
    return [
        (definition.name, relation)
        for definition in schema.types.values()
        if not definition.builtin
        for relation in definition.relations
    ]


def subject_forms(schema: Schema) -> list[tuple[str, str]]:
    """Every form of subject: (type, "") and (type, relation)."""
    return [(name, "") for name in schema.types] + goals(schema)


def all_subjects(schema: Schema) -> list[SubjectRef]:
    """Every subject over the pool and a ghost: plain, wildcard and userset."""
    return [
        SubjectRef(type_name, subject_id, relation)
        for type_name, relation in subject_forms(schema)
        for subject_id in ((*IDS, GHOST) if relation else (*IDS, GHOST, WILDCARD))
    ]


def all_questions(schema: Schema) -> list[CheckQuestion]:
    """Every question over the pool and a ghost."""
    return [
        CheckQuestion(subject, ObjectRef(type_name, resource_id), relation)
        for type_name, relation in goals(schema)
        for resource_id in (*IDS, GHOST)
        for subject in all_subjects(schema)
    ]


def questions(schema: Schema) -> st.SearchStrategy[CheckQuestion]:
    """One question the schema knows."""
    return st.builds(
        lambda subject, goal, resource_id: CheckQuestion(
            subject, ObjectRef(goal[0], resource_id), goal[1]
        ),
        st.sampled_from(all_subjects(schema)),
        st.sampled_from(goals(schema)),
        st.sampled_from((*IDS, GHOST)),
    )


_MODEL_WORDS = st.sampled_from(
    [
        *("type", "relations", "metadata", "conditions", "schema_version", "type_definitions"),
        *("this", "union", "intersection", "difference", "child", "base", "subtract"),
        *("computedUserset", "tupleToUserset", "tupleset", "relation", "condition", "wildcard"),
        *("directly_related_user_types", "user", "group", "a", "b"),
    ]
)

json_documents = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8) | _MODEL_WORDS,
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.dictionaries(_MODEL_WORDS | st.text(max_size=4), inner, max_size=4)
    ),
    max_leaves=24,
)
"""Arbitrary JSON values with a liking for the words of models."""


@st.composite
def broken_models(draw: Draw) -> Any:
    """A model that compiles, with one place of it replaced by an arbitrary document."""
    document = draw(models())
    path: list[Any] = []
    place: Any = document
    while isinstance(place, dict | list) and place and (not path or draw(st.booleans())):
        path.append(
            draw(st.sampled_from(sorted(place) if isinstance(place, dict) else range(len(place))))
        )
        place = place[path[-1]]
    target: Any = document
    for step in path[:-1]:
        target = target[step]
    target[path[-1]] = draw(json_documents)
    return document

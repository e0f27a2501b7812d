"""OpenFGA's JSON form of a model in, ``domain.schema.Schema`` out, and back.

Theory of operation. The document is read into a draft whose parts know their places (`reading`);
the rules judge the draft (`rules`); only a draft without findings becomes a schema. Findings are
told all at once. Nothing here recurses: a stranger's nesting costs a work list, no stack.
"""

from __future__ import annotations

import json
from functools import cache
from typing import TYPE_CHECKING

from zeratul.domain.limits import Limits
from zeratul.domain.rewrite import Arrow, Computed, Direct, Exclusion, Intersection, Rewrite, Union
from zeratul.domain.schema import AllowedSubject, Relation, Schema, TypeDefinition
from zeratul.errors import InternalError
from zeratul.language.declared import declared
from zeratul.language.draft import Draft, DraftRelation, DraftType, Node, nodes
from zeratul.language.findings import Findings
from zeratul.language.reading import read
from zeratul.language.rules import RULES

if TYPE_CHECKING:
    from collections.abc import Mapping

Json = dict[str, object]

_DEFAULT_LIMITS = Limits()


def compile_model(
    document: object, *, limits: Limits = _DEFAULT_LIMITS, builtin: bool = True
) -> Schema:
    """The schema of a model in OpenFGA's JSON form (schema version 1.1 or 1.2), already decoded.

    Args:
        document: any JSON value.
        limits: bounds on types, relations and rewrites.
        builtin: whether ``user``, ``group`` and ``client`` are there without being declared.

    Raises:
        SchemaError: the document is not such a model, breaks a rule or passes a limit. Carries
            every finding under its JSON path. Past a limit the rules are not tried.
    """
    findings = Findings()
    draft = read(document, limits, findings)
    if builtin:
        for name, definition in _builtin_types().items():
            draft.types.setdefault(name, definition)
    if not findings.stopped:
        for rule in RULES:
            rule(draft, findings)
    findings.raise_if_any()
    return _schema(draft)


def empty_schema() -> Schema:
    """The schema of an application without a model: the built-in types only."""
    return compile_model({"schema_version": "1.1", "type_definitions": []})


def model_of(schema: Schema) -> Json:
    """The model a schema came from, in OpenFGA's JSON form; built-in types are left out.

    Compiling it again gives an equal schema.
    """
    return {
        "schema_version": "1.1",
        "type_definitions": [
            _type_json(definition)
            for definition in schema.types.values()
            if not definition.builtin
        ],
    }


@cache
def _builtin_types() -> Mapping[str, DraftType]:
    findings = Findings()
    draft = read(json.loads(declared("builtin.json")), _DEFAULT_LIMITS, findings)
    findings.raise_if_any()
    for definition in draft.types.values():
        definition.builtin = True
    return draft.types


def _schema(draft: Draft) -> Schema:
    return Schema({name: _type(definition) for name, definition in draft.types.items()})


def _type(definition: DraftType) -> TypeDefinition:
    relations = {name: _relation(relation) for name, relation in definition.relations.items()}
    return TypeDefinition(definition.name, relations, builtin=definition.builtin)


def _relation(relation: DraftRelation) -> Relation:
    # Naming a subject type twice says nothing new.
    subjects = dict.fromkeys(
        AllowedSubject(subject.type, subject.relation, wildcard=subject.wildcard)
        for subject in relation.subjects
    )
    return Relation(relation.name, _rewrite(relation.rewrite), tuple(subjects))


def _rewrite(root: Node) -> Rewrite:
    built: dict[Node, Rewrite] = {}
    # Parents come first in the walk, so backwards every child is built before it is needed.
    for node, _ in reversed(list(nodes(root))):
        children = tuple(built.pop(child) for child in node.children)
        built[node] = _rewrite_node(node, children)
    return built[root]


def _rewrite_node(node: Node, children: tuple[Rewrite, ...]) -> Rewrite:
    match node.kind:
        case "direct":
            return Direct()
        case "computed":
            return Computed(node.relation)
        case "arrow":
            return Arrow(node.tupleset, node.relation)
        case "union":
            return Union(children)
        case "intersection":
            return Intersection(children)
        case "exclusion":
            return Exclusion(*children)
        case "broken":
            raise InternalError(f"a broken rewrite without a finding at {node.place}")


def _type_json(definition: TypeDefinition) -> Json:
    relations = definition.relations.values()
    printed: Json = {
        "type": definition.name,
        "relations": {relation.name: _rewrite_json(relation.rewrite) for relation in relations},
    }
    if relations:
        printed["metadata"] = {
            "relations": {
                relation.name: {
                    "directly_related_user_types": [_subject_json(s) for s in relation.subjects]
                }
                for relation in relations
            }
        }
    return printed


def _subject_json(subject: AllowedSubject) -> Json:
    printed: Json = {"type": subject.type}
    if subject.relation:
        printed["relation"] = subject.relation
    if subject.wildcard:
        printed["wildcard"] = {}
    return printed


def _rewrite_json(root: Rewrite) -> Json:
    printed: Json = {}
    # Each place to fill is made before what fills it, so the work list needs no way back.
    stack: list[tuple[Rewrite, Json]] = [(root, printed)]
    while stack:
        rewrite, into = stack.pop()
        match rewrite:
            case Direct():
                into["this"] = {}
            case Computed(relation):
                into["computedUserset"] = {"relation": relation}
            case Arrow(tupleset, relation):
                into["tupleToUserset"] = {
                    "tupleset": {"relation": tupleset},
                    "computedUserset": {"relation": relation},
                }
            case Union(children) | Intersection(children):
                places: list[Json] = [{} for _ in children]
                into["union" if isinstance(rewrite, Union) else "intersection"] = {"child": places}
                stack.extend(zip(children, places, strict=True))
            case Exclusion(base, subtract):
                base_place: Json = {}
                subtract_place: Json = {}
                into["difference"] = {"base": base_place, "subtract": subtract_place}
                stack.extend(((base, base_place), (subtract, subtract_place)))
    return printed

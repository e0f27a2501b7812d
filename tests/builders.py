"""Short constructors: relationships and references from text, models from one-line rules."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from zeratul.domain.catalog import Catalog, CatalogRelation, CatalogResource
from zeratul.domain.relationship import ObjectRef, Relationship, SubjectRef
from zeratul.domain.vocabulary import SELF, WILDCARD_SLOT, Vocabulary
from zeratul.graph.answers import CheckQuestion
from zeratul.graph.plan import compile_plan
from zeratul.language.application import application_schema

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from zeratul.graph.plan import Plan

_TOKEN = re.compile(r"\[[^\]]*\]|[()]|[A-Za-z_][A-Za-z0-9_\-]*")


def rel(text: str, *, expires_at_ms: int | None = None) -> Relationship:
    """The relationship a text such as ``document:a#viewer@group:eng#member`` spells."""
    return Relationship.parse(text)._replace(expires_at_ms=expires_at_ms)


def rels(*texts: str) -> list[Relationship]:
    """The relationships of several texts."""
    return [rel(text) for text in texts]


def subject(text: str) -> SubjectRef:
    """The subject ``user:ann``, ``user:*`` or ``group:eng#member``."""
    return SubjectRef.parse(text)


def resource(text: str) -> ObjectRef:
    """The resource ``document:a``."""
    return ObjectRef.parse(text)


def question(text: str) -> CheckQuestion:
    """The question a relationship's text asks: is it so, stored or computed?"""
    asked = Relationship.parse(text)
    return CheckQuestion(asked.subject, asked.resource, asked.relation)


def model(types: Mapping[str, Mapping[str, str]]) -> dict[str, Any]:
    """An OpenFGA model in JSON form from a rule in one line per relation.

    A rule is ``[user, user:*, group#member]`` (stored), ``editor`` (computed), ``viewer from
    parent`` (arrow), or several of these with ``or``, ``and``, ``but not`` and parentheses.
    """
    return {
        "schema_version": "1.1",
        "type_definitions": [_type_definition(name, rules) for name, rules in types.items()],
    }


def catalog(**resources: tuple[Iterable[str], Mapping[str, Iterable[str]]]) -> Catalog:
    """A catalog out of ``documents=(["read"], {"approver": ["read"]})``: actions and relations."""
    return Catalog(
        {
            name: CatalogResource(
                name,
                actions=tuple(actions),
                relations={key: CatalogRelation(tuple(each)) for key, each in relations.items()},
            )
            for name, (actions, relations) in resources.items()
        }
    )


def _type_definition(name: str, rules: Mapping[str, str]) -> dict[str, Any]:
    if not rules:
        return {"type": name}
    return {
        "type": name,
        "relations": {relation: _Rule(rule).parse() for relation, rule in rules.items()},
        "metadata": {
            "relations": {
                relation: {"directly_related_user_types": list(_stored(rule))}
                for relation, rule in rules.items()
            }
        },
    }


def _stored(rule: str) -> Iterable[dict[str, Any]]:
    found = re.search(r"\[([^\]]*)\]", rule)
    for text in filter(None, re.split(r"[,\s]+", found[1])) if found else ():
        if text.endswith(":*"):
            yield {"type": text[:-2], "wildcard": {}}
        elif "#" in text:
            type_name, _, relation = text.partition("#")
            yield {"type": type_name, "relation": relation}
        else:
            yield {"type": text}


class _Rule:
    """Recursive descent over one rule; mixed operators need parentheses."""

    def __init__(self, text: str) -> None:
        self.text = text
        self.tokens = _TOKEN.findall(text)

    def parse(self) -> dict[str, Any]:
        rewrite = self._expression()
        if self.tokens:
            raise ValueError(f"`{self.text}` goes on with {self.tokens}")
        return rewrite

    def _expression(self) -> dict[str, Any]:
        first = self._operand()
        operator = self.tokens[0] if self.tokens else ""
        if operator == "but":
            del self.tokens[:2]
            return {"difference": {"base": first, "subtract": self._operand()}}
        if operator not in {"or", "and"}:
            return first
        children = [first]
        while self.tokens and self.tokens[0] == operator:
            del self.tokens[0]
            children.append(self._operand())
        return {"union" if operator == "or" else "intersection": {"child": children}}

    def _operand(self) -> dict[str, Any]:
        token = self.tokens.pop(0)
        if token == "(":
            inner = self._expression()
            if self.tokens.pop(0) != ")":
                raise ValueError(f"`{self.text}` lacks a `)`")
            return inner
        if token.startswith("["):
            return {"this": {}}
        if self.tokens[:1] == ["from"]:
            tupleset = self.tokens[1]
            del self.tokens[:2]
            return {
                "tupleToUserset": {
                    "tupleset": {"relation": tupleset},
                    "computedUserset": {"relation": token},
                }
            }
        return {"computedUserset": {"relation": token}}


def plan_of(types: dict[str, dict[str, str]], *, roles: bool) -> Plan:
    """The plan of a model, its slots numbered as they come; with roles if asked."""
    schema = application_schema(model(types), Catalog(), roles=roles)
    names = [
        (name, part)
        for name, definition in schema.types.items()
        for part in (SELF, WILDCARD_SLOT, *definition.relations)
    ]
    slots = {name: number for number, name in enumerate(names, 1)}
    return compile_plan(schema, Vocabulary(1, slots, {slot: name for name, slot in slots.items()}))

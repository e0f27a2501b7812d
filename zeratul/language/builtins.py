"""The relations every catalog resource has, as ``schema/relations.json`` declares them."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING

import msgspec

from zeratul.domain.catalog import EVERY_ACTION
from zeratul.domain.schema import AllowedSubject
from zeratul.language.declared import declared

if TYPE_CHECKING:
    from collections.abc import Mapping


@dataclass(frozen=True, slots=True)
class BuiltinRelation:
    """A relation every resource has.

    Attributes:
        name: ``owner``.
        description: for people.
        actions: what it implies, of whatever is declared; None for everything.
        overridable: whether a resource may choose other actions.
    """

    name: str
    description: str
    actions: tuple[str, ...] | None
    overridable: bool

    def implies(self, action: str) -> bool:
        """Whether it lets its holders do a declared action."""
        return self.actions is None or action in self.actions


@dataclass(frozen=True, slots=True)
class Advice:
    """When a catalog gets a warning.

    Attributes:
        resources_max: more resources than these are too many for people to oversee.
        custom_relations_max: likewise custom relations of one resource.
        compound_actions: first word of an action's name -> the action it should be part of.
    """

    resources_max: int
    custom_relations_max: int
    compound_actions: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class Builtins:
    """All of the file.

    Attributes:
        relations: by name, in the order they are shown.
        subjects: what catalog relations take, where the schema has it.
        advice: what warnings are given for.
    """

    relations: Mapping[str, BuiltinRelation]
    subjects: tuple[AllowedSubject, ...]
    advice: Advice


class _Relation(msgspec.Struct, forbid_unknown_fields=True):
    description: str
    actions: list[str] | str
    overridable: bool


class _Advice(msgspec.Struct, forbid_unknown_fields=True):
    resources_max: int
    custom_relations_max: int
    compound_actions: dict[str, list[str]]


class _File(msgspec.Struct, forbid_unknown_fields=True):
    relations: dict[str, _Relation]
    subjects: list[str]
    advice: _Advice


@cache
def builtins() -> Builtins:
    """What the file declares."""
    file = msgspec.json.decode(declared("relations.json"), type=_File)
    return Builtins(
        relations={
            name: BuiltinRelation(
                name,
                each.description,
                None if each.actions == EVERY_ACTION else tuple(each.actions),
                each.overridable,
            )
            for name, each in file.relations.items()
        },
        subjects=tuple(_subject(text) for text in file.subjects),
        advice=Advice(
            file.advice.resources_max,
            file.advice.custom_relations_max,
            {
                word: action
                for action, words in file.advice.compound_actions.items()
                for word in words
            },
        ),
    )


def _subject(text: str) -> AllowedSubject:
    type_name, _, relation = text.partition("#")
    if type_name.endswith(":*"):
        return AllowedSubject(type_name.removesuffix(":*"), wildcard=True)
    return AllowedSubject(type_name, relation)

"""The schema of an application: types, their relations, their rewrites. Names, no numbers."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from zeratul.domain.relationship import RESERVED_TYPE_MARK, WILDCARD
from zeratul.domain.rewrite import Arrow, Computed, Direct, Exclusion, Intersection, Rewrite, Union
from zeratul.errors import MalformedError, SubjectNotAllowedError, UnknownNameError

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from zeratul.domain.relationship import Relationship


@dataclass(frozen=True, slots=True)
class AllowedSubject:
    """One form of subject a relation takes: ``user``, ``user:*`` or ``group#member``."""

    type: str
    relation: str = ""
    wildcard: bool = False

    def __str__(self) -> str:
        if self.wildcard:
            return f"{self.type}:*"
        return f"{self.type}#{self.relation}" if self.relation else self.type


@dataclass(frozen=True, slots=True)
class Relation:
    """A relation (``subjects`` not empty: it is stored) or a permission (computed only)."""

    name: str
    rewrite: Rewrite
    subjects: tuple[AllowedSubject, ...] = ()


@dataclass(frozen=True, slots=True)
class TypeDefinition:
    """A type and its relations, by name."""

    name: str
    relations: Mapping[str, Relation] = field(default_factory=dict)
    builtin: bool = False


@dataclass(frozen=True, slots=True)
class Schema:
    """All types of an application, the built-in ones included."""

    types: Mapping[str, TypeDefinition]

    def type(self, name: str, *, field: str | None = None) -> TypeDefinition:
        """The definition of a type.

        Raises:
            UnknownNameError: nobody declared it; names the nearest. The server's own types can
                not be named.
        """
        found = self.types.get(name)
        if found is None or RESERVED_TYPE_MARK in name:
            declared = (known for known in self.types if RESERVED_TYPE_MARK not in known)
            raise UnknownNameError("type", name, declared, field=field)
        return found

    def relation(
        self, type_name: str, name: str, *, field: str | None = None, type_field: str | None = None
    ) -> Relation:
        """The relation or permission ``name`` of a type.

        Raises:
            UnknownNameError: the type or the relation is not declared.
        """
        definition = self.type(type_name, field=type_field)
        found = definition.relations.get(name)
        if found is None:
            raise UnknownNameError(
                "relation",
                name,
                definition.relations,
                where=f" on type `{type_name}`",
                field=field,
            )
        return found

    def validate_relationship(self, relationship: Relationship, *, prefix: str = "") -> None:
        """Whether the schema lets it be stored. Ids are taken as already valid.

        Args:
            relationship: what is to be written.
            prefix: put before field names, for example ``writes[3].``.

        Raises:
            UnknownNameError: type or relation not declared.
            SubjectNotAllowedError: the relation is computed, or takes other subjects.
            MalformedError: a resource called ``*``.
        """
        relation = self.relation(
            relationship.resource_type,
            relationship.relation,
            field=prefix + "relation",
            type_field=prefix + "resource",
        )
        if relationship.resource_id == WILDCARD:
            raise MalformedError("a resource id must not be `*`", field=prefix + "resourceId")
        self.type(relationship.subject_type, field=prefix + "subject")
        if relationship.subject_relation:
            self.relation(
                relationship.subject_type,
                relationship.subject_relation,
                field=prefix + "subject",
                type_field=prefix + "subject",
            )
        wanted = AllowedSubject(
            relationship.subject_type,
            relationship.subject_relation,
            wildcard=relationship.subject_id == WILDCARD,
        )
        if wanted in relation.subjects:
            return
        if not relation.subjects:
            raise SubjectNotAllowedError(
                f"`{relationship.resource_type}#{relation.name}` is computed, not written",
                field=prefix + "relation",
            )
        allowed = ", ".join(f"`{subject}`" for subject in relation.subjects)
        raise SubjectNotAllowedError(
            f"`{relationship.resource_type}#{relation.name}` does not take `{wanted}`",
            field=prefix + "subject",
            help=f"it takes {allowed}",
        )


def walk(rewrite: Rewrite) -> Iterator[Rewrite]:
    """Every node of a rewrite tree, the root first; iterative, so depth is no limit."""
    stack: list[Rewrite] = [rewrite]
    while stack:
        node = stack.pop()
        yield node
        match node:
            case Union(children) | Intersection(children):
                stack.extend(reversed(children))
            case Exclusion(base, subtract):
                stack.extend((subtract, base))
            case Direct() | Computed() | Arrow():
                pass

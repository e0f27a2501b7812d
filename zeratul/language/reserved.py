"""The server's own types: what role assignments are stored as (``domain.scopes``)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from zeratul.domain.rewrite import Direct
from zeratul.domain.schema import AllowedSubject, Relation, TypeDefinition
from zeratul.domain.scopes import GRANT_TYPE, GRANTS, HOLDER, INNER, ROLE_TYPE, SCOPE_TYPE

if TYPE_CHECKING:
    from collections.abc import Mapping

# Who may hold a role, in this order, where the schema has them.
_HOLDERS = (
    AllowedSubject("user"),
    AllowedSubject("client"),
    AllowedSubject("api_key"),
    AllowedSubject("group", "member"),
)


def reserved_types(types: Mapping[str, TypeDefinition]) -> dict[str, TypeDefinition]:
    """The definitions of ``⟨grant⟩``, ``⟨scope⟩`` and ``⟨role⟩`` beside an application's types."""
    grants = AllowedSubject(GRANT_TYPE, HOLDER)
    return {
        GRANT_TYPE: _type(GRANT_TYPE, {HOLDER: holders(types)}),
        SCOPE_TYPE: _type(SCOPE_TYPE, {GRANTS: (grants,), INNER: (AllowedSubject(SCOPE_TYPE),)}),
        ROLE_TYPE: _type(ROLE_TYPE, {GRANTS: (grants,)}),
    }


def holders(types: Mapping[str, TypeDefinition]) -> tuple[AllowedSubject, ...]:
    """Forms of subjects that may hold a role."""
    return tuple(form for form in _HOLDERS if _exists(form, types))


def _exists(form: AllowedSubject, types: Mapping[str, TypeDefinition]) -> bool:
    definition = types.get(form.type)
    if definition is None:
        return False
    return not form.relation or form.relation in definition.relations


def _type(name: str, relations: dict[str, tuple[AllowedSubject, ...]]) -> TypeDefinition:
    return TypeDefinition(
        name,
        {
            relation: Relation(relation, Direct(), subjects)
            for relation, subjects in relations.items()
        },
        builtin=True,
    )

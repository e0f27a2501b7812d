"""Types and relations have valid names that nothing else means."""

from __future__ import annotations

from typing import TYPE_CHECKING

from zeratul.domain.relationship import RESERVED_TYPE_MARK, name_is_valid
from zeratul.language.findings import shown

if TYPE_CHECKING:
    from zeratul.language.draft import Draft
    from zeratul.language.findings import Findings

# OpenFGA's reserved words: both read as "the thing itself" in a model's text form.
RESERVED_NAMES = frozenset({"self", "this"})


def check_names(draft: Draft, findings: Findings) -> None:
    """Note every name that is reserved or breaks the pattern."""
    for definition in draft.types.values():
        problem = _problem(definition.name)
        if problem:
            findings.add(definition.place / "type", problem)
    for _, relation in draft.relations():
        problem = _problem(relation.name)
        if problem:
            findings.add(relation.place, problem)


def _problem(name: str) -> str | None:
    if name in RESERVED_NAMES:
        return f"`{name}` is reserved and cannot be a name"
    if name_is_valid(name):
        return None
    if RESERVED_TYPE_MARK in name:
        return f"`{shown(name)}` is a name of the server's own and cannot be declared"
    return (
        f"`{shown(name)}` is not a valid name: a letter or `_`, then letters, digits, `_` and `-`,"
        " at most 254 characters"
    )

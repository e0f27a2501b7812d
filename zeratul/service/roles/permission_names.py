"""Permissions as texts, ``resource:action`` or ``resource:*``, judged by a catalog."""

from __future__ import annotations

from typing import TYPE_CHECKING

from zeratul.domain.catalog import EVERY_ACTION, Catalog, action_is_valid, key_is_valid
from zeratul.errors import (
    InputError,
    LimitError,
    MalformedError,
    UnknownNameError,
    ValidationError,
    nearest,
)
from zeratul.service.ground.validation import SUGGESTIONS_MAX, findings_of

if TYPE_CHECKING:
    from collections.abc import Sequence

    from zeratul.domain.limits import Limits

# LIMIT: actions that a refusal shows where none is near.
_SHOWN_ACTIONS_MAX = 10

_EXPECTED = "a permission is `resource:action`, or `resource:*` for every declared action"


def require_permissions(
    texts: Sequence[str], catalog: Catalog | None, limits: Limits, *, field: str = "permissions"
) -> tuple[str, ...]:
    """The permissions of a policy, each once, in the order they were given.

    Raises:
        UnknownNameError: one that the catalog does not declare; names the nearest.
        MalformedError: one that could not be declared: ``*:*``, ``Documents:Read``.
        ValidationError: several of either.
        LimitError: more than a policy may have.
    """
    chosen = tuple(dict.fromkeys(texts))
    most = limits.policy_permissions_max
    if len(chosen) > most:
        raise LimitError(
            "policy_permissions_max",
            most,
            f"a policy has at most {most:,} permissions, this one has {len(chosen):,}",
            help="`resource:*` stands for every action of a resource",
            field=field,
        )
    known = catalog or Catalog()
    errors: list[InputError] = []
    reported: set[str] = set()
    for index, text in enumerate(texts):
        if text in reported:
            continue
        reported.add(text)
        suggest = len(errors) < SUGGESTIONS_MAX
        error = _problem(text, known, f"{field}[{index}]", suggest=suggest)
        if error is not None:
            errors.append(error)
    if len(errors) == 1:
        raise errors[0]
    if errors:
        raise ValidationError(findings_of(errors))
    return chosen


def _problem(text: str, catalog: Catalog, field: str, *, suggest: bool) -> InputError | None:
    resource, colon, action = text.partition(":")
    found = catalog.resources.get(resource)
    if found is not None and (action == EVERY_ACTION or action in found.actions):
        return None
    well_formed = key_is_valid(resource) and (action == EVERY_ACTION or action_is_valid(action))
    unknown = UnknownNameError("permission", text, field=field)
    if suggest:
        unknown.suggestion = _nearest(resource, action, catalog)
    if unknown.suggestion:
        unknown.help = f"did you mean `{unknown.suggestion}`?"
    elif not (colon and well_formed):
        return MalformedError(f"`{text[:128]}` is no permission", field=field, help=_EXPECTED)
    elif found is not None:
        shown = ", ".join(f"`{each}`" for each in found.actions[:_SHOWN_ACTIONS_MAX])
        unknown.help = f"actions of `{resource}`: {shown}" if shown else None
    elif not catalog.resources:
        unknown.help = "the application has no catalog: declare its resources first"
    return unknown


def _nearest(resource: str, action: str, catalog: Catalog) -> str | None:
    """What was probably meant: first the resource, then one of its actions; all are too many."""
    meant = resource if resource in catalog.resources else nearest(resource, catalog.resources)
    if meant is None:
        return None
    actions = catalog.resources[meant].actions
    if action == EVERY_ACTION:
        return f"{meant}:{EVERY_ACTION}"
    closest = nearest(action, actions)
    return f"{meant}:{closest}" if closest is not None else None

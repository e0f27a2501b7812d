"""What a catalog has to keep to, and what it is advised to; the model it is attached to counts.

Findings are told all at once, each under the place it was asked for: ``resources[3].actions[2]``.
Warnings are advice: they never refuse anything.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from zeratul.domain.catalog import action_is_valid, key_is_valid
from zeratul.domain.relationship import RESERVED_TYPE_MARK
from zeratul.language.application import joined
from zeratul.language.builtins import builtins
from zeratul.language.catalog import implied_actions
from zeratul.language.findings import shown
from zeratul.language.strata import has_subtraction, recursion_through_subtraction

if TYPE_CHECKING:
    from zeratul.domain.catalog import Catalog, CatalogResource
    from zeratul.domain.limits import Limits
    from zeratul.domain.schema import Schema
    from zeratul.language.findings import Findings, Place

_KEY = "a lower-case letter, then lower-case letters, digits and `_`"
_ACTION_KEY = "a lower-case letter, then lower-case letters, digits, `_` and `-`"
# LIMIT: warnings are read by a person; the rest is counted.
_WARNINGS_MAX = 100


class Warning(NamedTuple):  # noqa: A001 - the contract's word
    """Advice about a catalog.

    Attributes:
        code: stable: ``too_many_resources``, ``too_many_relations``, ``compound_action``,
            ``decided_by_model``, ``owner_of_model``, ``more_warnings``.
        resource: which one it is about; None for all together.
        message: for a person.
    """

    code: str
    resource: str | None
    message: str


def check_key(text: str, place: Place, findings: Findings) -> None:
    """Note a name of a resource or relation that breaks the rules of keys."""
    _note_key(text, place, findings, valid=key_is_valid(text), rule=_KEY)


def check_action(text: str, place: Place, findings: Findings) -> None:
    """Note a name of an action that breaks the rules of keys."""
    _note_key(text, place, findings, valid=action_is_valid(text), rule=_ACTION_KEY)


def _note_key(text: str, place: Place, findings: Findings, *, valid: bool, rule: str) -> None:
    if valid:
        return
    if RESERVED_TYPE_MARK in text:
        findings.add(place, f"`{shown(text)}` is a name of the server's own")
    else:
        findings.add(place, f"`{shown(text)}` is not a valid key: {rule}, at most 63 characters")


def check_override(relation: str, place: Place, findings: Findings) -> None:
    """Note a built-in relation that no resource may override."""
    builtin = builtins().relations.get(relation)
    if builtin is not None and not builtin.overridable:
        findings.add(place, f"`{relation}` implies every action, always; it can not be overridden")


def check_resource(
    resource: CatalogResource, place: Place, model: Schema, limits: Limits, findings: Findings
) -> None:
    """Note what does not fit together in one resource, and with the model.

    Args:
        resource: as it would be stored.
        place: where it was asked for.
        model: the compiled model, without any catalog.
        limits: how many actions and custom relations.
        findings: takes the notes.
    """
    own = model.types.get(resource.name)
    if own is not None and own.builtin:
        findings.add(
            place / "resource",
            f"`{resource.name}` is a built-in type; only a model that declares a type of this name"
            " makes it a resource",
        )
    most = limits.catalog_actions_max
    if len(resource.actions) > most:
        findings.add(
            place / "actions",
            f"at most {most:,} actions (catalog_actions_max), these are {len(resource.actions):,}",
        )
    known = builtins().relations
    custom = sum(name not in known for name in resource.relations)
    most = limits.catalog_relations_max
    if custom > most:
        findings.add(
            place / "relations",
            f"at most {most:,} custom relations (catalog_relations_max), these are {custom:,}",
        )
    named = own.relations if own is not None else {}
    for index, action in enumerate(resource.actions):
        if action in resource.relations:
            findings.add(
                place / "actions" / index, f"`{action}` is a relation of `{resource.name}` too"
            )
        elif action in known and action not in named:
            findings.add(place / "actions" / index, f"`{action}` is a built-in relation")


def check_catalog(
    catalog: Catalog, place: Place, model: Schema, limits: Limits, findings: Findings
) -> None:
    """Note what does not fit together in the whole of it, and with the model."""
    most = limits.catalog_resources_max
    if len(catalog.resources) > most:
        findings.stop(
            place,
            f"at most {most:,} resources (catalog_resources_max), these are"
            f" {len(catalog.resources):,}",
        )
        return
    pairs = sum(
        len(actions)
        for resource in catalog.resources.values()
        for actions in implied_actions(resource).values()
    )
    most = limits.catalog_pairs_max
    if pairs > most:
        findings.stop(
            place,
            f"at most {most:,} pairs of a relation and an action it implies (catalog_pairs_max),"
            f" these are {pairs:,}",
        )
        return
    # What does not stand alone is not tried with the model; and a catalog subtracts nothing.
    if findings or not has_subtraction(model):
        return
    found = recursion_through_subtraction(joined(model, catalog, roles=False))
    if found is not None:
        findings.add(
            place,
            f"with it, `{found[0]}#{found[1]}` of the model would depend on itself through what"
            " the model subtracts",
        )


def warnings_of(catalog: Catalog, model: Schema) -> list[Warning]:
    """Advice about a catalog."""
    advice = builtins().advice
    found: list[Warning] = []
    count = len(catalog.resources)
    if count > advice.resources_max:
        found.append(
            Warning(
                "too_many_resources",
                None,
                f"{count:,} resources; more than {advice.resources_max} are hard to oversee",
            )
        )
    for resource in catalog.resources.values():
        found += _resource_warnings(resource, model)
    if len(found) > _WARNINGS_MAX:
        more = len(found) - _WARNINGS_MAX
        del found[_WARNINGS_MAX:]
        found.append(Warning("more_warnings", None, f"{more:,} more warnings"))
    return found


def _resource_warnings(resource: CatalogResource, model: Schema) -> list[Warning]:
    known, advice = builtins().relations, builtins().advice
    found: list[Warning] = []

    def warn(code: str, message: str) -> None:
        found.append(Warning(code, resource.name, message))

    custom = [name for name in resource.relations if name not in known]
    if len(custom) > advice.custom_relations_max:
        warn(
            "too_many_relations",
            f"{len(custom)} custom relations; more than {advice.custom_relations_max} often mean"
            " that a role would do",
        )
    for action in resource.actions:
        first, mark, _ = action.replace("-", "_").partition("_")
        simple = advice.compound_actions.get(first) if mark else None
        if simple is not None:
            warn("compound_action", f"`{action}` names a way of it; collapse it into `{simple}`")
    own = model.types.get(resource.name)
    named = own.relations if own is not None else {}
    implied = implied_actions(resource)
    for action in resource.actions:
        if action not in named:
            continue
        idle = [name for name in resource.relations if action in implied[name]]
        for name in idle:
            warn(
                "decided_by_model",
                f"the model decides `{action}`; that `{name}` lists it changes nothing",
            )
    for name, builtin in known.items():
        if name in named and not builtin.overridable and resource.actions:
            warn(
                "owner_of_model",
                f"the model declares `{name}`; whoever is in it may do every declared action that"
                " the model does not decide",
            )
    return found

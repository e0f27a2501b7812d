"""Doing what an explanation suggests, and taking it back."""

from __future__ import annotations

from typing import TYPE_CHECKING

from zeratul.service.roles.role_answers import Labelled

if TYPE_CHECKING:
    from tests.unit.service.role_world import RoleWorld
    from zeratul.service.questions.access_answers import Suggestion


def do(world: RoleWorld, who: str, suggestion: Suggestion) -> None:
    """Write the relationship, assign the role to ``who``, or attach the policy."""
    if suggestion.relationship is not None:
        world.services.relationships.write(world.caller, suggestion.relationship).result()
    elif suggestion.policy_id is None:
        world.assign(who, suggestion.role_id or "", suggestion.tenant_id, suggestion.path)
    else:
        _attach(world, suggestion, attached=True)


def undo(world: RoleWorld, who: str, suggestion: Suggestion) -> None:
    """The other way round."""
    if suggestion.relationship is not None:
        world.services.relationships.delete(world.caller, suggestion.relationship).result()
    elif suggestion.policy_id is None:
        world.unassign(who, suggestion.role_id or "", suggestion.tenant_id, suggestion.path)
    else:
        _attach(world, suggestion, attached=False)


def _attach(world: RoleWorld, suggestion: Suggestion, *, attached: bool) -> None:
    policy_id = suggestion.policy_id or ""
    role = world.services.roles.get(world.caller, suggestion.role_id or "")
    policies = [each for each in role.policy_ids if each != policy_id]
    if attached:
        policies.append(policy_id)
    given = Labelled(content=policies)
    world.services.roles.update(world.caller, role.id, given, role.tenant_id).result()

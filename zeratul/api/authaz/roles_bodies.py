"""Bodies of the calls around roles."""

from __future__ import annotations

import msgspec

from zeratul.api.authaz.structures import Body


class RoleBody(Body):
    """A whole role."""

    name: str
    policy_ids: list[str]
    description: str | None = None


class RolePatchBody(Body):
    """What of a role changes; what is left out stays as it is."""

    name: str | msgspec.UnsetType = msgspec.UNSET
    policy_ids: list[str] | msgspec.UnsetType = msgspec.UNSET
    description: str | msgspec.UnsetType | None = msgspec.UNSET

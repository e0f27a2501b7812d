"""Bodies of the calls around policies."""

from __future__ import annotations

import msgspec

from zeratul.api.authaz.structures import Body


class PolicyBody(Body):
    """A whole policy."""

    name: str
    permissions: list[str]
    description: str | None = None


class PolicyPatchBody(Body):
    """What of a policy changes; what is left out stays as it is."""

    name: str | msgspec.UnsetType = msgspec.UNSET
    permissions: list[str] | msgspec.UnsetType = msgspec.UNSET
    description: str | msgspec.UnsetType | None = msgspec.UNSET

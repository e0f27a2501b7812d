"""Bodies of the calls around groups."""

from __future__ import annotations

import msgspec

from zeratul.api.authaz.structures import Body


class GroupBody(Body):
    """A group: what is left out stays as it is, a list of members replaces all of them."""

    name: str | msgspec.UnsetType | None = msgspec.UNSET
    members: list[str] | msgspec.UnsetType = msgspec.UNSET


class MembersBody(Body):
    """Members to add or to remove."""

    subjects: list[str]

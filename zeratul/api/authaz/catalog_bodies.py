"""Bodies of the calls around the catalog."""

from __future__ import annotations

import msgspec

from zeratul.api.authaz.structures import Body


class RelationBody(Body):
    """A relation: of the declared actions, those it implies."""

    actions: list[str]
    description: str | None = None


class CatalogItem(Body):
    """One resource of a catalog; what is left out stays as it is."""

    resource: str
    actions: list[str]
    description: str | None = None
    relations: dict[str, RelationBody] | msgspec.UnsetType = msgspec.UNSET


class FastCatalogBody(Body):
    """A whole catalog, decoded in one go; tried first."""

    resources: list[CatalogItem]


class CatalogBody(Body):
    """The same with items apart, so that all findings are shown together."""

    resources: list[msgspec.Raw]


class ResourceBody(Body):
    """One resource; its name stands in the path."""

    actions: list[str]
    resource: str | None = None
    description: str | None = None
    relations: dict[str, RelationBody] | msgspec.UnsetType = msgspec.UNSET


class ResourcePatch(Body):
    """What changes in a resource; a relation that is null goes."""

    description: str | None = None
    actions: list[str] | None = None
    relations: dict[str, RelationBody | None] | msgspec.UnsetType = msgspec.UNSET


class RenameBody(Body):
    """Another name."""

    to: str
    dry_run: bool = False

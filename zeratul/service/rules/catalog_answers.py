"""What the catalog's service is asked with and what it answers: plain values, no JSON, no HTTP."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from zeratul.domain.catalog import Catalog, CatalogResource
    from zeratul.domain.schema import Schema
    from zeratul.language.catalog_rules import Warning  # noqa: A004 - the contract's word
    from zeratul.service.roles.stored_policies import StoredPolicy
    from zeratul.service.roles.stored_roles import StoredRole

Mode = Literal["replace", "merge"]
MODES: tuple[Mode, ...] = ("replace", "merge")
RenameKind = Literal["resource", "action", "relation"]

References = dict[str, dict[str, int]]
"""What rests on something: kind -> id or form -> how many."""


class Affected(NamedTuple):
    """A policy, and those of its permissions that are spoken of."""

    policy: StoredPolicy
    permissions: tuple[str, ...]


class RelationRequest(NamedTuple):
    """A relation as asked for; without a description it keeps the one it has."""

    actions: Sequence[str]
    description: str | None = None


class ResourceRequest(NamedTuple):
    """A resource as asked for; what is None stays as it is.

    In a patch a relation that is None goes.
    """

    name: str
    description: str | None = None
    actions: Sequence[str] | None = None
    relations: Mapping[str, RelationRequest | None] | None = None


class ResourceDiff(NamedTuple):
    """What a change does to one resource: names added, removed and changed, in order."""

    resource: str
    actions_added: tuple[str, ...] = ()
    actions_removed: tuple[str, ...] = ()
    relations_added: tuple[str, ...] = ()
    relations_removed: tuple[str, ...] = ()
    relations_changed: tuple[str, ...] = ()


class Difference(NamedTuple):
    """From one catalog to another: names of resources, and what changes in those that stay."""

    added: tuple[str, ...]
    updated: tuple[str, ...]
    removed: tuple[str, ...]
    unchanged: tuple[str, ...]
    changes: tuple[ResourceDiff, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class CatalogChange:
    """What a change of the catalog came to, or would.

    Attributes:
        catalog: afterwards.
        schema: with it attached.
        etag: of that catalog.
        difference: to the one before.
        warnings: advice about it.
        references: what rested on what went; on a dry run without force, why it would be refused.
        dry_run: nothing was changed.
        zookie: how fresh the answer is.
    """

    catalog: Catalog
    schema: Schema
    etag: str
    difference: Difference
    warnings: Sequence[Warning]
    references: References = field(default_factory=dict)
    dry_run: bool = False
    zookie: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ResourceAnswer:
    """One resource.

    Attributes:
        resource: as it is stored.
        implied: relation -> actions that holding it is enough for; built-in ones first.
        etag: of this resource alone.
    """

    resource: CatalogResource
    implied: Mapping[str, tuple[str, ...]]
    etag: str


@dataclass(frozen=True, slots=True, kw_only=True)
class CatalogPage:
    """Some resources, by name; ``count`` and ``etag`` are of the whole catalog."""

    rows: list[ResourceAnswer]
    next_cursor: str | None
    page_size: int
    count: int
    etag: str
    zookie: str


class PermissionRow(NamedTuple):
    """A permission for pickers: ``documents:read`` and the relations that are enough for it."""

    permission: str
    resource: str
    action: str
    description: str
    relations: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class PermissionPage:
    """Some permissions, by name; ``count`` is of all."""

    rows: list[PermissionRow]
    next_cursor: str | None
    page_size: int
    count: int
    zookie: str


@dataclass(frozen=True, slots=True, kw_only=True)
class UsageAnswer:
    """Who references a resource.

    Attributes:
        resource: its name.
        policies: with the permissions of this resource that each carries.
        roles: that have such policies; the first of many.
        attachments: how often roles have such a policy, all counted.
        assignments: live ones of roles on its paths, by form of subject (``group#member``).
        relationships: live ones by form (``documents#viewer@user``).
    """

    resource: str
    policies: Sequence[Affected]
    roles: Sequence[StoredRole]
    attachments: int
    assignments: Mapping[str, int]
    relationships: Mapping[str, int]
    zookie: str


@dataclass(frozen=True, slots=True, kw_only=True)
class RenameAnswer:
    """What a rename came to, or would.

    Attributes:
        kind: what was renamed.
        resource: its resource, by the name it has afterwards.
        old, new: its names.
        references: policies and roles it was rewritten for; relationships only on a dry run.
        overridden: built-in relations that are overridden from now on, so that they imply what
            they did: they know actions by name.
        etag: of the catalog afterwards.
        dry_run: nothing was changed.
    """

    kind: RenameKind
    resource: str
    old: str
    new: str
    references: References
    overridden: tuple[str, ...]
    etag: str
    dry_run: bool
    zookie: str

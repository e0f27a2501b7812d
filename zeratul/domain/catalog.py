"""The catalog of an application: its resources, their actions, what their relations allow.

A catalog resource and a model type of the same name are one type (contract authaz §2).
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

_KEY = re.compile(r"[a-z][a-z0-9_]{0,62}")
_ACTION_KEY = re.compile(r"[a-z][a-z0-9_\-]{0,62}")

EVERY_ACTION = "*"
"""In a policy, ``resource:*``: every declared action, also those declared later."""


def key_is_valid(text: str) -> bool:
    """Whether ``text`` may name a catalog resource or relation."""
    return _KEY.fullmatch(text) is not None


def action_is_valid(text: str) -> bool:
    """Whether ``text`` may name an action."""
    return _ACTION_KEY.fullmatch(text) is not None


@dataclass(frozen=True, slots=True)
class CatalogRelation:
    """What holders of a relation may do: of the declared actions, these."""

    actions: tuple[str, ...]
    description: str = ""


@dataclass(frozen=True, slots=True)
class CatalogResource:
    """One resource type.

    Attributes:
        name: its key.
        description: for people.
        actions: declared actions, in the order they were given.
        relations: custom relations, and built-in ones whose actions are overridden.
    """

    name: str
    description: str = ""
    actions: tuple[str, ...] = ()
    relations: Mapping[str, CatalogRelation] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Catalog:
    """All resources of an application.

    Attributes:
        resources: by name, in the order they were declared.
        segments: name -> first segment under which paths of this resource are stored, for names
            that a rename gave away or took; others are their own. It outlives the resource: paths
            that were stored under a name never come to mean another resource.
        renamed: revision of the newest rename, 0 without one: a list that began before it cannot
            go on, its names may mean something else now.
    """

    resources: Mapping[str, CatalogResource] = field(default_factory=dict)
    segments: Mapping[str, str] = field(default_factory=dict)
    renamed: int = 0

    def segment(self, name: str) -> str:
        """The first segment under which paths of a resource are stored."""
        return self.segments.get(name, name)

    def named(self, segment: str) -> str:
        """The resource whose paths begin with a stored segment."""
        return next((name for name, kept in self.segments.items() if kept == segment), segment)


def renamed_segments(catalog: Catalog, name: str, to: str, mark: str) -> dict[str, str]:
    """The segments once a resource is called otherwise: its paths stay where they are.

    The name it had gets a segment of its own, so that a new resource of that name begins without
    paths.

    Args:
        catalog: before.
        name: the resource's name.
        to: its new name.
        mark: makes the fresh segment unlike any before.
    """
    segments = {**catalog.segments, to: catalog.segment(name)}
    # Nobody can type it: a path that comes in holds no `#` (``domain.paths``).
    segments[name] = f"{name}#{mark}"
    return {key: segment for key, segment in segments.items() if key != segment}

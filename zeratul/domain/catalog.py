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
        segments: current name -> first segment under which paths of this resource are stored;
            only for renamed resources, so that renaming rewrites no path.
    """

    resources: Mapping[str, CatalogResource] = field(default_factory=dict)
    segments: Mapping[str, str] = field(default_factory=dict)

"""Bodies of this contract as typed values: camelCase outside, unknown fields an error."""

from __future__ import annotations

from typing import Any, TypeVar

import msgspec

T = TypeVar("T")


NO_CONDITION = msgspec.Raw()


class Body(msgspec.Struct, rename="camel", forbid_unknown_fields=True, gc=False, kw_only=True):
    """What all bodies share: a typo is an error, names are camelCase."""


class RelationshipBody(Body):
    """One relationship to write or delete; ``userId`` or ``subject``."""

    user_id: str | None = None
    subject: str | None = None
    resource: str | None = None
    resource_id: str | None = None
    relation: str | None = None
    expires_at: str | None = None
    condition: msgspec.Raw = NO_CONDITION


class FilterBody(Body):
    """Which relationships to delete: a whole one, or a filter."""

    user_id: str | None = None
    subject: str | None = None
    resource: str | None = None
    resource_id: str | None = None
    relation: str | None = None


class PreconditionBody(Body):
    """What must hold for a bulk call to be applied: one of the two."""

    must_exist: RelationshipBody | None = None
    must_not_exist: RelationshipBody | None = None


class BulkBody(Body):
    """A bulk upload; items are decoded one by one so that all findings are shown together."""

    writes: list[msgspec.Raw] = []
    deletes: list[msgspec.Raw] = []
    preconditions: list[PreconditionBody] = []


class FastBulkBody(Body):
    """The same, decoded in one go; tried first."""

    writes: list[RelationshipBody] = []
    deletes: list[RelationshipBody] = []
    preconditions: list[PreconditionBody] = []


class Consistency(Body):
    """How fresh a read has to be."""

    at_least: str | None = None


class CheckBody(Body):
    """One question; ``permission`` stands for ``resource`` and ``action``."""

    user_id: str | None = None
    subject: str | None = None
    resource: str | None = None
    resource_id: str | None = None
    action: str | None = None
    permission: str | None = None
    tenant_id: str | None = None
    context: dict[str, Any] | None = None
    contextual_relationships: list[RelationshipBody] = []
    consistency: Consistency | None = None


class ExplainBody(CheckBody):
    """A question, and what is taken as written or deleted for it."""

    writes: list[RelationshipBody] = []
    deletes: list[RelationshipBody] = []


class CheckItem(Body):
    """One question of a bulk check."""

    user_id: str | None = None
    subject: str | None = None
    resource: str | None = None
    resource_id: str | None = None
    action: str | None = None
    permission: str | None = None


class FastBulkCheckBody(Body):
    """A bulk check, decoded in one go; tried first."""

    checks: list[CheckItem]
    user_id: str | None = None
    subject: str | None = None
    tenant_id: str | None = None
    context: dict[str, Any] | None = None
    consistency: Consistency | None = None


class BulkCheckBody(Body):
    """The same with items apart, so that one bad item spoils only itself."""

    checks: list[msgspec.Raw]
    user_id: str | None = None
    subject: str | None = None
    tenant_id: str | None = None
    context: dict[str, Any] | None = None
    consistency: Consistency | None = None


class ApplicationBody(Body):
    """A new application."""

    name: str
    tenancy_type: str = "single"


class KeyBody(Body):
    """A new API key."""

    name: str
    permissions: list[str] | None = None
    tenant_id: str | None = None
    expires_at: str | None = None

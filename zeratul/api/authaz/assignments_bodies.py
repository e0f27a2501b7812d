"""Bodies of the calls around role assignments."""

from __future__ import annotations

import msgspec

from zeratul.api.authaz.structures import Body


class AssignmentBody(Body):
    """One assignment to make or to take away; ``userId`` or ``subject``."""

    user_id: str | None = None
    subject: str | None = None
    role_id: str | None = None
    tenant_id: str | None = None
    scope: str | None = None
    expires_at: str | None = None


class BulkAssignmentBody(Body):
    """Many; items are decoded one by one so that all findings are shown together."""

    assign: list[msgspec.Raw] = msgspec.field(default_factory=list)
    unassign: list[msgspec.Raw] = msgspec.field(default_factory=list)

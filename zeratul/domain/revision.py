"""Revisions: ordered points in the store's history, and times in milliseconds since 1970."""

from __future__ import annotations

from typing import NewType

Revision = NewType("Revision", int)
"""Goes up by one per commit; assigned inside the write transaction."""

TimeMs = NewType("TimeMs", int)
"""Milliseconds since 1970-01-01T00:00Z."""

Node = NewType("Node", int)
"""Number of an object (type and id), unique in the store, never reused; fits 32 bits."""

Slot = NewType("Slot", int)
"""Number of a (type, relation) of one application, never reused; fits 24 bits.

Every type has two slots of its own besides its relations: ``(type, "")`` for the objects
themselves as plain subjects, and ``(type, "*")`` for the wildcard subject. The slot ``(type, "")``
is also the type's number.
"""

ApplicationNumber = NewType("ApplicationNumber", int)
"""Number of an application, never reused; fits 32 bits."""

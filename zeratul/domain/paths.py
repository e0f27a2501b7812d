"""Resource paths: where a role holds, in canonical form, and the one rule of what covers what.

A path is a tuple of segments; the empty one is the root. A segment is a literal or ``*``; it may
consist of parts between ``:``, each a literal, ``*`` or empty. The resource ``documents:a/b`` is
the path ``("documents", "a", "b")``: its type, then its id between ``/``. A grant on a path covers
the path itself and everything below it.

Paths whose first segment begins with ``Authress:`` are the server's own management resources. They
are covered only by paths that say so literally: neither by the root nor by a first segment that
begins with ``*``.

``covers`` is what covering means. ``zeratul.graph.scopes`` finds covering paths among many stored
ones without looking at all of them; tests hold it to this rule.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from zeratul.errors import MalformedError

if TYPE_CHECKING:
    from collections.abc import Mapping

Path = tuple[str, ...]

STAR = "*"
MANAGEMENT = "Authress:"
"""How the first segment of the server's own resources begins."""

# LIMIT: contract authress §2.1; deeper segments of a resource's path are never looked at.
SEGMENTS_MAX = 15
# LIMIT: as long as an id may be (``relationship.ID_LENGTH_MAX``).
PATH_LENGTH_MAX = 1_024

# Authress' documentation prints the star as U+2736.
_PRINTED_STAR = "✶"
_REFUSED = re.compile(r"[\s#\x00-\x1f\x7f-\x9f\ud800-\udfff]")


def canonical(text: str, *, field: str | None = None) -> Path:
    """The path that a text means.

    One leading ``/`` says nothing, nor does one trailing ``/`` or ``/*``: ``documents``,
    ``/documents/`` and ``documents/*`` are one path. ``*``, ``/`` and the empty text are the root.

    >>> canonical("/documents/*")
    ('documents',)
    >>> canonical("*")
    ()

    Args:
        text: what was given; ``✶`` is read as ``*``.
        field: where it was given, for the error.

    Raises:
        MalformedError: white space, a control character or ``#``; an empty segment; a ``*`` that
            is not a whole part; too many segments or characters.
    """
    if len(text) > PATH_LENGTH_MAX:
        raise MalformedError(
            f"a path has at most {PATH_LENGTH_MAX:,} characters, this one has {len(text):,}",
            field=field,
        )
    if _REFUSED.search(text):
        raise MalformedError(
            "a path must not contain white space, control characters or `#`", field=field
        )
    rest = text.replace(_PRINTED_STAR, STAR).removeprefix("/")
    if rest in {"", STAR}:
        return ()
    bare = rest.removesuffix("/*" if rest.endswith("/*") else "/")
    if bare == STAR:
        return ()
    path = tuple(bare.split("/"))
    if len(path) > SEGMENTS_MAX:
        raise MalformedError(
            f"a path has at most {SEGMENTS_MAX} segments, this one has {len(path):,}", field=field
        )
    for segment in path:
        if not segment:
            raise MalformedError("a path must not have an empty segment", field=field)
        if any(STAR in part and part != STAR for part in segment.split(":")):
            raise MalformedError(
                "`*` stands for a whole segment or a whole part between `:`, not inside"
                f" `{segment}`",
                field=field,
            )
    return path


def path_text(path: Path) -> str:
    """A canonical path as text that means it again: ``*`` for the root."""
    if not path:
        return STAR
    # Of `a/*` the star would be taken for the sign of a collection.
    ending = "/*" if path[-1] == STAR else ""
    return "/".join(path) + ending


def resource_path(
    type_name: str, object_id: str, segments: Mapping[str, str] | None = None
) -> Path:
    """The path of a resource, as far as any stored path may reach.

    Args:
        type_name: its type.
        object_id: its id, taken byte for byte; empty for the type as a whole.
        segments: types whose paths begin with another name (``Catalog.segments``).
    """
    first = segments.get(type_name, type_name) if segments else type_name
    if not object_id:
        return (first,)
    return (first, *object_id.split("/", SEGMENTS_MAX))[:SEGMENTS_MAX]


def is_management(path: Path) -> bool:
    """Whether it is one of the server's own resources."""
    return bool(path) and path[0].startswith(MANAGEMENT)


def covers(grant: Path, resource: Path) -> bool:
    """Whether what is granted on one path holds on the other: the reference of all matching."""
    if len(grant) > len(resource) or is_management(resource) > is_management(grant):
        return False
    return all(_matches(*pair) for pair in zip(grant, resource, strict=False))


def _matches(granted: str, segment: str) -> bool:
    """One segment: ``*`` matches any; otherwise part by part, as many parts on both sides."""
    if granted in (STAR, segment):
        return True
    ours, theirs = granted.split(":"), segment.split(":")
    return len(ours) == len(theirs) and all(
        part in (STAR, other) for part, other in zip(ours, theirs, strict=True)
    )

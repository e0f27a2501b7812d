"""Scopes and grants: names of the nodes that role assignments are stored under.

A *scope* is where a role holds, and its node's id says which: ``root`` (the whole application),
``tenant/<tenant id>``, ``path/<segments between />``. A *grant* is a role on a scope; its node's
id is ``<role id>@<scope id>``, and its holders are those the role is assigned to there.

    ⟨grant⟩:role_1@root#holder@user:u1            one row for each assignment
    ⟨scope⟩:root#grants@⟨grant⟩:role_1@root#holder   one for each grant
    ⟨role⟩:role_1#grants@⟨grant⟩:role_1@root#holder  one for each grant, the other way in
    ⟨scope⟩:path/a#inner@⟨scope⟩:path/a           one for each step towards a longer path

The types are the server's own: no contract, model, catalog or caller can name them.

*Decision: one relation for all roles.* Context: the obvious layout gives a scope a relation for
each role (``⟨scope⟩#role:R@user``). A compiled plan then grows with roles and tenants, and a
subject's closure reads once for each role there is. Options: that, or a node for each pair of role
and scope. Outcome: the pair. The plan has the same few slots whatever is declared, a closure holds
all of a subject's grants in one bitmap, and an access record can hold a grant like a group does.
It costs two rows for each pair, not for each assignment.
"""

from __future__ import annotations

from typing import NamedTuple

from zeratul.domain.paths import Path, covers
from zeratul.errors import InternalError

GRANT_TYPE = "⟨grant⟩"
SCOPE_TYPE = "⟨scope⟩"
ROLE_TYPE = "⟨role⟩"
RESERVED_TYPES = (GRANT_TYPE, SCOPE_TYPE, ROLE_TYPE)

HOLDER = "holder"
"""Relation of a grant: whom the role is assigned to there."""

GRANTS = "grants"
"""Relation of a scope and of a role: their grants, as ``⟨grant⟩:…#holder``."""

INNER = "inner"
"""Relation of a scope to itself: longer paths begin with it. It makes the name known, no more."""

ROOT = "root"
_TENANT = "tenant/"
_PATH = "path/"


class Scope(NamedTuple):
    """Where a role holds: in a tenant, or on a path (``()`` is the whole application)."""

    tenant: str | None
    path: Path

    @property
    def id(self) -> str:
        """The id of its node."""
        return path_scope(self.path) if self.tenant is None else tenant_scope(self.tenant)

    def covers(self, path: Path, tenant: str | None) -> bool:
        """Whether a role held here counts for a resource, asked about in a tenant or in none.

        A tenant's scope is as wide as the root, for questions in that tenant.
        """
        if self.tenant is not None and self.tenant != tenant:
            return False
        return covers(self.path, path)


class Grant(NamedTuple):
    """A role on a scope."""

    role: str
    scope: Scope


def tenant_scope(tenant: str) -> str:
    """The id of a tenant's scope."""
    return _TENANT + tenant


def path_scope(path: Path) -> str:
    """The id of a canonical path's scope; ``ROOT`` for the root."""
    return _PATH + "/".join(path) if path else ROOT


def parse_scope(scope_id: str) -> Scope:
    """What a scope's id says.

    Raises:
        InternalError: it is not the id of a scope.
    """
    if scope_id == ROOT:
        return Scope(None, ())
    if scope_id.startswith(_TENANT):
        return Scope(scope_id.removeprefix(_TENANT), ())
    if scope_id.startswith(_PATH):
        return Scope(None, tuple(scope_id.removeprefix(_PATH).split("/")))
    raise InternalError(f"`{scope_id}` is no scope")


def first_segment(scope_id: str) -> str | None:
    """The first segment of a path's scope; None for a tenant's and the root.

    >>> first_segment("path/documents/d1")
    'documents'
    """
    if not scope_id.startswith(_PATH):
        return None
    return scope_id[len(_PATH) :].partition("/")[0]


def grant_id(role: str, scope_id: str) -> str:
    """The id of a grant's node."""
    return f"{role}@{scope_id}"


def parse_grant(node_id: str) -> Grant:
    """What a grant's id says.

    Raises:
        InternalError: it is not the id of a grant.
    """
    # Role ids may hold `@` but no `/`; scope ids may hold both: the scope's kind tells them apart.
    head, slash, rest = node_id.partition("/")
    role, mark, kind = head.rpartition("@")
    if not (role and mark):
        raise InternalError(f"`{node_id}` is no grant")
    return Grant(role, parse_scope(kind + slash + rest))


def inner_scopes(path: Path) -> tuple[str, ...]:
    """Ids of the scopes that must be known for a path to be found: every proper beginning of it.

    Beginnings end at a segment or, inside of one, behind a ``:``. Whoever stores a grant on a path
    stores ``INNER`` rows for these; nothing else than being known is asked of them.

    >>> inner_scopes(("a", "b:c", "d"))
    ('path/a', 'path/a/b:', 'path/a/b:c')
    """
    found: list[str] = []
    for index, segment in enumerate(path):
        begin = "".join(before + "/" for before in path[:index])
        parts = segment.split(":")
        found += [_PATH + begin + ":".join(parts[:count]) + ":" for count in range(1, len(parts))]
        found.append(_PATH + begin + segment)
    return tuple(found[:-1])

"""Roles and policies as documents say, read when they are first needed and kept until one changes.

``(application, "role", id)`` is ``{"policyIds": [...], "tenantId": null or text, ...}``,
``(application, "policy", id)`` is ``{"permissions": ["documents:read", "reports:*"], ...}``. What
is not there gives nothing. ``reports:*`` stands for every declared action: only questions about
declared actions come here (``ApplicationState.permissions``), so it gives whatever is asked.

INVARIANT: a cache is true for every head from ``born`` on, until a role or policy changes. It is
shared only if no later change had been applied when it was made; a change then takes it away from
later views before they answer anything. A view whose snapshot is older than the cache makes its
own. So whoever fills a cache reads documents that are the same at all the heads it serves.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import orjson
from pyroaring import BitMap

from zeratul.domain.catalog import EVERY_ACTION
from zeratul.domain.scopes import GRANT_TYPE, GRANTS, HOLDER, SCOPE_TYPE, parse_grant
from zeratul.domain.vocabulary import SELF

if TYPE_CHECKING:
    from collections.abc import Sequence

    from zeratul.dispatch.state import ApplicationState
    from zeratul.domain.scopes import Grant
    from zeratul.store.interface import Snapshot

ROLE_KIND = "role"
POLICY_KIND = "policy"

# LIMIT: what a cache holds before it starts afresh: grants sorted by permission (2 to 4 bytes
# each), roles and policies (a few hundred bytes each).
SORTED_GRANTS_MAX = 4_000_000
DOCUMENTS_MAX = 20_000
# LIMIT: names of grants kept for an application, about 300 bytes each.
GRANTS_KEPT_MAX = 100_000


class Role(NamedTuple):
    """A role: the tenant it is confined to, and its policies."""

    tenant: str | None
    policies: tuple[str, ...]


class RoleCache:
    """What is known of an application's roles.

    Attributes:
        born: head of the snapshot that it was made for.
    """

    __slots__ = ("_policies", "_roles", "_sorted", "_sorted_count", "born")

    def __init__(self, born: int) -> None:
        self.born = born
        self._roles: dict[str, Role | None] = {}
        self._policies: dict[str, frozenset[str]] = {}
        # Permission -> (grants looked at, those of them that give it). Bitmaps are replaced, never
        # changed: other threads read them.
        self._sorted: dict[str, tuple[BitMap, BitMap]] = {}
        self._sorted_count = 0

    def role(self, role_id: str, application: int, snapshot: Snapshot) -> Role | None:
        """The role, or None if there is none."""
        try:
            return self._roles[role_id]
        except KeyError:
            pass
        body = snapshot.document(application, ROLE_KIND, role_id)
        role = None
        if body is not None:
            document = orjson.loads(body)
            role = Role(document["tenantId"], tuple(document["policyIds"]))
        if len(self._roles) >= DOCUMENTS_MAX:
            self._roles = {}
        self._roles[role_id] = role
        return role

    def permissions(self, policy_id: str, application: int, snapshot: Snapshot) -> frozenset[str]:
        """What a policy gives; nothing if there is none."""
        known = self._policies.get(policy_id)
        if known is not None:
            return known
        body = snapshot.document(application, POLICY_KIND, policy_id)
        found = frozenset(orjson.loads(body)["permissions"] if body is not None else ())
        if len(self._policies) >= DOCUMENTS_MAX:
            self._policies = {}
        self._policies[policy_id] = found
        return found

    def sorted_out(self, permission: str) -> tuple[BitMap, BitMap]:
        """Grants that were looked at for a permission, and those that give it."""
        return self._sorted.get(permission) or (BitMap(), BitMap())

    def sort_out(self, permission: str, seen: BitMap, carrying: BitMap) -> None:
        """Keep which of some grants give a permission."""
        if self._sorted_count > SORTED_GRANTS_MAX:
            self._sorted = {}
            self._sorted_count = 0
        before, carrying_before = self.sorted_out(permission)
        self._sorted_count += len(seen)
        self._sorted[permission] = (before | seen, carrying_before | carrying)


class Roles:
    """Answers, for one view, what evaluations ask about roles.

    Args:
        snapshot: read from.
        state: the application's rules; names of grants are kept there.
        cache: true at the snapshot's head.
    """

    __slots__ = ("_application", "_cache", "_grants_rows", "_scope_type", "_snapshot", "_state")

    def __init__(self, snapshot: Snapshot, state: ApplicationState, cache: RoleCache) -> None:
        self._snapshot = snapshot
        self._state = state
        self._cache = cache
        self._application = state.vocabulary.application
        slots = state.vocabulary.slots
        self._scope_type = slots[SCOPE_TYPE, SELF]
        self._grants_rows = (slots[SCOPE_TYPE, GRANTS], slots[GRANT_TYPE, HOLDER])

    def scopes(self, scope_ids: Sequence[str]) -> list[int | None]:
        """Nodes of scopes, None for those that no commit knows."""
        return self._snapshot.nodes([(self._scope_type, scope_id) for scope_id in scope_ids])

    def grants_on(self, scopes: Sequence[int]) -> list[BitMap]:
        """The grants on each scope."""
        return self._snapshot.subjects([(scope, *self._grants_rows) for scope in scopes])

    def grants(self, nodes: Sequence[int]) -> list[Grant]:
        """What each grant is; names never change, so they are kept."""
        known = self._state.grants
        try:
            return [known[node] for node in nodes]
        except KeyError:
            pass
        # Another thread may clear what is kept at any time.
        found = {node: grant for node in nodes if (grant := known.get(node)) is not None}
        unknown = sorted(set(nodes) - found.keys())
        read = {
            node: parse_grant(text)
            for node, text in zip(unknown, self._snapshot.ids(unknown), strict=True)
        }
        if len(known) + len(read) > GRANTS_KEPT_MAX:
            known.clear()
        if len(read) <= GRANTS_KEPT_MAX:
            known.update(read)
        found.update(read)
        return [found[node] for node in nodes]

    def carrying(self, permission: str, grants: BitMap) -> BitMap:
        """Those of the grants whose role gives the permission there."""
        seen, carrying = self._cache.sorted_out(permission)
        if not grants <= seen:
            unseen = grants - seen
            nodes = list(unseen)
            found = BitMap(
                node
                for node, grant in zip(nodes, self.grants(nodes), strict=True)
                if self.counts(grant) and self.gives(grant.role, permission)
            )
            self._cache.sort_out(permission, unseen, found)
            carrying = carrying | found
        return grants & carrying

    def role(self, role_id: str) -> Role | None:
        """The role, or None if there is none."""
        return self._cache.role(role_id, self._application, self._snapshot)

    def counts(self, grant: Grant) -> bool:
        """Whether the role means anything there: a tenant's own role does in its tenant only."""
        role = self.role(grant.role)
        return role is not None and role.tenant in (None, grant.scope.tenant)

    def gives(self, role_id: str, permission: str) -> bool:
        """Whether a policy of the role gives the permission."""
        role = self.role(role_id)
        if role is None:
            return False
        every = f"{permission.partition(':')[0]}:{EVERY_ACTION}"
        for policy_id in role.policies:
            given = self._cache.permissions(policy_id, self._application, self._snapshot)
            if permission in given or every in given:
                return True
        return False

    def given(self, role_id: str) -> frozenset[str]:
        """All that the policies of a role give, as they name it: ``reports:*`` stays whole."""
        role = self.role(role_id)
        policies = role.policies if role is not None else ()
        return frozenset[str]().union(
            *(
                self._cache.permissions(policy_id, self._application, self._snapshot)
                for policy_id in policies
            )
        )

    def moved_since(self, revision: int) -> bool:
        """Whether a role or policy changed after a revision, up to the snapshot's head.

        Raises:
            RevisionError: what changed since was collected.
        """
        snapshot = self._snapshot
        if revision >= self._cache.born:
            return False
        return any(
            application == self._application and kind in {ROLE_KIND, POLICY_KIND}
            for change in snapshot.changes(revision, snapshot.head)
            for application, kind, _ in change.documents
        )

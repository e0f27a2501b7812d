"""What rests on parts of the catalog: policies, through them roles, and live grants.

Policies are looked through one by one: they are few beside grants, and only a change that takes
something away, or a name, asks.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from msgspec.structs import replace

from zeratul.domain.catalog import EVERY_ACTION
from zeratul.service.ground.audit import batch_of, record
from zeratul.service.roles.stored_policies import (
    POLICY_KIND,
    attached_count,
    attached_roles,
    put_policy,
    unpack_policy,
)
from zeratul.service.rules.catalog_answers import Affected

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    from zeratul.domain.catalog import Catalog
    from zeratul.service.ground.caller import Caller
    from zeratul.service.rules.catalog_answers import References
    from zeratul.store.interface import Snapshot, WriteTransaction

# LIMIT: what a refusal lists of each kind; the rest is counted.
LISTED_MAX = 200
MORE = "…"


class Gone(NamedTuple):
    """What one catalog has and another has not: whole resources, and single permissions."""

    resources: frozenset[str]
    permissions: frozenset[str]

    @classmethod
    def between(cls, before: Catalog, after: Catalog) -> Gone:
        """What goes from one catalog to another."""
        resources = frozenset(before.resources.keys() - after.resources.keys())
        permissions = {
            f"{name}:{action}"
            for name, resource in before.resources.items()
            if name in after.resources
            for action in set(resource.actions) - set(after.resources[name].actions)
        }
        return cls(resources, frozenset(permissions))

    def __bool__(self) -> bool:
        """Whether anything goes."""
        return bool(self.resources or self.permissions)

    def holds(self, permission: str) -> bool:
        """Whether a policy's permission means nothing any more; ``resource:*`` goes last."""
        return permission in self.permissions or resource_of(permission) in self.resources


def resource_of(permission: str) -> str:
    """The resource of ``resource:action``."""
    return permission.partition(":")[0]


def affected_policies(
    snapshot: Snapshot, application: int, spoken_of: Callable[[str], bool]
) -> Iterator[Affected]:
    """Policies that carry a permission of some kind."""
    after = ""
    while documents := snapshot.documents(application, POLICY_KIND, after=after):
        after = documents[-1][0]
        for _, body in documents:
            policy = unpack_policy(body)
            found = tuple(each for each in policy.permissions if spoken_of(each))
            if found:
                yield Affected(policy, found)


def policy_references(
    snapshot: Snapshot, application: int, affected: Sequence[Affected]
) -> References:
    """Policies with the number of their permissions, roles with that of their policies."""
    if not affected:
        return {}
    policies = {each.policy.id: len(each.permissions) for each in affected}
    roles: dict[str, int] = {}
    unread = 0
    for each in affected:
        count = attached_count(snapshot, application, each.policy.id)
        room = LISTED_MAX - len(roles)
        found = (
            list(attached_roles(snapshot, application, each.policy.id, limit=room))
            if (room > 0)
            else []
        )
        for role_id in found:
            roles[role_id] = roles.get(role_id, 0) + 1
        unread += count - len(found)
    references = {"policies": _bounded(policies)}
    if unread:
        roles[MORE] = unread
    if roles:
        references["roles"] = roles
    return references


def _bounded(counts: Mapping[str, int]) -> dict[str, int]:
    """The first of many; behind them how many more."""
    shown = dict(list(counts.items())[:LISTED_MAX])
    if len(counts) > len(shown):
        shown[MORE] = len(counts) - len(shown)
    return shown


def rewrite_policies(
    tx: WriteTransaction,
    caller: Caller,
    affected: Sequence[Affected],
    rewrite: Callable[[str], str | None],
) -> None:
    """Give permissions of policies another text, or take them out; each leaves an audit event.

    Args:
        tx: the transaction that changes the catalog.
        caller: who does.
        affected: which policies.
        rewrite: the new text of a permission; None takes it out.
    """
    for each in affected:
        before = each.policy
        permissions = (rewrite(permission) for permission in before.permissions)
        after = replace(
            before,
            permissions=tuple(dict.fromkeys(text for text in permissions if text is not None)),
            updated_at_ms=tx.now_ms,
        )
        put_policy(tx, caller.application, after)
        record(
            tx,
            caller,
            "policy.updated",
            "policy",
            before.id,
            before=before.event(),
            after=after.event(),
            batch_id=batch_of(tx),
        )


def renamed_permission(old: str, new: str) -> Callable[[str], str]:
    """Rewrites ``resource:action``; with ``resource:*`` on both sides all of a resource's."""
    old_resource, _, old_action = old.partition(":")
    new_resource, _, new_action = new.partition(":")

    def rewrite(permission: str) -> str:
        resource, _, action = permission.partition(":")
        if resource != old_resource:
            return permission
        if old_action == EVERY_ACTION:
            return f"{new_resource}:{action}"
        return f"{new_resource}:{new_action}" if action == old_action else permission

    return rewrite

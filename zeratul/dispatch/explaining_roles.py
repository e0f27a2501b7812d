"""What an explanation says of roles: each one the subject holds anywhere, and what came of it.

The decision is exact: every grant the subject holds is looked at, over the same overlay as the
rest of the explanation. Only what is listed, and how the subject comes to hold it, is bounded.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from zeratul.dispatch.minimal import MINIMISED_ROWS_MAX, minimal
from zeratul.domain.membership import Membership
from zeratul.errors import LimitError
from zeratul.graph.answers import RoleTrace
from zeratul.graph.check import check
from zeratul.graph.requests import Budget
from zeratul.graph.roles import held_grants
from zeratul.graph.trace import trace

if TYPE_CHECKING:
    from collections.abc import Callable

    from zeratul.dispatch.naming import Naming
    from zeratul.dispatch.overlay import Overlay
    from zeratul.dispatch.roles import Roles
    from zeratul.domain.limits import Limits
    from zeratul.domain.paths import Path
    from zeratul.domain.scopes import Grant
    from zeratul.graph.answers import RoleReason
    from zeratul.graph.plan import Plan
    from zeratul.graph.requests import Evaluation, Subject
    from zeratul.graph.solver import Row

    Run = Callable[[Evaluation[object], Overlay], object]

# LIMIT: roles an explanation lists, those that matter most; it says how many there are.
ROLES_TRACED_MAX = 100

_ORDER: tuple[RoleReason, ...] = (
    "decides",
    "does_not_carry",
    "does_not_cover",
    "other_tenant",
    "not_of_this_tenant",
    "no_role",
)


class RolesExplained(NamedTuple):
    """The role part of an explanation.

    Attributes:
        decides: whether a role says yes.
        traces: what is listed, deciding roles first.
        total: how many roles the subject holds anywhere.
        reads: adjacency reads it took.
        cut: whether something was left out.
    """

    decides: bool
    traces: tuple[RoleTrace, ...]
    total: int
    reads: int
    cut: bool


class _Held(NamedTuple):
    """A grant that the subject holds, judged; sorts as it is listed."""

    rank: int
    grant: Grant
    node: int
    carries: bool


def explain_roles(
    plan: Plan,
    subject: Subject,
    place: tuple[Path, str | None],
    permission: str | None,
    *,
    naming: Naming,
    roles: Roles,
    source: Overlay,
    run: Run,
    limits: Limits,
    one_tenant: bool = False,
) -> RolesExplained:
    """Every role the subject holds, and whether one of them gives the permission.

    Args:
        plan: the compiled schema, with roles.
        subject: who.
        place: the resource's path, and the tenant asked about.
        permission: what is asked for; None for a relation that no role can give.
        naming: names of what is told.
        roles: what roles and policies say.
        source: read from.
        run: drives an evaluation over a source.
        limits: bounds of the evaluations.
        one_tenant: whether nothing may be told of other tenants than the one asked about.

    Raises:
        LimitError: finding the roles takes too many reads; nothing was decided.
    """
    budget = Budget(limits.explain_reads_max, "explain_reads_max")
    # `run` drives evaluations of any answer; mypy knows it as one of objects.
    nodes = list(run(held_grants(plan, subject, budget), source))  # type: ignore[call-overload]
    budget.spend(len(nodes))
    held: list[_Held] = []
    for node, grant in zip(nodes, roles.grants(nodes), strict=True):
        carries = permission is not None and roles.gives(grant.role, permission)
        reason = _reason(grant, place, roles, carries=carries)
        if not (one_tenant and _is_elsewhere(grant, reason, place[1])):
            held.append(_Held(_ORDER.index(reason), grant, node, carries))
    held.sort(key=lambda each: (each.rank, each.grant.role, each.grant.scope.id))
    cut = len(held) > ROLES_TRACED_MAX
    traces = []
    for each in held[:ROLES_TRACED_MAX]:
        rows, rows_cut = _how(plan, subject, each.node, source, run, limits)
        cut = cut or rows_cut
        traces.append(_told(plan, each, rows, naming))
    return RolesExplained(
        decides=bool(held) and held[0].rank == 0,
        traces=tuple(traces),
        total=len(held),
        reads=budget.reads,
        cut=cut,
    )


def _reason(
    grant: Grant, place: tuple[Path, str | None], roles: Roles, *, carries: bool
) -> RoleReason:
    if roles.role(grant.role) is None:
        return "no_role"
    if not roles.counts(grant):
        return "not_of_this_tenant"
    path, tenant = place
    if grant.scope.tenant not in (None, tenant):
        return "other_tenant"
    if not grant.scope.covers(path, tenant):
        return "does_not_cover"
    return "decides" if carries else "does_not_carry"


def _is_elsewhere(grant: Grant, reason: RoleReason, tenant: str | None) -> bool:
    """Whether a grant is in another tenant, or its role is another tenant's own."""
    return reason == "not_of_this_tenant" or grant.scope.tenant not in (None, tenant)


def _how(
    plan: Plan, subject: Subject, node: int, source: Overlay, run: Run, limits: Limits
) -> tuple[list[Row], bool]:
    """The rows by which the subject holds a grant, as few as there may be; whether it was cut."""
    slot = plan.holder_slot
    budget = Budget(limits.explain_reads_max, "explain_reads_max")
    try:
        traced = run(
            trace(plan, subject, node, slot, nodes_max=limits.explain_nodes_max, budget=budget),
            source,
        )
    except LimitError:
        return [], True  # that it is held stands; only how is not told
    # A trace, which `run` hands over as an object.
    proof: list[Row] = traced.proof  # type: ignore[attr-defined]
    if len(proof) > MINIMISED_ROWS_MAX:
        return proof, True

    def holds(over: Overlay) -> bool:
        again = Budget(limits.check_reads_max, "check_reads_max")
        return run(check(plan, subject, node, slot, again), over) is Membership.MEMBER

    return minimal(proof, holds), False


def _told(plan: Plan, held: _Held, rows: list[Row], naming: Naming) -> RoleTrace:
    slot = plan.holder_slot
    assigned = [row for row in rows if row[0] == held.node and row[1] == slot]
    memberships = [row for row in rows if row[1] != slot]
    holders = naming.subjects([(row[2], row[3]) for row in assigned])
    reason = _ORDER[held.rank]
    return RoleTrace(
        role_id=held.grant.role,
        scope=held.grant.scope.id,
        considered=reason in ("decides", "does_not_carry", "does_not_cover"),
        reason=reason,
        carries=held.carries,
        held=reason in ("decides", "does_not_carry"),
        holder=holders[0] if holders else None,
        relationships=tuple(naming.relationships(memberships)),
    )

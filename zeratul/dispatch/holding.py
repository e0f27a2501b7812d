"""What a subject's roles give on whole types, all permissions at once.

Asking about each permission of a large catalog would be thousands of questions; a subject's roles
are few. So the grants that count are found once, and the permissions of their roles read out.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from zeratul.graph.roles import held_grants
from zeratul.graph.scopes import grants_on

if TYPE_CHECKING:
    from collections.abc import Sequence

    from pyroaring import BitMap

    from zeratul.dispatch.roles import Roles
    from zeratul.graph.plan import Plan
    from zeratul.graph.requests import Budget, Evaluation, Subject
    from zeratul.graph.scopes import Place


def held_on(
    plan: Plan, subject: Subject, places: Sequence[Place], budget: Budget
) -> Evaluation[list[BitMap]]:
    """Grants that the subject holds and that cover each place, exact.

    Raises:
        LimitError: the read budget is used up.
    """
    held = yield from held_grants(plan, subject, budget)
    covering = yield from grants_on(places, budget)
    return [held & grants for grants in covering]


def permissions_given(roles: Roles, found: Sequence[BitMap]) -> list[frozenset[str]]:
    """What the roles of each set of grants give, as policies name it: ``reports:*`` stays whole.

    Most places are covered by the same grants; each different set is looked at once.
    """
    known: dict[bytes, frozenset[str]] = {}
    answers: list[frozenset[str]] = []
    for grants in found:
        key = grants.serialize()
        if key not in known:
            counted = {grant.role for grant in roles.grants(list(grants)) if roles.counts(grant)}
            known[key] = frozenset[str]().union(*map(roles.given, counted))
        answers.append(known[key])
    return answers

"""The role part of a question takes the smaller side: what it asks for, what it never reads."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from pyroaring import BitMap

from tests.builders import plan_of
from zeratul.domain.membership import Membership
from zeratul.domain.scopes import Grant, Scope, inner_scopes
from zeratul.domain.vocabulary import SELF
from zeratul.errors import InternalError, LimitError
from zeratul.graph import roles as graph_roles
from zeratul.graph.requests import (
    CARRYING,
    CLOSURE,
    GRANTS,
    GRANTS_ON,
    HAS,
    SCOPES,
    Budget,
    Closure,
    Subject,
)
from zeratul.graph.roles import RoleQuestion, check_role, check_roles

if TYPE_CHECKING:
    from zeratul.graph.plan import Plan

SUBTRACTING = {
    "user": {},
    "group": {"listed": "[user]", "banned": "[user]", "member": "listed but not banned"},
}


PLAN = plan_of({}, roles=True)


class Stored:
    """Answers what is asked, and keeps the kinds of it."""

    def __init__(self, held: int, carrying: int, *, closed: bool = True) -> None:
        # Grants 1..held are held, the first of them carry; all are on the path below.
        self.grants = BitMap(range(1, held + 1))
        self.carried = BitMap(range(1, carrying + 1))
        self.closed = closed
        self.scope = Scope(None, ("documents", "1"))
        known = [*inner_scopes(self.scope.path), self.scope.id]
        self.scopes = {scope: number for number, scope in enumerate(known, 1_000)}
        self.asked: list[int] = []

    def answer(self, plan: Plan, kind: int, keys: Any) -> Any:
        """One request's answers."""
        self.asked.append(kind)
        assert plan.holder is not None
        if kind == CLOSURE:
            if not self.closed and not keys[1]:
                return None
            sets = {plan.holder: self.grants} if self.grants else {}
            return Closure(sets, wide=False)
        if kind == CARRYING:
            return [grants & self.carried for _, grants in keys]
        if kind == GRANTS:
            return [Grant(f"role_{node}", self.scope) for node in keys]
        if kind == SCOPES:
            return [self.scopes.get(scope) for scope in keys]
        if kind == GRANTS_ON:
            end = self.scopes[self.scope.id]
            return [self.grants if node == end else BitMap() for node in keys]
        assert kind == HAS
        return [subject == 7 and node in self.grants for node, _, _, subject in keys]

    def run(self, plan: Plan, evaluation: Any) -> Any:
        """Drive to the end."""
        answers = None
        while True:
            try:
                kind, keys = evaluation.send(answers)
            except StopIteration as stop:
                return stop.value
            answers = self.answer(plan, kind, keys)


def asked(plan: Plan = PLAN, resource: str = "1") -> RoleQuestion:
    """Whether user 7 may read a document."""
    user = Subject(7, plan.vocabulary.slots["user", SELF])
    return RoleQuestion(user, ("documents", resource), "documents:read", None)


WALK = [SCOPES, SCOPES, GRANTS_ON]


@pytest.mark.parametrize(
    ("held", "carrying", "kinds"),
    [
        (0, 0, [CLOSURE]),
        (3, 0, [CLOSURE, CARRYING]),
        (3, 2, [CLOSURE, CARRYING, GRANTS]),
        (graph_roles.HELD_FEW, graph_roles.COMPARED_FEW, [CLOSURE, CARRYING, GRANTS]),
        (graph_roles.HELD_FEW, graph_roles.COMPARED_FEW + 1, [CLOSURE, CARRYING, *WALK]),
        (graph_roles.HELD_FEW + 1, 1, [CLOSURE, *WALK, CARRYING]),
        (graph_roles.HELD_FEW + 1, 0, [CLOSURE, *WALK, CARRYING]),
    ],
)
def test_what_is_asked_for(held: int, carrying: int, kinds: list[int]) -> None:
    """Few grants are compared, many are met at the scopes; a subject without any costs one."""
    expected = Membership.MEMBER if carrying else Membership.NOT_MEMBER
    one = Stored(held, carrying)
    assert one.run(PLAN, check_role(PLAN, asked(), Budget(10_000, "check_reads_max"))) is expected
    assert one.asked == kinds
    many = Stored(held, carrying)
    questions = [asked(), asked()]
    budget = Budget(10_000, "check_reads_max")
    assert many.run(PLAN, check_roles(PLAN, questions, budget)) == [expected, expected]
    assert many.asked == kinds


@pytest.mark.parametrize("held", [3, graph_roles.HELD_FEW + 1])
def test_another_path_is_no(held: int) -> None:
    """On both sides."""
    one = Stored(held, held)
    evaluation = check_role(PLAN, asked(resource="2"), Budget(10_000, "check_reads_max"))
    assert one.run(PLAN, evaluation) is Membership.NOT_MEMBER


def test_a_group_that_subtracts_is_asked_goal_by_goal() -> None:
    """No closure can tell who holds a grant: scopes first, then only what gives the permission."""
    plan = plan_of(SUBTRACTING, roles=True)
    assert plan.holder is not None
    assert plan.holder not in plan.closable
    one = Stored(5, 2)
    evaluation = check_role(plan, asked(plan), Budget(10_000, "check_reads_max"))
    assert one.run(plan, evaluation) is Membership.MEMBER
    assert one.asked == [*WALK, CARRYING, HAS, CLOSURE]
    questions = [asked(plan)]
    assert one.run(plan, check_roles(plan, questions, Budget(9, "check_reads_max"))) == [None]


@pytest.mark.parametrize(
    ("carrying", "kinds"),
    [
        (0, [CLOSURE, *WALK, CARRYING]),
        (graph_roles.GOALS_FEW, [CLOSURE, *WALK, CARRYING, HAS]),
        (graph_roles.GOALS_FEW + 1, [CLOSURE, *WALK, CARRYING, CLOSURE]),
    ],
)
def test_a_closure_that_may_wait(carrying: int, kinds: list[int]) -> None:
    """A subject in very many usersets: its closure is made only where many grants would do."""
    one = Stored(20, carrying, closed=False)
    evaluation = check_role(PLAN, asked(), Budget(10_000, "check_reads_max"))
    expected = Membership.MEMBER if carrying else Membership.NOT_MEMBER
    assert one.run(PLAN, evaluation) is expected
    assert one.asked == kinds


@pytest.mark.parametrize(("held", "reads"), [(100, 50), (graph_roles.HELD_FEW + 1, 900)])
def test_reads_are_counted(held: int, reads: int) -> None:
    """On both sides; past the budget nothing is decided."""
    with pytest.raises(LimitError) as raised:
        Stored(held, held).run(PLAN, check_role(PLAN, asked(), Budget(reads, "check_reads_max")))
    assert raised.value.limit == "check_reads_max"
    questions = [asked()]
    budget = Budget(reads, "check_reads_max")
    with pytest.raises(LimitError):
        Stored(held, held).run(PLAN, check_roles(PLAN, questions, budget))


def test_an_application_without_roles_is_not_asked() -> None:
    """Whoever asks all the same has made a mistake."""
    plan = plan_of({}, roles=False)
    assert plan.holder is None
    with pytest.raises(InternalError):
        Stored(0, 0).run(plan, check_role(plan, asked(plan), Budget(9, "check_reads_max")))

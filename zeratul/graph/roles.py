"""The role part of a question: does a role the subject holds give the permission here?

Theory of operation. A *grant* is a role on a scope (``domain.scopes``), a userset of its holders.
The subject's closure says which grants it holds; the scopes that cover the resource
(``graph.scopes``) say which grants count here; ``CARRYING`` says which grants' roles give the
permission. A role decides if one grant is in all three. Whatever is smallest goes first:

- of a subject with few grants those that give the permission are sorted out, and if they are few
  their scopes are compared with the path, one by one;
- otherwise the covering scopes are found, and their grants intersected with the subject's;
- where no closure can tell who holds a grant (a model's own ``group`` may subtract), or it is
  large and not there yet: grants of covering scopes that give the permission become ordinary
  goals.

Roles never meet the schema's rules: no rewrite sees them, no exclusion takes them away.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from pyroaring import BitMap

from zeratul.domain.membership import Membership
from zeratul.graph.answers import Decision
from zeratul.graph.check import check
from zeratul.graph.lookup_resources import Reach
from zeratul.graph.requests import CARRYING, CLOSURE, GRANTS
from zeratul.graph.scopes import carrying_grants, grants_on

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from zeratul.domain.paths import Path
    from zeratul.domain.scopes import Grant
    from zeratul.graph.plan import Plan
    from zeratul.graph.requests import Budget, Closure, Evaluation, Subject

# LIMIT: of a subject's grants, if they are at most this many, those that give the permission are
# sorted out before anything is asked about the resource.
HELD_FEW = 1_000
# LIMIT: grants that are compared with the path one by one, about half a microsecond each.
COMPARED_FEW = 32
# LIMIT: grants asked about one by one before the closure of a subject in very many usersets is
# made after all.
GOALS_FEW = 16

_NO_GRANTS = BitMap()
_MEMBER = Membership.MEMBER
_NOT_MEMBER = Membership.NOT_MEMBER


class RoleQuestion(NamedTuple):
    """Does a role give the subject a permission on what stands at a path?

    Attributes:
        subject: who.
        path: the resource's path.
        permission: ``resource:action``.
        tenant: the tenant whose roles count besides those of the application, or None.
    """

    subject: Subject
    path: Path
    permission: str
    tenant: str | None


def decide(
    plan: Plan, node: int | None, slot: int, asked: RoleQuestion, budget: Budget
) -> Evaluation[Decision]:
    """By relationships, or else by a role.

    Args:
        plan: the compiled schema, with roles.
        node: the resource; None for a type as a whole, which relationships say nothing about.
        slot: the relation or permission.
        asked: the question to roles.
        budget: of both parts together.

    Raises:
        LimitError: the read budget is used up.
    """
    related = _NOT_MEMBER
    if node is not None:
        related = yield from check(plan, asked.subject, node, slot, budget)
        if related is _MEMBER:
            return Decision(related, via_relationships=True, via_role=None)
    by_role = yield from check_role(plan, asked, budget)
    return Decision(
        membership=max(related, by_role),
        via_relationships=None if node is None else False,
        via_role=by_role is _MEMBER,
    )


def check_role(plan: Plan, asked: RoleQuestion, budget: Budget) -> Evaluation[Membership]:
    """Whether a role decides.

    Raises:
        LimitError: the read budget is used up.
    """
    holder = plan.holder_slot
    held: BitMap | None = None
    if _may_close(plan, holder):
        held = _held(plan, holder, (yield CLOSURE, (asked.subject, False)))
    if held is None:
        return (yield from _by_goals(plan, holder, asked, budget))
    if not held:
        return _NOT_MEMBER
    sorted_out = len(held) <= HELD_FEW
    if sorted_out:
        budget.spend(len(held))
        (held,) = yield CARRYING, [(asked.permission, held)]
        if not held:
            return _NOT_MEMBER
        if len(held) <= COMPARED_FEW:
            grants = yield GRANTS, list(held)
            return _said(_any_covers(grants, asked.path, asked.tenant))
    (here,) = yield from grants_on([(asked.path, asked.tenant)], budget)
    held = here & held
    if sorted_out or not held:
        return _said(bool(held))
    budget.spend(len(held))
    (carrying,) = yield CARRYING, [(asked.permission, held)]
    return _said(bool(carrying))


def check_roles(
    plan: Plan, questions: Sequence[RoleQuestion], budget: Budget
) -> Evaluation[list[Membership | None]]:
    """Whether a role decides each question, in order; None for those to be asked alone.

    Closures, permissions, names and walks are shared.

    Raises:
        LimitError: the read budget is used up; nothing was decided.
    """
    holder = plan.holder_slot
    if not _may_close(plan, holder):
        return [None] * len(questions)
    held: dict[Subject, BitMap | None] = {}
    for subject in dict.fromkeys(question.subject for question in questions):
        held[subject] = _held(plan, holder, (yield CLOSURE, (subject, False)))
    batch = _Batch(questions, held, budget)
    yield from batch.sort_out()
    yield from batch.compare()
    yield from batch.meet()
    return batch.answers


class _Batch:
    """Many questions about roles.

    Attributes:
        answers: in the order of the questions.
        carrying: (subject, permission) -> the subject's grants that give it, where it holds few.
    """

    def __init__(
        self,
        questions: Sequence[RoleQuestion],
        held: dict[Subject, BitMap | None],
        budget: Budget,
    ) -> None:
        self.questions = questions
        self.held = held
        self.budget = budget
        self.answers: list[Membership | None] = [
            None if held[question.subject] is None else _NOT_MEMBER for question in questions
        ]
        self.carrying: dict[tuple[Subject, str], BitMap] = {}

    def sort_out(self) -> Evaluation[None]:
        """Which grants of each subject give what is asked, where it holds few."""
        asked: dict[tuple[Subject, str], BitMap] = {}
        for subject, _, permission, _ in self.questions:
            held = self.held[subject]
            if held is not None and len(held) <= HELD_FEW:
                asked[subject, permission] = held
        self.budget.spend(sum(len(held) for held in asked.values()))
        keys = [(permission, held) for (_, permission), held in asked.items() if held]
        answers = iter((yield CARRYING, keys) if keys else ())
        for key, held in asked.items():
            self.carrying[key] = next(answers) if held else held

    def compare(self) -> Evaluation[None]:
        """Few grants with the path, one by one."""
        few = {key: found for key, found in self.carrying.items() if _are_few(found)}
        nodes = list(BitMap.union(BitMap(), *few.values()))
        if not nodes:
            return
        grants: dict[int, Grant] = dict(zip(nodes, (yield GRANTS, nodes), strict=True))
        named = {key: [grants[node] for node in found] for key, found in few.items()}
        for index, (subject, path, permission, tenant) in enumerate(self.questions):
            if _any_covers(named.get((subject, permission), ()), path, tenant):
                self.answers[index] = _MEMBER

    def meet(self) -> Evaluation[None]:
        """Many grants with those of the scopes that cover the path."""
        many: dict[int, BitMap] = {}
        for index, (subject, _, permission, _) in enumerate(self.questions):
            held = self.carrying.get((subject, permission), self.held[subject])
            if held is not None and len(held) > COMPARED_FEW:
                many[index] = held
        if not many:
            return
        places = [(self.questions[index].path, self.questions[index].tenant) for index in many]
        ordered = list(dict.fromkeys(places))
        found = yield from grants_on(ordered, self.budget)
        grants = dict(zip(ordered, found, strict=True))
        unsorted: dict[int, BitMap] = {}
        for (index, held), place in zip(many.items(), places, strict=True):
            here = grants[place] & held
            if not here:
                continue
            subject, _, permission, _ = self.questions[index]
            if (subject, permission) in self.carrying:
                self.answers[index] = _MEMBER
            else:
                unsorted[index] = here
        self.budget.spend(sum(len(here) for here in unsorted.values()))
        keys = [(self.questions[index].permission, here) for index, here in unsorted.items()]
        if keys:
            for index, carrying in zip(unsorted, (yield CARRYING, keys), strict=True):
                self.answers[index] = _said(bool(carrying))


def _are_few(grants: BitMap) -> bool:
    return 0 < len(grants) <= COMPARED_FEW


def held_grants(plan: Plan, subject: Subject, budget: Budget) -> Evaluation[BitMap]:
    """Every grant the subject holds, exact whatever the rules of its groups are.

    Raises:
        LimitError: the read budget is used up.
    """
    holder = plan.holder_slot
    sets = yield from Reach(plan, subject, budget).solve((holder,))
    return sets[holder]


def _may_close(plan: Plan, holder: int) -> bool:
    """Whether a closure may tell who holds a grant."""
    return holder in plan.closable or holder in plan.containers


def _held(plan: Plan, holder: int, closure: Closure | None) -> BitMap | None:
    """The grants that a closure holds; None where there is no closure, or it can not tell."""
    if closure is None or not (closure.wide or holder in plan.closable):
        return None
    return closure.sets.get(holder, _NO_GRANTS)


def _said(yes: bool) -> Membership:  # noqa: FBT001 - a conversion
    return _MEMBER if yes else _NOT_MEMBER


def _any_covers(grants: Iterable[Grant], path: Path, tenant: str | None) -> bool:
    return any(grant.scope.covers(path, tenant) for grant in grants)


def _by_goals(
    plan: Plan, holder: int, asked: RoleQuestion, budget: Budget
) -> Evaluation[Membership]:
    """Ask about the grants that would decide whether the subject holds one of them."""
    grants = yield from carrying_grants((asked.permission, (asked.path, asked.tenant)), budget)
    if len(grants) > GOALS_FEW and holder in plan.closable:
        held = _held(plan, holder, (yield CLOSURE, (asked.subject, True)))
        return _said(held is not None and grants.intersect(held))
    found = _NOT_MEMBER
    for grant in grants:
        found = max(found, (yield from check(plan, asked.subject, grant, holder, budget)))
        if found is _MEMBER:
            break
    return found

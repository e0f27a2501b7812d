"""Many questions at once: what relationships say of them, and then what roles say.

Each different question is decided once, together with all others where that is possible and alone,
with a budget of its own, where it is not.
"""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING, Any

from zeratul.domain.membership import Membership
from zeratul.errors import LimitError, ZeratulError
from zeratul.graph.answers import Decision
from zeratul.graph.check import check
from zeratul.graph.check_many import check_many
from zeratul.graph.requests import Budget
from zeratul.graph.roles import check_role, check_roles

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

    from zeratul.domain.limits import Limits
    from zeratul.graph.plan import Plan
    from zeratul.graph.requests import Evaluation, Subject
    from zeratul.graph.roles import RoleQuestion

    Run = Callable[[Evaluation[Any]], Any]
    """Drives an evaluation to its outcome."""

Asked = tuple["Subject", int, int]
"""A question to relationships, in numbers: subject, resource node, slot."""

Said = Membership | ZeratulError

WITHOUT_ROLES = tuple(
    Decision(value, via_relationships=value is Membership.MEMBER, via_role=False)
    for value in Membership
)
"""By membership: decisions where roles cannot matter."""

NOT_ON_TYPE = Decision(Membership.NOT_MEMBER, via_relationships=None, via_role=False)
"""The decision on a type as a whole where roles cannot matter."""

BY_RELATIONSHIPS = Decision(Membership.MEMBER, via_relationships=True, via_role=None)
"""The decision where roles were not asked any more."""


def decision(related: Membership | None, by_role: Membership) -> Decision:
    """What both ways come to.

    Args:
        related: what relationships say; None on a type as a whole.
        by_role: what roles say; they are asked only where relationships do not say yes.
    """
    return Decision(
        membership=by_role if related is None else max(related, by_role),
        via_relationships=None if related is None else False,
        via_role=by_role is Membership.MEMBER,
    )


def relationships_say(
    plan: Plan, questions: Sequence[Asked], limits: Limits, run: Run
) -> list[Said]:
    """What relationships say to each question, in order; the same one is decided once."""
    answers: list[Said | None] = [None] * len(questions)
    places = [at for at, question in enumerate(questions) if question[2] in plan.union_only]
    with suppress(LimitError):  # else each with a budget of its own
        together = run(check_many(plan, [questions[at] for at in places], _budget(limits)))
        for at, answer in zip(places, together, strict=True):
            answers[at] = answer
    alone: dict[Asked, Said] = {}
    said: list[Said] = []
    for question, known in zip(questions, answers, strict=True):
        answer = alone.get(question) if known is None else known
        if answer is None:
            answer = alone[question] = _alone(run, check(plan, *question, _budget(limits)))
        said.append(answer)
    return said


def roles_say(
    plan: Plan, questions: Iterable[RoleQuestion], limits: Limits, run: Run
) -> dict[RoleQuestion, Said]:
    """What roles say to each different question."""
    ordered = list(dict.fromkeys(questions))
    answers: list[Membership | None] = [None] * len(ordered)
    with suppress(LimitError):  # else each with a budget of its own
        answers = run(check_roles(plan, ordered, _budget(limits)))
    return {
        question: (
            _alone(run, check_role(plan, question, _budget(limits))) if answer is None else answer
        )
        for question, answer in zip(ordered, answers, strict=True)
    }


def combined(
    plan: Plan,
    asked: Mapping[int, Asked],
    roles: Mapping[int, RoleQuestion],
    limits: Limits,
    run: Run,
) -> dict[int, Decision | ZeratulError]:
    """Decisions of numbered questions.

    Args:
        plan: the compiled schema.
        asked: what is asked of relationships; not of those about a type as a whole.
        roles: what is asked of roles; not of those that roles cannot matter for.
        limits: bounds of each evaluation.
        run: drives an evaluation.
    """
    said = relationships_say(plan, list(asked.values()), limits, run)
    found: dict[int, Decision | ZeratulError] = {}
    undecided: dict[int, Membership | None] = {}
    for index, answer in zip(asked, said, strict=True):
        if isinstance(answer, ZeratulError):
            found[index] = answer
        elif index not in roles:
            found[index] = WITHOUT_ROLES[answer]
        elif answer is Membership.MEMBER:
            found[index] = BY_RELATIONSHIPS
        else:
            undecided[index] = answer
    undecided.update((index, None) for index in roles if index not in asked)
    if not undecided:
        return found
    by_role = roles_say(plan, [roles[index] for index in undecided], limits, run)
    for index, related in undecided.items():
        by_role_said = by_role[roles[index]]
        if isinstance(by_role_said, ZeratulError):
            found[index] = by_role_said
        else:
            found[index] = decision(related, by_role_said)
    return found


def _budget(limits: Limits) -> Budget:
    return Budget(limits.check_reads_max, "check_reads_max")


def _alone(run: Run, evaluation: Evaluation[Membership]) -> Said:
    try:
        answer: Membership = run(evaluation)
    except ZeratulError as error:
        return error
    return answer

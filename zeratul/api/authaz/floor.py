"""The floor of a load test: everything a check goes through, but for deciding.

A figure means little on a shared machine; a ratio to this, in one run, means something (design
§8).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from zeratul.domain.membership import Membership
from zeratul.domain.zookie import Zookie
from zeratul.service.ground.answers import CheckAnswer
from zeratul.service.questions.access import Access
from zeratul.service.questions.access_answers import BulkCheckAnswer

if TYPE_CHECKING:
    from collections.abc import Sequence

    from zeratul.domain.relationship import Relationship
    from zeratul.errors import ZeratulError
    from zeratul.graph.answers import CheckQuestion
    from zeratul.service.ground.caller import Caller

_ZOOKIE = Zookie(1, 1, 1).encode()
_ANSWER = CheckAnswer(
    allowed=True,
    membership=Membership.MEMBER,
    via_role=False,
    via_direct_grant=True,
    zookie=_ZOOKIE,
)


class ConstantChecks(Access):
    """Says yes to whatever it is asked. Never part of a server that decides anything."""

    def __init__(self) -> None:
        # Stands on nothing: the checks below are all it is ever asked.
        pass

    def check(
        self,
        caller: Caller,
        question: CheckQuestion,
        *,
        contextual: Sequence[Relationship] = (),
        at_least: str | None = None,
    ) -> CheckAnswer:
        """The constant."""
        del caller, question, contextual, at_least
        return _ANSWER

    def check_many(
        self,
        caller: Caller,
        questions: Sequence[CheckQuestion | ZeratulError],
        *,
        contextual: Sequence[Relationship] = (),
        at_least: str | None = None,
    ) -> BulkCheckAnswer:
        """The constant for each question."""
        del caller, contextual, at_least
        return BulkCheckAnswer([_ANSWER] * len(questions), _ZOOKIE)

"""Answers given at the newest revision, kept until anything is committed.

The same questions come again and again: a page asks for its menu, a list for its rows. While
    nothing
was committed the answer cannot have changed, so it is kept for exactly that long: one commit, of
whatever, and all are gone. Nothing has to be invalidated, and no answer is ever stale.

Time can change an answer without a commit, when a row expires. So nothing is kept that read a row
with an expiry; rows that had expired stay expired for every later time, and only later times use
it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from zeratul.domain.membership import Membership
    from zeratul.graph.answers import CheckQuestion

# LIMIT: about half a kilobyte each; freeing them all at a commit takes about a millisecond.
ANSWERS_MAX = 10_000


class RecentAnswers:
    """Answers of one revision, over all applications.

    Attributes:
        revision: the one they are true at.
        now_ms: the latest time any of them was given at; they hold from then on.
    """

    __slots__ = ("_answers", "now_ms", "revision")

    def __init__(self, revision: int) -> None:
        self.revision = revision
        self.now_ms = 0
        self._answers: dict[tuple[int, CheckQuestion], Membership] = {}

    def get(self, application: int, question: CheckQuestion, now_ms: int) -> Membership | None:
        """The answer, if it was given and holds at this time."""
        if now_ms < self.now_ms:
            return None
        return self._answers.get((application, question))

    def put(
        self, application: int, question: CheckQuestion, now_ms: int, answer: Membership
    ) -> None:
        """Keep an answer that rests on no row with an expiry."""
        if len(self._answers) >= ANSWERS_MAX:
            self._answers.clear()
        self.now_ms = max(self.now_ms, now_ms)
        self._answers[application, question] = answer

"""Answers given at the newest revision, kept until anything is committed.

The same questions come again and again: a page asks for its menu, a list for its rows. While
nothing was committed the answer cannot have changed, so it is kept for exactly that long: one
commit, of whatever (of roles and policies too), and all are gone. Nothing has to be invalidated,
and no answer is ever stale.

Time can change an answer without a commit, when a row expires. So nothing is kept that read a row
with an expiry; rows that had expired stay expired for every later time, and only later times use
it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from zeratul.graph.answers import CheckQuestion, Decision

# LIMIT: answers of a generation, about a quarter of a kilobyte each; there are two of them. Small
# enough that letting one go takes well under a millisecond.
GENERATION_MAX = 8_192

# Application, subject (type, id, relation), resource (type, id), relation, tenant: flat, because
# each tuple inside would be one more object to keep and to free.
_Key = tuple[int, str, str, str, str, str, str, str | None]


class RecentAnswers:
    """Answers of one revision, over all applications.

    What is asked again moves to the young generation; when that is full, the old one goes.

    Attributes:
        revision: the one they are true at.
        now_ms: the latest time any of them was given at; they hold from then on.
    """

    __slots__ = ("_old", "_young", "now_ms", "revision")

    def __init__(self, revision: int) -> None:
        self.revision = revision
        self.now_ms = 0
        self._young: dict[_Key, Decision] = {}
        self._old: dict[_Key, Decision] = {}

    def get(self, application: int, question: CheckQuestion, now_ms: int) -> Decision | None:
        """The answer, if it was given and holds at this time."""
        if now_ms < self.now_ms:
            return None
        subject, resource, relation, tenant = question
        key = (application, *subject, *resource, relation, tenant)
        found = self._young.get(key)
        if found is None:
            found = self._old.get(key)
            if found is not None:
                self._keep(key, found)
        return found

    def put(
        self, application: int, question: CheckQuestion, now_ms: int, answer: Decision
    ) -> None:
        """Keep an answer that rests on no row with an expiry."""
        subject, resource, relation, tenant = question
        self.now_ms = max(self.now_ms, now_ms)
        self._keep((application, *subject, *resource, relation, tenant), answer)

    def _keep(self, key: _Key, answer: Decision) -> None:
        if len(self._young) >= GENERATION_MAX:
            self._old = self._young
            self._young = {}
        self._young[key] = answer

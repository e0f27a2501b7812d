"""Answers given at the newest revision, used again until anything is committed.

The same questions come again and again: a page asks for its menu, a list for its rows. While
nothing was committed the answer cannot have changed. So each answer carries the revision it was
given at and is used at that revision only: one commit, of whatever (of roles and policies too),
and none of them is used any more. Nothing has to be invalidated, and no answer is ever stale. An
answer that is not used stays until it is given anew or is the one used least recently: neither a
commit nor a full memory frees many at once.

Time can change an answer without a commit, when a row expires. So nothing is kept that read a row
with an expiry; rows that had expired stay expired for every later time, and only later times use
it.
"""

from __future__ import annotations

from collections import OrderedDict
from itertools import product
from sys import intern
from typing import TYPE_CHECKING

from zeratul.domain.membership import Membership
from zeratul.graph.answers import Decision

if TYPE_CHECKING:
    from collections.abc import Sequence

    from zeratul.graph.answers import CheckQuestion

# LIMIT: answers of a process, some 450 bytes each with ids of ten characters: 30 MB.
ANSWERS_MAX = 65_536
# LIMIT: both ids of a question together; longer ones are rare and would need more room than that.
IDS_LENGTH_MAX = 128

# Application, subject id, resource id, relation, resource type, subject type, subject relation,
# tenant. Flat, as the answers are: what holds only texts and numbers is no work for the collector.
_Key = tuple[int, str, str, str, str, str, str, str | None]

# Revision, time it holds from, number of the decision.
_Kept = tuple[int, int, int]

_DECISIONS = [
    Decision(*ways) for ways in product(Membership, (False, True, None), (False, True, None))
]
_NUMBERS = {decision: number for number, decision in enumerate(_DECISIONS)}


class RecentAnswers:
    """Answers with the revision each holds at, over all applications.

    Threads may share it: each step is one call into the dictionary, whose keys are plain values
    that run no code of their own. Every thread adds one before it takes one away.
    """

    __slots__ = ("_kept",)

    def __init__(self) -> None:
        self._kept: OrderedDict[_Key, _Kept] = OrderedDict()

    def __len__(self) -> int:
        return len(self._kept)

    def get(
        self, application: int, question: CheckQuestion, revision: int, now_ms: int
    ) -> Decision | None:
        """The answer, if it was given at this revision and holds at this time."""
        (kind, subject_id, userset), (resource, resource_id), relation, tenant = question
        key = (application, subject_id, resource_id, relation, resource, kind, userset, tenant)
        found = self._kept.get(key)
        return None if found is None else self._used(key, found, revision, now_ms)

    def get_many(
        self, application: int, questions: Sequence[CheckQuestion], revision: int, now_ms: int
    ) -> list[Decision | None]:
        """``get`` of each."""
        keys = [
            (application, subject_id, resource_id, relation, resource, kind, userset, tenant)
            for (kind, subject_id, userset), (resource, resource_id), relation, tenant in questions
        ]
        return [
            None if found is None else self._used(key, found, revision, now_ms)
            for key, found in zip(keys, map(self._kept.get, keys), strict=True)
        ]

    def _used(self, key: _Key, found: _Kept, revision: int, now_ms: int) -> Decision | None:
        given_at, since_ms, number = found
        try:
            self._kept.move_to_end(key)
        except KeyError:
            return None  # another thread made room meanwhile
        if given_at != revision or now_ms < since_ms:
            return None
        return _DECISIONS[number]

    def put(
        self,
        application: int,
        question: CheckQuestion,
        revision: int,
        now_ms: int,
        answer: Decision,
    ) -> None:
        """Keep an answer of the newest revision that rests on no row with an expiry.

        It was looked for before, so it is the one used last, also in an older one's place.
        """
        (kind, subject_id, userset), (resource, resource_id), relation, tenant = question
        if len(subject_id) + len(resource_id) > IDS_LENGTH_MAX:
            return
        # Names are few: what is kept shares one text of each, whichever request it came with.
        key = (
            application,
            subject_id,
            resource_id,
            intern(relation),
            intern(resource),
            intern(kind),
            intern(userset),
            tenant,
        )
        kept = self._kept
        kept[key] = (revision, now_ms, _NUMBERS[answer])
        if len(kept) > ANSWERS_MAX:
            kept.popitem(last=False)

"""Answers given at the newest revision, used again until a commit touches what they rest on.

The same questions come again and again: a page asks for its menu, a list for its rows. Each answer
carries the revision it was given at and, if that is known, what it rests on (``dispatch.basis``).
At its own revision it is used as it is. At a later one it is used if nothing it rests on was
touched since, and then is an answer of that revision; without a basis, of bulk calls for example,
one commit of whatever ends it. Nothing has to be invalidated: an answer is judged when it is asked
for. One that is not used stays until it is given anew or is the one used least recently: neither
a commit nor a full memory frees many at once.

Time can change an answer without a commit, when a row expires. So nothing is kept that read a row
with an expiry; rows that had expired stay expired for every later time, and only later times use
it.
"""

from __future__ import annotations

from collections import OrderedDict
from itertools import product
from sys import intern
from typing import TYPE_CHECKING

from zeratul.dispatch.basis import NOBODY
from zeratul.domain.membership import Membership
from zeratul.graph.answers import Decision

if TYPE_CHECKING:
    from collections.abc import Sequence

    from zeratul.dispatch.basis import Basis
    from zeratul.dispatch.memos import Memos, MemoTable
    from zeratul.graph.answers import CheckQuestion

# LIMIT: answers of a process, some 700 bytes each with ids of ten characters: 45 MB; 110 MB where
# each rests on as many resources as it may.
ANSWERS_MAX = 65_536
# LIMIT: both ids of a question together; longer ones are rare and would need more room than that.
IDS_LENGTH_MAX = 128

# Application, subject id, resource id, relation, resource type, subject type, subject relation,
# tenant. Flat, as the answers are: what holds only texts and numbers is no work for the collector.
_Key = tuple[int, str, str, str, str, str, str, str | None]

# Revision, time it holds from, number of the decision, what it rests on.
_Kept = tuple[int, int, int, "Basis | None"]

_DECISIONS = [
    Decision(*ways) for ways in product(Membership, (False, True, None), (False, True, None))
]
_NUMBERS = {decision: number for number, decision in enumerate(_DECISIONS)}


class RecentAnswers:
    """Answers with the revision each holds at, over all applications.

    Threads may share it: each step is one call into the dictionary, whose keys are plain values
    that run no code of their own. Every thread adds one before it takes one away.
    """

    __slots__ = ("_kept", "_memos")

    def __init__(self, memos: Memos) -> None:
        """Nothing yet; ``memos`` tells what commits touched."""
        self._memos = memos
        self._kept: OrderedDict[_Key, _Kept] = OrderedDict()

    def __len__(self) -> int:
        return len(self._kept)

    def get(
        self,
        application: int,
        question: CheckQuestion,
        revision: int,
        now_ms: int,
        table: MemoTable,
    ) -> Decision | None:
        """The answer, if there is one that holds at this revision and time.

        Args:
            application: its number.
            question: what is asked.
            revision: one that was followed by the memos.
            now_ms: the time.
            table: the application's memos at that revision.
        """
        (kind, subject_id, userset), (resource, resource_id), relation, tenant = question
        key = (application, subject_id, resource_id, relation, resource, kind, userset, tenant)
        found = self._kept.get(key)
        return None if found is None else self._used(key, found, revision, now_ms, table)

    def get_many(
        self,
        application: int,
        questions: Sequence[CheckQuestion],
        revision: int,
        now_ms: int,
        table: MemoTable,
    ) -> list[Decision | None]:
        """``get`` of each."""
        keys = [
            (application, subject_id, resource_id, relation, resource, kind, userset, tenant)
            for (kind, subject_id, userset), (resource, resource_id), relation, tenant in questions
        ]
        return [
            None if found is None else self._used(key, found, revision, now_ms, table)
            for key, found in zip(keys, map(self._kept.get, keys), strict=True)
        ]

    def _used(
        self, key: _Key, found: _Kept, revision: int, now_ms: int, table: MemoTable
    ) -> Decision | None:
        given_at, since_ms, number, basis = found
        try:
            self._kept.move_to_end(key)
        except KeyError:
            return None  # another thread made room meanwhile
        if now_ms < since_ms:
            return None
        if given_at != revision:
            if basis is None or given_at > revision:
                return None
            if not self._stands(key[0], basis, given_at, revision, now_ms, table):
                return None
            self._kept[key] = (revision, since_ms, number, basis)
        return _DECISIONS[number]

    def _stands(
        self,
        application: int,
        basis: Basis,
        given_at: int,
        revision: int,
        now_ms: int,
        table: MemoTable,
    ) -> bool:
        """Whether nothing that an answer rests on changed from one revision to another."""
        memos = self._memos
        if memos.touched.since(application, basis, given_at):
            return False
        node, slot, wide = subject = basis[:3]
        if subject == NOBODY:
            return True
        memo = memos.get(table, (node, slot), revision, now_ms)
        # A memo that was there then and is true now was true all the while. One that ends at some
        # time is not what the answer was made with. Nor is a narrow one where a wide one was not
        # kept, or was made anew: it goes on when folders that it does not hold change.
        return (
            memo is not None
            and memo.first <= given_at
            and memo.expires_ms is None
            and (memo.closure.wide or not wide)
        )

    def put(
        self,
        application: int,
        question: CheckQuestion,
        revision: int,
        now_ms: int,
        answer: Decision,
        basis: Basis | None = None,
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
        kept[key] = (revision, now_ms, _NUMBERS[answer], basis)
        while len(kept) > ANSWERS_MAX:
            kept.popitem(last=False)

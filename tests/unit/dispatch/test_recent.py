"""Answers of the newest revision: used until what they rest on is touched, and no longer."""

from __future__ import annotations

import sys
from concurrent.futures import ThreadPoolExecutor
from itertools import product
from typing import TYPE_CHECKING

import pytest

import zeratul
from tests.builders import model, plan_of, question
from tests.unit.dispatch.conftest import EITHER
from zeratul.dispatch import recent
from zeratul.dispatch.memos import Memos, MemoTable
from zeratul.dispatch.recent import RecentAnswers
from zeratul.domain.membership import Membership
from zeratul.errors import StoreError, UnauthenticatedError
from zeratul.graph.answers import Decision

if TYPE_CHECKING:
    from pathlib import Path

    from zeratul.door import Door


VIEWERS_ONLY = model({"document": {"editor": "[user]", "viewer": "[user]"}})
ASKED = question("document:a#viewer@user:u")
NO = Decision(Membership.NOT_MEMBER, via_relationships=False, via_role=False)
YES = Decision(Membership.MEMBER, via_relationships=True, via_role=None)
# What answers need that are used at their own revision only.
MEMOS = Memos(0, lambda _: None)
TABLE = MemoTable(plan_of({"document": {"viewer": "[user]"}}, roles=False))


def test_a_past_revision_is_not_answered_by_what_an_older_model_said(tmp_path: Path) -> None:
    """The past is read under today's model, also right after the model changed."""
    with zeratul.open(tmp_path) as door:
        door.put_model(EITHER)
        door.write("document:a#editor@user:u")
        engine, application = door.services.engine, door.caller.application
        with engine.view(application) as view:
            revision = view.revision
            assert view.check(ASKED) is Membership.MEMBER
        door.put_model(VIEWERS_ONLY)
        with engine.view(application, revision=revision) as pinned:
            assert pinned.check(ASKED) is Membership.NOT_MEMBER


def test_earlier_times_are_not_answered() -> None:
    """A row that has expired was there before: answers hold from their time on."""
    answers = RecentAnswers(MEMOS)
    answers.put(1, ASKED, 7, 100, NO)
    assert answers.get(1, ASKED, 7, 100, TABLE) == NO
    assert answers.get(1, ASKED, 7, 101, TABLE) == NO
    assert answers.get(1, ASKED, 7, 99, TABLE) is None
    assert answers.get(2, ASKED, 7, 100, TABLE) is None


def test_each_answer_has_its_own_time() -> None:
    """A clock that is behind is told what was answered before its time, and nothing later."""
    answers = RecentAnswers(MEMOS)
    later = question("document:b#viewer@user:u")
    answers.put(1, ASKED, 7, 100, NO)
    answers.put(1, later, 7, 200, NO)
    assert answers.get(1, ASKED, 7, 150, TABLE) == NO
    assert answers.get(1, later, 7, 150, TABLE) is None
    answers.put(1, later, 7, 150, YES)
    assert answers.get(1, later, 7, 150, TABLE) == YES
    assert answers.get(1, later, 7, 200, TABLE) == YES


def test_another_revision_is_not_answered() -> None:
    """Neither a later one nor an earlier one, which a slower thread may still be at."""
    answers = RecentAnswers(MEMOS)
    answers.put(1, ASKED, 7, 100, NO)
    assert answers.get(1, ASKED, 8, 100, TABLE) is None
    assert answers.get(1, ASKED, 6, 100, TABLE) is None
    assert answers.get(1, ASKED, 7, 100, TABLE) == NO
    answers.put(1, ASKED, 8, 100, YES)
    assert answers.get(1, ASKED, 8, 100, TABLE) == YES
    assert answers.get(1, ASKED, 7, 100, TABLE) is None
    assert len(answers) == 1


def test_a_commit_ends_what_was_answered(tmp_path: Path) -> None:
    """Whatever it was about, and whichever way it is asked."""
    with zeratul.open(tmp_path) as door:
        door.put_model(EITHER)
        door.write("document:b#editor@user:u")
        asked = ("user:u", "document:a", "viewer")
        for _ in range(2):
            assert not door.check(*asked)
            assert door.check_many([asked]) == [False]
        door.write("document:a#editor@user:u")
        for _ in range(2):
            assert door.check(*asked)
            assert door.check_many([asked]) == [True]
        door.delete("document:a#editor@user:u")
        assert door.check_many([asked]) == [False]
        assert not door.check(*asked)


def test_many_are_looked_for_as_one_is() -> None:
    """In their order; each by its revision and its time."""
    answers = RecentAnswers(MEMOS)
    asked = [question(f"document:{n}#viewer@user:u") for n in range(5)]
    answers.put(1, asked[0], 7, 100, YES)
    answers.put(1, asked[1], 6, 100, YES)
    answers.put(1, asked[2], 7, 200, YES)
    answers.put(2, asked[3], 7, 100, YES)
    answers.put(1, asked[4], 7, 100, NO)
    assert answers.get_many(1, asked, 7, 150, TABLE) == [YES, None, None, None, NO]
    assert [answers.get(1, each, 7, 150, TABLE) for each in asked] == [YES, None, None, None, NO]
    assert answers.get_many(1, [], 7, 150, TABLE) == []


def test_a_tenant_is_part_of_the_question() -> None:
    """What is asked in one tenant is not answered by what was asked in another, or in none."""
    answers = RecentAnswers(MEMOS)
    answers.put(1, ASKED._replace(tenant="t"), 7, 100, YES)
    assert answers.get(1, ASKED._replace(tenant="t"), 7, 100, TABLE) == YES
    assert answers.get(1, ASKED._replace(tenant="u"), 7, 100, TABLE) is None
    assert answers.get(1, ASKED, 7, 100, TABLE) is None


@pytest.mark.parametrize(
    "other",
    [
        "document:u#viewer@user:a",
        "document:a#editor@user:u",
        "folder:a#viewer@user:u",
        "document:a#viewer@group:u",
        "document:a#viewer@user:u#member",
        "document:b#viewer@user:u",
        "document:a#viewer@user:v",
    ],
)
def test_every_part_of_a_question_counts(other: str) -> None:
    """No two questions share an answer."""
    answers = RecentAnswers(MEMOS)
    answers.put(1, ASKED, 7, 100, YES)
    assert answers.get(1, question(other), 7, 100, TABLE) is None


def test_every_decision_comes_back() -> None:
    """As it was given, the ways included."""
    answers = RecentAnswers(MEMOS)
    ways = (True, False, None)
    for decision in (Decision(*each) for each in product(Membership, ways, ways)):
        answers.put(1, ASKED, 7, 100, decision)
        assert answers.get(1, ASKED, 7, 100, TABLE) == decision


def test_what_was_asked_least_recently_makes_room(monkeypatch: pytest.MonkeyPatch) -> None:
    """One for one: what is asked again stays, and memory is bounded."""
    monkeypatch.setattr(recent, "ANSWERS_MAX", 3)
    answers = RecentAnswers(MEMOS)
    asked = [question(f"document:{n}#viewer@user:u") for n in range(6)]
    for each in asked[:3]:
        answers.put(1, each, 7, 1, YES)
    assert answers.get(1, asked[0], 7, 1, TABLE) == YES
    for each in asked[3:5]:
        answers.put(1, each, 7, 1, YES)
        assert len(answers) == 3
    assert [answers.get(1, each, 7, 1, TABLE) for each in asked] == [
        YES,
        None,
        None,
        YES,
        YES,
        None,
    ]


def test_an_answer_given_anew_is_the_latest(monkeypatch: pytest.MonkeyPatch) -> None:
    """One of an earlier revision was looked for before it is replaced, and stays with that."""
    monkeypatch.setattr(recent, "ANSWERS_MAX", 2)
    answers = RecentAnswers(MEMOS)
    first, second, third = (question(f"document:{n}#viewer@user:u") for n in range(3))
    answers.put(1, first, 7, 1, YES)
    answers.put(1, second, 7, 1, YES)
    assert answers.get(1, first, 8, 1, TABLE) is None
    answers.put(1, first, 8, 1, NO)
    answers.put(1, third, 8, 1, YES)
    assert answers.get(1, first, 8, 1, TABLE) == NO
    assert answers.get(1, second, 7, 1, TABLE) is None


def test_questions_with_long_ids_are_not_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    """They would take more memory than the number of answers is bounded for."""
    monkeypatch.setattr(recent, "IDS_LENGTH_MAX", 10)
    answers = RecentAnswers(MEMOS)
    fits, too_long = (question(f"document:{'d' * size}#viewer@user:u") for size in (9, 10))
    for each in (fits, too_long):
        answers.put(1, each, 7, 1, YES)
    assert answers.get(1, fits, 7, 1, TABLE) == YES
    assert answers.get(1, too_long, 7, 1, TABLE) is None


def test_threads_share_them(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each gets the right answer or none, however often another makes room for its own."""
    monkeypatch.setattr(recent, "ANSWERS_MAX", 4)
    interval = sys.getswitchinterval()
    answers = RecentAnswers(MEMOS)
    asked = [question(f"document:{n}#viewer@user:u") for n in range(8)]

    def work(start: int) -> int:
        for turn in range(3_000):
            number = (start + turn * 3) % len(asked)
            expected = YES if number % 2 else NO
            if answers.get(1, asked[number], 7, 1, TABLE) not in (None, expected):
                return 1
            answers.put(1, asked[number], 7, 1, expected)
        return 0

    sys.setswitchinterval(1e-6)
    try:
        with ThreadPoolExecutor(4) as pool:
            assert sum(pool.map(work, range(4))) == 0
    finally:
        sys.setswitchinterval(interval)
    assert len(answers) <= 4


def asks(door: Door) -> Membership:
    with door.services.engine.view(door.caller.application) as view:
        return view.check(ASKED)


def recalled(door: Door, **more: int) -> Membership | None:
    found = door.services.engine.recall(door.caller.application, ASKED, **more)
    return None if found is None else found[1].membership


def test_an_answer_without_a_basis_is_recalled_until_anybody_commits(
    two: tuple[Door, Door],
) -> None:
    """Without a view, and without having heard of what the other one did."""
    first, second = two
    assert recalled(first) is None
    assert asks(first) is Membership.NOT_MEMBER
    assert recalled(first) is Membership.NOT_MEMBER
    assert recalled(second) is None, "each has its own memory"
    second.write("document:a#viewer@user:u")
    assert recalled(first) is None
    first.services.engine.follow()
    assert recalled(first) is None, "nobody knew the names"
    assert asks(first) is Membership.MEMBER
    assert recalled(first) is Membership.MEMBER
    first.delete("document:a#viewer@user:u")
    assert recalled(first) is None
    assert asks(first) is Membership.NOT_MEMBER


def test_what_is_recalled_has_the_revision_of_the_newest_commit(two: tuple[Door, Door]) -> None:
    first, second = two
    second.write("document:b#viewer@user:u")
    with first.services.engine.view(first.caller.application) as view:
        view.check(ASKED)
        found = first.services.engine.recall(first.caller.application, ASKED)
        assert found is not None
        assert found[0] == view.revision == view.snapshot.head


def test_an_earlier_time_recalls_nothing(two: tuple[Door, Door]) -> None:
    first, _ = two
    with first.services.engine.view(first.caller.application, now_ms=2_000) as view:
        assert view.check(ASKED) is Membership.NOT_MEMBER
    assert recalled(first, now_ms=1_999) is None
    assert recalled(first, now_ms=2_000) is Membership.NOT_MEMBER


def test_a_store_that_cannot_be_looked_at_recalls_nothing(
    two: tuple[Door, Door], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The view that is opened then says what is wrong."""
    first, _ = two
    asks(first)

    def busy() -> tuple[int, int]:
        raise StoreError("no reader slot", reason="busy")

    monkeypatch.setattr(first.services.store, "glance", busy)
    assert recalled(first) is None


def test_a_key_taken_away_elsewhere_gets_no_answer_from_memory(two: tuple[Door, Door]) -> None:
    first, second = two
    made = second.services.keys.create(second.caller, "short", permissions=["checks:create"])
    secret = made.result().secret
    caller = first.services.keys.authenticate(secret, deferred=True)
    for _ in range(2):
        assert not first.services.access.check(caller, ASKED).allowed
    assert recalled(first) is Membership.NOT_MEMBER
    second.services.keys.delete(second.caller, made.result().key.id).result()
    with pytest.raises(UnauthenticatedError):
        first.services.access.check(caller, ASKED)
    # Another key's question makes the answer one of the newest commit again.
    assert asks(first) is Membership.NOT_MEMBER
    assert recalled(first) is Membership.NOT_MEMBER
    with pytest.raises(UnauthenticatedError):
        first.services.access.check(caller, ASKED)

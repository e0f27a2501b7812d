"""The small pieces the services are made of."""

from __future__ import annotations

from concurrent.futures import Future

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.builders import question, rel
from zeratul.domain.membership import Membership
from zeratul.domain.relationship import ObjectRef
from zeratul.errors import ConflictError, MalformedError
from zeratul.graph.answers import Explanation, TraceNode
from zeratul.service.ground.cursors import Cursor, query_digest
from zeratul.service.ground.futures import ModelMovedError, all_of, followed, resolved, retrying
from zeratul.service.ground.times import format_time, parse_time
from zeratul.service.questions.access_answers import ExplainAnswer
from zeratul.service.questions.text import explanation_text

SECRET = bytes(range(32))


@given(st.integers(0, 2**48 - 1), st.integers(0, 2**48 - 1), st.binary(max_size=600))
def test_a_cursor_comes_back_as_it_was(revision, now_ms, position):
    query = query_digest("list", 1)
    cursor = Cursor(query, revision, now_ms, 3, position)
    assert cursor == Cursor.decode(cursor.encode(SECRET), SECRET, query)


@given(st.data())
def test_a_cursor_with_one_character_changed_is_refused(data):
    query = query_digest("list", 1)
    text = Cursor(query, 7, 9, 3, b"position").encode(SECRET)
    index = data.draw(st.integers(0, len(text) - 2))  # The last one has bits that say nothing.
    other = data.draw(st.characters(exclude_characters=text[index]))
    with pytest.raises(MalformedError):
        Cursor.decode(text[:index] + other + text[index + 1 :], SECRET, query)


def test_a_cursor_of_another_store_or_query_or_size_is_refused():
    query = query_digest("list", 1)
    text = Cursor(query, 7, 9, 3, b"").encode(SECRET)
    for secret, bound, changed in (
        (bytes(32), query, text),
        (SECRET, query_digest("list", 2), text),
        (SECRET, query, ""),
        (SECRET, query, text * 200),
    ):
        with pytest.raises(MalformedError) as caught:
            Cursor.decode(changed, secret, bound)
        assert "cursor" == caught.value.field


def test_parts_of_a_query_do_not_run_into_each_other():
    assert query_digest("a", "b,c") != query_digest("a,b", "c")
    assert query_digest("a", ("b",)) != query_digest("a", "b")
    assert query_digest(1) != query_digest("1")


@given(st.integers(0, 4_000_000_000_000))
def test_times_come_back_as_they_were(time_ms):
    assert time_ms == parse_time(format_time(time_ms))


@pytest.mark.parametrize(
    ("text", "time_ms"),
    [
        ("1970-01-01T00:00:00Z", 0),
        ("1970-01-01T01:00:00+01:00", 0),
        ("1970-01-01 00:00:00.123456z", 123),
        ("1970-01-01T00:00:00.5-00:30", 1_800_500),
    ],
)
def test_offsets_and_fractions_are_read(text, time_ms):
    assert time_ms == parse_time(text)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "soon",
        "2030-01-01",
        "2030-01-01T00:00:00",
        "2030-13-01T00:00:00Z",
        "2030-W01-1T00:00:00Z",
        "1900000000000",
        "2030-01-01T00:00:00+25:00",
        "٢٠٣٠-01-01T00:00:00Z",
    ],
)
def test_what_is_no_time_is_refused(text):
    with pytest.raises(MalformedError) as caught:
        parse_time(text, field="expiresAt")
    assert "expiresAt" == caught.value.field


def failed(error):
    future = Future()
    future.set_exception(error)
    return future


def test_a_moved_model_is_tried_again_then_given_up():
    outcomes = [failed(ModelMovedError()), resolved("done")]
    assert "done" == retrying(lambda: outcomes.pop(0)).result()
    attempts = []

    def attempt():
        attempts.append(1)
        return failed(ModelMovedError())

    with pytest.raises(ConflictError):
        retrying(attempt).result()
    assert 10 == len(attempts)


def test_what_an_attempt_refuses_is_raised_at_once_or_told_later():
    def refuse():
        raise KeyError("x")

    with pytest.raises(KeyError):
        retrying(refuse)
    with pytest.raises(ValueError, match="x"):
        retrying(lambda: failed(ValueError("x"))).result()

    moved = [ModelMovedError()]

    def refuse_later():
        return failed(moved.pop()) if moved else refuse()

    with pytest.raises(KeyError):
        retrying(refuse_later).result()


def test_a_future_of_the_services_cannot_be_cancelled():
    source = Future()
    outcome = retrying(lambda: source)
    assert not outcome.cancel()
    source.set_result(1)
    assert 1 == outcome.result()


def test_futures_are_joined_in_order():
    first, second = Future(), Future()
    joined = all_of([first, second])
    second.set_result(2)
    assert not joined.done()
    first.set_result(1)
    assert [1, 2] == joined.result()
    assert [] == all_of([]).result()
    with pytest.raises(ValueError, match="x"):
        all_of([resolved(1), failed(ValueError("x"))]).result()
    assert 6 == followed(resolved(2), lambda value: resolved(value * 3)).result()
    with pytest.raises(ZeroDivisionError):
        followed(resolved(0), lambda value: resolved(1 // value)).result()
    with pytest.raises(ValueError, match="x"):
        followed(resolved(0), lambda _: failed(ValueError("x"))).result()
    with pytest.raises(ValueError, match="x"):
        followed(failed(ValueError("x")), resolved).result()


def answered(text, explanation):
    return ExplainAnswer(
        question=question(text),
        allowed=explanation.membership is Membership.MEMBER,
        explanation=explanation,
        roles=(),
        reads=explanation.reads,
        direct_grants=(),
        closest=None,
        suggestions=(),
        cut=explanation.cut,
        revision=1,
        duration_ms=0,
        text="",
        zookie="",
    )


def test_an_explanation_as_deep_as_a_long_chain_is_text():
    fact = rel("group:a#member@group:b#member")
    node = TraceNode("relationship", Membership.MEMBER, relationship=fact)
    for _ in range(5_000):
        node = TraceNode("follow", Membership.MEMBER, relationship=fact, children=[node])
    explanation = Explanation(Membership.MEMBER, node, (fact,), (), 1, cut=True)
    text = explanation_text(answered("group:a#member@user:x", explanation))
    assert 5_001 + 4 == len(text.splitlines())
    assert "(cut:" in text
    assert "[4999] yes: through" in text
    assert max(map(len, text.splitlines())) < 300


@pytest.mark.parametrize(
    ("kind", "membership", "expected"),
    [
        ("relation", Membership.NOT_MEMBER, "no: document:a#viewer (3 usersets do not hold"),
        ("relationship", Membership.NOT_MEMBER, "no: document:a#viewer@user:b (not stored)"),
        ("relationship", Membership.MEMBER, "yes: document:a#viewer@user:b (stored)"),
        ("follow", Membership.MEMBER, "yes: through document:a#viewer@user:b (stored)"),
        ("itself", Membership.MEMBER, "yes: document:a#viewer is the subject itself"),
        ("seen", Membership.CONDITIONAL, "depends: document:a#viewer (shown elsewhere)"),
        ("cut", Membership.NOT_MEMBER, "document:a#viewer (not shown)"),
        ("exclusion", Membership.NOT_MEMBER, "no: the first, but not the second"),
    ],
)
def test_each_kind_of_step_has_its_words(kind, membership, expected):
    node = TraceNode(
        kind,
        membership,
        ObjectRef("document", "a"),
        "viewer",
        rel("document:a#viewer@user:b"),
        missed=3 if kind == "relation" else 0,
    )
    explanation = Explanation(membership, node, (), (), 1, cut=False)
    text = explanation_text(answered("document:a#viewer@user:b", explanation))
    assert f"└─ {expected}" in text

"""Check, bulk check, explain and expand through the services."""

from __future__ import annotations

import pytest

from tests.builders import question, rel, rels, resource
from zeratul.domain.membership import Membership
from zeratul.domain.relationship import ObjectRef, Relationship, SubjectRef
from zeratul.domain.zookie import Zookie
from zeratul.errors import (
    InternalError,
    LimitError,
    MalformedError,
    RevisionError,
    UnknownNameError,
    ValidationError,
)
from zeratul.graph.answers import CheckQuestion
from zeratul.service.ground.caller import Caller

STORED = rels(
    "folder:f#viewer@group:eng#member",
    "group:eng#member@user:ann",
    "document:a#parent@folder:f",
    "document:a#banned@user:bob",
    "document:b#viewer@user:*",
    "document:b#banned@user:bob",
)


@pytest.fixture
def filled(services, caller):
    services.relationships.bulk(caller, STORED).result()
    return caller


def test_a_check_answers_with_the_zookie_of_what_it_saw(services, filled):
    yes = services.access.check(filled, question("document:a#reader@user:ann"))
    no = services.access.check(filled, question("document:a#reader@user:zoe"))
    assert (True, Membership.MEMBER, False, True) == yes[:4]
    assert (False, Membership.NOT_MEMBER, False, False) == no[:4]
    with services.store.snapshot() as snapshot:
        assert snapshot.revision == Zookie.decode(yes.zookie).revision
    services.relationships.write(filled, rel("group:eng#member@user:zoe")).result()
    later = services.access.check(filled, question("document:a#reader@user:zoe"))
    assert later.allowed
    assert later.zookie != no.zookie


def test_contextual_relationships_count_for_one_question(services, filled):
    asked = question("document:a#viewer@user:new")
    added = rels("group:eng#member@user:new")
    assert services.access.check(filled, asked, contextual=added).allowed
    assert not services.access.check(filled, asked).allowed
    with pytest.raises(ValidationError) as caught:
        services.access.check(filled, asked, contextual=rels("group:eng#membr@user:new"))
    assert ["contextualRelationships[0].relation"] == list(caught.value.findings)
    with pytest.raises(LimitError):
        services.access.check(filled, asked, contextual=added * 101)


@pytest.mark.parametrize(
    ("subject", "asked", "relation", "error", "field"),
    [
        (
            SubjectRef("usr", "a"),
            ObjectRef("document", "a"),
            "viewer",
            UnknownNameError,
            "subject",
        ),
        (SubjectRef("user", "a"), ObjectRef("docs", "a"), "viewer", UnknownNameError, "resource"),
        (SubjectRef("user", "a"), ObjectRef("document", "a"), "vie", UnknownNameError, "relation"),
        (
            SubjectRef("group", "a", "x"),
            ObjectRef("document", "a"),
            "viewer",
            UnknownNameError,
            "subject",
        ),
        (SubjectRef("user", ""), ObjectRef("document", "a"), "viewer", MalformedError, "subject"),
        (
            SubjectRef("user", "a#b"),
            ObjectRef("document", "a"),
            "viewer",
            MalformedError,
            "subject",
        ),
        (
            SubjectRef("user", "a"),
            ObjectRef("document", "\x00"),
            "viewer",
            MalformedError,
            "resourceId",
        ),
        (
            SubjectRef("group", "*", "member"),
            ObjectRef("document", "a"),
            "viewer",
            MalformedError,
            "subject",
        ),
        (
            SubjectRef("⟨role⟩", "a"),
            ObjectRef("document", "a"),
            "viewer",
            MalformedError,
            "subject",
        ),
        (SubjectRef("user", "a"), ObjectRef("⟨root⟩", "a"), "viewer", MalformedError, "resource"),
    ],
)
def test_a_question_that_is_none_is_refused_alone_and_among_many(
    services, filled, subject, asked, relation, error, field
):
    bad = CheckQuestion(subject, asked, relation)
    with pytest.raises(error) as caught:
        services.access.check(filled, bad)
    assert field == caught.value.field
    good = question("document:a#reader@user:ann")
    results = services.access.check_many(filled, [good, bad, good]).results
    assert isinstance(results[1], error)
    assert results[0].allowed
    assert results[2].allowed
    with pytest.raises(error):
        services.access.explain(filled, bad)


def test_many_checks_answer_in_order_with_errors_in_place(services, filled):
    texts = [
        "document:a#reader@user:ann",
        "document:b#reader@user:bob",
        "document:b#reader@user:x",
    ]
    undecoded = MalformedError("unknown field", field="resource_id")
    asked = [question(texts[0]), undecoded, *map(question, texts[1:])]
    answer = services.access.check_many(filled, asked)
    assert undecoded is answer.results[1]
    assert "checks[1].resource_id" == undecoded.field
    assert [True, False, True] == [answer.results[index].allowed for index in (0, 2, 3)]
    alone = [services.access.check(filled, item) for item in asked if item is not undecoded]
    assert alone == [answer.results[index] for index in (0, 2, 3)]
    assert [] == services.access.check_many(filled, []).results
    with pytest.raises(LimitError) as caught:
        services.access.check_many(filled, [question(texts[0])] * 5_001)
    assert ("bulk_checks_max", "checks") == (caught.value.limit, caught.value.field)


def test_a_zookie_from_the_future_is_refused_everywhere(services, filled):
    asked = question("document:a#reader@user:ann")
    zookie = Zookie.decode(services.access.check(filled, asked).zookie)
    future = zookie._replace(revision=zookie.revision + 1).encode()
    for call in (
        lambda: services.access.check(filled, asked, at_least=future),
        lambda: services.access.check_many(filled, [asked], at_least=future),
        lambda: services.access.explain(filled, asked, at_least=future),
        lambda: services.access.expand(filled, asked.resource, "viewer", at_least=future),
        lambda: services.access.who_can(filled, asked.resource, "viewer", at_least=future),
        lambda: services.access.what_can(
            filled, asked.subject, "document", "viewer", at_least=future
        ),
        lambda: services.access.stream_who_can(filled, asked.resource, "viewer", at_least=future),
    ):
        with pytest.raises(RevisionError) as caught:
            call()
        assert "future" == caught.value.reason


def test_unknown_ids_are_no_error_and_leave_the_names_as_they_were(services, filled):
    before = services.store.statistics()["nodes"]
    for number in range(50):
        asked = question(f"document:x{number}#viewer@user:y{number}")
        services.access.check(filled, asked)
        services.access.check_many(filled, [asked])
        services.access.explain(
            filled, asked, writes=rels(f"document:x{number}#owner@user:z{number}")
        )
        services.access.who_can(filled, asked.resource, "viewer")
        services.access.what_can(filled, asked.subject, "document", "viewer")
        services.relationships.delete(
            filled, rel(f"document:x{number}#viewer@user:y{number}")
        ).result()
        services.relationships.bulk(
            filled, [rel(f"document:x{number}#viewer@user:y{number}")], dry_run=True
        ).result()
    assert before == services.store.statistics()["nodes"]


def test_an_explanation_says_why_in_data_and_in_text(services, filled):
    answer = services.access.explain(filled, question("document:a#reader@user:ann"))
    assert answer.allowed
    assert {STORED[0], STORED[1], STORED[2]} == set(answer.explanation.proof)
    assert answer.duration_ms > 0
    for fact in answer.explanation.proof:
        assert str(fact) in answer.text
    assert answer.text.startswith("allowed: user:ann as `reader` of document:a\n")


def test_a_denial_suggests_what_would_turn_it(services, filled):
    asked = question("document:a#reader@user:zoe")
    answer = services.access.explain(filled, asked)
    assert not answer.allowed
    assert answer.text.startswith("denied: ")
    suggestion = answer.explanation.suggestions[0]
    assert f"  {suggestion}\n" in answer.text
    assert services.access.explain(filled, asked, writes=[suggestion]).allowed


def test_hypothetical_deletes_are_taken_as_absent(services, filled):
    asked = question("document:b#reader@user:bob")
    assert not services.access.explain(filled, asked).allowed
    assert services.access.explain(
        filled, asked, deletes=rels("document:b#banned@user:bob")
    ).allowed
    never = Relationship("document", "b", "owner", "user", "*")
    assert not services.access.explain(filled, asked, deletes=[never]).allowed
    with pytest.raises(ValidationError) as caught:
        services.access.explain(filled, asked, deletes=[Relationship("x", "b", "o", "user", "*")])
    assert ["deletes[0].resource"] == list(caught.value.findings)


def test_an_expansion_has_the_stored_subjects_as_leaves(services, filled):
    answer = services.access.expand(filled, resource("document:b"), "reader")
    leaves, stack = [], [answer.root]
    while stack:
        node = stack.pop()
        leaves += map(str, node.subjects)
        stack += node.children
    assert {"user:*", "user:bob"} == set(leaves)
    with pytest.raises(UnknownNameError):
        services.access.expand(filled, resource("document:b"), "readr")


def test_numbers_of_a_views_own_are_never_written(services):
    # An application nobody gave its first numbers.
    number = services.store.write(lambda tx: tx.new_application()).result()
    stranger = Caller("stray", number, "local", is_root=True)
    assert not services.access.check(stranger, question("group:a#member@user:b")).allowed
    with pytest.raises(InternalError):
        services.relationships.write(stranger, rel("group:a#member@user:b"))


def test_no_relationship_answers_for_a_whole_type(services, filled):
    ann = SubjectRef("user", "ann")
    answer = services.access.check(filled, CheckQuestion(ann, ObjectRef("document", ""), "reader"))
    # Relationships were not looked at: of them nothing is claimed.
    assert (False, False, None) == (answer.allowed, answer.via_role, answer.via_direct_grant)
    with pytest.raises(UnknownNameError):
        services.access.check(filled, CheckQuestion(ann, ObjectRef("documnt", ""), "reader"))
    with pytest.raises(UnknownNameError):
        services.access.check(filled, CheckQuestion(ann, ObjectRef("document", ""), "readr"))

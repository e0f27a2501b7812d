"""Bulk calls: one transaction, every item diagnosed."""

from __future__ import annotations

import pytest

from tests.builders import question, rel, rels
from zeratul.domain.relationship import Relationship
from zeratul.errors import LimitError, MalformedError, PreconditionError, ValidationError
from zeratul.service.relationships.relationship_answers import Precondition
from zeratul.store.interface import Outcome

WRITES = rels(
    "document:a#viewer@user:ann",
    "document:a#viewer@user:ann",
    "document:a#owner@user:bob",
    "group:eng#member@user:ann",
)


def statuses(answer):
    return [(result.operation, result.index, result.status) for result in answer.results]


def counts(answer):
    return (answer.created, answer.existing, answer.replaced, answer.deleted, answer.failed)


def lines(services, caller):
    return b"".join(services.transfers.export(caller)).splitlines()


def test_duplicates_in_the_call_and_in_the_store_are_success(services, caller):
    answer = services.relationships.bulk(caller, WRITES).result()
    assert (3, 1, 0, 0, 0) == counts(answer)
    assert ["created", "existing", "created", "created"] == [r.status for r in answer.results]
    again = services.relationships.bulk(caller, WRITES).result()
    assert (0, 4, 0, 0, 0) == counts(again)
    assert answer.zookie == again.zookie


def test_deletes_come_before_writes(services, caller):
    services.relationships.bulk(caller, WRITES).result()
    answer = services.relationships.bulk(
        caller, WRITES[:1], rels("document:a#viewer@user:ann", "document:a#viewer@user:zoe")
    ).result()
    assert (1, 0, 0, 1, 0) == counts(answer)
    expected = [("write", 0, "created"), ("delete", 0, "deleted"), ("delete", 1, "absent")]
    assert expected == statuses(answer)


@pytest.mark.parametrize("first", [None, 1_000], ids=["lasting", "brief"])
def test_a_dry_run_foretells_what_the_real_one_does(services, caller, clock, first):
    expiry = None if first is None else clock.now_ms + first
    services.relationships.write(caller, WRITES[0]._replace(expires_at_ms=expiry)).result()
    writes = [*WRITES, WRITES[2]._replace(expires_at_ms=clock.now_ms + 5_000)]
    deletes = rels("document:b#viewer@user:x", "group:eng#member@user:ann")
    before = lines(services, caller)
    dry = services.relationships.bulk(caller, writes, deletes, dry_run=True).result()
    assert before == lines(services, caller)
    real = services.relationships.bulk(caller, writes, deletes).result()
    assert (True, False) == (dry.dry_run, real.dry_run)
    assert counts(dry) == counts(real)
    assert statuses(dry) == statuses(real)


def test_every_finding_is_told_under_its_item_and_nothing_is_written(services, caller):
    writes = [
        WRITES[0],
        Relationship("document", "a", "viewr", "user", "ann"),
        MalformedError("not an object"),
        MalformedError("unknown field", field="resource_id"),
        Relationship("document", "a#", "viewer", "user", "ann"),
    ]
    deletes = [Relationship("documnt", "a", "viewer", "user", "ann")]
    with pytest.raises(ValidationError) as caught:
        services.relationships.bulk(caller, writes, deletes)
    expected = [
        "writes[1].relation",
        "writes[2]",
        "writes[3].resource_id",
        "writes[4].resourceId",
        "deletes[0].resource",
    ]
    assert expected == list(caught.value.findings)
    assert [] == lines(services, caller)


def test_one_bad_item_among_thousands_is_found(services, caller):
    writes = [Relationship("document", f"d{n}", "viewer", "user", "ann") for n in range(5_000)]
    writes[3_999] = writes[3_999]._replace(subject_type="group", subject_id="eng")
    with pytest.raises(ValidationError) as caught:
        services.relationships.bulk(caller, writes)
    assert ["writes[3999].subject"] == list(caught.value.findings)
    answer = services.relationships.bulk(
        caller, writes, on_error="continue", results="errors"
    ).result()
    assert (4_999, 0, 0, 0, 1) == counts(answer)
    assert [3_999] == [result.index for result in answer.results]
    assert "writes[3999].subject" == answer.results[0].error.field


def test_on_error_continue_applies_the_valid_items(services, caller):
    writes = [MalformedError("x"), WRITES[0], Relationship("document", "a", "x", "user", "u")]
    deletes = [Relationship("x", "a", "x", "user", "u"), rel("document:z#viewer@user:u")]
    answer = services.relationships.bulk(caller, writes, deletes, on_error="continue").result()
    assert (1, 0, 0, 0, 3) == counts(answer)
    expected = [
        ("write", 0, "failed"),
        ("write", 1, "created"),
        ("write", 2, "failed"),
        ("delete", 0, "failed"),
        ("delete", 1, "absent"),
    ]
    assert expected == statuses(answer)
    assert services.access.check(caller, question(str(WRITES[0]))).allowed


def test_suggestions_are_bounded_errors_are_not(services, caller):
    writes = [Relationship("document", "a", f"viewer{n}", "user", "ann") for n in range(200)]
    with pytest.raises(ValidationError) as caught:
        services.relationships.bulk(caller, writes)
    messages = [messages[0] for messages in caught.value.findings.values()]
    assert 200 == len(messages)
    assert "did you mean" in messages[0]
    assert "did you mean" not in messages[-1]


@pytest.mark.parametrize("name", ["writes", "deletes"])
def test_over_the_cap_names_limit_and_count(services, caller, name):
    items = [WRITES[0]] * 5_001
    writes, deletes = (items, []) if name == "writes" else ([], items)
    with pytest.raises(LimitError) as caught:
        services.relationships.bulk(caller, writes, deletes)
    assert ("bulk_writes_max", 5_000, name) == (
        caught.value.limit,
        caught.value.value,
        caught.value.field,
    )
    assert "5,001" in caught.value.message


def test_preconditions_hold_at_the_commit_or_nothing_is_written(services, caller):
    services.relationships.write(caller, WRITES[0]).result()
    there, absent = Precondition(WRITES[0], True), Precondition(WRITES[2], False)
    answer = services.relationships.bulk(
        caller, WRITES[3:], preconditions=[there, absent]
    ).result()
    assert 1 == answer.created
    never = Precondition(Relationship("document", "a", "owner", "user", "*"), True)
    for failing, name in (
        (there._replace(must_exist=False), "mustNotExist"),
        (absent._replace(must_exist=True), "mustExist"),
        (never, "mustExist"),
    ):
        for dry_run in (False, True):
            with pytest.raises(PreconditionError) as caught:
                services.relationships.bulk(
                    caller, WRITES[2:3], preconditions=[there, failing], dry_run=dry_run
                ).result()
            assert f"preconditions[1].{name}" in caught.value.message
            assert str(failing.relationship) in caught.value.message
    assert 2 == len(lines(services, caller))


def test_a_precondition_that_names_nothing_is_refused_whatever_on_error_says(services, caller):
    unknown = Precondition(Relationship("document", "a", "viewr", "user", "ann"), False)
    with pytest.raises(ValidationError) as caught:
        services.relationships.bulk(
            caller,
            WRITES,
            on_error="continue",
            preconditions=[unknown, MalformedError("x", field="mustExist")],
        )
    assert ["preconditions[0].mustNotExist.relation", "preconditions[1].mustExist"] == list(
        caught.value.findings
    )


def test_statuses_cover_every_outcome():
    from zeratul.service.relationships.bulk import _STATUS

    assert set(Outcome) == set(_STATUS)

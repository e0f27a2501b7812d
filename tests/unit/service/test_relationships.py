"""Single writes and deletes, deletion by filter, and the two stored views."""

from __future__ import annotations

from dataclasses import replace

import pytest

from tests.builders import question, rel, rels, resource, subject
from tests.unit.service.conftest import MODEL, held_writer
from zeratul.domain.limits import Limits
from zeratul.domain.relationship import Relationship
from zeratul.domain.zookie import Zookie
from zeratul.errors import (
    ForbiddenError,
    InputError,
    MalformedError,
    RevisionError,
    SubjectNotAllowedError,
    UnauthenticatedError,
    UnknownNameError,
    ValidationError,
)
from zeratul.service.ground.answers import Page
from zeratul.service.relationships.relationship_answers import RelationshipFilter
from zeratul.service.services import Services
from zeratul.store.lmdb import open_store

ANN = rel("document:a#viewer@user:ann")


def stored(services, caller):
    return set(b"".join(services.transfers.export(caller)).decode().splitlines())


def test_a_written_relationship_is_seen_by_the_next_question(services, caller, clock):
    answer = services.relationships.write(caller, ANN).result()
    assert (ANN, True, clock.now_ms) == (answer.relationship, answer.created, answer.created_at_ms)
    checked = services.access.check(
        caller, question("document:a#viewer@user:ann"), at_least=answer.zookie
    )
    assert checked.allowed


def test_writing_it_again_says_when_it_was_made(services, caller, clock):
    first = services.relationships.write(caller, ANN).result()
    clock.now_ms += 5_000
    again = services.relationships.write(caller, ANN).result()
    assert (False, first.created_at_ms) == (again.created, again.created_at_ms)
    # Nothing changed: the answer is as of the revision that is there.
    assert first.zookie == again.zookie
    assert services.relationships.by_resource(
        caller, resource("document:a"), at_least=again.zookie
    )


def test_two_of_the_same_in_one_commit_are_made_once(services, caller, clock):
    with held_writer(services.store):
        futures = [services.relationships.write(caller, ANN) for _ in range(2)]
    answers = [future.result() for future in futures]
    assert [True, False] == [answer.created for answer in answers]
    assert [clock.now_ms] * 2 == [answer.created_at_ms for answer in answers]


def test_an_expiry_ends_it_and_another_expiry_replaces_it(services, caller, clock):
    brief = ANN._replace(expires_at_ms=clock.now_ms + 1_000)
    assert services.relationships.write(caller, brief).result().created
    assert (
        not services.relationships.write(caller, ANN._replace(expires_at_ms=clock.now_ms + 2_000))
        .result()
        .created
    )
    clock.now_ms += 1_500
    asked = question("document:a#viewer@user:ann")
    assert services.access.check(caller, asked).allowed
    clock.now_ms += 500
    assert not services.access.check(caller, asked).allowed
    assert [] == services.relationships.by_resource(caller, resource("document:a")).rows
    assert services.relationships.write(caller, ANN).result().created


@pytest.mark.parametrize(
    ("bad", "error", "field"),
    [
        (Relationship("documnt", "a", "viewer", "user", "ann"), UnknownNameError, "resource"),
        (Relationship("document", "a", "viewr", "user", "ann"), UnknownNameError, "relation"),
        (Relationship("document", "a", "viewer", "usr", "ann"), UnknownNameError, "subject"),
        (
            Relationship("document", "a", "viewer", "group", "g", "membr"),
            UnknownNameError,
            "subject",
        ),
        (Relationship("document", "a", "viewer", "group", "g"), SubjectNotAllowedError, "subject"),
        (Relationship("document", "a", "owner", "user", "*"), SubjectNotAllowedError, "subject"),
        (
            Relationship("document", "a", "reader", "user", "ann"),
            SubjectNotAllowedError,
            "relation",
        ),
        (Relationship("document", "*", "viewer", "user", "ann"), MalformedError, "resourceId"),
        (Relationship("document", "a#b", "viewer", "user", "ann"), MalformedError, "resourceId"),
        (Relationship("document", "", "viewer", "user", "ann"), MalformedError, "resourceId"),
        (Relationship("document", "a", "viewer", "user", "x" * 1_025), MalformedError, "subject"),
        (Relationship("document", "a", "viewer", "user", "a\x00"), MalformedError, "subject"),
        (Relationship("document", "a", "viewer", "user", "\ud800"), MalformedError, "subject"),
        (
            Relationship("document", "a", "viewer", "user", "ann", "", 1_000),
            InputError,
            "expiresAt",
        ),
        (Relationship("⟨role⟩", "a", "viewer", "user", "ann"), MalformedError, "resource"),
        (Relationship("document", "a", "viewer", "⟨tenant⟩", "ann"), MalformedError, "subject"),
    ],
)
def test_what_the_schema_or_the_rules_forbid_is_refused_at_once(
    services, caller, bad, error, field
):
    with pytest.raises(error) as caught:
        services.relationships.write(caller, bad)
    assert field == caught.value.field
    assert set() == stored(services, caller)


def test_several_things_wrong_are_told_together(services, caller):
    bad = Relationship("document", "a#", "viewr", "user", " ann")
    with pytest.raises(ValidationError) as caught:
        services.relationships.write(caller, bad)
    assert {"relation", "resourceId", "subject"} == set(caught.value.findings)
    assert "did you mean `viewer`?" in caught.value.findings["relation"][0]


def test_ids_are_compared_byte_for_byte(services, caller):
    for text in (
        "document:A#viewer@user:x",
        "document:a#viewer@user:x/",
        "document:a#viewer@user:x",
    ):
        assert services.relationships.write(caller, rel(text)).result().created
    assert 3 == len(stored(services, caller))


def test_a_deleted_relationship_is_gone_and_absent_is_no_error(services, caller):
    services.relationships.write(caller, ANN).result()
    assert 1 == services.relationships.delete(caller, ANN, dry_run=True).result().deleted
    assert 1 == services.relationships.delete(caller, ANN).result().deleted
    gone = services.relationships.delete(caller, ANN).result()
    assert (0, True) == (gone.deleted, gone.complete)
    assert 0 == services.relationships.delete(caller, ANN, dry_run=True).result().deleted
    never = Relationship("document", "a", "owner", "user", "*")
    assert 0 == services.relationships.delete(caller, never).result().deleted
    with pytest.raises(UnknownNameError):
        services.relationships.delete(caller, ANN._replace(relation="viewr"))


EVERYTHING = rels(
    "document:a#viewer@user:ann",
    "document:a#owner@user:ann",
    "document:a#viewer@user:bob",
    "document:a#viewer@group:eng#member",
    "document:b#viewer@user:ann",
    "folder:f#viewer@user:ann",
    "group:eng#member@user:ann",
    "group:eng#member@group:all#member",
)


@pytest.mark.parametrize(
    ("wanted", "expected"),
    [
        (RelationshipFilter(subject("user:ann")), {0, 1, 4, 5, 6}),
        (RelationshipFilter(subject("user:ann"), "document"), {0, 1, 4}),
        (RelationshipFilter(subject("user:ann"), None, None, "viewer"), {0, 4, 5}),
        (RelationshipFilter(subject("user:ann"), "document", "a"), {0, 1}),
        (RelationshipFilter(subject("user:ann"), "document", "a", "owner"), {1}),
        (RelationshipFilter(subject("group:eng#member")), {3}),
        (RelationshipFilter(subject("group:eng")), set()),
        (RelationshipFilter(subject("user:*")), set()),
        (RelationshipFilter(subject("user:nobody")), set()),
        (RelationshipFilter(None, "document", "a"), {0, 1, 2, 3}),
        (RelationshipFilter(None, "document", "a", "viewer"), {0, 2, 3}),
        (RelationshipFilter(None, "document", "zzz"), set()),
        (RelationshipFilter(None, "group", "eng"), {6, 7}),
    ],
)
def test_a_filter_reads_and_deletes_the_same(services, caller, wanted, expected):
    services.relationships.bulk(caller, EVERYTHING).result()
    page = services.relationships.read(caller, wanted, page=Page(1_000))
    assert {EVERYTHING[index] for index in expected} == {row.relationship for row in page.rows}
    assert page.next_cursor is None
    dry = services.relationships.delete_by_filter(caller, wanted, dry_run=True).result()
    assert (len(expected), True, True) == (dry.deleted, dry.complete, dry.dry_run)
    assert len(EVERYTHING) == len(stored(services, caller))
    real = services.relationships.delete_by_filter(caller, wanted).result()
    assert (len(expected), True) == (real.deleted, real.complete)
    assert len(EVERYTHING) - len(expected) == len(stored(services, caller))
    assert [] == services.relationships.read(caller, wanted).rows


@pytest.mark.parametrize(
    ("wanted", "error", "field"),
    [
        (RelationshipFilter(), MalformedError, "filter"),
        (RelationshipFilter(None, "document"), MalformedError, "filter"),
        (RelationshipFilter(subject("user:ann"), None, "a"), MalformedError, "resource"),
        (RelationshipFilter(None, "documnt", "a"), UnknownNameError, "resource"),
        (RelationshipFilter(None, "document", "a", "viewr"), UnknownNameError, "relation"),
        (
            RelationshipFilter(subject("user:ann"), None, None, "viewr"),
            UnknownNameError,
            "relation",
        ),
        (RelationshipFilter(subject("usr:ann")), UnknownNameError, "subject"),
        (RelationshipFilter(None, "document", "a#"), MalformedError, "resourceId"),
    ],
)
def test_a_filter_that_is_none_is_refused(services, caller, wanted, error, field):
    for call in (services.relationships.read, services.relationships.delete_by_filter):
        with pytest.raises(error) as caught:
            call(caller, wanted)
        assert field == caught.value.field


def test_deletion_by_filter_deletes_what_is_there_at_its_commit(services, caller):
    with held_writer(services.store):
        late = services.relationships.write(caller, ANN)
        deleted = services.relationships.delete_by_filter(
            caller, RelationshipFilter(subject("user:ann"))
        )
    assert late.result().created
    assert 1 == deleted.result().deleted
    assert set() == stored(services, caller)


def test_one_call_deletes_up_to_the_limit_and_says_what_is_left(tmp_path):
    limits = replace(Limits(), filter_deletes_max=10)
    services = Services.build(open_store(tmp_path / "data"), limits=limits)
    try:
        caller = services.local_caller()
        texts = [f"group:g{number}#member@user:ann" for number in range(20)]
        services.relationships.bulk(caller, rels(*texts)).result()
        wanted = RelationshipFilter(subject("user:ann"))
        dry = services.relationships.delete_by_filter(caller, wanted, dry_run=True).result()
        assert (10, False) == (dry.deleted, dry.complete)
        answers = [
            services.relationships.delete_by_filter(caller, wanted).result() for _ in range(3)
        ]
        assert [(10, False), (10, True), (0, True)] == [(a.deleted, a.complete) for a in answers]
    finally:
        services.close()


@pytest.mark.parametrize(
    "wanted",
    [
        RelationshipFilter(None, "group", "eng"),
        RelationshipFilter(subject("user:ann")),
        RelationshipFilter(subject("user:ann"), "document", "a"),
    ],
)
def test_pages_give_every_row_once_at_the_first_pages_revision(services, caller, clock, wanted):
    texts = [f"group:eng#member@user:u{number}" for number in range(7)]
    texts += [f"group:g{number}#member@user:ann" for number in range(7)]
    texts += [f"document:a#{relation}@user:ann" for relation in ("viewer", "owner", "banned")]
    services.relationships.bulk(caller, rels(*texts)).result()
    whole = services.relationships.read(caller, wanted, page=Page(1_000)).rows
    pages, cursor = [], None
    while True:
        page = services.relationships.read(caller, wanted, page=Page(2, cursor))
        pages.append(page)
        clock.now_ms += 1_000
        services.relationships.write(caller, rel(f"group:eng#member@user:x{len(pages)}")).result()
        services.relationships.delete(caller, whole[-1].relationship).result()
        cursor = page.next_cursor
        if cursor is None:
            break
    assert len(pages) > 1
    assert whole == [row for page in pages for row in page.rows]
    assert 1 == len({page.revision for page in pages})


def test_a_cursor_of_another_query_or_of_nobody_is_refused(services, caller):
    services.relationships.bulk(caller, EVERYTHING).result()
    wanted = RelationshipFilter(subject("user:ann"))
    cursor = services.relationships.read(caller, wanted, page=Page(1)).next_cursor
    other = wanted._replace(resource_type="document")
    for query, text in ((other, cursor), (wanted, "x"), (wanted, cursor[:-1]), (wanted, "é" * 9)):
        with pytest.raises(MalformedError) as caught:
            services.relationships.read(caller, query, page=Page(1, text))
        assert "cursor" == caught.value.field
    for size in (0, -1, 1_001):
        with pytest.raises(InputError) as caught:
            services.relationships.read(caller, wanted, page=Page(size))
        assert "pageSize" == caught.value.field


def test_pages_go_on_when_their_type_has_left_the_model(services, caller):
    services.relationships.bulk(caller, EVERYTHING).result()
    wanted = RelationshipFilter(None, "folder", "f")
    services.relationships.bulk(caller, rels("folder:f#viewer@user:bob")).result()
    first = services.relationships.read(caller, wanted, page=Page(1))
    without = {
        **MODEL,
        "type_definitions": [{"type": "user"}, {"type": "document"}],
    }
    services.models.put(caller, without, force=True).result()
    second = services.relationships.read(caller, wanted, page=Page(1, first.next_cursor))
    found = {str(row.relationship) for row in first.rows + second.rows}
    assert {"folder:f#viewer@user:ann", "folder:f#viewer@user:bob"} == found
    with pytest.raises(UnknownNameError):
        services.relationships.read(caller, wanted)


def test_a_collected_revision_ends_the_pages(services, caller, clock):
    services.relationships.bulk(caller, EVERYTHING).result()
    wanted = RelationshipFilter(subject("user:ann"))
    first = services.relationships.read(caller, wanted, page=Page(1))
    clock.now_ms += 10_000_000
    services.relationships.delete(caller, EVERYTHING[0]).result()
    clock.now_ms += 10_000_000
    services.relationships.delete(caller, EVERYTHING[1]).result()
    services.store.collect(retention_s=1, steps=1_000)
    with pytest.raises(RevisionError) as caught:
        services.relationships.read(caller, wanted, page=Page(1, first.next_cursor))
    assert ("collected", "cursor") == (caught.value.reason, caught.value.field)


def test_a_zookie_is_honoured_or_refused(services, caller):
    good = services.relationships.write(caller, ANN).result().zookie
    decoded = Zookie.decode(good)
    bad = {
        "future": decoded._replace(revision=decoded.revision + 1).encode(),
        "foreign": decoded._replace(application=decoded.application + 1).encode(),
    }
    wanted = RelationshipFilter(subject("user:ann"))
    assert services.relationships.read(caller, wanted, at_least=good).rows
    for reason, zookie in bad.items():
        with pytest.raises(RevisionError) as caught:
            services.relationships.read(caller, wanted, at_least=zookie)
        assert reason == caught.value.reason
    with pytest.raises(MalformedError):
        services.relationships.read(caller, wanted, at_least="garbage")


def test_each_use_names_the_permission_that_is_missing(services, caller):
    nobody = replace(caller, permissions=frozenset(), is_root=False)
    wanted = RelationshipFilter(subject("user:ann"))
    calls = {
        "relationships:write": [
            lambda: services.relationships.write(nobody, ANN),
            lambda: services.relationships.delete(nobody, ANN),
            lambda: services.relationships.delete_by_filter(nobody, wanted),
            lambda: services.relationships.bulk(nobody, [ANN]),
        ],
        "relationships:read": [lambda: services.relationships.read(nobody, wanted)],
        "relationships:import": [lambda: services.transfers.importer(nobody)],
        "relationships:export": [lambda: services.transfers.export(nobody)],
        "model:read": [lambda: services.models.get(nobody)],
        "model:write": [lambda: services.models.put(nobody, {})],
        "keys:read": [lambda: services.keys.list(nobody)],
        "keys:write": [
            lambda: services.keys.create(nobody, "x"),
            lambda: services.keys.delete(nobody, "x"),
        ],
        "checks:create": [
            lambda: services.access.check(nobody, question(str(ANN))),
            lambda: services.access.check_many(nobody, []),
        ],
        "checks:explain": [
            lambda: services.access.explain(nobody, question(str(ANN))),
            lambda: services.access.expand(nobody, ANN.resource, "viewer"),
            lambda: services.access.who_can(nobody, ANN.resource, "viewer"),
            lambda: services.access.what_can(nobody, ANN.subject, "document", "viewer"),
            lambda: services.access.stream_who_can(nobody, ANN.resource, "viewer"),
            lambda: services.access.stream_what_can(nobody, ANN.subject, "document", "viewer"),
        ],
    }
    for permission, uses in calls.items():
        for use in uses:
            with pytest.raises(ForbiddenError) as caught:
                use()
            assert permission == caught.value.permission


def test_a_deleted_key_can_no_longer_write(services, caller):
    made = services.keys.create(caller, "ci").result()
    writer = services.keys.authenticate(made.secret)
    services.keys.delete(caller, made.key.id).result()
    with pytest.raises(UnauthenticatedError):
        services.relationships.write(writer, ANN)
    assert set() == stored(services, caller)

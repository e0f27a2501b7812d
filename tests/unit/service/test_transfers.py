"""Import and export: any cut of the bytes, every bad line told, safe to repeat."""

from __future__ import annotations

from dataclasses import replace

import orjson
import pytest

from tests.builders import question, rel, rels
from tests.unit.service.conftest import MODEL, held_writer
from tests.unit.service.test_models import SMALLER
from zeratul.domain.limits import Limits
from zeratul.errors import UnauthenticatedError
from zeratul.service.ground.times import format_time
from zeratul.service.ground.validation import findings_of
from zeratul.service.relationships.importing import feed_all
from zeratul.service.services import Services
from zeratul.store.lmdb import open_store

GOOD = [
    {"resource": "document:a", "relation": "viewer", "subject": "user:ann"},
    {"resource": "document:a", "relation": "viewer", "subject": "group:eng#member"},
    {"relationship": "group:eng#member@user:bob"},
    {"resource": "document", "resourceId": "b", "relation": "viewer", "userId": "ann"},
    {"resource": "document", "resourceId": "b", "relation": "viewer", "subject": "user:*"},
    {"resource": "document:a/b:c", "relation": "viewer", "subject": "user:x@y:z"},
]


def ndjson(*lines):
    return b"".join(orjson.dumps(line) + b"\n" for line in lines)


def imported(services, caller, data, *, cut=1_000_000, dry_run=False):
    importer = services.transfers.importer(caller, dry_run=dry_run)
    return feed_all(importer, (data[start : start + cut] for start in range(0, len(data), cut)))


def counts(answer):
    return (answer.lines, answer.created, answer.existing, answer.replaced, answer.rejected)


def exported(services, caller):
    return set(b"".join(services.transfers.export(caller)).splitlines())


@pytest.mark.parametrize("cut", [1, 7, 100, 10_000])
def test_every_form_is_taken_however_the_bytes_are_cut(services, caller, cut):
    answer = imported(services, caller, ndjson(*GOOD), cut=cut)
    assert (6, 6, 0, 0, 0) == counts(answer)
    assert 6 == len(exported(services, caller))
    for text in ("document:a#viewer@user:bob", "document:b#viewer@user:zoe"):
        asked = question(text)
        assert services.access.check(caller, asked, at_least=answer.zookie).allowed


def test_an_import_can_be_repeated(services, caller):
    imported(services, caller, ndjson(*GOOD))
    before = exported(services, caller)
    again = imported(services, caller, ndjson(*GOOD))
    assert (6, 0, 6, 0, 0) == counts(again)
    assert before == exported(services, caller)


@pytest.mark.parametrize(
    "bad",
    [
        b"not json",
        b"[]",
        b"7",
        b'"text"',
        b"{}",
        b'{"resource":"document:a","relation":"viewer"}',
        b'{"resource":"document:a","relation":"viewer","subject":"user:ann","extra":1}',
        b'{"resource":"document:a","relation":"viewer","subject":7}',
        b'{"resource":"document:a","relation":"viewr","subject":"user:ann"}',
        b'{"resource":"documnt:a","relation":"viewer","subject":"user:ann"}',
        b'{"resource":"document","relation":"viewer","subject":"user:ann"}',
        b'{"resource":"document:","relation":"viewer","subject":"user:ann"}',
        b'{"resource":"document:*","relation":"viewer","subject":"user:ann"}',
        b'{"resource":"document:a","relation":"viewer","subject":"group:eng"}',
        b'{"resource":"document:a","relation":"viewer","subject":"user:ann#"}',
        b'{"resource":"document:a","relation":"viewer","subject":"group:eng#member#x"}',
        b'{"resource":"document:a","relation":"reader","subject":"user:ann"}',
        b'{"resource":"document:a ","relation":"viewer","subject":"user:ann"}',
        b'{"resource":"document:a\\u0000","relation":"viewer","subject":"user:ann"}',
        b'{"resource":"document:a","relation":"viewer","subject":"user:\xff"}',
        b'{"resource":"document:a","relation":"viewer","subject":"user:a","expiresAt":"soon"}',
        b'{"resource":"document:a","relation":"viewer","subject":"user:a","expiresAt":"2020-01-01T00:00:00Z"}',
        b'{"resource":"document:a","relation":"viewer","subject":"user:a","expiresAt":"2040-01-01T00:00:00"}',
        b'{"resource":"document:a","relation":"viewer","subject":"user:a","expiresAt":"9999-12-31T23:59:59-01:00"}',
        b'{"relationship":"document:a#viewer@user:ann","expiresAt":"9999-12-31T23:59:59-01:00"}',
        b'{"relationship":"document:a#viewer@user:ann","resource":"document:a"}',
        b'{"relationship":"document:a#viewer"}',
        b'{"resource":"document:a","resourceId":"a","relation":"viewer","userId":"u","subject":"user:u"}',
        b'{"resource":"document","resourceId":"a","relation":"viewer","userId":"*"}',
        b" " * 70_000,
        b'{"relationship":"document:a#viewer@user:ann"}' + b" " * 70_000,
        b"[" * 10_000,
        b'{"relationship":"' + b"x" * 70_000 + b'"}',
    ],
)
@pytest.mark.parametrize("cut", [997, 1_000_000])
def test_a_bad_line_is_told_by_number_and_the_rest_goes_on(services, caller, bad, cut):
    data = ndjson(*GOOD[:2]) + b"\n  \n" + bad + b"\r\n" + ndjson(*GOOD[2:]).rstrip(b"\n")
    answer = imported(services, caller, data, cut=cut)
    assert (7, 6, 0, 0, 1) == counts(answer)
    assert [5] == [reject.line for reject in answer.rejects]
    assert answer.rejects[0].error.message
    assert 6 == len(exported(services, caller))


@pytest.mark.parametrize(
    ("bad", "field", "said"),
    [
        (b"not json", None, "the line is not JSON: "),
        (b'"text"', None, "the line: expected an object, got a string"),
        (
            b'{"resource":"document","resource_id":"a","relation":"viewer","userId":"u"}',
            "resource_id",
            "unknown field `resource_id`; did you mean `resourceId`?",
        ),
        (
            b'{"resource":"document:a","relation":"viewer","subject":7}',
            "subject",
            "expected a string or null, got an integer",
        ),
        (
            b'{"resource":"document","resourceId":"a","relation":"viewer","userId":"g#member"}',
            "userId",
            "an id must not contain `#`",
        ),
        (
            b'{"resource":"a","relation":"viewer","subject":"user:u"}',
            "resource",
            "expected `type:id`, not `a`",
        ),
    ],
    ids=str,
)
def test_what_is_wrong_with_a_line_is_said_in_words_of_the_contract(
    services, caller, bad, field, said
):
    error = imported(services, caller, bad).rejects[0].error
    found = findings_of([error])
    assert list(found) == [field or ""]
    assert found[field or ""][0].startswith(said)


def test_a_bad_last_line_without_an_end_is_told(services, caller):
    assert [7] == [
        reject.line for reject in imported(services, caller, ndjson(*GOOD) + b"{").rejects
    ]
    long = imported(services, caller, b"x" * 70_000)
    assert (1, 0, 0, 0, 1) == counts(long)
    assert "65,536" in long.rejects[0].error.message


def test_nothing_imports_as_nothing(services, caller):
    empty = imported(services, caller, b"")
    assert (0, 0, 0, 0, 0) == counts(empty)
    newest = services.access.check(caller, question("document:a#viewer@user:bob")).zookie
    assert empty.zookie == newest
    assert (0, 0, 0, 0, 0) == counts(imported(services, caller, b"\n\n \r\n"))


def test_a_byte_order_mark_is_no_error(services, caller):
    assert 6 == imported(services, caller, b"\xef\xbb\xbf" + ndjson(*GOOD)).created


def test_expiries_are_kept_and_replaced(services, caller, clock):
    line = dict(GOOD[0], expiresAt=format_time(clock.now_ms + 1_500))
    assert (1, 1, 0, 0, 0) == counts(imported(services, caller, ndjson(line)))
    assert (1, 0, 0, 1, 0) == counts(imported(services, caller, ndjson(GOOD[0])))
    assert (1, 0, 0, 1, 0) == counts(imported(services, caller, ndjson(line)))
    assert {orjson.dumps(line)} == exported(services, caller)
    clock.now_ms += 1_500
    assert set() == exported(services, caller)


def test_a_dry_run_counts_and_writes_nothing(services, caller):
    imported(services, caller, ndjson(*GOOD[:2]))
    before = exported(services, caller)
    answer = imported(services, caller, ndjson(*GOOD, GOOD[5], {"x": 1}), dry_run=True)
    assert (8, 4, 3, 0, 1) == counts(answer)
    assert answer.dry_run
    assert before == exported(services, caller)


@pytest.fixture
def small_steps(tmp_path):
    """Services that commit imports every ten rows and list two rejects."""
    limits = replace(Limits(), import_commit_rows=10, import_rejects_listed_max=2)
    services = Services.build(open_store(tmp_path / "small"), limits=limits)
    services.models.put(services.local_caller(), MODEL).result()
    yield services
    services.close()


def many(count):
    return [rel(f"document:d{number}#viewer@user:ann") for number in range(count)]


def lines_of(relationships):
    return ndjson(*({"relationship": str(relationship)} for relationship in relationships))


def test_it_commits_in_steps_and_says_how_far_it_is(small_steps):
    caller = small_steps.local_caller()
    importer = small_steps.transfers.importer(caller)
    importer.feed(lines_of(many(25)))
    importer.feed(b"")
    behind = importer.feed(b"\n")
    if behind is not None:
        behind.result()
    assert len(exported(small_steps, caller)) >= 10
    answer = importer.finish().result()
    assert (25, 25, 0, 0, 0) == counts(answer)
    assert 25 == len(exported(small_steps, caller))


def test_rejects_are_counted_exactly_and_listed_up_to_the_limit(small_steps):
    caller = small_steps.local_caller()
    answer = imported(small_steps, caller, b"{\n" * 30 + lines_of(many(3)))
    assert (33, 3, 0, 0, 30) == counts(answer)
    assert [1, 2] == [reject.line for reject in answer.rejects]


def test_rejects_are_listed_in_the_order_of_the_lines_whatever_is_wrong(small_steps):
    """The model refuses the first and the third, the second and the fourth are no JSON."""
    caller = small_steps.local_caller()
    unknown = ndjson(dict(GOOD[0], relation="nope"))
    answer = imported(small_steps, caller, (unknown + b"{\n") * 2 + lines_of(many(3)))
    assert (7, 3, 0, 0, 4) == counts(answer)
    assert [1, 2] == [reject.line for reject in answer.rejects]


def test_it_asks_to_wait_while_the_disk_is_behind(small_steps):
    caller = small_steps.local_caller()
    importer = small_steps.transfers.importer(caller)
    with held_writer(small_steps.store):
        assert importer.feed(lines_of(many(10))) is None
        behind = importer.feed(lines_of(many(25)[10:]))
        assert behind is not None
        assert not behind.done()
        assert (25, 0) == (importer.progress().lines, importer.progress().created)
    behind.result(timeout=30)
    assert 25 == importer.finish().result().created


def test_a_model_change_half_way_rejects_what_it_has_no_place_for(small_steps):
    caller = small_steps.local_caller()
    importer = small_steps.transfers.importer(caller)
    owned = rels(*(f"document:d{number}#owner@user:ann" for number in range(5)))
    with held_writer(small_steps.store):
        put = small_steps.models.put(caller, SMALLER)
        importer.feed(lines_of([*many(5), *owned]))  # Validated, full, waiting behind the model.
    put.result()
    importer.feed(lines_of(owned[:1]))
    answer = importer.finish().result()
    assert (11, 5, 0, 0, 6) == counts(answer)
    assert 5 == len(exported(small_steps, caller))
    assert all(b"viewer" in line for line in exported(small_steps, caller))


def test_rows_of_an_older_model_go_before_those_of_a_newer_one(small_steps):
    caller = small_steps.local_caller()
    importer = small_steps.transfers.importer(caller)
    importer.feed(lines_of(rels("document:a#owner@user:ann")))
    small_steps.models.put(caller, SMALLER).result()
    importer.feed(lines_of(many(2)))
    answer = importer.finish().result()
    assert (3, 2, 0, 0, 1) == counts(answer)


def test_a_model_change_behind_the_last_full_line_does_not_spoil_the_end(small_steps):
    """Whether rows are left when it ends depends on the change alone."""
    caller = small_steps.local_caller()
    importer = small_steps.transfers.importer(caller)
    importer.feed(lines_of([*many(2), *rels("document:a#owner@user:ann")]))
    small_steps.models.put(caller, SMALLER).result()
    answer = importer.finish().result()
    assert (3, 2, 0, 0, 1) == counts(answer)
    assert 2 == len(exported(small_steps, caller))


def test_a_deleted_key_ends_an_import_and_what_was_committed_stays(small_steps):
    local = small_steps.local_caller()
    made = small_steps.keys.create(local, "ci").result()
    caller = small_steps.keys.authenticate(made.secret)
    importer = small_steps.transfers.importer(caller)
    importer.feed(lines_of(many(10)))
    small_steps.keys.delete(local, made.key.id).result()
    with pytest.raises(UnauthenticatedError):
        importer.feed(lines_of(many(20)))
    assert 10 == len(exported(small_steps, local))


def test_an_export_imports_into_the_same_again(services, caller):
    imported(
        services, caller, ndjson(*GOOD, {"relationship": 'folder:\u00e9\u4e2d#viewer@user:"q\\'})
    )
    data = b"".join(services.transfers.export(caller))
    made = services.applications.create(caller, "copy").result()
    copy = services.applications.enter(caller, made.id)
    services.models.put(copy, MODEL).result()
    assert (7, 7, 0, 0, 0) == counts(imported(services, copy, data))
    assert exported(services, caller) == exported(services, copy)


def test_an_export_shows_one_revision_whatever_is_written_meanwhile(services, caller):
    services.relationships.bulk(caller, many(4_500)).result()
    export = services.transfers.export(caller)
    chunks = []
    for chunk in export:
        assert chunk.endswith(b"\n")
        chunks.append(chunk)
        services.relationships.delete(caller, many(4_500)[-len(chunks)]).result()
        services.relationships.write(
            caller, rel(f"document:aa{len(chunks)}#viewer@user:x")
        ).result()
    assert len(chunks) > 2
    expected = {f"document:d{number}" for number in range(4_500)}
    found = [orjson.loads(line)["resource"] for line in b"".join(chunks).splitlines()]
    assert expected == set(found)
    assert len(expected) == len(found)

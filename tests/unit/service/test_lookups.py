"""Who can and what can: exact lists, stable pages, streams."""

from __future__ import annotations

import gc
from contextlib import suppress
from unittest.mock import patch

import pytest

from tests.builders import rel, rels, resource, subject
from tests.unit.service.conftest import MODEL
from zeratul.errors import (
    ConflictError,
    InputError,
    MalformedError,
    RevisionError,
    StoreError,
    UnknownNameError,
)
from zeratul.service.ground.answers import Page
from zeratul.service.questions import listings
from zeratul.service.questions.list_answers import ResourceRow, SubjectRow
from zeratul.service.questions.listings import AHEAD_MAX, RecentListings, RowsAhead, Slice
from zeratul.store.lmdb.snapshot import LmdbSnapshot

DOCUMENT = resource("document:a")


@pytest.fixture
def filled(services, caller):
    texts = [f"document:d{number}#viewer@user:ann" for number in range(9)]
    texts += [f"group:eng#member@user:u{number}" for number in range(7)]
    texts += [
        "document:a#viewer@group:eng#member",
        "document:a#owner@user:u3",
        "document:a#viewer@user:zoe",
        "document:a#banned@user:u5",
    ]
    services.relationships.bulk(caller, rels(*texts)).result()
    return caller


def pages(call):
    found, cursor = [], None
    while True:
        page = call(Page(2, cursor))
        assert len(page.rows) <= 2
        assert page.complete == (page.next_cursor is None)
        found.append(page)
        cursor = page.next_cursor
        if cursor is None:
            return found


def test_everyone_who_can_with_the_ways_they_can(services, filled):
    page = services.access.who_can(filled, DOCUMENT, "reader", page=Page(100), total=True)
    by_subject = {row.subject: row for row in page.rows}
    expected = {f"user:u{number}" for number in range(7)} - {"user:u5"} | {"user:zoe"}
    assert expected == set(by_subject)
    assert (7, True, None) == (page.total, page.complete, page.next_cursor)
    assert {("model",)} == {row.via for row in page.rows}  # Through an exclusion.
    viewers = services.access.who_can(filled, DOCUMENT, "viewer", page=Page(100)).rows
    via = {row.subject: row.via for row in viewers}
    assert ("group",) == via["user:u1"]
    assert ("direct",) == via["user:zoe"]
    assert ("direct", "group") == via["user:u3"]
    assert all(row.except_ == () for row in page.rows)
    assert services.access.who_can(filled, DOCUMENT, "reader").total is None


def test_usersets_can_be_asked_for(services, filled):
    page = services.access.who_can(
        filled, DOCUMENT, "viewer", subject_type="group", subject_relation="member"
    )
    assert ["group:eng#member"] == [row.subject for row in page.rows]
    with pytest.raises(UnknownNameError) as caught:
        services.access.who_can(filled, DOCUMENT, "viewer", subject_type="grop")
    assert "subjectType" == caught.value.field
    with pytest.raises(UnknownNameError) as caught:
        services.access.who_can(
            filled, DOCUMENT, "viewer", subject_type="group", subject_relation="x"
        )
    assert "subjectRelation" == caught.value.field


def test_a_wildcard_is_one_row_with_its_exceptions(services, filled):
    services.relationships.write(filled, rel("document:a#viewer@user:*")).result()
    found = pages(
        lambda page: services.access.who_can(filled, DOCUMENT, "reader", page=page, total=True)
    )
    rows = [row for page in found for row in page.rows]
    assert SubjectRow("user:*", rows[0].via, ("user:u5",), 1) == rows[0]
    assert 1 == sum(row.subject == "user:*" for row in rows)
    assert {len(rows)} == {page.total for page in found}
    assert len(rows) == len({row.subject for row in rows})
    smallest = services.access.who_can(filled, DOCUMENT, "reader", page=Page(1))
    assert [rows[0]] == smallest.rows
    second = services.access.who_can(
        filled, DOCUMENT, "reader", page=Page(1, smallest.next_cursor)
    )
    assert [rows[1]] == second.rows


def test_everything_a_subject_can(services, filled):
    page = services.access.what_can(filled, subject("user:ann"), "document", "reader", total=True)
    expected = [ResourceRow("document", f"d{number}", ("model",)) for number in range(9)]
    assert expected == sorted(page.rows, key=lambda row: row.resource_id)
    assert 9 == page.total
    stored = services.access.what_can(filled, subject("user:ann"), "document", "viewer")
    assert {("direct",)} == {row.via for row in stored.rows}
    nothing = services.access.what_can(
        filled, subject("user:nobody"), "document", "reader", total=True
    )
    assert ([], 0, True) == (nothing.rows, nothing.total, nothing.complete)


@pytest.mark.parametrize("way", ["kept", "computed again", "read ahead"])
def test_pages_equal_the_list_at_the_first_pages_revision(services, filled, clock, way):
    access = services.access
    for call in (
        lambda page: access.who_can(filled, DOCUMENT, "reader", page=page, total=True),
        lambda page: access.what_can(filled, subject("user:ann"), "document", "reader", page=page),
    ):
        whole = call(Page(100)).rows
        found, cursor = [], None
        while True:
            page = call(Page(2, cursor))
            found.append(page)
            clock.now_ms += 1_000
            added = rels(
                f"document:a#viewer@user:new{clock.now_ms}",
                f"document:new{clock.now_ms}#viewer@user:ann",
            )
            deleted = rels("group:eng#member@user:u6", "document:d8#viewer@user:ann")
            services.relationships.bulk(filled, added, deleted).result()
            if way == "computed again":
                access._recent = RecentListings(0)
            cursor = page.next_cursor
            if cursor is None:
                break
            if way == "read ahead":
                access.read_ahead(Page(2, cursor))
        assert whole == [row for page in found for row in page.rows]
        assert 1 == len({(page.revision, page.zookie, page.total) for page in found})
        services.relationships.bulk(filled, deleted).result()


def test_a_relationship_that_expires_between_pages_stays_in_the_list(services, filled, clock):
    brief = rel("document:a#viewer@user:brief", expires_at_ms=clock.now_ms + 1_000)
    services.relationships.write(filled, brief).result()
    first = services.access.who_can(filled, DOCUMENT, "reader", page=Page(6))
    clock.now_ms += 2_000
    services.access._recent = RecentListings(0)
    second = services.access.who_can(filled, DOCUMENT, "reader", page=Page(6, first.next_cursor))
    assert "user:brief" in {row.subject for row in first.rows + second.rows}
    fresh = services.access.who_can(filled, DOCUMENT, "reader", page=Page(100))
    assert "user:brief" not in {row.subject for row in fresh.rows}


def test_a_changed_model_ends_a_list(services, filled):
    first = services.access.who_can(filled, DOCUMENT, "reader", page=Page(2))
    larger = {**MODEL, "type_definitions": [*MODEL["type_definitions"], {"type": "robot"}]}
    services.models.put(filled, larger).result()
    with pytest.raises(ConflictError) as caught:
        services.access.who_can(filled, DOCUMENT, "reader", page=Page(2, first.next_cursor))
    assert "without a cursor" in caught.value.help


def test_a_collected_revision_ends_a_list_that_was_not_kept(services, filled, clock):
    first = services.access.who_can(filled, DOCUMENT, "reader", page=Page(2))
    clock.now_ms += 10_000_000
    services.relationships.write(filled, rel("document:a#viewer@user:later")).result()
    clock.now_ms += 10_000_000
    services.relationships.delete(filled, rel("document:a#viewer@user:later")).result()
    services.store.collect(retention_s=1, steps=1_000)
    services.access._recent = RecentListings(0)
    with pytest.raises(RevisionError) as caught:
        services.access.who_can(filled, DOCUMENT, "reader", page=Page(2, first.next_cursor))
    assert ("collected", "cursor") == (caught.value.reason, caught.value.field)


def test_a_cursor_of_another_list_is_refused(services, filled):
    access = services.access
    cursor = access.who_can(filled, DOCUMENT, "reader", page=Page(2)).next_cursor
    page = Page(2, cursor)
    other = services.applications.enter(
        filled, services.applications.create(filled, "Acme").result().id
    )
    services.models.put(other, MODEL).result()
    for call in (
        lambda: access.who_can(filled, DOCUMENT, "viewer", page=page),
        lambda: access.who_can(filled, resource("document:b"), "reader", page=page),
        lambda: access.who_can(filled, DOCUMENT, "reader", subject_type="group", page=page),
        lambda: access.what_can(filled, subject("user:ann"), "document", "reader", page=page),
        lambda: access.who_can(other, DOCUMENT, "reader", page=page),
    ):
        with pytest.raises(MalformedError) as caught:
            call()
        assert "cursor" == caught.value.field
    with pytest.raises(InputError):
        access.who_can(filled, DOCUMENT, "reader", page=Page(1_001))


def test_another_process_goes_on_where_this_one_stopped(services, other, filled):
    first = services.access.who_can(filled, DOCUMENT, "reader", page=Page(2))
    second = other.access.who_can(filled, DOCUMENT, "reader", page=Page(100, first.next_cursor))
    whole = services.access.who_can(filled, DOCUMENT, "reader", page=Page(100))
    assert whole.rows == first.rows + second.rows


def test_a_stream_equals_the_list_and_holds_no_snapshot(services, caller):
    texts = [f"document:d{number}#viewer@user:ann" for number in range(4_500)]
    services.relationships.bulk(caller, rels(*texts)).result()
    ann = subject("user:ann")
    expected = {f"d{number}" for number in range(4_500)}
    stream = services.access.stream_what_can(caller, ann, "document", "viewer")
    assert 4_500 == stream.total
    with services.store.snapshot():
        assert 1 == open_snapshots()  # The measure works.
    found, sizes = [], []
    for chunk in stream.chunks:
        assert 0 == open_snapshots()
        services.relationships.write(
            caller, rel(f"document:x{len(sizes)}#viewer@user:ann")
        ).result()
        sizes.append(len(chunk))
        found += chunk
    assert [4_000, 500] == sizes
    assert expected == {row.resource_id for row in found}


def open_snapshots():
    count = 0
    for snapshot in [found for found in gc.get_objects() if isinstance(found, LmdbSnapshot)]:
        with suppress(StoreError):  # A closed one refuses.
            snapshot.document(0, "any", "any")
            count += 1
    return count


def test_a_stream_of_nothing_ends_at_once(services, caller):
    stream = services.access.stream_who_can(caller, DOCUMENT, "reader")
    assert (0, []) == (stream.total, list(stream.chunks))


def test_recent_lists_are_bounded_by_memory(services, filled):
    first = services.access.who_can(filled, DOCUMENT, "reader", page=Page(2))
    listing = next(iter(services.access._recent._kept.values()))[0]
    assert first.next_cursor
    size = listing.size_bytes()
    recent = RecentListings(2 * size)
    for number in range(3):
        recent.keep((b"query", number, 0), listing)
        recent.keep((b"query", number, 0), listing)
    assert recent.get((b"query", 0, 0)) is None
    assert listing is recent.get((b"query", 1, 0))
    recent.keep((b"query", 3, 0), listing)
    assert recent.get((b"query", 2, 0)) is None
    assert listing is recent.get((b"query", 1, 0))


def test_a_page_is_at_hand_while_its_list_is_remembered(services, filled):
    access = services.access
    cursor = access.who_can(filled, DOCUMENT, "reader", page=Page(2)).next_cursor
    assert access.is_at_hand(Page(2, cursor))
    assert not access.is_at_hand(Page(2))
    assert not access.is_at_hand(Page(2, "made-up"))
    access._recent = RecentListings(0)
    assert not access.is_at_hand(Page(2, cursor))


def test_a_page_that_was_read_ahead_is_not_read_again(services, filled):
    access = services.access

    def ask(cursor, size=2):
        return access.who_can(filled, DOCUMENT, "reader", page=Page(size, cursor))

    cursor = ask(None).next_cursor
    expected = ask(cursor).rows
    with patch.object(LmdbSnapshot, "id_texts", side_effect=AssertionError):
        with pytest.raises(AssertionError):
            ask(cursor)
        access._recent, recent = RecentListings(0), access._recent
        access.read_ahead(Page(2, cursor))
        access._recent = recent
        access.read_ahead(Page(2))
    access.read_ahead(Page(2, cursor))
    with patch.object(LmdbSnapshot, "id_texts", side_effect=AssertionError):
        with pytest.raises(AssertionError):
            ask(cursor, size=3)
        assert expected == ask(cursor).rows
        with pytest.raises(AssertionError):
            ask(cursor)
    assert expected == ask(cursor).rows


def test_a_changed_model_ends_a_list_that_was_read_ahead(services, filled):
    cursor = services.access.who_can(filled, DOCUMENT, "reader", page=Page(2)).next_cursor
    services.access.read_ahead(Page(2, cursor))
    larger = {**MODEL, "type_definitions": [*MODEL["type_definitions"], {"type": "robot"}]}
    services.models.put(filled, larger).result()
    with pytest.raises(ConflictError):
        services.access.who_can(filled, DOCUMENT, "reader", page=Page(2, cursor))


def test_what_is_read_ahead_is_bounded():
    ahead = RowsAhead()
    rows = Slice(range(0), [1], b"\x01", 1)
    places = [((b"query", number, 0), 0, 1) for number in range(AHEAD_MAX + 1)]
    for place in places:
        ahead.keep(place, rows, b"one")
    assert ahead.take(places[0]) is None
    assert ahead.take(places[1]) == (rows, b"one")
    assert ahead.take(places[1]) is None
    with patch.object(listings, "AHEAD_BYTES_MAX", 2):
        ahead.keep(places[0], rows, b"one")
    assert ahead.take(places[0]) is None

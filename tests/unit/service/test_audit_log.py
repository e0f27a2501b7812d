"""The audit log is read newest first; filters combine; a page that stops early says so."""

from __future__ import annotations

from dataclasses import replace

import pytest

from zeratul.domain.limits import Limits
from zeratul.errors import (
    ForbiddenError,
    InputError,
    LimitError,
    MalformedError,
    NotFoundError,
)
from zeratul.service.administration.audit_log import CHUNK_EVENTS, AuditFilter
from zeratul.service.ground.answers import Page
from zeratul.service.ground.audit import record
from zeratul.service.services import Services
from zeratul.store.lmdb import open_store


@pytest.fixture
def put(services, empty, clock):
    """Records events a second apart; their numbers come back in `numbers`."""

    def write(number, **more):
        action, target = more.pop("action", "policy.updated"), more.pop("target", "pol_1")
        kind, actor = more.pop("kind", "policy"), more.pop("actor", empty.key_id)

        def job(tx):
            caller = replace(empty, key_id=actor)
            record(tx, caller, action, kind, target, after={"number": number}, **more)

        clock.now_ms += 1_000
        services.store.write(job).result()

    return write


def numbers(found):
    return [each["after"]["number"] for each in found if "number" in (each["after"] or {})]


def find(services, caller, **wanted):
    return numbers(services.audit.find(caller, AuditFilter(**wanted)).rows)


def test_the_newest_comes_first(services, empty, put):
    for number in range(3):
        put(number)
    assert [2, 1, 0] == find(services, empty)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("action", "role.assigned"),
        ("target_type", "role"),
        ("target_id", "role_1"),
        ("user_id", "ann"),
        ("permission", "documents:read"),
        ("tenant_id", "acme"),
        ("actor_id", "key_1"),
    ],
)
def test_each_filter_is_exact(services, empty, put, name, value):
    given = {"target_type": "kind", "target_id": "target", "actor_id": "actor"}.get(name, name)
    put(1, **{given: value})
    put(2, **{given: value + "x"})
    put(3, **{given: value.upper()})
    put(4)
    assert [1] == find(services, empty, **{name: value})


def test_filters_combine(services, empty, put):
    put(1, action="role.assigned", user_id="ann", tenant_id="acme")
    put(2, action="role.assigned", user_id="bob", tenant_id="acme")
    put(3, action="role.unassigned", user_id="ann", tenant_id="acme")
    assert [1] == find(services, empty, action="role.assigned", user_id="ann", tenant_id="acme")
    assert [] == find(services, empty, action="role.assigned", user_id="ann", tenant_id="globex")


@pytest.mark.parametrize("value", ['a"b', "a\\b", "ä✓", "a/b", '","action":"x'])
def test_ids_of_any_characters_are_found(services, empty, put, value):
    put(1, user_id=value)
    put(2, user_id="other")
    assert [1] == find(services, empty, user_id=value)


def test_a_filter_is_not_met_by_what_a_target_held(services, empty, put):
    """`before` and `after` are data; only the event's own fields count."""

    def job(tx):
        record(tx, empty, "x", "y", "z", after={"userId": "ann", "number": 1})

    services.store.write(job).result()
    assert [] == find(services, empty, user_id="ann")


def test_times_bound_from_inclusive_to_exclusive(services, empty, put, clock):
    times = []
    for number in range(4):
        put(number)
        times.append(clock.now_ms)
    assert [2, 1] == find(services, empty, from_ms=times[1], to_ms=times[3])
    assert [3] == find(services, empty, from_ms=times[3])
    assert [0] == find(services, empty, to_ms=times[1])
    assert [] == find(services, empty, from_ms=times[3] + 1)
    assert [] == find(services, empty, from_ms=times[2], to_ms=times[2])
    with pytest.raises(InputError) as caught:
        find(services, empty, from_ms=times[1], to_ms=times[0])
    assert "from" == caught.value.field


def test_pages_go_on_where_they_stopped_while_others_write(services, empty, put):
    for number in range(5):
        put(number)
    wanted = AuditFilter(target_type="policy")
    first = services.audit.find(empty, wanted, page=Page(2))
    put(5)
    second = services.audit.find(empty, wanted, page=Page(2, first.next_cursor))
    third = services.audit.find(empty, wanted, page=Page(2, second.next_cursor))
    assert [[4, 3], [2, 1], [0]] == [numbers(each.rows) for each in (first, second, third)]
    assert None is third.next_cursor
    ids = [row["id"] for page in (first, second, third) for row in page.rows]
    assert len(ids) == len(set(ids))


def test_a_cursor_belongs_to_its_filter(services, empty, put):
    put(1)
    put(2)
    cursor = services.audit.find(empty, AuditFilter(), page=Page(1)).next_cursor
    for wanted in (AuditFilter(action="x"), AuditFilter(server=True)):
        with pytest.raises(MalformedError):
            services.audit.find(empty, wanted, page=Page(1, cursor))
    with pytest.raises(MalformedError):
        services.audit.find(empty, AuditFilter(), page=Page(1, "garbage"))


def small(tmp_path, clock, **limits):
    chosen = replace(Limits(), **limits)
    store = open_store(tmp_path / "small", limits=chosen, clock_ms=clock)
    return Services.build(store, limits=chosen, clock_ms=clock)


def fill(services, caller, count, **more):
    def job(tx):
        for number in range(count):
            who = "ann" if number == 0 else "bob"
            record(tx, caller, "x", "y", "z", user_id=who, after={"number": number, **more})

    services.store.write(job).result()


def walk(services, caller, wanted, size):
    pages, cursor = [], None
    while True:
        page = services.audit.find(caller, wanted, page=Page(size, cursor))
        pages.append(numbers(page.rows))
        cursor = page.next_cursor
        if cursor is None:
            return pages


def test_a_page_that_looked_at_enough_is_empty_with_a_cursor(tmp_path, clock):
    services = small(tmp_path, clock, audit_examined_max=10)
    try:
        caller = services.local_caller()
        fill(services, caller, 35)
        assert [[], [], [], [0]] == walk(services, caller, AuditFilter(user_id="ann"), 5)
        everything = walk(services, caller, AuditFilter(action="x"), 20)
        assert [10, 10, 10, 5] == [len(page) for page in everything]
        assert list(range(34, -1, -1)) == [number for page in everything for number in page]
    finally:
        services.close()


def test_a_page_of_large_events_is_short(tmp_path, clock):
    services = small(tmp_path, clock, audit_page_bytes_max=10_000)
    try:
        caller = services.local_caller()
        fill(services, caller, 9, model="x" * 4_000)
        pages = walk(services, caller, AuditFilter(action="x"), 100)
        assert [3, 3, 3, 0] == [len(page) for page in pages]
    finally:
        services.close()


def test_an_export_has_everything_once(services, empty, put):
    fill(services, empty, 2 * CHUNK_EVENTS + 5)
    chunks = list(services.audit.export(empty, AuditFilter(action="x")))
    assert list(range(2 * CHUNK_EVENTS + 4, -1, -1)) == [
        number for chunk in chunks for number in numbers(chunk)
    ]
    assert [[0]] == [
        numbers(each) for each in services.audit.export(empty, AuditFilter(user_id="ann"))
    ]
    assert [] == list(services.audit.export(empty, AuditFilter(action="nothing")))


def test_an_export_has_nothing_newer_than_its_call(services, empty, put):
    put(1)
    chunks = services.audit.export(empty, AuditFilter(target_type="policy"))
    put(2)
    assert [[1]] == [numbers(each) for each in chunks]


def test_an_export_ends_at_its_times(services, empty, put, clock):
    for number in range(4):
        put(number)
    wanted = AuditFilter(from_ms=clock.now_ms - 2_000, to_ms=clock.now_ms)
    assert [2, 1] == [
        number for chunk in services.audit.export(empty, wanted) for number in numbers(chunk)
    ]


def test_a_tenants_key_sees_its_tenant_only(services, empty, put):
    put(1, tenant_id="acme")
    put(2, tenant_id="globex")
    put(3)
    made = services.keys.create(empty, "acme", ["audit:read"], tenant_id="acme").result()
    acme = services.keys.authenticate(made.secret)
    assert [1] == find(services, acme)
    assert [1] == find(services, acme, tenant_id="acme")
    assert [1] == [n for each in services.audit.export(acme, AuditFilter()) for n in numbers(each)]
    for call in (services.audit.find, services.audit.export):
        with pytest.raises(NotFoundError):
            call(acme, AuditFilter(tenant_id="globex"))


def test_reading_needs_its_permission(services, empty):
    made = services.keys.create(empty, "n", ["keys:read"]).result()
    weak = services.keys.authenticate(made.secret)
    for call in (services.audit.find, services.audit.export):
        with pytest.raises(ForbiddenError) as caught:
            call(weak, AuditFilter())
        assert "audit:read" == caught.value.permission
    auditor = services.keys.create(empty, "n", ["audit:read"]).result()
    with pytest.raises(ForbiddenError):
        services.audit.find(services.keys.authenticate(auditor.secret), AuditFilter(server=True))


def test_applications_have_logs_of_their_own(services, empty, put):
    put(1)
    made = services.applications.create(empty, "Acme").result()
    inside = services.applications.enter(empty, made.id)
    assert [] == find(services, inside)


def test_events_are_collected_with_the_history(services, empty, put, clock):
    put(1)
    clock.now_ms += 3_600_000
    put(2)
    while services.store.collect(retention_s=1_800):
        pass
    assert [2] == find(services, empty)


def test_an_event_too_large_is_refused_with_its_change(services, empty):
    def job(tx):
        record(tx, empty, "x", "y", "z", after="x" * services.limits.audit_event_bytes_max)

    with pytest.raises(LimitError) as caught:
        services.store.write(job).result()
    assert "audit_event_bytes_max" == caught.value.limit

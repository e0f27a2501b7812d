"""Bulk assignment: one transaction, every item diagnosed, foretold by a dry run."""

from __future__ import annotations

import pytest

from tests.unit.service.conftest import held_writer
from tests.unit.service.role_world import RoleWorld, wish_of
from zeratul.domain.limits import Limits
from zeratul.errors import IdempotencyError, LimitError, MalformedError, ValidationError
from zeratul.service.ground.idempotency import Idempotent, Replay
from zeratul.service.roles.role_answers import APP_WIDE_GRANT, BulkAssignment
from zeratul.service.services import Services
from zeratul.store.lmdb import open_store


@pytest.fixture
def world(services, empty):
    return RoleWorld.new(services, empty)


def statuses(answer):
    return [(each.operation, each.index, each.status) for each in answer.bulk.results]


def counts(answer):
    found = answer.bulk
    return found.created, found.existing, found.replaced, found.deleted, found.failed


def test_taking_away_comes_first_and_duplicates_are_success(world, clock):
    role = world.reader()
    world.assign("user:ann", role, "t1")
    world.assign("user:bob", role, "t1")
    answer = world.bulk(
        [
            wish_of("user:ann", role, "t1"),
            wish_of("user:ann", role, "t1"),
            wish_of("user:cat", role, "t2"),
            wish_of("user:cat", role, "t2", expires=clock.now_ms + 5_000),
        ],
        [wish_of("user:ann", role, "t1"), wish_of("user:zoe", role)],
    )
    assert [
        ("write", 0, "created"),
        ("write", 1, "existing"),
        ("write", 2, "created"),
        ("write", 3, "replaced"),
        ("delete", 0, "deleted"),
        ("delete", 1, "absent"),
    ] == statuses(answer)
    assert (2, 2, 1, 1, 0) == counts(answer)
    assert 3 == len(world.assignments())
    assert world.can("user:ann", "documents:read", tenant="t1")


def test_what_was_taken_away_last_is_no_longer_listed(world):
    role = world.reader()
    wishes = [wish_of(f"user:u{n}", role, f"t{n % 3}") for n in range(30)]
    world.bulk(wishes)
    world.bulk([wish_of("user:new", role, "t0")], wishes)
    (only,) = world.assignments()
    assert ("user:new", "t0") == (str(only.holder), only.scope.tenant)
    assert not world.can("user:u1", "documents:read", tenant="t1")


def test_a_dry_run_foretells_and_changes_nothing(world, clock):
    role = world.reader()
    world.assign("user:ann", role, "t1")
    wishes = [
        wish_of("user:ann", role, "t1", expires=clock.now_ms + 1_000),
        wish_of("user:bob", role, path="documents/*/x"),
        wish_of("user:ann", "role_nope", "t1"),
    ]
    away = [wish_of("user:ann", role), wish_of("user:ann", role, "t1")]
    before, events = world.assignments(), len(world.events())
    dry = world.bulk(wishes, away, dry_run=True, on_error="continue")
    assert (before, events) == (world.assignments(), len(world.events()))
    real = world.bulk(wishes, away, on_error="continue")
    assert (True, False) == (dry.bulk.dry_run, real.bulk.dry_run)
    assert (counts(dry), statuses(dry)) == (counts(real), statuses(real))


def test_all_findings_are_told_and_nothing_is_written(world, clock):
    role, own = world.reader(), world.reader("own", tenant="t1")
    with pytest.raises(ValidationError, match="9 invalid items") as caught:
        world.bulk(
            [
                wish_of("user:ann", role, "t1"),
                wish_of("user:*", role, "t1"),
                wish_of("user:ann", "role_nope"),
                wish_of("user:ann", own, "t2"),
                wish_of("user:ann", role, "t1", "documents"),
                wish_of("user:ann", role, path="a b"),
                wish_of("user:ann", role, expires=clock.now_ms),
                MalformedError("no", field="user_id"),
            ],
            [wish_of("user:ann", "role_nope"), wish_of("usr:ann", role)],
        )
    assert [
        "assign[1].subject",
        "assign[2].roleId",
        "assign[3].tenantId",
        "assign[4].scope",
        "assign[5].scope",
        "assign[6].expiresAt",
        "assign[7].user_id",
        "unassign[0].roleId",
        "unassign[1].subject",
    ] == list(caught.value.findings)
    assert [] == world.assignments()


def test_on_error_continue_applies_the_rest(world):
    role = world.reader()
    wishes = [wish_of(f"user:u{n}", role if n % 2 else "role_nope") for n in range(6)]
    answer = world.bulk(wishes, [MalformedError("x")], on_error="continue", results="errors")
    assert (3, 0, 0, 0, 4) == counts(answer)
    assert [("write", 0), ("write", 2), ("write", 4), ("delete", 0)] == [
        (each.operation, each.index) for each in answer.bulk.results
    ]
    assert "assign[2].roleId" == answer.bulk.results[1].error.field
    assert 3 == len(world.assignments())


def test_without_any_role_every_item_fails(services, empty):
    world = RoleWorld(services, empty)
    answer = world.bulk([wish_of("user:ann", "role_x")], on_error="continue")
    assert (0, 0, 0, 0, 1) == counts(answer)
    assert (0, 0, 0, 0, 0) == counts(world.bulk([]))


def test_thousands_in_one_commit(world):
    role = world.reader()
    wishes = [wish_of(f"user:u{n}", role, f"t{n % 10}") for n in range(5_000)]
    assert (5_000, 0, 0, 0, 0) == counts(world.bulk(wishes, results="errors"))
    assert 5_000 == world.services.roles.get(world.caller, role.id).user_count
    assert (0, 0, 0, 5_000, 0) == counts(world.bulk([], wishes, results="errors"))
    assert [] == world.assignments()


@pytest.mark.parametrize("name", ["assign", "unassign"])
def test_one_call_has_a_limit(tmp_path, clock, name):
    store = open_store(tmp_path / "few", clock_ms=clock)
    services = Services.build(store, limits=Limits(bulk_assignments_max=2), clock_ms=clock)
    try:
        world = RoleWorld.new(services, services.local_caller())
        role = world.reader()
        wishes = [wish_of(f"user:u{n}", role) for n in range(3)]
        given = {"assign": [], "unassign": []} | {name: wishes}
        with pytest.raises(LimitError, match="this one has 3") as caught:
            services.assignments.bulk(world.caller, BulkAssignment(**given))
        assert ("bulk_assignments_max", 2, name) == (
            caught.value.limit,
            caught.value.value,
            caught.value.field,
        )
        assert [] == world.assignments()
    finally:
        services.close()


def test_a_role_that_goes_before_the_commit_spoils_its_items_only(world):
    role, gone = world.reader("Stays"), world.reader("Goes")
    request = BulkAssignment(
        assign=[wish_of("user:ann", role), wish_of("user:ann", gone)],
        unassign=[],
        on_error="continue",
    )
    with held_writer(world.services.store):
        deleted = world.services.roles.delete(world.caller, gone.id)
        late = world.services.assignments.bulk(world.caller, request)
    deleted.result()
    assert ["created", "failed"] == [each.status for each in late.result().bulk.results]
    assert [role.id] == [each.role_id for each in world.assignments()]


def test_a_tenants_caller_stays_in_its_tenant(world):
    role = world.reader()
    world.assign("user:ann", role, "t2")
    inside = world.in_tenant("t1")
    answer = inside.bulk(
        [
            wish_of("user:ann", role),
            wish_of("user:bob", role, "t1"),
            wish_of("user:ann", role, "t2"),
            wish_of("user:ann", role, path="documents"),
        ],
        [wish_of("user:ann", role, "t2")],
        on_error="continue",
    )
    assert ["created", "created", "failed", "failed", "failed"] == [
        each.status for each in answer.bulk.results
    ]
    assert ["t1", "t1"] == [each.scope.tenant for each in inside.assignments()]
    assert 1 == len(world.assignments("t2"))
    with pytest.raises(ValidationError) as caught:
        inside.bulk([wish_of("user:ann", role, "t2")])
    assert ["assign[0]"] == list(caught.value.findings)


def test_what_holds_everywhere_is_warned_about_once(world):
    role = world.reader()
    assert () == world.bulk([wish_of("user:ann", role)]).warnings
    answer = world.bulk([wish_of("user:ann", role), wish_of("user:ann", role, "t1")])
    assert (APP_WIDE_GRANT,) == answer.warnings
    assert () == world.bulk([wish_of("user:ann", role, "t1")], [wish_of("user:b", role)]).warnings


def test_a_call_leaves_one_summary_each_way(world):
    role = world.reader()
    before = len(world.events())
    world.bulk([wish_of(f"user:u{n}", role, "t1") for n in range(9)])
    world.bulk([wish_of("user:new", role)], [wish_of("user:u1", role, "t1")])
    world.bulk([wish_of("user:new", role)], [wish_of("user:u1", role, "t1")])
    events = world.events()[before:]
    assert [
        ("role.assigned", None, {"assignments": 9}),
        ("role.unassigned", {"assignments": 1}, None),
        ("role.assigned", None, {"assignments": 1}),
    ] == [(each["action"], each["before"], each["after"]) for each in events]
    assert events[1]["batchId"] == events[2]["batchId"] != events[0]["batchId"]


def test_a_repeated_call_is_answered_like_the_first_time(world):
    role = world.reader()
    again = Idempotent("once", b"first", lambda answer: (200, b"%d" % answer.bulk.created))
    first = world.bulk([wish_of("user:ann", role)], idempotency=again)
    assert 1 == first.bulk.created
    world.unassign("user:ann", role)
    assert Replay(200, b"1") == world.bulk([wish_of("user:ann", role)], idempotency=again)
    assert [] == world.assignments()
    with pytest.raises(IdempotencyError):
        world.bulk([], idempotency=Idempotent("once", b"other", again.render))

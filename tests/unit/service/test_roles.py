"""Roles: global and of tenants, their names, what they flatten to, who has them."""

from __future__ import annotations

import pytest

from tests.unit.service.conftest import held_writer
from tests.unit.service.role_world import CATALOG, RoleWorld, pages, wish_of
from zeratul.domain.limits import Limits
from zeratul.errors import (
    AlreadyExistsError,
    ForbiddenError,
    InUseError,
    LimitError,
    MalformedError,
    NotFoundError,
    PreconditionError,
    TenantScopeError,
    UnknownNameError,
)
from zeratul.service.ground.answers import Page
from zeratul.service.ground.stored_model import read_rules
from zeratul.service.roles import role_reading
from zeratul.service.roles.role_answers import Labelled
from zeratul.service.services import Services
from zeratul.store.lmdb import open_store


@pytest.fixture
def world(services, empty):
    return RoleWorld.new(services, empty)


def change(world, role, tenant=None, *, if_match=None, **parts):
    return world.services.roles.update(
        world.caller, role.id, Labelled(**parts), tenant, if_match=if_match
    ).result()


def delete(world, role, tenant=None, **more):
    return world.services.roles.delete(world.caller, role.id, tenant, **more).result()


def get(world, role, tenant=None):
    return world.services.roles.get(world.caller, role.id, tenant)


def names(rows):
    return [each.name for each in rows]


def test_a_role_is_made_as_it_was_given(world, clock):
    reading = world.policy("reading", "documents:read", "reports:read")
    all_of = world.policy("all", "reports:*")
    made = world.role("Analyst", reading, all_of, reading)
    assert made.id.startswith("role_")
    assert ("Analyst", None, 0) == (made.name, made.tenant_id, made.user_count)
    assert (reading.id, all_of.id) == made.policy_ids
    assert ("documents:read", "reports:export", "reports:read") == made.permissions
    assert clock.now_ms == made.created_at_ms == made.updated_at_ms
    assert made == get(world, made)
    assert "t1" == world.role("Analyst", tenant="t1").tenant_id


def test_the_first_role_of_an_application_makes_room_for_them(world):
    store, caller = world.services.store, world.caller
    with store.snapshot() as snapshot:
        assert not read_rules(snapshot, caller.application).roles
    with held_writer(store):  # The second one meets rules that moved, and is tried again.
        both = [world.services.roles.create(caller, Labelled(name, "", [])) for name in ("a", "b")]
    assert ["a", "b"] == sorted(names([each.result() for each in both]))
    with store.snapshot() as snapshot:
        rules = read_rules(snapshot, caller.application)
    assert rules.roles
    assert list(CATALOG) == list(rules.catalog.resources)
    world.role("c")
    with store.snapshot() as snapshot:
        assert rules == read_rules(snapshot, caller.application)


def test_roles_need_no_catalog_and_no_model(services, empty):
    world = RoleWorld(services, empty)
    role = world.role("first")
    world.assign("user:ann", role)
    assert 1 == get(world, role).user_count
    assert [] == world.held("user:ann")


def test_a_name_is_unique_in_its_tenant_and_among_global_roles(world):
    for tenant in (None, "t1", "t2"):
        world.role("Manager", tenant=tenant)
        with pytest.raises(AlreadyExistsError):
            world.role("Manager", tenant=tenant)
    other = world.role("Other", tenant="t1")
    with pytest.raises(AlreadyExistsError, match="in tenant `t1`"):
        change(world, other, name="Manager")
    change(world, other, name="Chief")
    world.role("Other", tenant="t1")
    delete(world, other)
    world.role("Chief", tenant="t1")


def test_roles_of_one_name_in_two_tenants_are_two_roles(world):
    reading, editing = (
        world.policy("read", "documents:read"),
        world.policy("edit", "documents:update"),
    )
    one = world.role("Manager", reading, tenant="t1")
    two = world.role("Manager", editing, tenant="t2")
    world.assign("user:ann", one, "t1")
    world.assign("user:ann", two, "t2")
    for tenant, permission, allowed in (
        ("t1", "documents:read", True),
        ("t1", "documents:update", False),
        ("t2", "documents:read", False),
        ("t2", "documents:update", True),
        ("t3", "documents:read", False),
        (None, "documents:read", False),
        (None, "documents:update", False),
    ):
        assert allowed == world.can("user:ann", permission, tenant=tenant)


def test_an_unknown_policy_is_named(world):
    known = world.policy("known")
    with pytest.raises(UnknownNameError, match="pol_nope") as caught:
        world.role("r", known, "pol_nope")
    assert "policyIds[1]" == caught.value.field
    with pytest.raises(UnknownNameError) as caught:
        world.role("r", "known")
    assert known.id == caught.value.suggestion
    role = world.role("r", known)
    with pytest.raises(UnknownNameError):
        change(world, role, content=["pol_nope"])
    assert (known.id,) == get(world, role).policy_ids


def test_a_change_leaves_alone_what_it_does_not_name(world, clock):
    first, second = world.policy("p", "documents:read"), world.policy("q", "reports:read")
    made = world.role("r", first)
    world.assign("user:ann", made)
    clock.now_ms += 1_000
    renamed = change(world, made, name="s", description="d")
    assert ("s", "d", (first.id,), 1) == (
        renamed.name,
        renamed.description,
        renamed.policy_ids,
        renamed.user_count,
    )
    assert (made.created_at_ms, clock.now_ms) == (renamed.created_at_ms, renamed.updated_at_ms)
    swapped = change(world, made, content=[second.id])
    assert ("s", ("reports:read",)) == (swapped.name, swapped.permissions)
    assert 3 == len({made.etag, renamed.etag, swapped.etag})
    assert not world.can("user:ann", "documents:read")
    assert world.can("user:ann", "reports:read")


def test_what_changes_nothing_is_no_change(world, clock):
    made = world.reader()
    before = len(world.events())
    clock.now_ms += 1_000
    same = change(world, made, name=made.name, content=list(made.policy_ids))
    assert (made.etag, made.updated_at_ms) == (same.etag, same.updated_at_ms)
    assert before == len(world.events())


def test_a_change_of_what_was_seen_only(world):
    made = world.role("r")
    changed = change(world, made, name="s", if_match=made.etag)
    with pytest.raises(PreconditionError):
        change(world, made, name="t", if_match=made.etag)
    with pytest.raises(PreconditionError):
        delete(world, made, if_match=made.etag)
    assert "s" == get(world, made).name
    delete(world, made, if_match=changed.etag)


def test_a_role_has_a_limit_of_policies(tmp_path, clock):
    store = open_store(tmp_path / "few", clock_ms=clock)
    services = Services.build(store, limits=Limits(role_policies_max=1), clock_ms=clock)
    try:
        world = RoleWorld.new(services, services.local_caller())
        one, two = world.policy("a"), world.policy("b")
        role = world.role("r", one, one)
        for call in (
            lambda: world.role("s", one, two),
            lambda: change(world, role, content=[one.id, two.id]),
        ):
            with pytest.raises(LimitError) as caught:
                call()
            assert "role_policies_max" == caught.value.limit
    finally:
        services.close()


@pytest.mark.parametrize("tenant", ["", "*", "x" * 1_025, " t", "a#b", "a\x00"])
def test_a_tenant_id_keeps_the_rules_of_ids(world, tenant):
    for call in (
        lambda: world.role("r", tenant=tenant),
        lambda: world.roles(tenant),
        lambda: world.services.roles.get(world.caller, "role_x", tenant),
    ):
        with pytest.raises(MalformedError) as caught:
            call()
        assert "tenantId" == caught.value.field


def test_a_role_is_seen_where_it_can_be_assigned(world):
    everywhere = world.role("everywhere")
    one, two = world.role("one", tenant="t/1"), world.role("two", tenant="t2")
    assert {"everywhere", "one", "two"} == set(names(world.roles()))
    assert ["everywhere"] == names(world.roles(is_global=True))
    assert {"one", "two"} == set(names(world.roles(is_global=False)))
    assert ["everywhere", "one"] == names(world.roles("t/1"))
    assert ["one"] == names(world.roles("t/1", is_global=False))
    assert ["everywhere"] == names(world.roles("t/1", is_global=True))
    assert ["everywhere"] == names(world.roles("nobody"))
    inside = world.in_tenant("t2")
    assert ["everywhere", "two"] == names(inside.roles()) == names(inside.roles("t2"))
    assert ["two"] == names(inside.roles(is_global=False))
    for caller, role, tenant in ((world, two, "t/1"), (inside, one, None), (inside, one, "t2")):
        with pytest.raises(NotFoundError):
            get(caller, role, tenant)
    with pytest.raises(NotFoundError, match="no tenant"):
        inside.roles("t/1")
    assert everywhere.id == get(inside, everywhere).id == get(world, everywhere, "t2").id


def test_a_tenant_changes_its_own_roles_only(world):
    everywhere, other = world.role("everywhere"), world.role("other", tenant="t2")
    inside = world.in_tenant("t1")
    policy = world.policy("p", "documents:read")
    own = inside.role("own", policy, tenant="t1")
    assert "named" == change(inside, own, name="named").name
    assert "again" == change(inside, own, "t1", name="again").name
    with pytest.raises(TenantScopeError, match="global roles"):
        inside.role("everyone's")
    for call in (
        lambda: change(inside, everywhere, name="x"),
        lambda: delete(inside, everywhere),
        lambda: change(inside, everywhere, "t1", name="x"),
    ):
        with pytest.raises(TenantScopeError, match="global roles"):
            call()
    for call in (
        lambda: change(inside, other, name="x"),
        lambda: delete(inside, other, force=True),
        lambda: change(inside, own, "t2", name="x"),
        lambda: inside.role("x", tenant="t2"),
    ):
        with pytest.raises(NotFoundError):
            call()
    delete(inside, own, "t1")
    assert {"everywhere", "other"} == set(names(world.roles()))


def test_a_global_role_is_not_changed_under_a_tenant(world):
    everywhere = world.role("everywhere")
    for call in (
        lambda: change(world, everywhere, "t1", name="x"),
        lambda: delete(world, everywhere, "t1"),
    ):
        with pytest.raises(NotFoundError) as caught:
            call()
        assert "global" in caught.value.help


def test_users_are_counted_once_and_only_themselves(world, clock):
    role = world.reader()
    world.assign("user:ann", role)
    world.assign("user:ann", role, "t1")
    world.assign("user:ann", role, path="documents/a")
    world.assign("user:bob", role, "t1")
    world.assign("user:eve", role, "t2", expires=clock.now_ms + 1_000)
    world.assign("group:eng#member", role)
    world.assign("client:c", role)
    assert 3 == get(world, role).user_count
    assert [3] == [each.user_count for each in world.roles()]
    clock.now_ms += 1_000
    assert 2 == get(world, role).user_count


def test_in_a_tenant_its_own_users_are_counted(world):
    role = world.reader()
    inside = world.in_tenant("t1")
    assert 0 == get(inside, role).user_count
    for n in range(3):
        world.assign(f"user:u{n}", role, "t2")
    world.assign("user:everywhere", role)
    world.assign("user:ann", role, "t1")
    assert 1 == get(inside, role).user_count == get(world, role, "t1").user_count
    assert [1] == [each.user_count for each in inside.roles()]
    assert 5 == get(world, role).user_count


def test_a_role_in_use_is_deleted_by_force_only(world):
    role, kept = world.reader(), world.reader("Kept")
    world.assign("user:ann", role)
    world.assign("user:ann", role, "t1")
    world.assign("group:eng#member", role, path="documents/a/b")
    world.assign("user:ann", kept, "t1")
    with pytest.raises(InUseError, match="3 assignments") as caught:
        delete(world, role)
    assert {"assignments": {"user": 2, "group#member": 1}} == caught.value.references
    assert world.can("user:ann", "documents:read")
    delete(world, role, force=True)
    assert not world.can("user:ann", "documents:read")
    assert world.can("user:ann", "documents:read", tenant="t1")
    assert [kept.id] == [each.role_id for each in world.assignments()]
    with pytest.raises(NotFoundError):
        get(world, role)
    with pytest.raises(NotFoundError):
        delete(world, role, force=True)


def test_who_lost_a_role_to_its_expiry_does_not_hold_it_back(world, clock):
    role = world.reader()
    world.assign("user:ann", role, expires=clock.now_ms + 1_000)
    with pytest.raises(InUseError):
        delete(world, role)
    clock.now_ms += 1_000
    delete(world, role)
    assert [] == world.roles()


def test_an_assignment_that_comes_first_is_not_overlooked(world):
    role = world.reader()
    with held_writer(world.services.store):
        world.services.assignments.assign(world.caller, wish_of("user:ann", role))
        refused = world.services.roles.delete(world.caller, role.id)
    with pytest.raises(InUseError):
        refused.result()
    assert world.can("user:ann", "documents:read")


def test_more_than_one_commit_should_hold_is_refused(tmp_path, clock):
    store = open_store(tmp_path / "few", clock_ms=clock)
    services = Services.build(store, limits=Limits(role_unassign_max=2), clock_ms=clock)
    try:
        world = RoleWorld.new(services, services.local_caller())
        role = world.reader()
        for n in range(3):
            world.assign(f"user:u{n}", role, f"t{n}")
        with pytest.raises(LimitError) as caught:
            delete(world, role, force=True)
        assert ("role_unassign_max", 2) == (caught.value.limit, caught.value.value)
        world.unassign("user:u0", role, "t0")
        delete(world, role, force=True)
    finally:
        services.close()


def test_a_list_goes_on_while_others_write(world):
    first = [world.role(f"r{n}", tenant=f"t{n % 3}" if n % 2 else None) for n in range(10)]
    page = world.services.roles.list(world.caller, page=Page(4))
    seen = [each.id for each in page.rows]
    gone = next(each for each in first if each.id not in seen)
    delete(world, gone)
    later = {world.role(f"later{n}", tenant="t1" if n % 2 else None).id for n in range(10)}
    rest = pages(
        lambda each: world.services.roles.list(
            world.caller, page=each if each.cursor else Page(each.size, page.next_cursor)
        )
    )
    found = seen + [each.id for each in rest]
    assert sorted(each.id for each in first if each is not gone) == sorted(found)
    assert not later & set(found)


@pytest.mark.parametrize("bound", ["_PAGE_GRANTS_MAX", "_PAGE_PERMISSIONS_MAX"])
def test_a_page_of_costly_roles_ends_early_and_goes_on(world, monkeypatch, bound):
    monkeypatch.setattr(role_reading, bound, 1)
    policy = world.policy("p", "documents:read", "reports:read")
    roles = [world.role(f"r{n}", policy) for n in range(5)]
    for role in roles:
        world.assign("user:ann", role)
        world.assign("user:ann", role, "t1")
    page = world.services.roles.list(world.caller, page=Page(5))
    assert 1 == len(page.rows)
    assert sorted(each.id for each in roles) == sorted(each.id for each in world.roles())


def test_every_call_needs_its_permission(world):
    role = world.role("r")
    weak = world.as_(permissions=frozenset({"policies:*", "assignments:*"}))
    for call, permission in (
        (lambda: get(weak, role), "roles:read"),
        (weak.roles, "roles:read"),
        (lambda: weak.role("q"), "roles:write"),
        (lambda: change(weak, role, name="q"), "roles:write"),
        (lambda: delete(weak, role), "roles:write"),
    ):
        with pytest.raises(ForbiddenError) as caught:
            call()
        assert permission == caught.value.permission


def test_every_change_leaves_an_event(world):
    role = world.reader(tenant="t1")
    change(world, role, name="Renamed")
    world.assign("user:ann", role, "t1")
    delete(world, role, force=True)
    events = [each for each in world.events() if each["target"] == {"type": "role", "id": role.id}]
    assert ["role.created", "role.updated", "role.assigned", "role.deleted"] == [
        each["action"] for each in events
    ]
    assert {"t1"} == {each["tenantId"] for each in events}
    assert ("Reader", "Renamed") == (events[1]["before"]["name"], events[1]["after"]["name"])
    assert "ann" == events[2]["userId"]
    assert 1 == events[3]["before"]["assignments"]
    assert events[3]["batchId"] is not None

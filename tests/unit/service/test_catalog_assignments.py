"""Role assignments on paths of a resource go with it, and with nothing else."""

from __future__ import annotations

import pytest

from tests.unit.service.conftest import held_writer
from tests.unit.service.role_world import CATALOG, RoleWorld, wish_of
from zeratul.domain.limits import Limits
from zeratul.errors import InUseError, LimitError
from zeratul.service.roles import stored_grants
from zeratul.service.roles.role_answers import Labelled
from zeratul.service.rules import catalog_assignments
from zeratul.service.rules.catalog_answers import ResourceRequest
from zeratul.service.services import Services
from zeratul.store.lmdb import open_store


@pytest.fixture
def world(services, caller):
    """Its role reads documents and reports, and rests on offices by nothing but paths."""
    return RoleWorld.new(services, caller)


@pytest.fixture
def role(world):
    return world.role("Reader", world.policy("reading", "documents:read", "reports:read"))


def remove(world, name, **more):
    return world.services.catalog.remove(world.caller, name, **more).result()


def held_paths(world):
    return sorted((str(each.holder), each.scope.path) for each in world.assignments())


def test_assignments_on_its_paths_are_counted_and_refused(world, role):
    world.assign("user:ann", role, path="offices")
    world.assign("user:bob", role, path="offices/o1/desk")
    world.assign("group:staff#member", role, path="offices/o1")
    world.assign("user:ann", role, path="documents/d1")
    with pytest.raises(InUseError) as caught:
        remove(world, "offices")
    counts = {"assignments": {"user": 2, "group#member": 1}}
    assert counts == caught.value.references
    dry = remove(world, "offices", dry_run=True)
    assert (counts, True) == (dry.references, dry.dry_run)
    assert 4 == len(world.assignments())


def test_forced_it_takes_them_along_and_no_others(world, role):
    for path in ("offices", "offices/o1/desk", "offices:x/o1", "officesX", "documents/offices"):
        world.assign("user:ann", role, path=path)
    world.assign("user:bob", role, path="offices/o1")
    world.assign("user:ann", role, path="*")
    world.assign("user:ann", role, path="*/o1")
    world.assign("user:ann", role, tenant="offices")
    assert {"assignments": {"user": 3}} == remove(world, "offices", force=True).references
    assert [
        ("user:ann", ()),
        ("user:ann", ()),
        ("user:ann", ("*", "o1")),
        ("user:ann", ("documents", "offices")),
        ("user:ann", ("offices:x", "o1")),
        ("user:ann", ("officesX",)),
    ] == held_paths(world)
    [event] = world.events(action="resource.deleted")
    assert {"assignments": {"user": 3}} == event["after"]["references"]
    assert event["batchId"] is not None


def test_nobody_has_it_back_when_the_name_is_declared_again(world, role):
    """What a deletion leaves behind must not be a yes again later."""
    world.assign("user:ann", role, path="documents/d1")
    assert world.can("user:ann", "documents:read")
    remove(world, "documents", force=True)
    world.declare(CATALOG)
    again = world.role("Again", world.policy("again", "documents:read"))
    [policy] = [each for each in world.policies() if each.name == "reading"]
    given = Labelled(None, None, ["documents:read"])
    world.services.policies.update(world.caller, policy.id, given).result()
    assert not world.can("user:ann", "documents:read")
    world.assign("user:ann", again, path="documents/d1")
    assert world.can("user:ann", "documents:read")


def test_a_renamed_resource_is_met_where_its_paths_are_stored(world, role):
    world.assign("user:ann", role, path="offices/o1")
    world.services.catalog.rename_resource(world.caller, "offices", "rooms").result()
    world.services.catalog.put_one(world.caller, ResourceRequest("offices", "", ["read"])).result()
    world.assign("user:bob", role, path="offices/o1")
    assert {"assignments": {"user": 1}} == remove(world, "rooms", force=True).references
    assert [("user:bob", ("offices", "o1"))] == held_paths(world)


def test_a_replaced_catalog_takes_them_of_all_that_went(world, role):
    for path in ("offices/o1", "reports/r1", "documents/d1"):
        world.assign("user:ann", role, path=path)
    left = {"documents": CATALOG["documents"]}
    with pytest.raises(InUseError) as caught:
        world.declare(left)
    assert {"user": 2} == caught.value.references["assignments"]
    world.declare(left, force=True)
    assert [("user:ann", ("documents", "d1"))] == held_paths(world)


def test_one_made_meanwhile_is_met_in_the_transaction(world, role):
    assert {} == remove(world, "offices", dry_run=True).references
    with held_writer(world.services.store):
        assigned = world.services.assignments.assign(
            world.caller, wish_of("user:ann", role, path="offices/o1")
        )
        refused = world.services.catalog.remove(world.caller, "offices")
    assigned.result()
    with pytest.raises(InUseError) as caught:
        refused.result()
    assert {"assignments": {"user": 1}} == caught.value.references
    assert 1 == len(world.assignments())


def test_what_expired_is_no_reference(world, role, clock):
    world.assign("user:ann", role, path="offices/o1", expires=clock.now_ms + 1_000)
    clock.now_ms += 1_000
    assert {} == remove(world, "offices").references


def test_without_any_role_nothing_is_looked_for(world):
    assert {} == remove(world, "offices").references


def test_they_are_found_in_chunks(world, role, monkeypatch):
    for module in (catalog_assignments, stored_grants):
        monkeypatch.setattr(module, "CHUNK_ROWS", 2)
    for n in range(7):
        world.assign("user:ann", role, path=f"offices/o{n}")
        world.assign("user:ann", role, path=f"documents/d{n}")
        world.assign(f"user:u{n}", role, path="offices/o1")
    assert {"user": 14} == remove(world, "offices", dry_run=True).references["assignments"]
    assert {"user": 14} == remove(world, "offices", force=True).references["assignments"]
    assert 7 == len(world.assignments())


def test_more_than_one_commit_should_hold_is_refused(tmp_path, clock):
    store = open_store(tmp_path / "few", clock_ms=clock)
    services = Services.build(store, limits=Limits(role_unassign_max=2), clock_ms=clock)
    try:
        world = RoleWorld.new(services, services.local_caller())
        role = world.reader()
        for n in range(3):
            world.assign(f"user:u{n}", role, path=f"offices/o{n}")
        with pytest.raises(LimitError) as caught:
            remove(world, "offices", force=True)
        assert ("role_unassign_max", 2) == (caught.value.limit, caught.value.value)
        assert 3 == len(world.assignments())
        world.unassign("user:u0", role, path="offices/o0")
        remove(world, "offices", force=True)
    finally:
        services.close()


def test_forced_it_takes_one_made_meanwhile_along(world, role):
    world.assign("user:bob", role, path="offices")
    with held_writer(world.services.store):
        assigned = world.services.assignments.assign(
            world.caller, wish_of("user:ann", role, path="offices/o1")
        )
        removed = world.services.catalog.remove(world.caller, "offices", force=True)
    assigned.result()
    assert {"assignments": {"user": 2}} == removed.result().references
    assert [] == world.assignments()


def test_one_taken_away_meanwhile_is_not_counted(world, role):
    world.assign("user:bob", role, path="offices")
    with held_writer(world.services.store):
        unassigned = world.services.assignments.unassign(
            world.caller, wish_of("user:bob", role, path="offices")
        )
        removed = world.services.catalog.remove(world.caller, "offices", force=True)
    assert 1 == unassigned.result().deleted
    assert {} == removed.result().references

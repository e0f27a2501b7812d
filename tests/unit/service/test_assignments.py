"""Assignments: who has which role where, for how long, and what that comes to in checks."""

from __future__ import annotations

import pytest

from tests.builders import subject
from tests.unit.service.conftest import held_writer
from tests.unit.service.role_world import CATALOG, RoleWorld, wish_of
from zeratul.domain.scopes import Scope
from zeratul.errors import (
    ForbiddenError,
    InputError,
    MalformedError,
    NotFoundError,
    SubjectNotAllowedError,
    TenantScopeError,
    UnknownNameError,
    ValidationError,
)
from zeratul.service.roles.role_answers import APP_WIDE_GRANT
from zeratul.service.roles.stored_grants import grant_form, grants_of_role, grants_of_scope

ANN = "user:ann"


@pytest.fixture
def world(services, empty):
    return RoleWorld.new(services, empty)


def unassign_id(world, assignment_id, inside=None):
    return world.services.assignments.unassign_id(world.caller, assignment_id, inside).result()


def test_an_assignment_is_made_once(world, clock):
    role = world.reader()
    made = world.assign(ANN, role, "t1")
    assert made.created
    assert (subject(ANN), role.id, Scope("t1", ()), None, clock.now_ms) == made.assignment[1:]
    assert made.assignment.id.startswith("asg_")
    clock.now_ms += 1_000
    again = world.assign(ANN, role, "t1")
    assert not again.created
    assert (made.assignment, made.zookie) == (again.assignment, again.zookie)
    assert [made.assignment] == world.assignments()


def test_assigning_again_replaces_the_expiry(world, clock):
    role = world.reader()
    lasting = world.assign(ANN, role)
    brief = world.assign(ANN, role, expires=clock.now_ms + 1_000)
    assert (False, clock.now_ms + 1_000) == (brief.created, brief.assignment.expires_at_ms)
    assert lasting.assignment.id == brief.assignment.id
    assert [brief.assignment.expires_at_ms] == [each.expires_at_ms for each in world.assignments()]
    events = world.events(user_id="ann")
    assert ["role.assigned", "role.assigned"] == [each["action"] for each in events]
    assert events[1]["before"]["expiresAt"] is None
    assert events[1]["after"]["expiresAt"] is not None


def test_an_assignment_ends_at_its_time(world, clock):
    role = world.reader()
    world.assign(ANN, role, "t1", expires=clock.now_ms + 1_000)
    world.assign("user:bob", role, "t1")
    assert world.can(ANN, "documents:read", tenant="t1")
    assert ["documents:read"] == world.held(ANN, "t1")
    clock.now_ms += 999
    assert world.can(ANN, "documents:read", tenant="t1")
    clock.now_ms += 1
    assert not world.can(ANN, "documents:read", tenant="t1")
    assert world.can("user:bob", "documents:read", tenant="t1")
    assert [] == world.held(ANN, "t1")
    assert [subject("user:bob")] == [each.holder for each in world.assignments()]
    assert 0 == world.unassign(ANN, role, "t1")
    with pytest.raises(InputError, match="in the past") as caught:
        world.assign(ANN, role, expires=clock.now_ms)
    assert "expiresAt" == caught.value.field
    assert world.assign(ANN, role, "t1").created
    assert world.can(ANN, "documents:read", tenant="t1")


def test_revocation_is_effective_on_the_next_check(world):
    role = world.reader()
    for take in (
        lambda made: world.unassign(ANN, role, "t1"),
        lambda made: unassign_id(world, made.assignment.id),
        lambda made: unassign_id(world, made.assignment.id, "t1"),
        lambda made: world.bulk([], [wish_of(ANN, role, "t1")]),
        lambda made: world.services.tenants.remove_member(world.caller, "t1", "ann").result(),
    ):
        made = world.assign(ANN, role, "t1")
        assert world.can(ANN, "documents:read", tenant="t1")
        take(made)
        assert not world.can(ANN, "documents:read", tenant="t1")
        assert [] == world.assignments()


def test_taking_away_what_is_not_there_changes_nothing(world):
    role = world.reader()
    made = world.assign(ANN, role, "t1")
    before = len(world.events())
    assert 0 == world.unassign(ANN, role)
    assert 0 == world.unassign(ANN, role, "t2")
    assert 0 == world.unassign(ANN, role, path="documents")
    assert 0 == world.unassign("user:bob", role, "t1")
    assert before == len(world.events())
    for name in (
        "asg_",
        "asg_xx",
        "asg_????????????????",
        "asg_AAAAAAAAAAAAAAAA",
        "asg_________________",
        made.assignment.id[4:],
        made.assignment.id + "A",
        made.assignment.id.swapcase(),
        "asg_ÄÖÜ",
    ):
        with pytest.raises(NotFoundError):
            unassign_id(world, name)
    with pytest.raises(NotFoundError):
        unassign_id(world, made.assignment.id, "t2")
    assert [made.assignment] == world.assignments()
    unassign_id(world, made.assignment.id)
    with pytest.raises(NotFoundError):
        unassign_id(world, made.assignment.id)


def test_an_id_of_one_application_means_nothing_in_another(world):
    made = world.assign(ANN, world.reader())
    other = world.services.applications.create(world.caller, "other").result()
    elsewhere = RoleWorld.new(world.services, world.services.local_caller(other.id))
    with pytest.raises(NotFoundError):
        unassign_id(elsewhere, made.assignment.id)
    elsewhere.assign(ANN, elsewhere.reader())
    with pytest.raises(NotFoundError):
        unassign_id(elsewhere, made.assignment.id)
    assert world.can(ANN, "documents:read")


@pytest.mark.parametrize("who", ["user:u", "client:sc_1", "api_key:key_1", "group:g#member"])
def test_holders_may_be(world, who):
    role = world.reader()
    made = world.assign(who, role)
    assert subject(who) == made.assignment.holder
    assert world.can(who, "documents:read")
    assert [made.assignment] == world.assignments(subject=subject(who))
    assert 1 == world.unassign(who, role)


@pytest.mark.parametrize("who", ["user:*", "group:g", "documents:d1", "client:*", "group:*"])
def test_holders_may_not_be(world, who):
    role = world.reader()
    for call in (world.assign, world.unassign):
        with pytest.raises(SubjectNotAllowedError) as caught:
            call(who, role)
        assert "subject" == caught.value.field
        assert "`group#member`" in caught.value.help


@pytest.mark.parametrize("who", ["usr:u", "group:g#membr", "⟨grant⟩:x"])
def test_unknown_holders_are_named(world, who):
    role = world.reader()
    kind, _, rest = who.partition(":")
    name, _, relation = rest.partition("#")
    wish = wish_of(ANN, role)._replace(holder=subject(ANN)._replace(type=kind))
    wish = wish._replace(holder=wish.holder._replace(id=name, relation=relation))
    with pytest.raises(InputError) as caught:
        world.services.assignments.assign(world.caller, wish)
    assert "subject" == caught.value.field


def test_an_unknown_role_is_named(world):
    for call in (world.assign, world.unassign):
        with pytest.raises(UnknownNameError, match="role_nope") as caught:
            call(ANN, "role_nope")
        assert "roleId" == caught.value.field
    role = world.reader("By name")
    with pytest.raises(UnknownNameError) as caught:
        world.assign(ANN, "By name")
    assert role.id == caught.value.suggestion
    world.services.roles.delete(world.caller, role.id).result()
    with pytest.raises(UnknownNameError):
        world.assign(ANN, role)


def test_a_role_that_goes_before_the_commit_is_unknown(world):
    role = world.reader()
    with held_writer(world.services.store):
        gone = world.services.roles.delete(world.caller, role.id)
        late = world.services.assignments.assign(world.caller, wish_of(ANN, role))
    gone.result()
    with pytest.raises(UnknownNameError):
        late.result()
    assert [] == world.assignments()


# --- Where.


def test_a_role_holds_where_it_is_assigned(world):
    role = world.reader()
    world.assign("user:one", role, "t1")
    world.assign("user:all", role)
    world.assign("user:path", role, path="documents/d1")
    allowed = {
        (who, tenant): world.can(f"user:{who}", "documents:read", "d1", tenant)
        for who in ("one", "all", "path")
        for tenant in (None, "t1", "t2")
    }
    assert {
        ("one", None): False,
        ("one", "t1"): True,
        ("one", "t2"): False,
        ("all", None): True,
        ("all", "t1"): True,
        ("all", "t2"): True,
        ("path", None): True,
        ("path", "t1"): True,
        ("path", "t2"): True,
    } == allowed
    assert not world.can("user:path", "documents:read", "d2")


def test_a_tenants_role_is_assigned_in_its_tenant_only(world):
    role = world.reader(tenant="t1")
    world.assign(ANN, role, "t1")
    for tenant, path, field in (
        ("t2", None, "tenantId"),
        (None, None, "tenantId"),
        (None, "documents", "scope"),
        (None, "*", "tenantId"),
    ):
        with pytest.raises(InputError, match="belongs to tenant `t1`") as caught:
            world.assign(ANN, role, tenant, path)
        assert field == caught.value.field
    assert 1 == len(world.assignments())


def test_a_tenant_and_a_path_exclude_each_other(world):
    role = world.reader()
    with pytest.raises(ValidationError) as caught:
        world.assign(ANN, role, "t1", "documents")
    assert ["scope"] == list(caught.value.findings)
    with pytest.raises(ValidationError) as caught:
        world.assign(ANN, role, None, "documents", inside="t1")
    assert ["scope"] == list(caught.value.findings)
    with pytest.raises(ValidationError) as caught:
        world.assign(ANN, role, "t2", inside="t1")
    assert ["tenantId"] == list(caught.value.findings)
    assert Scope("t1", ()) == world.assign(ANN, role, "t1", inside="t1").assignment.scope


@pytest.mark.parametrize("path", ["", "a b", "a#b", "a//b", "a/b*", "a/\x00", "/".join("a" * 16)])
def test_a_path_keeps_the_rules(world, path):
    role = world.reader()
    with pytest.raises(InputError) as caught:
        world.assign(ANN, role, path=path)
    findings = getattr(caught.value, "findings", None)
    assert "scope" in (findings or {caught.value.field: 1})
    assert [] == world.assignments()


@pytest.mark.parametrize("path", ["documents", "/documents", "documents/", "documents/*"])
def test_spellings_of_one_path_are_one_scope(world, path):
    role = world.reader()
    world.assign(ANN, role, path="documents/*")
    assert not world.assign(ANN, role, path=path).created
    assert 1 == len(world.assignments(path=path))
    assert world.can(ANN, "documents:read", "a/b/c")
    assert ["documents:read"] == world.held(ANN)


def test_a_star_in_a_path_matches_one_segment(world):
    role = world.role("Worker", world.policy("enter", "offices:enter"))
    world.assign(ANN, role, path="offices/*/manufacturing")
    for name, allowed in (
        ("berlin/manufacturing", True),
        ("paris/manufacturing", True),
        ("paris/manufacturing/hall/3", True),
        ("paris", False),
        ("manufacturing", False),
        ("paris/x/manufacturing", False),
        ("paris/sales", False),
        ("*/manufacturing", True),
    ):
        assert allowed == world.can(ANN, "offices:enter", name), name
    assert [] == world.held(ANN)
    assert ["offices:enter"] == world.held(
        ANN, resource="offices", resource_id="rome/manufacturing"
    )


def test_everything_is_a_path_too(world):
    role = world.reader()
    for path in ("*", "/"):
        world.assign(ANN, role, path=path)
    (only,) = world.assignments()
    assert Scope(None, ()) == only.scope
    assert world.can(ANN, "documents:read")
    assert 1 == world.unassign(ANN, role)


def test_a_path_follows_its_renamed_resource(world):
    role = world.role("r", world.policy("all", "documents:*"))
    made = world.assign(ANN, role, path="documents/d1")
    world.services.catalog.rename_resource(world.caller, "documents", "files").result()
    assert world.can(ANN, "files:read", "d1")
    (found,) = world.assignments()
    assert (made.assignment.id, ("files", "d1")) == (found.id, found.scope.path)
    assert [found] == world.assignments(path="files/d1")
    assert [] == world.assignments(path="documents/d1")
    assert not world.assign(ANN, role, path="files/d1").created
    # A new resource of the old name has nothing to do with what was granted on the old one.
    world.declare({"files": CATALOG["documents"], "documents": ("read",)}, force=True)
    world.assign("user:bob", role, path="documents/d1")
    assert not world.can("user:bob", "files:read", "d1")
    assert 1 == world.unassign(ANN, role, path="files/d1")
    assert not world.can(ANN, "files:read", "d1")


def test_grants_that_nobody_holds_are_not_listed(world):
    role = world.reader()
    world.assign(ANN, role, "t1")
    world.assign("user:bob", role, "t1")

    def grants():
        with world.services.engine.view(world.caller.application) as view:
            form = grant_form(view)
            return (
                len(grants_of_role(view.snapshot, form, role.id)),
                len(grants_of_scope(view.snapshot, form, Scope("t1", ()))),
            )

    assert (1, 1) == grants()
    world.unassign(ANN, role, "t1")
    assert (1, 1) == grants()
    world.unassign("user:bob", role, "t1")
    assert (0, 0) == grants()
    world.assign(ANN, role, "t1")
    assert (1, 1) == grants()
    assert world.can(ANN, "documents:read", tenant="t1")


def test_a_role_comes_through_a_group_through_a_group(world):
    role = world.reader()
    world.join(
        "group:berlin#member@user:ann",
        "group:germany#member@group:berlin#member",
        "group:europe#member@group:germany#member",
    )
    world.assign("group:europe#member", role, "t1")
    assert world.can(ANN, "documents:read", tenant="t1")
    assert not world.can(ANN, "documents:read")
    assert not world.can("user:bob", "documents:read", tenant="t1")
    assert ["documents:read"] == world.held(ANN, "t1")
    world.services.relationships.delete(
        world.caller,
        world.services.relationships.by_subject(world.caller, subject(ANN)).rows[0].relationship,
    ).result()
    assert not world.can(ANN, "documents:read", tenant="t1")
    assert [] == world.held(ANN, "t1")


def test_what_holds_everywhere_is_warned_about_where_there_are_tenants(world):
    role = world.reader()
    assert () == world.assign(ANN, role).warnings
    assert () == world.assign(ANN, role, "t1").warnings
    assert (APP_WIDE_GRANT,) == world.assign("user:bob", role).warnings
    assert (APP_WIDE_GRANT,) == world.assign("user:bob", role, path="*").warnings
    assert () == world.assign("user:bob", role, path="documents").warnings
    made = world.services.applications.create(world.caller, "many", "multi_tenant").result()
    many = RoleWorld.new(world.services, world.services.local_caller(made.id))
    role = many.reader()
    assert (APP_WIDE_GRANT,) == many.assign(ANN, role).warnings
    assert () == many.assign(ANN, role, "t1").warnings


# --- Callers of one tenant.


def test_a_tenant_assigns_in_itself_only(world):
    role, foreign = world.reader(), world.reader("Foreign", tenant="t2")
    inside = world.in_tenant("t1")
    made = inside.assign(ANN, role)
    assert Scope("t1", ()) == made.assignment.scope
    assert () == made.warnings
    assert not inside.assign(ANN, role, "t1").created
    assert not inside.assign(ANN, role, "t1", inside="t1").created
    with pytest.raises(TenantScopeError, match="on a path"):
        inside.assign(ANN, role, path="documents")
    with pytest.raises(TenantScopeError, match="on a path"):
        inside.assignments(path="documents")
    for call in (
        lambda: inside.assign(ANN, role, "t2"),
        lambda: inside.assign(ANN, role, inside="t2"),
        lambda: inside.unassign(ANN, role, "t2"),
        lambda: inside.assignments("t2"),
        lambda: inside.assignments(tenant_id="t2"),
        lambda: inside.services.tenants.members(inside.caller, "t2"),
        lambda: inside.services.tenants.remove_member(inside.caller, "t2", "ann"),
    ):
        with pytest.raises(NotFoundError, match="t2"):
            call()
    for call in (inside.assign, inside.unassign):
        with pytest.raises(UnknownNameError):
            call(ANN, foreign)
    with pytest.raises(UnknownNameError):
        inside.assignments(role_id=foreign.id)


def test_a_tenant_takes_away_its_own_only(world):
    role = world.reader()
    everywhere = world.assign(ANN, role)
    other = world.assign(ANN, role, "t2")
    inside = world.in_tenant("t1")
    for made in (everywhere, other):
        with pytest.raises(NotFoundError):
            unassign_id(inside, made.assignment.id)
    assert 0 == inside.unassign(ANN, role)
    assert [] == inside.assignments()
    own = world.assign(ANN, role, "t1")
    assert [own.assignment] == inside.assignments() == inside.assignments("t1")
    unassign_id(inside, own.assignment.id)
    assert 2 == len(world.assignments())


def test_every_call_needs_its_permission(world):
    role = world.reader()
    made = world.assign(ANN, role, "t1")
    weak = world.as_(permissions=frozenset({"roles:*", "policies:*"}))
    tenants, assignments = world.services.tenants, world.services.assignments
    for call, permission in (
        (lambda: weak.assign(ANN, role), "assignments:write"),
        (lambda: weak.unassign(ANN, role), "assignments:write"),
        (lambda: weak.bulk([]), "assignments:write"),
        (lambda: unassign_id(weak, made.assignment.id), "assignments:write"),
        (weak.assignments, "assignments:read"),
        (lambda: tenants.members(weak.caller, "t1"), "assignments:read"),
        (lambda: tenants.remove_member(weak.caller, "t1", "ann"), "assignments:write"),
        (lambda: weak.held(ANN), "checks:create"),
    ):
        with pytest.raises(ForbiddenError) as caught:
            call()
        assert permission == caught.value.permission
    assert assignments is world.services.assignments
    assert 1 == len(world.assignments())


def test_every_change_leaves_an_event(world):
    role = world.reader()
    made = world.assign(ANN, role, "t1")
    world.assign(ANN, role, "t1")
    world.assign("group:eng#member", role, path="documents/*")
    world.unassign(ANN, role, "t1")
    events = world.events(target_id=role.id)[1:]
    assert [
        ("role.assigned", "t1", "ann"),
        ("role.assigned", None, None),
        ("role.unassigned", "t1", "ann"),
    ] == [(each["action"], each["tenantId"], each["userId"]) for each in events]
    assert (
        {
            "id": made.assignment.id,
            "subject": ANN,
            "roleId": role.id,
            "tenantId": "t1",
            "scope": None,
            "expiresAt": None,
        }
        == events[0]["after"]
        == events[2]["before"]
    )
    assert "documents" == events[1]["after"]["scope"]


@pytest.mark.parametrize("tenant", ["", "*", " t", "a#b"])
def test_a_tenant_id_keeps_the_rules_of_ids(world, tenant):
    role = world.reader()
    for call in (
        lambda: world.assign(ANN, role, tenant),
        lambda: world.assign(ANN, role, inside=tenant),
        lambda: world.assignments(tenant),
        lambda: world.assignments(tenant_id=tenant),
        lambda: world.held(ANN, tenant),
        lambda: world.services.tenants.members(world.caller, tenant),
    ):
        with pytest.raises(MalformedError) as caught:
            call()
        assert "tenantId" == caught.value.field

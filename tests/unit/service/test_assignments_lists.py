"""Lists of assignments and members: every filter, every page size, while others write."""

from __future__ import annotations

from itertools import product
from random import Random

import pytest

from tests.builders import subject
from tests.unit.service.role_world import RoleWorld, pages, wish_of
from zeratul.domain.limits import Limits
from zeratul.errors import (
    ForbiddenError,
    InputError,
    LimitError,
    MalformedError,
    NotFoundError,
    UnknownNameError,
    UserScopeError,
    ValidationError,
)
from zeratul.service.ground.answers import Page
from zeratul.service.roles import assignment_lists
from zeratul.service.roles.role_answers import AssignmentFilter
from zeratul.service.services import Services
from zeratul.store.lmdb import open_store

USERS = [f"user:u{n}" for n in range(6)] + ["group:eng#member", "client:c", "user:eng"]
TENANTS = ["t1", "t2", "t/3"]
PATHS = ["documents", "documents/a", "offices/*/x", "*"]


@pytest.fixture
def world(services, empty):
    return RoleWorld.new(services, empty)


@pytest.fixture
def crowd(world):
    """Assignments of all kinds, and what they were made from."""
    random = Random(7)
    roles = [world.role(f"r{n}").id for n in range(4)]
    places = [(tenant, None) for tenant in TENANTS] + [(None, path) for path in PATHS]
    wanted = sorted(product(USERS, roles, places), key=repr)
    chosen = random.sample(wanted, 70)
    wishes = [wish_of(who, role, *place) for who, role, place in chosen]
    assert world.bulk(wishes).bulk.failed == 0
    return roles, chosen


def facts(rows):
    found = [
        (str(row.holder), row.role_id, row.scope.tenant, "/".join(row.scope.path) or None)
        for row in rows
    ]
    return sorted(found, key=repr)


def expected(chosen, who=None, role=None, tenant=None, path=None):
    found = [
        (each_who, each_role, each_tenant, None if each_path == "*" else each_path)
        for each_who, each_role, (each_tenant, each_path) in chosen
        if who in (None, each_who)
        and role in (None, each_role)
        and tenant in (None, each_tenant)
        and path in (None, each_path)
    ]
    return sorted(found, key=repr)


def test_every_filter_finds_exactly_what_it_names(world, crowd):
    roles, chosen = crowd
    places = [(None, None), *((t, None) for t in TENANTS), *((None, p) for p in PATHS)]
    for who, role, (tenant, path) in product([None, *USERS], [None, *roles], places):
        found = world.assignments(
            subject=subject(who) if who else None, role_id=role, tenant_id=tenant, path=path
        )
        assert expected(chosen, who, role, tenant, path) == facts(found)
        assert len({each.id for each in found}) == len(found)


@pytest.mark.parametrize("size", [1, 2, 7, 69, 70, 71, 1_000])
def test_pages_neither_repeat_nor_lose(world, crowd, size):
    roles, chosen = crowd
    for wanted, filters in (
        (AssignmentFilter(), {}),
        (AssignmentFilter(role_id=roles[0]), {"role": roles[0]}),
        (AssignmentFilter(tenant_id="t1"), {"tenant": "t1"}),
        (AssignmentFilter(subject=subject("user:u1")), {"who": "user:u1"}),
    ):
        found = pages(
            lambda page, wanted=wanted: world.services.assignments.list(
                world.caller, wanted, page=page
            ),
            size,
        )
        assert expected(chosen, **filters) == facts(found)


def test_a_list_goes_on_at_its_revision(world, crowd):
    roles, chosen = crowd
    listed = world.services.assignments.list
    for wanted in (
        AssignmentFilter(),
        AssignmentFilter(role_id=roles[1]),
        AssignmentFilter(tenant_id="t2"),
        AssignmentFilter(subject=subject("user:u2")),
    ):
        before = world.assignments(**wanted._asdict())
        page = listed(world.caller, wanted, page=Page(2))
        rows = list(page.rows)
        later = wish_of("user:late", roles[1], "t2")
        world.bulk(
            [later, wish_of("user:u2", roles[0], "late")],
            [wish_of(who, role, *place) for who, role, place in chosen[::2]],
        )
        while page.next_cursor is not None:
            page = listed(world.caller, wanted, page=Page(2, page.next_cursor))
            rows += page.rows
        assert before == rows
        world.bulk(
            [wish_of(who, role, *place) for who, role, place in chosen],
            [later, wish_of("user:u2", roles[0], "late")],
        )


def test_a_list_of_a_role_that_went_still_ends(world):
    role = world.role("r")
    for n in range(5):
        world.assign(f"user:u{n}", role, f"t{n}")
    wanted = AssignmentFilter(role_id=role.id)
    page = world.services.assignments.list(world.caller, wanted, page=Page(2))
    world.services.roles.delete(world.caller, role.id, force=True).result()
    rest = world.services.assignments.list(world.caller, wanted, page=Page(9, page.next_cursor))
    assert (3, None) == (len(rest.rows), rest.next_cursor)
    with pytest.raises(UnknownNameError):
        world.services.assignments.list(world.caller, wanted)


def test_a_page_looks_at_a_bounded_number_of_grants(world, clock, monkeypatch):
    monkeypatch.setattr(assignment_lists, "_EXAMINED_MAX", 2)
    role = world.role("r")
    for n in range(7):
        world.assign(f"user:u{n}", role, f"t{n}", expires=clock.now_ms + 1_000 + n % 2)
    clock.now_ms += 1_000
    page = world.services.assignments.list(world.caller, AssignmentFilter(role_id=role.id))
    assert 1 == len(page.rows)
    assert page.next_cursor is not None
    assert 3 == len(world.assignments(role_id=role.id))


def test_wrong_filters_are_told(world):
    with pytest.raises(UnknownNameError):
        world.assignments(role_id="role_nope")
    with pytest.raises(UnknownNameError):
        world.assignments(subject=subject("usr:ann"))
    with pytest.raises(ValidationError):
        world.assignments(tenant_id="t1", path="documents")
    with pytest.raises(ValidationError):
        world.assignments("t1", path="documents")
    with pytest.raises(MalformedError):
        world.assignments(path="")
    with pytest.raises(MalformedError):
        world.assignments(path="a b")
    with pytest.raises(InputError):
        world.services.assignments.list(world.caller, AssignmentFilter(), page=Page(1_001))


def test_before_the_first_role_there_is_nothing(services, empty):
    world = RoleWorld(services, empty)
    assert [] == world.assignments() == world.assignments("t1")
    assert [] == world.assignments(subject=subject("user:ann"))
    assert [] == pages(lambda page: services.tenants.members(empty, "t1", page=page))
    assert 0 == services.tenants.remove_member(empty, "t1", "ann").result().deleted


def test_a_cursor_belongs_to_its_filter(world, crowd):
    roles, _ = crowd
    listed = world.services.assignments.list
    page = listed(world.caller, AssignmentFilter(role_id=roles[0]), page=Page(1))
    for wanted, caller, tenant in (
        (AssignmentFilter(role_id=roles[1]), world.caller, None),
        (AssignmentFilter(), world.caller, None),
        (AssignmentFilter(role_id=roles[0]), world.in_tenant("t1").caller, None),
        (AssignmentFilter(role_id=roles[0]), world.caller, "t1"),
    ):
        with pytest.raises(MalformedError, match="another query"):
            listed(caller, wanted, tenant, page=Page(1, page.next_cursor))


# --- Members of tenants.


def members(world, tenant, size=3):
    return pages(
        lambda page: world.services.tenants.members(world.caller, tenant, page=page), size
    )


def test_members_are_users_with_roles_there(world):
    reader, writer = world.reader("Reader"), world.reader("Writer", tenant="t1")
    world.assign("user:ann", reader, "t1")
    world.assign("user:ann", writer, "t1")
    world.assign("user:bob", reader, "t1")
    world.assign("user:cat", reader, "t2")
    world.assign("user:all", reader)
    world.assign("group:eng#member", reader, "t1")
    world.assign("client:c", reader, "t1")
    world.join("group:eng#member@user:zoe")
    found = {each.user_id: each.roles for each in members(world, "t1")}
    assert {"ann": {reader.id, writer.id}, "bob": {reader.id}} == {
        name: {role.role_id for role in roles} for name, roles in found.items()
    }
    assert {"Reader", "Writer"} == {role.role_name for role in found["ann"]}
    assert ["cat"] == [each.user_id for each in members(world.in_tenant("t2"), "t2")]
    assert [] == members(world, "nobody")


@pytest.mark.parametrize("size", [1, 2, 7, 8])
def test_members_go_on_at_their_revision(world, size):
    roles = [world.role(f"r{n}") for n in range(3)]
    for n in range(7):
        world.assign(f"user:u{n}", roles[n % 3], "t1")
    before = members(world, "t1")
    page = world.services.tenants.members(world.caller, "t1", page=Page(size))
    rows = list(page.rows)
    world.assign("user:late", roles[0], "t1")
    world.assign("user:u6", roles[1], "t1")
    world.services.tenants.remove_member(world.caller, "t1", "u5").result()
    while page.next_cursor is not None:
        page = world.services.tenants.members(
            world.caller, "t1", page=Page(size, page.next_cursor)
        )
        rows += page.rows
    assert before == rows


def test_a_removed_member_loses_all_roles_of_the_tenant_and_no_other(world):
    reader, writer = world.reader("Reader"), world.reader("Writer", tenant="t1")
    world.assign("user:ann", reader, "t1")
    world.assign("user:ann", writer, "t1")
    world.assign("user:ann", reader, "t2")
    world.assign("user:ann", reader, path="documents/d2")
    world.assign("user:bob", reader, "t1")
    inside = world.in_tenant("t1")
    gone = inside.services.tenants.remove_member(inside.caller, "t1", "ann").result()
    assert 2 == gone.deleted
    assert not world.can("user:ann", "documents:read", tenant="t1")
    assert world.can("user:ann", "documents:read", tenant="t2")
    assert world.can("user:ann", "documents:read", "d2", "t1")
    assert ["bob"] == [each.user_id for each in members(world, "t1")]
    events = world.events(user_id="ann", action="role.unassigned")
    assert {reader.id, writer.id} == {each["target"]["id"] for each in events}
    assert 1 == len({each["batchId"] for each in events})
    again = world.services.tenants.remove_member(world.caller, "t1", "ann").result()
    assert (0, gone.zookie) == (again.deleted, again.zookie)
    for user in ("", "*", "a#b"):
        with pytest.raises(MalformedError) as caught:
            world.services.tenants.remove_member(world.caller, "t1", user)
        assert "userId" == caught.value.field


# --- Permissions.


def test_permissions_are_those_that_checks_allow(world):
    world.join("documents:d1#editor@user:ann", "documents:d2#viewer@user:*")
    role = world.role("r", world.policy("p", "reports:*", "documents:delete"))
    own = world.role("own", world.policy("q", "offices:enter"), tenant="t1")
    world.assign("user:ann", role, path="documents/d2")
    world.assign("user:ann", role, "t2")
    world.assign("user:ann", own, "t1")
    world.assign("user:ann", world.role("o", world.policy("o", "offices:*")), path="offices")
    kinds = {"documents": ("d1", "d2", "d3"), "reports": ("r1",), "offices": ("o1", "a/b")}
    actions = {
        "documents": ("create", "read", "update", "delete"),
        "reports": ("read", "export"),
        "offices": ("read", "enter"),
    }
    for who, tenant in product(("user:ann", "user:eve"), (None, "t1", "t2", "t3")):
        for kind, names in kinds.items():
            for name in names:
                assert sorted(
                    f"{kind}:{action}"
                    for action in actions[kind]
                    if world.can(who, f"{kind}:{action}", name, tenant)
                ) == world.held(who, tenant, resource=kind, resource_id=name)
            on_type = sorted(
                f"{kind}:{action}"
                for action in actions[kind]
                if world.can(who, f"{kind}:{action}", "", tenant)
            )
            assert on_type == world.held(who, tenant, resource=kind)
            assert on_type == [
                each for each in world.held(who, tenant) if each.startswith(f"{kind}:")
            ]
    assert ["offices:enter", "offices:read"] == world.held("user:ann", "t1")
    assert ["documents:delete", "documents:read"] == world.held(
        "user:ann", resource="documents", resource_id="d2"
    )


def test_wrong_questions_about_permissions_are_told(world):
    with pytest.raises(UnknownNameError) as caught:
        world.held("user:ann", resource="document")
    assert ("resource", "documents") == (caught.value.field, caught.value.suggestion)
    with pytest.raises(ValidationError) as found:
        world.held("user:ann", resource_id="d1")
    assert ["resource"] == list(found.value.findings)
    with pytest.raises(MalformedError):
        world.held("user:ann", resource="documents", resource_id="*")
    with pytest.raises(UnknownNameError):
        world.held("usr:ann")
    assert [] == world.held("user:ann", resource="group")
    assert [] == world.held("user:nobody", "t9")


def test_who_speaks_for_a_user_asks_about_that_user(world):
    role = world.reader()
    world.assign("user:ann", role, "t1")
    ann = world.as_(user_id="ann", tenant_id="t1")
    assert ["documents:read"] == ann.held("user:ann") == ann.held("user:ann", "t1")
    with pytest.raises(UserScopeError):
        ann.held("user:bob")
    with pytest.raises(NotFoundError):
        ann.held("user:ann", "t2")
    for call in (
        ann.assignments,
        ann.roles,
        ann.policies,
        lambda: ann.assign("user:ann", role),
        lambda: ann.unassign("user:ann", role),
        lambda: ann.services.tenants.members(ann.caller, "t1"),
    ):
        with pytest.raises(ForbiddenError):
            call()


def test_permissions_on_a_models_own_type(services, caller):
    world = RoleWorld(services, caller)
    world.join("document:a#owner@user:ann")
    assert ["document:owner", "document:reader", "document:viewer"] == world.held(
        "user:ann", resource="document", resource_id="a"
    )


def test_a_question_that_is_too_much_is_no_short_answer(tmp_path, clock):
    store = open_store(tmp_path / "few", clock_ms=clock)
    services = Services.build(store, limits=Limits(check_reads_max=1), clock_ms=clock)
    try:
        world = RoleWorld.new(services, services.local_caller())
        world.join("group:a#member@group:b#member", "documents:d1#editor@group:a#member")
        with pytest.raises(LimitError, match="check_reads_max"):
            world.held("user:ann", resource="documents", resource_id="d1")
    finally:
        services.close()

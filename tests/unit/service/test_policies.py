"""Policies: judged by the catalog, shared by roles, effective at once."""

from __future__ import annotations

import pytest

from tests.unit.service.conftest import held_writer
from tests.unit.service.role_world import CATALOG, RoleWorld, pages
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
    ValidationError,
)
from zeratul.service.ground.answers import Page
from zeratul.service.ground.etags import etag_of
from zeratul.service.roles.role_answers import Labelled
from zeratul.service.rules.catalog_answers import ResourceRequest
from zeratul.service.services import Services
from zeratul.store.lmdb import open_store


@pytest.fixture
def world(services, empty):
    return RoleWorld.new(services, empty)


def change(world, policy, *, if_match=None, **parts):
    return world.services.policies.update(
        world.caller, policy.id, Labelled(**parts), if_match=if_match
    ).result()


def delete(world, policy, **more):
    return world.services.policies.delete(world.caller, policy.id, **more).result()


def get(world, policy):
    return world.services.policies.get(world.caller, policy.id)


def test_a_policy_is_made_as_it_was_given(world, clock):
    made = world.policy("Readers", "documents:read", "reports:*", description="may look")
    assert made.id.startswith("pol_")
    assert ("Readers", "may look", 0) == (made.name, made.description, made.role_count)
    assert ("documents:read", "reports:*") == made.permissions
    assert clock.now_ms == made.created_at_ms == made.updated_at_ms
    assert made.zookie is not None
    assert made == get(world, made)
    assert [made.id] == [each.id for each in world.policies()]


def test_a_permission_named_twice_counts_once(world):
    made = world.policy("p", "documents:read", "reports:read", "documents:read")
    assert ("documents:read", "reports:read") == made.permissions


@pytest.mark.parametrize(
    ("text", "suggestion"),
    [
        ("documents:raed", "documents:read"),
        ("document:read", "documents:read"),
        ("Documents:Read", "documents:read"),
        ("documents:Read", "documents:read"),
        ("documnets:*", "documents:*"),
        ("reports:delete", None),
    ],
)
def test_an_unknown_permission_is_named_with_the_nearest(world, text, suggestion):
    with pytest.raises(UnknownNameError) as caught:
        world.policy("p", "documents:read", text)
    assert "permissions[1]" == caught.value.field
    assert text in caught.value.message
    assert suggestion == caught.value.suggestion
    assert [] == world.policies()


@pytest.mark.parametrize(
    "text", ["*:*", "*", "*:read", "", ":", "zzz", "zzz:", ":zzz", "qqq:a:b", "qqq:a*", "⟨role⟩:x"]
)
def test_what_could_never_be_declared_is_no_permission(world, text):
    with pytest.raises(MalformedError) as caught:
        world.policy("p", text)
    assert "permissions[0]" == caught.value.field


def test_all_bad_permissions_are_told(world):
    with pytest.raises(ValidationError) as caught:
        world.policy("p", "documents:read", "*:*", "documents:fly", "*:*")
    assert ["permissions[1]", "permissions[2]"] == list(caught.value.findings)


def test_many_bad_permissions_cost_few_suggestions(world):
    with pytest.raises(ValidationError) as caught:
        world.policy("p", *(f"documents:read{n}" for n in range(200)))
    messages = [text for found in caught.value.findings.values() for text in found]
    assert 200 == len(messages)
    assert 50 == sum("did you mean" in text for text in messages)


def test_without_a_catalog_nothing_can_be_named(services, empty):
    world = RoleWorld(services, empty)
    with pytest.raises(UnknownNameError, match="documents:read") as caught:
        world.policy("p", "documents:read")
    assert "no catalog" in caught.value.help


def test_a_policy_has_a_limit_of_permissions(tmp_path, clock):
    store = open_store(tmp_path / "few", clock_ms=clock)
    services = Services.build(store, limits=Limits(policy_permissions_max=2), clock_ms=clock)
    try:
        world = RoleWorld.new(services, services.local_caller())
        world.policy("two", "documents:read", "documents:update")
        with pytest.raises(LimitError) as caught:
            world.policy("three", "documents:read", "documents:update", "documents:delete")
        assert ("policy_permissions_max", 2) == (caught.value.limit, caught.value.value)
    finally:
        services.close()


@pytest.mark.parametrize("name", ["", "x" * 201, " x", "a\x00b", "a\ud800"])
def test_a_name_is_printable_and_not_too_long(world, name):
    with pytest.raises(MalformedError) as caught:
        world.policy(name)
    assert "name" == caught.value.field


@pytest.mark.parametrize("text", ["x" * 1_025, "a\x00b", "a\ud800"])
def test_a_description_is_printable_and_not_too_long(world, text):
    with pytest.raises(MalformedError) as caught:
        world.policy("p", description=text)
    assert "description" == caught.value.field
    assert "line\n\tline" == world.policy("p", description="line\n\tline").description


def test_names_are_unique_and_free_again(world):
    first = world.policy("A#1")
    with pytest.raises(AlreadyExistsError):
        world.policy("A#1")
    second = world.policy("B")
    with pytest.raises(AlreadyExistsError):
        change(world, second, name="A#1")
    assert "B" == get(world, second).name
    change(world, first, name="C")
    change(world, second, name="A#1")
    delete(world, second)
    world.policy("A#1")
    assert ["A#1", "C"] == sorted(each.name for each in world.policies())


def test_two_of_one_name_in_one_commit_are_one(world):
    with held_writer(world.services.store):
        futures = [
            world.services.policies.create(world.caller, Labelled("same", "", []))
            for _ in range(2)
        ]
    assert ["same"] == [each.name for each in world.policies()]
    with pytest.raises(AlreadyExistsError):
        [future.result() for future in futures]


def test_a_change_leaves_alone_what_it_does_not_name(world, clock):
    made = world.policy("p", "documents:read", description="d")
    clock.now_ms += 1_000
    renamed = change(world, made, name="q")
    assert ("q", "d", ("documents:read",)) == (
        renamed.name,
        renamed.description,
        renamed.permissions,
    )
    assert (made.created_at_ms, clock.now_ms) == (renamed.created_at_ms, renamed.updated_at_ms)
    emptied = change(world, made, description="", content=[])
    assert ("q", "", ()) == (emptied.name, emptied.description, emptied.permissions)
    assert 3 == len({made.etag, renamed.etag, emptied.etag})


def test_what_changes_nothing_is_no_change(world, clock):
    made = world.policy("p", "documents:read")
    before = len(world.events())
    clock.now_ms += 1_000
    same = change(world, made, name="p", content=["documents:read"])
    assert (made.etag, made.updated_at_ms, made.zookie) == (
        same.etag,
        same.updated_at_ms,
        same.zookie,
    )
    assert before == len(world.events())


def test_a_change_of_what_was_seen_only(world):
    made = world.policy("p", "documents:read")
    changed = change(world, made, name="q", if_match=made.etag)
    for lost in (made.etag, '"other"', f"W/{changed.etag}", "", '"a", "b"'):
        with pytest.raises(PreconditionError):
            change(world, made, name="r", if_match=lost)
        with pytest.raises(PreconditionError):
            delete(world, made, if_match=lost)
    assert "q" == get(world, made).name
    again = change(world, made, name="r", if_match=f'"x", {changed.etag}')
    change(world, made, name="s", if_match=" * ")
    with pytest.raises(PreconditionError):
        delete(world, made, if_match=again.etag)
    delete(world, made, if_match=get(world, made).etag)


def test_an_entity_tag_is_of_the_whole_text():
    assert etag_of(b"a") != etag_of(b"b")
    assert etag_of(b"a") == etag_of(b"a")
    assert etag_of(b"a").startswith('"')
    assert etag_of(b"a").endswith('"')


def test_an_absent_policy_is_not_found(world):
    gone = world.policy("p")
    delete(world, gone)
    with pytest.raises(NotFoundError):
        get(world, gone)
    with pytest.raises(NotFoundError):
        change(world, gone, name="q")
    with pytest.raises(NotFoundError):
        delete(world, gone)


def test_a_policy_on_three_roles_loses_a_permission_and_so_do_three_hundred_users(world):
    shared = world.policy("shared", "documents:read", "documents:update")
    roles = [world.role(f"R{n}", shared) for n in range(3)]
    users = [f"user:u{n}" for n in range(300)]
    for n, who in enumerate(users):
        world.assign(who, roles[n % 3])
    assert all(world.can(who, "documents:update") for who in users)
    before = world.assignments()
    change(world, shared, content=["documents:read"])
    assert not any(world.can(who, "documents:update") for who in users)
    assert all(world.can(who, "documents:read") for who in users)
    assert before == world.assignments()


def test_every_action_means_also_those_declared_later(world):
    world.assign("user:ann", world.role("Boss", world.policy("all", "reports:*")))
    assert ["reports:export", "reports:read"] == world.held("user:ann")
    world.declare(CATALOG | {"reports": ("read", "export", "archive")})
    assert world.can("user:ann", "reports:archive", "r1")
    assert ["reports:archive", "reports:export", "reports:read"] == world.held("user:ann")


def test_a_policy_in_use_is_deleted_by_force_only(world):
    used = world.policy("used", "documents:read")
    kept = world.policy("kept", "reports:read")
    roles = [world.role(f"R{n}", used, kept) for n in range(3)]
    world.assign("user:ann", roles[0])
    assert 3 == get(world, used).role_count
    with pytest.raises(InUseError, match="3 roles have the policy `used`") as caught:
        delete(world, used)
    assert {"roles": {each.id: 1 for each in roles}} == {
        kind: dict(found) for kind, found in caught.value.references.items()
    }
    assert world.can("user:ann", "documents:read")
    delete(world, used, force=True)
    assert not world.can("user:ann", "documents:read")
    assert {(kept.id,)} == {each.policy_ids for each in world.roles()}
    assert 3 == get(world, kept).role_count
    world.role("R9", world.policy("used"))


def test_more_roles_than_one_commit_should_hold_are_refused(tmp_path, clock):
    store = open_store(tmp_path / "few", clock_ms=clock)
    services = Services.build(store, limits=Limits(policy_detach_max=1), clock_ms=clock)
    try:
        world = RoleWorld.new(services, services.local_caller())
        policy = world.policy("p")
        roles = [world.role(f"r{n}", policy) for n in range(2)]
        with pytest.raises(LimitError) as caught:
            delete(world, policy, force=True)
        assert ("policy_detach_max", 1) == (caught.value.limit, caught.value.value)
        assert 2 == get(world, policy).role_count
        services.roles.delete(world.caller, roles[0].id).result()
        delete(world, policy, force=True)
    finally:
        services.close()


def test_roles_of_a_policy_are_counted_as_they_come_and_go(world):
    policy, other = world.policy("p"), world.policy("q")
    role = world.role("r", policy)
    world.role("r", policy, tenant="t1")
    last = world.role("s", policy, tenant="t2")
    assert (3, 0) == (get(world, policy).role_count, get(world, other).role_count)
    world.services.roles.update(
        world.caller, role.id, Labelled(content=[other.id, other.id])
    ).result()
    assert (2, 1) == (get(world, policy).role_count, get(world, other).role_count)
    world.services.roles.delete(world.caller, last.id).result()
    assert 1 == get(world, policy).role_count


def test_a_tenant_reads_policies_and_counts_no_other_tenants_roles(world):
    policy = world.policy("p", "documents:read")
    world.role("global", policy)
    world.role("own", policy, tenant="t1")
    inside = world.in_tenant("t1")
    assert 2 == get(inside, policy).role_count
    world.role("other", policy, tenant="t2")
    assert (2, 3) == (get(inside, policy).role_count, get(world, policy).role_count)
    assert [2] == [each.role_count for each in inside.policies()]
    for refused in (
        lambda: inside.policy("x"),
        lambda: change(inside, policy, name="x"),
        lambda: delete(inside, policy),
    ):
        with pytest.raises(TenantScopeError, match="policies"):
            refused()


def test_every_call_needs_its_permission(world):
    policy = world.policy("p")
    weak = world.as_(permissions=frozenset({"roles:*", "catalog:*"}))
    for call, permission in (
        (lambda: get(weak, policy), "policies:read"),
        (weak.policies, "policies:read"),
        (lambda: weak.policy("q"), "policies:write"),
        (lambda: change(weak, policy, name="q"), "policies:write"),
        (lambda: delete(weak, policy), "policies:write"),
    ):
        with pytest.raises(ForbiddenError) as caught:
            call()
        assert permission == caught.value.permission


def test_a_policy_is_judged_by_the_catalog_it_commits_under(world):
    store, policies, caller = world.services.store, world.services.policies, world.caller
    policy = world.policy("before")
    with held_writer(store):
        # Both were valid when they were sent; the catalog's change commits before them.
        changing = world.services.catalog.put_all(caller, [ResourceRequest("documents")])
        made = policies.create(caller, Labelled("after", "", ["reports:read"]))
        changed = policies.update(caller, policy.id, Labelled(content=["reports:*"]))
        unrelated = policies.update(caller, policy.id, Labelled(name="renamed"))
    changing.result()
    for future in (made, changed):
        with pytest.raises(UnknownNameError):
            future.result()
    assert "renamed" == unrelated.result().name
    assert ["renamed"] == [each.name for each in world.policies()]


def test_a_list_goes_on_while_others_write(world):
    first = [world.policy(f"p{n}") for n in range(10)]
    page = world.services.policies.list(world.caller, page=Page(4))
    seen = [each.id for each in page.rows]
    gone = next(each for each in first if each.id not in seen)
    delete(world, gone)
    later = {world.policy(f"later{n}").id for n in range(10)}
    rest = pages(
        lambda each: world.services.policies.list(
            world.caller, page=each if each.cursor else Page(each.size, page.next_cursor)
        )
    )
    found = seen + [each.id for each in rest]
    assert sorted(each.id for each in first if each is not gone) == sorted(found)
    assert not later & set(found)
    assert 19 == len(world.policies())


def test_a_cursor_belongs_to_its_list(world):
    for n in range(3):
        world.policy(f"p{n}")
    page = world.services.policies.list(world.caller, page=Page(1))
    with pytest.raises(MalformedError, match="another query"):
        world.services.roles.list(world.caller, page=Page(1, page.next_cursor))
    inside = world.in_tenant("t1")
    with pytest.raises(MalformedError, match="another query"):
        inside.services.policies.list(inside.caller, page=Page(1, page.next_cursor))


def test_every_change_leaves_an_event(world):
    policy = world.policy("p", "documents:read")
    change(world, policy, content=["reports:read"])
    world.role("r", policy)
    delete(world, policy, force=True)
    events = [each for each in world.events() if each["target"]["type"] == "policy"]
    assert ["policy.created", "policy.updated", "policy.deleted"] == [
        each["action"] for each in events
    ]
    assert {policy.id} == {each["target"]["id"] for each in events}
    made, changed, gone = events
    assert made["before"] is None
    assert (["documents:read"], ["reports:read"]) == (
        changed["before"]["permissions"],
        changed["after"]["permissions"],
    )
    assert (1, None) == (gone["before"]["roleCount"], gone["after"])
    assert gone["batchId"] is not None

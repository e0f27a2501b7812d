"""Who can and what can through roles: places instead of enumerations, tenants, pages."""

from __future__ import annotations

import pytest

from tests.builders import rels, resource, subject
from tests.unit.service.role_world import RoleWorld
from zeratul.domain.relationship import ObjectRef
from zeratul.errors import ConflictError, MalformedError, NotFoundError, UserScopeError
from zeratul.graph.answers import CheckQuestion
from zeratul.service.ground.answers import Page
from zeratul.service.questions.list_answers import ResourceRow
from zeratul.service.questions.listings import RecentListings
from zeratul.service.roles.role_answers import Labelled


@pytest.fixture
def world(services, empty):
    return RoleWorld.new(services, empty)


def what(world, who, permission="documents:read", tenant=None, size=1_000):
    kind, _, action = permission.partition(":")
    found, cursor = [], None
    while True:
        page = world.services.access.what_can(
            world.caller,
            subject(who),
            kind,
            action,
            tenant=tenant,
            page=Page(size, cursor),
            total=True,
        )
        assert len(page.rows) <= size
        found += page.rows
        cursor = page.next_cursor
        assert page.complete == (cursor is None)
        if cursor is None:
            assert page.total == len(found)
            return found


def places(rows):
    return [(row.resource_id, row.via) for row in rows]


def who(world, name="d1", permission="documents:read", tenant=None, **form):
    kind, _, action = permission.partition(":")
    page = world.services.access.who_can(
        world.caller, ObjectRef(kind, name), action, tenant=tenant, page=Page(1_000), **form
    )
    return {row.subject: row.via for row in page.rows}


@pytest.mark.parametrize(
    ("path", "row"),
    [
        (None, "*"),
        ("*", "*"),
        ("documents", "*"),
        ("documents/*", "*"),
        ("documents/*/*", "*"),
        ("*/*", "*"),
        ("documents/d1", "d1"),
        ("documents/d1/*", "d1"),
        ("*/d1", "d1"),
        ("documents/*/x", "*/x"),
        ("documents/a/*/x", "a/*/x"),
        ("documents/a/*/*", "a/*"),
        ("documents/ns:*/x", "ns:*/x"),
    ],
)
def test_each_scope_is_one_row(world, path, row):
    role = world.reader()
    world.assign("user:ann", role, path=path)
    assert [ResourceRow("documents", row, ("role",))] == what(world, "user:ann")
    assert [] == what(world, "user:bob")


@pytest.mark.parametrize("path", ["reports", "reports/d1", "Authress:*", "documents:x"])
def test_a_scope_of_something_else_is_no_row(world, path):
    world.assign("user:ann", world.reader(), path=path)
    assert [] == what(world, "user:ann")


def test_the_same_place_is_one_row_and_all_of_a_type_comes_first(world):
    role, other = world.reader(), world.reader("Other")
    world.assign("user:ann", role)
    world.assign("user:ann", role, "acme")
    world.assign("user:ann", other, path="documents/*")
    world.assign("user:ann", role, path="documents/!a")
    world.assign("user:ann", role, path="documents/*/x")
    expected = ["*", "!a", "*/x"]
    assert expected == [row.resource_id for row in what(world, "user:ann", tenant="acme")]
    assert expected == [row.resource_id for row in what(world, "user:ann", size=1)]


def test_a_resource_that_is_a_place_as_well_is_one_row_with_all_its_ways(world):
    role = world.reader()
    world.assign("user:ann", role, path="documents/d1")
    world.assign("user:ann", role, path="documents/unknown")
    world.join("documents:d1#viewer@user:ann", "documents:d2#viewer@group:eng#member")
    world.join("group:eng#member@user:ann", "documents:d1#owner@group:eng#member")
    rows = what(world, "user:ann")
    assert [
        ("d1", ("direct", "group", "role")),
        ("unknown", ("role",)),
        ("d2", ("group",)),
    ] == places(rows)
    for size in (1, 2):
        assert rows == what(world, "user:ann", size=size)


def test_a_role_through_groups_and_a_model_beside_it(world):
    world.assign("group:all#member", world.reader(), path="documents/a/*")
    world.join("group:all#member@group:eng#member", "group:eng#member@user:ann")
    assert [("a", ("role",))] == places(what(world, "user:ann"))
    assert {"user:ann": ("role",)} == who(world, "a/b")
    assert {} == who(world, "b")
    found = who(world, "a/b", subject_type="group", subject_relation="member")
    assert {"group:all#member": ("role",), "group:eng#member": ("role",)} == found


def test_who_can_names_every_way(world):
    world.assign("user:ann", world.reader())
    world.join("documents:d1#viewer@user:ann", "documents:d1#viewer@user:bob")
    world.join("documents:d1#viewer@user:*")
    assert {
        "user:*": ("direct",),
        "user:ann": ("direct", "role"),
        "user:bob": ("direct",),
    } == who(world)


def test_tenants_are_apart(world):
    role = world.reader()
    own = world.reader("Own", tenant="globex")
    world.assign("user:ann", role, "acme")
    world.assign("user:bob", own, "globex")
    world.assign("user:cat", role)
    for tenant, expected in (
        ("acme", {"user:ann", "user:cat"}),
        ("globex", {"user:bob", "user:cat"}),
        (None, {"user:cat"}),
    ):
        assert expected == set(who(world, tenant=tenant))
        for name in ("user:ann", "user:bob", "user:cat"):
            assert (name in expected) == bool(what(world, name, tenant=tenant))
    acme = world.in_tenant("acme")
    assert {"user:ann", "user:cat"} == set(who(acme))
    assert what(acme, "user:ann") == what(world, "user:ann", tenant="acme")
    for ask in (who, lambda *args, **more: what(world.in_tenant("acme"), "user:ann", **more)):
        with pytest.raises(NotFoundError):
            ask(acme, tenant="globex")


@pytest.mark.parametrize("tenant", ["", "*", "a#b"])
def test_a_tenant_is_an_id(world, tenant):
    for ask in (lambda: who(world, tenant=tenant), lambda: what(world, "user:a", tenant=tenant)):
        with pytest.raises(MalformedError) as caught:
            ask()
        assert "tenantId" == caught.value.field


def test_a_cursor_belongs_to_its_tenant(world):
    role = world.reader()
    for name in ("ann", "bob", "cat"):
        world.assign(f"user:{name}", role, "acme")
        world.assign("user:ann", role, "acme")
    for number in range(3):
        world.assign("user:ann", role, path=f"documents/d{number}")
    access, caller = world.services.access, world.caller
    document = resource("documents:d1")
    first = access.who_can(caller, document, "read", tenant="acme", page=Page(1))
    rest = Page(1, first.next_cursor)
    assert access.who_can(caller, document, "read", tenant="acme", page=rest).rows
    for tenant in ("globex", None):
        with pytest.raises(MalformedError):
            access.who_can(caller, document, "read", tenant=tenant, page=rest)
    ann = subject("user:ann")
    listed = access.what_can(caller, ann, "documents", "read", tenant="acme", page=Page(1))
    with pytest.raises(MalformedError):
        access.what_can(caller, ann, "documents", "read", page=Page(1, listed.next_cursor))


@pytest.mark.parametrize("forgetful", [False, True], ids=["kept", "computed again"])
def test_pages_equal_the_list_at_the_first_pages_revision(world, forgetful):
    role = world.reader()
    world.join("documents:d0#viewer@user:ann")
    for number in range(4):
        world.assign("user:ann", role, path=f"documents/d{number}")
        world.join(f"documents:e{number}#viewer@user:ann")
    access = world.services.access
    whole = what(world, "user:ann")
    assert ["d0", "d1", "d2", "d3", "e0", "e1", "e2", "e3"] == [row.resource_id for row in whole]
    for size in (1, 3):
        found, cursor = [], None
        while True:
            page = access.what_can(
                world.caller, subject("user:ann"), "documents", "read", page=Page(size, cursor)
            )
            found += page.rows
            cursor = page.next_cursor
            # Assignments and relationships have a past; names may become known meanwhile.
            world.assign("user:ann", role, path=f"documents/later{size}{len(found)}")
            world.join(f"documents:d2#viewer@user:else{size}{len(found)}")
            world.unassign("user:ann", role, path="documents/d3")
            if forgetful:
                access._recent = RecentListings(0)
            if cursor is None:
                break
        assert whole == found
        world.services.relationships.bulk(
            world.caller, (), rels("documents:d2#viewer@user:else")
        ).result()
        for number in range(len(whole) + 3):
            world.unassign("user:ann", role, path=f"documents/later{size}{number}")
        world.assign("user:ann", role, path="documents/d3")


def test_roles_that_changed_end_a_list_that_was_not_kept(world):
    reading, policy = world.reader(), world.policy("More", "documents:read")
    for number in range(4):
        world.assign("user:ann", reading, path=f"documents/d{number}")
    access, caller = world.services.access, world.caller
    ann = subject("user:ann")

    def ask(cursor=None):
        return access.what_can(caller, ann, "documents", "read", page=Page(2, cursor))

    changes = (
        lambda: world.services.roles.update(
            caller, reading.id, Labelled(content=[*reading.policy_ids, policy.id])
        ).result(),
        lambda: world.services.policies.update(
            caller, policy.id, Labelled(content=["documents:read", "documents:update"])
        ).result(),
    )
    for change in changes:
        access._recent = RecentListings(1 << 20)
        cursor = ask().next_cursor
        change()
        kept = ask(cursor)
        assert ["d2", "d3"] == [row.resource_id for row in kept.rows]
        access._recent = RecentListings(0)
        with pytest.raises(ConflictError) as caught:
            ask(cursor)
        assert "without a cursor" in caught.value.help
        assert ask().rows


def test_streams_are_the_lists(world):
    role = world.reader()
    world.assign("user:ann", role, "acme")
    world.assign("user:ann", role, path="documents/a/*/b")
    world.join("documents:d1#viewer@user:ann")
    access, caller, ann = world.services.access, world.caller, subject("user:ann")
    stream = access.stream_what_can(caller, ann, "documents", "read", tenant="acme")
    rows = [row for chunk in stream.chunks for row in chunk]
    assert what(world, "user:ann", tenant="acme") == rows
    assert ["*", "a/*/b", "d1"] == [row.resource_id for row in rows]
    assert 3 == stream.total
    document = resource("documents:d1")
    streamed = access.stream_who_can(caller, document, "read", tenant="acme")
    everyone = {row.subject: row.via for chunk in streamed.chunks for row in chunk}
    assert who(world, tenant="acme") == everyone


def test_every_row_is_true_and_nothing_true_is_missing(world):
    role = world.reader()
    world.assign("user:ann", role, path="documents/a/*/c")
    world.assign("user:ann", role, path="documents/b")
    world.join("documents:x#viewer@user:ann", "documents:a/q/d#viewer@user:ann")
    rows = [row.resource_id for row in what(world, "user:ann")]

    def listed(name):
        segments = name.split("/")
        return name in rows or any(
            len(place.split("/")) <= len(segments)
            and all(
                part in ("*", segment)
                for part, segment in zip(place.split("/"), segments, strict=False)
            )
            for place in rows
            if place in {"a/*/c", "b"}
        )

    for name in ("x", "x/y", "a/q/c", "a/q/d", "a/q/c/e", "a/c", "b", "b/b", "bb", "c"):
        question = CheckQuestion(subject("user:ann"), ObjectRef("documents", name), "read")
        allowed = world.services.access.check(world.caller, question).allowed
        assert allowed == listed(name), name
        assert allowed == ("user:ann" in who(world, name))


def test_who_speaks_for_one_user_lists_what_that_one_can(world):
    world.assign("user:ann", world.reader())
    ann = world.as_(user_id="ann", is_root=False)
    assert ["*"] == [row.resource_id for row in what(ann, "user:ann")]
    with pytest.raises(UserScopeError):
        what(ann, "user:bob")

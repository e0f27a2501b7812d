"""Groups and their members: kept in step with relationships, nested, listed, deleted."""

from __future__ import annotations

from dataclasses import replace

import pytest

from tests.builders import model, question, rel, rels, subject
from tests.unit.service.conftest import MODEL, held_writer
from zeratul.domain.limits import Limits
from zeratul.errors import (
    ConflictError,
    ForbiddenError,
    InUseError,
    LimitError,
    MalformedError,
    NotFoundError,
    TenantScopeError,
    ValidationError,
)
from zeratul.service.ground.answers import Page
from zeratul.service.services import Services
from zeratul.store.lmdb import open_store


def people(*names):
    return [subject(name if ":" in name else f"user:{name}") for name in names]


def members(services, caller, group_id):
    page = services.groups.members(caller, group_id, page=Page(1_000))
    return sorted(str(row.relationship.subject) for row in page.rows)


def groups(services, caller, size=1_000):
    found, cursor = [], None
    while True:
        page = services.groups.list(caller, page=Page(size, cursor))
        found += page.rows
        cursor = page.next_cursor
        if cursor is None:
            return found


def put(services, caller, group_id, **what):
    return services.groups.put(caller, group_id, **what).result()


def test_a_group_is_made_named_and_filled(services, caller, clock):
    made = put(services, caller, "eng", name="Engineering", members=people("ann", "bob"))
    assert (made.created, made.added, made.removed) == (True, 2, 0)
    assert ("eng", "Engineering", 2) == (made.group.id, made.group.name, made.group.members)
    assert clock.now_ms == made.group.created_at_ms
    assert made.group == services.groups.get(caller, "eng")
    assert ["user:ann", "user:bob"] == members(services, caller, "eng")
    services.relationships.write(caller, rel("document:d#viewer@group:eng#member")).result()
    assert services.access.check(caller, question("document:d#viewer@user:ann")).allowed


def test_putting_a_group_replaces_its_members_and_nothing_else(services, caller, clock):
    put(
        services, caller, "eng", name="Engineering", members=people("ann", "bob", "group:x#member")
    )
    began = clock.now_ms
    clock.now_ms += 1_000
    changed = put(services, caller, "eng", members=people("bob", "cat", "cat"))
    assert (changed.created, changed.added, changed.removed) == (False, 1, 2)
    assert ["user:bob", "user:cat"] == members(services, caller, "eng")
    assert ("Engineering", began, clock.now_ms) == (
        changed.group.name,
        changed.group.created_at_ms,
        changed.group.updated_at_ms,
    )
    renamed = put(services, caller, "eng", name="E")
    assert ("E", 2, 0, 0) == (
        renamed.group.name,
        renamed.group.members,
        renamed.added,
        renamed.removed,
    )
    assert put(services, caller, "eng", name=None).group.name is None
    assert 0 == put(services, caller, "eng", members=[]).group.members
    assert 0 == services.groups.get(caller, "eng").members


def test_what_changes_nothing_writes_nothing(services, caller):
    put(services, caller, "eng", name="E", members=people("ann"))
    before = services.store.statistics()["revision"]
    put(services, caller, "eng", name="E", members=people("ann"))
    services.groups.add(caller, "eng", people("ann")).result()
    services.groups.remove(caller, "eng", people("bob")).result()
    services.groups.remove(caller, "none", people("bob")).result()
    assert before == services.store.statistics()["revision"]


def test_a_member_that_stays_keeps_its_expiry_and_one_added_again_loses_it(
    services, caller, clock
):
    brief = rel("group:eng#member@user:ann", expires_at_ms=clock.now_ms + 1_000)
    services.relationships.write(caller, brief).result()
    assert 0 == put(services, caller, "eng", members=people("ann")).added
    [row] = services.groups.members(caller, "eng").rows
    assert clock.now_ms + 1_000 == row.relationship.expires_at_ms
    again = services.groups.add(caller, "eng", people("ann")).result()
    assert (0, 1) == (again.added, again.existing)
    [row] = services.groups.members(caller, "eng").rows
    assert row.relationship.expires_at_ms is None


def test_an_expired_member_is_none(services, caller, clock):
    brief = rel("group:eng#member@user:ann", expires_at_ms=clock.now_ms + 1_000)
    services.relationships.write(caller, brief).result()
    clock.now_ms += 2_000
    with pytest.raises(NotFoundError):
        services.groups.get(caller, "eng")
    assert 1 == put(services, caller, "eng", members=people("ann")).added


def test_members_are_added_and_removed_and_counted(services, caller):
    added = services.groups.add(caller, "eng", people("ann", "bob", "ann")).result()
    assert (2, 1) == (added.added, added.existing)
    assert services.groups.get(caller, "eng").name is None
    removed = services.groups.remove(caller, "eng", people("ann", "cat", "ann")).result()
    assert (1, 2) == (removed.removed, removed.absent)
    assert ["user:bob"] == members(services, caller, "eng")
    services.groups.remove(caller, "eng", people("bob")).result()
    # It was made here: it stays, empty.
    assert 0 == services.groups.get(caller, "eng").members


def test_groups_nest_and_a_ring_of_them_is_harmless(services, caller):
    for number in range(4):
        nested = people(f"group:g{(number + 1) % 4}#member")
        services.groups.add(caller, f"g{number}", nested).result()
    services.groups.add(caller, "g0", people("group:g0#member")).result()
    services.groups.add(caller, "g3", people("ann")).result()
    services.relationships.write(caller, rel("document:d#viewer@group:g0#member")).result()
    assert services.access.check(caller, question("document:d#viewer@user:ann")).allowed
    assert not services.access.check(caller, question("document:d#viewer@user:bob")).allowed
    services.groups.remove(caller, "g3", people("ann")).result()
    assert not services.access.check(caller, question("document:d#viewer@user:ann")).allowed


def test_a_group_that_relationships_speak_of_is_there(services, caller):
    services.relationships.write(caller, rel("group:old#member@user:ann")).result()
    found = services.groups.get(caller, "old")
    assert (1, None, None) == (found.members, found.name, found.created_at_ms)
    named = put(services, caller, "old", name="Old")
    assert not named.created
    assert "Old" == services.groups.get(caller, "old").name


def test_a_group_that_is_only_named_as_a_subject_is_not_there(services, caller):
    services.relationships.write(caller, rel("document:d#viewer@group:ghost#member")).result()
    with pytest.raises(NotFoundError):
        services.groups.get(caller, "ghost")
    with pytest.raises(NotFoundError):
        services.groups.members(caller, "ghost")
    with pytest.raises(NotFoundError):
        services.groups.delete(caller, "ghost")
    assert [] == groups(services, caller)


@pytest.mark.parametrize("size", [1, 2, 3, 100])
def test_every_group_is_listed_once_whatever_is_written_between_pages(services, caller, size):
    services.groups.add(caller, "b", people("ann", "bob", "cat")).result()
    put(services, caller, "empty", name="Empty")
    put(services, caller, "named", name="Named", members=people("ann"))
    services.relationships.bulk(
        caller, rels(*(f"group:{name}#member@user:u{n}" for name in "adc" for n in range(3)))
    ).result()
    put(services, caller, "emptied", members=people("ann"))
    put(services, caller, "emptied", members=[])
    found, cursor = [], None
    while True:
        page = services.groups.list(caller, page=Page(size, cursor))
        assert len(page.rows) <= size
        found += page.rows
        cursor = page.next_cursor
        if cursor is None:
            break
        # Not there when the list began; and what was there goes on to be listed where it stood.
        services.groups.add(caller, f"new{len(found)}", people("ann")).result()
        put(services, caller, f"fresh{len(found)}", name="F")
        services.groups.add(caller, "empty", people("zoe")).result()
        services.relationships.bulk(caller, (), rels("group:d#member@user:u0")).result()
    assert ["a", "b", "c", "d", "named", *sorted(["empty", "emptied"])] == [
        *(group.id for group in found[:5]),
        *sorted(group.id for group in found[5:]),
    ]
    assert "Named" == found[4].name
    assert all(group.members is None for group in found)


def test_members_are_listed_in_pages_of_one_revision(services, caller):
    services.groups.add(caller, "eng", people(*(f"u{n}" for n in range(7)))).result()
    found, cursor = [], None
    while True:
        page = services.groups.members(caller, "eng", page=Page(3, cursor))
        found += [row.relationship.subject_id for row in page.rows]
        cursor = page.next_cursor
        if cursor is None:
            break
        services.groups.add(caller, "eng", people(f"later{len(found)}")).result()
        services.groups.remove(caller, "eng", people("u6")).result()
    assert {f"u{n}" for n in range(7)} == set(found)
    assert 7 == len(found)
    first = services.groups.members(caller, "eng", page=Page(3))
    with pytest.raises(MalformedError) as caught:
        services.groups.members(caller, "other", page=Page(3, first.next_cursor))
    assert "cursor" == caught.value.field


def test_a_group_that_something_rests_on_is_deleted_with_force_only(services, caller):
    services.groups.add(caller, "eng", people("ann", "group:sub#member")).result()
    services.relationships.bulk(
        caller,
        rels(
            "document:d#viewer@group:eng#member",
            "document:e#viewer@group:eng#member",
            "group:all#member@group:eng#member",
            "document:e#viewer@user:ann",
        ),
    ).result()
    with pytest.raises(InUseError) as caught:
        services.groups.delete(caller, "eng")
    assert {"relationships": {"document#viewer": 2, "group#member": 1}} == caught.value.references
    assert 2 == services.groups.get(caller, "eng").members
    gone = services.groups.delete(caller, "eng", force=True).result()
    assert (2, 3, True) == (gone.members, gone.uses, gone.complete)
    with pytest.raises(NotFoundError):
        services.groups.get(caller, "eng")
    # Nothing comes back to life with the name.
    services.groups.add(caller, "eng", people("eve")).result()
    assert not services.access.check(caller, question("document:d#viewer@user:eve")).allowed
    assert services.access.check(caller, question("document:e#viewer@user:ann")).allowed


def test_an_unused_group_goes_with_its_members(services, caller):
    put(services, caller, "eng", name="E", members=people("ann", "group:eng#member"))
    gone = services.groups.delete(caller, "eng").result()
    assert (2, 0, True) == (gone.members, gone.uses, gone.complete)
    assert [] == groups(services, caller)


def test_a_grant_made_while_a_group_is_deleted_is_seen(services, caller):
    services.groups.add(caller, "eng", people("ann")).result()
    with held_writer(services.store):
        grant = services.relationships.write(caller, rel("document:d#viewer@group:eng#member"))
        deleting = services.groups.delete(caller, "eng")
    grant.result()
    with pytest.raises(InUseError):
        deleting.result()
    assert services.access.check(caller, question("document:d#viewer@user:ann")).allowed


def test_a_large_group_is_deleted_in_several_calls(tmp_path, clock):
    limits = Limits(filter_deletes_max=3)
    services = Services.build(
        open_store(tmp_path / "small", clock_ms=clock), clock_ms=clock, limits=limits
    )
    caller = services.local_caller()
    services.models.put(caller, MODEL).result()
    services.groups.add(caller, "eng", people(*"abcd")).result()
    services.relationships.write(caller, rel("document:d#viewer@group:eng#member")).result()
    with pytest.raises(LimitError) as caught:
        services.groups.put(caller, "eng", members=[]).result()
    assert ("filter_deletes_max", "members") == (caught.value.limit, caught.value.field)
    assert 4 == services.groups.get(caller, "eng").members
    calls = [services.groups.delete(caller, "eng", force=True).result() for _ in range(2)]
    assert [(3, 0, False), (1, 1, True)] == [
        (call.members, call.uses, call.complete) for call in calls
    ]
    services.close()


def test_what_the_model_does_not_take_is_refused_by_its_place(services, caller):
    bad = [*people("ann", "group:b", "folder:f"), MalformedError("x"), *people("usr:a")]
    for call in (
        lambda: services.groups.add(caller, "eng", bad),
        lambda: services.groups.put(caller, "eng", members=bad),
    ):
        with pytest.raises(ValidationError) as caught:
            call()
        places = {name.partition("[")[2] for name in caught.value.findings}
        assert {"1]", "2]", "3]", "4]"} == places
    with pytest.raises(NotFoundError):
        services.groups.get(caller, "eng")


@pytest.mark.parametrize("group_id", ["", "*", "a#b", " a", "x" * 1_025, "a\0"])
def test_ids_keep_the_rules(services, caller, group_id):
    for call in (
        lambda: services.groups.get(caller, group_id),
        lambda: services.groups.put(caller, group_id),
        lambda: services.groups.add(caller, group_id, people("ann")),
        lambda: services.groups.remove(caller, group_id, people("ann")),
        lambda: services.groups.delete(caller, group_id),
        lambda: services.groups.members(caller, group_id),
    ):
        with pytest.raises(MalformedError) as caught:
            call()
        assert "groupId" == caught.value.field


@pytest.mark.parametrize("name", ["", "x" * 201, " a", "a\0"])
def test_names_keep_the_rules(services, caller, name):
    with pytest.raises(MalformedError) as caught:
        services.groups.put(caller, "eng", name=name)
    assert "name" == caught.value.field


def test_names_may_hold_what_ids_may_not(services, caller):
    assert "C# & co" == put(services, caller, "eng", name="C# & co").group.name
    assert "x" * 1_024 == put(services, caller, "x" * 1_024).group.id


def test_too_many_members_for_one_call(services, caller):
    many = people("ann") * 5_001
    for call, field in (
        (lambda: services.groups.put(caller, "eng", members=many), "members"),
        (lambda: services.groups.add(caller, "eng", many), "subjects"),
        (lambda: services.groups.remove(caller, "eng", many), "subjects"),
    ):
        with pytest.raises(LimitError) as caught:
            call()
        assert ("bulk_writes_max", field) == (caught.value.limit, caught.value.field)


@pytest.mark.parametrize(
    "rules",
    [{"admin": "[user]"}, {}, {"admin": "[user]", "member": "admin"}],
    ids=["without member", "without relations", "computed"],
)
def test_a_model_with_other_groups_is_told_apart(services, empty, rules):
    services.models.put(empty, model({"user": {}, "group": rules})).result()
    for call in (
        lambda: services.groups.list(empty),
        lambda: services.groups.get(empty, "eng"),
        lambda: services.groups.put(empty, "eng"),
        lambda: services.groups.add(empty, "eng", people("ann")),
        lambda: services.groups.remove(empty, "eng", people("ann")),
    ):
        with pytest.raises(ConflictError) as caught:
            call()
        assert caught.value.help


def test_groups_need_their_permission_and_the_whole_application(services, caller):
    reader = replace(caller, permissions=frozenset({"groups:read"}), is_root=False)
    writer = replace(caller, permissions=frozenset({"groups:write"}), is_root=False)
    tenant = replace(caller, tenant_id="t1")
    put(services, writer, "eng", members=people("ann"))
    assert services.groups.get(reader, "eng").members == 1
    reads = (
        lambda who: services.groups.get(who, "eng"),
        services.groups.list,
        lambda who: services.groups.members(who, "eng"),
    )
    writes = (
        lambda who: services.groups.put(who, "eng"),
        lambda who: services.groups.add(who, "eng", people("ann")),
        lambda who: services.groups.remove(who, "eng", people("ann")),
        lambda who: services.groups.delete(who, "eng"),
    )
    for calls, lacking, permission in (
        (reads, writer, "groups:read"),
        (writes, reader, "groups:write"),
    ):
        for call in calls:
            with pytest.raises(ForbiddenError) as caught:
                call(lacking)
            assert permission == caught.value.permission
            with pytest.raises(TenantScopeError):
                call(tenant)


def test_one_application_knows_nothing_of_another(services, caller):
    other = services.applications.enter(
        caller, services.applications.create(caller, "Acme").result().id
    )
    put(services, caller, "eng", name="E", members=people("ann"))
    assert [] == groups(services, other)
    with pytest.raises(NotFoundError):
        services.groups.get(other, "eng")

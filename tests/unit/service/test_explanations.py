"""Explanations with roles: who decided, what was not considered, what would do."""

from __future__ import annotations

import pytest

from tests.builders import model, rel, rels, subject
from tests.suggested import do, undo
from tests.unit.service.role_world import RoleWorld
from zeratul.api.authaz.explaining import explanation
from zeratul.domain.relationship import ObjectRef, SubjectRef
from zeratul.errors import LimitError, MalformedError, NotFoundError, UserScopeError
from zeratul.graph.answers import CheckQuestion
from zeratul.service.questions import suggestions


@pytest.fixture
def world(services, empty):
    return RoleWorld.new(services, empty)


def asked(who, permission, name="d1", tenant=None):
    kind, _, action = permission.partition(":")
    return CheckQuestion(subject(who), ObjectRef(kind, name), action, tenant)


def explain(world, who, permission, name="d1", tenant=None, **more):
    return world.services.access.explain(
        world.caller, asked(who, permission, name, tenant), **more
    )


def grants(found):
    return {
        (grant.relation, str(grant.subject)): (grant.effect, grant.matched)
        for grant in found.direct_grants
    }


def told(found):
    """The answer but for what every question has of its own."""
    value = explanation(found)
    return {name: value[name] for name in value.keys() - {"durationMs", "revision", "zookie"}}


def test_a_role_that_decides_is_shown_with_the_policy_that_gives_it(world):
    reading = world.policy("Reading", "documents:read", "reports:*")
    other = world.policy("Offices", "offices:enter")
    role = world.role("Reader", other, reading)
    world.assign("user:ann", role)
    found = explain(world, "user:ann", "documents:read")
    assert found.allowed
    assert (True, False) == (found.explanation.via_role, found.explanation.via_relationships)
    [shown] = found.roles
    assert (role.id, "Reader", None, "*") == (
        shown.trace.role_id,
        shown.name,
        shown.tenant_id,
        shown.path,
    )
    assert (True, "decides") == (shown.trace.considered, shown.trace.reason)
    assert [(other.id, False), (reading.id, True)] == [
        (policy.id, policy.matched) for policy in shown.policies
    ]
    assert shown.policies[1].permissions == ("documents:read", "reports:*")
    assert shown.policies[1].closest is None
    assert "role `Reader`" in found.text
    assert "yes: policy `Reading`" in found.text
    assert found.text.startswith("allowed: user:ann as `read` of documents:d1\n")
    assert (None, ()) == (found.closest, found.suggestions)


def test_a_role_and_a_direct_grant_both_grant(world):
    world.assign("user:ann", world.reader())
    world.join("documents:d1#viewer@user:ann")
    found = explain(world, "user:ann", "documents:read")
    assert (True, True) == (found.explanation.via_role, found.explanation.via_relationships)
    assert "decides" == found.roles[0].trace.reason
    assert {("viewer", "user:ann"): ("grants", True)} == grants(found)
    assert ("read",) == found.direct_grants[0].actions


def test_a_check_claims_nothing_of_a_way_it_did_not_look_at(world):
    world.assign("user:ann", world.reader())
    world.join("documents:d2#viewer@user:ann")
    check = world.services.access.check
    by_role = check(world.caller, asked("user:ann", "documents:read"))
    assert (True, True, False) == (by_role.allowed, by_role.via_role, by_role.via_direct_grant)
    direct = check(world.caller, asked("user:ann", "documents:read", "d2"))
    assert (True, None, True) == (direct.allowed, direct.via_role, direct.via_direct_grant)
    on_type = check(world.caller, asked("user:ann", "documents:read", ""))
    assert (True, True, None) == (on_type.allowed, on_type.via_role, on_type.via_direct_grant)
    many = world.services.access.check_many(
        world.caller, [asked("user:ann", "documents:read", each) for each in ("d1", "d2", "")]
    )
    assert [by_role, direct, on_type] == many.results


def test_the_way_through_groups_is_told(world):
    world.assign("group:all#member", world.reader())
    world.join("group:all#member@group:eng#member", "group:eng#member@user:ann")
    found = explain(world, "user:ann", "documents:read")
    [shown] = found.roles
    assert "group:all#member" == str(shown.trace.holder)
    assert set(rels("group:all#member@group:eng#member", "group:eng#member@user:ann")) == set(
        shown.trace.relationships
    )
    assert "through group:eng#member@user:ann" in found.text


def test_roles_of_other_tenants_are_shown_as_not_considered(world):
    role = world.reader()
    own = world.reader("Own", tenant="acme")
    world.assign("user:ann", role, "acme")
    world.assign("user:ann", own, "acme")
    inside = explain(world, "user:ann", "documents:read", tenant="acme")
    assert {"decides"} == {shown.trace.reason for shown in inside.roles}
    for tenant in (None, "globex"):
        found = explain(world, "user:ann", "documents:read", tenant=tenant)
        assert not found.allowed
        assert {("acme", None, False, "other_tenant")} == {
            (shown.tenant_id, shown.path, shown.trace.considered, shown.trace.reason)
            for shown in found.roles
        }
        assert "not considered" in found.text
        assert tenant == found.question.tenant


def test_a_caller_of_one_tenant_learns_of_no_other(world):
    role = world.reader()
    world.assign("user:ann", role, "acme")
    world.reader("Of globex", tenant="globex")
    before = explain(world.in_tenant("globex"), "user:ann", "documents:read")
    world.assign("user:ann", role, "initech")
    world.assign("user:ann", world.reader("Of initech", tenant="initech"), "initech")
    found = explain(world.in_tenant("globex"), "user:ann", "documents:read")
    assert ((), 0, None) == (found.roles, found.explanation.roles_total, found.reads)
    assert "acme" not in found.text
    assert "globex" == found.question.tenant
    assert {None, "globex"} == {each.tenant_id for each in found.suggestions}
    assert {("Reader", "globex"), ("Of globex", "globex")} == {
        (each.role_name, each.tenant_id) for each in found.suggestions if each.role_id
    }
    # Nothing that happens in another tenant changes what this one is told.
    assert told(before) == told(found)
    with pytest.raises(NotFoundError):
        explain(world.in_tenant("globex"), "user:ann", "documents:read", tenant="acme")


def test_a_role_that_does_not_do_says_why(world):
    narrow = world.role("Writer", world.policy("Writing", "documents:update", "documents:create"))
    world.assign("user:ann", narrow)
    world.assign("user:ann", world.reader(), path="documents/d2")
    found = explain(world, "user:ann", "documents:read")
    reasons = {shown.name: shown.trace.reason for shown in found.roles}
    assert {"Writer": "does_not_carry", "Reader": "does_not_cover"} == reasons
    writer = next(shown for shown in found.roles if shown.name == "Writer")
    assert "documents:create" == writer.policies[0].closest
    assert "documents/d2" == next(shown.path for shown in found.roles if shown.name == "Reader")
    assert "the closest it gives is documents:create" in found.text


def test_the_closest_permission_is_one_that_holds(world):
    world.join("documents:d1#editor@user:ann")
    found = explain(world, "user:ann", "documents:delete")
    assert "documents:create" == found.closest
    assert "documents:create" in found.text
    assert explain(world, "user:bob", "documents:delete").closest is None
    # Roles hold as well, and what is taken as deleted does not.
    world.assign("user:bob", world.reader())
    assert "documents:read" == explain(world, "user:bob", "documents:delete").closest
    gone = explain(
        world, "user:ann", "documents:delete", deletes=rels("documents:d1#editor@user:ann")
    )
    assert gone.closest is None


def test_direct_grants_are_shown_though_they_do_not_match(world):
    world.join("documents:d1#viewer@user:ann", "documents:d1#viewer@group:eng#member")
    world.join("group:eng#member@user:bob", "documents:d1#commenter@user:*")
    denied = explain(world, "user:ann", "documents:delete")
    assert {
        ("viewer", "user:ann"): ("grants", False),
        ("commenter", "user:*"): ("grants", False),
    } == grants(denied)
    by_group = explain(world, "user:bob", "documents:read")
    assert ("grants", True) == grants(by_group)["viewer", "group:eng#member"]
    # Hypothetical ones as well.
    supposed = explain(
        world,
        "user:ann",
        "documents:delete",
        writes=rels("documents:d1#owner@user:ann"),
        deletes=rels("documents:d1#viewer@user:ann"),
    )
    assert supposed.allowed
    assert {
        ("owner", "user:ann"): ("grants", True),
        ("commenter", "user:*"): ("grants", False),
    } == grants(supposed)


def test_a_relation_that_only_takes_away_is_never_a_grant(services, empty):
    rules = {
        "user": {},
        "folder": {"viewer": "[user]"},
        "doc": {
            "parent": "[folder]",
            "banned": "[user]",
            "pardoned": "[user]",
            "viewer": "[user] or viewer from parent",
            "read": "viewer but not (banned but not pardoned)",
        },
    }
    services.models.put(empty, model(rules)).result()
    services.relationships.bulk(
        empty,
        rels(
            "doc:a#viewer@user:ann", "doc:a#banned@user:ann",
            "doc:a#viewer@user:bob", "doc:a#banned@user:bob", "doc:a#pardoned@user:bob",
            "doc:a#parent@folder:f", "folder:f#viewer@user:cat",
        ),
    ).result()  # fmt: skip

    def of(who, relation="read"):
        question = CheckQuestion(subject(who), ObjectRef("doc", "a"), relation)
        return services.access.explain(empty, question)

    banned = of("user:ann")
    assert not banned.allowed
    assert {
        ("viewer", "user:ann"): ("grants", False),
        ("banned", "user:ann"): ("takes_away", False),
    } == grants(banned)
    assert ("takes_away", False) == grants(of("user:bob"))["banned", "user:bob"]
    assert ("grants", True) == grants(of("user:bob"))["viewer", "user:bob"]
    assert ("grants", True) == grants(of("user:bob"))["pardoned", "user:bob"]
    inherited = of("user:cat")
    assert inherited.allowed
    assert {("parent", "folder:f"): ("leads", True)} == grants(inherited)
    # Asked for by its name, it is what it is.
    assert ("grants", True) == grants(of("user:ann", "banned"))["banned", "user:ann"]


def test_suggestions_turn_the_no_and_the_least_comes_first(world):
    writing = world.policy("Writing", "documents:*", "reports:*")
    updating = world.policy("Updating", "documents:update")
    world.role("Editor", writing)
    world.role("Updater", updating)
    world.role("Of acme", updating, tenant="acme")
    held = world.role("Visitor", world.policy("Visiting", "offices:enter"))
    world.assign("user:ann", held)
    for tenant, name in ((None, "d1"), ("acme", "d1"), (None, ""), ("acme", ""), (None, "a b")):
        found = explain(world, "user:ann", "documents:update", name, tenant)
        assert not found.allowed
        kinds = [each.kind for each in found.suggestions]
        assert sorted(kinds, key=["relationship", "role", "policy"].index) == kinds
        assert {"role", "policy"} <= set(kinds)
        assert bool(name) == ("relationship" in kinds)
        relations = [each.relationship.relation for each in found.suggestions if each.relationship]
        if name:
            assert "editor" == relations[0]
            assert "owner" not in relations
        roles = [each.role_name for each in found.suggestions if each.kind == "role"]
        assert "Editor" == roles[-1]
        assert ("Of acme" in roles) == (tenant == "acme")
        policies = [each.policy_name for each in found.suggestions if each.kind == "policy"]
        assert ["Updating", "Writing"] == policies
        for suggestion in found.suggestions:
            assert not world.can("user:ann", "documents:update", name, tenant)
            do(world, "user:ann", suggestion)
            assert world.can("user:ann", "documents:update", name, tenant), suggestion
            undo(world, "user:ann", suggestion)


@pytest.mark.parametrize(
    ("name", "path"),
    [
        ("d1", "documents/d1"),
        ("a/b", "documents/a/b"),
        ("a b", "documents/*"),
        ("a/*", "documents/*"),
        ("*/a", "documents/*"),
        ("a//b", "documents/*"),
        ("a/", "documents/*"),
        ("", "documents/*"),
    ],
)
def test_a_role_is_suggested_on_the_narrowest_path_that_can_be_named(world, name, path):
    world.reader()
    found = explain(world, "user:ann", "documents:read", name)
    assert [path] == [each.path for each in found.suggestions if each.kind == "role"]


def test_who_can_hold_no_role_gets_none_suggested(world):
    world.reader()
    for who in ("user:*", "documents:d2"):
        assert all(each.relationship for each in explain(world, who, "documents:read").suggestions)
    # Nor for what no role can give.
    assert all(
        each.relationship for each in explain(world, "user:ann", "documents:viewer").suggestions
    )


def test_on_a_type_as_a_whole_roles_alone_decide(world):
    world.assign("user:ann", world.reader())
    world.assign("user:bob", world.reader("Narrow"), path="documents/d1")
    world.join("documents:d1#viewer@user:cat")
    found = explain(world, "user:ann", "documents:read", "")
    assert found.allowed
    assert (True, None) == (found.explanation.via_role, found.explanation.via_relationships)
    assert () == found.direct_grants
    assert found.text.startswith("allowed: user:ann as `read` of documents as a whole\n")
    for who in ("user:bob", "user:cat"):
        assert not explain(world, who, "documents:read", "").allowed
        assert not world.can(who, "documents:read", "")


def test_contextual_memberships_bring_roles(world):
    world.assign("group:eng#member", world.reader())
    given = rels("group:eng#member@user:new")
    question = asked("user:new", "documents:read")
    access = world.services.access
    assert access.check(world.caller, question, contextual=given).allowed
    assert access.check_many(world.caller, [question], contextual=given).results[0].allowed
    assert access.explain(world.caller, question, contextual=given).allowed
    assert access.explain(world.caller, question, writes=given).allowed
    assert not access.check(world.caller, question).allowed
    on_type = asked("user:new", "documents:read", "")
    assert access.check(world.caller, on_type, contextual=given).allowed
    world.join("group:eng#member@user:ann")
    removed = access.explain(
        world.caller,
        asked("user:ann", "documents:read"),
        deletes=rels("group:eng#member@user:ann"),
    )
    assert not removed.allowed


def test_more_roles_than_are_listed_are_counted(world):
    role = world.reader()
    for number in range(130):
        world.assign("user:ann", role, path=f"documents/x{number}")
    found = explain(world, "user:ann", "documents:read")
    assert not found.allowed
    assert 130 == found.explanation.roles_total > len(found.roles)
    assert found.cut
    assert "more roles are not shown" in found.text


def test_suggestions_say_when_there_is_more_than_they_looked_at(world, monkeypatch):
    for number in range(4):
        world.reader(f"Reader {number}")
    assert not explain(world, "user:ann", "documents:read").cut
    monkeypatch.setattr(suggestions, "DOCUMENTS_MAX", 3)
    assert explain(world, "user:ann", "documents:read").cut


def test_a_policy_of_many_permissions_is_cut_with_its_count(world):
    actions = tuple(f"a{number}" for number in range(100))
    world.declare({"documents": ("read",), "many": actions, "more": actions}, force=True)
    policy = world.policy(
        "All", *(f"{kind}:{action}" for kind in ("many", "more") for action in actions)
    )
    world.assign("user:ann", world.role("Wide", policy))
    [shown] = explain(world, "user:ann", "more:a7").roles[0].policies
    assert (100, 200, True) == (len(shown.permissions), shown.permissions_total, shown.matched)
    assert "more:a7" in shown.permissions


RESERVED = ("⟨grant⟩", "⟨scope⟩", "⟨role⟩")


@pytest.mark.parametrize("kind", RESERVED)
def test_the_servers_own_types_can_not_be_named_though_they_are_there(world, kind):
    role = world.reader()
    world.assign("user:ann", role)
    access, caller = world.services.access, world.caller
    holder = SubjectRef("⟨grant⟩", f"{role.id}@root", "holder")
    relation = "holder" if kind == "⟨grant⟩" else "grants"
    bad = [
        CheckQuestion(subject("user:ann"), ObjectRef(kind, f"{role.id}@root"), relation),
        CheckQuestion(subject("user:ann"), ObjectRef(kind, ""), relation),
        CheckQuestion(SubjectRef(kind, "x", relation), ObjectRef("documents", "d1"), "read"),
        CheckQuestion(SubjectRef(kind, "x"), ObjectRef("documents", "d1"), "read"),
        CheckQuestion(holder, ObjectRef("documents", "d1"), "read"),
    ]
    for question in bad:
        for ask in (access.check, access.explain):
            with pytest.raises(MalformedError):
                ask(caller, question)
        [error] = access.check_many(caller, [question]).results
        assert isinstance(error, MalformedError)
    with pytest.raises(MalformedError):
        access.expand(caller, ObjectRef(kind, "x"), relation)
    with pytest.raises(MalformedError):
        access.who_can(caller, ObjectRef(kind, "x"), relation)
    with pytest.raises(MalformedError):
        access.who_can(caller, ObjectRef("documents", "d1"), "read", subject_type=kind)
    with pytest.raises(MalformedError):
        access.what_can(caller, subject("user:ann"), kind, relation)
    with pytest.raises(MalformedError):
        access.what_can(caller, SubjectRef(kind, "x"), "documents", "read")


@pytest.mark.parametrize("tenant", ["", "*", "a#b", " a", "x" * 1_025])
def test_a_tenant_is_an_id(world, tenant):
    question = asked("user:ann", "documents:read", tenant=tenant)
    for ask in (world.services.access.check, world.services.access.explain):
        with pytest.raises(MalformedError) as caught:
            ask(world.caller, question)
        assert "tenantId" == caught.value.field
    fine = asked("user:ann", "documents:read", tenant="acme")
    results = world.services.access.check_many(world.caller, [fine, question, fine]).results
    assert isinstance(results[1], MalformedError)
    assert results[0] == results[2]


def test_who_speaks_for_one_user_asks_about_that_one_only(world):
    world.assign("user:ann", world.reader())
    ann = world.as_(user_id="ann", is_root=False)
    own, other = asked("user:ann", "documents:read"), asked("user:bob", "documents:read")
    access = world.services.access
    assert access.check(ann.caller, own).allowed
    assert access.explain(ann.caller, own).allowed
    for ask in (access.check, access.explain):
        with pytest.raises(UserScopeError):
            ask(ann.caller, other)
    results = access.check_many(ann.caller, [own, other, own]).results
    assert isinstance(results[1], UserScopeError)
    assert results[0].allowed
    assert results[2].allowed


def test_questions_of_a_tenants_caller_are_asked_in_its_tenant(world):
    world.assign("user:ann", world.reader(), "acme")
    acme, globex = world.in_tenant("acme"), world.in_tenant("globex")
    question = asked("user:ann", "documents:read")
    access = world.services.access
    assert access.check(acme.caller, question).allowed
    assert access.check_many(acme.caller, [question]).results[0].allowed
    assert not access.check(globex.caller, question).allowed
    assert not access.check(world.caller, question).allowed
    there = question._replace(tenant="acme")
    with pytest.raises(NotFoundError):
        access.check(globex.caller, there)
    assert isinstance(access.check_many(globex.caller, [there]).results[0], NotFoundError)


def test_too_much_to_look_at_is_an_error_and_no_answer(world):
    with pytest.raises(LimitError):
        explain(
            world, "user:ann", "documents:read", writes=[rel("documents:d1#viewer@user:a")] * 101
        )

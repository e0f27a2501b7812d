"""Check and explain over HTTP with a catalog, policies, roles, tenants and groups."""

import pytest

from tests.api.client import FACTS, NDJSON, A, fact
from tests.api.test_bad_input import assert_problem
from tests.api.worlds import CATALOG, World


@pytest.fixture
def world(root):
    return World(root)


def test_a_role_path_and_a_direct_grant_are_both_shown_as_granting(world):
    role = world.reader()
    world.assign("user:u1", role, scope="documents/*")
    world.join("documents:d1#viewer@user:u1")
    assert world.check("user:u1", "documents:read") == {"allowed": True, "viaDirectGrant": True}
    assert world.check("user:u1", "documents:read", "d2") == {
        "allowed": True,
        "viaRole": True,
        "viaDirectGrant": False,
    }
    found = world.explain("user:u1", "documents:read")
    assert (found["allowed"], found["viaRole"], found["viaDirectGrant"]) == (True, True, True)
    [shown] = found["roles"]
    assert (shown["roleId"], shown["name"], shown["reason"]) == (role, "Reader", "decides")
    assert (shown["scope"], shown["tenantId"], shown["considered"]) == ("documents", None, True)
    assert shown["policies"][0]["matched"] is True
    assert shown["policies"][0]["permissions"] == ["documents:read"]
    assert found["roleTrace"] == found["roles"]
    assert found["policyTrace"] == [{"roleId": role, **shown["policies"][0]}]
    assert found["directGrants"] == [
        {
            "relation": "viewer",
            "actions": ["read", "list"],
            "effect": "grants",
            "matched": True,
            "via": "user:u1",
        }
    ]
    assert found["records"] == []
    assert "closestPermission" not in found
    assert "suggestions" not in found


def test_a_denial_names_the_closest_permission_and_the_least_that_would_do(world):
    reading = world.policy("Reading", "documents:read", "documents:create")
    role = world.role("Reader", reading)
    world.assign("user:u1", role)
    updating = world.policy("Updating", "documents:update")
    updater = world.role("Updater", updating)
    found = world.explain("user:u1", "documents:update")
    assert (found["allowed"], found["viaRole"], found["viaDirectGrant"]) == (False, False, False)
    [shown] = found["roles"]
    assert shown["reason"] == "does_not_carry"
    assert shown["policies"][0]["closest"] == "documents:create"
    assert found["closestPermission"] == "documents:create"
    suggested = found["suggestions"]
    assert [each["kind"] for each in suggested] == [
        *["relationship"] * 2, "role", "policy",
    ]  # fmt: skip
    # Whatever opens least comes first; nobody has to become an owner for it.
    assert [each["relation"] for each in suggested[:2]] == ["approver", "editor"]
    assert suggested[2] == {
        "kind": "role", "roleId": updater, "roleName": "Updater", "userId": "u1",
        "subject": "user:u1", "scope": "documents/d1",
    }  # fmt: skip
    assert suggested[3] == {
        "kind": "policy", "roleId": role, "roleName": "Reader", "policyId": updating,
        "policyName": "Updating",
    }  # fmt: skip
    text = found["text"]
    for words in (
        "denied: user:u1 as `update` of documents:d1",
        "no: role `Reader`",
        "no: policy `Reading`",
        "documents:d1#approver@user:u1",
        f"role `Updater` ({updater}) on documents/d1",
    ):
        assert words in text
    # Each of them turns it.
    wanted = {key: suggested[0][key] for key in ("subject", "resource", "resourceId", "relation")}
    assert world.explain("user:u1", "documents:update", writes=[wanted])["allowed"] is True
    world.assign("user:u1", updater, scope=suggested[2]["scope"])
    assert world.check("user:u1", "documents:update")["allowed"] is True
    assert world.check("user:u1", "documents:update", "d2")["allowed"] is False


def test_a_user_with_a_role_through_a_group_through_a_group(world):
    world.assign("group:staff#member", world.reader())
    world.api.call("PUT", "/api/v1/groups/staff", {"members": ["group:eng#member"]})
    world.api.call("PUT", "/api/v1/groups/eng/members/u1")
    assert world.check("user:u1", "documents:read")["viaRole"] is True
    [shown] = world.explain("user:u1", "documents:read")["roles"]
    assert shown["via"] == "group:staff#member"
    assert sorted(shown["relationships"]) == [
        "group:eng#member@user:u1",
        "group:staff#member@group:eng#member",
    ]
    world.api.call("DELETE", "/api/v1/groups/eng/members/u1")
    assert world.check("user:u1", "documents:read")["allowed"] is False


def test_the_same_role_name_in_two_tenants_and_a_global_role_in_one(world):
    writing = world.policy("Writing", "documents:update")
    reading = world.policy("Reading", "documents:read")
    world.assign("user:u1", world.role("Member", writing, tenant="acme"), tenantId="acme")
    world.assign("user:u1", world.role("Member", reading, tenant="globex"), tenantId="globex")
    world.assign("user:u2", world.role("Everywhere", reading), tenantId="acme")

    def may(who, action, tenant):
        more = {"tenantId": tenant} if tenant else {}
        return world.check(who, f"documents:{action}", **more)["allowed"]

    assert [may("user:u1", "update", each) for each in ("acme", "globex", None)] == [
        True, False, False,
    ]  # fmt: skip
    assert [may("user:u1", "read", each) for each in ("acme", "globex", None)] == [
        False, True, False,
    ]  # fmt: skip
    assert [may("user:u2", "read", each) for each in ("acme", "globex", None)] == [
        True, False, False,
    ]  # fmt: skip
    found = world.explain("user:u1", "documents:update", tenantId="globex")
    assert found["tenantId"] == "globex"
    assert {(each["tenantId"], each["considered"], each["reason"]) for each in found["roles"]} == {
        ("globex", True, "does_not_carry"),
        ("acme", False, "other_tenant"),
    }
    assert "tenant acme: not considered" in found["text"]


def test_on_a_type_as_a_whole_roles_alone_count(world):
    world.assign("user:u1", world.reader())
    world.join("documents:d1#owner@user:u2")
    assert world.check("user:u1", "documents:read", None) == {"allowed": True, "viaRole": True}
    assert world.check("user:u2", "documents:read", None) == {"allowed": False, "viaRole": False}
    found = world.explain("user:u1", "documents:read", None)
    assert (found["allowed"], found["resourceId"]) == (True, None)
    assert "viaDirectGrant" not in found
    checks = [
        {"permission": "documents:read"},
        {"permission": "documents:read", "resourceId": "d1"},
        {"permission": "documents:read", "resourceId": ""},
        {"permission": "documents:red"},
        {"permission": "documents:read", "userId": "u2"},
    ]
    results = world.api.post(f"{A}/check/bulk", {"userId": "u1", "checks": checks}).json["results"]
    assert results[0] == {"allowed": True, "viaRole": True}
    assert results[1] == {"allowed": True, "viaRole": True, "viaDirectGrant": False}
    assert list(results[2]["error"]["errors"]) == ["resourceId"]
    assert results[3]["error"]["suggestion"] == "read"
    assert results[4] == {"allowed": False, "viaRole": False}


def test_a_membership_that_is_only_supposed_brings_its_roles(world):
    world.assign("group:eng#member", world.reader())
    given = [fact("group:eng#member@user:new")]
    assert world.check("user:new", "documents:read")["allowed"] is False
    for path, name in (("check", "contextualRelationships"), ("explain", "writes")):
        for resource in ("d1", None):
            answer = world.ask(path, "user:new", "documents:read", resource, **{name: given})
            assert answer.json["allowed"] is True, answer.body
    world.join("group:eng#member@user:u1")
    taken = {"deletes": [fact("group:eng#member@user:u1")]}
    assert world.explain("user:u1", "documents:read", **taken)["allowed"] is False
    assert world.check("user:u1", "documents:read")["allowed"] is True


def test_built_in_relations_imply_what_is_declared(world):
    world.join(
        "documents:d1#editor@user:edith", "documents:d1#commenter@user:carl",
        "documents:d1#owner@user:olga", "reports:r1#editor@user:edith",
    )  # fmt: skip
    for who, allowed in {
        "edith": {"create", "read", "update"},
        "carl": {"read", "comment"},
        "olga": {"create", "read", "list", "update", "delete", "comment"},
    }.items():
        for action in CATALOG[0]["actions"]:
            found = world.check(f"user:{who}", f"documents:{action}")
            assert found["allowed"] is (action in allowed), (who, action)
    # `reports` declares neither create nor update.
    assert world.check("user:edith", "reports:read", "r1")["allowed"] is True
    grants = world.explain("user:edith", "reports:export", "r1")["directGrants"]
    assert [(each["relation"], each["actions"], each["matched"]) for each in grants] == [
        ("editor", ["read"], False)
    ]


def test_a_key_of_one_tenant_asks_in_its_tenant_and_shares_nothing(world):
    role = world.reader()
    world.assign("user:u1", role, tenantId="acme")
    world.assign("user:u2", role, tenantId="globex")
    acme = world.key(tenantId="acme")
    assert world.check("user:u1", "documents:read", client=acme)["allowed"] is True
    assert world.check("user:u2", "documents:read", client=acme)["allowed"] is False
    found = world.explain("user:u2", "documents:read", client=acme)
    assert (found["tenantId"], found["roles"], found["rolesTotal"]) == ("acme", [], 0)
    assert "globex" not in str(found)
    for path in ("check", "explain"):
        answer = world.ask(path, "user:u1", "documents:read", client=acme, tenantId="globex")
        assert_problem(answer, 404, "not_found")
    bulk = {"tenantId": "globex", "checks": [{"userId": "u", "permission": "documents:read"}]}
    assert_problem(acme.post(f"{A}/check/bulk", bulk), 404, "not_found")
    one = fact("documents:d1#viewer@user:u1")
    before = world.api.everything()
    for answer in (
        acme.post(FACTS, one),
        acme.call("DELETE", FACTS, one),
        acme.call("DELETE", FACTS, {"userId": "u1"}),
        acme.get(FACTS, userId="u1"),
        acme.get(FACTS, resource="documents", resourceId="d1"),
        acme.post(f"{FACTS}/bulk", {"writes": [one]}),
        acme.post(f"{FACTS}/bulk?dryRun=true", {"writes": [one]}),
        acme.call("POST", f"{FACTS}/import", raw=b"{}", headers={"Content-Type": NDJSON}),
        acme.get(f"{FACTS}/export"),
        acme.get(f"{A}/expand", resource="documents", resourceId="d1", relation="viewer"),
        acme.get("/api/v1/groups"),
        acme.call("PUT", "/api/v1/groups/eng", {"members": ["u1"]}),
    ):
        assert_problem(answer, 403, "tenant_scope")
    assert world.api.everything() == before


QUESTION = {"userId": "u1", "permission": "documents:read", "resourceId": "d1"}
HOLDER = "⟨grant⟩:role_x@root#holder"
RESERVED_FACT = {
    "subject": "user:u1", "resource": "⟨grant⟩", "resourceId": "role_x@root",
    "relation": "holder",
}  # fmt: skip
WRONG = {
    "empty tenant": (QUESTION | {"tenantId": ""}, "malformed", "tenantId"),
    "star as tenant": (QUESTION | {"tenantId": "*"}, "malformed", "tenantId"),
    "tenant with #": (QUESTION | {"tenantId": "a#b"}, "malformed", "tenantId"),
    "long tenant": (QUESTION | {"tenantId": "x" * 1_025}, "malformed", "tenantId"),
    "tenant that is no text": (QUESTION | {"tenantId": 7}, "validation_failed", "tenantId"),
    "empty id": (QUESTION | {"resourceId": ""}, "malformed", "resourceId"),
    "star as id": (QUESTION | {"resourceId": "*"}, "malformed", "resourceId"),
    "unknown action": (QUESTION | {"permission": "documents:reed"}, "unknown_name", "action"),
    "unknown resource": (QUESTION | {"permission": "document:read"}, "unknown_name", "resource"),
    "every action": (QUESTION | {"permission": "documents:*"}, "unknown_name", "action"),
    "reserved resource": (QUESTION | {"permission": "⟨grant⟩:holder"}, "malformed", "resource"),
    "reserved subject": (
        {"subject": HOLDER, "permission": "documents:read", "resourceId": "d1"}, "malformed",
        "subject",
    ),
    "reserved contextual resource": (
        QUESTION | {"contextualRelationships": [RESERVED_FACT]}, "validation_failed",
        "contextualRelationships[0].resource",
    ),
    "reserved contextual subject": (
        QUESTION | {"contextualRelationships": [fact(f"documents:d1#viewer@{HOLDER}")]},
        "malformed", "contextualRelationships[0].subject",
    ),
}  # fmt: skip


@pytest.mark.parametrize("path", ["check", "explain"])
@pytest.mark.parametrize("what", WRONG)
def test_a_question_that_is_none(world, path, what):
    world.assign("user:u1", world.reader())
    body, code, field = WRONG[what]
    answer = world.api.post(f"{A}/{path}", body)
    assert_problem(answer, 400, code)
    assert field in answer.json["errors"], answer.json


@pytest.mark.parametrize("name", ["writes", "deletes"])
@pytest.mark.parametrize(
    ("given", "field"),
    [
        (RESERVED_FACT, "[0].resource"),
        (fact("documents:d1#viewr@user:u1"), "[0].relation"),
        (fact("documents:d1#read@group:eng#membr"), "[0].subject"),
    ],
)
def test_a_supposed_relationship_that_names_what_is_not_there(world, name, given, field):
    world.assign("user:u1", world.reader())
    answer = world.api.post(f"{A}/explain", QUESTION | {name: [given]})
    assert_problem(answer, 400, "validation_failed")
    assert name + field in answer.json["errors"], answer.json


def test_what_assignments_are_stored_as_is_never_seen_nor_named(world):
    role = world.reader()
    world.assign("user:u1", role, scope="documents/a/*")
    world.assign("group:eng#member", role, tenantId="acme")
    world.join("documents:d1#viewer@user:u1", "documents:d1#viewer@group:eng#member")
    stored = world.api.everything()
    assert len(stored) == 2
    views = [
        world.api.get(FACTS, userId="u1"),
        world.api.get(FACTS, subject="group:eng#member"),
        world.api.get(FACTS, subject="user:u1", relation="viewer"),
        world.api.get(FACTS, resource="documents", resourceId="d1", userId="u1"),
    ]
    for view in views:
        assert [row["resource"] for row in view.json["data"]] == ["documents"], view.body
    # Relations of those types are no names a filter knows.
    for relation in ("holder", "grants", "inner"):
        assert_problem(world.api.get(FACTS, userId="u1", relation=relation), 400, "unknown_name")
    for query in (
        {"resource": "⟨grant⟩", "resourceId": f"{role}@root"},
        {"subject": HOLDER},
        {"userId": "u1", "resource": "⟨grant⟩"},
    ):
        assert_problem(world.api.get(FACTS, **query), 400, "malformed")
        assert_problem(world.api.call("DELETE", FACTS, query), 400, "malformed")
    for body in (RESERVED_FACT, fact(f"documents:d1#viewer@{HOLDER}")):
        assert_problem(world.api.post(FACTS, body), 400, "malformed")
        assert_problem(world.api.call("DELETE", FACTS, body), 400, "malformed")
        for name in ("writes", "deletes"):
            bulk = world.api.post(f"{FACTS}/bulk", {name: [body]})
            assert_problem(bulk, 400, "validation_failed")
        condition = {"writes": [], "preconditions": [{"mustExist": body}]}
        assert_problem(world.api.post(f"{FACTS}/bulk", condition), 400, "validation_failed")
    line = '{"resource": "⟨role⟩:x", "relation": "grants", "subject": "user:u"}'.encode()
    imported = world.api.call(
        "POST", f"{FACTS}/import", raw=line, headers={"Content-Type": NDJSON}
    )
    assert (imported.json["created"], imported.json["rejected"]) == (0, 1)
    # Deleting everything of a user leaves its roles, which have an interface of their own.
    assert world.api.call("DELETE", FACTS, {"userId": "u1"}).json["deleted"] == 1
    assert world.check("user:u1", "documents:read", "a/b")["viaRole"] is True
    assert world.api.everything() == [line for line in stored if "eng" in line]


def test_a_group_that_holds_a_role_is_deleted_with_force_and_its_role_with_it(world):
    role = world.reader()
    world.assign("group:eng#member", role)
    world.api.call("PUT", "/api/v1/groups/eng", {"members": ["u1"]})
    refused = world.api.call("DELETE", "/api/v1/groups/eng")
    assert_problem(refused, 409, "in_use")
    assert refused.json["references"] == {"roles": {role: 1}}
    done = world.api.call("DELETE", "/api/v1/groups/eng?force=true").json
    assert (done["membersDeleted"], done["usesDeleted"]) == (1, 1)
    world.api.call("PUT", "/api/v1/groups/eng", {"members": ["u1"]})
    assert world.check("user:u1", "documents:read")["allowed"] is False
    assert world.api.get("/api/v1/role-assignments", roleId=role).json["data"] == []


def test_changes_of_groups_are_in_the_audit_log(world):
    world.api.call("PUT", "/api/v1/groups/eng", {"name": "E", "members": ["u1", "u2"]})
    world.api.post("/api/v1/groups/eng/members", {"subjects": ["u3", "u1"]})
    world.api.call("PUT", "/api/v1/groups/eng/members/u4")
    world.api.call("PUT", "/api/v1/groups/eng/members/u4")
    world.api.call("DELETE", "/api/v1/groups/eng/members", {"subjects": ["u3", "u4"]})
    world.api.call("PUT", "/api/v1/groups/eng", {"members": ["u2"]})
    world.api.call("DELETE", "/api/v1/groups/eng")
    events = world.api.get("/api/v1/audit", targetType="group", targetId="eng").json["data"][::-1]
    assert [event["action"] for event in events] == [
        "group.created", "group.member_added", "group.member_added", "group.member_removed",
        "group.updated", "group.deleted",
    ]  # fmt: skip
    made, added, alone, removed, put, deleted = events
    assert made["before"] is None
    assert sorted(made["after"]["added"]) == ["user:u1", "user:u2"]
    assert added["after"] == {"members": ["user:u3"], "membersTotal": 1}
    assert alone["userId"] == "u4"
    assert removed["before"]["membersTotal"] == 2
    assert put["after"]["removed"] == ["user:u1"]
    assert deleted["before"] == {"name": "E", "members": 1}

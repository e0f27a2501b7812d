"""Role assignments over HTTP: three places, every refusal, lists, bulk, effect on checks."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from tests.api.client import A, Client
from tests.api.roles_town import Town, made, refused

ASSIGNMENT = {"id", "userId", "subject", "roleId", "tenantId", "scope", "expiresAt", "createdAt"}
MANY = "role-assignments"
DIRECT = f"/api/v1/{MANY}"
PLACES = [DIRECT, MANY, f"tenants/t1/{MANY}"]


@pytest.fixture
def town(root):
    return Town.new(root)


def test_assignments_on_the_paths_of_a_resource_go_with_it(town):
    """They would come alive again if somebody declared the resource once more."""
    policy = town.policy("visiting", "offices:enter", "reports:read")
    role = town.role("Visitor", policy)
    for scope in ("offices", "offices/o1/*", "reports/r1"):
        town.assign("user:ann", role, scope=scope)
    town.assign("group:staff#member", role, scope="offices/o1")
    references = {"user": 2, "group#member": 1}
    used = town.call("GET", "resources/offices/usage").json
    assert (used["assignments"], used["assignmentsTotal"]) == (references, 3)
    told = refused(town.call("DELETE", "resources/offices"), 409, "in_use")
    assert told["references"]["assignments"] == references
    dry = town.call("DELETE", "resources/offices", dryRun="true").json
    assert dry["references"]["assignments"] == references
    assert len(town.all(MANY)) == 4
    gone = town.call("DELETE", "resources/offices", force="true").json
    assert gone["references"]["assignments"] == references
    assert [each["scope"] for each in town.all(MANY)] == ["reports/r1"]
    again = {"description": "", "actions": ["read", "enter"]}
    assert town.call("PUT", "resources/offices", again).status in (200, 201)
    patched = town.call("PATCH", f"policies/{policy['id']}", {"permissions": ["offices:enter"]})
    assert patched.status == 200
    assert not town.check("user:ann", "offices:enter", id="o1")


@pytest.mark.parametrize("place", PLACES)
def test_an_assignment_from_its_making_to_its_end(town, place):
    role = town.reader()
    body = {"userId": "ann", "roleId": role["id"]}
    if "tenants" not in place:
        body["tenantId"] = "t1"
    first = town.call("POST", place, body)
    assert first.status == 201
    assert set(first.json) == ASSIGNMENT | {"created", "warnings", "zookie"}
    wanted = {
        "userId": "ann",
        "subject": "user:ann",
        "roleId": role["id"],
        "tenantId": "t1",
        "scope": None,
        "expiresAt": None,
        "created": True,
        "warnings": [],
    }
    assert wanted.items() <= first.json.items()
    again = town.call("POST", place, body)
    assert (again.status, again.json["created"]) == (200, False)
    assert again.json["id"] == first.json["id"]
    (row,) = town.all(place)
    assert row == {name: first.json[name] for name in ASSIGNMENT}
    assert town.check("user:ann", "documents:read", "t1")
    one = f"{place}/{first.json['id']}"
    gone = town.call("DELETE", one)
    assert (gone.status, gone.body) == (204, b"")
    assert gone.headers["X-Zeratul-Zookie"]
    assert not town.check("user:ann", "documents:read", "t1")
    refused(town.call("DELETE", one), 404, "not_found")

    assert town.call("POST", place, body).status == 201
    taken = town.call("DELETE", place, body)
    assert (taken.status, set(taken.json), taken.json["deleted"]) == (
        200,
        {"deleted", "zookie"},
        1,
    )
    assert town.call("DELETE", place, body).json["deleted"] == 0
    assert town.all(place) == []


def test_the_three_places_are_one(town):
    role = town.reader()
    body = {"userId": "ann", "roleId": role["id"]}
    ids = {
        made(town.call("POST", DIRECT, body | {"tenantId": "t1"}))["id"],
        made(town.call("POST", MANY, body | {"tenantId": "t1"}))["id"],
        made(town.call("POST", f"tenants/t1/{MANY}", body))["id"],
        made(town.call("POST", f"tenants/t1/{MANY}", body | {"tenantId": "t1"}))["id"],
    }
    assert len(ids) == 1
    assert len(town.all(DIRECT)) == len(town.all(MANY)) == len(town.all(f"tenants/t1/{MANY}")) == 1
    assert town.all(f"tenants/t2/{MANY}") == []


def test_a_global_role_in_one_tenant_only(town):
    role = town.reader()
    town.assign("user:ann", role, tenantId="t1")
    town.assign("user:all", role)
    answers = {
        (who, tenant): town.check(f"user:{who}", "documents:read", tenant)
        for who in ("ann", "all")
        for tenant in (None, "t1", "t2")
    }
    assert answers == {
        ("ann", None): False,
        ("ann", "t1"): True,
        ("ann", "t2"): False,
        ("all", None): True,
        ("all", "t1"): True,
        ("all", "t2"): True,
    }
    # On types as a whole roles count just the same.
    assert town.check("user:ann", "documents:read", "t1", id="")
    assert not town.check("user:ann", "documents:read", "t2", id="")


def test_a_tenants_role_elsewhere_is_refused(town):
    role = town.reader(tenant="t1")
    body = {"userId": "ann", "roleId": role["id"]}
    for place, more, field in (
        (MANY, {"tenantId": "t2"}, "tenantId"),
        (f"tenants/t2/{MANY}", {}, "tenantId"),
        (MANY, {}, "tenantId"),
        (MANY, {"scope": "documents/*"}, "scope"),
    ):
        answer = town.call("POST", place, body | more)
        problem = refused(answer, 400, "invalid_input")
        assert list(problem["errors"]) == [field]
    assert town.all(MANY) == []
    assert town.call("POST", MANY, body | {"tenantId": "t1"}).status == 201


@pytest.mark.parametrize(
    ("more", "field"),
    [
        ({"roleId": None}, "roleId"),
        ({"roleId": "role_nope"}, "roleId"),
        ({"userId": None}, "userId"),
        ({"userId": "*"}, "userId"),
        ({"userId": "a#b"}, "userId"),
        ({"subject": "user:bob"}, "subject"),
        ({"userId": None, "subject": "user:*"}, "subject"),
        ({"userId": None, "subject": "group:eng"}, "subject"),
        ({"userId": None, "subject": "documents:d1"}, "subject"),
        ({"userId": None, "subject": "usr:ann"}, "subject"),
        ({"userId": None, "subject": "⟨grant⟩:x#holder"}, "subject"),
        ({"tenantId": "*"}, "tenantId"),
        ({"tenantId": ""}, "tenantId"),
        ({"tenantId": "t1", "scope": "documents"}, "scope"),
        ({"scope": ""}, "scope"),
        ({"scope": "a b"}, "scope"),
        ({"scope": "documents/x*"}, "scope"),
        ({"scope": "/".join("a" * 16)}, "scope"),
        ({"expiresAt": "2020-01-01T00:00:00Z"}, "expiresAt"),
        ({"expiresAt": "tomorrow"}, "expiresAt"),
        ({"role": "x"}, "role"),
    ],
)
@pytest.mark.parametrize("method", ["POST", "DELETE"])
def test_wrong_bodies_are_told_by_their_field(town, method, more, field):
    role = town.reader()
    given = {"userId": "ann", "roleId": role["id"]} | more
    body = {name: value for name, value in given.items() if value is not None}
    answer = town.call(method, MANY, body)
    if method == "DELETE" and more.get("expiresAt", "").startswith("2020"):
        assert answer.json["deleted"] == 0  # What ended can be named to take it away.
        return
    assert answer.status == 400, answer.body
    assert list(answer.json["errors"]) == [field]
    assert town.all(MANY) == []


def test_a_path_and_what_is_below_it(town):
    read = town.reader()
    enter = town.role("Worker", town.policy("enter", "offices:enter"))
    first = town.assign("user:ann", read, scope="documents/*")
    assert (first["scope"], first["tenantId"], first["warnings"]) == ("documents", None, [])
    assert town.assign("user:ann", read, scope="/documents/")["id"] == first["id"]
    assert town.check("user:ann", "documents:read", id="a/b")
    assert town.check("user:ann", "documents:read", "t9", id="")
    town.assign("user:bob", enter, scope="offices/*/manufacturing")
    for name, allowed in (
        ("berlin/manufacturing", True),
        ("berlin/manufacturing/3", True),
        ("berlin", False),
        ("berlin/sales", False),
        ("manufacturing", False),
    ):
        assert town.check("user:bob", "offices:enter", id=name) is allowed
    rows = town.all(MANY, scope="offices/*/manufacturing")
    assert [row["subject"] for row in rows] == ["user:bob"]
    body = {"userId": "bob", "roleId": enter["id"], "scope": "offices/*/manufacturing/"}
    assert town.call("DELETE", MANY, body).json["deleted"] == 1
    assert not town.check("user:bob", "offices:enter", id="berlin/manufacturing")


def test_a_role_through_a_group_through_a_group(town):
    role = town.reader()
    for group, member in (("berlin", "user:ann"), ("europe", "group:berlin#member")):
        answer = town.call("POST", f"/api/v1/groups/{group}/members", {"subjects": [member]})
        assert answer.status == 200, answer.body
    town.assign("group:europe#member", role, tenantId="t1")
    assert town.check("user:ann", "documents:read", "t1")
    assert not town.check("user:ann", "documents:read")
    answer = town.call("DELETE", "/api/v1/groups/berlin/members/ann")
    assert answer.json["removed"] == 1
    assert not town.check("user:ann", "documents:read", "t1")


def test_holders_of_every_kind(town):
    role = town.reader()
    for who in ("user:u", "client:sc_1", "api_key:key_1", "group:g#member"):
        row = town.assign(who, role)
        assert ("userId" in row) is (who == "user:u")
        assert town.check(who, "documents:read")
        assert [each["id"] for each in town.all(MANY, subject=who)] == [row["id"]]


def test_an_expiry_is_kept_and_replaced(town):
    role = town.reader()
    later = datetime.now(UTC) + timedelta(days=1)
    text = later.isoformat(timespec="milliseconds").replace("+00:00", "Z")
    first = town.assign("user:ann", role, expiresAt=text)
    assert (first["created"], first["expiresAt"]) == (True, text)
    body = {"userId": "ann", "roleId": role["id"]}
    lasting = town.call("POST", MANY, body)
    assert (lasting.status, lasting.json["expiresAt"]) == (200, None)
    assert lasting.json["id"] == first["id"]
    assert town.check("user:ann", "documents:read")


def test_grants_on_everything_are_warned_about_where_there_are_tenants(root):
    single, many = Town.new(root), Town.new(root, "multi_tenant")
    role = single.reader()
    assert single.assign("user:ann", role)["warnings"] == []
    role = many.reader()
    assert many.assign("user:ann", role)["warnings"] == ["app_wide_grant"]
    assert many.assign("user:ann", role, tenantId="t1")["warnings"] == []
    body = {"assign": [{"userId": "bob", "roleId": role["id"]}]}
    assert made(many.call("POST", f"{MANY}/bulk", body))["warnings"] == ["app_wide_grant"]


def test_lists_narrow_by_every_filter(town):
    one, two = town.reader("one"), town.reader("two")
    for n in range(4):
        town.assign(f"user:u{n}", one, tenantId=f"t{n % 2}")
        town.assign(f"user:u{n}", two)
    town.assign("user:u0", two, scope="documents/x")

    def count(**query):
        return len(town.all(MANY, **query))

    assert count() == 9
    assert count(userId="u0") == count(subject="user:u0") == 3
    assert count(roleId=one["id"]) == 4
    assert count(tenantId="t1") == 2
    assert count(scope="*") == 4
    assert count(scope="documents/x/*") == 1
    assert count(userId="u0", roleId=two["id"]) == 2
    assert count(userId="u0", roleId=two["id"], scope="*") == 1
    assert count(userId="u1", tenantId="t0") == 0
    assert len(town.all(f"tenants/t0/{MANY}", userId="u2")) == 1


@pytest.mark.parametrize(
    ("query", "field"),
    [
        ({"roleId": "role_nope"}, "roleId"),
        ({"subject": "usr:ann"}, "subject"),
        ({"userId": "*"}, "userId"),
        ({"userId": "a", "subject": "user:a"}, "subject"),
        ({"tenantId": "t1", "scope": "documents"}, "scope"),
        ({"scope": "a b"}, "scope"),
        ({"scope": ""}, "scope"),
        ({"tenantId": "*"}, "tenantId"),
        ({"role": "x"}, "role"),
        ({"pageSize": "0"}, "pageSize"),
        ({"cursor": "x"}, "cursor"),
    ],
)
def test_wrong_queries_are_told_by_their_field(town, query, field):
    answer = town.call("GET", MANY, **query)
    assert answer.status == 400, answer.body
    assert list(answer.json["errors"]) == [field]


def test_a_list_goes_on_while_others_write(town):
    role = town.reader()
    body = {"assign": [{"userId": f"u{n}", "roleId": role["id"]} for n in range(20)]}
    made(town.call("POST", f"{MANY}/bulk", body))
    page = town.call("GET", MANY, pageSize=5, roleId=role["id"]).json
    rows = page["data"]
    made(town.call("POST", f"{MANY}/bulk", {"unassign": body["assign"][::2]}))
    town.assign("user:late", role)
    while page["next"] is not None:
        page = town.call(
            "GET", MANY, pageSize=5, roleId=role["id"], cursor=page["nextCursor"]
        ).json
        rows += page["data"]
    assert sorted(row["userId"] for row in rows) == sorted(f"u{n}" for n in range(20))
    assert len(town.all(MANY)) == 11
    refused(
        town.call("GET", MANY, cursor=town.call("GET", MANY, pageSize=1).json["next"], userId="a"),
        400,
        "malformed",
    )


@pytest.mark.parametrize("place", PLACES)
def test_bulk_does_both_and_diagnoses_each_item(town, place):
    role, own = town.reader(), town.reader("own", tenant="t2")
    where = {} if "tenants" in place else {"tenantId": "t1"}
    item = {"userId": "ann", "roleId": role["id"], **where}
    body = {
        "assign": [item, item, item | {"userId": "bob"}],
        "unassign": [item | {"userId": "zoe"}],
    }
    dry = made(town.call("POST", f"{place}/bulk?dryRun=true", body))
    assert (dry["created"], dry["dryRun"], town.all(MANY)) == (2, True, [])
    done = made(town.call("POST", f"{place}/bulk", body))
    assert (
        done["results"]
        == dry["results"]
        == [
            {"index": 0, "status": "created"},
            {"index": 1, "status": "existing"},
            {"index": 2, "status": "created"},
            {"index": 0, "status": "absent", "operation": "unassign"},
        ]
    )
    assert len(town.all(f"tenants/t1/{MANY}")) == 2
    bad = {
        "assign": [
            item | {"userId": "new"},
            item | {"roleId": own["id"]},
            {"userID": "x"},
            item | {"roleId": "role_nope"},
        ],
        "unassign": [item, {"subject": "user:*", "roleId": role["id"], **where}],
    }
    problem = refused(town.call("POST", f"{place}/bulk", bad), 400, "validation_failed")
    assert list(problem["errors"]) == [
        "assign[1].tenantId",
        "assign[2].userID",
        "assign[3].roleId",
        "unassign[1].subject",
    ]
    assert len(town.all(MANY)) == 2
    path = f"{place}/bulk?onError=continue&results=errors"
    some = made(town.call("POST", path, bad))
    assert (some["created"], some["deleted"], some["failed"]) == (1, 1, 4)
    assert [each.get("operation", "assign") for each in some["results"]] == ["assign"] * 3 + [
        "unassign"
    ]
    assert {each["status"] for each in some["results"]} == {"failed"}
    assert some["results"][2]["error"]["code"] == "unknown_name"


def test_bulk_has_a_limit_and_only_known_fields(town):
    role = town.reader()
    item = {"userId": "ann", "roleId": role["id"]}
    for name in ("assign", "unassign"):
        problem = refused(
            town.call("POST", f"{MANY}/bulk", {name: [item] * 5_001}), 400, "limit_exceeded"
        )
        assert (problem["limit"], problem["value"], list(problem["errors"])) == (
            "bulk_assignments_max",
            5_000,
            [name],
        )
    refused(town.call("POST", f"{MANY}/bulk", {"writes": []}), 400, "unknown_name")
    refused(town.call("POST", f"{MANY}/bulk?onError=x", {}), 400, "validation_failed")
    assert made(town.call("POST", f"{MANY}/bulk", {}))["results"] == []


def test_a_repeated_request_is_answered_like_the_first_time(town):
    role = town.reader()
    body, key = {"userId": "ann", "roleId": role["id"]}, {"Idempotency-Key": "k1"}
    first = town.call("POST", MANY, body, headers=key)
    town.call("DELETE", MANY, body)
    second = town.call("POST", MANY, body, headers=key)
    assert (second.status, second.body) == (201, first.body)
    assert town.all(MANY) == []
    refused(
        town.call("POST", MANY, body | {"userId": "b"}, headers=key), 409, "idempotency_key_reused"
    )
    many = {"assign": [body]}
    bulk = {"Idempotency-Key": "k2"}
    answers = [town.call("POST", f"{MANY}/bulk", many, headers=bulk) for _ in range(2)]
    assert answers[0].body == answers[1].body
    assert answers[1].json["created"] == 1


@pytest.mark.parametrize("place", PLACES)
def test_a_key_without_the_permission_is_told_which(town, place):
    weak = town.keyed("policies:*", "roles:*")
    body = {"userId": "ann", "roleId": "role_x"}
    for method, path, sent, permission in (
        ("POST", place, body, "assignments:write"),
        ("DELETE", place, body, "assignments:write"),
        ("GET", place, None, "assignments:read"),
        ("POST", f"{place}/bulk", {}, "assignments:write"),
        ("DELETE", f"{place}/asg_x", None, "assignments:write"),
    ):
        problem = refused(weak.call(method, path, sent), 403, "forbidden")
        assert problem["permission"] == permission


def test_nothing_answers_without_a_key(town):
    stranger = Client(town.client.port, None)
    for place in (DIRECT, f"{town.app}/{MANY}", f"{town.app}/tenants/t1/members"):
        assert stranger.get(place).status == 401
    assert stranger.get(f"{A}/permissions?userId=ann").status == 401


# --- Permissions.


def test_permissions_for_menus_and_for_one_resource(town):
    role = town.role("r", town.policy("p", "reports:*", "documents:read"))
    own = town.role("own", town.policy("q", "offices:enter"), tenant="t1")
    town.assign("user:ann", role, tenantId="t2")
    town.assign("user:ann", own, tenantId="t1")
    fact = {"userId": "ann", "resource": "documents", "resourceId": "d1", "relation": "editor"}
    made(town.client.post(f"{A}/relationships", fact))

    def held(**query):
        answer = town.client.get(f"{A}/permissions", **query)
        assert answer.status == 200, answer.body
        return answer.json

    assert held(userId="ann")["permissions"] == []
    found = held(userId="ann", tenantId="t2")
    assert found.pop("zookie")
    assert found == {
        "userId": "ann",
        "subject": "user:ann",
        "tenantId": "t2",
        "permissions": ["documents:read", "reports:export", "reports:read"],
    }
    assert held(subject="user:ann", tenantId="t1")["permissions"] == ["offices:enter"]
    on_type = held(userId="ann", tenantId="t2", resource="documents")
    assert (on_type["resource"], on_type["permissions"]) == ("documents", ["documents:read"])
    on_one = held(userId="ann", tenantId="t1", resource="documents", resourceId="d1")
    assert on_one["resourceId"] == "d1"
    assert on_one["permissions"] == ["documents:create", "documents:read", "documents:update"]


@pytest.mark.parametrize(
    ("query", "field"),
    [
        ({}, "userId"),
        ({"userId": "a", "subject": "user:a"}, "subject"),
        ({"userId": "*"}, "userId"),
        ({"subject": "usr:a"}, "subject"),
        ({"userId": "a", "resource": "document"}, "resource"),
        ({"userId": "a", "resourceId": "d1"}, "resource"),
        ({"userId": "a", "resource": "documents", "resourceId": "*"}, "resourceId"),
        ({"userId": "a", "tenantId": "*"}, "tenantId"),
        ({"userId": "a", "tenant": "t"}, "tenant"),
        ({"userId": "a", "resource": "⟨role⟩"}, "resource"),
    ],
)
def test_wrong_questions_about_permissions_are_told(town, query, field):
    answer = town.client.get(f"{A}/permissions", **query)
    assert answer.status == 400, answer.body
    assert list(answer.json["errors"]) == [field]


def test_permissions_need_the_permission_to_ask(town):
    weak = town.keyed("roles:*")
    problem = refused(weak.client.get(f"{A}/permissions", userId="ann"), 403, "forbidden")
    assert problem["permission"] == "checks:create"

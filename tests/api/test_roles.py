"""Roles over HTTP: global and of tenants, their fields, every refusal."""

from __future__ import annotations

import pytest

from tests.api.roles_town import Town, made, refused

FIELDS = {
    "id",
    "name",
    "description",
    "policyIds",
    "tenantId",
    "isGlobal",
    "userCount",
    "permissions",
    "createdAt",
    "updatedAt",
    "etag",
}


@pytest.fixture
def town(root):
    return Town.new(root)


@pytest.mark.parametrize("tenant", [None, "acme"])
def test_a_role_from_its_making_to_its_end(town, tenant):
    place = "roles" if tenant is None else f"tenants/{tenant}/roles"
    policy = town.policy("p", "documents:read", "reports:*")
    body = {"name": "Reader", "description": "looks", "policyIds": [policy["id"]]}
    answer = town.call("POST", place, body)
    assert answer.status == 201
    role = answer.json
    assert set(role) == FIELDS | {"zookie"}
    assert body.items() <= role.items()
    assert (role["tenantId"], role["isGlobal"], role["userCount"]) == (tenant, tenant is None, 0)
    assert role["permissions"] == ["documents:read", "reports:export", "reports:read"]
    one = f"{place}/{role['id']}"
    got = town.call("GET", one)
    assert (got.status, got.headers["ETag"]) == (200, role["etag"])
    assert {name: got.json[name] for name in FIELDS} == {name: role[name] for name in FIELDS}
    assert town.call("GET", f"roles/{role['id']}").json["id"] == role["id"]

    patched = town.call("PATCH", one, {"name": "Writer"}, headers={"If-Match": role["etag"]})
    assert (patched.status, patched.json["name"], patched.json["policyIds"]) == (
        200,
        "Writer",
        [policy["id"]],
    )
    lost = town.call("DELETE", one, headers={"If-Match": role["etag"]})
    refused(lost, 412, "precondition_failed")
    put = town.call("PUT", one, {"name": "Other", "policyIds": []})
    assert (put.json["description"], put.json["permissions"]) == ("", [])
    assert put.headers["ETag"] == put.json["etag"]
    assert [set(row) for row in town.all(place)] == [FIELDS]
    gone = town.call("DELETE", one)
    assert (gone.status, gone.body) == (204, b"")
    assert gone.headers["X-Zeratul-Zookie"]
    for method, sent in (("GET", None), ("PUT", body), ("PATCH", {}), ("DELETE", None)):
        refused(town.call(method, one, sent), 404, "not_found")


def test_the_same_name_in_two_tenants_means_two_roles(town):
    read = town.policy("read", "documents:read")
    update = town.policy("update", "documents:update")
    one = town.role("Manager", read, tenant="t1")
    two = town.role("Manager", update, tenant="t2")
    everywhere = town.role("Manager", town.policy("export", "reports:export"))
    assert len({one["id"], two["id"], everywhere["id"]}) == 3
    for place in ("roles", "tenants/t1/roles"):
        body = {"name": "Manager", "policyIds": []}
        refused(town.call("POST", place, body), 409, "already_exists")
    town.assign("user:ann", one, tenantId="t1")
    town.assign("user:ann", two, tenantId="t2")
    for tenant, permission, allowed in (
        ("t1", "documents:read", True),
        ("t1", "documents:update", False),
        ("t2", "documents:read", False),
        ("t2", "documents:update", True),
        (None, "documents:read", False),
        ("t3", "documents:update", False),
    ):
        assert town.check("user:ann", permission, tenant) is allowed


def test_lists_say_what_can_be_assigned(town):
    everywhere = town.role("everywhere")
    one, two = town.role("one", tenant="a%2Fb"), town.role("two", tenant="t2")
    assert one["tenantId"] == "a/b"
    ids = [row["id"] for row in town.all("roles")]
    assert set(ids) == {each["id"] for each in (everywhere, one, two)}
    assert ids[0] == everywhere["id"]
    assert [row["id"] for row in town.all("roles", isGlobal="true")] == [everywhere["id"]]
    assert [row["name"] for row in town.all("tenants/a%2Fb/roles")] == ["everywhere", "one"]
    assert [row["name"] for row in town.all("tenants/t2/roles", isGlobal="false")] == ["two"]
    refused(town.call("GET", f"tenants/t2/roles/{one['id']}"), 404, "not_found")
    assert town.call("GET", f"tenants/t2/roles/{everywhere['id']}").status == 200
    refused(town.call("GET", "roles", isGlobal="maybe"), 400, "validation_failed")
    refused(town.call("GET", "roles", tenantId="t2"), 400, "unknown_name")
    refused(town.call("GET", "roles", pageSize=1_001), 400, "limit_exceeded")


@pytest.mark.parametrize(
    ("method", "body", "field"),
    [
        ("POST", {}, "name"),
        ("POST", {"name": "r"}, "policyIds"),
        ("POST", {"name": "", "policyIds": []}, "name"),
        ("POST", {"name": "r", "policyIds": ["pol_nope"]}, "policyIds[0]"),
        ("POST", {"name": "r", "policyIds": None}, "policyIds"),
        ("POST", {"name": "r", "policyIds": [], "tenantId": "t1"}, "tenantId"),
        ("POST", {"name": "r", "policy_ids": []}, "policy_ids"),
        ("PUT", {"name": "r", "policyIds": ["pol_nope"]}, "policyIds[0]"),
        ("PATCH", {"policyIds": ["pol_nope"]}, "policyIds[0]"),
        ("PATCH", {"name": None}, "name"),
    ],
)
def test_wrong_bodies_are_told_by_their_field(town, method, body, field):
    role = town.role("there")
    path = "roles" if method == "POST" else f"roles/{role['id']}"
    answer = town.call(method, path, body)
    assert answer.status == 400, answer.body
    assert list(answer.json["errors"]) == [field]


def test_a_role_has_at_most_a_hundred_policies(town):
    body = {"name": "r", "policyIds": [f"pol_{n}" for n in range(101)]}
    problem = refused(town.call("POST", "roles", body), 400, "limit_exceeded")
    assert (problem["limit"], problem["value"]) == ("role_policies_max", 100)


@pytest.mark.parametrize("tenant", ["*", "%20t", "a%23b", "%00"])
def test_a_tenant_keeps_the_rules_of_ids(town, tenant):
    for method, body in (("GET", None), ("POST", {"name": "r", "policyIds": []})):
        problem = refused(town.call(method, f"tenants/{tenant}/roles", body), 400, "malformed")
        assert list(problem["errors"]) == ["tenantId"]


def test_a_role_in_use_goes_by_force_only(town):
    role = town.reader()
    town.assign("user:ann", role)
    town.assign("group:eng#member", role, tenantId="t1")
    one = f"roles/{role['id']}"
    problem = refused(town.call("DELETE", one), 409, "in_use")
    assert problem["references"] == {"assignments": {"user": 1, "group#member": 1}}
    assert "2 assignments" in problem["detail"]
    assert town.call("GET", one).json["userCount"] == 1
    assert town.check("user:ann", "documents:read")
    assert town.call("DELETE", one, force="true").status == 204
    assert not town.check("user:ann", "documents:read")
    assert town.all("role-assignments") == []


def test_a_global_role_is_not_changed_under_a_tenant(town):
    role = town.role("everywhere")
    for method, body in (("PUT", {"name": "x", "policyIds": []}), ("PATCH", {}), ("DELETE", None)):
        problem = refused(
            town.call(method, f"tenants/t1/roles/{role['id']}", body), 404, "not_found"
        )
        assert "global" in problem["detail"]


def test_a_repeated_request_is_answered_like_the_first_time(town):
    body, key = {"name": "once", "policyIds": []}, {"Idempotency-Key": "k1"}
    first = town.call("POST", "roles", body, headers=key)
    second = town.call("POST", "roles", body, headers=key)
    assert (first.status, first.body) == (second.status, second.body)
    refused(
        town.call("POST", "roles", body | {"name": "b"}, headers=key),
        409,
        "idempotency_key_reused",
    )
    # Another path is another request.
    refused(
        town.call("POST", "tenants/t1/roles", body, headers=key), 409, "idempotency_key_reused"
    )
    assert len(town.all("roles")) == 1


@pytest.mark.parametrize("place", ["roles", "tenants/t1/roles"])
def test_a_key_without_the_permission_is_told_which(town, place):
    weak = town.keyed("policies:*", "assignments:*")
    body = {"name": "r", "policyIds": []}
    for method, path, sent, permission in (
        ("POST", place, body, "roles:write"),
        ("GET", place, None, "roles:read"),
        ("GET", f"{place}/role_x", None, "roles:read"),
        ("PUT", f"{place}/role_x", body, "roles:write"),
        ("PATCH", f"{place}/role_x", {}, "roles:write"),
        ("DELETE", f"{place}/role_x", None, "roles:write"),
    ):
        problem = refused(weak.call(method, path, sent), 403, "forbidden")
        assert problem["permission"] == permission


def test_a_role_follows_its_policies_wherever_it_is_edited(town):
    policy = town.policy("p", "documents:read")
    role = town.role("r", policy)
    town.assign("user:ann", role)
    path = f"roles/{role['id']}"
    assert town.call("GET", path).json["permissions"] == ["documents:read"]
    made(town.call("PATCH", f"policies/{policy['id']}", {"permissions": ["reports:*"]}))
    assert town.call("GET", path).json["permissions"] == ["reports:export", "reports:read"]
    assert town.check("user:ann", "reports:export")
    made(town.call("PATCH", path, {"policyIds": []}))
    assert not town.check("user:ann", "reports:export")

"""Policies over HTTP: the contract's fields, every refusal, retries."""

from __future__ import annotations

import pytest

from tests.api.roles_town import Town, made, refused

FIELDS = {
    "id",
    "name",
    "description",
    "permissions",
    "permissionCount",
    "roleCount",
    "createdAt",
    "updatedAt",
    "etag",
}


@pytest.fixture
def town(root):
    return Town.new(root)


def test_a_policy_from_its_making_to_its_end(town):
    body = {
        "name": "Reader",
        "description": "looks",
        "permissions": ["documents:read", "reports:*"],
    }
    answer = town.call("POST", "policies", body)
    assert answer.status == 201
    policy = answer.json
    assert set(policy) == FIELDS | {"zookie"}
    assert body.items() <= policy.items()
    assert (policy["permissionCount"], policy["roleCount"]) == (2, 0)
    one = f"policies/{policy['id']}"
    got = town.call("GET", one)
    assert (got.status, got.headers["ETag"]) == (200, policy["etag"])
    assert {name: got.json[name] for name in FIELDS} == {name: policy[name] for name in FIELDS}

    patched = town.call("PATCH", one, {"description": None}, headers={"If-Match": policy["etag"]})
    assert (patched.status, patched.json["description"], patched.json["name"]) == (
        200,
        "",
        "Reader",
    )
    lost = town.call("PUT", one, body, headers={"If-Match": policy["etag"]})
    refused(lost, 412, "precondition_failed")
    put = town.call(
        "PUT",
        one,
        {"name": "Other", "permissions": ["reports:read"]},
        headers={"If-Match": patched.json["etag"]},
    )
    assert (put.json["name"], put.json["description"], put.json["permissions"]) == (
        "Other",
        "",
        ["reports:read"],
    )
    assert put.headers["ETag"] == put.json["etag"]
    assert [set(row) for row in town.all("policies")] == [FIELDS]
    gone = town.call("DELETE", one, headers={"If-Match": put.json["etag"]})
    assert (gone.status, gone.body) == (204, b"")
    assert gone.headers["X-Zeratul-Zookie"]
    for method, sent in (("GET", None), ("PUT", body), ("PATCH", {}), ("DELETE", None)):
        refused(town.call(method, one, sent), 404, "not_found")
    assert town.all("policies") == []


@pytest.mark.parametrize(
    ("permission", "code", "suggestion"),
    [
        ("document:read", "unknown_name", "documents:read"),
        ("documents:reed", "unknown_name", "documents:read"),
        ("Documents:Read", "unknown_name", "documents:read"),
        ("reports:fly", "unknown_name", None),
        ("*:*", "malformed", None),
        ("*", "malformed", None),
        ("Resource:Read", "malformed", None),
        ("⟨scope⟩:read", "malformed", None),
    ],
)
def test_only_permissions_of_the_catalog(town, permission, code, suggestion):
    body = {"name": "p", "permissions": ["reports:*", permission]}
    problem = refused(town.call("POST", "policies", body), 400, code)
    assert list(problem["errors"]) == ["permissions[1]"]
    assert problem.get("suggestion") == suggestion
    assert permission in problem["detail"]
    assert town.all("policies") == []


@pytest.mark.parametrize(
    ("method", "body", "field"),
    [
        ("POST", {}, "name"),
        ("POST", {"name": "p"}, "permissions"),
        ("POST", {"name": 1, "permissions": []}, "name"),
        ("POST", {"name": "", "permissions": []}, "name"),
        ("POST", {"name": "n" * 201, "permissions": []}, "name"),
        ("POST", {"name": "p", "permissions": "documents:read"}, "permissions"),
        ("POST", {"name": "p", "permissions": [1]}, "permissions[0]"),
        ("POST", {"name": "p", "permission": []}, "permission"),
        ("POST", {"name": "p", "permissions": [], "description": "d" * 1_025}, "description"),
        ("PATCH", {"name": None}, "name"),
        ("PATCH", {"permissions": None}, "permissions"),
        ("PATCH", {"id": "pol_x"}, "id"),
        ("PUT", {"name": "p"}, "permissions"),
    ],
)
def test_wrong_bodies_are_told_by_their_field(town, method, body, field):
    policy = town.policy("there")
    path = "policies" if method == "POST" else f"policies/{policy['id']}"
    answer = town.call(method, path, body)
    assert answer.status == 400, answer.body
    assert list(answer.json["errors"]) == [field]


def test_too_many_permissions(town):
    body = {"name": "p", "permissions": [f"documents:a{n}" for n in range(2_001)]}
    problem = refused(town.call("POST", "policies", body), 400, "limit_exceeded")
    assert (problem["limit"], problem["value"]) == ("policy_permissions_max", 2_000)
    big = {"name": "p", "permissions": ["x" * 300_000]}
    refused(town.call("POST", "policies", big), 413, "limit_exceeded")


def test_names_are_unique(town):
    town.policy("same")
    refused(
        town.call("POST", "policies", {"name": "same", "permissions": []}), 409, "already_exists"
    )
    other = town.policy("other")
    patch = town.call("PATCH", f"policies/{other['id']}", {"name": "same"})
    refused(patch, 409, "already_exists")


def test_a_policy_in_use_goes_by_force_only(town):
    policy = town.policy("used", "documents:read")
    roles = [town.role(f"r{n}", policy) for n in range(3)]
    town.assign("user:ann", roles[0])
    one = f"policies/{policy['id']}"
    problem = refused(town.call("DELETE", one), 409, "in_use")
    assert set(problem["references"]["roles"]) == {each["id"] for each in roles}
    assert town.check("user:ann", "documents:read")
    assert town.call("DELETE", f"{one}?force=true").status == 204
    assert not town.check("user:ann", "documents:read")
    assert [row["policyIds"] for row in town.all("roles")] == [[], [], []]
    refused(town.call("DELETE", f"{one}?force=maybe"), 400, "validation_failed")


def test_a_policy_on_three_roles_loses_a_permission_and_three_hundred_users_lose_it(town):
    policy = town.policy("shared", "documents:read", "documents:update")
    roles = [town.role(f"r{n}", policy) for n in range(3)]
    users = [f"u{n}" for n in range(300)]
    body = {
        "assign": [{"userId": who, "roleId": roles[n % 3]["id"]} for n, who in enumerate(users)]
    }
    assert made(town.call("POST", "role-assignments/bulk", body))["created"] == 300
    assert [row["userCount"] for row in town.all("roles")] == [100] * 3

    def allowed(permission):
        checks = [{"userId": who, "permission": permission, "resourceId": "d1"} for who in users]
        answer = town.client.post("/api/v1/authorization/check/bulk", {"checks": checks})
        return [each["allowed"] for each in answer.json["results"]]

    assert all(allowed("documents:update"))
    made(town.call("PATCH", f"policies/{policy['id']}", {"permissions": ["documents:read"]}))
    assert not any(allowed("documents:update"))
    assert all(allowed("documents:read"))


def test_a_repeated_request_is_answered_like_the_first_time(town):
    body = {"name": "once", "permissions": []}
    key = {"Idempotency-Key": "k1"}
    first = town.call("POST", "policies", body, headers=key)
    second = town.call("POST", "policies", body, headers=key)
    assert (first.status, first.body) == (second.status, second.body)
    other = town.call("POST", "policies", body | {"name": "other"}, headers=key)
    refused(other, 409, "idempotency_key_reused")
    assert len(town.all("policies")) == 1


def test_lists_are_paged(town):
    names = {town.policy(f"p{n}")["name"] for n in range(5)}
    assert {row["name"] for row in town.all("policies")} == names
    refused(town.call("GET", "policies", pageSize=0), 400, "validation_failed")
    refused(town.call("GET", "policies", pageSize=1_001), 400, "limit_exceeded")
    refused(town.call("GET", "policies", cursor="x"), 400, "malformed")
    refused(town.call("GET", "policies", tenantId="t1"), 400, "unknown_name")
    page = town.call("GET", "policies", pageSize=2).json
    assert (page["pageSize"], len(page["data"])) == (2, 2)
    refused(town.call("GET", "roles", cursor=page["next"]), 400, "malformed")


@pytest.mark.parametrize(
    ("method", "path", "body", "permission"),
    [
        ("POST", "policies", {"name": "p", "permissions": []}, "policies:write"),
        ("GET", "policies", None, "policies:read"),
        ("GET", "policies/pol_x", None, "policies:read"),
        ("PUT", "policies/pol_x", {"name": "p", "permissions": []}, "policies:write"),
        ("PATCH", "policies/pol_x", {}, "policies:write"),
        ("DELETE", "policies/pol_x", None, "policies:write"),
    ],
)
def test_a_key_without_the_permission_is_told_which(town, method, path, body, permission):
    weak = town.keyed("roles:*", "assignments:*", "checks:*")
    problem = refused(weak.call(method, path, body), 403, "forbidden")
    assert problem["permission"] == permission
    refused(
        Town(weak.client, "/api/v1/applications/default").call(method, path, body),
        404,
        "not_found",
    )


def test_a_tenants_key_reads_and_does_not_write(town):
    policy = town.policy("p", "documents:read")
    inside = town.keyed("policies:*", tenant="t1")
    assert [row["id"] for row in inside.all("policies")] == [policy["id"]]
    body = {"name": "q", "permissions": []}
    one = f"policies/{policy['id']}"
    for method, path, sent in (
        ("POST", "policies", body),
        ("PUT", one, body),
        ("PATCH", one, {}),
        ("DELETE", one, None),
    ):
        refused(inside.call(method, path, sent), 403, "tenant_scope")

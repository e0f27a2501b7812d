"""Tenants over HTTP: their members, and what a tenant's key can not do."""

from __future__ import annotations

import pytest

from tests.api.client import A
from tests.api.roles_town import Town, made, refused

MANY = "role-assignments"


@pytest.fixture
def town(root):
    return Town.new(root, "multi_tenant")


def test_members_with_their_roles(town):
    reader, own = town.reader("Reader"), town.reader("Own", tenant="t1")
    for n in range(5):
        town.assign(f"user:u{n}", reader, tenantId="t1")
    town.assign("user:u0", own, tenantId="t1")
    town.assign("user:elsewhere", reader, tenantId="t2")
    town.assign("user:everywhere", reader)
    town.assign("group:g#member", reader, tenantId="t1")
    rows = {row["userId"]: row["roles"] for row in town.all("tenants/t1/members")}
    assert set(rows) == {f"u{n}" for n in range(5)}
    assert rows["u1"] == [{"roleId": reader["id"], "roleName": "Reader"}]
    assert {each["roleName"] for each in rows["u0"]} == {"Reader", "Own"}
    gone = town.call("DELETE", "tenants/t1/members/u0")
    assert (gone.status, gone.json["deleted"]) == (200, 2)
    assert town.call("DELETE", "tenants/t1/members/u0").json["deleted"] == 0
    assert not town.check("user:u0", "documents:read", "t1")
    assert {row["userId"] for row in town.all("tenants/t1/members")} == set(rows) - {"u0"}
    assert town.all("tenants/nobody/members") == []
    for path in ("tenants/*/members", "tenants/t1/members/*"):
        answer = town.call("DELETE" if path.endswith("/*") else "GET", path)
        refused(answer, 400, "malformed")


def test_ids_of_members_and_tenants_hold_any_character(town):
    role = town.reader()
    town.assign("user:a/b c%20é", role, tenantId="t/ü:1")
    path = "tenants/t%2F%C3%BC:1/members"
    assert [row["userId"] for row in town.all(path)] == ["a/b c%20é"]
    gone = town.call("DELETE", f"{path}/a%2Fb%20c%2520%C3%A9")
    assert gone.json["deleted"] == 1


@pytest.fixture
def inside(town):
    """A key of tenant t1 that may do everything."""
    return town.keyed("*", tenant="t1")


def test_a_tenants_key_works_in_its_tenant(town, inside):
    policy = town.policy("p", "documents:read")
    role = made(
        inside.call("POST", "tenants/t1/roles", {"name": "Own", "policyIds": [policy["id"]]})
    )
    everywhere = town.role("everywhere", policy)
    body = {"userId": "ann", "roleId": role["id"]}
    for place in (f"/api/v1/{MANY}", MANY, f"tenants/t1/{MANY}"):
        assert made(inside.call("POST", place, body))["tenantId"] == "t1"
    made(inside.call("POST", MANY, {"userId": "bob", "roleId": everywhere["id"]}))
    assert len(inside.all(MANY)) == 2
    names = [row["name"] for row in inside.all("roles")]
    assert names == ["everywhere", "Own"]
    assert len(inside.all("tenants/t1/members")) == 2
    answer = inside.client.post(
        f"{A}/check", {"userId": "ann", "permission": "documents:read", "resourceId": "d1"}
    )
    assert answer.json["allowed"] is True
    held = inside.client.get(f"{A}/permissions", userId="ann").json
    assert (held["tenantId"], held["permissions"]) == ("t1", ["documents:read"])
    made(inside.call("PATCH", f"roles/{role['id']}", {"name": "Renamed"}))
    assert inside.call("DELETE", f"roles/{role['id']}?force=true").status == 204


def test_a_tenants_key_does_nothing_outside_its_tenant(town, inside):
    policy = town.policy("p", "documents:read")
    everywhere = town.role("everywhere", policy)
    foreign = town.role("foreign", policy, tenant="t2")
    there = town.assign("user:ann", foreign, tenantId="t2")
    wide = town.assign("user:ann", everywhere)
    before = town.all("roles"), town.all(MANY), town.all("policies")
    role = {"name": "x", "policyIds": []}
    who = {"userId": "eve", "roleId": everywhere["id"]}
    for method, path, body in (
        ("POST", "tenants/t2/roles", role),
        ("GET", "tenants/t2/roles", None),
        ("GET", f"roles/{foreign['id']}", None),
        ("GET", f"tenants/t1/roles/{foreign['id']}", None),
        ("PUT", f"roles/{foreign['id']}", role),
        ("PATCH", f"tenants/t2/roles/{foreign['id']}", {}),
        ("DELETE", f"roles/{foreign['id']}?force=true", None),
        ("GET", f"tenants/t2/{MANY}", None),
        ("GET", f"{MANY}?tenantId=t2", None),
        ("POST", f"tenants/t2/{MANY}", who),
        ("POST", MANY, who | {"tenantId": "t2"}),
        ("DELETE", MANY, who | {"tenantId": "t2"}),
        ("POST", f"tenants/t2/{MANY}/bulk", {}),
        ("DELETE", f"{MANY}/{there['id']}", None),
        ("DELETE", f"{MANY}/{wide['id']}", None),
        ("DELETE", f"tenants/t1/{MANY}/{wide['id']}", None),
        ("GET", "tenants/t2/members", None),
        ("DELETE", "tenants/t2/members/ann", None),
    ):
        refused(inside.call(method, path, body), 404, "not_found")
    for method, path, body in (
        ("POST", "roles", role),
        ("PUT", f"roles/{everywhere['id']}", role),
        ("PATCH", f"roles/{everywhere['id']}", {}),
        ("DELETE", f"roles/{everywhere['id']}?force=true", None),
        ("POST", "policies", {"name": "x", "permissions": []}),
        ("DELETE", f"policies/{policy['id']}?force=true", None),
        ("POST", MANY, who | {"scope": "documents"}),
        ("POST", MANY, who | {"scope": "*"}),
        ("GET", f"{MANY}?scope=documents", None),
    ):
        refused(inside.call(method, path, body), 403, "tenant_scope")
    body = {"userId": "eve", "roleId": foreign["id"]}
    refused(inside.call("POST", MANY, body), 400, "unknown_name")
    bulk = inside.call("POST", f"{MANY}/bulk", {"assign": [who | {"tenantId": "t2"}]})
    refused(bulk, 400, "validation_failed")
    answer = inside.client.get(f"{A}/permissions", userId="ann", tenantId="t2")
    refused(answer, 404, "not_found")
    assert before == (town.all("roles"), town.all(MANY), town.all("policies"))


def test_a_tenants_key_is_told_no_number_of_other_tenants(town, inside):
    policy = town.policy("p", "documents:read")
    role = town.role("everywhere", policy)
    town.assign("user:ann", role, tenantId="t1")

    def told():
        return inside.all("roles"), inside.all("policies"), inside.all(MANY)

    before = told()
    assert before[0][0]["userCount"] == 1
    for n in range(3):
        town.role(f"r{n}", policy, tenant="t2")
        town.assign(f"user:u{n}", role, tenantId="t2")
    assert told() == before
    assert town.call("GET", f"roles/{role['id']}").json["userCount"] == 4
    assert town.call("GET", f"tenants/t1/roles/{role['id']}").json["userCount"] == 1

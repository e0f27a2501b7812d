"""Whole servers: what is edited through one worker holds on the next check in every worker."""

from __future__ import annotations

import pytest

from tests.api.roles_town import Town, made

pytestmark = pytest.mark.slow

MANY = "role-assignments"
ASKED = 12  # New connections: with two workers, some of each.


@pytest.fixture
def town(start):
    return Town.over(start("--workers", "2").client(), "default")


def everywhere(town: Town, permission: str, tenant: str | None = None) -> set[bool]:
    """What several connections are told."""
    return {town.check("user:ann", permission, tenant) for _ in range(ASKED)}


def test_an_edit_holds_at_once_in_every_worker(town):
    policy = town.policy("p", "documents:read")
    role = town.role("r", policy)
    town.assign("user:ann", role, tenantId="t1")
    assert everywhere(town, "documents:read", "t1") == {True}
    for n in range(5):
        gained = "documents:update" if n % 2 else "reports:export"
        lost = "reports:export" if n % 2 else "documents:update"
        made(town.call("PATCH", f"policies/{policy['id']}", {"permissions": [gained]}))
        assert everywhere(town, gained, "t1") == {True}
        assert everywhere(town, lost, "t1") == {False}
        assert everywhere(town, gained) == {False}
    made(town.call("PATCH", f"roles/{role['id']}", {"policyIds": []}))
    assert everywhere(town, "reports:export", "t1") == {False}
    made(town.call("PATCH", f"roles/{role['id']}", {"policyIds": [policy["id"]]}))
    assert everywhere(town, "reports:export", "t1") == {True}
    body = {"userId": "ann", "roleId": role["id"]}
    made(town.call("DELETE", f"tenants/t1/{MANY}", body))
    assert everywhere(town, "reports:export", "t1") == {False}
    made(town.call("POST", f"tenants/t1/{MANY}", body))
    assert everywhere(town, "reports:export", "t1") == {True}
    assert town.call("DELETE", f"roles/{role['id']}?force=true").status == 204
    assert everywhere(town, "reports:export", "t1") == {False}


def test_lists_and_heavy_writes_go_through_their_process(town):
    role = town.reader()
    body = {
        "assign": [{"userId": f"u{n}", "roleId": role["id"], "tenantId": "t1"} for n in range(200)]
    }
    assert made(town.call("POST", f"{MANY}/bulk", body))["created"] == 200
    assert len(town.all(MANY, size=60)) == len(town.all("tenants/t1/members", size=60)) == 200
    assert [row["userCount"] for row in town.all("roles")] == [200]
    held = town.client.get("/api/v1/authorization/permissions", userId="u7", tenantId="t1")
    assert held.json["permissions"] == ["documents:read"]
    assert town.call("DELETE", f"roles/{role['id']}?force=true").status == 204
    assert town.all(MANY) == []


def test_roles_outlive_a_restart(start):
    server = start()
    town = Town.over(server.client(), "default")
    role = town.reader()
    first = town.assign("user:ann", role, scope="documents/*/x")
    server.stop()
    again = Town(start(data=server.data).client(), town.app)
    assert [row["id"] for row in again.all(MANY)] == [first["id"]]
    assert again.check("user:ann", "documents:read", id="a/x/y")
    assert again.call("DELETE", f"{MANY}/{first['id']}").status == 204
    assert not again.check("user:ann", "documents:read", id="a/x/y")

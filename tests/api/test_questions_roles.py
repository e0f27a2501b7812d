"""Who-can and what-can over HTTP through roles, tenants and groups."""

import pytest

from tests.api.client import FACTS, NDJSON, A, fact
from tests.api.test_bad_input import assert_problem
from tests.api.worlds import World


@pytest.fixture
def world(root):
    return World(root)


def what(world, client=None, **query):
    query = {"resource": "documents", "action": "read", "total": "true"} | query
    answer = (client or world.api).get(f"{A}/what-can", **query)
    assert answer.status == 200, answer.body
    assert answer.json["complete"] is True
    assert answer.json["total"] == len(answer.json["data"])
    return [(row["resourceId"], row["via"]) for row in answer.json["data"]]


def who(world, client=None, **query):
    query = {"permission": "documents:read", "resourceId": "d1", "total": "true"} | query
    answer = (client or world.api).get(f"{A}/who-can", **query)
    assert answer.status == 200, answer.body
    return {row["subject"]: row["via"] for row in answer.json["data"]}


def test_a_role_on_a_place_is_one_row(world):
    role = world.reader()
    world.assign("user:u1", role, scope="documents/d1")
    world.assign("user:u1", role, scope="documents/offices/*/plans")
    world.join("documents:d1#viewer@user:u1", "documents:d2#viewer@group:eng#member")
    world.join("group:eng#member@user:u1")
    rows = [
        ("d1", ["direct", "role"]),
        ("offices/*/plans", ["role"]),
        ("d2", ["group"]),
    ]
    assert what(world, userId="u1") == rows
    world.assign("user:u1", role, tenantId="acme")
    assert what(world, userId="u1") == rows
    assert what(world, userId="u1", tenantId="acme") == [("*", ["role"]), *rows]
    assert what(world, userId="u1", tenantId="globex") == rows
    assert [row for row, _ in what(world, subject="group:eng#member")] == ["d2"]


def test_a_star_path_keeps_its_type_apart(world):
    world.assign("user:u1", world.role("All", world.policy("All", "reports:read")), scope="*/x")
    rows = world.api.get(f"{A}/what-can", userId="u1", permission="reports:read").json["data"]
    assert rows == [{"resource": "reports", "resourceId": "x", "via": ["role"]}]
    world.assign("user:u2", world.reader(), scope="documents/*/x")
    assert what(world, userId="u2") == [("*/x", ["role"])]


def test_pages_and_streams_hold_the_same_rows(world):
    role = world.reader()
    for number in range(3):
        world.assign("user:u1", role, scope=f"documents/p{number}")
        world.join(f"documents:d{number}#viewer@user:u1")
    query = {"userId": "u1", "permission": "documents:read"}
    found, cursor = [], None
    while True:
        more = {"cursor": cursor} if cursor else {}
        page = world.api.get(f"{A}/what-can", pageSize=2, total="true", **query, **more).json
        found += page["data"]
        cursor = page["nextCursor"]
        assert (page["complete"], page["total"]) == (cursor is None, 6)
        # What is written meanwhile belongs to another revision.
        world.assign("user:u1", role, scope=f"documents/later{len(found)}")
        if cursor is None:
            break
    assert [row["resourceId"] for row in found] == ["p0", "p1", "p2", "d0", "d1", "d2"]
    streamed = world.api.call(
        "GET", f"{A}/what-can", headers={"Accept": NDJSON}, **query, tenantId="acme"
    ).lines
    assert [row["resourceId"] for row in streamed[:-1]] == [
        "later2", "later4", "later6", "p0", "p1", "p2", "d0", "d1", "d2",
    ]  # fmt: skip
    assert (streamed[-1]["complete"], streamed[-1]["total"]) == (True, 9)


def test_a_cursor_goes_on_with_its_own_tenant_only(world):
    role = world.reader()
    for number in range(3):
        world.assign(f"user:u{number}", role, tenantId="acme")
    query = {"permission": "documents:read", "resourceId": "d1", "pageSize": 1}
    first = world.api.get(f"{A}/who-can", tenantId="acme", **query).json
    assert [row["via"] for row in first["data"]] == [["role"]]
    for other in ({"tenantId": "globex"}, {}):
        answer = world.api.get(f"{A}/who-can", cursor=first["next"], **query, **other)
        assert_problem(answer, 400, "malformed")
        assert "cursor" in answer.json["errors"]
    second = world.api.get(f"{A}/who-can", cursor=first["next"], tenantId="acme", **query)
    assert second.json["data"] != first["data"]


def test_a_grant_is_seen_in_both_views_and_in_both_lists(world):
    world.join("documents:d1#viewer@user:u1")
    on = world.api.get(FACTS, resource="documents", resourceId="d1").json["data"]
    of = world.api.get(FACTS, userId="u1", resource="documents").json["data"]
    assert on == of
    assert [row["relation"] for row in on] == ["viewer"]
    assert who(world) == {"user:u1": ["direct"]}
    assert what(world, userId="u1") == [("d1", ["direct"])]
    assert world.api.call("DELETE", FACTS, fact("documents:d1#viewer@user:u1")).status == 200
    assert who(world) == {}
    assert what(world, userId="u1") == []


def test_everyone_through_roles_and_groups(world):
    world.assign("group:staff#member", world.reader())
    world.join("group:staff#member@group:eng#member", "group:eng#member@user:u1")
    world.join("documents:d1#owner@user:u2", "documents:d1#viewer@user:*")
    assert who(world) == {"user:*": ["direct"], "user:u1": ["role"], "user:u2": ["direct"]}
    assert who(world, subjectType="group", subjectRelation="member") == {
        "group:staff#member": ["role"],
        "group:eng#member": ["role"],
    }


def test_a_tenants_key_lists_within_its_tenant(world):
    role = world.reader()
    world.assign("user:u1", role, tenantId="acme")
    world.assign("user:u2", role, tenantId="globex")
    acme = world.key(tenantId="acme", permissions=["checks:*"])
    assert who(world, acme) == {"user:u1": ["role"]}
    assert what(world, acme, userId="u1") == [("*", ["role"])]
    assert what(world, acme, userId="u2") == []
    for path, query in (("who-can", {"resourceId": "d1"}), ("what-can", {"userId": "u1"})):
        query |= {"permission": "documents:read", "tenantId": "globex"}
        assert_problem(acme.get(f"{A}/{path}", **query), 404, "not_found")
        assert_problem(
            acme.call("GET", f"{A}/{path}", headers={"Accept": NDJSON}, **query), 404, "not_found"
        )


@pytest.mark.parametrize(
    ("path", "query", "code", "field"),
    [
        ("who-can", {"tenantId": "*"}, "malformed", "tenantId"),
        ("what-can", {"tenantId": "a#b"}, "malformed", "tenantId"),
        ("what-can", {"tenantId": ""}, "validation_failed", "tenantId"),
        ("who-can", {"permission": "⟨grant⟩:holder"}, "malformed", "resource"),
        ("what-can", {"permission": "⟨scope⟩:grants"}, "malformed", "resource"),
        ("who-can", {"subjectType": "⟨role⟩"}, "malformed", "subjectType"),
        ("who-can", {"permission": "documents:reed"}, "unknown_name", None),
        ("what-can", {"permission": "document:read"}, "unknown_name", None),
        ("what-can", {"subject": "⟨grant⟩:x#holder"}, "malformed", "subject"),
        ("who-can", {"resourceId": "*"}, "malformed", "resourceId"),
    ],
)
def test_bad_input(world, path, query, code, field):
    world.assign("user:u1", world.reader())
    given = {"permission": "documents:read"}
    given |= {"resourceId": "d1"} if path == "who-can" else {}
    given |= {} if path == "who-can" or "subject" in query else {"userId": "u1"}
    answer = world.api.get(f"{A}/{path}", **(given | query))
    assert_problem(answer, 400, code)
    if field:
        assert field in answer.json["errors"], answer.json

"""Groups over HTTP: made, filled, nested, listed, deleted; ids in paths; bad input."""

from urllib.parse import quote

import pytest

from tests.api.client import FACTS, MODEL, A, fact
from tests.api.test_bad_input import assert_problem

GROUPS = "/api/v1/groups"


def put(api, group, body=None):
    return api.call("PUT", f"{GROUPS}/{quote(group, safe='')}", body if body is not None else {})


def members(api, group):
    answer = api.get(f"{GROUPS}/{quote(group, safe='')}/members", pageSize=1000)
    assert answer.status == 200, answer.body
    return sorted(row["subject"] for row in answer.json["data"])


def test_a_group_from_its_beginning_to_its_end(api):
    made = put(api, "eng", {"name": "Engineering", "members": ["u1", "user:u2"]})
    assert made.status == 201
    assert made.json["zookie"]
    assert (made.json["id"], made.json["name"]) == ("eng", "Engineering")
    assert (made.json["added"], made.json["memberCount"]) == (2, 2)
    assert made.json["subject"] == "group:eng#member"

    added = api.post(f"{GROUPS}/eng/members", {"subjects": ["u2", "u3"]})
    assert added.status == 200
    assert {key: added.json[key] for key in ("added", "existing")} == {"added": 1, "existing": 1}
    one = api.call("PUT", f"{GROUPS}/eng/members/u4")
    assert (one.status, one.json["added"]) == (200, 1)
    assert api.call("PUT", f"{GROUPS}/eng/members/u4").json["existing"] == 1
    removed = api.call("DELETE", f"{GROUPS}/eng/members", {"subjects": ["u1", "nobody"]})
    assert {key: removed.json[key] for key in ("removed", "absent")} == {"removed": 1, "absent": 1}
    gone = api.call("DELETE", f"{GROUPS}/eng/members/user%3Au4")
    assert (gone.json["removed"], gone.json["absent"]) == (1, 0)
    assert members(api, "eng") == ["user:u2", "user:u3"]

    again = put(api, "eng", {"members": ["u3", "u9"]})
    assert again.status == 200
    assert (again.json["created"], again.json["added"], again.json["removed"]) == (False, 1, 1)
    assert again.json["name"] == "Engineering"
    assert api.get(f"{GROUPS}/eng").json["memberCount"] == 2
    assert put(api, "eng", {"name": None}).json["name"] is None

    deleted = api.call("DELETE", f"{GROUPS}/eng")
    assert deleted.status == 200
    assert (deleted.json["membersDeleted"], deleted.json["complete"]) == (2, True)
    assert_problem(api.get(f"{GROUPS}/eng"), 404, "not_found")
    assert_problem(api.call("DELETE", f"{GROUPS}/eng"), 404, "not_found")


def test_membership_decides_the_next_check_through_any_nesting(api):
    put(api, "a", {"members": ["group:b#member"]})
    put(api, "b", {"members": ["group:c#member", "group:a#member"]})
    put(api, "c", {"members": ["u1"]})
    assert api.post(FACTS, fact("document:d#viewer@group:a#member")).status == 201
    assert api.check("user:u1", "document:d", "read")
    assert not api.check("user:u2", "document:d", "read")
    api.call("DELETE", f"{GROUPS}/c/members/u1")
    assert not api.check("user:u1", "document:d", "read")
    # The same relationships, whichever door they came in by.
    assert api.get(FACTS, resource="group", resourceId="b").json["data"]
    api.post(FACTS, fact("group:c#member@user:u2"))
    assert members(api, "c") == ["user:u2"]


def test_what_a_write_did_is_read_with_its_zookie(api):
    zookie = api.post(f"{GROUPS}/eng/members", {"subjects": ["u1"]}).json["zookie"]
    for path in (GROUPS, f"{GROUPS}/eng", f"{GROUPS}/eng/members"):
        assert api.get(path, zookie=zookie).status == 200
        assert_problem(api.get(path, zookie="x"), 400, "malformed")


@pytest.mark.parametrize(
    "group", ["a/b", "a%2Fb", "{x}", "c:d", "ü 漢", "..", "a?b&c=d", "%", "x;y", "members"]
)
def test_ids_hold_any_character(api, group):
    member = "user:" + group
    assert put(api, group, {"name": "n"}).json["id"] == group
    one = f"{GROUPS}/{quote(group, safe='')}/members/{quote(member, safe='')}"
    assert api.call("PUT", one).json["added"] == 1
    assert members(api, group) == [member]
    assert api.check(member, "group:" + group, "member")
    assert [row["id"] for row in api.get(GROUPS).json["data"]] == [group]
    assert api.call("DELETE", one).json["removed"] == 1
    assert api.call("DELETE", f"{GROUPS}/{quote(group, safe='')}").status == 200


def test_groups_are_listed_in_pages(api):
    for number in range(3):
        put(api, f"named{number}", {"name": f"N{number}"})
    writes = [fact(f"group:g{number}#member@user:u1") for number in range(4)]
    api.post(f"{FACTS}/bulk", {"writes": writes})
    found, cursor = [], None
    while True:
        page = api.get(GROUPS, pageSize=2, **({"cursor": cursor} if cursor else {})).json
        assert page["next"] == page["nextCursor"]
        found += page["data"]
        cursor = page["nextCursor"]
        if cursor is None:
            break
    assert [row["id"] for row in found[:4]] == [f"g{n}" for n in range(4)]
    assert {row["id"]: row["name"] for row in found[4:]} == {
        f"named{n}": f"N{n}" for n in range(3)
    }


def test_a_group_in_use_is_deleted_with_force(api):
    put(api, "eng", {"members": ["u1"]})
    api.post(FACTS, fact("document:d#viewer@group:eng#member"))
    refused = api.call("DELETE", f"{GROUPS}/eng")
    assert_problem(refused, 409, "in_use")
    assert refused.json["references"] == {"relationships": {"document#viewer": 1}}
    assert members(api, "eng") == ["user:u1"]
    done = api.call("DELETE", f"{GROUPS}/eng?force=true")
    assert (done.json["membersDeleted"], done.json["usesDeleted"]) == (1, 1)
    assert api.everything() == []


def test_a_retry_gets_the_first_answer(api):
    header = {"Idempotency-Key": "once"}
    body = {"subjects": ["u1"]}
    first = api.post(f"{GROUPS}/eng/members", body, headers=header)
    again = api.post(f"{GROUPS}/eng/members", body, headers=header)
    assert again.body == first.body
    assert first.json["added"] == 1
    other = api.post(f"{GROUPS}/eng/members", {"subjects": ["u2"]}, headers=header)
    assert_problem(other, 409, "idempotency_key_reused")


MANY = [f"u{number}" for number in range(5_001)]
ONE = f"{GROUPS}/eng"
WRONG = {
    "unknown field": ("PUT", ONE, {"member": []}, 400, "unknown_name", "member"),
    "name that is no text": ("PUT", ONE, {"name": 7}, 400, "validation_failed", "name"),
    "empty name": ("PUT", ONE, {"name": ""}, 400, "malformed", "name"),
    "5,001 members": ("PUT", ONE, {"members": MANY}, 400, "limit_exceeded", "members"),
    "member without relation": (
        "PUT", ONE, {"members": ["u1", "group:b"]}, 400, "validation_failed", "members[1]",
    ),
    "star as member": ("PUT", ONE, {"members": ["*"]}, 400, "validation_failed", "members[0]"),
    "empty member": ("PUT", ONE, {"members": [""]}, 400, "validation_failed", "members[0]"),
    "member that is no text": ("PUT", ONE, {"members": [1]}, 400, "validation_failed", None),
    "unknown subject type": (
        "POST", f"{ONE}/members", {"subjects": ["u1", "usr:u2"]}, 400, "validation_failed",
        "subjects[1]",
    ),
    "reserved type": (
        "POST", f"{ONE}/members", {"subjects": ["⟨grant⟩:x#holder"]}, 400, "validation_failed",
        "subjects[0]",
    ),
    "no subjects": ("POST", f"{ONE}/members", {}, 400, "validation_failed", "subjects"),
    "5,001 subjects": (
        "POST", f"{ONE}/members", {"subjects": MANY}, 400, "limit_exceeded", "subjects",
    ),
    "unknown relation of one removed": (
        "DELETE", f"{ONE}/members", {"subjects": ["group:b#membr"]}, 400, "validation_failed",
        "subjects[0]",
    ),
    "one that is not allowed": (
        "PUT", f"{ONE}/members/folder%3Af", None, 400, "validation_failed", "subject",
    ),
    "one that does not parse": (
        "PUT", f"{ONE}/members/group%3Ab%23", None, 400, "malformed", "subject",
    ),
    "one of a reserved type": (
        "DELETE", f"{ONE}/members/%E2%9F%A8role%E2%9F%A9%3Ax", None, 400, "malformed", "subject",
    ),
    "path that is not UTF-8": ("PUT", f"{GROUPS}/%ff", {}, 400, "malformed", "groupId"),
    "star as group": ("PUT", f"{GROUPS}/*", {}, 400, "malformed", "groupId"),
    "group with #": ("PUT", f"{GROUPS}/a%23b", {}, 400, "malformed", "groupId"),
    "long group": ("PUT", f"{GROUPS}/{'x' * 1_025}", {}, 400, "malformed", "groupId"),
    "absent group": ("GET", f"{GROUPS}/none", None, 404, "not_found", None),
    "members of an absent group": ("GET", f"{GROUPS}/none/members", None, 404, "not_found", None),
    "unknown query parameter": ("GET", f"{GROUPS}?size=1", None, 400, "unknown_name", "size"),
    "page of 1,001": ("GET", f"{GROUPS}?pageSize=1001", None, 400, "limit_exceeded", "pageSize"),
    "garbage cursor": ("GET", f"{GROUPS}?cursor=x", None, 400, "malformed", "cursor"),
    "flag that is none": ("DELETE", f"{ONE}?force=1", None, 400, "validation_failed", "force"),
    "wrong method": ("PATCH", ONE, {}, 405, "method_not_allowed", None),
}  # fmt: skip


@pytest.mark.parametrize("what", WRONG)
def test_bad_input_changes_nothing(api, what):
    method, path, body, status, code, field = WRONG[what]
    before = api.everything()
    answer = api.call(method, path, body)
    assert_problem(answer, status, code)
    if field is not None:
        assert field in answer.json["errors"], answer.json
    assert api.everything() == before
    assert api.get(GROUPS).json["data"] == []


def test_a_model_with_other_groups_is_told_apart(root):
    made = root.post("/api/v1/applications", {"name": "other groups"})
    app = made.json["id"]
    types = [each for each in MODEL["type_definitions"] if each["type"] == "user"]
    strange = {"schema_version": "1.1", "type_definitions": [*types, {"type": "group"}]}
    assert root.call("PUT", f"/api/v1/applications/{app}/model", strange).status == 200
    answer = root.within(app).call("PUT", f"{GROUPS}/eng", {"members": ["u1"]})
    assert_problem(answer, 409, "conflict")
    assert "`member`" in answer.json["detail"]


def test_a_key_needs_the_permission_of_groups(api):
    made = api.post("/api/v1/api-keys", {"name": "reader", "permissions": ["groups:read"]})
    reader = type(api)(api.port, made.json["secret"])
    put(api, "eng", {"members": ["u1"]})
    assert reader.get(f"{GROUPS}/eng").status == 200
    for answer in (put(reader, "eng"), reader.call("PUT", f"{GROUPS}/eng/members/u2")):
        assert_problem(answer, 403, "forbidden")
        assert answer.json["permission"] == "groups:write"
    assert_problem(reader.get(FACTS, userId="u1"), 403, "forbidden")
    assert members(api, "eng") == ["user:u1"]


def test_a_group_may_be_asked_about_and_explained(api):
    put(api, "eng", {"members": ["u1"]})
    api.post(FACTS, fact("document:d#viewer@group:eng#member"))
    question = {"subject": "group:eng#member", "permission": "document:read", "resourceId": "d"}
    assert api.post(f"{A}/check", question).json["allowed"] is True
    why = api.post(f"{A}/explain", {**question, "subject": "user:u1"}).json
    assert "group:eng#member@user:u1" in why["text"]


def test_ids_reach_the_process_for_heavy_calls_as_they_are(start):
    client = start("--workers", "1").client()
    for group in ("a/b", "a%2Fb", "{x}", "ü 漢", "%"):
        assert put(client, group, {"members": ["u1"]}).json["id"] == group
        assert members(client, group) == ["user:u1"]
        one = f"{GROUPS}/{quote(group, safe='')}/members"
        body = {"subjects": ["group:b#member"]}
        assert client.call("POST", one, body).json["added"] == 1
        assert client.call("DELETE", one, body).json["removed"] == 1
        assert client.call("DELETE", f"{GROUPS}/{quote(group, safe='')}").status == 200
    assert client.get(GROUPS).json["data"] == []

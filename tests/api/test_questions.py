"""Check, bulk check, explain, expand, who-can and what-can over HTTP."""

import pytest

from tests.api.client import FACTS, NDJSON, A, fact

CHECK = {"userId": "ann", "resource": "document", "resourceId": "plan", "action": "read"}
FIELDS = ("resource", "resourceId", "relation", "subject")
FACTS_OF = [
    "group:eng#member@user:ann",
    "group:all#member@group:eng#member",
    "folder:f#viewer@group:all#member",
    "document:plan#parent@folder:f",
    "document:plan#owner@user:olga",
    "document:plan#banned@user:bert",
    "document:plan#editor@user:bert",
    "document:open#viewer@user:*",
    "document:open#banned@user:bert",
]


@pytest.fixture
def api(api):
    answer = api.post(f"{FACTS}/bulk", {"writes": [fact(text) for text in FACTS_OF]})
    assert answer.status == 200, answer.body
    return api


@pytest.mark.parametrize(
    ("who", "resource", "action", "allowed"),
    [
        ("user:ann", "document:plan", "read", True),
        ("user:ann", "document:plan", "viewer", True),
        ("user:ann", "document:plan", "editor", False),
        ("user:olga", "document:plan", "read", True),
        ("user:bert", "document:plan", "viewer", True),
        ("user:bert", "document:plan", "read", False),
        ("user:anyone", "document:open", "read", True),
        ("user:bert", "document:open", "read", False),
        ("user:nobody", "document:unknown", "read", False),
        ("group:eng#member", "document:plan", "read", True),
        ("user:*", "document:open", "viewer", True),
    ],
)
def test_check(api, who, resource, action, allowed):
    assert api.check(who, resource, action) is allowed


def test_a_question_can_be_put_in_several_ways(api):
    ways = [
        CHECK,
        {"subject": "user:ann", "permission": "document:read", "resourceId": "plan"},
        CHECK | {"permission": "document:read"},
        CHECK | {"tenantId": "t1", "context": {"any": [1, {"thing": None}]}},
    ]
    for body in ways:
        answer = api.post(f"{A}/check", body).json
        assert answer["allowed"] is True
        assert set(answer) == {"allowed", "viaRole", "viaDirectGrant", "zookie"}


def test_without_an_id_only_roles_count_and_there_are_none(api):
    answer = api.post(f"{A}/check", {"userId": "olga", "resource": "document", "action": "owner"})
    assert answer.json["allowed"] is False


def test_contextual_relationships_count_for_one_question(api):
    body = CHECK | {"userId": "guest"}
    given = {"contextualRelationships": [fact("group:eng#member@user:guest")]}
    assert api.post(f"{A}/check", body | given).json["allowed"] is True
    assert api.post(f"{A}/check", body).json["allowed"] is False


def test_what_was_written_is_seen_with_its_zookie(api):
    zookie = api.post(FACTS, fact("document:plan#viewer@user:new")).json["zookie"]
    for answer in (
        api.post(f"{A}/check", CHECK | {"userId": "new", "consistency": {"atLeast": zookie}}),
        api.post(f"{A}/check", CHECK | {"userId": "new"}, headers={"X-Zeratul-Zookie": zookie}),
    ):
        assert answer.json["allowed"] is True


@pytest.mark.parametrize("path", [f"{A}/check/bulk", f"{A}/check-bulk"])
def test_many_questions_are_answered_in_order_with_errors_inline(api, path):
    checks = [
        {"resource": "document", "resourceId": "plan", "action": "read"},
        {"permission": "document:editor", "resourceId": "plan"},
        {"permission": "document:reed", "resourceId": "plan"},
        {"permission": "document:read", "resourceId": "a#b"},
        {"permission": "document:read", "resource_id": "x"},
        {"permission": "document:read"},
        {"permission": "dokument:read"},
        {"permission": "document:read", "resourceId": "plan", "userId": "bert"},
    ]
    answer = api.post(path, {"userId": "ann", "checks": checks})
    assert answer.status == 200, answer.body
    results = answer.json["results"]
    assert [result.get("allowed") for result in results] == [
        True, False, None, None, None, False, None, False,
    ]  # fmt: skip
    fields = {at: list(results[at]["error"]["errors"]) for at in (2, 3, 4, 6)}
    assert fields == {2: ["action"], 3: ["resourceId"], 4: ["resource_id"], 6: ["resource"]}
    assert results[2]["error"]["suggestion"] == "read"


def test_many_questions_need_a_subject_each_or_one_for_all(api):
    answer = api.post(
        f"{A}/check/bulk", {"checks": [{"permission": "document:read", "resourceId": "plan"}]}
    )
    assert answer.json["results"][0]["error"]["code"] == "validation_failed"


def test_5_000_questions_equal_single_ones(api):
    people = ["ann", "olga", "bert", "nobody"]
    checks = [
        {
            "userId": people[n % 4],
            "permission": "document:read",
            "resourceId": ["plan", "open"][n // 4 % 2],
        }
        for n in range(5_000)
    ]
    answer = api.post(f"{A}/check/bulk", {"checks": checks}).json
    single = [api.post(f"{A}/check", check).json["allowed"] for check in checks[:8]]
    assert [result["allowed"] for result in answer["results"]] == single * 625


def test_explain_shows_the_proof(api):
    found = api.post(f"{A}/explain", CHECK).json
    assert found["allowed"] is True
    assert found["permission"] == "document:read"
    assert found["subject"] == "user:ann"
    assert found["resourceId"] == "plan"
    proof = {tuple(row[each] for each in FIELDS) for row in found["proof"]}
    assert proof == {
        ("group", "eng", "member", "user:ann"),
        ("group", "all", "member", "group:eng#member"),
        ("folder", "f", "viewer", "group:all#member"),
        ("document", "plan", "parent", "folder:f"),
    }
    nodes = found["nodes"]
    reached = {0} | {child for node in nodes for child in node["children"]}
    assert reached == set(range(len(nodes)))
    assert "group:eng#member@user:ann" in found["text"]
    assert "suggestions" not in found


def test_explain_of_a_denial_suggests_what_would_do(api):
    found = api.post(f"{A}/explain", CHECK | {"userId": "guest"}).json
    assert found["allowed"] is False
    assert found["proof"] == []
    relations = [each["relation"] for each in found["suggestions"]]
    assert relations[0] == "viewer"
    assert "owner" not in relations
    suggested = found["suggestions"][0]
    without_time = {
        key: suggested[key] for key in ("subject", "resource", "resourceId", "relation")
    }
    for part in ({"contextualRelationships": [without_time]}, {"writes": [without_time]}):
        assert api.post(f"{A}/explain", CHECK | {"userId": "guest"} | part).json["allowed"] is True


def test_explain_takes_hypothetical_deletes(api):
    gone = {"deletes": [fact("document:plan#parent@folder:f")]}
    assert api.post(f"{A}/explain", CHECK | gone).json["allowed"] is False
    assert api.check("user:ann", "document:plan", "read")


def test_explain_without_an_id_is_about_the_type(api):
    body = {key: CHECK[key] for key in CHECK if key != "resourceId"}
    found = api.post(f"{A}/explain", body).json
    assert (found["allowed"], found["resourceId"], found["directGrants"]) == (False, None, [])
    assert "viaDirectGrant" not in found
    empty = api.post(f"{A}/explain", body | {"resourceId": ""})
    assert "resourceId" in empty.json["errors"]


def test_expand_names_usersets_without_expanding_them(api):
    found = api.get(f"{A}/expand", resource="folder", resourceId="f", relation="viewer").json
    leaves = [node for node in found["nodes"] if node["kind"] == "direct"]
    assert [leaf["subjects"] for leaf in leaves] == [["group:all#member"]]
    same = api.get(f"{A}/expand", permission="folder:viewer", resourceId="f").json
    assert same["nodes"] == found["nodes"]


def everyone(api, **query):
    rows, cursor = [], None
    while True:
        more = {"cursor": cursor} if cursor else {}
        page = api.get(f"{A}/who-can", pageSize=1, total="true", **more, **query).json
        rows += page["data"]
        cursor = page["nextCursor"]
        assert page["complete"] is (cursor is None)
        if cursor is None:
            assert page["total"] == len(rows)
            return rows


def test_who_can(api):
    rows = everyone(api, resource="document", resourceId="plan", action="read")
    assert {row["subject"] for row in rows} == {"user:ann", "user:olga"}
    assert next(row for row in rows if row["subject"] == "user:ann")["via"]
    groups = everyone(
        api,
        permission="document:read",
        resourceId="plan",
        subjectType="group",
        subjectRelation="member",
    )
    assert {row["subject"] for row in groups} == {"group:all#member", "group:eng#member"}


def test_everyone_is_one_row_with_its_exceptions(api):
    rows = everyone(api, permission="document:read", resourceId="open")
    wildcard = next(row for row in rows if row["subject"] == "user:*")
    assert wildcard["except"] == ["user:bert"]
    assert wildcard["exceptTotal"] == 1


def test_what_can_in_pages_and_as_a_stream(api):
    api.post(
        f"{FACTS}/bulk",
        {"writes": [fact(f"document:x{n}#viewer@group:eng#member") for n in range(5)]},
    )
    query = {"userId": "ann", "resource": "document", "action": "read"}
    page = api.get(f"{A}/what-can", total="true", **query).json
    names = {row["resourceId"] for row in page["data"]}
    assert names == {"plan", "open", *(f"x{n}" for n in range(5))}
    assert page["total"] == 7
    assert page["complete"] is True
    streamed = api.call(
        "GET", f"{A}/what-can", headers={"Accept": f"text/html, {NDJSON};q=0.9"}, **query
    )
    assert streamed.headers["Content-Type"] == NDJSON
    *rows, end = streamed.lines
    assert rows == page["data"]
    assert (end["complete"], end["total"]) == (True, 7)


def test_a_stream_is_refused_with_a_status_before_it_begins(api):
    for path, query in (
        (f"{A}/what-can", {"userId": "ann", "permission": "document:reed"}),
        (f"{A}/who-can", {"permission": "document:reed", "resourceId": "x"}),
        (f"{A}/what-can", {"userId": "ann", "permission": "document:read", "pageSize": 3}),
    ):
        answer = api.call("GET", path, headers={"Accept": NDJSON}, **query)
        assert answer.status == 400, answer.body

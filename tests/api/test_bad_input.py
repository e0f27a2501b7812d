"""Bad input to a running server: a problem document that names what is wrong, nothing changed."""

# ruff: noqa: E501 - the table is read by its columns

import copy
import http.client
import socket

import pytest

from tests.api.client import FACTS, MODEL, NDJSON, PROBLEM, A, Client, fact

GOOD = fact("document:d1#viewer@user:u1")
CHECK = {"userId": "u1", "resource": "document", "resourceId": "d1", "action": "read"}
MANY = [fact(f"document:d{number}#viewer@user:u1") for number in range(5_000)]


def without(body, name):
    return {key: value for key, value in body.items() if key != name}


# what | method, path, body | status, code, field that is named
WRONG = {
    "unknown type": ("POST", FACTS, GOOD | {"resource": "docment"}, 400, "unknown_name", "resource"),
    "unknown relation": ("POST", FACTS, GOOD | {"relation": "vewer"}, 400, "unknown_name", "relation"),
    "unknown subject type": ("POST", FACTS, GOOD | {"subject": "usr:u1"}, 400, "unknown_name", "subject"),
    "unknown relation of a subject": (
        "POST", FACTS, GOOD | {"subject": "group:g#membr"}, 400, "unknown_name", "subject",
    ),
    "unknown field": (
        "POST", FACTS, without(GOOD, "resourceId") | {"resource_id": "d1"}, 400, "unknown_name",
        "resource_id",
    ),
    "unknown field of a check": (
        "POST", f"{A}/check", without(CHECK, "resourceId") | {"resource_id": "d1"}, 400,
        "unknown_name", "resource_id",
    ),
    "unknown action": ("POST", f"{A}/check", CHECK | {"action": "reed"}, 400, "unknown_name", "action"),
    "unknown type of a check": (
        "POST", f"{A}/check", CHECK | {"resource": "dokument"}, 400, "unknown_name", "resource",
    ),
    "unknown type on a type level": (
        "POST", f"{A}/check", without(CHECK, "resourceId") | {"resource": "dokument"}, 400,
        "unknown_name", "resource",
    ),
    "subject not allowed": (
        "POST", FACTS, GOOD | {"subject": "group:g"}, 400, "subject_not_allowed", "subject",
    ),
    "wildcard not allowed": (
        "POST", FACTS, GOOD | {"relation": "owner", "subject": "user:*"}, 400,
        "subject_not_allowed", "subject",
    ),
    "a permission is not written": (
        "POST", FACTS, GOOD | {"relation": "read"}, 400, "subject_not_allowed", "relation",
    ),
    "id with #": ("POST", FACTS, GOOD | {"resourceId": "a#b"}, 400, "malformed", "resourceId"),
    "empty id": ("POST", FACTS, GOOD | {"resourceId": ""}, 400, "malformed", "resourceId"),
    "long id": ("POST", FACTS, GOOD | {"resourceId": "x" * 1_025}, 400, "malformed", "resourceId"),
    "id with NUL": ("POST", FACTS, GOOD | {"resourceId": "a\0b"}, 400, "malformed", "resourceId"),
    "id with space at its end": ("POST", FACTS, GOOD | {"resourceId": "a "}, 400, "malformed", "resourceId"),
    "star as resource": ("POST", FACTS, GOOD | {"resourceId": "*"}, 400, "malformed", "resourceId"),
    "star as user id": (
        "POST", FACTS, without(GOOD, "subject") | {"userId": "*"}, 400, "malformed", "userId",
    ),
    "NUL in a check": ("POST", f"{A}/check", CHECK | {"resourceId": "a\0b"}, 400, "malformed", "resourceId"),
    "long id in a check": (
        "POST", f"{A}/check", CHECK | {"userId": "x" * 1_025}, 400, "malformed", "userId",
    ),
    "user id with #": (
        "POST", FACTS, without(GOOD, "subject") | {"userId": "g#member"}, 400, "malformed", "userId",
    ),
    "empty user id": (
        "POST", FACTS, without(GOOD, "subject") | {"userId": ""}, 400, "malformed", "userId",
    ),
    "empty user id to explain": (
        "POST", f"{A}/explain", CHECK | {"userId": ""}, 400, "malformed", "userId",
    ),
    "user id with NUL of a bulk call": (
        "POST", f"{FACTS}/bulk", {"writes": [GOOD, without(GOOD, "subject") | {"userId": "a\0"}]}, 400,
        "validation_failed", "writes[1].userId",
    ),
    "user id with NUL of one in many": (
        "POST", f"{FACTS}/bulk",
        {"writes": [*MANY[:40], without(GOOD, "subject") | {"userId": "a\0"}]},
        400, "validation_failed", "writes[40].userId",
    ),
    "user id with NUL of all checks": (
        "POST", f"{A}/check/bulk", {"userId": "a\0", "checks": [without(CHECK, "userId")]}, 400,
        "malformed", "userId",
    ),
    "user id with NUL of a filter": ("DELETE", FACTS, {"userId": "a\0"}, 400, "malformed", "userId"),
    "user id with NUL of a view": ("GET", f"{FACTS}?userId=a%00", None, 400, "malformed", "userId"),
    "user id with NUL of a list": (
        "GET", f"{A}/what-can?userId=a%00&resource=document&action=read", None, 400, "malformed",
        "userId",
    ),
    "subject with NUL of a list": (
        "GET", f"{A}/what-can?subject=user:a%00&resource=document&action=read", None, 400,
        "malformed", "subject",
    ),
    "unknown action of what-can": (
        "GET", f"{A}/what-can?userId=u&resource=document&action=reed", None, 400, "unknown_name",
        "action",
    ),
    "unknown action of who-can": (
        "GET", f"{A}/who-can?resource=document&resourceId=d1&action=reed", None, 400,
        "unknown_name", "action",
    ),
    "unknown type of who-can": (
        "GET", f"{A}/who-can?resource=dokument&resourceId=d1&action=read", None, 400,
        "unknown_name", "resource",
    ),
    "unknown subject type of who-can": (
        "GET", f"{A}/who-can?permission=document:read&resourceId=d1&subjectType=usr", None, 400,
        "unknown_name", "subjectType",
    ),
    "unknown permission of what-can": (
        "GET", f"{A}/what-can?userId=u&permission=document:reed", None, 400, "unknown_name",
        "action",
    ),
    "unknown type in the permission of what-can": (
        "GET", f"{A}/what-can?userId=u&permission=dokument:read", None, 400, "unknown_name",
        "resource",
    ),
    "unknown permission of a check": (
        "POST", f"{A}/check", {"userId": "u", "permission": "document:reed", "resourceId": "d1"}, 400,
        "unknown_name", "action",
    ),
    "unknown type in the permission of a check": (
        "POST", f"{A}/check", {"userId": "u", "permission": "dokument:read", "resourceId": "d1"}, 400,
        "unknown_name", "resource",
    ),
    "unknown subject type beside a permission": (
        "POST", f"{A}/check", {"subject": "usr:u", "permission": "document:read", "resourceId": "d1"},
        400, "unknown_name", "subject",
    ),
    "unknown permission to explain": (
        "POST", f"{A}/explain", {"userId": "u", "permission": "document:reed", "resourceId": "d1"},
        400, "unknown_name", "action",
    ),
    "unknown relation to expand": (
        "GET", f"{A}/expand?resource=document&resourceId=d1&relation=reed", None, 400,
        "unknown_name", "relation",
    ),
    "reserved type": ("POST", FACTS, GOOD | {"resource": "⟨record⟩"}, 400, "malformed", "resource"),
    "reserved type of a subject": (
        "POST", FACTS, GOOD | {"subject": "⟨record⟩:r#holder"}, 400, "malformed", "subject",
    ),
    "reserved type in a check": (
        "POST", f"{A}/check", CHECK | {"resource": "⟨root⟩"}, 400, "malformed", None,
    ),
    "subject twice": ("POST", FACTS, GOOD | {"userId": "u1"}, 400, "validation_failed", "subject"),
    "no subject": ("POST", FACTS, without(GOOD, "subject"), 400, "validation_failed", "userId"),
    "subject without type": ("POST", FACTS, GOOD | {"subject": "u1"}, 400, "malformed", "subject"),
    "no relation": ("POST", FACTS, without(GOOD, "relation"), 400, "validation_failed", "relation"),
    "wrong type": ("POST", FACTS, GOOD | {"resourceId": 7}, 400, "validation_failed", "resourceId"),
    "not an object": ("POST", FACTS, [GOOD], 400, "malformed", None),
    "past expiry": (
        "POST", FACTS, GOOD | {"expiresAt": "2020-01-01T00:00:00Z"}, 400, "invalid_input", "expiresAt",
    ),
    "expiry that has no text in UTC": (
        "POST", FACTS, GOOD | {"expiresAt": "9999-12-31T23:59:59-01:00"}, 400, "malformed", "expiresAt",
    ),
    "expiry of a write that has no text in UTC": (
        "POST", f"{FACTS}/bulk", {"writes": [GOOD, GOOD | {"expiresAt": "9999-12-31T23:59:59-01:00"}]},
        400, "validation_failed", "writes[1].expiresAt",
    ),
    "expiry of one in many that has no text in UTC": (
        "POST", f"{FACTS}/bulk",
        {"writes": [*MANY[:40], GOOD | {"expiresAt": "9999-12-31T23:59:59-01:00"}]},
        400, "validation_failed", "writes[40].expiresAt",
    ),
    "expiry of a key that has no text in UTC": (
        "POST", "/api/v1/api-keys", {"name": "k", "expiresAt": "9999-12-31T23:59:59-01:00"}, 400,
        "malformed", "expiresAt",
    ),
    "expiry without offset": (
        "POST", FACTS, GOOD | {"expiresAt": "2090-01-01T00:00:00"}, 400, "malformed", "expiresAt",
    ),
    "condition": (
        "POST", FACTS, GOOD | {"condition": {"name": "x"}}, 400, "validation_failed", "condition",
    ),
    "5,001 writes": (
        "POST", f"{FACTS}/bulk", {"writes": [*MANY, GOOD]}, 400, "limit_exceeded", "writes",
    ),
    "item 3,999 of 5,000": (
        "POST", f"{FACTS}/bulk", {"writes": [*MANY[:3_999], GOOD | {"relation": "x"}, *MANY[4_000:]]},
        400, "validation_failed", "writes[3999].relation",
    ),
    "undecodable item of a bulk call": (
        "POST", f"{FACTS}/bulk", {"writes": [GOOD, GOOD | {"resourceid": "x"}]}, 400,
        "validation_failed", "writes[1].resourceid",
    ),
    "unknown field of a bulk call": (
        "POST", f"{FACTS}/bulk", {"write": [GOOD]}, 400, "unknown_name", "write",
    ),
    "precondition of two kinds": (
        "POST", f"{FACTS}/bulk", {"writes": [GOOD], "preconditions": [{}]}, 400,
        "validation_failed", "preconditions[0]",
    ),
    "5,001 checks": (
        "POST", f"{A}/check/bulk", {"checks": [CHECK] * 5_001}, 400, "limit_exceeded", "checks",
    ),
    "101 contextual relationships": (
        "POST", f"{A}/check", CHECK | {"contextualRelationships": [GOOD] * 101}, 400,
        "limit_exceeded", "contextualRelationships",
    ),
    "bad contextual relationship": (
        "POST", f"{A}/check", CHECK | {"contextualRelationships": [GOOD, GOOD | {"relation": "x"}]},
        400, "validation_failed", "contextualRelationships[1].relation",
    ),
    "permission that disagrees": (
        "POST", f"{A}/check", CHECK | {"permission": "folder:viewer"}, 400, "validation_failed",
        "permission",
    ),
    "permission without colon": (
        "POST", f"{A}/check", {"userId": "u", "permission": "read"}, 400, "malformed", "permission",
    ),
    "garbage zookie": (
        "POST", f"{A}/check", CHECK | {"consistency": {"atLeast": "nonsense"}}, 400, "malformed",
        "zookie",
    ),
    "filter of nothing": ("DELETE", FACTS, {}, 400, "validation_failed", "userId"),
    "filter by type alone": ("DELETE", FACTS, {"resource": "document"}, 400, "validation_failed", "userId"),
    "filter by unknown type": (
        "DELETE", FACTS, {"resource": "docs", "resourceId": "x"}, 400, "unknown_name", "resource",
    ),
    "view without anything": ("GET", FACTS, None, 400, "validation_failed", "resource"),
    "view by type alone": ("GET", f"{FACTS}?resource=document", None, 400, "validation_failed", "resourceId"),
    "unknown query parameter": (
        "GET", f"{FACTS}?resource=document&resource_id=x", None, 400, "unknown_name", "resource_id",
    ),
    "query parameter twice": (
        "GET", f"{FACTS}?resource=document&resource=folder&resourceId=x", None, 400, "malformed",
        "resource",
    ),
    "query that is not UTF-8": ("GET", f"{FACTS}?resource=%ff", None, 400, "malformed", None),
    "page of 1,001": ("GET", f"{FACTS}?userId=u&pageSize=1001", None, 400, "limit_exceeded", "pageSize"),
    "page of 0": ("GET", f"{FACTS}?userId=u&pageSize=0", None, 400, "validation_failed", "pageSize"),
    "page of x": ("GET", f"{FACTS}?userId=u&pageSize=x", None, 400, "validation_failed", "pageSize"),
    "garbage cursor": ("GET", f"{FACTS}?userId=u&cursor=abc", None, 400, "malformed", "cursor"),
    "flag that is none": (
        "GET", f"{A}/what-can?userId=u&permission=document:read&total=yes", None, 400,
        "validation_failed", "total",
    ),
    "who-can without id": (
        "GET", f"{A}/who-can?resource=document&action=read", None, 400, "validation_failed",
        "resourceId",
    ),
    "what-can without subject": (
        "GET", f"{A}/what-can?resource=document&action=read", None, 400, "validation_failed", "userId",
    ),
    "bulk option that is none": (
        "POST", f"{FACTS}/bulk?onError=ignore", {"writes": []}, 400, "validation_failed", "onError",
    ),
    "unknown path": ("GET", "/api/v1/authorization/chek", None, 404, "not_found", None),
    "unknown method": ("PATCH", FACTS, GOOD, 405, "method_not_allowed", None),
    "unknown application": (
        "GET", "/api/v1/applications/app_nope/model", None, 404, "not_found", None,
    ),
    "application without name": ("POST", "/api/v1/applications", {}, 400, "validation_failed", "name"),
    "application with empty name": (
        "POST", "/api/v1/applications", {"name": ""}, 400, "malformed", "name",
    ),
    "unknown tenancy": (
        "POST", "/api/v1/applications", {"name": "n", "tenancyType": "x"}, 400, "invalid_input",
        "tenancyType",
    ),
    "unknown management permission": (
        "POST", "/api/v1/api-keys", {"name": "k", "permissions": ["check:create"]}, 400,
        "unknown_name", "permissions[0]",
    ),
    "key for every tenant": (
        "POST", "/api/v1/api-keys", {"name": "k", "tenantId": "*"}, 400, "malformed", "tenantId",
    ),
    "absent key": ("DELETE", "/api/v1/api-keys/key_nope", None, 404, "not_found", None),
    "absent key to rotate": ("POST", "/api/v1/api-keys/key_nope/rotate", {}, 404, "not_found", None),
}  # fmt: skip


def state(api):
    return api.everything(), api.get("/api/v1/api-keys").json["data"]


def assert_problem(answer, status, code):
    assert answer.status == status, answer.body
    assert answer.headers["Content-Type"] == PROBLEM
    problem = answer.json
    assert problem["code"] == code, problem
    assert problem["status"] == status
    assert problem["type"].endswith(code)
    assert problem["title"]
    assert problem["detail"]
    assert problem["requestId"] == answer.headers["X-Request-Id"]
    return problem


@pytest.mark.parametrize("what", WRONG)
def test_is_refused_with_a_problem_and_changes_nothing(api, what):
    method, path, body, status, code, field = WRONG[what]
    api.post(FACTS, fact("document:kept#viewer@user:u"))
    before = state(api)
    answer = api.call(method, path, body)
    problem = assert_problem(answer, status, code)
    assert problem["instance"] == path.partition("?")[0]
    if field is not None:
        assert field in problem["errors"], problem
    assert state(api) == before


def test_the_nearest_name_is_suggested(api):
    assert api.post(FACTS, GOOD | {"relation": "vewer"}).json["suggestion"] == "viewer"
    typo = api.post(f"{A}/check", without(CHECK, "resourceId") | {"resource_id": "x"})
    assert typo.json["suggestion"] == "resourceId"
    assert api.get(FACTS, resource="document", resourceid="x").json["suggestion"] == "resourceId"


def test_every_wrong_item_of_a_bulk_call_is_named(api):
    writes = [
        GOOD,
        GOOD | {"relation": "x"},
        {"nonsense": 1},
        GOOD | {"resourceId": "", "subject": "group:g"},
    ]
    problem = assert_problem(
        api.post(f"{FACTS}/bulk", {"writes": writes, "deletes": [GOOD | {"resource": "x"}]}),
        400, "validation_failed",
    )  # fmt: skip
    assert {name.partition(".")[0] for name in problem["errors"]} == {
        "writes[1]", "writes[2]", "writes[3]", "deletes[0]",
    }  # fmt: skip
    assert len([name for name in problem["errors"] if name.startswith("writes[3]")]) == 2


@pytest.mark.parametrize("others", [[], [5], [{"nonsense": 1}]], ids=str)
def test_items_of_a_bulk_check_name_the_field_that_was_sent(api, others):
    """However the call was decoded: in one go, or one by one as another item does not."""
    asked = [
        {"userId": "u", "permission": "document:reed", "resourceId": "d1"},
        {"userId": "u", "resource": "document", "action": "reed", "resourceId": "d1"},
        {"userId": "a#b", "resource": "document", "action": "read", "resourceId": "d1"},
    ]
    results = api.post(f"{A}/check/bulk", {"checks": asked + others}).json["results"]
    assert [["action"], ["action"], ["userId"]] == [
        list(result["error"]["errors"]) for result in results[:3]
    ]
    for result in results[3:]:
        assert "nonsense" in str(result) or "the item: expected an object" in str(result)


def test_a_stream_of_a_list_names_the_field_that_was_sent(api):
    for query, field in (
        ("resource=document&action=reed", "action"),
        ("permission=document:reed", "action"),
    ):
        answer = api.call("GET", f"{A}/what-can?userId=u&{query}", headers={"Accept": NDJSON})
        assert list(assert_problem(answer, 400, "unknown_name")["errors"]) == [field]


def test_what_has_no_colon_is_repeated(api):
    detail = api.post(FACTS, GOOD | {"subject": "u1" * 100}).json["detail"]
    assert detail == f"expected `type:id`, not `{'u1' * 32}…`"


def test_the_cap_names_limit_and_count(api):
    problem = api.post(f"{FACTS}/bulk", {"writes": [*MANY, GOOD]}).json
    assert (problem["limit"], problem["value"]) == ("bulk_writes_max", 5_000)
    assert "5,001" in problem["detail"]


TEXTS = {
    "not JSON": b"{",
    "empty": b"",
    "two documents": b"{} {}",
    "invalid UTF-8": b'{"userId":"\xff"}',
    "lone surrogate": b'{"userId":"\\ud800","resource":"document","action":"read"}',
    "nested lists": b"[" * 100_000,
    "nested objects": b'{"context":' * 20_000,
    "nested context": b'{"userId":"u","context":{"a":' + b"[" * 100_000 + b"]" * 100_000 + b"}}",
    "number of a thousand digits": b'{"userId":' + b"1" * 1_000 + b"}",
}


@pytest.mark.parametrize("what", TEXTS)
@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("POST", f"{A}/check"),
        ("POST", f"{A}/check/bulk"),
        ("POST", f"{A}/explain"),
        ("POST", FACTS),
        ("DELETE", FACTS),
        ("POST", f"{FACTS}/bulk"),
        ("POST", "/api/v1/applications"),
        ("POST", "/api/v1/api-keys"),
        ("PUT", "/api/v1/applications/default/model"),
    ],
)
def test_a_body_that_is_no_such_json_is_a_400(root, method, path, what):
    answer = root.call(method, path, raw=TEXTS[what], headers={"Content-Type": "application/json"})
    assert answer.status == 400, answer.body
    assert answer.headers["Content-Type"] == PROBLEM


@pytest.mark.parametrize(
    "headers",
    [
        {"Content-Type": "text/plain"},
        {"Content-Type": "application/x-www-form-urlencoded"},
        {"Content-Type": "application/json; charset=latin-1"},
        {"Content-Type": "application/json", "Content-Encoding": "gzip"},
    ],
    ids=str,
)
@pytest.mark.parametrize("path", [f"{A}/check", FACTS, f"{FACTS}/bulk", f"{FACTS}/import"])
def test_another_content_type_is_a_415(api, path, headers):
    assert_problem(
        api.call("POST", path, raw=b"{}", headers=headers), 415, "unsupported_media_type"
    )


def test_json_with_its_charset_is_taken(api):
    for kind in (
        "application/json; charset=utf-8",
        "Application/JSON",
        'application/json;charset="UTF-8"',
    ):
        assert api.post(f"{A}/check", CHECK, headers={"Content-Type": kind}).status == 200


@pytest.mark.parametrize(
    ("path", "limit"),
    [
        (f"{A}/check", "small_body_bytes_max"),
        (f"{A}/check/bulk", "body_bytes_max"),
        (f"{FACTS}/bulk", "body_bytes_max"),
        ("/api/v1/api-keys", "small_body_bytes_max"),
    ],
)
def test_a_body_of_100_mb_is_refused_by_its_length_alone(root, path, limit):
    """Not one byte of it is sent: the answer comes all the same."""
    connection = http.client.HTTPConnection("127.0.0.1", root.port, timeout=30)
    connection.putrequest("POST", path)
    connection.putheader("X-API-Key", root.key)
    connection.putheader("Content-Type", "application/json")
    connection.putheader("Content-Length", str(100_000_000))
    connection.endheaders()
    answer = connection.getresponse()
    assert answer.status == 413
    assert limit.encode() in answer.read()
    connection.close()


@pytest.mark.parametrize(
    ("method", "path", "size"),
    [("POST", f"{A}/check", 300_000), ("PUT", "/api/v1/applications/default/model", 2_000_000)],
)
def test_a_chunked_body_is_counted(root, method, path, size):
    pieces = (b" " * 10_000 for _ in range(size // 10_000))
    answer = root.call(method, path, raw=pieces, headers={"Content-Type": "application/json"})
    assert_problem(answer, 413, "limit_exceeded")


def model_with(relations):
    model = copy.deepcopy(MODEL)
    model["type_definitions"][3]["relations"] |= relations
    return model


MODELS = {
    "not an object": [],
    "no types": {},
    "cycle through an exclusion": model_with(
        {"read": {"difference": {"base": {"computedUserset": {"relation": "viewer"}},
                                 "subtract": {"computedUserset": {"relation": "read"}}}}}
    ),
    "undefined relation": model_with({"read": {"computedUserset": {"relation": "nothing"}}}),
    "arrow through a computed relation": model_with(
        {"read": {"tupleToUserset": {"tupleset": {"relation": "viewer"},
                                     "computedUserset": {"relation": "viewer"}}}}
    ),
    "reserved type": {"schema_version": "1.1", "type_definitions": [{"type": "⟨record⟩"}]},
}  # fmt: skip


@pytest.mark.parametrize("what", MODELS)
def test_a_wrong_model_is_refused_with_its_findings(api, what):
    app = api.headers["X-Zeratul-Application"]
    path = f"/api/v1/applications/{app}/model"
    before = api.get(path).body
    problem = assert_problem(api.call("PUT", path, MODELS[what]), 400, "invalid_model")
    assert problem["errors"]
    assert api.get(path).body == before


def test_a_model_of_2_mb_is_too_large(api):
    path = f"/api/v1/applications/{api.headers['X-Zeratul-Application']}/model"
    answer = api.call("PUT", path, MODEL | {"padding": "x" * 2_000_000})
    assert assert_problem(answer, 413, "limit_exceeded")["limit"] == "model_bytes_max"


def test_a_zookie_from_the_future_or_of_another_application_is_refused(api, root):
    from zeratul.domain.zookie import Zookie

    own = Zookie.decode(api.post(f"{A}/check", CHECK).json["zookie"])
    future = own._replace(revision=own.revision + 1_000).encode()
    foreign = own._replace(application=own.application + 1_000).encode()
    for zookie, reason in ((future, "future"), (foreign, "foreign")):
        for answer in (
            api.post(f"{A}/check", CHECK, headers={"X-Zeratul-Zookie": zookie}),
            api.post(f"{A}/check", CHECK | {"consistency": {"atLeast": zookie}}),
            api.post(f"{A}/check/bulk", {"checks": [CHECK]}, headers={"X-Zeratul-Zookie": zookie}),
            api.post(f"{A}/explain", CHECK, headers={"X-Zeratul-Zookie": zookie}),
            api.get(
                f"{A}/who-can", resource="document", resourceId="d", action="read", zookie=zookie
            ),
            api.get(FACTS, userId="u", zookie=zookie),
        ):
            assert assert_problem(answer, 400, "revision_unavailable")["reason"] == reason


def test_a_cursor_of_another_query_is_refused(api):
    api.post(f"{FACTS}/bulk", {"writes": MANY[:3]})
    lists = {
        FACTS: ({"userId": "u1"}, {"userId": "u2"}),
        f"{A}/what-can": (
            {"userId": "u1", "permission": "document:read"},
            {"userId": "u1", "permission": "document:viewer"},
        ),
    }
    for path, (first, other) in lists.items():
        cursor = api.get(path, pageSize=1, **first).json["nextCursor"]
        assert cursor
        answer = api.get(path, pageSize=1, cursor=cursor, **other)
        assert "cursor" in assert_problem(answer, 400, "malformed")["errors"]


@pytest.mark.parametrize(
    "sent",
    [
        b"nonsense\r\n\r\n",
        b"GET / HTTP/9.9\r\n\r\n",
        b"GET /healthz HTTP/1.1\r\nHost: x\r\nX-Long: " + b"x" * 20_000 + b"\r\n\r\n",
        b"POST /api/v1/authorization/check HTTP/1.1\r\nHost: x\r\nContent-Length: x\r\n\r\n",
        b"GET /healthz HTTP/1.1\r\nHost: x\r\n" + b"X-A: b\r\n" * 200 + b"\r\n",
    ],
    ids=["nonsense", "version", "long header", "length", "many headers"],
)
def test_what_is_not_http_is_answered_with_a_problem(root, sent):
    with socket.create_connection(("127.0.0.1", root.port), timeout=30) as connection:
        connection.sendall(sent)
        answer = b""
        while part := connection.recv(65_536):
            answer += part
    assert b" 400 " in answer.partition(b"\r\n")[0]
    assert PROBLEM.encode() in answer


def test_a_client_that_asks_to_continue_is_told_after_its_key_and_length_were_seen(root):
    head = (
        f"POST {A}/check HTTP/1.1\r\nHost: x\r\nX-API-Key: %s\r\nContent-Type: application/json\r\n"
        "Content-Length: %d\r\nExpect: 100-continue\r\nConnection: close\r\n\r\n"
    )
    for key, length, first in (
        ("wrong", 2, b"HTTP/1.1 401"),
        (root.key, 100_000_000, b"HTTP/1.1 413"),
        (root.key, 2, b"HTTP/1.1 100"),
    ):
        with socket.create_connection(("127.0.0.1", root.port), timeout=30) as connection:
            connection.sendall((head % (key, length)).encode())
            answer = connection.recv(4_096)
            assert answer.startswith(first)
            if first.endswith(b"100"):
                connection.sendall(b"{}")
                assert connection.recv(4_096).startswith(b"HTTP/1.1 400")


def test_a_request_id_of_ones_own_comes_back_unless_it_is_unfit(root):
    answer = root.call("GET", "/healthz", headers={"X-Request-Id": "my-id.1"})
    assert answer.headers["X-Request-Id"] == "my-id.1"
    for unfit in ("a b", "x" * 65, "é"):
        answer = root.call("GET", "/healthz", headers={"X-Request-Id": unfit})
        assert answer.headers["X-Request-Id"] not in ("", unfit)


def test_no_secret_is_repeated(root):
    stranger = Client(root.port, "zrt_secret_of_somebody")
    answer = stranger.post(f"{A}/check", CHECK)
    assert answer.status == 401
    assert b"zrt_secret" not in answer.body


def test_an_import_with_a_bad_line_in_the_middle_takes_the_others(api):
    lines = [b'{"relationship":"document:a#viewer@user:u"}', b'{"relationship":"document:a#x@user:u"}',
             b"nonsense", b"\xff", b'{"resource":"document:b","relation":"viewer","subject":"user:u","x":1}',
             b'{"userId":"u","resource":"document","resourceId":"c","relation":"viewer"}']  # fmt: skip
    answer = api.call(
        "POST", f"{FACTS}/import", raw=b"\n".join(lines), headers={"Content-Type": NDJSON}
    )
    assert answer.status == 200
    assert (answer.json["created"], answer.json["rejected"]) == (2, 4)
    assert [reject["line"] for reject in answer.json["rejects"]] == [2, 3, 4, 5]
    assert all(reject["error"]["code"] for reject in answer.json["rejects"])

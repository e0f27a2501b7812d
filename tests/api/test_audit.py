"""The audit log over HTTP: who did what from where, in pages, as NDJSON and as CSV."""

from __future__ import annotations

import csv
import io
from datetime import UTC, datetime, timedelta

import pytest

from tests.api.client import FACTS, A, fact
from tests.api.test_keys import CHECK, key_with
from zeratul.api.authaz.audit import COLUMNS

AUDIT = "/api/v1/audit"
GOOD = fact("document:d1#viewer@user:u1")


def events(api, **query):
    answer = api.get(AUDIT, **query)
    assert answer.status == 200, answer.body
    return answer.json["data"]


def test_a_change_is_told_with_key_request_and_address(api):
    key, made = key_with(api, "*")
    answer = key.post(FACTS, GOOD, headers={"X-Request-Id": "my-request"})
    assert answer.status == 201
    event = events(api, userId="u1")[0]
    assert event["action"] == "relationship.created"
    assert event["actor"] == {"type": "api_key", "id": made["id"], "name": "test"}
    assert event["target"] == {"type": "document", "id": "d1"}
    assert event["requestId"] == "my-request"
    assert event["ip"] == "127.0.0.1"
    assert event["after"]["relation"] == "viewer"


@pytest.mark.parametrize("header", ["X-Forwarded-For", "X-Zeratul-Origin", "Forwarded"])
def test_what_a_stranger_says_of_the_address_is_not_believed(api, header):
    api.post(FACTS, GOOD, headers={header: "203.0.113.9"})
    assert events(api)[0]["ip"] == "127.0.0.1"


def test_filters_combine_and_are_exact(api):
    _, made = key_with(api, "*")
    for user in ("u1", "u2"):
        api.post(FACTS, fact(f"document:d1#viewer@user:{user}"))
    api.call("DELETE", FACTS, GOOD)
    assert [each["action"] for each in events(api, userId="u1")] == [
        "relationship.deleted",
        "relationship.created",
    ]
    one = {"userId": "u1", "action": "relationship.created", "actorId": "root"}
    assert len(events(api, **one, targetType="document", targetId="d1")) == 1
    assert events(api, **one, targetId="d2") == []
    assert [each["target"]["id"] for each in events(api, targetType="api_key")] == [made["id"]]


def test_times_bound_the_answer(api):
    before = datetime.now(UTC) - timedelta(seconds=1)
    api.post(FACTS, GOOD)
    after = datetime.now(UTC) + timedelta(seconds=1)
    both = {"from": before.isoformat(), "to": after.isoformat(), "userId": "u1"}
    assert len(events(api, **both)) == 1
    assert events(api, userId="u1", to=before.isoformat()) == []
    assert events(api, userId="u1", **{"from": after.isoformat()}) == []


def test_pages_are_walked_to_the_end(api):
    for number in range(5):
        api.post(FACTS, fact(f"document:d{number}#viewer@user:u1"))
    seen, cursor = [], {}
    while True:
        page = api.get(AUDIT, userId="u1", pageSize=2, **cursor).json
        seen += [each["target"]["id"] for each in page["data"]]
        if page["next"] is None:
            break
        cursor = {"cursor": page["next"]}
    assert seen == ["d4", "d3", "d2", "d1", "d0"]
    other = api.get(AUDIT, userId="u2", **cursor)
    assert (other.status, list(other.json["errors"])) == (400, ["cursor"])


def test_an_export_has_every_event_once(api):
    for number in range(3):
        api.post(FACTS, fact(f"document:d{number}#viewer@user:u1"))
    answer = api.get(f"{AUDIT}/export", userId="u1")
    assert answer.status == 200
    assert answer.headers["Content-Type"] == "application/x-ndjson"
    assert answer.lines == events(api, userId="u1")


def test_a_table_runs_no_formula(api):
    for user in ("=1+1", "+1", "-1", "@x", "u1", "a,b", 'say "hi"', "\uff1d1", "\uff0b1"):
        api.post(FACTS, fact(f"document:=cmd()#viewer@user:{user}"))
    answer = api.get(f"{AUDIT}/export", format="csv", targetType="document")
    assert answer.status == 200
    assert answer.headers["Content-Type"].startswith("text/csv")
    assert "audit.csv" in answer.headers["Content-Disposition"]
    head, *rows = csv.reader(io.StringIO(answer.body.decode(), newline=""))
    assert tuple(head) == COLUMNS
    assert len(rows) == 9
    table = [dict(zip(head, row, strict=True)) for row in rows]
    assert [row["userId"] for row in table] == [
        "'\uff0b1", "'\uff1d1", 'say "hi"', "a,b", "u1", "'@x", "'-1", "'+1", "'=1+1",
    ]  # fmt: skip
    assert {row["targetId"] for row in table} == {"'=cmd()"}
    assert not [cell for row in rows for cell in row if cell[:1] in ("=", "+", "-", "@", "\t")]


def test_an_empty_table_has_its_head(api):
    answer = api.get(f"{AUDIT}/export", format="csv", action="nothing")
    assert answer.body.decode().strip() == ",".join(COLUMNS)
    assert api.get(f"{AUDIT}/export", action="nothing").body == b""


@pytest.mark.parametrize(
    ("query", "field"),
    [
        ({"from": "yesterday"}, "from"),
        ({"to": "2026-01-01"}, "to"),
        ({"from": "2026-02-01T00:00:00Z", "to": "2026-01-01T00:00:00Z"}, "from"),
        ({"actor": "x"}, "actor"),
        ({"action": ""}, "action"),
        ({"server": "yes"}, "server"),
    ],
)
def test_a_bad_filter_is_refused_by_its_field(api, query, field):
    for path in (AUDIT, f"{AUDIT}/export"):
        answer = api.get(path, **query)
        assert answer.status == 400, answer.body
        assert list(answer.json["errors"]) == [field]


def test_bad_pages_and_forms_are_refused(api):
    for path, query, field in (
        (AUDIT, {"pageSize": 0}, "pageSize"),
        (AUDIT, {"pageSize": 1_001}, "pageSize"),
        (AUDIT, {"cursor": "x"}, "cursor"),
        (f"{AUDIT}/export", {"format": "xml"}, "format"),
        (f"{AUDIT}/export", {"pageSize": 1}, "pageSize"),
    ):
        answer = api.get(path, **query)
        assert (answer.status, list(answer.json["errors"])) == (400, [field])


def test_reading_needs_its_permission(api, root):
    weak, _ = key_with(api, "keys:read")
    auditor, _ = key_with(api, "audit:read")
    for path in (AUDIT, f"{AUDIT}/export"):
        answer = weak.get(path)
        assert (answer.status, answer.json["permission"]) == (403, "audit:read")
        assert auditor.get(path).status == 200
        answer = auditor.get(path, server="true")
        assert (answer.status, answer.json["permission"]) == (403, "applications:read")
    assert "application.created" in {each["action"] for each in events(root, server="true")}


def test_no_secret_is_in_the_log(api):
    key, made = key_with(api, "*")
    rotated = api.post(f"/api/v1/api-keys/{made['id']}/rotate", {"graceSeconds": 60}).json
    key.post(FACTS, GOOD)
    text = api.get(f"{AUDIT}/export").body.decode()
    for secret in (made["secret"], rotated["secret"], api.key):
        assert secret not in text
        assert secret.split("_", 2)[-1] not in text


def test_decisions_are_recorded_on_request(api, root):
    """Behind the requests, so they are waited for."""
    app = api.headers["X-Zeratul-Application"]
    path = f"/api/v1/applications/{app}/settings"
    assert root.call("PUT", path, {"decisionLog": {"mode": "denials"}}).status == 200
    assert root.get(path).json["decisionLog"]["mode"] == "denials"  # The process knows by now.
    assert api.post(f"{A}/check", CHECK, headers={"X-Request-Id": "asked"}).status == 200
    api.post(f"{A}/check/bulk", {"checks": [CHECK, CHECK]})
    wanted = {"action": "decision.denied", "permission": "document:read", "userId": "u1"}
    while len(found := events(api, **wanted)) < 3:
        pass
    assert len(found) == 3
    assert "asked" in {each["requestId"] for each in found}
    assert {each["ip"] for each in found} == {"127.0.0.1"}
    text = root.get("/metrics").body.decode()
    assert "zeratul_decisions_recorded_total" in text

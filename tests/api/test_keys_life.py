"""Keys over HTTP: limited, of one tenant, rotated, expired, deleted, and never a stronger one."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from tests.api.client import FACTS, A, Client, fact
from tests.api.servers import new_application, serving
from tests.api.test_keys import CHECK, key_with
from zeratul.domain.limits import Limits
from zeratul.service.ground.times import format_time

KEYS = "/api/v1/api-keys"


def made(api, name="n", **body):
    answer = api.post(KEYS, {"name": name, **body})
    assert answer.status == 201, answer.body
    return Client(api.port, answer.json["secret"]), answer.json


def later(**more):
    return (datetime.now(UTC) + timedelta(**more)).isoformat()


def works(client):
    return client.post(f"{A}/check", CHECK).status == 200


def refused(answer, field):
    assert answer.status == 400, answer.body
    assert list(answer.json["errors"]) == [field]


# --- Made and shown.


def test_a_key_is_shown_as_it_was_made(api):
    _, key = made(api, "Backend", permissions=["checks:create"], tenantId="acme")
    shown = api.get(f"{KEYS}/{key['id']}").json
    assert shown == {
        name: value for name, value in key.items() if name not in ("secret", "zookie")
    }
    assert (shown["tenantId"], shown["permissions"]) == ("acme", ["checks:create"])
    assert key["secret"].startswith(shown["prefix"])
    assert key["secret"].endswith(shown["last4"])
    assert shown["lastUsedAt"] is None


def test_a_key_says_when_it_was_last_used(api):
    client, key = made(api)
    assert works(client)
    assert api.get(f"{KEYS}/{key['id']}").json["lastUsedAt"] is not None
    assert api.get(KEYS).json["data"][0]["lastUsedAt"] is not None


def test_keys_are_listed_in_pages(api):
    ids = sorted(made(api)[1]["id"] for _ in range(5))
    seen, cursor = [], {}
    while True:
        page = api.get(KEYS, pageSize=2, **cursor).json
        assert page["next"] == page["nextCursor"]
        assert page["pageSize"] == 2
        seen += [row["id"] for row in page["data"]]
        if page["next"] is None:
            break
        cursor = {"cursor": page["next"]}
    assert seen == ids
    refused(api.get(KEYS, pageSize=0), "pageSize")
    refused(api.get(KEYS, pageSize=1_001), "pageSize")
    refused(api.get(KEYS, cursor="x"), "cursor")


def test_keys_of_one_application_are_not_seen_in_another(api, root):
    _, key = made(api)
    other = new_application(root)
    assert other.get(KEYS).json["data"] == []
    for answer in (
        other.get(f"{KEYS}/{key['id']}"),
        other.call("DELETE", f"{KEYS}/{key['id']}"),
        other.post(f"{KEYS}/{key['id']}/rotate"),
        api.get(f"{KEYS}/key_nope"),
        api.get(f"{KEYS}/root"),
        api.get(f"{KEYS}/%F0%9F%92%A5"),
    ):
        assert (answer.status, answer.json["code"]) == (404, "not_found")
    assert api.get(f"{KEYS}/%FF").status == 400


# --- Bad input.


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({"name": ""}, "name"),
        ({"name": "x" * 201}, "name"),
        ({"name": "a\x00b"}, "name"),
        ({}, "name"),
        ({"name": "n", "expiresAt": "tomorrow"}, "expiresAt"),
        ({"name": "n", "expiresAt": "2020-01-01T00:00:00Z"}, "expiresAt"),
        ({"name": "n", "tenantId": ""}, "tenantId"),
        ({"name": "n", "tenantId": "*"}, "tenantId"),
        ({"name": "n", "permissions": ["checks:create", "check:create"]}, "permissions[1]"),
        ({"name": "n", "permissions": ["applications:write"]}, "permissions[0]"),
        ({"name": "n", "permissions": "*"}, "permissions"),
        ({"name": "n", "tenant_id": "acme"}, "tenant_id"),
    ],
)
def test_a_bad_key_is_refused_by_its_field(api, body, field):
    refused(api.post(KEYS, body), field)
    assert api.get(KEYS).json["data"] == []


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({"graceSeconds": -1}, "graceSeconds"),
        ({"graceSeconds": 30 * 24 * 3600 + 1}, "graceSeconds"),
        ({"graceSeconds": "1h"}, "graceSeconds"),
        ({"graceSeconds": 1.5}, "graceSeconds"),
        ({"grace": 1}, "grace"),
    ],
)
def test_a_bad_rotation_is_refused_by_its_field(api, body, field):
    client, key = made(api)
    refused(api.post(f"{KEYS}/{key['id']}/rotate", body), field)
    assert works(client)


# --- Rotated, expired, deleted.


def test_a_rotated_key_has_a_new_secret_at_once(api):
    client, key = made(api, permissions=["checks:create"])
    answer = api.post(f"{KEYS}/{key['id']}/rotate")  # No body is no grace.
    assert answer.status == 200, answer.body
    assert (answer.json["id"], answer.json["permissions"]) == (key["id"], ["checks:create"])
    assert answer.json["secret"] != key["secret"]
    assert answer.json["zookie"]
    assert answer.json["oldSecretUntil"] is None
    assert client.post(f"{A}/check", CHECK).status == 401
    assert works(Client(api.port, answer.json["secret"]))
    assert "secret" not in api.get(f"{KEYS}/{key['id']}").json


def test_both_secrets_hold_while_the_grace_lasts(api):
    client, key = made(api)
    answer = api.post(f"{KEYS}/{key['id']}/rotate", {"graceSeconds": 3_600})
    assert answer.json["oldSecretUntil"] is not None
    assert works(client)
    assert works(Client(api.port, answer.json["secret"]))
    api.call("DELETE", f"{KEYS}/{key['id']}")
    assert client.post(f"{A}/check", CHECK).status == 401


def test_a_repeated_rotation_is_answered_like_the_first_time(api):
    _, key = made(api)
    path, headers = f"{KEYS}/{key['id']}/rotate", {"Idempotency-Key": "once"}
    first = api.post(path, {"graceSeconds": 5}, headers=headers)
    assert api.post(path, {"graceSeconds": 5}, headers=headers).body == first.body
    again = api.post(path, {"graceSeconds": 6}, headers=headers)
    assert (again.status, again.json["code"]) == (409, "idempotency_key_reused")
    assert works(Client(api.port, first.json["secret"]))


def test_a_repeated_creation_is_answered_like_the_first_time(api):
    headers = {"Idempotency-Key": "once"}
    first = api.post(KEYS, {"name": "n"}, headers=headers)
    assert api.post(KEYS, {"name": "n"}, headers=headers).body == first.body
    again = api.post(KEYS, {"name": "other"}, headers=headers)
    assert (again.status, again.json["code"]) == (409, "idempotency_key_reused")
    assert len(api.get(KEYS).json["data"]) == 1


def test_a_key_and_a_grace_end_by_themselves(tmp_path):
    now_ms = [1_900_000_000_000]
    with serving(tmp_path / "data", limits=Limits(), clock_ms=lambda: now_ms[0]) as root:
        api = new_application(root)
        brief, _ = made(api, expiresAt=format_time(now_ms[0] + 60_000))
        old, key = made(api)
        rotated = api.post(f"{KEYS}/{key['id']}/rotate", {"graceSeconds": 60}).json
        assert works(brief)
        assert works(old)
        now_ms[0] += 60_000
        for client in (brief, old):
            answer = client.post(f"{A}/check", CHECK)
            assert (answer.status, answer.json["code"]) == (401, "unauthenticated")
        assert works(Client(root.port, rotated["secret"]))
        assert api.get(f"{KEYS}/{key['id']}").json["oldSecretUntil"] is None


# --- Never a stronger one.


def test_a_limited_key_hands_out_no_more_than_it_has(api):
    client, _ = key_with(api, "keys:write", "checks:create")
    assert made(client)[1]["permissions"] == ["checks:create", "keys:write"]
    for permission in ("*", "checks:*", "model:write"):
        answer = client.post(KEYS, {"name": "n", "permissions": [permission]})
        assert (answer.status, answer.json["permission"]) == (403, permission)
    _, strong = made(api)
    answer = client.post(f"{KEYS}/{strong['id']}/rotate")
    assert (answer.status, answer.json["code"]) == (403, "forbidden")


def test_a_key_that_ends_hands_out_none_that_outlives_it(api):
    client, brief = made(api, expiresAt=later(hours=1))
    _, lasting = made(api)
    assert made(client)[1]["expiresAt"] == brief["expiresAt"]
    for answer in (
        client.post(KEYS, {"name": "n", "expiresAt": later(hours=2)}),
        client.post(f"{KEYS}/{lasting['id']}/rotate"),
    ):
        assert (answer.status, answer.json["code"]) == (403, "stronger_key")
        assert brief["expiresAt"] in answer.json["detail"]


# --- Of one tenant.


def test_a_tenants_key_keeps_to_its_tenant(api):
    client, key = made(api, tenantId="acme")
    _, whole = made(api)
    assert [row["id"] for row in client.get(KEYS).json["data"]] == [key["id"]]
    assert made(client)[1]["tenantId"] == "acme"
    for answer in (
        client.post(KEYS, {"name": "n", "tenantId": "globex"}),
        client.get(f"{KEYS}/{whole['id']}"),
        client.call("DELETE", f"{KEYS}/{whole['id']}"),
        client.post(f"{KEYS}/{whole['id']}/rotate"),
        client.get("/api/v1/audit", tenantId="globex"),
    ):
        assert (answer.status, answer.json["code"]) == (404, "not_found")


def test_a_tenants_key_does_nothing_for_the_whole_application(api):
    client, _ = made(api, tenantId="acme")
    good = fact("document:d1#viewer@user:u1")
    for answer in (
        client.post(FACTS, good),
        client.call("DELETE", FACTS, good),
        client.call("DELETE", FACTS, {"userId": "u1"}),
        client.post(f"{FACTS}/bulk", {"writes": [good]}),
        client.get(FACTS, userId="u1"),
        client.get(f"{FACTS}/export"),
    ):
        assert (answer.status, answer.json["code"]) == (403, "tenant_scope")
    assert api.everything() == []
    assert works(client)

"""Who may ask: nothing answers without a key, and a key sees its own application only."""

import pytest

from tests.api.client import FACTS, NDJSON, A, Client, fact
from tests.api.servers import new_application

GOOD = fact("document:d1#viewer@user:u1")
CHECK = {"userId": "u1", "resource": "document", "resourceId": "d1", "action": "read"}
QUESTION = {"permission": "document:read"}

# method, path, body or query | permission it needs
GUARDED = [
    ("POST", f"{A}/check", CHECK, "checks:create"),
    ("POST", f"{A}/check/bulk", {"checks": [CHECK]}, "checks:create"),
    ("POST", f"{A}/explain", CHECK, "checks:explain"),
    ("GET", f"{A}/expand?permission=document:read&resourceId=d", None, "checks:explain"),
    ("GET", f"{A}/who-can?permission=document:read&resourceId=d", None, "checks:explain"),
    ("GET", f"{A}/what-can?permission=document:read&userId=u", None, "checks:explain"),
    ("POST", FACTS, GOOD, "relationships:write"),
    ("DELETE", FACTS, GOOD, "relationships:write"),
    ("DELETE", FACTS, {"userId": "u1"}, "relationships:write"),
    ("GET", f"{FACTS}?userId=u1", None, "relationships:read"),
    ("POST", f"{FACTS}/bulk", {"writes": [GOOD]}, "relationships:write"),
    ("GET", f"{FACTS}/export", None, "relationships:export"),
    ("GET", "/api/v1/api-keys", None, "keys:read"),
    ("POST", "/api/v1/api-keys", {"name": "n"}, "keys:write"),
    ("GET", "/api/v1/api-keys/key_x", None, "keys:read"),
    ("DELETE", "/api/v1/api-keys/key_x", None, "keys:write"),
    ("POST", "/api/v1/api-keys/key_x/rotate", {}, "keys:write"),
    ("GET", "/api/v1/audit", None, "audit:read"),
    ("GET", "/api/v1/audit/export", None, "audit:read"),
    ("GET", "/api/v1/applications", None, "applications:read"),
    ("POST", "/api/v1/applications", {"name": "n"}, "applications:write"),
]
CLOSED = [(method, path) for method, path, _, _ in GUARDED] + [
    ("POST", f"{FACTS}/import"),
    ("GET", "/api/v1/applications/default"),
    ("DELETE", "/api/v1/applications/default?confirm=default"),
    ("GET", "/api/v1/applications/default/settings"),
    ("PUT", "/api/v1/applications/default/settings"),
    ("GET", "/api/v1/applications/default/model"),
    ("PUT", "/api/v1/applications/default/model"),
    ("GET", "/metrics"),
    ("GET", "/openapi.json"),
    ("GET", "/docs"),
    ("GET", "/docs/docs.js"),
    ("GET", "/no/such/path"),
    ("PATCH", FACTS),
]


def key_with(api, *permissions):
    made = api.post("/api/v1/api-keys", {"name": "test", "permissions": list(permissions)})
    assert made.status == 201, made.body
    return Client(api.port, made.json["secret"]), made.json


@pytest.mark.parametrize(("method", "path"), CLOSED)
def test_nothing_answers_without_a_key_except_health(root, method, path):
    for client in (
        Client(root.port, None),
        Client(root.port, "wrong"),
        Client(root.port, "x" * 5_000),
    ):
        answer = client.call(method, path)
        assert answer.status == 401
        assert answer.json["code"] == "unauthenticated"
        assert answer.headers["WWW-Authenticate"]


@pytest.mark.parametrize("path", ["/healthz", "/readyz"])
def test_health_needs_no_key(root, path):
    assert Client(root.port, None).get(path).status == 200
    head = Client(root.port, None).call("HEAD", path)
    assert (head.status, head.body) == (200, b"")


@pytest.mark.parametrize(("method", "path", "body", "permission"), GUARDED)
def test_a_key_without_the_permission_is_told_which(api, method, path, body, permission):
    others = {"checks:create", "relationships:import", "model:read"} - {permission}
    weak, _ = key_with(api, *others)
    answer = weak.call(method, path, body)
    assert answer.status == 403, answer.body
    assert answer.json["code"] == "forbidden"
    assert answer.json["permission"] == permission


def test_an_import_needs_its_own_permission(api):
    weak, _ = key_with(api, "relationships:write")
    answer = weak.call("POST", f"{FACTS}/import", raw=b"", headers={"Content-Type": NDJSON})
    assert (answer.status, answer.json["permission"]) == (403, "relationships:import")


def test_a_key_acts_in_its_own_application_only(api, root):
    other = new_application(root)
    key, _ = key_with(api, "*")
    app, elsewhere = (each.headers["X-Zeratul-Application"] for each in (api, other))
    key.post(FACTS, GOOD)
    assert api.check("user:u1", "document:d1", "read")
    assert not other.check("user:u1", "document:d1", "read")
    assert key.get(f"/api/v1/applications/{app}/model").status == 200
    for answer in (
        key.get(f"/api/v1/applications/{elsewhere}/model"),
        key.get("/api/v1/applications/app_nope/model"),
        key.within(elsewhere).post(f"{A}/check", CHECK),
        key.within("app_nope").post(f"{A}/check", CHECK),
        root.within("app_nope").post(f"{A}/check", CHECK),
    ):
        assert (answer.status, answer.json["code"]) == (404, "not_found")


def test_a_key_is_shown_once_and_ends_with_its_deletion(api):
    key, made = key_with(api, "checks:create")
    listed = api.get("/api/v1/api-keys").json["data"]
    row = next(row for row in listed if row["id"] == made["id"])
    assert "secret" not in row
    assert made["secret"].endswith(row["last4"])
    assert key.post(f"{A}/check", CHECK).status == 200
    gone = api.call("DELETE", f"/api/v1/api-keys/{made['id']}")
    assert (gone.status, gone.body) == (204, b"")
    assert gone.headers["X-Zeratul-Zookie"]
    assert key.post(f"{A}/check", CHECK).status == 401
    assert key.get("/metrics").status == 401


def test_a_key_cannot_make_a_stronger_one(api):
    key, _ = key_with(api, "keys:write", "checks:create")
    assert (
        key.post("/api/v1/api-keys", {"name": "n", "permissions": ["checks:create"]}).status == 201
    )
    stronger = key.post("/api/v1/api-keys", {"name": "n", "permissions": ["relationships:write"]})
    assert (stronger.status, stronger.json["permission"]) == (403, "relationships:write")


def test_a_key_ends_by_itself(api):
    made = api.post("/api/v1/api-keys", {"name": "n", "expiresAt": "2090-01-01T00:00:00Z"})
    assert made.json["expiresAt"] == "2090-01-01T00:00:00.000Z"
    past = api.post("/api/v1/api-keys", {"name": "n", "expiresAt": "2020-01-01T00:00:00Z"})
    assert past.status == 400


def test_applications_are_made_listed_and_looked_up(root, api):
    app = api.headers["X-Zeratul-Application"]
    listed = root.get("/api/v1/applications", pageSize=1_000).json["data"]
    assert {"default", app} <= {row["id"] for row in listed}
    one = root.get(f"/api/v1/applications/{app}").json
    assert one["tenancyType"] == "single"
    again = root.post("/api/v1/applications", {"name": one["name"]})
    assert (again.status, again.json["code"]) == (409, "already_exists")


def test_a_model_in_use_is_changed_by_force_only(api):
    path = f"/api/v1/applications/{api.headers['X-Zeratul-Application']}/model"
    api.post(FACTS, fact("folder:f#viewer@user:u1"))
    model = api.get(path).json["model"]
    model["type_definitions"] = [
        each for each in model["type_definitions"] if each["type"] in ("user", "group")
    ]
    refused = api.call("PUT", path, model)
    assert (refused.status, refused.json["code"]) == (409, "model_in_use")
    assert sum(refused.json["orphans"].values()) == 1
    counted = api.call("PUT", f"{path}?dryRun=true", model)
    assert counted.status in (200, 409)
    assert len(api.everything()) == 1
    forced = api.call("PUT", f"{path}?force=true", model)
    assert (forced.status, forced.json["deleted"]) == (200, 1)
    assert api.everything() == []
    assert api.get(path).json["model"] == model


def test_counters_show_what_was_answered(root, api):
    api.post(f"{A}/check", CHECK)
    text = root.get("/metrics").body.decode()
    assert f'route="POST {A}/check",status="200"' in text
    assert "zeratul_request_duration_seconds_bucket" in text
    assert "zeratul_store_" in text

"""Applications over HTTP: listed in pages, set, and deleted with everything in them."""

from __future__ import annotations

import pytest

from tests.api.client import FACTS, MODEL, A, Client, fact
from tests.api.servers import new_application
from tests.api.test_keys import CHECK, key_with

APPS = "/api/v1/applications"
GOOD = fact("document:d1#viewer@user:u1")


def named(api):
    return api.headers["X-Zeratul-Application"]


def delete(client, app, **query):
    return client.call("DELETE", f"{APPS}/{app}", **query)


def test_applications_are_listed_in_pages(root):
    made = {named(new_application(root)) for _ in range(3)}
    seen, cursor = [], {}
    while True:
        page = root.get(APPS, pageSize=2, **cursor).json
        assert len(page["data"]) <= 2
        seen += [row["id"] for row in page["data"]]
        if page["next"] is None:
            break
        cursor = {"cursor": page["next"]}
    assert made | {"default"} <= set(seen)
    assert seen == sorted(set(seen))


def test_the_root_key_is_told_which_application_it_may_mean(root):
    made = root.post("/api/v1/applications", {"name": "Shop of the house"}).json
    for asked, meant in (("defalt", "default"), ("Shop%20of%20the%20house", made["id"])):
        answer = root.get(f"/api/v1/applications/{asked}/model")
        assert answer.status == 404
        assert answer.json["detail"].endswith(f"; did you mean `{meant}`?")
    within = root.within("Shop of the house").get("/api/v1/api-keys")
    assert within.status == 404
    assert f"did you mean `{made['id']}`?" in within.json["detail"]


def test_no_other_key_is_told_of_applications(api, root):
    made = api.post("/api/v1/api-keys", {"name": "k"}).json
    key = Client(root.port, made["secret"])
    for asked in ("default", "defalt"):
        for answer in (
            key.get(f"/api/v1/applications/{asked}/model"),
            key.within(asked).get("/api/v1/api-keys"),
        ):
            assert answer.status == 404
            assert answer.json["detail"] == f"there is no application `{asked}`"


def test_a_deleted_application_is_gone_with_its_keys(api, root):
    app = named(api)
    name = root.get(f"{APPS}/{app}").json["name"]
    other = new_application(root)
    for each in (api, other):
        assert each.post(FACTS, GOOD).status == 201
    key, _ = key_with(api, "*")
    kept, _ = key_with(other, "*")
    assert key.check("user:u1", "document:d1", "read")
    gone = delete(root, app, confirm=name)
    assert (gone.status, gone.body) == (204, b"")
    assert gone.headers["X-Zeratul-Zookie"]
    for answer in (
        key.post(f"{A}/check", CHECK),
        key.post(FACTS, GOOD),
        key.get(f"{FACTS}/export"),
        key.get("/api/v1/api-keys"),
    ):
        assert (answer.status, answer.json["code"]) == (401, "unauthenticated")
    for answer in (
        root.get(f"{APPS}/{app}"),
        root.get(f"{APPS}/{app}/model"),
        delete(root, app, confirm=name),
        api.post(f"{A}/check", CHECK),
        api.post(FACTS, GOOD),
        api.get("/api/v1/audit"),
    ):
        assert (answer.status, answer.json["code"]) == (404, "not_found")
    assert app not in {row["id"] for row in root.get(APPS, pageSize=1000).json["data"]}
    assert kept.check("user:u1", "document:d1", "read")
    # The name is free again, and what takes it begins empty.
    again = root.post(APPS, {"name": name})
    assert again.status == 201
    fresh = root.within(again.json["id"])
    put = root.call("PUT", f"{APPS}/{again.json['id']}/model", MODEL)
    assert put.status == 200
    assert fresh.everything() == []


@pytest.mark.parametrize("confirm", [None, "", "wrong", "default"])
def test_a_deletion_has_to_be_confirmed(api, root, confirm):
    query = {} if confirm is None else {"confirm": confirm}
    answer = delete(root, named(api), **query)
    assert answer.status == 400
    assert list(answer.json["errors"]) == ["confirm"]
    assert root.get(f"{APPS}/{named(api)}").status == 200


def test_only_the_root_key_deletes_and_sets(api, root):
    key, _ = key_with(api, "*")
    app = named(api)
    for answer, permission in (
        (delete(key, app, confirm="x"), "applications:delete"),
        (key.get(f"{APPS}/{app}"), "applications:read"),
        (key.get(f"{APPS}/{app}/settings"), "applications:read"),
        (key.call("PUT", f"{APPS}/{app}/settings", {}), "applications:write"),
    ):
        assert (answer.status, answer.json["permission"]) == (403, permission)
    assert delete(Client(root.port, None), app, confirm="x").status == 401
    assert delete(key, "default", confirm="default").status == 404
    assert delete(root, "app_nope", confirm="x").status == 404
    assert delete(root, "%FF", confirm="x").status in (400, 404)


# --- Settings.


def test_settings_are_put_whole(api, root):
    path = f"{APPS}/{named(api)}/settings"
    built_in = {"decisionLog": {"mode": "off", "sample": 1.0}}
    first = root.get(path)
    assert first.json == built_in | {"etag": first.headers["ETag"]}
    wanted = {"decisionLog": {"mode": "denials", "sample": 0.25}}
    put = root.call("PUT", path, wanted, headers={"If-Match": first.json["etag"]})
    assert put.status == 200
    assert put.json["zookie"]
    assert put.json["etag"] == put.headers["ETag"] != first.json["etag"]
    assert root.get(path).json == wanted | {"etag": put.json["etag"]}
    lost = root.call("PUT", path, {}, headers={"If-Match": first.json["etag"]})
    assert (lost.status, lost.json["code"]) == (412, "precondition_failed")
    assert root.get(path).json == wanted | {"etag": put.json["etag"]}
    assert root.call("PUT", path, {}).status == 200
    assert root.get(path).json == first.json


# --- Models.


def test_a_model_is_put_over_the_one_that_was_seen(api, root):
    path = f"{APPS}/{named(api)}/model"
    first = api.get(path)
    assert first.json["etag"] == first.headers["ETag"]
    wanted = MODEL | {"type_definitions": [*MODEL["type_definitions"], {"type": "extra"}]}
    seen = {"If-Match": first.json["etag"]}
    tried = api.call("PUT", path, wanted, headers=seen, dryRun="true")
    put = api.call("PUT", path, wanted, headers=seen)
    assert put.status == 200, put.body
    assert tried.json["etag"] == put.json["etag"] == put.headers["ETag"] != first.json["etag"]
    assert api.get(path).json["etag"] == put.json["etag"]
    for query in ({}, {"dryRun": "true"}, {"force": "true"}):
        lost = api.call("PUT", path, MODEL, headers=seen, **query)
        assert (lost.status, lost.json["code"]) == (412, "precondition_failed")
    assert api.get(path).json["model"] == wanted
    # The catalog beside it is another thing.
    declared = {"resources": [{"resource": "reports", "actions": ["read"]}]}
    assert api.call("PUT", f"{APPS}/{named(api)}/resources", declared).status == 200
    again = api.call("PUT", path, MODEL, headers={"If-Match": put.json["etag"]})
    assert (again.status, again.json["etag"]) == (200, first.json["etag"])


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({"decisionlog": {"mode": "all"}}, "decisionlog"),
        ({"decisionLog": {"mode": "some"}}, "decisionLog.mode"),
        ({"decisionLog": {"mode": 1}}, "decisionLog.mode"),
        ({"decisionLog": {}}, "decisionLog.mode"),
        ({"decisionLog": {"mode": "all", "sample": 1.5}}, "decisionLog.sample"),
        ({"decisionLog": {"mode": "all", "sample": -1}}, "decisionLog.sample"),
        ({"decisionLog": {"mode": "all", "sample": "half"}}, "decisionLog.sample"),
        ({"decisionLog": {"mode": "all", "samples": 1}}, "decisionLog.samples"),
        ({"decisionLog": []}, "decisionLog"),
        ({"retention": "7d"}, "retention"),
    ],
)
def test_settings_that_are_none_are_refused_by_their_field(api, root, body, field):
    path = f"{APPS}/{named(api)}/settings"
    answer = root.call("PUT", path, body)
    assert answer.status == 400, answer.body
    assert list(answer.json["errors"]) == [field]
    assert root.get(path).json["decisionLog"]["mode"] == "off"

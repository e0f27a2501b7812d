"""Keys, applications and audit with several processes: each knows at once what another did."""

from __future__ import annotations

from tests.api.client import FACTS, MODEL, A, Client, fact
from tests.api.test_keys import CHECK

APPS = "/api/v1/applications"
KEYS = "/api/v1/api-keys"
GOOD = fact("document:d1#viewer@user:u1")
# Each call has a connection of its own, so these meet every worker.
CALLS = 24


def prepared(root):
    app = root.post(APPS, {"name": "Acme"}).json["id"]
    assert root.call("PUT", f"{APPS}/{app}/model", MODEL).status == 200
    return root.within(app), app


def statuses(client):
    return {client.post(f"{A}/check", CHECK).status for _ in range(CALLS)}


def test_every_process_refuses_what_one_took_away(start):
    server = start("--workers", "2", "--retention", "2d")
    root = server.client()
    api, app = prepared(root)
    made = [api.post(KEYS, {"name": "n"}).json for _ in range(3)]
    deleted, rotated, left = (Client(server.port, each["secret"]) for each in made)
    for client in (deleted, rotated, left):
        assert statuses(client) == {200}
    assert api.call("DELETE", f"{KEYS}/{made[0]['id']}").status == 204
    assert statuses(deleted) == {401}
    fresh = api.post(f"{KEYS}/{made[1]['id']}/rotate").json["secret"]
    assert statuses(rotated) == {401}
    assert statuses(Client(server.port, fresh)) == {200}
    assert root.call("DELETE", f"{APPS}/{app}", confirm="Acme").status == 204
    assert statuses(left) == {401}
    assert statuses(api) == {404}
    # After a restart too.
    server.stop()
    again = start("--workers", "2")
    assert statuses(Client(again.port, made[2]["secret"])) == {401}
    assert again.client().get(f"{APPS}/{app}").status == 404


def test_an_address_is_the_clients_whoever_answers(start):
    """Bulk calls and exports are answered by the process for heavy calls."""
    server = start()
    api, _ = prepared(server.client())
    lies = {"X-Zeratul-Origin": "203.0.113.9", "X-Forwarded-For": "203.0.113.9"}
    assert api.post(f"{FACTS}/bulk", {"writes": [GOOD]}, headers=lies).status == 200
    assert api.post(FACTS, fact("document:d2#viewer@user:u1"), headers=lies).status == 201
    found = api.get("/api/v1/audit", pageSize=2).json["data"]
    assert [each["action"] for each in found] == ["relationship.created", "relationships.written"]
    assert [each["ip"] for each in found] == ["127.0.0.1"] * 2
    assert all(each["requestId"] for each in found)


def test_a_use_is_stored_when_the_server_stops(start):
    server = start()
    api, _ = prepared(server.client())
    made = api.post(KEYS, {"name": "n"}).json
    assert Client(server.port, made["secret"]).post(f"{A}/check", CHECK).status == 200
    server.stop()
    again = start()
    shown = again.client().within(api.headers["X-Zeratul-Application"]).get(f"{KEYS}/{made['id']}")
    assert shown.json["lastUsedAt"] is not None


def test_counters_of_background_work_are_shown(start):
    root = start("--heavy", "inline").client()
    text = root.get("/metrics").body.decode()
    for name in ("collected", "swept", "decisions_recorded", "decisions_dropped"):
        assert f'zeratul_{name}_total{{process="web-0"}} 0.0' in text

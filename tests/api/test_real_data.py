"""Real permissions through whole servers, with one worker and with two, one of which is killed.

Expected answers come from elsewhere: those of the organisation were computed by brute force, those
of the sample stores are their authors' assertions, confirmed on another engine.
"""

from __future__ import annotations

import json
import os
import signal
from pathlib import Path

import pytest

from tests.api.client import FACTS, NDJSON, A
from tests.api.test_processes import until, workers

SHARED = Path(__file__).parents[3] / "shared" / "data"
ORGANISATION = SHARED / "github-org"
STORES = SHARED / "openfga-sample-stores" / "compiled.json"

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(not SHARED.exists(), reason="the shared data are not here"),
]
both = pytest.mark.parametrize("count", [1, 2], ids=["one worker", "two workers"])


def parts(text):
    """``type:id`` and what follows a ``#``."""
    resource, _, relation = text.partition("#")
    kind, _, identity = resource.partition(":")
    return kind, identity, relation


def write(client, relationships):
    for start in range(0, len(relationships), 5_000):
        some = relationships[start : start + 5_000]
        answer = client.post(f"{FACTS}/bulk?results=errors", {"writes": some})
        assert answer.status == 200, answer.body
        assert (answer.json["created"], answer.json["failed"]) == (len(some), 0)


def listed(client, path, **query):
    """All rows of a list, streamed."""
    answer = until(
        lambda: client.call("GET", f"{A}/{path}", headers={"Accept": NDJSON}, **query),
        lambda answer: answer.status == 200,
    )
    *rows, end = answer.lines
    assert end["complete"] is True
    assert end["total"] == len(rows)
    return rows


def who_can(client, name, relation, **form):
    kind, identity, _ = parts(name)
    rows = listed(client, "who-can", resource=kind, resourceId=identity, action=relation, **form)
    return {row["subject"] for row in rows}


def what_can(client, who, kind, relation):
    rows = listed(client, "what-can", subject=who, resource=kind, action=relation)
    return {f"{row['resource']}:{row['resourceId']}" for row in rows}


def decisions(client, questions):
    """Answers to (subject, resource, relation), through the bulk endpoint."""
    found = []
    for start in range(0, len(questions), 5_000):
        checks = []
        for who, name, relation in questions[start : start + 5_000]:
            kind, identity, _ = parts(name)
            checks.append(
                {"subject": who, "resource": kind, "resourceId": identity, "action": relation}
            )
        answer = until(
            lambda checks=checks: client.post(f"{A}/check/bulk", {"checks": checks}),
            lambda answer: answer.status == 200,
        )
        found += [result["allowed"] for result in answer.json["results"]]
    return found


@both
def test_the_permissions_of_an_organisation(start, count):
    server = start("--workers", str(count))
    client = server.client()
    model = json.loads((ORGANISATION / "model.json").read_bytes())
    assert client.call("PUT", "/api/v1/applications/default/model", model).status == 200
    lines = (ORGANISATION / "kubernetes.ndjson").read_bytes().splitlines()
    rows = [json.loads(line) for line in lines]
    writes = []
    for row in rows:
        kind, identity, _ = parts(row["resource"])
        writes.append(row | {"resource": kind, "resourceId": identity})
    write(client, writes)
    expected = json.loads((ORGANISATION / "kubernetes.expected.json").read_bytes())
    assert (len(expected["who_can"]), len(expected["what_can"])) == (390, 971)

    everybody = sorted({who for members in expected["who_can"].values() for who in members})
    # Some may do everything: strangers are there so that as many can be denied.
    everybody += [f"user:stranger-{number}" for number in range(len(everybody))]
    questions, right = [], []
    for key, members in expected["who_can"].items():
        name, relation = key.rsplit("#", 1)
        allowed = set(members)
        others = [who for who in everybody if who not in allowed][: len(allowed)]
        assert len(others) == len(allowed)
        questions += [(who, name, relation) for who in (*members, *others)]
        right += [True] * len(members) + [False] * len(others)
    assert right.count(True) == 6_167
    assert decisions(client, questions) == right

    if count > 1:
        os.kill(workers(server)["web-1"], signal.SIGKILL)
    for key, members in expected["who_can"].items():
        assert who_can(client, *key.rsplit("#", 1)) == set(members), key
    for key, resources in expected["what_can"].items():
        who, relation = key.rsplit("#", 1)
        assert what_can(client, who, "repo", relation) == set(resources), key
    for question, allowed in list(zip(questions, right, strict=True))[::50]:
        assert client.check(*question) is allowed, question


def situations():
    """(store, one of its tests) without conditions."""
    stores = json.loads(STORES.read_bytes()) if STORES.exists() else []
    return [
        (store, test) for store in stores if not store["conditions"] for test in store["tests"]
    ]


@both
def test_the_sample_stores(start, count):
    """All 179 assertions of the stores without conditions, each test an application of its own."""
    server = start("--workers", str(count))
    root = server.client()
    asserted = 0
    for number, (store, test) in enumerate(situations()):
        if number == 5 and count > 1:
            os.kill(workers(server)["web-0"], signal.SIGKILL)
        made = until(
            lambda name=f"{store['name']} {number}": root.post(
                "/api/v1/applications", {"name": name}, headers={"Idempotency-Key": name}
            ),
            lambda answer: answer.status == 201,
        )
        client = root.within(made.json["id"])
        path = f"/api/v1/applications/{made.json['id']}/model"
        put = until(
            lambda path=path, store=store: root.call("PUT", path, store["model"]),
            lambda answer: answer.status != 503,
        )
        assert put.status == 200, put.body
        writes = []
        for row in store["tuples"] + test["tuples"]:
            kind, identity, _ = parts(row["object"])
            writes.append(
                {"subject": row["user"], "relation": row["relation"], "resource": kind}
                | {"resourceId": identity}
            )
        write(client, writes)
        checks = test["check"]
        questions = [(each["user"], each["object"], each["relation"]) for each in checks]
        assert decisions(client, questions) == [each["allowed"] for each in checks]
        for each in test["list_objects"]:
            found = what_can(client, each["user"], each["type"], each["relation"])
            assert found == set(each["objects"]), each
        for each in test["list_users"]:
            [form] = each["user_filter"]
            more = {"subjectType": form["type"], "subjectRelation": form.get("relation", "")}
            more = {name: value for name, value in more.items() if value}
            assert who_can(client, each["object"], each["relation"], **more) == set(each["users"])
        asserted += sum(len(test[each]) for each in ("check", "list_objects", "list_users"))
    assert asserted == 179

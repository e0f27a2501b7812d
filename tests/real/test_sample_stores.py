"""The OpenFGA sample stores without conditions over HTTP: all 179 assertions.

Each test of a store gets an application of its own; with two workers it is made and filled through
one and asked through the other.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from tests.api.client import A
from tests.running import ServerProcess

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.running import Client

DATA = Path(__file__).parents[3] / "shared" / "data" / "openfga-sample-stores" / "compiled.json"

STORES = 17
ASSERTIONS = 179

pytestmark = [
    pytest.mark.skipif(not DATA.exists(), reason="the sample stores are not here"),
    pytest.mark.slow,
]


def stores() -> list[dict[str, Any]]:
    """The stores that need no conditions."""
    if not DATA.exists():
        return []
    return [store for store in json.loads(DATA.read_bytes()) if not store["conditions"]]


def asked_of(test: dict[str, Any]) -> int:
    """How many assertions a test makes."""
    return sum(len(test[kind]) for kind in ("check", "list_objects", "list_users"))


@pytest.fixture(scope="module", params=[1, 2])
def server(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[ServerProcess]:
    """One server for all stores."""
    data = tmp_path_factory.mktemp("stores") / "data"
    with ServerProcess(data, "--access-log", workers=request.param) as started:
        yield started


def test_no_assertion_is_left_out() -> None:
    """All of them are asked below."""
    assert len(stores()) == STORES
    assert sum(asked_of(test) for store in stores() for test in store["tests"]) == ASSERTIONS


@pytest.mark.parametrize("store", stores(), ids=lambda store: store["name"])
async def test_every_assertion_holds(server: ServerProcess, store: dict[str, Any]) -> None:
    """What OpenFGA answered, as check, what-can and who-can."""
    last = max(server.pids())
    async with server.client(worker="web-0") as writer, server.client(worker=last) as asker:
        asked = 0
        for test in store["tests"]:
            filled = await writer.create_application(store["model"])
            rows = [relationship(row) for row in store["tuples"] + test["tuples"]]
            answer = await filled.bulk(rows)
            assert answer["created"] + answer["existing"] == len(rows)
            asked += await check(asker.within(filled.application), test)
            asked += await list_objects(asker.within(filled.application), test)
            asked += await list_users(asker.within(filled.application), test)
    assert asked == sum(asked_of(test) for test in store["tests"])
    assert last == "web-0" or writer.seen.isdisjoint(asker.seen)


def relationship(row: dict[str, str]) -> dict[str, str]:
    """A tuple in OpenFGA's words, in ours."""
    return {"subject": row["user"], "relation": row["relation"], **named(row["object"])}


def named(text: str) -> dict[str, str]:
    """Type and id of an object."""
    kind, _, identity = text.partition(":")
    return {"resource": kind, "resourceId": identity}


async def check(client: Client, test: dict[str, Any]) -> int:
    """Each question by itself, then all in one call; how many."""
    questions = [
        {"subject": each["user"], "action": each["relation"], **named(each["object"])}
        for each in test["check"]
    ]
    expected = [each["allowed"] for each in test["check"]]
    for asked, allowed in zip(questions, expected, strict=True):
        answer = await client.ask("POST", f"{A}/check", asked)
        assert answer["allowed"] is allowed, asked
        answer = await client.ask("POST", f"{A}/explain", asked)
        assert answer["allowed"] is allowed, asked
    answer = await client.ask("POST", f"{A}/check/bulk", {"checks": questions})
    assert [each["allowed"] for each in answer["results"]] == expected
    return len(questions)


async def list_objects(client: Client, test: dict[str, Any]) -> int:
    """Each list of objects, exactly; how many."""
    for each in test["list_objects"]:
        asked = {
            "subject": each["user"],
            "resource": each["type"],
            "action": each["relation"],
        }
        rows = await client.stream(f"{A}/what-can", **asked)
        found = sorted(f"{row['resource']}:{row['resourceId']}" for row in rows)
        assert found == sorted(each["objects"]), asked
    return len(test["list_objects"])


async def list_users(client: Client, test: dict[str, Any]) -> int:
    """Each list of users of one form, exactly; how many."""
    for each in test["list_users"]:
        [form] = each["user_filter"]
        asked = {"action": each["relation"], "subjectType": form["type"], **named(each["object"])}
        if "relation" in form:
            asked["subjectRelation"] = form["relation"]
        rows = await client.stream(f"{A}/who-can", **asked)
        assert sorted(row["subject"] for row in rows) == sorted(each["users"]), asked
    return len(test["list_users"])

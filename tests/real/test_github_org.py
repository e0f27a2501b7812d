"""A real organisation over HTTP: uploaded, then every known answer, every member, every denial.

With two workers everything is written through one and asked through the other; then processes are
killed in the middle of the questions, and not one answer may be wrong for it.
"""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from tests.api.client import A
from tests.running import DEFAULT_MODEL, ServerProcess

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.running import Client

DATA = Path(__file__).parents[3] / "shared" / "data" / "github-org"

RELATIONSHIPS = 3_242
MEMBERS = 6_167
BULK_MAX = 5_000
# Questions in flight at a time: what a worker has at hand when it is killed.
ABREAST = 16

pytestmark = [
    pytest.mark.skipif(not DATA.exists(), reason="the organisation's data are not here"),
    pytest.mark.slow,
]

Expected = dict[str, dict[str, list[str]]]


@pytest.fixture(scope="module")
def expected() -> Expected:
    """Both directions of the known answers."""
    answers: Expected = json.loads((DATA / "kubernetes.expected.json").read_bytes())
    assert (len(answers["who_can"]), len(answers["what_can"])) == (390, 971)
    return answers


async def upload(client: Client) -> None:
    """The model and all relationships, as a user of the API would."""
    await client.ask("PUT", DEFAULT_MODEL, json.loads((DATA / "model.json").read_bytes()))
    rows = [json.loads(line) for line in (DATA / "kubernetes.ndjson").read_bytes().splitlines()]
    assert len(rows) == RELATIONSHIPS
    writes = []
    for row in rows:
        kind, _, identity = row["resource"].partition(":")
        writes.append(row | {"resource": kind, "resourceId": identity})
    for start in range(0, len(writes), BULK_MAX):
        part = writes[start : start + BULK_MAX]
        answer = await client.bulk(part)
        assert (answer["created"], answer["failed"]) == (len(part), 0)


async def who_can(client: Client, key: str) -> list[str]:
    """Everyone in a set, page by page, with the exact total."""
    name, relation = key.rsplit("#", 1)
    kind, _, identity = name.partition(":")
    asked = {"resource": kind, "resourceId": identity, "action": relation, "pageSize": "1000"}
    answer = await client.ask_again("GET", f"{A}/who-can", params=asked | {"total": "true"})
    found = [row["subject"] for row in answer["data"]]
    assert answer["complete"] is True
    assert answer["total"] == len(found)
    return found


async def what_can(client: Client, key: str) -> list[str]:
    """Every repository in a set, in pages that are small enough to be several."""
    subject, relation = key.rsplit("#", 1)
    asked = {"subject": subject, "resource": "repo", "action": relation, "pageSize": "40"}
    return [
        f"repo:{row['resourceId']}"
        async for page in client.pages(f"{A}/what-can", **asked)
        for row in page
    ]


async def compare(client: Client, expected: dict[str, list[str]], list_one: Any) -> None:
    """Every set is listed exactly, nobody twice."""
    turns = asyncio.Semaphore(ABREAST)

    async def one(key: str) -> None:
        async with turns:
            found = await list_one(client, key)
        assert sorted(found) == sorted(expected[key]), key

    async with asyncio.TaskGroup() as group:
        for key in expected:
            group.create_task(one(key))


def questions(expected: Expected) -> Iterator[tuple[dict[str, str], bool]]:
    """Every member of every set, and beside each somebody who is not one."""
    everybody = sorted({user for users in expected["who_can"].values() for user in users})
    everybody += [f"user:stranger-{number}" for number in range(len(everybody))]
    for key, users in expected["who_can"].items():
        name, relation = key.rsplit("#", 1)
        kind, _, identity = name.partition(":")
        members = set(users)
        others = [user for user in everybody if user not in members][: len(members)]
        for user in [*users, *others]:
            asked = {"subject": user, "resource": kind, "resourceId": identity, "action": relation}
            yield asked, user in members


async def check_all(client: Client, expected: Expected) -> None:
    """All pairs in bulk calls; each answer is a plain yes or no."""
    asked, answers = zip(*questions(expected), strict=True)
    assert answers.count(True) == answers.count(False) == MEMBERS
    for start in range(0, len(asked), BULK_MAX):
        part = asked[start : start + BULK_MAX]
        answer = await client.ask_again("POST", f"{A}/check/bulk", {"checks": part})
        found = [result["allowed"] for result in answer["results"]]
        assert found == list(answers[start : start + BULK_MAX])


async def check_one_by_one(client: Client, expected: Expected, step: int) -> None:
    """Some of the pairs by single checks: the path that every front answers itself."""
    turns = asyncio.Semaphore(ABREAST)

    async def one(asked: dict[str, str], allowed: bool) -> None:
        async with turns:
            answer = await client.ask_again("POST", f"{A}/check", asked)
        assert answer["allowed"] is allowed, asked

    async with asyncio.TaskGroup() as group:
        for asked, allowed in [*questions(expected)][::step]:
            group.create_task(one(asked, allowed))


async def test_every_answer_with_one_worker(tmp_path: Path, expected: Expected) -> None:
    """All 390 and 971 sets, all 6,167 members and as many denials, in bulk and one by one."""
    with ServerProcess(tmp_path / "data") as server:
        async with server.client() as client:
            await upload(client)
            await compare(client, expected["who_can"], who_can)
            await compare(client, expected["what_can"], what_can)
            await check_all(client, expected)
            await check_one_by_one(client, expected, step=4)


async def test_every_answer_with_two_workers_one_of_them_killed(
    tmp_path: Path, expected: Expected
) -> None:
    """Written through one, asked through the other, which dies half way; so does the writer."""
    with ServerProcess(tmp_path / "data", "--access-log", workers=2) as server:
        async with server.client(worker="web-0") as writer, server.client(worker="web-1") as asker:
            # Asked before anything is there, so that what the asker keeps in mind is out of date.
            await upload_behind(writer, asker)
            await check_one_by_one(asker, expected, step=7)
            await check_all(asker, expected)
            assert writer.seen.isdisjoint(asker.seen)
            assert len(writer.seen) == len(asker.seen) == 1

        async with server.client() as anyone, asyncio.TaskGroup() as group:
            killing = group.create_task(kill_in_turn(server))
            group.create_task(compare(anyone, expected["who_can"], who_can))
            group.create_task(compare(anyone, expected["what_can"], what_can))
            while not killing.done():
                await check_one_by_one(anyone, expected, step=50)
        ended = [event["slot"] for event in server.events if event["event"] == "process ended"]
        assert ended == ["web-1", "heavy", "web-0"]

        async with server.client() as anyone:
            await check_all(anyone, expected)


async def kill_in_turn(server: ServerProcess) -> None:
    """Each process once; the next one only when its successor is there."""
    for slot in ("web-1", "heavy", "web-0"):
        pid = await server.kill(slot)
        await server.replaced(slot, pid)


async def upload_behind(writer: Client, asker: Client) -> None:
    """Upload through one while the other was asked first and knows only denials."""
    await writer.ask("PUT", DEFAULT_MODEL, json.loads((DATA / "model.json").read_bytes()))
    asked = {"subject": "user:nobody", "resource": "repo", "resourceId": "x", "action": "admin"}
    assert (await asker.ask("POST", f"{A}/check", asked))["allowed"] is False
    await upload(writer)

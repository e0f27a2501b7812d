"""No room: a full map, and a disk that gives no more. An answered error; reading goes on.

The disk is full by a limit on the size of files (RLIMIT_FSIZE), set on the running processes and
lifted again. It holds for root as for anybody; a write beyond it is cut short or refused with
EFBIG, as a full disk does it with ENOSPC.
"""

from __future__ import annotations

import resource
from typing import TYPE_CHECKING

import pytest

from tests.api.client import FACTS, MODEL, NDJSON, PROBLEM, A, fact
from tests.running import DEFAULT_MODEL, ServerProcess, pieces

if TYPE_CHECKING:
    from pathlib import Path

    from tests.running import Answer, Client

pytestmark = pytest.mark.slow

SMALL_GIB = 8 / 1024
ROWS = 1_000
# LIMIT: batches until there is surely no room; a thousand long ids are about a megabyte.
BATCHES_MAX = 100
LONG = "x" * 200
KEPT = ("document:kept#viewer@group:kept#member", "group:kept#member@user:kept")
# What says that there is no room; `io` where the system cut a write short instead.
REASONS = {"full", "io"}


def batch(number: int) -> list[str]:
    """Relationships of one bulk call."""
    return [f"document:{number}-{n}-{LONG}#viewer@user:u{n}" for n in range(ROWS)]


async def fill(client: Client) -> int:
    """Write until nothing fits; how many calls did."""
    for number in range(BATCHES_MAX):
        writes = [fact(text) for text in batch(number)]
        answer = await client.call("POST", f"{FACTS}/bulk?results=errors", {"writes": writes})
        if answer.status != 200:
            refused(answer)
            return number
    raise AssertionError("it never filled up")


async def fill_singly(client: Client) -> list[str]:
    """Write one by one, through a worker, until nothing fits; what did."""
    written: list[str] = []
    while len(written) < ROWS:
        n = len(written)
        text = f"document:single{n}-{'y' * 1_000}#viewer@user:single{n}-{'z' * 1_000}"
        answer = await client.call("POST", FACTS, fact(text))
        if answer.status != 201:
            refused(answer)
            return written
        written.append(text)
    raise AssertionError("it never filled up")


def refused(answer: Answer) -> None:
    """The contract's problem document, and it says what is wrong and what to do."""
    assert answer.status == 507, answer.body
    assert answer.headers["Content-Type"] == PROBLEM
    found = answer.json
    assert found["status"] == answer.status
    assert found["reason"] in REASONS, found
    assert found["requestId"] == answer.headers["X-Request-Id"]
    assert {"type", "title", "detail", "instance", "code"} <= found.keys()


async def every_write_is_refused(client: Client, number: int) -> None:
    """In bulk and by import; each is answered, nothing of it is there."""
    before = await stored(client)
    writes = [fact(text) for text in batch(number)]
    refused(await client.call("POST", f"{FACTS}/bulk", {"writes": writes}))
    lines = (f'{{"relationship":"{text}"}}' for text in batch(number))
    answer = await client.call(
        "POST", f"{FACTS}/import", data=pieces(lines), headers={"Content-Type": NDJSON}
    )
    refused(answer)
    assert await stored(client) == before


async def stored(client: Client) -> set[str]:
    """All relationships."""
    answer = await client.call("GET", f"{FACTS}/export")
    assert answer.status == 200
    return {f"{row['resource']}#{row['relation']}@{row['subject']}" for row in answer.lines}


async def every_question_is_answered(client: Client, batches: int, singles: list[str]) -> None:
    """Checks, explanations, lists, what is stored: as if nothing were wrong."""
    expected = {*KEPT, *singles, *(text for number in range(batches) for text in batch(number))}
    assert await stored(client) == expected
    asked = {"userId": "kept", "resource": "document", "resourceId": "kept", "action": "read"}
    assert (await client.ask("POST", f"{A}/check", asked))["allowed"] is True
    assert (await client.ask("POST", f"{A}/explain", asked))["allowed"] is True
    asked["resourceId"] = f"{batches}-0-{LONG}"
    assert (await client.ask("POST", f"{A}/check", asked))["allowed"] is False
    listed = {"userId": "u1", "resource": "document", "action": "viewer"}
    rows = await client.stream(f"{A}/what-can", **listed)
    found = sorted(row["resourceId"] for row in rows)
    assert found == sorted(f"{number}-1-{LONG}" for number in range(batches))
    params = {"resource": "document", "resourceId": "kept", "action": "viewer"}
    page = await client.ask("GET", f"{A}/who-can", params=params)
    assert [row["subject"] for row in page["data"]] == ["user:kept"]
    assert (await client.call("GET", "/readyz")).status == 200


async def every_write_succeeds(client: Client, batches: int) -> None:
    """Through the workers and through the process for heavy calls."""
    answer = await client.bulk([fact(text) for text in batch(batches)])
    assert answer["created"] == ROWS
    for n in range(8):  # Connections spread over the workers.
        text = f"document:{batches}-again{n}#viewer@user:u"
        answer = await client.call("POST", FACTS, fact(text))
        assert answer.status == 201
    lines = [
        f'{{"relationship":"document:{batches}-import{n}#viewer@user:u"}}' for n in range(100)
    ]
    assert (await client.load(lines))["created"] == 100


async def prepare(client: Client) -> None:
    """A model and a little to ask about."""
    await client.ask("PUT", DEFAULT_MODEL, MODEL)
    await client.bulk([fact(text) for text in KEPT])


async def test_a_full_map_refuses_writes_answers_questions_and_works_with_a_larger_one(
    tmp_path: Path,
) -> None:
    """A restart alone changes nothing; with a larger map, as the help says, all is writable."""
    data = tmp_path / "data"
    with ServerProcess(data, workers=2, map_gib=SMALL_GIB) as server:
        async with server.client() as client:
            await prepare(client)
            batches = await fill(client)
            assert batches > 1
            singles = await fill_singly(client)
            await every_write_is_refused(client, batches)
            await every_question_is_answered(client, batches, singles)
    with ServerProcess(data, workers=2, map_gib=SMALL_GIB) as server:
        async with server.client() as client:
            await every_write_is_refused(client, batches)
            await every_question_is_answered(client, batches, singles)
    with ServerProcess(data, workers=2, map_gib=SMALL_GIB * 4) as server:
        async with server.client() as client:
            await every_question_is_answered(client, batches, singles)
            for number in range(batches, 2 * batches):  # Well beyond the old size.
                await every_write_succeeds(client, number)


async def test_deleting_makes_room_once_it_is_collected(tmp_path: Path) -> None:
    """Without a restart: deletions fit, history is let go, and writing goes on."""
    environment = {"ZERATUL_RETENTION": "0", "ZERATUL_COLLECT_INTERVAL_S": "0.05"}
    with ServerProcess(tmp_path / "data", map_gib=SMALL_GIB, environment=environment) as server:
        async with server.client() as client:
            await prepare(client)
            batches = await fill(client)
            for number in range(batches):
                for start in range(0, ROWS, 50):
                    part = [fact(text) for text in batch(number)[start : start + 50]]
                    await until_it_fits(client, {"deletes": part})
            assert await stored(client) == set(KEPT)
            writes = [fact(text) for text in batch(batches)[:100]]
            await until_it_fits(client, {"writes": writes})
            assert await stored(client) == {*KEPT, *batch(batches)[:100]}


async def until_it_fits(client: Client, body: object) -> None:
    """Ask again while there is no room; the collector makes some."""
    for _ in range(2_000):
        answer = await client.call("POST", f"{FACTS}/bulk?results=errors", body)
        if answer.status == 200:
            return
        refused(answer)
    raise AssertionError("room never came")


async def test_a_full_disk_refuses_writes_answers_questions_and_works_with_room_again(
    tmp_path: Path,
) -> None:
    """The same processes write again as soon as the disk has room."""
    with ServerProcess(tmp_path / "data", workers=2) as server:
        async with server.client() as client:
            await prepare(client)
            used = (tmp_path / "data" / "data.mdb").stat().st_size
            hard = limit_files(server, used + (4 << 20))
            batches = await fill(client)
            assert batches > 1
            singles = await fill_singly(client)
            await every_write_is_refused(client, batches)
            await every_question_is_answered(client, batches, singles)
            limit_files(server, hard)
            await every_write_succeeds(client, batches)
            found = await stored(client)
            assert {text for number in range(batches + 1) for text in batch(number)} <= found
        assert all(event["event"] != "process ended" for event in server.events)


def limit_files(server: ServerProcess, size: int) -> int:
    """Let no process write beyond a size; the size it might have written to at most."""
    hard = resource.RLIM_INFINITY
    for pid in server.pids().values():
        _, hard = resource.prlimit(pid, resource.RLIMIT_FSIZE)
        resource.prlimit(pid, resource.RLIMIT_FSIZE, (size, hard))
    return hard

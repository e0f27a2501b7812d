"""No stranger grows the disk: questions about ids nobody ever wrote leave the store as it was.

A million checks, thousands of explanations, lists, dry runs and hypothetical relationships, each
with ids of its own: not a name, not a page, not a byte of the file.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import pytest

from tests.api.client import FACTS, MODEL, A, fact
from tests.running import DEFAULT_MODEL, ServerProcess, scale

if TYPE_CHECKING:
    from pathlib import Path

    from tests.running import Client

pytestmark = pytest.mark.slow

CHECKS = scale(1_000_000)
BULK = 5_000
EXPLAINS = scale(3_000)
OTHERS = 200
# Memos of strangers are forgotten as others come; what stays is a fraction of their limit.
GROWTH_KIB_MAX = 100 * 1024


def question(n: int) -> dict[str, str]:
    """Who is a stranger, of what, in turns; half of them ask about something that exists."""
    kind, action = (("document", "read"), ("folder", "viewer"), ("group", "member"))[n % 3]
    identity = f"stranger-{n}" if n % 2 else "known"
    subject = f"group:stranger-{n}-too#member" if n % 5 == 0 else f"user:stranger-{n}"
    return {"subject": subject, "resource": kind, "resourceId": identity, "action": action}


async def check(client: Client) -> None:
    """All checks, in calls of 5,000; nobody is allowed anything."""
    turns = asyncio.Semaphore(2)

    async def one(start: int) -> None:
        async with turns:
            checks = [question(n) for n in range(start, min(start + BULK, CHECKS))]
            answer = await client.ask("POST", f"{A}/check/bulk", {"checks": checks})
        assert [each["allowed"] for each in answer["results"]] == [False] * len(checks)

    async with asyncio.TaskGroup() as group:
        for start in range(0, CHECKS, BULK):
            group.create_task(one(start))


async def explain(client: Client) -> None:
    """Explanations; with relationships that are only supposed they say yes, and nothing stays."""
    turns = asyncio.Semaphore(8)

    async def one(n: int) -> None:
        body: dict[str, Any] = {**question(CHECKS + n)}
        supposed = fact(f"document:supposed-{n}#viewer@user:supposing-{n}")
        if given := ("", "contextualRelationships", "writes")[n % 3]:
            body |= {"subject": f"user:supposing-{n}", "resource": "document", "action": "read"}
            body |= {"resourceId": f"supposed-{n}", given: [supposed]}
        async with turns:
            answer = await client.ask("POST", f"{A}/explain", body)
        assert answer["allowed"] is bool(given)

    async with asyncio.TaskGroup() as group:
        for n in range(EXPLAINS):
            group.create_task(one(n))


async def ask_otherwise(client: Client) -> None:
    """Everything else that takes ids and writes nothing, or is refused."""
    for n in range(OTHERS):
        who, what = {"userId": f"x{n}"}, {"resource": "document", "resourceId": f"x{n}"}
        whole = {**who, **what, "relation": "viewer"}
        asked = {**who, **what, "action": "read"}
        answer = await client.ask("POST", f"{A}/check", asked)
        assert answer["allowed"] is False
        answer = await client.ask(
            "POST", f"{A}/check", {**asked, "contextualRelationships": [whole]}
        )
        assert answer["allowed"] is True
        pages = (
            (f"{A}/what-can", {**who, "resource": "document", "action": "read"}),
            (f"{A}/who-can", {**what, "action": "read"}),
            (FACTS, who),
            (FACTS, what),
        )
        for path, params in pages:
            assert (await client.ask("GET", path, params=params))["data"] == []
        params = {**what, "relation": "viewer"}
        await client.ask("GET", f"{A}/expand", params=params)
        body: dict[str, object] = {"writes": [whole]}
        answer = await client.ask("POST", f"{FACTS}/bulk?dryRun=true", body)
        assert answer["created"] == 1
        for absent in (whole, who, what):
            assert (await client.ask("DELETE", FACTS, absent))["deleted"] == 0
        assert (await client.ask("POST", f"{FACTS}/bulk", {"deletes": [whole]}))["deleted"] == 0
        refused = {"writes": [whole, {**whole, "relation": "nothing"}]}
        assert (await client.call("POST", f"{FACTS}/bulk", refused)).status == 400
        failed = {"writes": [whole], "preconditions": [{"mustExist": whole}]}
        assert (await client.call("POST", f"{FACTS}/bulk", failed)).status == 412
    lines = (f'{{"relationship":"document:y{n}#viewer@user:y{n}"}}' for n in range(10_000))
    answer = await client.load(lines, params={"dryRun": "true"})
    assert answer["created"] == 10_000


async def test_strangers_leave_the_store_as_it_was(tmp_path: Path) -> None:
    """Every table, the revision, the pages in use and the file are the same, memory is bounded."""
    with ServerProcess(tmp_path / "data", workers=2) as server:
        async with server.client() as client:
            await client.ask("PUT", DEFAULT_MODEL, MODEL)
            await client.bulk(
                [
                    fact("document:known#viewer@user:u"),
                    fact("document:known#viewer@group:g#member"),
                    fact("folder:known#viewer@group:g#member"),
                    fact("group:g#member@user:u"),
                    fact("group:known#member@group:g#member"),
                ]
            )
            await ask_otherwise(client)  # Whatever is made once is made now.
            before, size = await known(client, tmp_path)
            memory = server.anonymous_kib()

            await check(client)
            await explain(client)
            await ask_otherwise(client)

            assert await known(client, tmp_path) == (before, size)
            grown = {slot: kib - memory[slot] for slot, kib in server.anonymous_kib().items()}
            assert max(grown.values()) < GROWTH_KIB_MAX, grown


async def known(client: Client, path: Path) -> tuple[dict[str, int], tuple[int, int]]:
    """The store's numbers but for those of the moment, and the file's size and blocks."""
    numbers = await client.statistics()
    assert numbers["entries_names"] > 0
    moments = {"readers", "commits", "jobs", "lock_held_ms", "lock_held_longest_ms"}
    stat = (path / "data" / "data.mdb").stat()
    found = {name: number for name, number in numbers.items() if name not in moments}
    return found, (stat.st_size, stat.st_blocks)

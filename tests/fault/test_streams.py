"""Streams stream: a million lines in or out pass through the processes without filling them.

Memory is what a process has of its own (``RssAnon``); pages of the mapped file are the system's to
take back. It is looked at all along the way, not only at the end.
"""

from __future__ import annotations

import asyncio
import json
from typing import TYPE_CHECKING

import pytest

from tests.api.client import FACTS, MODEL, NDJSON, A, fact
from tests.running import DEFAULT_MODEL, ServerProcess, scale

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Iterator
    from pathlib import Path

    from tests.running import Client

pytestmark = pytest.mark.slow

LINES = scale(1_000_000)
SOME_LINES = 100_000
GROWTH_KIB_MAX = 64 * 1024
# LIMIT: of an export that waits; the whole of it would be 70 MiB.
UNREAD_KIB_MAX = 16 * 1024
PIECE_LINES = 1_000
USERS = 1_000


class Memory:
    """The most each process of a server had of its own, and what it had at first."""

    def __init__(self, server: ServerProcess) -> None:
        self._server = server
        self.first = server.anonymous_kib()
        self.most = dict(self.first)

    def look(self) -> None:
        """Measure now."""
        for slot, kib in self._server.anonymous_kib().items():
            self.most[slot] = max(self.most[slot], kib)

    def growth_kib(self) -> dict[str, int]:
        """By process."""
        return {slot: self.most[slot] - first for slot, first in self.first.items()}


def body(first: int, count: int) -> Iterator[bytes]:
    """Lines in pieces."""
    for start in range(first, first + count, PIECE_LINES):
        yield "".join(
            f'{{"resource":"document:d{n}","relation":"viewer","subject":"user:u{n % USERS}"}}\n'
            for n in range(start, min(start + PIECE_LINES, first + count))
        ).encode()


async def load(
    client: Client, first: int, count: int, look: Callable[[], None] = lambda: None
) -> dict[str, int]:
    """An import; memory is looked at after each piece that was taken."""

    async def watched() -> AsyncIterator[bytes]:
        for piece in body(first, count):
            yield piece
            look()

    headers = {"Content-Type": NDJSON}
    answer: dict[str, int] = await client.ask(
        "POST", f"{FACTS}/import", data=watched(), headers=headers
    )
    look()
    return answer


async def dump(client: Client, look: Callable[[], None] = lambda: None) -> int:
    """An export; how many lines it had."""
    lines, piece = 0, b"}\n"
    async with client.open("GET", f"{FACTS}/export") as response:
        assert response.status == 200
        async for piece in response.content.iter_chunked(1 << 16):
            lines += piece.count(b"\n")
            look()
        assert piece.endswith(b"}\n")
        assert b'{"error"' not in piece
    return lines


async def test_a_million_lines_in_and_out_leave_the_processes_small(tmp_path: Path) -> None:
    """Less than 64 MiB more than after the start, for import, export and a second import."""
    with ServerProcess(tmp_path / "data") as server:
        async with server.client() as client:
            await client.ask("PUT", DEFAULT_MODEL, MODEL)
            memory = Memory(server)
            answer = await load(client, 0, LINES, memory.look)
            assert (answer["lines"], answer["created"]) == (LINES, LINES)
            assert max(memory.growth_kib().values()) < GROWTH_KIB_MAX, memory.growth_kib()

            assert await dump(client, memory.look) == LINES
            assert max(memory.growth_kib().values()) < GROWTH_KIB_MAX, memory.growth_kib()

            afterwards = Memory(server)
            await unread(client, afterwards.look)
            assert max(afterwards.growth_kib().values()) < UNREAD_KIB_MAX, afterwards.growth_kib()

            answer = await load(client, 0, LINES // 4, memory.look)
            assert (answer["existing"], answer["created"]) == (LINES // 4, 0)
            assert max(memory.growth_kib().values()) < GROWTH_KIB_MAX, memory.growth_kib()

            asked = {"userId": "u7", "resource": "document", "action": "viewer"}
            found = await client.stream(f"{A}/what-can", **asked)
            numbers = range(7, LINES, USERS)
            assert sorted(row["resourceId"] for row in found) == sorted(f"d{n}" for n in numbers)


async def unread(client: Client, look: Callable[[], None]) -> None:
    """An export that nobody reads waits, whoever else is answered beside it; then it is left."""
    async with client.open("GET", f"{FACTS}/export") as response:
        assert response.status == 200
        for number in range(200):
            await client.ask("POST", FACTS, fact(f"folder:late#viewer@user:u{number}"))
            look()


async def test_an_importer_gone_half_way_leaves_what_was_committed(tmp_path: Path) -> None:
    """What is there is a beginning of what was sent; the same import again makes it whole."""
    with ServerProcess(tmp_path / "data") as server:
        async with server.client() as client:
            await client.ask("PUT", DEFAULT_MODEL, MODEL)
            never = asyncio.Event()

            async def half() -> AsyncIterator[bytes]:
                for piece in body(0, SOME_LINES // 2):
                    yield piece
                await never.wait()

            headers = {"Content-Type": NDJSON, "Accept": NDJSON}
            async with client.open(
                "POST", f"{FACTS}/import", data=half(), headers=headers
            ) as response:
                lines = 0
                while lines < SOME_LINES // 3:
                    progress = json.loads(await response.content.readline())
                    assert progress["complete"] is False
                    assert lines < progress["lines"] <= SOME_LINES // 2
                    lines = progress["lines"]
                # Leaving with half of both bodies to come closes the connection.

            stored = await dump(client)
            assert stored <= SOME_LINES // 2
            answer = await load(client, 0, SOME_LINES)
            assert answer["created"] >= SOME_LINES // 2
            assert answer["created"] + answer["existing"] == SOME_LINES
            assert await dump(client) == SOME_LINES

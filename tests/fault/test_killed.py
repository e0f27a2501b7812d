"""``kill -9`` of a whole server during bulk uploads under load, twenty times on the same data.

Every answered call is there afterwards, every other one is there whole or not at all, and what is
there is the same from both ends.

A call is recognisable as a whole: it writes rows from one document to many users, rows from many
documents to one user, and moves a marker that belongs to its uploader by a delete and a write.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any, NamedTuple

import pytest

from tests.api.client import FACTS, MODEL, A, fact
from tests.running import BROKEN, DEFAULT_MODEL, ServerProcess

if TYPE_CHECKING:
    from pathlib import Path

    from tests.running import Client

pytestmark = pytest.mark.slow

LIVES = 20
UPLOADERS = 3
ROWS = 40  # of each kind in a call
WANTED = {"action": "viewer", "total": "true", "pageSize": "1000"}


class Call(NamedTuple):
    """One bulk call of one uploader in one life of the server."""

    life: int
    uploader: int
    number: int

    @property
    def name(self) -> str:
        return f"{self.life}-{self.uploader}-{self.number}"

    @property
    def wide(self) -> set[str]:
        """One document, many users."""
        return {f"document:wide-{self.name}#viewer@user:u{n}" for n in range(ROWS)}

    @property
    def deep(self) -> set[str]:
        """Many documents, one user."""
        return {f"document:deep-{self.name}-{n}#viewer@user:only-{self.name}" for n in range(ROWS)}

    @property
    def marker(self) -> str:
        """The last call of an uploader, if it is this."""
        return f"document:last-{self.life}-{self.uploader}#owner@user:n{self.number}"


class Life:
    """What the clients of one life of the server sent, and what it answered."""

    def __init__(self, number: int, workers: int) -> None:
        self.number = number
        self.workers = workers
        self.sent: list[Call] = []
        self.answered: list[Call] = []
        self.checked = 0
        self.dead = False
        self.enough = asyncio.Event()

    async def upload(self, client: Client, uploader: int, until: int) -> None:
        """One call after the other, until the server is gone."""
        for number in range(10_000):
            call = Call(self.number, uploader, number)
            before = call._replace(number=number - 1)
            writes = [fact(text) for text in (*sorted(call.wide), *sorted(call.deep), call.marker)]
            self.sent.append(call)
            body = {"writes": writes, "deletes": [fact(before.marker)]}
            try:
                answer = await client.call("POST", f"{FACTS}/bulk?results=errors", body)
            except BROKEN:
                assert self.dead
                return
            if answer.status == 503:  # from a front that outlived the others by a moment
                assert self.dead
                return
            assert answer.status == 200, answer.body
            assert answer.json["created"] == len(writes)
            assert answer.json["deleted"] == (number > 0)
            self.answered.append(call)
            if len(self.answered) >= until:
                self.enough.set()
        raise AssertionError("it was never killed")

    async def check(self, client: Client) -> None:
        """What was answered can be seen at once, as long as there is somebody to ask."""
        while True:
            known = self.answered[-1:]
            checks = [
                {"subject": f"user:u{ROWS - 1}", "permission": "document:viewer"}
                | {"resourceId": f"wide-{call.name}"}
                for call in known
            ]
            checks.append({"userId": "nobody", "permission": "document:read", "resourceId": "x"})
            try:
                answer = await client.ask("POST", f"{A}/check/bulk", {"checks": checks})
            except BROKEN:
                assert self.dead
                return
            expected = [True] * len(known) + [False]
            assert [each["allowed"] for each in answer["results"]] == expected
            self.checked += 1

    async def kill(self, server: ServerProcess) -> None:
        """After some calls were answered, whatever is going on."""
        await self.enough.wait()
        self.dead = True
        await asyncio.to_thread(server.kill_all)

    async def live(self, data: Path) -> None:
        """Start, load, kill."""
        server = ServerProcess(data, workers=self.workers)
        async with server.client() as client, asyncio.TaskGroup() as group:
            if self.number == 0:
                await client.ask("PUT", DEFAULT_MODEL, MODEL)
            for uploader in range(UPLOADERS):
                group.create_task(self.upload(client, uploader, until=1 + self.number % 7 * 2))
            group.create_task(self.check(client))
            group.create_task(self.check(client))
            group.create_task(self.kill(server))


async def stored(client: Client) -> set[str]:
    """All relationships, as text."""
    answer = await client.call("GET", f"{FACTS}/export")
    assert answer.status == 200
    rows = [f"{row['resource']}#{row['relation']}@{row['subject']}" for row in answer.lines]
    assert len(rows) == len(set(rows))
    return set(rows)


def compare(found: set[str], lives: list[Life]) -> set[str]:
    """Every answered call is there, no call is there in part; the rows that have to be there."""
    expected: set[str] = set()
    for life in lives:
        answered = set(life.answered)
        for uploader in range(UPLOADERS):
            calls = [call for call in life.sent if call.uploader == uploader]
            there = [call for call in calls if call.wide & found or call.deep & found]
            # One after the other: the only one that may lack an answer is the last.
            assert there == calls[: len(there)]
            assert answered & set(calls) <= set(there)
            for call in there:
                expected |= call.wide | call.deep
            expected |= {call.marker for call in there[-1:]}
    assert found == expected
    return expected


async def compare_lists(client: Client, lives: list[Life]) -> None:
    """Who can and what can, asked for every uploaded call, tell the same pairs."""
    by_document: set[tuple[str, str]] = set()
    by_user: set[tuple[str, str]] = set()
    users = {f"user:u{n}" for n in range(ROWS)}
    for life in lives:
        for call in life.sent:
            wide, only = f"wide-{call.name}", f"user:only-{call.name}"
            who = await who_can(client, wide)
            what = await what_can(client, only)
            assert len(who) == len(what), call
            assert len(who) in (0, ROWS)
            assert what == [f"deep-{call.name}-{n}" for n in range(ROWS)][: len(what)]
            by_document |= {(wide, user) for user in who}
        # The ends of this life from the other side as well.
        for call in life.sent[-UPLOADERS:]:
            for number in (0, ROWS - 1):
                who = await who_can(client, f"deep-{call.name}-{number}")
                assert who == [f"user:only-{call.name}"] * len(who)
                assert len(who) == len(await who_can(client, f"wide-{call.name}")) // ROWS
    for user in users:
        asked = {"subject": user, "resource": "document", "action": "viewer"}
        rows = await client.stream(f"{A}/what-can", **asked)
        by_user |= {(row["resourceId"], user) for row in rows}
    assert by_document == by_user


async def who_can(client: Client, document: str) -> list[str]:
    asked = WANTED | {"resource": "document", "resourceId": document}
    answer: Any = await client.ask("GET", f"{A}/who-can", params=asked)
    assert answer["complete"] is True
    assert answer["total"] == len(answer["data"])
    return [row["subject"] for row in answer["data"]]


async def what_can(client: Client, user: str) -> list[str]:
    asked = WANTED | {"resource": "document", "subject": user}
    answer: Any = await client.ask("GET", f"{A}/what-can", params=asked)
    assert answer["complete"] is True
    assert answer["total"] == len(answer["data"])
    return sorted((row["resourceId"] for row in answer["data"]), key=_number)


def _number(text: str) -> int:
    return int(text.rpartition("-")[2])


async def test_killed_twenty_times_under_load(tmp_path: Path) -> None:
    """Nothing answered is lost, nothing is halved, both directions agree; then it works on."""
    data = tmp_path / "data"
    lives: list[Life] = []
    for number in range(LIVES):
        lives.append(Life(number, workers=1 + number % 2))
        await lives[-1].live(data)
    assert all(life.answered for life in lives)
    assert sum(life.checked for life in lives) > LIVES
    # Otherwise no call was under way when its server died.
    assert any(len(life.sent) > len(life.answered) for life in lives)

    with ServerProcess(data) as server:
        async with server.client() as client:
            expected = compare(await stored(client), lives)
            numbers = await client.statistics()
            assert numbers["entries_forward"] == numbers["entries_reverse"] == len(expected)
            await compare_lists(client, lives)
            await client.ask("POST", FACTS, fact("document:new#owner@user:u0"))
            assert await stored(client) == expected | {"document:new#owner@user:u0"}

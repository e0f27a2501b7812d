"""Pages are stable: a list of 100,000 read in pages while others write is that of the first page.

The writes between the pages change the list in every way there is: rows come and go in front of
and behind the page, people leave groups, folders are emptied, documents are banned. In the middle
the processes that may keep a list in mind are killed, so that the rest has to be found again as of
the first page's revision.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from tests.api.client import FACTS, MODEL, A, fact
from tests.running import DEFAULT_MODEL, ServerProcess, scale

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator
    from pathlib import Path

    from tests.running import Client

    Change = Callable[[int], tuple[list[str], list[str]]]

pytestmark = pytest.mark.slow

TOTAL = scale(100_000)
HALF = TOTAL // 2
THIRD = TOTAL // 3
PAGE = {"pageSize": "1000"}
KILL_AT = TOTAL // 2_000  # the page
STRIDE = max(1, TOTAL // 20)  # of what one call changes


async def read(client: Client, path: str, asked: dict[str, str]) -> list[Any]:
    """All rows of a list, in pages."""
    return [row async for page in client.pages(path, **asked, **PAGE) for row in page]


async def read_beside_writes(
    server: ServerProcess, client: Client, path: str, asked: dict[str, str], change: Change
) -> list[Any]:
    """All rows of a list; others write between its pages, once the processes are killed."""
    found: list[Any] = []
    number = 0
    async for page in client.pages(path, **asked, **PAGE):
        found += page
        writes, deletes = ([fact(text) for text in texts] for texts in change(number))
        answer = await client.bulk(writes, deletes)
        assert answer["created"] > 0
        assert answer["deleted"] > 0
        number += 1
        if number == KILL_AT:
            for slot in ("heavy", "web-0"):
                await server.replaced(slot, await server.kill(slot))
    assert number == -(-len(found) // 1_000)
    return found


async def compare(
    data: Path, lines: Iterable[str], path: str, asked: dict[str, str], change: Change
) -> tuple[list[Any], list[Any]]:
    """The list as it was, and as it is in the end; read beside writes it was as it was."""
    with ServerProcess(data) as server:
        async with server.client() as client:
            await client.ask("PUT", DEFAULT_MODEL, MODEL)
            assert (await client.load(lines))["rejected"] == 0
            before = await read(client, path, asked)
            found = await read_beside_writes(server, client, path, asked, change)
            assert found == before
            after = await read(client, path, asked)
    return before, after


def line(text: str) -> str:
    """A relationship as a line of an import."""
    return f'{{"relationship":"{text}"}}'


async def test_what_can(tmp_path: Path) -> None:
    """Everything u reads: by itself, through nested groups, through a folder, minus bans."""

    def lines() -> Iterator[str]:
        for n in range(TOTAL):
            match n * 3 // TOTAL:
                case 0:
                    yield line(f"document:d{n}#viewer@user:u")
                case 1:
                    yield line(f"document:d{n}#viewer@group:g#member")
                case _:
                    yield line(f"document:d{n}#parent@folder:f")
        yield line("folder:f#viewer@user:u")
        yield line("group:g#member@group:h#member")
        yield line("group:h#member@user:u")

    def change(turn: int) -> tuple[list[str], list[str]]:
        writes = [f"document:new-{turn}-{n}#viewer@user:u" for n in range(20)]
        writes += [f"document:d{n}#banned@user:u" for n in range(turn, TOTAL, STRIDE)]
        deletes = [f"document:d{n}#viewer@user:u" for n in range(turn, THIRD, STRIDE)]
        deletes += [f"document:d{n}#viewer@group:g#member" for n in range(turn, TOTAL, STRIDE)]
        paths = ["group:h#member@user:u", "folder:f#viewer@user:u"]
        return (writes + paths, deletes) if turn % 2 else (writes, deletes + paths)

    asked = {"userId": "u", "resource": "document", "action": "read"}
    before, after = await compare(tmp_path / "data", lines(), f"{A}/what-can", asked, change)
    assert sorted(row["resourceId"] for row in before) == sorted(f"d{n}" for n in range(TOTAL))
    assert before != after


async def test_who_can(tmp_path: Path) -> None:
    """Everybody who reads one document: half of them by themselves, half through a group."""

    def lines() -> Iterator[str]:
        for n in range(HALF):
            yield line(f"document:d#viewer@user:u{n}")
        for n in range(HALF, TOTAL):
            yield line(f"group:g#member@user:u{n}")
        yield line("folder:f#viewer@group:g#member")
        yield line("document:d#parent@folder:f")

    def change(turn: int) -> tuple[list[str], list[str]]:
        writes = [f"document:d#viewer@user:new-{turn}-{n}" for n in range(20)]
        writes += [f"document:d#banned@user:u{n}" for n in range(turn, TOTAL, STRIDE)]
        deletes = [f"document:d#viewer@user:u{n}" for n in range(turn, HALF, STRIDE)]
        deletes += [f"group:g#member@user:u{n}" for n in range(HALF + turn, TOTAL, STRIDE)]
        path = ["document:d#parent@folder:f"]
        return (writes + path, deletes) if turn % 2 else (writes, deletes + path)

    asked = {"resource": "document", "resourceId": "d", "action": "read"}
    before, after = await compare(tmp_path / "data", lines(), f"{A}/who-can", asked, change)
    assert sorted(row["subject"] for row in before) == sorted(f"user:u{n}" for n in range(TOTAL))
    assert before != after


@pytest.mark.parametrize("end", ["subject", "resource"])
async def test_what_is_stored(tmp_path: Path, end: str) -> None:
    """Both stored views; a row deleted and written again keeps the time it was first made."""

    def text(n: object, relation: str = "viewer") -> str:
        if end == "subject":
            return f"document:{n}#{relation}@user:u"
        return f"document:d#{relation}@user:{n}"

    def change(turn: int) -> tuple[list[str], list[str]]:
        writes = [text(f"a-new-{turn}-{n}") for n in range(20)]
        writes += [text(f"x{n}", "banned") for n in range(turn, TOTAL, STRIDE)]
        deletes = [text(f"x{n}") for n in range(turn, TOTAL, STRIDE)]
        # What was deleted a moment ago comes back, as another version.
        writes += [text(f"x{n}") for n in range(turn - 1, TOTAL, STRIDE) if turn]
        return writes, deletes

    asked = {"userId": "u"} if end == "subject" else {"resource": "document", "resourceId": "d"}
    lines = (line(text(f"x{n}")) for n in range(TOTAL))
    before, after = await compare(tmp_path / "data", lines, FACTS, asked, change)
    field = "resourceId" if end == "subject" else "userId"
    assert {row[field] for row in before} == {f"x{n}" for n in range(TOTAL)}
    assert len(before) == TOTAL
    assert len(after) != len(before)

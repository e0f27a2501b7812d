"""Deep and endless: chains of 5,000 groups, groups in cycles; over HTTP, with bounded answers."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.api.client import MODEL, A, fact
from tests.running import ServerProcess
from zeratul.domain.limits import Limits

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator

    from tests.running import Client

pytestmark = pytest.mark.slow

DEPTH = 5_000
BOTTOM = {"subject": "user:bottom", "resource": "document", "resourceId": "top", "action": "read"}
STRANGER = {**BOTTOM, "subject": "user:stranger"}


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServerProcess]:
    """One server for all of them."""
    with ServerProcess(tmp_path_factory.mktemp("deep") / "data", workers=2) as started:
        yield started


@pytest.fixture
async def api(server: ServerProcess) -> AsyncIterator[Client]:
    """An application of the test's own."""
    async with server.client() as client:
        yield await client.create_application(MODEL)


async def chain(client: Client) -> None:
    """The document is shared with the first of 5,000 groups, the user is in the last."""
    links = [fact(f"group:g{n}#member@group:g{n + 1}#member") for n in range(DEPTH - 1)]
    await client.bulk(links)
    ends = ("document:top#viewer@group:g0#member", f"group:g{DEPTH - 1}#member@user:bottom")
    await client.bulk([fact(text) for text in ends])


async def allowed(client: Client, asked: dict[str, str]) -> bool:
    """The answer of a check, the same in a bulk call."""
    single = await client.ask("POST", f"{A}/check", asked)
    bulk = await client.ask("POST", f"{A}/check/bulk", {"checks": [asked] * 3})
    assert [each["allowed"] for each in bulk["results"]] == [single["allowed"]] * 3
    found: bool = single["allowed"]
    return found


async def test_a_chain_of_5000_groups(api: Client) -> None:
    """Yes at the bottom, no beside it, exact lists; and no again when one link is cut."""
    await chain(api)
    assert await allowed(api, BOTTOM) is True
    assert await allowed(api, STRANGER) is False
    listed = {"resource": "document", "resourceId": "top", "action": "read"}
    rows = await api.stream(f"{A}/who-can", **listed)
    assert [row["subject"] for row in rows] == ["user:bottom"]
    groups = await api.stream(
        f"{A}/what-can", subject="user:bottom", resource="group", action="member"
    )
    assert {row["resourceId"] for row in groups} == {f"g{n}" for n in range(DEPTH)}

    link = fact(f"group:g{DEPTH // 2}#member@group:g{DEPTH // 2 + 1}#member")
    await api.bulk([], [link])
    assert await allowed(api, BOTTOM) is False
    assert await api.stream(f"{A}/who-can", **listed) == []
    await api.bulk([link])
    assert await allowed(api, BOTTOM) is True


async def test_its_explanation_is_bounded_and_says_so(api: Client) -> None:
    """The tree has as many nodes as the limit says, with a mark where it goes on."""
    await chain(api)
    limits = Limits()
    answer = await api.ask("POST", f"{A}/explain", BOTTOM)
    assert (answer["allowed"], answer["cut"]) == (True, True)
    # The mark itself, and a userset that stands below the relationship that names it.
    assert len(answer["nodes"]) <= limits.explain_nodes_max + 2
    assert [node["kind"] for node in answer["nodes"]].count("cut") == 1
    assert answer["reads"] <= limits.explain_reads_max
    assert len(answer["proof"]) == DEPTH + 1  # The proof is never cut.

    # From a stranger's side there is nothing to walk: that is a short story, told whole.
    answer = await api.ask("POST", f"{A}/explain", STRANGER)
    assert (answer["allowed"], answer["cut"]) == (False, False)
    assert len(answer["nodes"]) < 20


async def test_an_explanation_that_fits_is_whole(api: Client) -> None:
    """A chain of a hundred is proven link by link."""
    links = [f"group:g{n}#member@group:g{n + 1}#member" for n in range(99)]
    ends = ["document:top#viewer@group:g0#member", "group:g99#member@user:bottom"]
    await api.bulk([fact(text) for text in (*links, *ends)])
    answer = await api.ask("POST", f"{A}/explain", BOTTOM)
    assert (answer["allowed"], answer["cut"]) == (True, False)
    proof = {
        f"{each['resource']}:{each['resourceId']}#{each['relation']}@{each['subject']}"
        for each in answer["proof"]
    }
    assert proof == {*links, *ends}


@pytest.mark.parametrize("length", [1, 2, 3, 1_000])
async def test_cycles_of_groups_are_harmless(api: Client, length: int) -> None:
    """A ring of groups has the members all of it have, and ends nothing else."""
    ring = [fact(f"group:r{n}#member@group:r{(n + 1) % length}#member") for n in range(length)]
    assert (await api.bulk(ring))["created"] == length
    await api.bulk([fact("document:top#viewer@group:r0#member")])
    assert await allowed(api, BOTTOM) is False
    await api.bulk([fact(f"group:r{length - 1}#member@user:bottom")])
    assert await allowed(api, BOTTOM) is True
    assert await allowed(api, STRANGER) is False
    listed = {"resource": "document", "resourceId": "top", "action": "read"}
    assert len(await api.stream(f"{A}/who-can", **listed)) == 1
    params = {"subject": "user:bottom", "resource": "group", "action": "member"}
    assert len(await api.stream(f"{A}/what-can", **params)) == length
    answer = await api.ask("POST", f"{A}/explain", BOTTOM)
    assert answer["allowed"] is True
    answer = await api.ask("POST", f"{A}/explain", STRANGER)
    assert answer["allowed"] is False

"""Pages of lists over HTTP: what is got ready before it is asked for."""

import asyncio

import orjson
import pytest
from aiohttp.test_utils import make_mocked_request

from tests.builders import rels
from zeratul.api.authaz.lists import ListHandlers
from zeratul.api.keys import CALLER, REQUEST_ID
from zeratul.api.work import Work
from zeratul.domain.limits import Limits
from zeratul.errors import StoreError
from zeratul.service.questions.lookups import Lookups

WHAT_CAN = "/what-can?userId=u&resource=document&action=viewer&pageSize=2"


@pytest.mark.parametrize("fails", [False, True])
async def test_whoever_asks_for_a_second_page_has_the_next_one_read_ahead(
    services, caller, monkeypatch, fails
):
    facts = rels(*(f"document:d{number}#viewer@user:u" for number in range(7)))
    services.relationships.bulk(caller, facts).result()
    work = Work(Limits())
    handlers = ListHandlers(services, Limits(), work)
    asked = []
    read_ahead = Lookups.read_ahead

    def noted(lookups, page):
        asked.append((page.size, page.cursor))
        if fails:
            raise StoreError("closed", reason="closed")
        read_ahead(lookups, page)

    monkeypatch.setattr(Lookups, "read_ahead", noted)
    failures = []
    asyncio.get_running_loop().set_exception_handler(lambda _, failure: failures.append(failure))
    rows, cursor, cursors = [], "", []
    while cursor is not None:
        request = make_mocked_request("GET", WHAT_CAN + (f"&cursor={cursor}" if cursor else ""))
        request[CALLER], request[REQUEST_ID] = caller, "r"
        page = orjson.loads((await handlers.what_can(request)).body)
        await asyncio.sleep(0)
        rows += [row["resourceId"] for row in page["data"]]
        cursor = page["nextCursor"]
        cursors.append(cursor)
    work.close()
    assert rows == [f"d{number}" for number in range(7)]
    assert asked == [(2, cursor) for cursor in cursors[1:-1]]
    assert not failures

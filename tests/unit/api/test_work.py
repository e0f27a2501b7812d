"""Writes and blocking iterators, waited for without holding the event loop."""

from __future__ import annotations

import asyncio
from concurrent.futures import Future
from threading import Thread
from typing import TYPE_CHECKING

import pytest

from zeratul.api.work import Work
from zeratul.domain.limits import Limits
from zeratul.errors import ConflictError, LimitError

if TYPE_CHECKING:
    from collections.abc import Iterator


@pytest.fixture
def work() -> Iterator[Work]:
    """Threads of the test's own."""
    made = Work(Limits())
    yield made
    made.close()


def counting(made: list[int], *, fails_at: int = 5) -> Iterator[int]:
    """Numbers below five, noted when they are made."""
    for number in range(5):
        if number == fails_at:
            raise ValueError(number)
        made.append(number)
        yield number


async def test_items_come_in_order_and_one_is_made_ahead(work: Work) -> None:
    """No more than one, however slow they are taken."""
    made: list[int] = []
    taken: list[int] = []
    async for item in work.each(counting(made)):
        taken.append(item)
        assert len(made) <= len(taken) + 1
    assert [0, 1, 2, 3, 4] == taken == made


async def test_an_error_comes_behind_the_items_before_it(work: Work) -> None:
    """Though it was met while one of them was taken."""
    made: list[int] = []
    items = work.each(counting(made, fails_at=2))
    assert [0, 1] == [await anext(items), await anext(items)] == made
    with pytest.raises(ValueError, match="2"):
        await anext(items)


@pytest.mark.parametrize("fails_at", [1, 5])
async def test_who_stops_early_leaves_one_item_at_most(work: Work, fails_at: int) -> None:
    """And does not hear of what went wrong with it."""
    made: list[int] = []
    items = work.each(counting(made, fails_at=fails_at))
    assert await anext(items) == 0
    await items.aclose()  # type: ignore[attr-defined]  # it is a generator
    work.close()
    assert len(made) <= 2


async def test_a_write_is_waited_for_whatever_thread_ends_it(work: Work) -> None:
    """Also one that has ended before."""
    future: Future[int] = Future()
    waiting = asyncio.ensure_future(work.durable(future))
    await asyncio.sleep(0)
    assert not waiting.done()
    Thread(target=future.set_result, args=(7,)).start()
    assert await waiting == 7
    assert await work.durable(future) == 7


async def test_a_write_that_failed_says_why(work: Work) -> None:
    future: Future[int] = Future()
    Thread(target=future.set_exception, args=(ConflictError("taken"),)).start()
    with pytest.raises(ConflictError, match="taken"):
        await work.durable(future)


async def test_a_write_that_takes_too_long_goes_on_without_its_caller() -> None:
    """It may still be applied, and what comes of it then disturbs nobody."""
    work = Work(Limits(request_timeout_s=0.001))
    future: Future[int] = Future()
    with pytest.raises(LimitError, match="no answer from the store") as caught:
        await work.durable(future)
    assert caught.value.limit == "request_timeout_s"
    assert not future.cancelled()
    future.set_result(7)
    assert await work.durable(future) == 7
    work.close()


def test_a_write_that_ends_after_its_loop_disturbs_nobody(
    work: Work, caplog: pytest.LogCaptureFixture
) -> None:
    """As one does whose process was told to stop."""
    future: Future[int] = Future()

    async def give_up() -> None:
        waiting = asyncio.ensure_future(work.durable(future))
        await asyncio.sleep(0)
        waiting.cancel()

    asyncio.run(give_up())
    future.set_result(7)
    assert not caplog.records

"""Blocking iterators, read without holding the event loop."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from zeratul.api.work import Work
from zeratul.domain.limits import Limits

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

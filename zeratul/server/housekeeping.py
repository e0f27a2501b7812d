"""What the leader of a server does behind the requests: collect history, sweep what was deleted.

In small steps with a turn for others after each, so that no request waits for more than one; what
is left when the server stops is done by the next one.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import structlog

from zeratul.errors import StoreError

if TYPE_CHECKING:
    from collections.abc import Callable

    from zeratul.service.services import Services

log = structlog.get_logger("zeratul.server")

# LIMIT: steps of each kind in a row before the store is left alone for the configured pause.
STEPS_MAX = 200


async def keep_house(
    services: Services,
    *,
    retention_s: int,
    interval_s: float,
    count: Callable[[str, int], None],
) -> None:
    """Do a round of everything, pause, and again; until it is cancelled.

    Args:
        services: over the store that is kept.
        retention_s: how long history and audit last.
        interval_s: the pause.
        count: told what was removed, ``collected`` or ``swept``, and how many entries; for
            metrics.
    """
    while True:
        await asyncio.sleep(interval_s)
        await round_of_work(services, retention_s=retention_s, count=count)


async def round_of_work(
    services: Services, *, retention_s: int, count: Callable[[str, int], None]
) -> None:
    """Remove what nobody can ask for any more, as far as one round goes."""
    store = services.store
    kinds: tuple[tuple[str, Callable[[], int]], ...] = (
        ("collected", lambda: store.collect(retention_s=retention_s)),
        ("swept", services.applications.sweep_step),
        ("swept", store.sweep),
    )
    for name, step in kinds:
        try:
            for _ in range(STEPS_MAX):
                removed = await asyncio.to_thread(step)
                if not removed:
                    break
                count(name, removed)
        except StoreError as error:
            # A full disk is no reason to stop: reads go on, and the next round may succeed.
            log.warning("housekeeping failed", reason=error.reason, detail=error.message)

"""Waiting for what takes time without holding the event loop: threads, writes, streams."""

from __future__ import annotations

import asyncio
import hashlib
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from typing import TYPE_CHECKING, TypeVar

from zeratul.errors import LimitError, MalformedError
from zeratul.service.ground.idempotency import Idempotent

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Iterator
    from concurrent.futures import Future

    from aiohttp import web

    from zeratul.domain.limits import Limits

T = TypeVar("T")

# LIMIT: threads share one interpreter; these only let long calls take turns.
THREADS_MAX = 4
_END = object()


class Work:
    """Where the blocking part of heavy calls runs."""

    def __init__(self, limits: Limits) -> None:
        self._limits = limits
        self._threads = ThreadPoolExecutor(THREADS_MAX, thread_name_prefix="heavy")

    def close(self) -> None:
        """Let running work end; nothing new starts."""
        self._threads.shutdown(wait=True, cancel_futures=True)

    async def run(self, function: Callable[[], T]) -> T:
        """The result of a blocking function, from another thread."""
        return await asyncio.get_running_loop().run_in_executor(self._threads, function)

    async def each(self, iterator: Iterator[T]) -> AsyncIterator[T]:
        """Items of a blocking iterator, made in another thread: one ahead of what was asked for.

        So one is made while the one before is on its way; no more are, whoever is slow.
        """
        loop = asyncio.get_running_loop()
        ahead = loop.run_in_executor(self._threads, next, iterator, _END)
        try:
            while (item := await ahead) is not _END:
                ahead = loop.run_in_executor(self._threads, next, iterator, _END)
                yield item  # type: ignore[misc]  # `next` gives an item, or the mark at the end
        finally:
            ahead.add_done_callback(_forget)

    async def durable(self, future: Future[T]) -> T:
        """The result of a write once it is durable.

        Raises:
            LimitError: not within the time a request may take; the write may still be applied.
        """
        if not future.done():
            await self._arrival(future)
        if not future.done():
            # It is left alone: a write under way is not undone.
            seconds = self._limits.request_timeout_s
            raise LimitError(
                "request_timeout_s",
                int(seconds),
                f"no answer from the store within {seconds:g} s",
                help="the write may still be applied; repeat it",
            )
        return future.result()

    async def _arrival(self, future: Future[T]) -> None:
        """Wait until the future is done, or the time that a request may take is over.

        By hand, since every write comes along here: ``asyncio.wait`` of a wrapped future makes
        more of them and chains them.
        """
        loop = asyncio.get_running_loop()
        arrival = loop.create_future()

        def tell(_: Future[T]) -> None:
            # On the writer's thread. On a loop that ended nobody waits.
            with suppress(RuntimeError):
                loop.call_soon_threadsafe(_settle, arrival)

        future.add_done_callback(tell)
        timer = loop.call_later(self._limits.request_timeout_s, _settle, arrival)
        try:
            await arrival
        finally:
            timer.cancel()


def _settle(arrival: asyncio.Future[None]) -> None:
    if not arrival.done():
        arrival.set_result(None)


def _forget(future: asyncio.Future[T]) -> None:
    # Takes the late error, so that the loop does not report it as never seen.
    if not future.cancelled():
        future.exception()


def idempotency(
    request: web.Request,
    body: bytes,
    limits: Limits,
    render: Callable[..., tuple[int, bytes]],
) -> Idempotent | None:
    """What makes this request recognisable, or None without ``Idempotency-Key``.

    Raises:
        MalformedError: the key is empty or holds characters no key should.
        LimitError: it is too long.
    """
    key = request.headers.get("Idempotency-Key")
    if key is None:
        return None
    if not (key.isascii() and key.isprintable() and key):
        raise MalformedError("`Idempotency-Key` must be printable ASCII", field="Idempotency-Key")
    most = limits.idempotency_key_length_max
    if len(key) > most:
        raise LimitError(
            "idempotency_key_length_max",
            most,
            f"`Idempotency-Key` has at most {most} characters",
            field="Idempotency-Key",
        )
    head = f"{request.method}\n{request.path_qs}\n".encode("utf-8", "surrogateescape")
    return Idempotent(key, hashlib.sha256(head + body).digest(), render)

"""One process of a server: services, application, sockets, and background work for the leader."""

from __future__ import annotations

import asyncio
import gc
import os
import signal
import sys
from contextlib import asynccontextmanager, suppress
from dataclasses import replace
from typing import TYPE_CHECKING

import orjson
import structlog
from aiohttp import web

from zeratul.api.app import create_app
from zeratul.api.keys import METRICS
from zeratul.api.serving import make_runner
from zeratul.api.settings import ApiSettings
from zeratul.domain.limits import Limits
from zeratul.door import open_services
from zeratul.errors import ZeratulError
from zeratul.server import logs
from zeratul.server.housekeeping import keep_house
from zeratul.server.sockets import BACKLOG, listening_socket
from zeratul.server.task import Task

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable

    from zeratul.api.metrics import RequestMetrics
    from zeratul.service.services import Services

log = structlog.get_logger("zeratul.server")

# Allocations between two collections: requests leave no cycles, so seldom is often enough.
GC_THRESHOLD = 20_000
# How far heavy work stands back where processors are scarce (of 19).
HEAVY_NICENESS = 10
# What a start that can not succeed ends with; the supervisor does not try it again.
EXIT_REFUSED = 3


def main() -> int:
    """Read the task, serve until told to stop; the exit code."""
    task = Task.decode(sys.stdin.buffer.readline())
    logs.configure(task.slot)
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # a terminal's interrupt is the supervisor's
    try:
        with asyncio.Runner(loop_factory=_loop_factory()) as runner:
            runner.run(_serve(task))
    except (ZeratulError, OSError) as error:
        message = error.message if isinstance(error, ZeratulError) else str(error)
        help_text = getattr(error, "help", None)
        _report({"error": f"{message}; {help_text}" if help_text else message})
        return EXIT_REFUSED
    return 0


def _loop_factory() -> Callable[[], asyncio.AbstractEventLoop]:
    try:
        import uvloop  # noqa: PLC0415 - not there on every platform
    except ImportError:
        return asyncio.new_event_loop
    return uvloop.new_event_loop


async def _serve(task: Task) -> None:
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    loop.add_signal_handler(signal.SIGTERM, stop.set)
    limits = _limits(task)
    if task.role == "heavy":
        # Where processors are scarce, checks come first: they never wait for heavy work.
        os.nice(HEAVY_NICENESS)
    services = open_services(
        task.config.data,
        limits=limits,
        map_bytes=task.config.map_bytes,
    )
    try:
        fresh_key = _prepare(task, services) if task.leader else None
        async with (
            _answering(task, services, limits) as app,
            _background(task, services, limits, app[METRICS]),
        ):
            # What is there now stays: the collector need not walk it again and again.
            gc.collect()
            gc.freeze()
            gc.set_threshold(GC_THRESHOLD)
            _report({"ready": True, "rootKey": fresh_key})
            await _told_to_stop(stop)
            log.info("stopping")
    finally:
        services.close()


def _limits(task: Task) -> Limits:
    limits = Limits()
    if task.config.retention_s is not None:
        limits = replace(limits, retention_s=task.config.retention_s)
    return limits


def _prepare(task: Task, services: Services) -> str | None:
    """What a first start makes; the root key's secret when it is a fresh one."""
    services.applications.ensure_default()
    return services.keys.ensure_root(task.config.root_key)


@asynccontextmanager
async def _answering(
    task: Task, services: Services, limits: Limits
) -> AsyncIterator[web.Application]:
    forwards = task.role == "web" and task.config.heavy == "process"
    app = create_app(
        services,
        ApiSettings(
            limits=limits,
            slot=task.slot,
            heavy_socket=task.heavy_socket if forwards else None,
            metrics_directory=task.directory,
            access_log=task.config.access_log and task.role == "web",
            floor=task.config.floor,
        ),
    )
    runner = make_runner(app, shutdown_timeout_s=task.config.shutdown_timeout_s)
    await runner.setup()
    site: web.BaseSite
    if task.role == "heavy":
        site = web.UnixSite(runner, task.heavy_socket, backlog=BACKLOG)
    else:
        site = web.SockSite(runner, listening_socket(task.address, task.port), backlog=BACKLOG)
    try:
        await site.start()
        yield app
    finally:
        # Stops accepting, lets requests in flight end, then breaks off what did not.
        await runner.cleanup()


@asynccontextmanager
async def _background(
    task: Task, services: Services, limits: Limits, metrics: RequestMetrics
) -> AsyncIterator[None]:
    if not task.leader:
        yield
        return
    running = asyncio.create_task(
        keep_house(
            services,
            retention_s=limits.retention_s,
            interval_s=task.config.collect_interval_s,
            count=metrics.count,
        ),
        name="housekeeping",
    )
    try:
        yield
    finally:
        running.cancel()
        with suppress(asyncio.CancelledError):
            await running


async def _told_to_stop(stop: asyncio.Event) -> None:
    """Until SIGTERM, or until the supervisor is gone."""
    lifeline = asyncio.create_task(_supervisor_gone())
    told = asyncio.create_task(stop.wait())
    _, pending = await asyncio.wait((lifeline, told), return_when=asyncio.FIRST_COMPLETED)
    for each in pending:
        each.cancel()


async def _supervisor_gone() -> None:
    reader = asyncio.StreamReader()
    loop = asyncio.get_running_loop()
    transport, _ = await loop.connect_read_pipe(
        lambda: asyncio.StreamReaderProtocol(reader), sys.stdin.buffer
    )
    try:
        while await reader.read(1024):
            pass
    finally:
        transport.close()


def _report(values: dict[str, object]) -> None:
    """One line to the supervisor."""
    with suppress(BrokenPipeError):
        sys.stdout.buffer.write(orjson.dumps(values) + b"\n")
        sys.stdout.buffer.flush()

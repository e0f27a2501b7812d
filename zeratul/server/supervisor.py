"""Starts the processes of a server, restarts one that dies, stops them in order.

Rules of this module: it opens no store and answers no request. A process that dies is started
again in its slot, with growing pauses while it keeps dying; one that can not even start the first
time ends the server with its reason.
"""

from __future__ import annotations

import asyncio
import os
import shutil
import signal
import sys
import tempfile
import time
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

import orjson
import structlog

from zeratul.errors import InternalError, StoreError, ZeratulError
from zeratul.server import logs
from zeratul.server.sockets import reserved_port, url
from zeratul.server.task import Task

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine, Mapping

    from zeratul.config import Config

log = structlog.get_logger("zeratul.server")

# LIMIT: pauses before a process is started again: short at first, doubled while it keeps dying.
BACKOFF_FIRST_S = 0.1
BACKOFF_MAX_S = 10.0
# A process that lived this long was well; the next death starts with the first pause again.
LIVED_WELL_S = 30.0
# LIMIT: opening the store waits for a writer's lock and reads its free list.
START_TIMEOUT_S = 120.0
# LIMIT: over what a process gives its requests; then it is killed.
STOP_MARGIN_S = 5.0
HEAVY_SLOT = "heavy"
ROOT_KEY_VARIABLE = "ZERATUL_ROOT_KEY"
# LIMIT: the process for heavy calls keeps so much memory for its next call. Left to themselves the
# allocators of glibc give every large array back at once, and each page of the next one is a fault
# of the processor again: a third of the time that a list of 20,000 answers takes to compute.
_HEAVY_MEMORY = {
    "MALLOC_MMAP_THRESHOLD_": str(4 * 1024 * 1024),
    "MALLOC_TRIM_THRESHOLD_": str(32 * 1024 * 1024),
}


def run(
    config: Config,
    *,
    announce: Callable[[str], None] | None = None,
    on_ready: Callable[[str], None] | None = None,
) -> int:
    """Serve until SIGTERM or SIGINT; 0 after an orderly stop.

    Args:
        config: what to serve, where.
        announce: takes the lines for a person (root key, address); standard output by default.
        on_ready: called once with the server's URL when everything answers.

    Raises:
        InputError: the address can not be listened on.
        StoreError: the store can not be opened.
    """
    logs.configure("supervisor")
    with reserved_port(config.host, config.port) as (address, port):
        directory = Path(tempfile.mkdtemp(prefix="zeratul-"))  # only this user may enter (0700)
        try:
            supervisor = _Supervisor(config, address, port, directory, announce or _print)
            asyncio.run(supervisor.run(on_ready))
        finally:
            shutil.rmtree(directory, ignore_errors=True)
    return 0


def _print(line: str) -> None:
    print(line, flush=True)  # noqa: T201 - the one place that speaks to a person


class _Supervisor:
    def __init__(
        self,
        config: Config,
        address: str,
        port: int,
        directory: Path,
        announce: Callable[[str], None],
    ) -> None:
        self._config = config
        self._address = address
        self._port = port
        self._directory = directory
        self._announce = announce
        self._stopping = asyncio.Event()

    async def run(self, on_ready: Callable[[str], None] | None) -> None:
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, self._stopping.set)
        slots = [_Slot(task, self._stopping) for task in self._tasks()]
        keepers: list[asyncio.Task[None]] = []
        try:
            # The first alone: it names the map's size and makes what is missing.
            for part in (slots[:1], slots[1:]):
                await self._unless_stopped(self._start(part, keepers))
            if not self._stopping.is_set():
                self._announce(f"listening on {url(self._address, self._port)}")
                if on_ready is not None:
                    await asyncio.to_thread(on_ready, url(self._address, self._port))
            await self._stopping.wait()
        finally:
            self._stopping.set()
            # Those that pass calls on end before the one they pass them to.
            for part in (slots[1:], slots[:1]):
                await asyncio.gather(*(each.stop() for each in part))
            await asyncio.gather(*keepers)

    async def _start(self, slots: list[_Slot], keepers: list[asyncio.Task[None]]) -> None:
        started = await asyncio.gather(*(each.start() for each in slots))
        for fresh_key in filter(None, started):
            self._announce(f"root key, shown this once: {fresh_key}")
        for each in slots:
            keeper = asyncio.create_task(each.keep())
            # A keeper ends with the server; if one fails, the server has to.
            keeper.add_done_callback(lambda _: self._stopping.set())
            keepers.append(keeper)

    async def _unless_stopped(self, work: Coroutine[None, None, None]) -> None:
        """Do the work, or leave it when the server is told to stop."""
        task = asyncio.ensure_future(work)
        told = asyncio.ensure_future(self._stopping.wait())
        await asyncio.wait((task, told), return_when=asyncio.FIRST_COMPLETED)
        told.cancel()
        if not task.done():
            task.cancel()
            with suppress(asyncio.CancelledError):
                await task
        else:
            task.result()

    def _tasks(self) -> list[Task]:
        names: list[tuple[str, bool]] = []
        if self._config.heavy == "process":
            names.append((HEAVY_SLOT, True))
        names += ((f"web-{number}", False) for number in range(self._config.workers))
        return [
            Task(
                config=self._config,
                role="heavy" if heavy else "web",
                slot=name,
                leader=index == 0,
                address=self._address,
                port=self._port,
                directory=self._directory,
            )
            for index, (name, heavy) in enumerate(names)
        ]


def environment(task: Task, ours: Mapping[str, str]) -> dict[str, str]:
    """What a process finds in its environment: ours without the root key."""
    given = {name: text for name, text in ours.items() if name != ROOT_KEY_VARIABLE}
    # What the operator says of memory counts; other systems take no notice of these.
    return _HEAVY_MEMORY | given if task.role == "heavy" else given


class _Slot:
    """One process at a time, under one name."""

    def __init__(self, task: Task, stopping: asyncio.Event) -> None:
        self._task = task
        self._stopping = stopping
        self._process: asyncio.subprocess.Process | None = None
        self._started_at = 0.0

    async def start(self) -> str | None:
        """Start it and wait until it is ready; a fresh root key, if it made one.

        Raises:
            StoreError: it said why it can not start.
            InternalError: it ended, or said nothing in time.
        """
        process = await asyncio.create_subprocess_exec(
            sys.executable,
            "-m",
            "zeratul.server",
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            start_new_session=True,  # a terminal's interrupt is the supervisor's to answer
            env=environment(self._task, os.environ),
        )
        self._process = process
        if self._stopping.is_set():
            # Told while it was being made: nobody else will stop this one.
            process.terminate()
        self._started_at = time.monotonic()
        if process.stdin is None or process.stdout is None:
            raise InternalError("a process was started without pipes")
        process.stdin.write(self._task.encode())
        try:
            async with asyncio.timeout(START_TIMEOUT_S):
                line = await process.stdout.readline()
        except TimeoutError:
            process.kill()
            raise InternalError(f"process `{self._task.slot}` is not ready in time") from None
        if not line:
            if self._stopping.is_set():
                return None
            raise InternalError(f"process `{self._task.slot}` ended before it was ready")
        said = orjson.loads(line)
        if "error" in said:
            raise StoreError(said["error"], reason="closed")
        log.info("process ready", slot=self._task.slot, child=process.pid)
        fresh_key: str | None = said.get("rootKey")
        return fresh_key

    async def keep(self) -> None:
        """Start it again whenever it ends, until the server stops."""
        pause = BACKOFF_FIRST_S
        while self._process is not None:
            status = await self._process.wait()
            if self._stopping.is_set():
                return
            if time.monotonic() - self._started_at >= LIVED_WELL_S:
                pause = BACKOFF_FIRST_S
            log.error("process ended", slot=self._task.slot, status=status, restart_in_s=pause)
            with suppress(TimeoutError):
                async with asyncio.timeout(pause):
                    await self._stopping.wait()
                return
            pause = min(pause * 2, BACKOFF_MAX_S)
            try:
                await self.start()
            except ZeratulError as error:
                log.error("process did not start", slot=self._task.slot, detail=error.message)  # noqa: TRY400 - the child logged its own trace

    async def stop(self) -> None:
        """Ask it to end, wait, and kill it when it does not."""
        process = self._process
        if process is None or process.returncode is not None:
            return
        with suppress(ProcessLookupError):
            process.terminate()
        try:
            async with asyncio.timeout(self._task.config.shutdown_timeout_s + STOP_MARGIN_S):
                await process.wait()
        except TimeoutError:
            log.error("process killed", slot=self._task.slot)  # noqa: TRY400 - no trace to show
            with suppress(ProcessLookupError):
                process.kill()
            await process.wait()

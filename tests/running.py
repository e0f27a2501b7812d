"""Whole servers for tests: `zeratul serve` in processes of its own, and clients that ask it.

Theory of operation: the log of all processes (JSON lines on standard error) comes through one pipe
and is read by a thread, so that a test waits for what happened ("process ready") and never for a
time. Which worker took a connection is told by the access log, under an id the client chose.
"""

from __future__ import annotations

import asyncio
import json
import os
import re
import select
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from itertools import count, islice
from pathlib import Path
from time import monotonic
from typing import TYPE_CHECKING, Any, Self

import aiohttp
import orjson

from tests.api.client import FACTS, NDJSON

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Iterable, Mapping, Sequence
    from types import TracebackType

ROOT = Path(__file__).parents[1]
ROOT_KEY = "a-root-key-for-tests"
API = "/api/v1"
DEFAULT_MODEL = f"{API}/applications/default/model"
# LIMIT: for what has to happen at some time, on a machine that is busy with other things.
PATIENCE_S = 120.0
# LIMIT: connections opened until one is at the wanted worker; each is a coin.
TRIES_MAX = 200
# Lines of an import that go out together, about 64 KiB.
PIECE_LINES = 1_000

_numbers = count(1)
# What a client sees when the process it talks to dies or its successor is not there yet.
BROKEN = (aiohttp.ClientError, ConnectionError, asyncio.TimeoutError)


def scale(full: int) -> int:
    """A size, made smaller by ``ZERATUL_TEST_SCALE`` (0.01 to 1) for a quick look."""
    return max(1, int(full * float(os.environ.get("ZERATUL_TEST_SCALE", "1"))))


@dataclass(frozen=True)
class Answer:
    """What came back."""

    status: int
    headers: Mapping[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        return orjson.loads(self.body)

    @property
    def lines(self) -> list[Any]:
        return [orjson.loads(line) for line in self.body.splitlines()]

    @property
    def worker(self) -> str:
        """What is the same in all request ids of one process."""
        return self.headers["X-Request-Id"].partition("-")[0]


class Client:
    """Asks one server within one application."""

    def __init__(
        self,
        session: aiohttp.ClientSession,
        application: str = "default",
        key: str = ROOT_KEY,
        seen: set[str] | None = None,
    ) -> None:
        self.session = session
        self.application = application
        self.key = key
        # Workers that answered, by what their request ids begin with.
        self.seen: set[str] = set() if seen is None else seen

    def within(self, application: str) -> Client:
        """The same connections, another application."""
        return Client(self.session, application, self.key, self.seen)

    @asynccontextmanager
    async def open(
        self, method: str, path: str, body: object = None, **more: Any
    ) -> AsyncIterator[aiohttp.ClientResponse]:
        """A call whose answer is read by the caller."""
        headers = {
            "X-API-Key": self.key,
            "X-Zeratul-Application": self.application,
            **more.pop("headers", {}),
        }
        if body is not None:
            more["data"] = orjson.dumps(body)
            headers["Content-Type"] = "application/json"
        async with self.session.request(method, path, headers=headers, **more) as response:
            yield response

    async def call(
        self, method: str, path: str, body: object = None, *, headers: object = None, **more: Any
    ) -> Answer:
        """A call and its whole answer."""
        async with self.open(method, path, body, headers=headers or {}, **more) as response:
            answer = Answer(response.status, response.headers, await response.read())
        self.seen.add(answer.worker)
        return answer

    async def ask(self, method: str, path: str, body: object = None, **more: Any) -> Any:
        """The JSON of an answer that must be a good one."""
        answer = await self.call(method, path, body, **more)
        assert answer.status in (200, 201), (path, answer.status, answer.body[:2_000])
        return answer.json

    async def ask_again(self, method: str, path: str, body: object = None, **more: Any) -> Any:
        """Like ``ask``, asked anew while the process that should answer is being replaced.

        For questions only: a call that broke off may have been done.
        """
        deadline = monotonic() + PATIENCE_S
        while True:
            try:
                answer = await self.call(method, path, body, **more)
            except BROKEN:
                assert monotonic() < deadline, f"nobody answers {path}"
                continue
            if answer.status in (502, 503) and monotonic() < deadline:
                continue
            assert answer.status in (200, 201), (path, answer.status, answer.body[:2_000])
            return answer.json

    async def create_application(self, model: object) -> Client:
        """A client in an application of its own with this model."""
        made = await self.ask("POST", f"{API}/applications", {"name": f"app-{next(_numbers)}"})
        await self.ask("PUT", f"{API}/applications/{made['id']}/model", model)
        return self.within(made["id"])

    async def bulk(self, writes: Sequence[object], deletes: Sequence[object] = ()) -> Any:
        """One bulk call; errors only among its results."""
        body = {"writes": writes, "deletes": deletes}
        return await self.ask("POST", f"{FACTS}/bulk?results=errors", body)

    async def load(self, lines: Iterable[str], **more: Any) -> Any:
        """An import of some lines, sent as they are made."""
        headers = {"Content-Type": NDJSON}
        return await self.ask(
            "POST", f"{FACTS}/import", data=pieces(lines), headers=headers, **more
        )

    async def stream(self, path: str, **params: str) -> list[Any]:
        """All rows of a list, streamed; it must say that it is complete."""
        answer = await self.call("GET", path, params=params, headers={"Accept": NDJSON})
        assert answer.status == 200, answer.body[:2_000]
        *rows, last = answer.lines
        assert last["complete"] is True, last
        assert last["total"] == len(rows)
        return rows

    async def pages(self, path: str, **params: str) -> AsyncIterator[list[Any]]:
        """The pages of a list, one by one."""
        while True:
            page = await self.ask_again("GET", path, params=params)
            yield page["data"]
            if page["nextCursor"] is None:
                return
            params["cursor"] = page["nextCursor"]

    async def statistics(self) -> dict[str, int]:
        """The store's numbers, as the metrics tell them."""
        answer = await self.call("GET", "/metrics")
        assert answer.status == 200, answer.body
        found = re.findall(r"(?m)^zeratul_store_(\w+) (\S+)$", answer.body.decode())
        return {name: int(float(value)) for name, value in found}


class ServerProcess:
    """`zeratul serve` with all its processes; a context manager that stops it.

    Attributes:
        port, url: where it listens.
        pid: of the supervisor.
        events: everything logged so far.
    """

    def __init__(
        self,
        data: Path,
        *options: str,
        workers: int = 1,
        key: str | None = ROOT_KEY,
        environment: Mapping[str, str] | None = None,
        prefix: Sequence[str] = (),
        map_gib: float = 4,
    ) -> None:
        """Start it and wait until it answers.

        Args:
            data: its data directory; a second server on it goes on where the first ended.
            options: more of the command line.
            workers: processes that answer on the port.
            key: the root key; None takes the stored one.
            environment: more variables.
            prefix: a command that runs the server as its child.
            map_gib: largest size of the data.
        """
        inherited = {name: text for name, text in os.environ.items() if "ZERATUL" not in name}
        # A socket's path has at most 107 bytes, so its directory can not be the test's own.
        self._directory = tempfile.mkdtemp(prefix="zt-")
        given = {
            **inherited,
            "PYTHONPATH": str(ROOT),
            "TMPDIR": self._directory,
            **({"ZERATUL_ROOT_KEY": key} if key is not None else {}),
            **(environment or {}),
        }
        command = [
            *(sys.executable, "-m", "zeratul", "serve", "--data", str(data), "--port", "0"),
            *("--workers", str(workers), "--map-size", str(map_gib), *options),
        ]
        self._process = subprocess.Popen(
            [*prefix, *command],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            env=given,
            text=True,
            errors="replace",
        )
        self.data = data
        self.events: list[dict[str, Any]] = []
        self._noise: list[str] = []
        self._news = threading.Condition()
        self._reader = threading.Thread(target=self._read_log, daemon=True)
        self._reader.start()
        self.killed = False
        self.url, self.port = self._address()
        self.pid = self._child() if prefix else self._process.pid

    def _address(self) -> tuple[str, int]:
        assert self._process.stdout is not None
        for line in self._process.stdout:
            if found := re.search(r"http://127\.0\.0\.1:(\d+)", line):
                return found[0], int(found[1])
        self._process.wait(PATIENCE_S)
        self._close()
        raise AssertionError(f"no server: {self._noise} {self.events[-5:]}")

    def _child(self) -> int:
        parent = self._process.pid
        return int(Path(f"/proc/{parent}/task/{parent}/children").read_text().split()[0])

    def _read_log(self) -> None:
        assert self._process.stderr is not None
        for line in self._process.stderr:
            with self._news:
                try:
                    self.events.append(json.loads(line))
                except ValueError:
                    self._noise.append(line)
                self._news.notify_all()

    def wait_for(self, wanted: Callable[[dict[str, Any]], bool]) -> dict[str, Any]:
        """The first event of a kind, logged already or to come."""
        seen = 0
        deadline = monotonic() + PATIENCE_S
        with self._news:
            while True:
                for event in self.events[seen:]:
                    if wanted(event):
                        return event
                seen = len(self.events)
                left = deadline - monotonic()
                assert left > 0, f"it was never logged: {self.events[-5:]} {self._noise[-5:]}"
                self._news.wait(left)

    def pids(self) -> dict[str, int]:
        """Processes by slot, the newest start of each."""
        with self._news:
            ready = [event for event in self.events if event["event"] == "process ready"]
        return {event["slot"]: event["child"] for event in ready}

    async def kill(self, slot: str) -> int:
        """``kill -9`` one process, and wait until it is gone; the pid it had."""
        pid = self.pids()[slot]
        with suppress(ProcessLookupError):
            await asyncio.to_thread(_end, [pid])
        return pid

    async def replaced(self, slot: str, pid: int) -> None:
        """Until the supervisor has a new process in a slot."""
        await asyncio.to_thread(
            self.wait_for,
            lambda event: (
                event["event"] == "process ready"
                and event["slot"] == slot
                and event["child"] != pid
            ),
        )

    def kill_all(self) -> None:
        """``kill -9`` everything at once, the supervisor first: nobody is told, nobody tidies."""
        self.killed = True
        _end([self.pid, *self.pids().values()])
        self._process.wait(PATIENCE_S)
        self._close()

    def stop(self) -> int:
        """An orderly stop; its exit code."""
        if self._process.poll() is None:
            with suppress(ProcessLookupError):
                os.kill(self.pid, signal.SIGTERM)
        code = self._process.wait(PATIENCE_S)
        self._close()
        return code

    def _close(self) -> None:
        # The pipe ends when the last process is gone.
        self._reader.join(PATIENCE_S)
        for pipe in (self._process.stdout, self._process.stderr):
            if pipe is not None:
                pipe.close()
        shutil.rmtree(self._directory, ignore_errors=True)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self.killed:
            return
        code = self.stop()
        if kind is None:
            assert code == 0, (code, self._noise, self.events[-5:])
            assert self.surprises() == []

    def surprises(self) -> list[object]:
        """What no server should log, whatever it is asked: internal errors, lines of no log."""
        unexpected = [event for event in self.events if "exception" in event]
        return [*unexpected, *self._noise]

    @asynccontextmanager
    async def client(self, *, worker: str | None = None) -> AsyncIterator[Client]:
        """A client; all through one worker, if it is named (then with ``--access-log``)."""
        timeout = aiohttp.ClientTimeout(total=PATIENCE_S * 3)
        for _ in range(TRIES_MAX):
            connector = aiohttp.TCPConnector(limit=1 if worker else 64)
            async with aiohttp.ClientSession(
                self.url, connector=connector, timeout=timeout
            ) as session:
                client = Client(session)
                if worker is None or await self._worker_of(client) == worker:
                    yield client
                    return
        raise AssertionError(f"no connection ever came to {worker}")

    async def _worker_of(self, client: Client) -> str:
        """The slot that took the client's connection."""
        mark = f"mark.{next(_numbers)}"
        await client.call("GET", "/healthz", headers={"X-Request-Id": mark})
        event = await asyncio.to_thread(
            self.wait_for, lambda event: event.get("requestId") == mark
        )
        client.seen.clear()
        slot: str = event["process"]
        return slot

    def anonymous_kib(self) -> dict[str, int]:
        """Memory of each process that is its own: the mapped file's pages do not count."""
        found = {}
        for slot, pid in self.pids().items():
            text = Path(f"/proc/{pid}/status").read_text()
            [kib] = re.findall(r"RssAnon:\s+(\d+) kB", text)
            found[slot] = int(kib)
        return found


async def pieces(lines: Iterable[str]) -> AsyncIterator[bytes]:
    """The body of an import, some lines at a time; each made when the one before was taken."""
    rest = iter(lines)
    while part := list(islice(rest, PIECE_LINES)):
        yield "\n".join([*part, ""]).encode()


def _end(pids: Sequence[int]) -> None:
    """Kill processes and wait until they are gone, their files closed."""
    handles: list[tuple[int, int]] = []
    try:
        for pid in pids:
            with suppress(ProcessLookupError):
                handles.append((pid, os.pidfd_open(pid)))
        for pid, _ in handles:
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        for _, handle in handles:
            gone = select.poll()
            gone.register(handle, select.POLLIN)
            assert gone.poll(PATIENCE_S * 1_000), "a killed process did not end"
    finally:
        for _, handle in handles:
            os.close(handle)

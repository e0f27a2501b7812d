"""Makes load over HTTP: ``wrk`` where it is installed, else an equal load maker on raw sockets.

Both keep a number of connections busy, each with one request at a time, for a bounded time; both
check every answer. Only servers on 127.0.0.1 are ever asked.
"""

from __future__ import annotations

import asyncio
import os
import shutil
import subprocess
import tempfile
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, cast

from loadtest.client import Target, WrongAnswerError, http_request, response_size
from loadtest.processes import HOST, ServerFaultError

if TYPE_CHECKING:
    from collections.abc import Sequence

SCRIPT = Path(__file__).with_name("wrk.lua")
MARK = "LOADTEST\t"
# LIMIT: one run of load; the machine is shared.
SECONDS_MAX = 120.0
CONNECTIONS_MAX = 256
# LIMIT: requests of one run; a count that no server here reaches in the time.
REQUESTS_MAX = 20_000_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Load:
    """What is sent.

    Attributes:
        target: server, key and application.
        path: of every request.
        bodies: sent in turns; or None for ``prefix`` and ``suffix`` with a number between.
        expect: bytes that every right answer holds; empty accepts any success.
        connections: kept busy at once.
        seconds: how long.
    """

    target: Target
    path: str
    seconds: float
    bodies: Sequence[bytes] | None = None
    prefix: str = ""
    suffix: str = ""
    expect: bytes = b""
    connections: int = 8
    method: str = "POST"

    def __post_init__(self) -> None:
        """Refuse what is unbounded.

        Raises:
            ValueError: too long, too many connections, or nothing to send.
        """
        if not 0 < self.seconds <= SECONDS_MAX:
            raise ValueError(f"a run lasts up to {SECONDS_MAX} seconds, not {self.seconds}")
        if not 1 <= self.connections <= CONNECTIONS_MAX:
            raise ValueError(f"a run has 1 to {CONNECTIONS_MAX} connections")
        if not self.bodies and not self.prefix:
            raise ValueError("nothing to send")


@dataclass(frozen=True, slots=True, kw_only=True)
class Measured:
    """What came of it."""

    requests: int
    seconds: float
    p50_ms: float
    p99_ms: float
    max_ms: float

    @property
    def rate(self) -> float:
        """Requests a second."""
        return self.requests / self.seconds if self.seconds else 0.0


def wrk_installed() -> bool:
    """Whether the faster load maker is there."""
    return shutil.which("wrk") is not None


def run(load: Load) -> Measured:
    """Send it and measure.

    Raises:
        WrongAnswerError: an answer was not the expected one.
        ServerFaultError: connections failed or timed out, or nothing was answered.
    """
    return _run_wrk(load) if wrk_installed() else asyncio.run(_run_sockets(load))


def _run_wrk(load: Load) -> Measured:
    with tempfile.TemporaryDirectory() as directory:
        bodies = Path(directory, "bodies")
        bodies.write_bytes(b"\n".join(load.bodies or ()))
        # wrk counts in whole seconds.
        command = ["wrk", "-t1", f"-c{load.connections}", f"-d{max(1, round(load.seconds))}s"]
        command += ["--timeout", "30s", "-s", str(SCRIPT), f"http://{HOST}:{load.target.port}"]
        environment = {
            **os.environ,
            "LOADTEST_METHOD": load.method,
            "LOADTEST_PATH": load.path,
            "LOADTEST_KEY": load.target.key,
            "LOADTEST_APPLICATION": load.target.application,
            "LOADTEST_EXPECT": load.expect.decode(),
            "LOADTEST_BODIES": str(bodies),
        }
        if load.prefix:
            environment |= {"LOADTEST_PREFIX": load.prefix, "LOADTEST_SUFFIX": load.suffix}
        finished = subprocess.run(
            command,
            env=environment,
            capture_output=True,
            text=True,
            check=False,
            timeout=SECONDS_MAX + 60,
        )
    return parse_wrk(finished.stdout, finished.stderr)


def parse_wrk(output: str, complaint: str = "") -> Measured:
    """Read what the script of wrk printed.

    Raises:
        WrongAnswerError: it counted wrong answers.
        ServerFaultError: it counted failures, or printed no result.
    """
    _, found, rest = output.rpartition(MARK)
    if not found:
        raise ServerFaultError(f"wrk said: {output[-500:]}{complaint[-500:]}")
    *numbers, example = rest.split("\n", 1)[0].split("\t")
    requests, duration, p50, p99, longest, failures, wrong = map(float, numbers)
    _judge(int(requests), int(failures), int(wrong), example)
    return Measured(
        requests=int(requests),
        seconds=duration / 1e6,
        p50_ms=p50 / 1e3,
        p99_ms=p99 / 1e3,
        max_ms=longest / 1e3,
    )


def _judge(requests: int, failures: int, wrong: int, example: str) -> None:
    if wrong:
        raise WrongAnswerError(f"{wrong:,} of {requests:,} answers are wrong, such as: {example}")
    if failures:
        raise ServerFaultError(f"{failures:,} requests failed")
    if not requests:
        raise ServerFaultError("nothing was answered")


@dataclass(slots=True)
class _Tally:
    """What all connections of a run share."""

    load: Load
    deadline: float
    done: asyncio.Event
    seconds: list[float] = field(default_factory=list)
    turn: int = 0
    failures: int = 0
    wrong: int = 0
    example: str = ""
    open: int = 0

    def next_request(self) -> bytes | None:
        """Bytes to send, or None when the time or the count is used up."""
        if time.perf_counter() >= self.deadline or self.turn >= REQUESTS_MAX:
            return None
        load = self.load
        self.turn += 1
        if load.bodies:
            body = load.bodies[(self.turn - 1) % len(load.bodies)]
        else:
            body = f"{load.prefix}{self.turn}{load.suffix}".encode()
        return http_request(load.target, load.method, load.path, body)


class _Connection(asyncio.Protocol):
    """One request at a time until the tally says stop."""

    def __init__(self, tally: _Tally) -> None:
        self._tally = tally
        self._received = b""
        self._started = 0.0
        self._finished = False
        self._transport: asyncio.Transport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)
        self._tally.open += 1
        self._send()

    def _send(self) -> None:
        request = self._tally.next_request()
        transport = self._transport
        if transport is None:
            return
        if request is None:
            self._finished = True
            transport.close()
            return
        self._started = time.perf_counter()
        transport.write(request)

    def data_received(self, data: bytes) -> None:
        self._received += data
        size = response_size(self._received)
        if size is None or len(self._received) < size:
            return
        answer, self._received = self._received, b""
        tally = self._tally
        tally.seconds.append(time.perf_counter() - self._started)
        if not answer.startswith(b"HTTP/1.1 2") or tally.load.expect not in answer:
            tally.wrong += 1
            tally.example = answer[-300:].decode(errors="replace")
        self._send()

    def connection_lost(self, exc: Exception | None) -> None:
        del exc
        if not self._finished:
            self._tally.failures += 1
        self._tally.open -= 1
        if not self._tally.open:
            self._tally.done.set()


async def _run_sockets(load: Load) -> Measured:
    started = time.perf_counter()
    tally = _Tally(load, started + load.seconds, asyncio.Event())
    loop = asyncio.get_running_loop()
    try:
        await asyncio.gather(
            *(
                loop.create_connection(lambda: _Connection(tally), HOST, load.target.port)
                for _ in range(load.connections)
            )
        )
    except OSError as error:
        raise ServerFaultError(f"cannot connect: {error}") from error
    try:
        await asyncio.wait_for(tally.done.wait(), load.seconds + 30)
    except TimeoutError as error:
        raise ServerFaultError("requests stayed without an answer") from error
    taken = time.perf_counter() - started
    _judge(len(tally.seconds), tally.failures, tally.wrong, tally.example)
    return measured(tally.seconds, taken)


def measured(latencies_s: Sequence[float], seconds: float) -> Measured:
    """Percentiles of single latencies.

    Raises:
        ValueError: there are none.
    """
    if not latencies_s:
        raise ValueError("no latencies")
    ordered = sorted(latencies_s)
    last = len(ordered) - 1
    return Measured(
        requests=len(ordered),
        seconds=seconds,
        p50_ms=ordered[round(last * 0.5)] * 1e3,
        p99_ms=ordered[round(last * 0.99)] * 1e3,
        max_ms=ordered[-1] * 1e3,
    )

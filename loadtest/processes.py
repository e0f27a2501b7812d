"""Starts servers on free ports of 127.0.0.1, waits until they are ready, stops them by id."""

from __future__ import annotations

import contextlib
import http.client
import os
import secrets
import signal
import socket
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Self

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

HOST = "127.0.0.1"
ROOT = Path(__file__).resolve().parent.parent
# LIMIT: a start imports numpy, aiohttp and opens the tables; a busy machine needs its time.
START_TIMEOUT_S = 60.0
STOP_TIMEOUT_S = 30.0


class ServerFaultError(Exception):
    """A server did not start, died, or answered something that is no answer."""


@dataclass(frozen=True, slots=True)
class Memory:
    """Resident memory of a server's processes together, in bytes.

    ``private`` is what they allocated; ``resident`` also counts pages of the store's file that
    they have mapped, which the system takes back when it needs room.
    """

    processes: int
    private: int
    resident: int


def free_port() -> int:
    """A port that nobody listens on at the moment."""
    with socket.socket() as probe:
        probe.bind((HOST, 0))
        return int(probe.getsockname()[1])


def _children(pid: int) -> list[int]:
    """Process ids below ``pid``, ``pid`` first (Linux; elsewhere only ``pid``)."""
    found = [pid]
    for parent in found:
        for task in Path(f"/proc/{parent}/task").glob("*/children"):
            with contextlib.suppress(OSError):
                found.extend(int(child) for child in task.read_text().split())
    return found


def _processor_seconds(pid: int) -> float:
    """Processor time of one process so far; zero once it is gone."""
    try:
        # The name, in parentheses, may hold spaces; user and system time are 12 fields behind it.
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return 0.0
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def _memory_of(pid: int) -> tuple[int, int]:
    """Private and resident bytes of one process; zeros once it is gone."""
    values = {"RssAnon": 0, "VmRSS": 0}
    with contextlib.suppress(OSError):
        for text in Path(f"/proc/{pid}/status").read_text().splitlines():
            name, _, rest = text.partition(":")
            if name in values:
                values[name] = int(rest.split()[0]) * 1024
    return values["RssAnon"], values["VmRSS"]


class Server:
    """A process that serves HTTP. Use as a context manager, or call ``stop``."""

    def __init__(
        self,
        arguments: Sequence[str],
        log: Path,
        *,
        ready_path: str = "/readyz",
        environment: Mapping[str, str] | None = None,
    ) -> None:
        """Start it; ``{port}`` in an argument becomes its port.

        Raises:
            ServerFaultError: it is not ready in time; the end of its log is in the message.
        """
        self.port = free_port()
        self.key = secrets.token_urlsafe(32)
        self.log = log
        command = [each.replace("{port}", str(self.port)) for each in arguments]
        with log.open("wb") as output:
            self._process = subprocess.Popen(
                [sys.executable, *command],
                cwd=ROOT,
                env={
                    **os.environ,
                    "ZERATUL_ROOT_KEY": self.key,
                    **(environment or {}),
                },
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
            )
        try:
            self._wait_until_ready(ready_path)
        except BaseException:
            self.stop()
            raise

    @property
    def pid(self) -> int:
        """Process id of the first process."""
        return self._process.pid

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *details: object) -> None:
        self.stop()

    def _wait_until_ready(self, path: str) -> None:
        deadline = time.monotonic() + START_TIMEOUT_S
        while time.monotonic() < deadline:
            if self._process.poll() is not None:
                break
            with contextlib.suppress(OSError, http.client.HTTPException):
                connection = http.client.HTTPConnection(HOST, self.port, timeout=5)
                with contextlib.closing(connection):
                    connection.request("GET", path)
                    if connection.getresponse().status == http.HTTPStatus.OK:
                        return
            time.sleep(0.05)
        raise ServerFaultError(f"the server did not get ready\n{self.log_end()}")

    def log_end(self, characters: int = 2_000) -> str:
        """The last of what it printed, without its key."""
        text = self.log.read_text(errors="replace") if self.log.exists() else ""
        return text[-characters:].replace(self.key, "…")

    def alive(self) -> bool:
        """Whether its first process still runs."""
        return self._process.poll() is None

    def memory(self) -> Memory:
        """What its processes hold now."""
        measured = [_memory_of(pid) for pid in _children(self.pid)]
        return Memory(
            processes=len(measured),
            private=sum(private for private, _ in measured),
            resident=sum(resident for _, resident in measured),
        )

    def processor_seconds(self) -> float:
        """Processor time of all its processes so far (0 where the system does not say)."""
        return sum(_processor_seconds(pid) for pid in _children(self.pid))

    def stop(self) -> None:
        """Ask it to end; end it and its own children by id if it does not."""
        if self._process.poll() is not None:
            return
        family = _children(self.pid)
        self._process.send_signal(signal.SIGTERM)
        try:
            self._process.wait(STOP_TIMEOUT_S)
        except subprocess.TimeoutExpired:
            for pid in family:
                with contextlib.suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)
            self._process.wait(STOP_TIMEOUT_S)


def zeratul(data: Path, *, workers: int = 1, options: Sequence[str] = ()) -> Server:
    """A Zeratul server on a data directory, which is made if need be.

    Raises:
        ServerFaultError: it is not ready in time.
    """
    data.mkdir(parents=True, exist_ok=True)
    return Server(
        [
            "-m",
            "zeratul",
            "serve",
            "--data",
            str(data),
            "--host",
            HOST,
            "--port",
            "{port}",
            "--workers",
            str(workers),
            *options,
        ],
        data.with_suffix(".log"),
    )


@contextlib.contextmanager
def timed() -> Iterator[list[float]]:
    """A list that holds the seconds its block took, once it ended."""
    seconds: list[float] = []
    started = time.perf_counter()
    yield seconds
    seconds.append(time.perf_counter() - started)

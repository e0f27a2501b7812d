"""Servers: the application on a socket in this process, and whole servers in processes."""

from __future__ import annotations

import asyncio
import json
import os
import re
import signal
import subprocess
import sys
import threading
from contextlib import contextmanager
from itertools import count
from typing import TYPE_CHECKING

from aiohttp import web

from tests.api.client import MODEL, Client
from zeratul.api.app import create_app
from zeratul.api.serving import make_runner
from zeratul.api.settings import ApiSettings
from zeratul.door import open_services
from zeratul.service.services import system_clock_ms

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from zeratul.domain.limits import Limits

ROOT_KEY = "a-root-key-for-tests"
_names = count(1)


@contextmanager
def serving(
    data: Path,
    *,
    limits: Limits,
    map_bytes: int = 1 << 30,
    linger_s: float = 2,
    clock_ms: Callable[[], int] = system_clock_ms,
) -> Iterator[Client]:
    """The application on a free port, answered by a thread of this process."""
    services = open_services(data, limits=limits, map_bytes=map_bytes, clock_ms=clock_ms)
    services.keys.ensure_root(ROOT_KEY)
    ports: list[int] = []
    started = threading.Event()
    stop = asyncio.Event()
    loops: list[asyncio.AbstractEventLoop] = []

    async def serve() -> None:
        runner = make_runner(create_app(services, ApiSettings(limits=limits)), linger_s=linger_s)
        await runner.setup()
        site = web.TCPSite(runner, "127.0.0.1", 0)
        await site.start()
        loops.append(asyncio.get_running_loop())
        ports.append(runner.addresses[0][1])
        started.set()
        await stop.wait()
        await runner.cleanup()

    thread = threading.Thread(target=asyncio.run, args=(serve(),))
    thread.start()
    try:
        assert started.wait(30)
        yield Client(ports[0], ROOT_KEY)
    finally:
        loops[0].call_soon_threadsafe(stop.set)
        thread.join()
        services.close()


def new_application(root: Client) -> Client:
    """A fresh application with the model of these tests."""
    made = root.post("/api/v1/applications", {"name": f"test-{next(_names)}"})
    assert made.status == 201, made.body
    app = made.json["id"]
    put = root.call("PUT", f"/api/v1/applications/{app}/model", MODEL)
    assert put.status == 200, put.body
    return root.within(app)


class Server:
    """A whole server: `zeratul serve`, with its processes."""

    def __init__(self, data: Path, *options: str, key: str | None = ROOT_KEY) -> None:
        env = {name: text for name, text in os.environ.items() if "ZERATUL" not in name}
        if key is not None:
            env["ZERATUL_ROOT_KEY"] = key
        self.data = data
        self.log = data.with_suffix(".log")
        with self.log.open("ab") as log:
            self.process = subprocess.Popen(
                [
                    *(sys.executable, "-m", "zeratul", "serve", "--data", str(data)),
                    *("--port", "0", "--map-size", "1", *options),
                ],
                stdout=subprocess.PIPE,
                stderr=log,
                env=env,
                text=True,
            )
        self.said: list[str] = []
        for line in self.process.stdout:
            self.said.append(line)
            found = re.search(r"http://127\.0\.0\.1:(\d+)", line)
            if found:
                self.port = int(found[1])
                return
        self.process.wait(60)
        self.process.stdout.close()
        raise AssertionError(f"no server: {self.said} {self.log.read_text()}")

    def client(self, key: str = ROOT_KEY) -> Client:
        return Client(self.port, key)

    def events(self, name: str) -> list[dict]:
        rows = [json.loads(line) for line in self.log.read_text().splitlines() if line[:1] == "{"]
        return [row for row in rows if row["event"] == name]

    def stop(self) -> int:
        self.process.send_signal(signal.SIGTERM)
        code = self.process.wait(60)
        self.process.stdout.close()
        return code

"""An issuer on a socket: publishes keys as it is told to, and counts who asks."""

from __future__ import annotations

import asyncio
import json
import threading
import time
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from aiohttp import web

from tests.token_makers import AUDIENCE, Signer, claims, key_set

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.api.client import Answer, Client


@dataclass
class Issuer:
    """What the issuer answers, and how often it was asked.

    Attributes:
        name: its ``iss``.
        signer: whose key it publishes first.
        asked: requests so far.
        body, status, headers: the answer.
        open: while not set, nobody is answered.
    """

    port: int
    name: str
    signer: Signer
    asked: int = 0
    body: bytes = b""
    status: int = 200
    headers: dict[str, str] = field(default_factory=dict)
    open: threading.Event = field(default_factory=threading.Event)

    @property
    def uri(self) -> str:
        return f"http://127.0.0.1:{self.port}/jwks.json"

    def publish(self, *signers: Signer) -> None:
        self.status, self.headers = 200, {"Content-Type": "application/jwk-set+json"}
        self.body = json.dumps(key_set(*signers)).encode()

    def token(self, *, signer: Signer | None = None, **more: object) -> str:
        """A token that is good now but for what the caller changes."""
        said = claims(time.time_ns() // 1_000_000, **{"iss": self.name, **more})
        return (signer or self.signer).token(said)

    def trusted_by(self, client: Client, **more: object) -> Answer:
        """Have an application trust it, under the id ``main``."""
        app = client.headers.get("X-Zeratul-Application", "default")
        body = {"issuer": self.name, "audience": AUDIENCE, "jwksUri": self.uri, **more}
        answer = client.call("PUT", f"/api/v1/applications/{app}/issuers/main", body)
        assert answer.status in (200, 201), answer.body
        return answer


@contextmanager
def issuing(name: str, signer: Signer | None = None) -> Iterator[Issuer]:
    """An issuer on a free port, answered by a thread of this process."""
    issuer = Issuer(0, name, signer or Signer())
    issuer.publish(issuer.signer)
    issuer.open.set()
    started = threading.Event()
    stop = asyncio.Event()
    loops: list[asyncio.AbstractEventLoop] = []

    async def answer(_: web.Request) -> web.StreamResponse:
        issuer.asked += 1
        await asyncio.to_thread(issuer.open.wait)
        return web.Response(body=issuer.body, status=issuer.status, headers=issuer.headers)

    async def serve() -> None:
        app = web.Application()
        app.router.add_route("*", "/{path:.*}", answer)
        runner = web.AppRunner(app, shutdown_timeout=0)
        await runner.setup()
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        issuer.port = runner.addresses[0][1]
        loops.append(asyncio.get_running_loop())
        started.set()
        await stop.wait()
        await runner.cleanup()

    thread = threading.Thread(target=asyncio.run, args=(serve(),))
    thread.start()
    try:
        assert started.wait(30)
        yield issuer
    finally:
        issuer.open.set()
        loops[0].call_soon_threadsafe(stop.set)
        thread.join()


def bearer(token: str) -> dict[str, Any]:
    """The header, as a keyword of a call."""
    return {"headers": {"Authorization": f"Bearer {token}"}}

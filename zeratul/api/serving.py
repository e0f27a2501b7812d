"""The application on a socket: aiohttp's runner with our limits and our documents for bad HTTP."""

from __future__ import annotations

import secrets
from typing import TYPE_CHECKING, Any

import structlog
from aiohttp import web
from aiohttp.http import RawRequestMessage
from aiohttp.streams import EMPTY_PAYLOAD
from aiohttp.web_protocol import RequestHandler

from zeratul.api.authaz import problems
from zeratul.api.express import EXPRESS, EXPRESS_BYTES_MAX
from zeratul.api.failures import HttpError
from zeratul.api.reception import problem_response

if TYPE_CHECKING:
    import asyncio

    from aiohttp.web_request import BaseRequest

    from zeratul.api.express import Express

log = structlog.get_logger("zeratul.api")

# LIMIT: an idle or silent connection, its first request included, is closed after this.
KEEPALIVE_TIMEOUT_S = 75.0
# LIMIT: request line and one header line; who-can names two ids of 1,024 characters, escaped.
LINE_BYTES_MAX = 16 * 1024
HEADERS_MAX = 64
# LIMIT: how long the rest of a refused body is read before the connection is closed.
LINGER_S = 2.0
# LIMIT: how long the express lane waits for the body of a request whose head came alone, as some
# clients send it; after that it is a slow body, and the ordinary way has a time limit for those.
PATIENCE_S = 0.005


def make_runner(
    app: web.Application, *, shutdown_timeout_s: float = 20.0, linger_s: float = LINGER_S
) -> web.AppRunner:
    """A runner for the application, to be set up and given sites."""
    return _Runner(
        app,
        access_log=None,
        keepalive_timeout=KEEPALIVE_TIMEOUT_S,
        max_line_size=LINE_BYTES_MAX,
        max_field_size=LINE_BYTES_MAX,
        max_headers=HEADERS_MAX,
        lingering_time=linger_s,
        auto_decompress=False,  # a bomb is refused by its Content-Encoding, never opened
        shutdown_timeout=shutdown_timeout_s,
    )


class _Runner(web.AppRunner):
    """Makes our connections; those of an application with an express lane use it."""

    async def _make_server(self) -> web.Server:
        made = await super()._make_server()
        return _Server(
            self.app.get(EXPRESS),
            made.request_handler,
            request_factory=made.request_factory,
            handler_cancellation=made.handler_cancellation,
            loop=made._loop,  # noqa: SLF001 - aiohttp has no other place to name a protocol
            **made._kwargs,  # noqa: SLF001 - as above
        )


class _Server(web.Server):
    def __init__(self, express: Express | None, *arguments: Any, **options: Any) -> None:
        super().__init__(*arguments, **options)
        self._express = express

    def __call__(self) -> RequestHandler:
        if self._express is None:
            return _Connection(self, loop=self._loop, **self._kwargs)
        return _ExpressConnection(self, self._express, loop=self._loop, **self._kwargs)


class _Connection(RequestHandler):
    """Answers what is not HTTP with a problem document as well."""

    __slots__ = ()

    def handle_error(
        self,
        request: BaseRequest,
        status: int = 500,
        exc: BaseException | None = None,
        message: str | None = None,
    ) -> web.StreamResponse:
        if isinstance(exc, ConnectionError) or request.writer.output_size > 0:
            raise ConnectionError("the client is gone, or has the head of another answer")
        if status == 500:
            log.error("request failed outside of its handler", exc_info=exc)
            found = problems.problem(exc or RuntimeError(message))
        else:
            # What it says may show bytes of the request; that it is not HTTP is enough.
            found = problems.problem(HttpError(status, "the request is not valid HTTP"))
        response = problem_response(found, "", secrets.token_hex(8), {})
        response.force_close()
        return response


class _ExpressConnection(_Connection):
    """Answers a request of the express lane out of the read event, if nothing is before it."""

    __slots__ = ("_express", "_patience")

    def __init__(self, manager: web.Server, express: Express, **options: Any) -> None:
        super().__init__(manager, **options)
        self._express = express
        self._patience: asyncio.TimerHandle | None = None

    def data_received(self, data: bytes) -> None:
        """Parse what came; leave to the task of this connection what is not answered here."""
        waiter = self._waiter
        if waiter is None or waiter.done():  # an answer is being made: ours would overtake it
            super().data_received(data)
            return
        # While there is no waiter aiohttp only queues what it parsed.
        self._waiter = None
        try:
            super().data_received(data)
        finally:
            self._waiter = waiter
        messages = self._messages
        if not messages:
            return
        is_here = (
            len(messages) == 1
            and len(data) <= EXPRESS_BYTES_MAX
            and not self._paused  # else the client does not read: its answers must wait
            and self._answered(*messages[0])
        )
        if not is_here:
            self._wake()

    def _answered(self, message: Any, payload: Any) -> bool:
        """Answer the only queued request and take it off the queue, if that can be done here.

        Returns:
            False if the connection's task has to answer; True also while the rest of the body is
            waited for.
        """
        if (
            not isinstance(message, RawRequestMessage)  # else an error that aiohttp met
            or payload is EMPTY_PAYLOAD
        ):
            return False
        route = self._express.route(message)
        if route is None:
            return False
        peer = self.peername
        if not isinstance(peer, tuple):  # another process of this server tells the address itself
            return False
        if not payload.is_eof():
            if self._patience is None:
                self._patience = self._loop.call_later(PATIENCE_S, self._wake)
            return True
        # Looked at, not taken: the ordinary way may have to read it after all, and taking it
        # would make the connection read on from inside this event.
        raw = b"".join(payload._buffer)  # noqa: SLF001 - aiohttp has no other way to look
        answer = self._express.answer(route, message, raw, peer[0])
        transport, parser = self.transport, self._parser
        if answer is None or transport is None or parser is None:
            return False
        if self._patience is not None:
            self._patience.cancel()
            self._patience = None
        self._messages.popleft()
        parser.message_consumed()
        transport.write(answer)
        self._next_keepalive_close_time = self._loop.time() + self._keepalive_timeout
        return True

    def _wake(self) -> None:
        """Let the connection's task answer what is queued."""
        if self._patience is not None:
            self._patience.cancel()
            self._patience = None
        waiter = self._waiter
        if waiter is not None and not waiter.done():
            waiter.set_result(None)

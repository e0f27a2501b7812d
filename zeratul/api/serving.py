"""The application on a socket: aiohttp's runner with our limits and our documents for bad HTTP."""

from __future__ import annotations

import secrets
from typing import TYPE_CHECKING

import structlog
from aiohttp import web
from aiohttp.web_protocol import RequestHandler

from zeratul.api.authaz import problems
from zeratul.api.failures import HttpError
from zeratul.api.reception import problem_response

if TYPE_CHECKING:
    from aiohttp.web_request import BaseRequest

log = structlog.get_logger("zeratul.api")

# LIMIT: an idle or silent connection, its first request included, is closed after this.
KEEPALIVE_TIMEOUT_S = 75.0
# LIMIT: request line and one header line; who-can names two ids of 1,024 characters, escaped.
LINE_BYTES_MAX = 16 * 1024
HEADERS_MAX = 64
# LIMIT: how long the rest of a refused body is read before the connection is closed.
LINGER_S = 2.0


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
    async def _make_server(self) -> web.Server:
        made = await super()._make_server()
        return _Server(
            made.request_handler,
            request_factory=made.request_factory,
            handler_cancellation=made.handler_cancellation,
            loop=made._loop,  # noqa: SLF001 - aiohttp has no other place to name a protocol
            **made._kwargs,  # noqa: SLF001 - as above
        )


class _Server(web.Server):
    def __call__(self) -> RequestHandler:
        return _Connection(self, loop=self._loop, **self._kwargs)


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

"""Heavy calls go to the process for heavy calls, as they are, in small pieces.

Theory of operation: that process serves the same application on a Unix socket in a directory that
only this user may enter. The key goes along and is verified there again. Bodies are passed through
in pieces, of at most 16 KiB on their way in and 64 KiB on their way out, with a turn of the event
loop after each, so that a check never waits for more than one piece (design §4). What either side
breaks off, the other sees as broken off.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import aiohttp
from aiohttp import web
from multidict import CIMultiDict, istr

from zeratul.api.bodies import pieces, refuse_early
from zeratul.api.failures import HttpError
from zeratul.api.keys import REQUEST_ID
from zeratul.api.responses import SERVER
from zeratul.errors import LimitError, ZeratulError

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

    from yarl import URL

    from zeratul.api.routes import Handler
    from zeratul.domain.limits import Limits

# LIMIT: pieces of answers, and answers that are passed on whole. To hand one to the system takes
# some 20 µs, as for a quarter of it, and less than the turn of the loop around it.
ANSWER_PIECE_BYTES = 64 * 1024
# LIMIT: heavy calls in flight from one worker; more wait for their turn.
CONNECTIONS_MAX = 64
CONNECT_TIMEOUT_S = 2.0
_HOST = "http://heavy"

# Who sent a request, for the process it is passed on to; what a stranger says here is dropped.
ORIGIN_HEADER = istr("X-Zeratul-Origin")

# Headers about one connection are not passed on (RFC 9110 §7.6.1), nor are those set anew.
_HOP = frozenset(
    {
        "connection", "keep-alive", "proxy-authenticate", "proxy-authorization", "te", "trailer",
        "transfer-encoding", "upgrade", "host", "expect", "server", "date", "x-request-id",
    }
)  # fmt: skip


class Forwarder:
    """Passes requests on to the heavy process."""

    def __init__(self, socket: Path, limits: Limits) -> None:
        self._limits = limits
        self._path = str(socket)
        self._session: aiohttp.ClientSession | None = None

    async def start(self) -> None:
        """Make the session; needs a running event loop."""
        self._session = aiohttp.ClientSession(
            connector=aiohttp.UnixConnector(path=self._path, limit=CONNECTIONS_MAX),
            timeout=aiohttp.ClientTimeout(total=None, sock_connect=CONNECT_TIMEOUT_S),
            auto_decompress=False,
            cookie_jar=aiohttp.DummyCookieJar(),
            skip_auto_headers=("User-Agent", "Accept", "Accept-Encoding", "Content-Type"),
        )

    async def close(self) -> None:
        """Let go of the connections."""
        if self._session is not None:
            await self._session.close()

    async def reachable(self) -> bool:
        """Whether the heavy process answers."""
        try:
            async with self._connected.get(
                f"{_HOST}/healthz", timeout=aiohttp.ClientTimeout(total=CONNECT_TIMEOUT_S)
            ) as response:
                return response.status == 200
        except (aiohttp.ClientError, OSError, TimeoutError):
            return False

    def handler(self, body_limit: str | None) -> Handler:
        """A handler that passes every request on."""

        async def forward(request: web.Request) -> web.StreamResponse:
            return await self.stream(request, body_limit)

        return forward

    async def stream(self, request: web.Request, body_limit: str | None) -> web.StreamResponse:
        """Pass a request on with its body as it comes.

        Raises:
            HttpError: 503, the heavy process is not there.
            LimitError: the body is too large or too slow.
        """
        if not request.body_exists:
            return await self._pass(request, None)
        if body_limit is not None:
            refuse_early(request, self._limits, body_limit)
        return await self._pass(request, _Body(request, self._limits, body_limit))

    async def whole(self, request: web.Request, body: bytes) -> web.StreamResponse:
        """Pass a request on whose body was read already."""
        return await self._pass(request, body)

    @property
    def _connected(self) -> aiohttp.ClientSession:
        if self._session is None:
            raise RuntimeError("the forwarder was not started")
        return self._session

    async def _pass(self, request: web.Request, body: _Body | bytes | None) -> web.StreamResponse:
        headers = CIMultiDict(
            (name, value) for name, value in request.headers.items() if name.lower() not in _HOP
        )
        headers["X-Request-Id"] = request[REQUEST_ID]
        headers[ORIGIN_HEADER] = origin(request)
        answer: web.StreamResponse | None = None
        try:
            response = await self._connected.request(
                request.method,
                _target(request),
                headers=headers,
                data=body.pieces() if isinstance(body, _Body) else body,
                allow_redirects=False,
            )
            if isinstance(body, _Body):
                body.answered_by(response)
            try:
                length = response.content_length
                if length is not None and length <= ANSWER_PIECE_BYTES:
                    return _head(request, response, await response.content.read())
                answer = _head(request, response)
                await answer.prepare(request)
                async for piece in response.content.iter_chunked(ANSWER_PIECE_BYTES):
                    await answer.write(piece)
                    await asyncio.sleep(0)
                await answer.write_eof()
                return answer
            finally:
                # Closing stops an upload that was answered before its end; a connection whose
                # two bodies are done goes back to the pool by itself.
                response.close()
        except (aiohttp.ClientError, OSError, TimeoutError) as error:
            if answer is not None and answer.prepared:
                # The head is out: the only honest end is a broken connection.
                if request.transport is not None:
                    request.transport.abort()
                return answer
            if isinstance(body, _Body) and body.error is not None:
                raise body.error from error
            raise HttpError(
                503,
                "the process for uploads, exports and lists is not there at the moment"
                + _doubt(request.method, error),
                headers={"Retry-After": "1"},
            ) from error


def origin(request: web.Request) -> str:
    """The address a request came from, through the process that took it; empty when unknown.

    What a stranger's headers say of it is not believed: only over the Unix socket, where nobody
    but this server's own processes speaks, does the header count.
    """
    return request.remote or request.headers.get(ORIGIN_HEADER) or ""


def _doubt(method: str, error: Exception) -> str:
    """What a caller must know when a call was sent and never answered."""
    if method == "GET" or isinstance(error, aiohttp.ClientConnectorError):
        return ""
    return "; the write may have been applied: repeat it"


class _Body:
    """A request's body as the client's library takes it; keeps the error that ended it."""

    def __init__(self, request: web.Request, limits: Limits, limit: str | None) -> None:
        self._request = request
        self._limits = limits
        self._limit = limit
        self._response: aiohttp.ClientResponse | None = None
        self.error: ZeratulError | ConnectionError | None = None

    def answered_by(self, response: aiohttp.ClientResponse) -> None:
        """Break this response off when the body breaks off: its maker waits for the rest."""
        self._response = response
        self._break_off()

    def _break_off(self) -> None:
        # One that is only too slow is told so by whoever waits for it.
        gone = self.error is not None and not isinstance(self.error, LimitError)
        if gone and self._response is not None:
            self._response.close()

    async def pieces(self) -> AsyncIterator[bytes]:
        try:
            async for piece in pieces(self._request, self._limits, self._limit):
                yield piece
                await asyncio.sleep(0)
        except (ZeratulError, ConnectionError) as error:
            self.error = error
            self._break_off()
            raise


def _target(request: web.Request) -> URL:
    return type(request.rel_url)(_HOST + request.path_qs, encoded=True)


def _head(
    request: web.Request, response: aiohttp.ClientResponse, body: bytes | None = None
) -> web.StreamResponse:
    """The head of the answer, with the whole body if that is there."""
    headers = CIMultiDict(
        (name, value) for name, value in response.headers.items() if name.lower() not in _HOP
    )
    headers["X-Request-Id"] = request[REQUEST_ID]
    headers["Server"] = SERVER
    answer: web.StreamResponse
    if body is None:
        answer = web.StreamResponse(status=response.status, headers=headers)
    else:
        answer = web.Response(status=response.status, headers=headers, body=body)
    if response.status in (408, 413):
        answer.force_close()
    return answer

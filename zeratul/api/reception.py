"""The one layer around every handler: request id, key, counters, and errors as documents.

*Why one and not five*: each layer costs a coroutine on a path where the answer itself takes some
microseconds. What is here is what every request needs; the rest is in the handlers.

*Why not aiohttp's middlewares*: they are put around a handler anew for each request. A handler is
wrapped once, when its route is added, so the wrapper knows its route without looking it up; paths
without a route have one of their own, at the end of the router.

A handler that is marked heavy is not run where another process does that: the request goes on to
it as it is, after the key was verified here (and is verified there again: nothing is trusted
because it came through a socket).
"""

from __future__ import annotations

import base64
import binascii
import os
import re
from itertools import count
from time import perf_counter
from typing import TYPE_CHECKING

import structlog
from aiohttp import web
from aiohttp.hdrs import AUTHORIZATION
from multidict import istr

from zeratul.api.authaz import problems
from zeratul.api.failures import HttpError
from zeratul.api.forwarding import origin
from zeratul.api.keys import CALLER, REQUEST_ID
from zeratul.api.responses import CONTENT_TYPE_HEADER, REQUEST_ID_HEADER, SERVER, SERVER_HEADER
from zeratul.errors import MalformedError, UnauthenticatedError, UserScopeError

if TYPE_CHECKING:
    from collections.abc import Awaitable, Mapping

    from zeratul.api.bearer import Bearer
    from zeratul.api.forwarding import Forwarder
    from zeratul.api.metrics import RequestMetrics
    from zeratul.api.routes import Handler, Route
    from zeratul.service.ground.caller import Caller
    from zeratul.service.keys.keys import Keys

log = structlog.get_logger("zeratul.api")

KEY_HEADER = istr("X-API-Key")
APPLICATION_HEADER = istr("X-Zeratul-Application")
# LIMIT: a client's own id goes into logs and answers; nothing but these characters does.
_REQUEST_ID = re.compile(r"[A-Za-z0-9._\-]{1,64}")
BASIC_CHALLENGE = 'Basic realm="zeratul", charset="UTF-8"'
# Counted for a client that did not wait for its answer; it never sees this.
CLIENT_GONE = 499


class RequestIds:
    """Gives each request the id it is told by, in its answer and in logs."""

    def __init__(self) -> None:
        # Unique across processes and restarts, cheap within one.
        self._prefix = os.urandom(6).hex()
        self._numbers = count(1)

    def of(self, given: str | None) -> str:
        """The client's own id if it is fit to be repeated, else a new one."""
        if given is not None and _REQUEST_ID.fullmatch(given):
            return given
        return f"{self._prefix}-{next(self._numbers):x}"


class Reception:
    """Receives every request of one process."""

    def __init__(
        self,
        *,
        keys: Keys,
        bearer: Bearer,
        metrics: RequestMetrics,
        ids: RequestIds,
        forwarder: Forwarder | None,
        access_log: bool,
    ) -> None:
        self._keys = keys
        self._bearer = bearer
        self._metrics = metrics
        self._forwarder = forwarder
        self._ids = ids
        self._access_log = access_log

    def wrap(self, number: int, route: Route) -> Handler:
        """The route's handler with everything around it.

        Args:
            number: the route's place in the metrics.
            route: what is wrapped.
        """
        handler = route.handler
        if route.heavy and self._forwarder is not None:
            handler = self._forwarder.handler(route.body_limit)
        if route.entrance != "open":
            handler = self._behind_key(route, handler)
        observe, ids, access_log = self._metrics.observe, self._ids, self._access_log

        async def receive(request: web.Request) -> web.StreamResponse:
            started = perf_counter()
            request[REQUEST_ID] = ids.of(request.headers.get(REQUEST_ID_HEADER))
            try:
                response = await handler(request)
            except ConnectionError:
                # The client is gone, and with it whoever could be told.
                observe(number, CLIENT_GONE, perf_counter() - started)
                raise
            except Exception as error:  # noqa: BLE001 - the one boundary: each becomes a document
                response = _refusal(request, route, error)
            seconds = perf_counter() - started
            observe(number, response.status, seconds)
            if access_log:
                log.info(
                    "request",
                    method=request.method,
                    path=request.path,
                    status=response.status,
                    seconds=round(seconds, 6),
                    requestId=request[REQUEST_ID],
                )
            return response

        return receive

    def _behind_key(self, route: Route, handler: Handler) -> Handler:
        authenticate, narrow = self._keys.authenticate, self._bearer.narrow
        is_page = route.entrance == "page"
        names_application = "{appId}" in route.path
        # A service confirms the key against the snapshot it opens; pages have no service.
        deferred = not is_page and route.method != "*"

        def identify(request: web.Request) -> Caller:
            headers = request.headers
            secret = headers.get(KEY_HEADER)
            if secret is None and is_page:
                secret = basic_password(headers.get(AUTHORIZATION))
            if secret is None:
                raise UnauthenticatedError(
                    f"no key: send one in the header `{KEY_HEADER}`",
                    help="a browser asks for it: any user name, the key as password"
                    if is_page
                    else None,
                )
            application = (
                request.match_info["appId"]
                if names_application
                else headers.get(APPLICATION_HEADER)
            )
            return authenticate(
                secret, application, request[REQUEST_ID], ip=origin(request), deferred=deferred
            )

        def answer(request: web.Request) -> Awaitable[web.StreamResponse]:
            caller = identify(request)
            if AUTHORIZATION in request.headers:
                return answer_narrowed(request, caller)
            request[CALLER] = caller
            return handler(request)

        async def answer_narrowed(request: web.Request, caller: Caller) -> web.StreamResponse:
            caller = await narrow(request, caller)
            if is_page and caller.user_id is not None:
                # Pages are about the server, not about anybody.
                raise UserScopeError
            request[CALLER] = caller
            return await handler(request)

        return answer


def _refusal(request: web.Request, route: Route, error: Exception) -> web.Response:
    if isinstance(error, web.HTTPException):
        error = _of_aiohttp(error)
    found = problems.problem(error)
    request_id = request[REQUEST_ID]
    if found.status >= 500:
        log.error(
            "request failed",
            method=request.method,
            path=request.path,
            status=found.status,
            code=found.code,
            requestId=request_id,
            exc_info=error if found.status == 500 else None,
        )
    headers = dict(found.headers)
    if found.status == 401 and route.entrance == "page":
        headers["WWW-Authenticate"] = BASIC_CHALLENGE
    response = problem_response(found, request.path, request_id, headers)
    if found.status in (408, 413):
        # What is left of the body is not worth reading.
        response.force_close()
    return response


def problem_response(
    found: problems.Problem, instance: str, request_id: str, headers: Mapping[str, str]
) -> web.Response:
    """A problem as an answer."""
    return web.Response(
        status=found.status,
        body=problems.document(found, instance=instance, request_id=request_id),
        headers=(
            (CONTENT_TYPE_HEADER, problems.CONTENT_TYPE),
            (REQUEST_ID_HEADER, request_id),
            (SERVER_HEADER, SERVER),
            *headers.items(),
        ),
    )


def basic_password(header: str | None) -> str | None:
    """The password of HTTP basic authentication, or None without such a header.

    Raises:
        MalformedError: it is not what RFC 7617 says.
    """
    if header is None or not header.lower().startswith("basic "):
        return None
    try:
        pair = base64.b64decode(header[6:].strip().encode("ascii"), validate=True).decode("utf-8")
    except (ValueError, binascii.Error) as error:
        raise MalformedError("the header `Authorization` is not valid") from error
    return pair.partition(":")[2] or None


async def no_route(request: web.Request) -> web.StreamResponse:
    """For every path without a route, and every route without this method.

    Raises:
        HttpError: 404 or 405.
    """
    allowed: set[str] = set()
    for resource in request.app.router.resources():
        _, methods = await resource.resolve(request)
        allowed |= methods
    allowed.discard("*")
    if not allowed:
        raise HttpError(404, "no such path")
    headers = {"Allow": ", ".join(sorted(allowed))}
    raise HttpError(405, "the path does not take this method", headers=headers)


def _of_aiohttp(error: web.HTTPException) -> HttpError:
    """What aiohttp raised, in our words; its own text shows names of Python."""
    return HttpError(error.status, error.reason.lower())

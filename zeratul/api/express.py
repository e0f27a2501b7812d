"""Answers the usual short question as soon as its bytes are there.

*Decision*: a route that waits for nothing and changes nothing (``Route.express``) is answered by
the connection itself, out of what aiohttp's parser read. Context: a check costs some microseconds,
while a task, a request object, routing and a response object cost forty. Options: live with that,
another server, a parser of our own, or this. Outcome: aiohttp goes on to parse, and to do
everything else; ``api.serving`` stands on inner parts of its connections, so its version is bound.

*What keeps it right*: this lane only ever sends a 200. Whatever is unusual (another content type,
a Bearer token, a body that is late, a request of another process, any error) is left to the
ordinary way, which starts from the beginning; so each rule and each refusal stands in one place,
and nothing here can turn an error into a decision. Both ways send the same bytes, but for time and
request id.
"""

from __future__ import annotations

from time import perf_counter
from typing import TYPE_CHECKING

from aiohttp import web
from aiohttp.hdrs import AUTHORIZATION, CONTENT_ENCODING, CONTENT_TYPE, EXPECT
from aiohttp.http import HttpVersion11

from zeratul.api.reception import APPLICATION_HEADER, KEY_HEADER
from zeratul.api.responses import JSON, REQUEST_ID_HEADER, json_wire

if TYPE_CHECKING:
    from collections.abc import Sequence

    from aiohttp.http import RawRequestMessage

    from zeratul.api.metrics import RequestMetrics
    from zeratul.api.reception import RequestIds
    from zeratul.api.routes import ExpressHandler, Route
    from zeratul.domain.limits import Limits
    from zeratul.service.ground.decisions import Decisions
    from zeratul.service.keys.keys import Keys

    # Number in the metrics, and what answers.
    ExpressRoute = tuple[int, ExpressHandler]

# LIMIT: what one read may bring of a request that is answered here; more comes in pieces anyway.
EXPRESS_BYTES_MAX = 16 * 1024
# Its presence alone makes a request unusual.
_UNUSUAL = (AUTHORIZATION, CONTENT_ENCODING, EXPECT)


class Express:
    """The express lane of one process."""

    def __init__(
        self,
        table: Sequence[Route],
        *,
        keys: Keys,
        decisions: Decisions,
        metrics: RequestMetrics,
        ids: RequestIds,
        limits: Limits,
    ) -> None:
        """Take the express routes out of the table; their paths name no application.

        Args:
            table: all routes; a route's place in it is its number in the metrics.
            keys, decisions, metrics, ids: shared with the ordinary way.
            limits: of the body.
        """
        self._routes: dict[tuple[str, str], ExpressRoute] = {
            (route.method, route.path): (number, route.express)
            for number, route in enumerate(table)
            if route.express is not None
        }
        self._authenticate = keys.authenticate
        self._decisions = decisions
        self._observe = metrics.observe
        self._ids = ids
        self._body_bytes_max = limits.small_body_bytes_max

    def route(self, message: RawRequestMessage) -> ExpressRoute | None:
        """The route of a request that is answered here, judged by its head; else None."""
        found = self._routes.get((message.method, message.path))
        if found is None:
            return None
        headers = message.headers
        is_usual = (
            message.version == HttpVersion11
            and not message.should_close
            and not message.upgrade
            and headers.get(CONTENT_TYPE) == JSON
            and not any(name in headers for name in _UNUSUAL)
        )
        return found if is_usual else None

    def answer(
        self, route: ExpressRoute, message: RawRequestMessage, raw: bytes, peer: str
    ) -> bytes | None:
        """Head and body of a 200; None for any other answer.

        Args:
            route: what ``route`` found for the message.
            message: the head of the request.
            raw: the whole body.
            peer: the address it came from.
        """
        started = perf_counter()
        headers = message.headers
        secret = headers.get(KEY_HEADER)
        if secret is None or len(raw) > self._body_bytes_max:
            return None
        number, handler = route
        application = headers.get(APPLICATION_HEADER)
        request_id = self._ids.of(headers.get(REQUEST_ID_HEADER))
        try:
            # The service confirms the key against the snapshot it opens. Only a recorded decision
            # tells who asked, and in which request.
            if self._decisions.active:
                caller = self._authenticate(
                    secret, application, request_id, ip=peer, deferred=True
                )
            else:
                caller = self._authenticate(secret, application, deferred=True, told=False)
            body = handler(message, caller, raw)
        except Exception:  # noqa: BLE001 - met again by the ordinary way, and told there
            return None
        answer = json_wire(request_id, body)
        self._observe(number, 200, perf_counter() - started)
        return answer


EXPRESS: web.AppKey[Express] = web.AppKey("express")
"""The lane of an application that has one."""

"""What is known about a route before its handler runs."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from aiohttp import web
    from aiohttp.http import RawRequestMessage

    from zeratul.service.ground.caller import Caller

    Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]
    # Head of the request, who asks, the JSON text of the body -> the JSON text of a 200.
    ExpressHandler = Callable[[RawRequestMessage, Caller, bytes], bytes]

Entrance = Literal["key", "page", "open"]


@dataclass(frozen=True, slots=True)
class Route:
    """One method on one path.

    Attributes:
        method, path: as the router has them.
        handler: decodes, calls a service, encodes.
        entrance: ``key`` needs the header; ``page`` also takes it as the password of HTTP basic
            authentication, so that a browser can open it; ``open`` needs none.
        heavy: runs in the process for heavy calls, if there is one.
        body_limit: name of the limit of its body in ``Limits``; None for no body or a stream
            without end.
        express: answers the usual request of this route at once, without waiting for anything and
            without changing anything; whatever it raises is met again, and told, by ``handler``.
    """

    method: str
    path: str
    handler: Handler
    entrance: Entrance = "key"
    heavy: bool = False
    body_limit: str | None = None
    express: ExpressHandler | None = None

    @property
    def name(self) -> str:
        """Method and path, as metrics and the OpenAPI document name it."""
        return f"{self.method} {self.path}"

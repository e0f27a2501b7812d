"""What is about the server itself: health, readiness, metrics, the OpenAPI document, its page."""

from __future__ import annotations

from typing import TYPE_CHECKING

from zeratul.api.failures import HttpError
from zeratul.api.resources import openapi_document, page_file
from zeratul.api.responses import json_answer, json_bytes, page
from zeratul.api.routes import Route

if TYPE_CHECKING:
    from aiohttp import web

    from zeratul.api.forwarding import Forwarder
    from zeratul.api.metrics import RequestMetrics

METRICS_TYPE = "text/plain; version=1.0.0; charset=utf-8"


class PageHandlers:
    """Handlers outside of every contract."""

    def __init__(self, forwarder: Forwarder | None) -> None:
        self._forwarder = forwarder
        self._openapi = openapi_document()
        self._metrics: RequestMetrics | None = None

    def count_with(self, metrics: RequestMetrics) -> None:
        """Whose numbers ``/metrics`` shows; they need the list of routes first."""
        self._metrics = metrics

    def routes(self) -> list[Route]:
        """The table of these pages."""
        return [
            # Some balancers ask with HEAD.
            Route("GET", "/healthz", self.health, entrance="open"),
            Route("HEAD", "/healthz", self.health, entrance="open"),
            Route("GET", "/readyz", self.ready, entrance="open"),
            Route("HEAD", "/readyz", self.ready, entrance="open"),
            Route("GET", "/metrics", self.metrics, entrance="page"),
            Route("GET", "/openapi.json", self.openapi, entrance="page"),
            Route("GET", "/docs", self.docs, entrance="page"),
            Route("GET", "/docs/{file}", self.docs_file, entrance="page"),
        ]

    async def health(self, request: web.Request) -> web.StreamResponse:
        """This process answers."""
        return json_bytes(request, b'{"status":"ok"}')

    async def ready(self, request: web.Request) -> web.StreamResponse:
        """Every kind of request can be answered: the heavy process is there too."""
        if self._forwarder is not None and not await self._forwarder.reachable():
            raise HttpError(
                503,
                "the process for uploads, exports and lists is not there at the moment",
                headers={"Retry-After": "1"},
            )
        return json_answer(request, {"status": "ready"})

    async def metrics(self, request: web.Request) -> web.StreamResponse:
        """Counters of all processes of this server, for Prometheus."""
        if self._metrics is None:
            raise RuntimeError("the application was built without metrics")
        return json_bytes(request, self._metrics.render(), content_type=METRICS_TYPE)

    async def openapi(self, request: web.Request) -> web.StreamResponse:
        """The OpenAPI document of this server."""
        return json_bytes(request, self._openapi)

    async def docs(self, request: web.Request) -> web.StreamResponse:
        """The page that shows the OpenAPI document; needs no other server."""
        return page(request, *page_file("docs.html"))

    async def docs_file(self, request: web.Request) -> web.StreamResponse:
        """Script and style of that page."""
        name = request.match_info["file"]
        if name not in ("docs.js", "docs.css"):
            raise HttpError(404, "no such path")
        return page(request, *page_file(name))

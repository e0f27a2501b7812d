"""Builds the application: all contracts over one bundle of services, behind one layer."""

from __future__ import annotations

from typing import TYPE_CHECKING

from aiohttp import web

from zeratul.api.authaz.routes import routes as authaz_routes
from zeratul.api.bearer import Bearer
from zeratul.api.bodies import expect
from zeratul.api.express import EXPRESS, Express
from zeratul.api.forwarding import Forwarder
from zeratul.api.key_sets import KeySetFetcher
from zeratul.api.keys import METRICS, SERVICES, SETTINGS
from zeratul.api.metrics import RequestMetrics
from zeratul.api.pages import PageHandlers
from zeratul.api.paths import pattern
from zeratul.api.reception import Reception, RequestIds, no_route
from zeratul.api.routes import Route
from zeratul.api.work import Work

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable

    from zeratul.api.settings import ApiSettings
    from zeratul.service.services import Services


def create_app(services: Services, settings: ApiSettings) -> web.Application:
    """The application of one process.

    Args:
        services: what all handlers call; the caller opens and closes them.
        settings: how this process serves.
    """
    limits = settings.limits
    forwarder = Forwarder(settings.heavy_socket, limits) if settings.heavy_socket else None
    work = Work(limits)
    pages = PageHandlers(forwarder)
    table = [
        *authaz_routes(services, limits, work, forwarder, floor=settings.floor),
        *pages.routes(),
    ]
    # Last, so that it gets what no other route took.
    table.append(Route("*", "/{path:.*}", no_route))
    metrics = RequestMetrics(
        [route.name for route in table],
        services.store.statistics,
        directory=settings.metrics_directory,
        slot=settings.slot,
    )
    pages.count_with(metrics)
    services.decisions.on_count = metrics.count
    bearer = Bearer(services.tokens, KeySetFetcher())
    ids = RequestIds()
    reception = Reception(
        keys=services.keys,
        bearer=bearer,
        metrics=metrics,
        ids=ids,
        forwarder=forwarder,
        access_log=settings.access_log,
    )
    app = web.Application()
    for number, route in enumerate(table):
        app.router.add_route(
            route.method, pattern(route.path), reception.wrap(number, route), expect_handler=expect
        )
    app[SERVICES] = services
    app[SETTINGS] = settings
    app[METRICS] = metrics
    # A log of every request is written by the ordinary way.
    if not settings.access_log:
        app[EXPRESS] = Express(
            table,
            keys=services.keys,
            decisions=services.decisions,
            metrics=metrics,
            ids=ids,
            limits=limits,
        )
    app.cleanup_ctx.append(_lifetime(work, forwarder, bearer))
    return app


def _lifetime(
    work: Work, forwarder: Forwarder | None, bearer: Bearer
) -> Callable[[web.Application], AsyncIterator[None]]:
    async def running(_: web.Application) -> AsyncIterator[None]:
        if forwarder is not None:
            await forwarder.start()
        await bearer.start()
        yield
        await bearer.close()
        if forwarder is not None:
            await forwarder.close()
        work.close()

    return running

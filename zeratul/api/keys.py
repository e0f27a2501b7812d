"""Typed keys of what a request carries and an application shares."""

from __future__ import annotations

from typing import TYPE_CHECKING

from aiohttp import web

from zeratul.service.ground.caller import Caller

if TYPE_CHECKING:
    from zeratul.api.metrics import RequestMetrics
    from zeratul.api.settings import ApiSettings
    from zeratul.service.services import Services

CALLER = web.RequestKey("caller", Caller)
REQUEST_ID = web.RequestKey("request_id", str)

SERVICES: web.AppKey[Services] = web.AppKey("services")
SETTINGS: web.AppKey[ApiSettings] = web.AppKey("settings")
METRICS: web.AppKey[RequestMetrics] = web.AppKey("metrics")

"""Applications, their models, settings and keys over HTTP (contract authaz §7)."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, cast

import orjson

from zeratul.api.authaz import encoding, reading
from zeratul.api.authaz.administration_bodies import RotateBody, SettingsBody
from zeratul.api.authaz.labels import IF_MATCH, tagged
from zeratul.api.authaz.reading import ZOOKIE_HEADER
from zeratul.api.authaz.structures import ApplicationBody, KeyBody
from zeratul.api.bodies import read_json
from zeratul.api.keys import CALLER
from zeratul.api.paths import path_text
from zeratul.api.queries import Query
from zeratul.api.responses import json_answer, json_bytes, no_content
from zeratul.api.routes import Route
from zeratul.api.work import idempotency
from zeratul.errors import MalformedError
from zeratul.service.ground.decoding import Decoder
from zeratul.service.ground.etags import etag_of
from zeratul.service.ground.idempotency import Replay
from zeratul.service.ground.setting_documents import (
    ApplicationSettings,
    DecisionLog,
    pack_settings,
    settings_json,
)
from zeratul.service.ground.times import parse_time

if TYPE_CHECKING:
    from concurrent.futures import Future

    from aiohttp import web

    from zeratul.api.work import Work
    from zeratul.domain.limits import Limits
    from zeratul.service.administration.application_answers import Application
    from zeratul.service.ground.setting_documents import DecisionMode
    from zeratul.service.keys.key_answers import NewKey
    from zeratul.service.services import Services

_APPLICATION = Decoder(ApplicationBody)
_KEY = Decoder(KeyBody)
_ROTATE = Decoder(RotateBody)
_SETTINGS = Decoder(SettingsBody)

_PAGING = ("pageSize", "cursor")


class AdministrationHandlers:
    """Handlers of ``/applications`` and ``/api-keys``."""

    def __init__(self, services: Services, limits: Limits, work: Work) -> None:
        self._applications = services.applications
        self._settings = services.settings
        self._models = services.models
        self._keys = services.keys
        self._limits = limits
        self._work = work

    def routes(self) -> list[Route]:
        """The table of this area."""
        applications, keys = "/api/v1/applications", "/api/v1/api-keys"
        one, key = f"{applications}/{{appId}}", f"{keys}/{{keyId}}"
        body = "model_bytes_max"
        return [
            Route("POST", applications, self.create_application),
            Route("GET", applications, self.list_applications),
            Route("GET", one, self.get_application),
            Route("DELETE", one, self.delete_application),
            Route("GET", f"{one}/model", self.get_model),
            Route("PUT", f"{one}/model", self.put_model, heavy=True, body_limit=body),
            Route("GET", f"{one}/settings", self.get_settings),
            Route("PUT", f"{one}/settings", self.put_settings),
            Route("POST", keys, self.create_key),
            Route("GET", keys, self.list_keys),
            Route("GET", key, self.get_key),
            Route("DELETE", key, self.delete_key),
            Route("POST", f"{key}/rotate", self.rotate_key),
        ]

    # --- Applications.

    async def create_application(self, request: web.Request) -> web.StreamResponse:
        """``POST /applications``: with the root key only."""
        Query(request, ())
        raw = await read_json(request, self._limits, "small_body_bytes_max")
        body = _APPLICATION(raw)
        answer = await self._work.durable(
            self._applications.create(
                request[CALLER],
                body.name,
                body.tenancy_type,
                idempotency=idempotency(request, raw, self._limits, _render_application),
            )
        )
        if isinstance(answer, Replay):
            return json_bytes(request, answer.body, answer.status)
        return json_answer(request, encoding.application(answer), 201)

    async def list_applications(self, request: web.Request) -> web.StreamResponse:
        """``GET /applications``: in pages."""
        query = Query(request, _PAGING)
        found = self._applications.list(request[CALLER], page=reading.page(query, self._limits))
        rows = [encoding.application(each) for each in found.rows]
        return json_answer(request, encoding.page_of(found, rows))

    async def get_application(self, request: web.Request) -> web.StreamResponse:
        """``GET /applications/{appId}``."""
        Query(request, ())
        found = self._applications.get(request[CALLER], path_text(request, "appId"))
        return json_answer(request, encoding.application(found))

    async def delete_application(self, request: web.Request) -> web.StreamResponse:
        """``DELETE /applications/{appId}``: everything in it; confirmed by its name."""
        confirm = Query(request, ("confirm",)).text("confirm")
        zookie = await self._work.durable(
            self._applications.delete(request[CALLER], path_text(request, "appId"), confirm)
        )
        return no_content(request, {ZOOKIE_HEADER: zookie})

    # --- Models and settings.

    async def get_model(self, request: web.Request) -> web.StreamResponse:
        """``GET /applications/{appId}/model``."""
        Query(request, ())
        return tagged(request, encoding.model(self._models.get(request[CALLER])))

    async def put_model(self, request: web.Request) -> web.StreamResponse:
        """``PUT /applications/{appId}/model``: the body is the model itself."""
        query = Query(request, ("force", "dryRun"))
        force, dry_run = query.flag("force"), query.flag("dryRun")
        raw = await read_json(request, self._limits, "model_bytes_max")
        try:
            document: object = orjson.loads(raw)
        except orjson.JSONDecodeError as error:
            raise MalformedError(f"the body is not JSON: {error.msg}") from None
        caller = request[CALLER]
        future = await self._work.run(
            partial(
                self._models.put,
                caller,
                document,
                if_match=request.headers.get(IF_MATCH),
                force=force,
                dry_run=dry_run,
            )
        )
        return tagged(request, encoding.model_put(await self._work.durable(future)))

    async def get_settings(self, request: web.Request) -> web.StreamResponse:
        """``GET /applications/{appId}/settings``."""
        Query(request, ())
        return tagged(request, _settings_json(self._settings.get(request[CALLER])))

    async def put_settings(self, request: web.Request) -> web.StreamResponse:
        """``PUT /applications/{appId}/settings``: what is left out is as it was built in."""
        Query(request, ())
        body = _SETTINGS(await read_json(request, self._limits, "small_body_bytes_max"))
        settings = ApplicationSettings()
        if body.decision_log is not None:
            # The service tells a mode that is none.
            mode = cast("DecisionMode", body.decision_log.mode)
            settings = ApplicationSettings(DecisionLog(mode, body.decision_log.sample))
        answer = await self._work.durable(
            self._settings.put(request[CALLER], settings, if_match=request.headers.get(IF_MATCH))
        )
        return tagged(request, _settings_json(answer.settings) | {"zookie": answer.zookie})

    # --- Keys.

    async def create_key(self, request: web.Request) -> web.StreamResponse:
        """``POST /api-keys``: the answer is the only place that ever shows the secret."""
        Query(request, ())
        raw = await read_json(request, self._limits, "small_body_bytes_max")
        body = _KEY(raw)
        expires_at_ms = None
        if body.expires_at is not None:
            expires_at_ms = parse_time(body.expires_at, field="expiresAt")
        return await self._secret(
            request,
            self._keys.create(
                request[CALLER],
                body.name,
                body.permissions,
                expires_at_ms,
                tenant_id=body.tenant_id,
                idempotency=idempotency(request, raw, self._limits, _render_created_key),
            ),
            201,
        )

    async def rotate_key(self, request: web.Request) -> web.StreamResponse:
        """``POST /api-keys/{id}/rotate``: a new secret, shown once; the body may be absent."""
        Query(request, ())
        raw = b"{}"
        if request.can_read_body:
            raw = await read_json(request, self._limits, "small_body_bytes_max")
        body = _ROTATE(raw)
        return await self._secret(
            request,
            self._keys.rotate(
                request[CALLER],
                path_text(request, "keyId"),
                body.grace_seconds,
                idempotency=idempotency(request, raw, self._limits, _render_rotated_key),
            ),
            200,
        )

    async def _secret(
        self, request: web.Request, future: Future[NewKey | Replay], status: int
    ) -> web.StreamResponse:
        answer = await self._work.durable(future)
        if isinstance(answer, Replay):
            return json_bytes(request, answer.body, answer.status)
        return json_answer(request, encoding.new_key(answer), status)

    async def list_keys(self, request: web.Request) -> web.StreamResponse:
        """``GET /api-keys``: of this application, or this key's tenant, without secrets."""
        query = Query(request, _PAGING)
        found = self._keys.list(request[CALLER], page=reading.page(query, self._limits))
        rows = [encoding.key(each) for each in found.rows]
        return json_answer(request, encoding.page_of(found, rows))

    async def get_key(self, request: web.Request) -> web.StreamResponse:
        """``GET /api-keys/{id}``: without its secret."""
        Query(request, ())
        found = self._keys.get(request[CALLER], path_text(request, "keyId"))
        return json_answer(request, encoding.key(found))

    async def delete_key(self, request: web.Request) -> web.StreamResponse:
        """``DELETE /api-keys/{id}``: effective on the next call."""
        Query(request, ())
        zookie = await self._work.durable(
            self._keys.delete(request[CALLER], path_text(request, "keyId"))
        )
        return no_content(request, {ZOOKIE_HEADER: zookie})


def _settings_json(settings: ApplicationSettings) -> dict[str, object]:
    return settings_json(settings) | {"etag": etag_of(pack_settings(settings))}


def _render_application(answer: Application) -> tuple[int, bytes]:
    return 201, orjson.dumps(encoding.application(answer))


def _render_created_key(answer: NewKey) -> tuple[int, bytes]:
    return 201, orjson.dumps(encoding.new_key(answer))


def _render_rotated_key(answer: NewKey) -> tuple[int, bytes]:
    return 200, orjson.dumps(encoding.new_key(answer))

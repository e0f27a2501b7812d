"""Applications, their models and their keys over HTTP (contract authaz §7)."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

import orjson

from zeratul.api.authaz import encoding
from zeratul.api.authaz.reading import ZOOKIE_HEADER
from zeratul.api.authaz.structures import ApplicationBody, KeyBody
from zeratul.api.bodies import read_json
from zeratul.api.decoding import Decoder
from zeratul.api.keys import CALLER
from zeratul.api.queries import Query
from zeratul.api.responses import json_answer, json_bytes, no_content
from zeratul.api.work import idempotency
from zeratul.errors import MalformedError, ValidationError
from zeratul.service.idempotency import Replay
from zeratul.service.times import parse_time

if TYPE_CHECKING:
    from aiohttp import web

    from zeratul.api.work import Work
    from zeratul.domain.limits import Limits
    from zeratul.service.answers import Application, NewKey
    from zeratul.service.services import Services

_APPLICATION = Decoder(ApplicationBody)
_KEY = Decoder(KeyBody)


class AdministrationHandlers:
    """Handlers of ``/applications`` and ``/api-keys``."""

    def __init__(self, services: Services, limits: Limits, work: Work) -> None:
        self._applications = services.applications
        self._models = services.models
        self._keys = services.keys
        self._limits = limits
        self._work = work

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
        """``GET /applications``."""
        Query(request, ())
        found = self._applications.list(request[CALLER])
        return json_answer(
            request, encoding.one_page([encoding.application(each) for each in found])
        )

    async def get_application(self, request: web.Request) -> web.StreamResponse:
        """``GET /applications/{appId}``."""
        Query(request, ())
        found = self._applications.get(request[CALLER], request.match_info["appId"])
        return json_answer(request, encoding.application(found))

    async def get_model(self, request: web.Request) -> web.StreamResponse:
        """``GET /applications/{appId}/model``."""
        Query(request, ())
        return json_answer(request, encoding.model(self._models.get(request[CALLER])))

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
            partial(self._models.put, caller, document, force=force, dry_run=dry_run)
        )
        return json_answer(request, encoding.model_put(await self._work.durable(future)))

    async def create_key(self, request: web.Request) -> web.StreamResponse:
        """``POST /api-keys``: the answer is the only place that ever shows the secret."""
        Query(request, ())
        raw = await read_json(request, self._limits, "small_body_bytes_max")
        body = _KEY(raw)
        if body.tenant_id is not None:
            raise ValidationError({"tenantId": ["tenants are not supported yet"]})
        expires_at_ms = None
        if body.expires_at is not None:
            expires_at_ms = parse_time(body.expires_at, field="expiresAt")
        answer = await self._work.durable(
            self._keys.create(
                request[CALLER],
                body.name,
                body.permissions,
                expires_at_ms,
                idempotency=idempotency(request, raw, self._limits, _render_key),
            )
        )
        if isinstance(answer, Replay):
            return json_bytes(request, answer.body, answer.status)
        return json_answer(request, encoding.new_key(answer), 201)

    async def list_keys(self, request: web.Request) -> web.StreamResponse:
        """``GET /api-keys``: of this application, without secrets."""
        Query(request, ())
        found = self._keys.list(request[CALLER])
        return json_answer(request, encoding.one_page([encoding.key(each) for each in found]))

    async def delete_key(self, request: web.Request) -> web.StreamResponse:
        """``DELETE /api-keys/{id}``: effective on the next call."""
        Query(request, ())
        zookie = await self._work.durable(
            self._keys.delete(request[CALLER], request.match_info["keyId"])
        )
        return no_content(request, {ZOOKIE_HEADER: zookie})


def _render_application(answer: Application) -> tuple[int, bytes]:
    return 201, orjson.dumps(encoding.application(answer))


def _render_key(answer: NewKey) -> tuple[int, bytes]:
    return 201, orjson.dumps(encoding.new_key(answer))

"""Policies over HTTP (contract authaz §3)."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any

import orjson

from zeratul.api.authaz import encoding, reading
from zeratul.api.authaz.labels import IF_MATCH, PAGING, labelled, rendered, tagged
from zeratul.api.authaz.policies_bodies import PolicyBody, PolicyPatchBody
from zeratul.api.authaz.reading import ZOOKIE_HEADER
from zeratul.api.bodies import read_json
from zeratul.api.keys import CALLER
from zeratul.api.paths import path_text
from zeratul.api.queries import Query
from zeratul.api.responses import json_answer, no_content
from zeratul.api.routes import Route
from zeratul.api.work import idempotency
from zeratul.service.ground.decoding import Decoder

if TYPE_CHECKING:
    from aiohttp import web

    from zeratul.api.work import Work
    from zeratul.domain.limits import Limits
    from zeratul.service.roles.role_answers import Labelled, Policy
    from zeratul.service.services import Services

_POLICY = Decoder(PolicyBody)
_PATCH = Decoder(PolicyPatchBody)


class PolicyHandlers:
    """Handlers of ``/applications/{appId}/policies``."""

    def __init__(self, services: Services, limits: Limits, work: Work) -> None:
        self._service = services.policies
        self._limits = limits
        self._work = work

    def routes(self) -> list[Route]:
        """The table of this area."""
        policies = "/api/v1/applications/{appId}/policies"
        one, small = f"{policies}/{{policyId}}", "small_body_bytes_max"
        return [
            Route("POST", policies, self.create),
            Route("GET", policies, self.list, heavy=True, body_limit=small),
            Route("GET", one, self.get),
            Route("PUT", one, self.put),
            Route("PATCH", one, self.patch),
            Route("DELETE", one, self.delete, heavy=True, body_limit=small),
        ]

    async def create(self, request: web.Request) -> web.StreamResponse:
        """``POST …/policies``."""
        Query(request, ())
        raw = await read_json(request, self._limits, "small_body_bytes_max")
        body = _POLICY(raw)
        create = partial(
            self._service.create,
            request[CALLER],
            labelled(body.name, body.description, body.permissions),
            idempotency=idempotency(request, raw, self._limits, _render_created),
        )
        # In a thread: finding the nearest of many names takes its time.
        answer = await self._work.durable(await self._work.run(create))
        return rendered(request, answer, _render_created)

    async def list(self, request: web.Request) -> web.StreamResponse:
        """``GET …/policies``."""
        query = Query(request, PAGING)
        page = await self._work.run(
            partial(
                self._service.list,
                request[CALLER],
                page=reading.page(query, self._limits),
                at_least=reading.at_least(request, query=query),
            )
        )
        return json_answer(request, encoding.some(page, [_policy(each) for each in page.rows]))

    async def get(self, request: web.Request) -> web.StreamResponse:
        """``GET …/policies/{policyId}``."""
        query = Query(request, ("zookie",))
        found = self._service.get(
            request[CALLER],
            path_text(request, "policyId"),
            at_least=reading.at_least(request, query=query),
        )
        return tagged(request, _policy(found))

    async def put(self, request: web.Request) -> web.StreamResponse:
        """``PUT …/policies/{policyId}``: all of it."""
        Query(request, ())
        body = _POLICY(await read_json(request, self._limits, "small_body_bytes_max"))
        given = labelled(body.name, body.description, body.permissions)
        return await self._update(request, given)

    async def patch(self, request: web.Request) -> web.StreamResponse:
        """``PATCH …/policies/{policyId}``: what is given."""
        Query(request, ())
        body = _PATCH(await read_json(request, self._limits, "small_body_bytes_max"))
        given = labelled(body.name, body.description, body.permissions)
        return await self._update(request, given)

    async def _update(self, request: web.Request, given: Labelled) -> web.StreamResponse:
        update = partial(
            self._service.update,
            request[CALLER],
            path_text(request, "policyId"),
            given,
            if_match=request.headers.get(IF_MATCH),
        )
        answer = await self._work.durable(await self._work.run(update))
        return tagged(request, _policy(answer))

    async def delete(self, request: web.Request) -> web.StreamResponse:
        """``DELETE …/policies/{policyId}``: with ``force`` from all roles that have it."""
        force = Query(request, ("force",)).flag("force")
        delete = partial(
            self._service.delete,
            request[CALLER],
            path_text(request, "policyId"),
            force=force,
            if_match=request.headers.get(IF_MATCH),
        )
        zookie = await self._work.durable(await self._work.run(delete))
        return no_content(request, {ZOOKIE_HEADER: zookie})


def _policy(policy: Policy) -> dict[str, Any]:
    value = {
        "id": policy.id,
        "name": policy.name,
        "description": policy.description,
        "permissions": policy.permissions,
        "permissionCount": len(policy.permissions),
        "roleCount": policy.role_count,
        "createdAt": encoding.time(policy.created_at_ms),
        "updatedAt": encoding.time(policy.updated_at_ms),
        "etag": policy.etag,
    }
    return value if policy.zookie is None else value | {"zookie": policy.zookie}


def _render_created(answer: Policy) -> tuple[int, bytes]:
    return 201, orjson.dumps(_policy(answer))

"""Roles over HTTP, global ones and those of a tenant (contract authaz §3)."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any

import orjson

from zeratul.api.authaz import encoding, reading
from zeratul.api.authaz.labels import IF_MATCH, PAGING, labelled, rendered, tagged, tenant_of
from zeratul.api.authaz.reading import ZOOKIE_HEADER
from zeratul.api.authaz.roles_bodies import RoleBody, RolePatchBody
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
    from zeratul.service.roles.role_answers import Labelled, Role
    from zeratul.service.services import Services

_ROLE = Decoder(RoleBody)
_PATCH = Decoder(RolePatchBody)


class RoleHandlers:
    """Handlers of ``/applications/{appId}/roles`` and ``…/tenants/{tenantId}/roles``."""

    def __init__(self, services: Services, limits: Limits, work: Work) -> None:
        self._service = services.roles
        self._limits = limits
        self._work = work

    def routes(self) -> list[Route]:
        """The table of this area."""
        application, small = "/api/v1/applications/{appId}", "small_body_bytes_max"
        table: list[Route] = []
        for roles in (f"{application}/roles", f"{application}/tenants/{{tenantId}}/roles"):
            one = f"{roles}/{{roleId}}"
            table += [
                Route("POST", roles, self.create),
                Route("GET", roles, self.list, heavy=True, body_limit=small),
                Route("GET", one, self.get),
                Route("PUT", one, self.put),
                Route("PATCH", one, self.patch),
                Route("DELETE", one, self.delete, heavy=True, body_limit=small),
            ]
        return table

    async def create(self, request: web.Request) -> web.StreamResponse:
        """``POST …/roles``: a global role; under a tenant, one of its own."""
        Query(request, ())
        raw = await read_json(request, self._limits, "small_body_bytes_max")
        body = _ROLE(raw)
        create = partial(
            self._service.create,
            request[CALLER],
            labelled(body.name, body.description, body.policy_ids),
            tenant_of(request),
            idempotency=idempotency(request, raw, self._limits, _render_created),
        )
        answer = await self._work.durable(await self._work.run(create))
        return rendered(request, answer, _render_created)

    async def list(self, request: web.Request) -> web.StreamResponse:
        """``GET …/roles``: under a tenant, what can be assigned in it."""
        query = Query(request, ("isGlobal", *PAGING))
        page = await self._work.run(
            partial(
                self._service.list,
                request[CALLER],
                tenant_of(request),
                is_global=query.flag("isGlobal") if "isGlobal" in query else None,
                page=reading.page(query, self._limits),
                at_least=reading.at_least(request, query=query),
            )
        )
        return json_answer(request, encoding.some(page, [_role(each) for each in page.rows]))

    async def get(self, request: web.Request) -> web.StreamResponse:
        """``GET …/roles/{roleId}``."""
        query = Query(request, ("zookie",))
        # In a thread: a role may have a million users to count.
        found = await self._work.run(
            partial(
                self._service.get,
                request[CALLER],
                path_text(request, "roleId"),
                tenant_of(request),
                at_least=reading.at_least(request, query=query),
            )
        )
        return tagged(request, _role(found))

    async def put(self, request: web.Request) -> web.StreamResponse:
        """``PUT …/roles/{roleId}``: all of it."""
        Query(request, ())
        body = _ROLE(await read_json(request, self._limits, "small_body_bytes_max"))
        given = labelled(body.name, body.description, body.policy_ids)
        return await self._update(request, given)

    async def patch(self, request: web.Request) -> web.StreamResponse:
        """``PATCH …/roles/{roleId}``: what is given."""
        Query(request, ())
        body = _PATCH(await read_json(request, self._limits, "small_body_bytes_max"))
        given = labelled(body.name, body.description, body.policy_ids)
        return await self._update(request, given)

    async def _update(self, request: web.Request, given: Labelled) -> web.StreamResponse:
        update = partial(
            self._service.update,
            request[CALLER],
            path_text(request, "roleId"),
            given,
            tenant_of(request),
            if_match=request.headers.get(IF_MATCH),
        )
        answer = await self._work.durable(await self._work.run(update))
        return tagged(request, _role(answer))

    async def delete(self, request: web.Request) -> web.StreamResponse:
        """``DELETE …/roles/{roleId}``: with ``force`` from everyone who has it."""
        force = Query(request, ("force",)).flag("force")
        delete = partial(
            self._service.delete,
            request[CALLER],
            path_text(request, "roleId"),
            tenant_of(request),
            force=force,
            if_match=request.headers.get(IF_MATCH),
        )
        zookie = await self._work.durable(await self._work.run(delete))
        return no_content(request, {ZOOKIE_HEADER: zookie})


def _role(role: Role) -> dict[str, Any]:
    value = {
        "id": role.id,
        "name": role.name,
        "description": role.description,
        "policyIds": role.policy_ids,
        "tenantId": role.tenant_id,
        "isGlobal": role.tenant_id is None,
        "userCount": role.user_count,
        "permissions": role.permissions,
        "createdAt": encoding.time(role.created_at_ms),
        "updatedAt": encoding.time(role.updated_at_ms),
        "etag": role.etag,
    }
    return value if role.zookie is None else value | {"zookie": role.zookie}


def _render_created(answer: Role) -> tuple[int, bytes]:
    return 201, orjson.dumps(_role(answer))

"""The catalog over HTTP (contract authaz §2)."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any

import msgspec
import orjson

from zeratul.api.authaz import catalog_encoding as encoding
from zeratul.api.authaz import reading
from zeratul.api.authaz.catalog_bodies import (
    CatalogBody,
    CatalogItem,
    FastCatalogBody,
    RelationBody,
    RenameBody,
    ResourceBody,
    ResourcePatch,
)
from zeratul.api.bodies import read_json
from zeratul.api.keys import CALLER
from zeratul.api.paths import path_text
from zeratul.api.queries import Query
from zeratul.api.responses import json_answer, json_bytes
from zeratul.api.routes import Route
from zeratul.api.work import idempotency
from zeratul.errors import InputError, LimitError, ValidationError
from zeratul.service.ground.decoding import Decoder
from zeratul.service.ground.idempotency import Replay
from zeratul.service.ground.validation import findings_of
from zeratul.service.rules.catalog_answers import MODES, RelationRequest, ResourceRequest

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from concurrent.futures import Future

    from aiohttp import web

    from zeratul.api.work import Work
    from zeratul.domain.limits import Limits
    from zeratul.service.ground.idempotency import Idempotent
    from zeratul.service.rules.catalog_answers import CatalogChange, Mode, RenameAnswer
    from zeratul.service.services import Services

    Rename = Callable[..., Future[RenameAnswer | Replay]]

_FAST = Decoder(FastCatalogBody)
_CATALOG = Decoder(CatalogBody)
_ITEM = Decoder(CatalogItem)
_RESOURCE = Decoder(ResourceBody)
_PATCH = Decoder(ResourcePatch)
_RENAME = Decoder(RenameBody)

_PAGING = ("pageSize", "cursor", "zookie")
_CHANGE = ("force", "dryRun")
_BODY_LIMIT = "catalog_bytes_max"


class CatalogHandlers:
    """Handlers of ``/applications/{appId}/resources`` and ``…/permissions``."""

    def __init__(self, services: Services, limits: Limits, work: Work) -> None:
        self._service = services.catalog
        self._limits = limits
        self._work = work

    def routes(self) -> list[Route]:
        """The table of this area."""
        application = "/api/v1/applications/{appId}"
        resources = f"{application}/resources"
        one = f"{resources}/{{resource}}"
        small = "small_body_bytes_max"
        return [
            Route("PUT", resources, self.put_all, heavy=True, body_limit=_BODY_LIMIT),
            Route("GET", resources, self.list, heavy=True, body_limit=small),
            Route("GET", one, self.get),
            Route("PUT", one, self.put, heavy=True, body_limit=_BODY_LIMIT),
            Route("PATCH", one, self.patch, heavy=True, body_limit=_BODY_LIMIT),
            Route("DELETE", one, self.delete, heavy=True, body_limit=small),
            Route("GET", f"{one}/usage", self.usage, heavy=True, body_limit=small),
            Route("POST", f"{one}/rename", self.rename, heavy=True, body_limit=small),
            Route(
                "POST",
                f"{one}/actions/{{action}}/rename",
                self.rename_action,
                heavy=True,
                body_limit=small,
            ),
            Route(
                "POST",
                f"{one}/relations/{{relation}}/rename",
                self.rename_relation,
                heavy=True,
                body_limit=small,
            ),
            Route(
                "GET",
                f"{application}/permissions",
                self.permissions,
                heavy=True,
                body_limit=small,
            ),
        ]

    async def put_all(self, request: web.Request) -> web.StreamResponse:
        """``PUT …/resources``: replaces the catalog, or with ``mode=merge`` adds to it."""
        query = Query(request, (*_CHANGE, "mode"))
        mode: Mode = "merge" if query.choice("mode", MODES) == "merge" else "replace"
        options = _options(request, query)
        raw = await read_json(request, self._limits, _BODY_LIMIT)
        change = partial(self._put_all, request, raw, mode=mode, **options)
        answer = await self._work.durable(await self._work.run(change))
        return _tagged(request, encoding.catalog(answer), answer.etag)

    def _put_all(
        self, request: web.Request, raw: bytes, *, mode: Mode, **options: Any
    ) -> Future[CatalogChange]:
        items = [
            ResourceRequest(
                each.resource, each.description, each.actions, _relations(each.relations)
            )
            for each in self._items(raw)
        ]
        return self._service.put_all(request[CALLER], items, mode=mode, **options)

    def _items(self, raw: bytes) -> list[CatalogItem]:
        try:
            return _FAST(raw).resources
        except InputError:
            # Told one by one, all of them.
            parts = _CATALOG(raw).resources
        most = self._limits.catalog_resources_max
        if len(parts) > most:
            raise LimitError(
                "catalog_resources_max",
                most,
                f"at most {most:,} resources (catalog_resources_max), these are {len(parts):,}",
                field="resources",
            )
        items: list[CatalogItem] = []
        errors: list[InputError] = []
        for index, part in enumerate(parts):
            try:
                items.append(_ITEM(part, prefix=f"resources[{index}]."))
            except InputError as error:
                errors.append(error)
        if len(errors) == 1:
            raise errors[0]
        if errors:
            raise ValidationError(findings_of(errors), "the catalog is not valid")
        return items

    async def list(self, request: web.Request) -> web.StreamResponse:
        """``GET …/resources``: by name."""
        query = Query(request, _PAGING)
        page = await self._work.run(
            partial(
                self._service.list,
                request[CALLER],
                page=reading.page(query, self._limits),
                at_least=reading.at_least(request, query=query),
            )
        )
        return _tagged(request, encoding.page(page), page.etag)

    async def get(self, request: web.Request) -> web.StreamResponse:
        """``GET …/resources/{resource}``."""
        query = Query(request, ("zookie",))
        fresh = reading.at_least(request, query=query)
        name = path_text(request, "resource")
        answer = await self._work.run(
            partial(self._service.get, request[CALLER], name, at_least=fresh)
        )
        return _tagged(request, encoding.resource(answer), answer.etag)

    async def put(self, request: web.Request) -> web.StreamResponse:
        """``PUT …/resources/{resource}``: 201 where it is new."""
        query = Query(request, _CHANGE)
        body = _RESOURCE(await read_json(request, self._limits, _BODY_LIMIT))
        name = path_text(request, "resource")
        if body.resource not in (None, name):
            raise ValidationError({"resource": ["is not the resource of the path"]})
        asked = ResourceRequest(name, body.description, body.actions, _relations(body.relations))
        return await self._change(request, query, asked, patch=False)

    async def patch(self, request: web.Request) -> web.StreamResponse:
        """``PATCH …/resources/{resource}``: what is left out stays as it is."""
        query = Query(request, _CHANGE)
        body = _PATCH(await read_json(request, self._limits, _BODY_LIMIT))
        asked = ResourceRequest(
            path_text(request, "resource"),
            body.description,
            body.actions,
            _relations(body.relations),
        )
        return await self._change(request, query, asked, patch=True)

    async def _change(
        self, request: web.Request, query: Query, asked: ResourceRequest, *, patch: bool
    ) -> web.StreamResponse:
        change = partial(
            self._service.put_one,
            request[CALLER],
            asked,
            patch=patch,
            **_options(request, query),
        )
        answer = await self._work.durable(await self._work.run(change))
        value = encoding.changed_resource(answer, asked.name)
        created = asked.name in answer.difference.added and not answer.dry_run
        return _tagged(request, value, value["etag"], 201 if created else 200)

    async def delete(self, request: web.Request) -> web.StreamResponse:
        """``DELETE …/resources/{resource}``."""
        query = Query(request, _CHANGE)
        change = partial(
            self._service.remove,
            request[CALLER],
            path_text(request, "resource"),
            **_options(request, query),
        )
        answer = await self._work.durable(await self._work.run(change))
        return json_answer(request, encoding.removed(answer))

    async def usage(self, request: web.Request) -> web.StreamResponse:
        """``GET …/resources/{resource}/usage``: who references it."""
        query = Query(request, ("zookie",))
        answer = await self._work.run(
            partial(
                self._service.usage,
                request[CALLER],
                path_text(request, "resource"),
                at_least=reading.at_least(request, query=query),
            )
        )
        return json_answer(request, encoding.usage(answer))

    async def permissions(self, request: web.Request) -> web.StreamResponse:
        """``GET …/permissions``: permission strings with descriptions, for pickers."""
        query = Query(request, _PAGING)
        page = await self._work.run(
            partial(
                self._service.permissions,
                request[CALLER],
                page=reading.page(query, self._limits),
                at_least=reading.at_least(request, query=query),
            )
        )
        return json_answer(request, encoding.permissions(page))

    async def rename(self, request: web.Request) -> web.StreamResponse:
        """``POST …/resources/{resource}/rename``."""
        return await self._rename(
            request,
            partial(
                self._service.rename_resource, request[CALLER], path_text(request, "resource")
            ),
        )

    async def rename_action(self, request: web.Request) -> web.StreamResponse:
        """``POST …/resources/{resource}/actions/{action}/rename``."""
        names = path_text(request, "resource"), path_text(request, "action")
        return await self._rename(
            request, partial(self._service.rename_action, request[CALLER], *names)
        )

    async def rename_relation(self, request: web.Request) -> web.StreamResponse:
        """``POST …/resources/{resource}/relations/{relation}/rename``."""
        names = path_text(request, "resource"), path_text(request, "relation")
        return await self._rename(
            request, partial(self._service.rename_relation, request[CALLER], *names)
        )

    async def _rename(self, request: web.Request, rename: Rename) -> web.StreamResponse:
        Query(request, ())
        raw = await read_json(request, self._limits, "small_body_bytes_max")
        body = _RENAME(raw)
        again: Idempotent | None = idempotency(request, raw, self._limits, _render_rename)
        future = await self._work.run(
            partial(rename, body.to, dry_run=body.dry_run, idempotency=again)
        )
        answer = await self._work.durable(future)
        if isinstance(answer, Replay):
            return json_bytes(request, answer.body, answer.status)
        return json_answer(request, encoding.renamed(answer))


def _options(request: web.Request, query: Query) -> dict[str, Any]:
    return {
        "if_match": request.headers.get("If-Match"),
        "force": query.flag("force"),
        "dry_run": query.flag("dryRun"),
    }


def _relations(
    body: Mapping[str, RelationBody] | Mapping[str, RelationBody | None] | msgspec.UnsetType,
) -> dict[str, RelationRequest | None] | None:
    if body is msgspec.UNSET:
        return None
    return {
        name: None if each is None else RelationRequest(each.actions, each.description)
        for name, each in body.items()
    }


def _tagged(
    request: web.Request, value: dict[str, Any], etag: str, status: int = 200
) -> web.Response:
    answer = json_answer(request, value, status)
    answer.headers["ETag"] = etag
    return answer


def _render_rename(answer: RenameAnswer) -> tuple[int, bytes]:
    return 200, orjson.dumps(encoding.renamed(answer))

"""Trusted issuers of Bearer tokens over HTTP (contract authaz §1)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from zeratul.api.authaz import encoding, reading
from zeratul.api.authaz.issuers_bodies import IssuerBody
from zeratul.api.authaz.labels import IF_MATCH, tagged
from zeratul.api.authaz.reading import ZOOKIE_HEADER
from zeratul.api.bodies import read_json
from zeratul.api.keys import CALLER
from zeratul.api.paths import path_text
from zeratul.api.queries import Query
from zeratul.api.responses import json_answer, no_content
from zeratul.api.routes import Route
from zeratul.service.ground.decoding import Decoder
from zeratul.service.tokens.issuers import Issuer
from zeratul.service.tokens.jwks import ALGORITHMS

if TYPE_CHECKING:
    from aiohttp import web

    from zeratul.api.work import Work
    from zeratul.domain.limits import Limits
    from zeratul.service.services import Services

_ISSUER = Decoder(IssuerBody)


class IssuerHandlers:
    """Handlers of ``/applications/{appId}/issuers``."""

    def __init__(self, services: Services, limits: Limits, work: Work) -> None:
        self._service = services.issuers
        self._limits = limits
        self._work = work

    def routes(self) -> list[Route]:
        """The table of this area."""
        issuers = "/api/v1/applications/{appId}/issuers"
        one = f"{issuers}/{{issuerId}}"
        return [
            Route("GET", issuers, self.list),
            Route("GET", one, self.get),
            Route("PUT", one, self.put),
            Route("DELETE", one, self.delete),
        ]

    async def list(self, request: web.Request) -> web.StreamResponse:
        """``GET …/issuers``."""
        query = Query(request, ("pageSize", "cursor"))
        found = self._service.list(request[CALLER], page=reading.page(query, self._limits))
        rows = [_issuer(each) for each in found.rows]
        return json_answer(request, encoding.page_of(found, rows))

    async def get(self, request: web.Request) -> web.StreamResponse:
        """``GET …/issuers/{issuerId}``."""
        Query(request, ())
        found = self._service.get(request[CALLER], path_text(request, "issuerId"))
        return tagged(request, _issuer(found))

    async def put(self, request: web.Request) -> web.StreamResponse:
        """``PUT …/issuers/{issuerId}``: 201 where it is new."""
        Query(request, ())
        body = _ISSUER(await read_json(request, self._limits, "small_body_bytes_max"))
        issuer = Issuer(
            id=path_text(request, "issuerId"),
            issuer=body.issuer,
            audience=body.audience,
            jwks_uri=body.jwks_uri,
            jwks=body.jwks,
            algorithms=ALGORITHMS if body.algorithms is None else tuple(body.algorithms),
            clock_skew_s=body.clock_skew_seconds,
            user_claim=body.user_claim,
            tenant_claim=body.tenant_claim,
        )
        if_match = request.headers.get(IF_MATCH)
        answer = await self._work.durable(
            self._service.put(request[CALLER], issuer, if_match=if_match)
        )
        value = _issuer(answer.issuer) | {"created": answer.created, "zookie": answer.zookie}
        return tagged(request, value, 201 if answer.created else 200)

    async def delete(self, request: web.Request) -> web.StreamResponse:
        """``DELETE …/issuers/{issuerId}``."""
        Query(request, ())
        zookie = await self._work.durable(
            self._service.delete(
                request[CALLER],
                path_text(request, "issuerId"),
                if_match=request.headers.get(IF_MATCH),
            )
        )
        return no_content(request, {ZOOKIE_HEADER: zookie})


def _issuer(issuer: Issuer) -> dict[str, Any]:
    value = issuer.to_json()
    value["createdAt"] = encoding.time(value.pop("createdAtMs"))
    value["updatedAt"] = encoding.time(value.pop("updatedAtMs"))
    return value | {"etag": issuer.etag}

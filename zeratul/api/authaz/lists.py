"""Lists over HTTP: who-can and what-can, in pages or as one stream (contract authaz §5)."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, TypeVar

import orjson

from zeratul.api.authaz import encoding, questions, reading
from zeratul.api.authaz.streams import send
from zeratul.api.keys import CALLER
from zeratul.api.queries import Query
from zeratul.api.responses import NDJSON, json_answer, stream

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable

    from aiohttp import web

    from zeratul.api.work import Work
    from zeratul.domain.limits import Limits
    from zeratul.service.answers import RowStream
    from zeratul.service.services import Services

Row = TypeVar("Row")

_PAGING = ("pageSize", "cursor", "total", "zookie", "tenantId")
_WHO = ("resource", "resourceId", "action", "permission", "subjectType", "subjectRelation")
_WHAT = ("userId", "subject", "resource", "action", "permission")


class ListHandlers:
    """Handlers of ``/authorization/who-can`` and ``what-can``."""

    def __init__(self, services: Services, limits: Limits, work: Work) -> None:
        self._service = services.access
        self._limits = limits
        self._work = work

    async def who_can(self, request: web.Request) -> web.StreamResponse:
        """``GET /who-can``: every subject that has the permission on one resource."""
        query = Query(request, (*_WHO, *_PAGING))
        kind, relation = reading.target(query, "action")
        resource = questions.resource(kind, query.required("resourceId"))
        subject_type = query.text("subjectType") or encoding.USER
        subject_relation = query.text("subjectRelation") or ""
        caller, fresh = request[CALLER], reading.at_least(request, query=query)
        form = {"subject_type": subject_type, "subject_relation": subject_relation}
        if reading.wants_stream(request):
            opened = partial(
                self._service.stream_who_can, caller, resource, relation, **form, at_least=fresh
            )
            return await self._stream(request, query, opened, encoding.subject_lines)
        answer = await self._work.run(
            partial(
                self._service.who_can,
                caller,
                resource,
                relation,
                **form,
                page=reading.page(query, self._limits),
                total=query.flag("total"),
                at_least=fresh,
            )
        )
        rows = [encoding.subject_row(row) for row in answer.rows]
        return json_answer(request, encoding.list_page(answer, rows))

    async def what_can(self, request: web.Request) -> web.StreamResponse:
        """``GET /what-can``: every resource of one type on which a subject has the permission."""
        query = Query(request, (*_WHAT, *_PAGING))
        kind, relation = reading.target(query, "action")
        who = questions.subject(query.text("userId"), query.text("subject"))
        fresh = reading.at_least(request, query=query)
        caller = request[CALLER]
        if reading.wants_stream(request):
            opened = partial(
                self._service.stream_what_can, caller, who, kind, relation, at_least=fresh
            )
            return await self._stream(request, query, opened, encoding.resource_lines)
        answer = await self._work.run(
            partial(
                self._service.what_can,
                caller,
                who,
                kind,
                relation,
                page=reading.page(query, self._limits),
                total=query.flag("total"),
                at_least=fresh,
            )
        )
        rows = [encoding.resource_row(row) for row in answer.rows]
        return json_answer(request, encoding.list_page(answer, rows))

    async def _stream(
        self,
        request: web.Request,
        query: Query,
        opened: Callable[[], RowStream[Row]],
        encode: Callable[[list[Row]], bytes],
    ) -> web.StreamResponse:
        reading.refuse_paging(query)
        rows = await self._work.run(opened)
        chunks = (encode(chunk) for chunk in rows.chunks)

        async def pieces() -> AsyncIterator[bytes]:
            async for chunk in self._work.each(chunks):
                yield chunk
            yield orjson.dumps(
                {
                    "complete": True,
                    "total": rows.total,
                    "revision": rows.revision,
                    "zookie": rows.zookie,
                },
                option=orjson.OPT_APPEND_NEWLINE,
            )

        return await send(request, stream(request, NDJSON), pieces())

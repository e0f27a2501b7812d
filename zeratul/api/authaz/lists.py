"""Lists over HTTP: who-can and what-can, in pages or as one stream (contract authaz §5)."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from functools import partial
from typing import TYPE_CHECKING, TypeVar

from zeratul.api.authaz import encoding, list_encoding, questions, reading
from zeratul.api.authaz.streams import send
from zeratul.api.keys import CALLER
from zeratul.api.queries import Query
from zeratul.api.responses import NDJSON, json_answer, stream
from zeratul.errors import UnknownNameError, ZeratulError
from zeratul.service.ground.answers import Page

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Iterator

    from aiohttp import web

    from zeratul.api.authaz.list_encoding import RowWriter
    from zeratul.api.work import Work
    from zeratul.domain.limits import Limits
    from zeratul.service.questions.list_answers import RowPage, RowStream
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
        writer = list_encoding.subject_writer(subject_type, subject_relation)
        tenant = query.text("tenantId")
        if reading.wants_stream(request):
            opened = partial(
                self._service.stream_who_can,
                caller,
                resource,
                relation,
                **form,
                tenant=tenant,
                at_least=fresh,
            )
            return await self._stream(request, query, opened, writer)
        page = reading.page(query, self._limits)
        ask = partial(
            self._service.who_can,
            caller,
            resource,
            relation,
            **form,
            tenant=tenant,
            page=page,
            total=query.flag("total"),
            at_least=fresh,
        )
        return await self._page(request, page, ask, writer)

    async def what_can(self, request: web.Request) -> web.StreamResponse:
        """``GET /what-can``: every resource of one type on which a subject has the permission."""
        query = Query(request, (*_WHAT, *_PAGING))
        kind, relation = reading.target(query, "action")
        caller = request[CALLER]
        who = questions.asker(caller, query.text("userId"), query.text("subject"))
        writer = list_encoding.resource_writer(kind)
        fresh = reading.at_least(request, query=query)
        tenant = query.text("tenantId")
        if reading.wants_stream(request):
            opened = partial(
                self._service.stream_what_can,
                caller,
                who,
                kind,
                relation,
                tenant=tenant,
                at_least=fresh,
            )
            return await self._stream(request, query, opened, writer)
        page = reading.page(query, self._limits)
        ask = partial(
            self._service.what_can,
            caller,
            who,
            kind,
            relation,
            tenant=tenant,
            page=page,
            total=query.flag("total"),
            at_least=fresh,
        )
        return await self._page(request, page, ask, writer)

    async def _page(
        self,
        request: web.Request,
        page: Page,
        ask: Callable[[], RowPage[Row]],
        writer: RowWriter[Row],
    ) -> web.StreamResponse:
        """In another thread, unless that would take longer than the answer."""
        try:
            answer = ask() if self._service.is_at_hand(page) else await self._work.run(ask)
        except UnknownNameError as error:
            raise questions.named(error) from None
        if page.cursor and answer.next_cursor:
            # Whoever asked for a second page reads on: the next one is got ready while this one
            # is on its way.
            following = Page(page.size, answer.next_cursor)
            asyncio.get_running_loop().call_soon(self._read_ahead, following)
        return json_answer(request, list_encoding.page(answer, writer.array(answer.block)))

    def _read_ahead(self, page: Page) -> None:
        # What goes wrong here goes wrong once more, and is told, if the page is asked for.
        with suppress(ZeratulError):
            self._service.read_ahead(page)

    async def _stream(
        self,
        request: web.Request,
        query: Query,
        opened: Callable[[], RowStream[Row]],
        writer: RowWriter[Row],
    ) -> web.StreamResponse:
        reading.refuse_paging(query)

        def begun() -> tuple[bytes, Iterator[bytes]]:
            made = list_encoding.pieces(opened(), writer)
            return next(made), made

        # The first piece is made where the list is computed: short lists need no other turn.
        try:
            first, others = await self._work.run(begun)
        except UnknownNameError as error:
            raise questions.named(error) from None

        async def pieces() -> AsyncIterator[bytes]:
            yield first
            async for piece in self._work.each(others):
                yield piece

        return await send(request, stream(request, NDJSON), pieces())

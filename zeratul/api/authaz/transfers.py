"""Import and export over HTTP: NDJSON of any length, never held whole (contract authaz §5)."""

from __future__ import annotations

import asyncio
from functools import partial
from typing import TYPE_CHECKING, TypeVar

import orjson

from zeratul.api.authaz import encoding, reading
from zeratul.api.authaz.streams import send
from zeratul.api.bodies import NDJSON_TYPES, pieces, require_type
from zeratul.api.keys import CALLER
from zeratul.api.queries import Query
from zeratul.api.responses import NDJSON, json_answer, stream

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable

    from aiohttp import web

    from zeratul.api.work import Work
    from zeratul.domain.limits import Limits
    from zeratul.service.relationships.importing import Importer
    from zeratul.service.relationships.relationship_answers import ImportAnswer
    from zeratul.service.services import Services

T = TypeVar("T")

# LIMIT: bytes fed to the importer at a time: long enough to be worth a change of thread.
FEED_BYTES = 256 * 1024


class TransferHandlers:
    """Handlers of ``/authorization/relationships/import`` and ``export``."""

    def __init__(self, services: Services, limits: Limits, work: Work) -> None:
        self._service = services.transfers
        self._limits = limits
        self._work = work

    async def load(self, request: web.Request) -> web.StreamResponse:
        """``POST …/import``: commits as it goes; a rejected line stops nothing."""
        dry_run = Query(request, ("dryRun",)).flag("dryRun")
        require_type(request, NDJSON_TYPES)
        importer = self._service.importer(request[CALLER], dry_run=dry_run)
        try:
            if reading.wants_stream(request):
                return await send(request, stream(request, NDJSON), self._lines(request, importer))
            async for _ in self._fed(request, importer):
                pass
            answer = encoding.imported(await self._finish(importer), complete=True)
            return json_answer(request, answer)
        finally:
            # Nobody waits for its event: whoever sent what broke off is gone, or hears why.
            await self._work.run(importer.break_off)

    async def _lines(self, request: web.Request, importer: Importer) -> AsyncIterator[bytes]:
        told = 0
        async for _ in self._fed(request, importer):
            progress = importer.progress()
            if progress.lines - told >= self._limits.import_commit_rows:
                told = progress.lines
                line = encoding.imported(progress, complete=False)
                yield orjson.dumps(line, option=orjson.OPT_APPEND_NEWLINE)
        final = encoding.imported(await self._finish(importer), complete=True)
        yield orjson.dumps(final, option=orjson.OPT_APPEND_NEWLINE)

    async def _fed(self, request: web.Request, importer: Importer) -> AsyncIterator[None]:
        """Feed the body, one item for each part; it is not read while the disk is behind."""
        gathered = bytearray()
        async for piece in pieces(request, self._limits):
            gathered += piece
            if len(gathered) >= FEED_BYTES:
                await self._feed(importer, bytes(gathered))
                gathered.clear()
                yield
        if gathered:
            await self._feed(importer, bytes(gathered))
            yield

    async def _feed(self, importer: Importer, chunk: bytes) -> None:
        future = await self._turn(partial(importer.feed, chunk))
        if future is not None:
            await self._work.durable(future)

    async def _finish(self, importer: Importer) -> ImportAnswer:
        return await self._work.durable(await self._turn(importer.finish))

    async def _turn(self, function: Callable[[], T]) -> T:
        """The importer's, from another thread; ends before anybody else may have the importer."""
        running = asyncio.ensure_future(self._work.run(function))
        try:
            return await asyncio.shield(running)
        except asyncio.CancelledError:
            await asyncio.wait((running,))
            raise

    async def dump(self, request: web.Request) -> web.StreamResponse:
        """``GET …/export``: everything of one revision, importable again."""
        Query(request, ())
        chunks = self._service.export(request[CALLER])
        return await send(request, stream(request, NDJSON), self._work.each(iter(chunks)))

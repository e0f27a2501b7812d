"""The audit log over HTTP: pages and an export (contract authaz §7)."""

from __future__ import annotations

import csv
import io
from functools import partial
from typing import TYPE_CHECKING, Any

import orjson
import structlog

from zeratul.api.authaz import encoding, reading
from zeratul.api.authaz.streams import send
from zeratul.api.keys import CALLER, REQUEST_ID
from zeratul.api.queries import Query
from zeratul.api.responses import NDJSON, json_answer, stream
from zeratul.api.routes import Route
from zeratul.service.administration.audit_log import AuditFilter
from zeratul.service.ground.times import parse_time

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator

    from aiohttp import web

    from zeratul.api.work import Work
    from zeratul.domain.limits import Limits
    from zeratul.service.administration.audit_log import Event
    from zeratul.service.services import Services

log = structlog.get_logger("zeratul.api")

CSV = "text/csv; charset=utf-8; header=present"
COLUMNS = (
    "id", "time", "actorType", "actorId", "actorName", "action", "targetType", "targetId",
    "permission", "tenantId", "userId", "before", "after", "requestId", "ip", "batchId",
)  # fmt: skip
# What a spreadsheet takes for a formula when a cell begins with it; the wide forms where its
# language is Japanese or Chinese.
_FORMULA_STARTS = ("=", "+", "-", "@", "\t", "\r", "\n", "\uff1d", "\uff0b", "\uff0d", "\uff20")

_FILTER = (
    "actorId", "action", "targetType", "targetId", "userId", "permission", "tenantId", "from",
    "to", "server",
)  # fmt: skip


class AuditHandlers:
    """Handlers of ``/audit``."""

    def __init__(self, services: Services, limits: Limits, work: Work) -> None:
        self._service = services.audit
        self._limits = limits
        self._work = work

    def routes(self) -> list[Route]:
        """The table of this area."""
        audit, small = "/api/v1/audit", "small_body_bytes_max"
        return [
            Route("GET", audit, self.find, heavy=True, body_limit=small),
            Route("GET", f"{audit}/export", self.export, heavy=True, body_limit=small),
        ]

    async def find(self, request: web.Request) -> web.StreamResponse:
        """``GET /audit``: events newest first, in pages that may be short before the end."""
        query = Query(request, (*_FILTER, "pageSize", "cursor"))
        page = reading.page(query, self._limits)
        wanted = _wanted(query)
        found = await self._work.run(
            partial(self._service.find, request[CALLER], wanted, page=page)
        )
        return json_answer(request, encoding.page_of(found, found.rows))

    async def export(self, request: web.Request) -> web.StreamResponse:
        """``GET /audit/export``: all events that match, as lines of JSON or CSV."""
        query = Query(request, (*_FILTER, "format"))
        form = query.choice("format", ("ndjson", "csv")) or "ndjson"
        chunks = await self._work.run(
            partial(self._service.export, request[CALLER], _wanted(query))
        )
        headers = {"Content-Disposition": f'attachment; filename="audit.{form}"'}
        if form == "ndjson":
            lines = self._work.each(map(_ndjson, chunks))
            return await send(request, stream(request, NDJSON, headers), lines)
        pieces = self._work.each(_csv(chunks))
        return await _send_table(request, stream(request, CSV, headers), pieces)


def _wanted(query: Query) -> AuditFilter:
    from_text, to_text = query.text("from"), query.text("to")
    return AuditFilter(
        actor_id=query.text("actorId"),
        action=query.text("action"),
        target_type=query.text("targetType"),
        target_id=query.text("targetId"),
        user_id=query.text("userId"),
        permission=query.text("permission"),
        tenant_id=query.text("tenantId"),
        from_ms=None if from_text is None else parse_time(from_text, field="from"),
        to_ms=None if to_text is None else parse_time(to_text, field="to"),
        server=query.flag("server"),
    )


async def _send_table(
    request: web.Request, response: web.StreamResponse, pieces: AsyncIterator[bytes]
) -> web.StreamResponse:
    """Write every piece; a table has no line that could tell of an error, so it breaks off."""
    first = await anext(pieces, b"")
    await response.prepare(request)
    try:
        await response.write(first)
        async for piece in pieces:
            await response.write(piece)
    except ConnectionError:
        raise  # the client is gone: nobody to tell
    except Exception:
        log.exception("stream failed", path=request.path, requestId=request[REQUEST_ID])
        if request.transport is not None:
            request.transport.abort()
        return response
    await response.write_eof()
    return response


def _ndjson(events: list[Event]) -> bytes:
    return b"".join(orjson.dumps(event, option=orjson.OPT_APPEND_NEWLINE) for event in events)


def _csv(chunks: Iterator[list[Event]]) -> Iterator[bytes]:
    text = io.StringIO(newline="")
    writer = csv.writer(text)
    writer.writerow(COLUMNS)
    yield text.getvalue().encode()
    for events in chunks:
        text.seek(0)
        text.truncate()
        writer.writerows(map(_row, events))
        yield text.getvalue().encode()


def _row(event: Event) -> list[str]:
    actor, target = event["actor"], event["target"]
    values = (
        event["id"], event["time"], actor["type"], actor["id"], actor["name"], event["action"],
        target["type"], target["id"], event["permission"], event["tenantId"], event["userId"],
        event["before"], event["after"], event["requestId"], event["ip"], event["batchId"],
    )  # fmt: skip
    return [_cell(value) for value in values]


def _cell(value: Any) -> str:
    """A cell that no spreadsheet runs: callers chose the ids and names in it."""
    if value is None:
        return ""
    text = value if isinstance(value, str) else orjson.dumps(value).decode()
    return "'" + text if text.startswith(_FORMULA_STARTS) else text

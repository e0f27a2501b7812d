"""Reading what a stranger sends: bounded in bytes, in time, and refused as early as possible."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from aiohttp import web
from aiohttp.hdrs import CONTENT_ENCODING, CONTENT_LENGTH, CONTENT_TYPE
from aiohttp.http_exceptions import HttpProcessingError
from aiohttp.web_exceptions import HTTPException

from zeratul.api.failures import HttpError
from zeratul.errors import LimitError, MalformedError

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from zeratul.domain.limits import Limits

JSON_TYPES = frozenset({"application/json"})
NDJSON_TYPES = frozenset({"application/x-ndjson", "application/ndjson", "application/jsonl"})

# LIMIT: design §4: pieces of this size between processes and into the importer, yielding between.
PIECE_BYTES = 16 * 1024


def require_type(request: web.Request, accepted: frozenset[str]) -> None:
    """Refuse a body of another kind, or a compressed one (a bomb needs no decompressor here).

    Raises:
        HttpError: 415.
    """
    headers = request.headers
    given = headers.get(CONTENT_TYPE, "")
    if given not in accepted:
        kind, _, parameters = given.partition(";")
        if kind.strip().lower() not in accepted:
            raise HttpError(415, f"send the body as {' or '.join(sorted(accepted))}")
        charset = parameters.strip().lower()
        if charset.startswith("charset=") and charset[8:].strip('"') not in ("utf-8", "utf8"):
            raise HttpError(415, "send the body as UTF-8")
    encoding = headers.get(CONTENT_ENCODING)
    if encoding is not None and encoding.lower() != "identity":
        raise HttpError(415, "send the body without a Content-Encoding")


def refuse_early(request: web.Request, limits: Limits, limit: str) -> None:
    """Refuse by the declared length alone, before a byte is read.

    Raises:
        LimitError: 413.
    """
    declared = request.headers.get(CONTENT_LENGTH)
    if declared is not None and int(declared) > getattr(limits, limit):
        raise too_large(limits, limit)


def too_large(limits: Limits, limit: str) -> LimitError:
    """The error for a body over a limit."""
    value: int = getattr(limits, limit)
    return LimitError(limit, value, f"the body has more than {value:,} bytes ({limit})")


async def expect(request: web.Request) -> None:
    """Answer ``Expect: 100-continue`` not before somebody reads the body: after key and length."""


async def _invite(request: web.Request) -> None:
    if request.headers.get("Expect", "").lower() == "100-continue":
        await request.writer.write(b"HTTP/1.1 100 Continue\r\n\r\n")
        request.writer.output_size = 0  # what counts is the answer's own head


async def read_json(request: web.Request, limits: Limits, limit: str) -> bytes:
    """The whole body; JSON by its content type.

    Raises:
        HttpError: 415, another content type or an encoding.
        LimitError: too many bytes, counted or declared, or too slow.
        MalformedError: the connection broke the body off.
    """
    require_type(request, JSON_TYPES)
    content = request.content
    if content.is_eof():  # the usual small body comes with its head
        body = content.read_nowait()
        if len(body) > getattr(limits, limit):
            raise too_large(limits, limit)
        return body
    refuse_early(request, limits, limit)
    try:
        async with asyncio.timeout(limits.body_timeout_s):
            return await _collect(request, limits, limit)
    except TimeoutError:
        raise too_slow(limits) from None


async def _collect(request: web.Request, limits: Limits, limit: str) -> bytes:
    most: int = getattr(limits, limit)
    await _invite(request)
    body = bytearray()
    while piece := await _next(request):
        body += piece
        if len(body) > most:
            raise too_large(limits, limit)
    return bytes(body)


async def pieces(
    request: web.Request, limits: Limits, limit: str | None = None
) -> AsyncIterator[bytes]:
    """The body as it comes, at most `PIECE_BYTES` at a time; each piece has its own time limit.

    Raises:
        LimitError: more bytes than ``limit`` allows, or a piece too slow.
        MalformedError: the connection broke the body off.
    """
    most = getattr(limits, limit) if limit else None
    count = 0
    if not request.content.is_eof():
        await _invite(request)
    while True:
        try:
            async with asyncio.timeout(limits.body_timeout_s):
                piece = await _next(request, PIECE_BYTES)
        except TimeoutError:
            raise too_slow(limits) from None
        if not piece:
            return
        count += len(piece)
        if most is not None and limit is not None and count > most:
            raise too_large(limits, limit)
        yield piece


async def _next(request: web.Request, size: int = -1) -> bytes:
    try:
        return await (request.content.read(size) if size > 0 else request.content.readany())
    except (web.RequestPayloadError, HttpProcessingError, HTTPException) as error:
        raise MalformedError("the body ended early or is broken") from error


def too_slow(limits: Limits) -> LimitError:
    """The error for a body that does not come."""
    value = limits.body_timeout_s
    return LimitError("body_timeout_s", int(value), f"no whole body within {value:g} s")

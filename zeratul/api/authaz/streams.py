"""Answers written line by line, in pieces that are made as the client takes the ones before.

What goes wrong after the head is out can not change the status: the stream ends with a line
``{"error": …}`` and without the line that says it is complete.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import orjson
import structlog

from zeratul.api.authaz import problems
from zeratul.api.keys import REQUEST_ID
from zeratul.errors import InternalError, ZeratulError

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from aiohttp import web

log = structlog.get_logger("zeratul.api")


async def send(
    request: web.Request, response: web.StreamResponse, pieces: AsyncIterator[bytes]
) -> web.StreamResponse:
    """Write every piece; waits for the client, so memory stays flat.

    The first piece is made before the head goes out, so that what fails at once has its status.
    """
    first = await anext(pieces, b"")
    await response.prepare(request)
    try:
        await response.write(first)
        async for piece in pieces:
            await response.write(piece)
    except (ConnectionError, asyncio.CancelledError):
        raise  # the client is gone: nobody to tell
    except Exception as error:  # noqa: BLE001 - the head is out; the last line is all that is left
        await response.write(last_words(request, error))
    await response.write_eof()
    return response


def last_words(request: web.Request, error: Exception) -> bytes:
    """The line that ends a stream which failed."""
    known = isinstance(error, ZeratulError)
    found = error if isinstance(error, ZeratulError) else InternalError("unexpected error")
    log.error(
        "stream failed",
        path=request.path,
        requestId=request[REQUEST_ID],
        exc_info=None if known else error,
    )
    return orjson.dumps({"error": problems.item(found)}) + b"\n"

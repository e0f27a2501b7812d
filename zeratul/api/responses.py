"""Answers: one way to make each kind, every one with its request id."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import orjson
from aiohttp import web
from aiohttp.helpers import rfc822_formatted_time
from multidict import istr

from zeratul.api.keys import REQUEST_ID

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

JSON = "application/json"
NDJSON = "application/x-ndjson"
# Prepared once: as this type, multidict need not fold their case again for each answer.
CONTENT_TYPE_HEADER = istr("Content-Type")
REQUEST_ID_HEADER = istr("X-Request-Id")
SERVER_HEADER = istr("Server")
SERVER = "zeratul"  # the version of what serves is nobody's business


def json_bytes(
    request: web.Request, body: bytes, status: int = 200, content_type: str = JSON
) -> web.Response:
    """An answer whose body is encoded already."""
    return web.Response(
        body=body,
        status=status,
        headers=(
            (CONTENT_TYPE_HEADER, content_type),
            (REQUEST_ID_HEADER, request[REQUEST_ID]),
            (SERVER_HEADER, SERVER),
        ),
    )


def json_wire(request_id: str, body: bytes) -> bytes:
    """What ``json_bytes`` sends, head and body: for an answer that needs no response object."""
    return b"".join(
        (
            b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nX-Request-Id: ",
            request_id.encode("ascii"),
            b"\r\nServer: zeratul\r\nContent-Length: %d\r\nDate: " % len(body),
            rfc822_formatted_time().encode("ascii"),
            b"\r\n\r\n",
            body,
        )
    )


def json_answer(request: web.Request, value: Any, status: int = 200) -> web.Response:
    """An answer of plain values."""
    return json_bytes(request, orjson.dumps(value), status)


def stream(
    request: web.Request, content_type: str, headers: Mapping[str, str] | None = None
) -> web.StreamResponse:
    """The head of an answer that is written in pieces."""
    pairs: Iterable[tuple[str, str]] = (
        (CONTENT_TYPE_HEADER, content_type),
        (REQUEST_ID_HEADER, request[REQUEST_ID]),
        (SERVER_HEADER, SERVER),
        ("Cache-Control", "no-store"),
        *(headers or {}).items(),
    )
    return web.StreamResponse(headers=pairs)


def no_content(request: web.Request, headers: Mapping[str, str]) -> web.Response:
    """An answer without a body."""
    pairs = ((REQUEST_ID_HEADER, request[REQUEST_ID]), (SERVER_HEADER, SERVER), *headers.items())
    return web.Response(status=204, headers=pairs)


def page(request: web.Request, body: bytes, content_type: str) -> web.Response:
    """A file of a page that runs nothing but its own script and talks to nobody else."""
    response = json_bytes(request, body, content_type=content_type)
    response.headers["Content-Security-Policy"] = (
        "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; "
        "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    )
    response.headers["X-Content-Type-Options"] = "nosniff"
    response.headers["Referrer-Policy"] = "no-referrer"
    return response

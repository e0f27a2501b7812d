"""What policies and roles over HTTP have in common: parts that change, entity tags, answers."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, TypeVar

import msgspec
from multidict import istr

from zeratul.api.paths import path_text
from zeratul.api.responses import json_answer, json_bytes
from zeratul.service.ground.idempotency import Replay
from zeratul.service.roles.role_answers import Labelled

if TYPE_CHECKING:
    from collections.abc import Callable

    from aiohttp import web

T = TypeVar("T")

IF_MATCH = istr("If-Match")
ETAG = istr("ETag")
PAGING = ("pageSize", "cursor", "zookie")


def labelled(
    name: str | msgspec.UnsetType,
    description: str | msgspec.UnsetType | None,
    content: list[str] | msgspec.UnsetType,
) -> Labelled:
    """The parts of a body; what is left out is not changed, ``null`` empties a description."""
    return Labelled(
        None if name is msgspec.UNSET else name,
        None if description is msgspec.UNSET else description or "",
        None if content is msgspec.UNSET else content,
    )


def tenant_of(request: web.Request) -> str | None:
    """The tenant of the path, None where it names none."""
    return path_text(request, "tenantId") if "tenantId" in request.match_info else None


def tagged(request: web.Request, value: dict[str, Any], status: int = 200) -> web.Response:
    """An answer about one thing, with its entity tag as a header too."""
    answer = json_answer(request, value, status)
    answer.headers[ETAG] = value["etag"]
    return answer


def rendered(
    request: web.Request, answer: T | Replay, render: Callable[[T], tuple[int, bytes]]
) -> web.Response:
    """The answer to a write that may be repeated: the first one again, or this one."""
    if isinstance(answer, Replay):
        return json_bytes(request, answer.body, answer.status)
    status, body = render(answer)
    return json_bytes(request, body, status)

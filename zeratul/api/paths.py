"""Values out of paths: ids hold any character, so each segment is decoded by itself, once.

aiohttp matches a path whose escapes are undone but for ``/`` and ``%``; what is not UTF-8 it
leaves as it came. So a value is taken from the raw path, where nothing has been guessed yet.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING
from urllib.parse import unquote

from zeratul.errors import MalformedError

if TYPE_CHECKING:
    from aiohttp import web

_NAMED = re.compile(r"\{([A-Za-z]+)\}")


def pattern(path: str) -> str:
    """A route's path for the router: a value is one segment of any characters.

    aiohttp alone would not let a value hold ``{`` or ``}``.
    """
    return _NAMED.sub(r"{\1:[^/]+}", path)


def path_text(request: web.Request, name: str) -> str:
    """The value of ``{name}`` in the path, decoded once: ``a%2Fb`` is ``a/b``.

    Raises:
        MalformedError: it is not UTF-8.
    """
    resource = request.match_info.route.resource
    shape = resource.canonical if resource is not None else ""
    raw = request.rel_url.raw_path.split("/")[shape.split("/").index(f"{{{name}}}")]
    try:
        return unquote(raw, errors="strict")
    except UnicodeDecodeError:
        raise MalformedError("the path is not UTF-8", field=name) from None

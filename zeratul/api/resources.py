"""Files that ship with the package: the OpenAPI document and the page that shows it."""

from __future__ import annotations

from importlib import resources
from pathlib import Path
from typing import Any

import orjson

from zeratul.errors import InternalError
from zeratul.language.declared import declared

# One file an area, in the order the page shows them; ``server`` also holds what all areas share.
OPENAPI_AREAS = (
    "catalog",
    "roles",
    "questions",
    "relationships",
    "groups",
    "administration",
    "audit",
    "issuers",
    "server",
)

_TYPES = {
    ".html": "text/html; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".css": "text/css; charset=utf-8",
}


def openapi_document() -> bytes:
    """The OpenAPI document, as JSON: the areas' files in one."""
    areas = [orjson.loads(declared(f"openapi/{name}.json")) for name in OPENAPI_AREAS]
    document: dict[str, Any] = areas[-1]
    document["tags"] = [tag for area in areas for tag in area["tags"]]
    for part in ("paths", "components"):
        document[part] = _merged([area[part] for area in areas])
    return orjson.dumps(document)


def _merged(parts: list[dict[str, Any]]) -> dict[str, Any]:
    merged: dict[str, Any] = {}
    for part in parts:
        for name, value in part.items():
            if name not in merged:
                merged[name] = value
            elif merged[name].keys() & value.keys():
                raise InternalError(f"two areas of the OpenAPI document define one of `{name}`")
            else:
                merged[name] = {**merged[name], **value}
    return merged


def page_file(name: str) -> tuple[bytes, str]:
    """Content and content type of one file of the page."""
    file = resources.files("zeratul.api") / "static" / name
    return file.read_bytes(), _TYPES[Path(name).suffix]

"""Files that ship with the package: the OpenAPI document and the page that shows it."""

from __future__ import annotations

from importlib import resources
from pathlib import Path

from zeratul.language.declared import declared

_TYPES = {
    ".html": "text/html; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".css": "text/css; charset=utf-8",
}


def openapi_document() -> bytes:
    """The OpenAPI document, as JSON."""
    return declared("openapi.json")


def page_file(name: str) -> tuple[bytes, str]:
    """Content and content type of one file of the page."""
    file = resources.files("zeratul.api") / "static" / name
    return file.read_bytes(), _TYPES[Path(name).suffix]

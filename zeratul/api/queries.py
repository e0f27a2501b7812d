"""Query parameters: each known, each once, each of its type; anything else is an error."""

from __future__ import annotations

from typing import TYPE_CHECKING
from urllib.parse import parse_qsl

from zeratul.errors import LimitError, MalformedError, UnknownNameError, ValidationError

if TYPE_CHECKING:
    from collections.abc import Collection

    from aiohttp import web

    from zeratul.domain.limits import Limits

# LIMIT: more than any call takes; the request line itself is bounded by the server.
PARAMETERS_MAX = 64


class Query:
    """The parameters of one request."""

    __slots__ = ("_values",)

    def __init__(self, request: web.Request, known: Collection[str]) -> None:
        """Parse and refuse what is not known.

        Raises:
            UnknownNameError: a parameter nobody declared; names the nearest.
            MalformedError: a parameter twice, or not UTF-8.
        """
        raw = request.rel_url.raw_query_string
        self._values: dict[str, str] = {}
        if not raw:
            return
        try:
            pairs = parse_qsl(
                raw, keep_blank_values=True, errors="strict", max_num_fields=PARAMETERS_MAX
            )
        except UnicodeDecodeError:
            raise MalformedError("the query is not UTF-8") from None
        except ValueError:
            raise MalformedError(f"more than {PARAMETERS_MAX} query parameters") from None
        for name, value in pairs:
            if name not in known:
                raise UnknownNameError("query parameter", name, known, field=name[:128])
            if name in self._values:
                raise MalformedError(f"the query parameter `{name}` is there twice", field=name)
            self._values[name] = value

    def __contains__(self, name: str) -> bool:
        return name in self._values

    def text(self, name: str) -> str | None:
        """The value, or None where it is absent; an empty value is an error.

        Raises:
            ValidationError: it is empty.
        """
        value = self._values.get(name)
        if value == "":
            raise ValidationError({name: ["must not be empty"]})
        return value

    def required(self, name: str) -> str:
        """The value.

        Raises:
            ValidationError: it is absent or empty.
        """
        value = self.text(name)
        if value is None:
            raise ValidationError({name: ["is missing"]})
        return value

    def flag(self, name: str) -> bool:
        """Whether it says ``true``; absent is ``false``.

        Raises:
            ValidationError: it says something else.
        """
        value = self._values.get(name, "false")
        if value not in ("true", "false"):
            raise ValidationError({name: ["must be `true` or `false`"]})
        return value == "true"

    def choice(self, name: str, options: Collection[str]) -> str | None:
        """One of the options, or None where it is absent.

        Raises:
            ValidationError: another value.
        """
        value = self._values.get(name)
        if value is not None and value not in options:
            shown = " or ".join(f"`{option}`" for option in options)
            raise ValidationError({name: [f"must be {shown}"]})
        return value

    def page_size(self, limits: Limits) -> int:
        """Rows of a page (contract authaz §1, paging).

        Raises:
            ValidationError: not a number, or below 1.
            LimitError: above the limit.
        """
        value = self._values.get("pageSize")
        if value is None:
            return limits.page_size_default
        if not (value.isascii() and value.isdigit() and len(value) < 10 and int(value) > 0):
            raise ValidationError({"pageSize": [f"must be 1 to {limits.page_size_max:,}"]})
        size = int(value)
        if size > limits.page_size_max:
            raise LimitError(
                "page_size_max",
                limits.page_size_max,
                f"a page has at most {limits.page_size_max:,} rows, this asks for {size:,}",
                field="pageSize",
            )
        return size

"""Request -> values, shared by the handlers of this contract."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal, NamedTuple

from multidict import istr

from zeratul.api.authaz import questions
from zeratul.api.queries import Query
from zeratul.domain.zookie import Zookie
from zeratul.errors import ValidationError
from zeratul.service.ground.answers import Page

if TYPE_CHECKING:
    from aiohttp import web
    from aiohttp.http import RawRequestMessage

    from zeratul.api.authaz.structures import Consistency
    from zeratul.domain.limits import Limits
    from zeratul.service.ground.answers import OnError

ZOOKIE_HEADER = istr("X-Zeratul-Zookie")
NDJSON_ACCEPT = "application/x-ndjson"


def at_least(
    request: web.Request | RawRequestMessage,
    *,
    consistency: Consistency | None = None,
    query: Query | None = None,
) -> str | None:
    """How fresh the answer has to be; of several zookies the newest.

    Raises:
        MalformedError: one of several is none of ours (a single one is the service's to judge).
    """
    header = request.headers.get(ZOOKIE_HEADER)
    if consistency is None and query is None:
        return header  # the usual question names none, or in the header
    given = [
        text
        for text in (
            header,
            consistency.at_least if consistency else None,
            query.text("zookie") if query else None,
        )
        if text is not None
    ]
    if len(given) < 2:
        return given[0] if given else None
    return max(given, key=lambda text: Zookie.decode(text).revision)


class BulkOptions(NamedTuple):
    """How a bulk call is made and answered."""

    on_error: OnError
    results: Literal["all", "errors"]
    dry_run: bool


def bulk_options(request: web.Request) -> BulkOptions:
    """What the query of a bulk call says.

    Raises:
        UnknownNameError, MalformedError, ValidationError: a parameter or value that is none.
    """
    query = Query(request, ("onError", "results", "dryRun"))
    continues = query.choice("onError", ("fail", "continue")) == "continue"
    only_errors = query.choice("results", ("all", "errors")) == "errors"
    return BulkOptions(
        "continue" if continues else "fail",
        "errors" if only_errors else "all",
        query.flag("dryRun"),
    )


def page(query: Query, limits: Limits) -> Page:
    """Which part of a list is asked for.

    Raises:
        ValidationError, LimitError: a page size that is none.
    """
    return Page(query.page_size(limits), query.text("cursor"))


def wants_stream(request: web.Request) -> bool:
    """Whether the answer is to be NDJSON."""
    return any(
        part.partition(";")[0].strip().lower() == NDJSON_ACCEPT
        for part in request.headers.get("Accept", "").split(",")
    )


def target(query: Query, name: str) -> tuple[str, str]:
    """Type and relation a query is about: ``resource`` and ``name``, or ``permission``.

    Raises:
        ValidationError: neither, or both.
        MalformedError: one does not parse.
    """
    permission = query.text("permission")
    if permission is None:
        return query.required("resource"), query.required(name)
    kind, relation = questions.split_permission(permission, field="permission")
    if query.text("resource") not in (None, kind) or query.text(name) not in (None, relation):
        raise ValidationError({"permission": [f"does not agree with `resource` and `{name}`"]})
    return kind, relation


def refuse_paging(query: Query) -> None:
    """A stream has no pages.

    Raises:
        ValidationError: it was asked for one.
    """
    for name in ("pageSize", "cursor"):
        if name in query:
            raise ValidationError({name: ["a stream has no pages"]})

"""Relationships over HTTP: write, delete, bulk, both stored views (contract authaz §5)."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, TypeVar, cast

import orjson

from zeratul.api.authaz import encoding, questions, reading
from zeratul.api.authaz.structures import (
    BulkBody,
    FastBulkBody,
    FilterBody,
    PreconditionBody,
    RelationshipBody,
)
from zeratul.api.bodies import read_json
from zeratul.api.keys import CALLER
from zeratul.api.queries import Query
from zeratul.api.responses import json_answer, json_bytes
from zeratul.api.work import idempotency
from zeratul.domain.relationship import Relationship
from zeratul.errors import InputError, LimitError, ValidationError, ZeratulError
from zeratul.service.ground.decoding import Decoder
from zeratul.service.ground.idempotency import Replay
from zeratul.service.relationships.bulk import Draft
from zeratul.service.relationships.relationship_answers import (
    Precondition,
    RelationshipFilter,
    Written,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from concurrent.futures import Future

    import msgspec
    from aiohttp import web

    from zeratul.api.forwarding import Forwarder
    from zeratul.api.work import Work
    from zeratul.domain.limits import Limits
    from zeratul.service.ground.answers import BulkAnswer
    from zeratul.service.services import Services

# LIMIT: rows of a page a front reads itself; more would hold up the checks beside them.
INLINE_ROWS_MAX = 100

# LIMIT: fewer writes than these are quicker one by one than as columns.
COLUMNS_MIN = 32

Answer = TypeVar("Answer")
Item = Relationship | ZeratulError

_RELATIONSHIP = Decoder(RelationshipBody)
_ITEM = Decoder(RelationshipBody, what="the item")
_FILTER = Decoder(FilterBody)
_FAST_BULK = Decoder(FastBulkBody)
_BULK = Decoder(BulkBody)


class RelationshipHandlers:
    """Handlers of ``/authorization/relationships``."""

    def __init__(
        self, services: Services, limits: Limits, work: Work, forwarder: Forwarder | None
    ) -> None:
        self._service = services.relationships
        self._limits = limits
        self._work = work
        self._forwarder = forwarder

    async def write(self, request: web.Request) -> web.StreamResponse:
        """``POST``: one relationship."""
        Query(request, ())
        body = await read_json(request, self._limits, "small_body_bytes_max")
        relationship = questions.relationship(_RELATIONSHIP(body))
        answer = await self._work.durable(
            self._service.write(
                request[CALLER],
                relationship,
                idempotency=idempotency(request, body, self._limits, _render_written),
            )
        )
        status, encoded = _rendered(answer, _render_written)
        return json_bytes(request, encoded, status)

    async def delete(self, request: web.Request) -> web.StreamResponse:
        """``DELETE``: one relationship, or all that a filter names."""
        dry_run = Query(request, ("dryRun",)).flag("dryRun")
        body = await read_json(request, self._limits, "small_body_bytes_max")
        wanted = _FILTER(body)
        caller = request[CALLER]
        whole = None not in (wanted.resource, wanted.resource_id, wanted.relation)
        if whole and (wanted.user_id, wanted.subject) != (None, None):
            relationship = questions.relationship(_RELATIONSHIP(body))
            answer = await self._work.durable(
                self._service.delete(caller, relationship, dry_run=dry_run)
            )
            return json_answer(request, encoding.deleted(answer))
        chosen = _filter(wanted)
        if self._forwarder is not None:
            return await self._forwarder.whole(request, body)
        future = await self._work.run(
            partial(self._service.delete_by_filter, caller, chosen, dry_run=dry_run)
        )
        return json_answer(request, encoding.deleted(await self._work.durable(future)))

    async def bulk(self, request: web.Request) -> web.StreamResponse:
        """``POST …/bulk``: up to 5,000 in one transaction, with results for each item."""
        options = reading.bulk_options(request)
        body = await read_json(request, self._limits, "body_bytes_max")
        again = idempotency(request, body, self._limits, _render_bulk)
        caller = request[CALLER]

        def start() -> Future[BulkAnswer | Replay]:
            writes, deletes, preconditions = self._bulk_items(body)
            return self._service.bulk(
                caller,
                writes,
                deletes,
                on_error=options.on_error,
                dry_run=options.dry_run,
                preconditions=preconditions,
                results=options.results,
                idempotency=again,
            )

        answer = await self._work.durable(await self._work.run(start))
        status, encoded = _rendered(answer, _render_bulk)
        return json_bytes(request, encoded, status)

    def _bulk_items(
        self, raw: bytes
    ) -> tuple[list[Item] | Draft, list[Item], list[Precondition | ZeratulError]]:
        try:
            body: FastBulkBody | BulkBody = _FAST_BULK(raw)
        except InputError:
            # Something does not decode: item by item, so that all findings show together.
            body = _BULK(raw)
        most = self._limits.bulk_writes_max
        for name in ("writes", "deletes", "preconditions"):
            # Before items are looked at: a body of the size allowed holds millions of `{}`.
            count = len(getattr(body, name))
            if count > most:
                raise LimitError(
                    "bulk_writes_max",
                    most,
                    f"a bulk call takes at most {most:,} {name}, this one has {count:,}",
                    help="send it in several calls, or use the import",
                    field=name,
                )
        conditions = [_precondition(each) for each in body.preconditions]
        return _writes(body), _items(body.deletes), conditions

    async def read(self, request: web.Request) -> web.StreamResponse:
        """``GET``: what is stored on a resource, or what names a subject; nothing computed."""
        query = Query(
            request,
            (
                "resource", "resourceId", "userId", "subject", "relation", "pageSize", "cursor",
                "zookie",
            ),
        )  # fmt: skip
        kind, identity = query.text("resource"), query.text("resourceId")
        relation = query.text("relation")
        user_id, text = query.text("userId"), query.text("subject")
        page = reading.page(query, self._limits)
        who = None if user_id is None and text is None else questions.subject(user_id, text)
        if self._forwarder is not None and (page.size or 0) > INLINE_ROWS_MAX:
            return await self._forwarder.stream(request, "small_body_bytes_max")
        fresh = reading.at_least(request, query=query)
        caller = request[CALLER]
        if identity is not None:
            kind = questions.required(kind, "resource")
            resource = questions.resource(kind, identity)
            found = self._service.by_resource(
                caller, resource, relation=relation, subject=who, page=page, at_least=fresh
            )
        elif who is not None:
            found = self._service.by_subject(
                caller, who, resource_type=kind, relation=relation, page=page, at_least=fresh
            )
        else:
            missing = "resourceId" if kind is not None else "resource"
            raise ValidationError(
                {missing: ["send `resource` with `resourceId`, or `userId` or `subject`, or both"]}
            )
        return json_answer(request, encoding.relationship_page(found))


def _filter(body: FilterBody) -> RelationshipFilter:
    who = None
    if body.user_id is not None or body.subject is not None:
        who = questions.subject(body.user_id, body.subject)
    if who is None and (body.resource is None or body.resource_id is None):
        raise ValidationError(
            {"userId": ["send at least `userId` or `subject`, or `resource` with `resourceId`"]}
        )
    if body.resource_id is not None and body.resource is None:
        raise ValidationError({"resource": ["is missing: an id belongs to a resource"]})
    return RelationshipFilter(who, body.resource, body.resource_id, body.relation)


def _writes(body: FastBulkBody | BulkBody) -> list[Item] | Draft:
    """As columns where that is no matter of single items, else one by one."""
    if isinstance(body, FastBulkBody) and len(body.writes) >= COLUMNS_MIN:
        found = questions.candidates(body.writes)
        if found is not None:
            return Draft(found, partial(_items, body.writes))
    return _items(body.writes)


def _items(bodies: Sequence[RelationshipBody | msgspec.Raw]) -> list[Item]:
    items: list[Item] = []
    for each in bodies:
        try:
            body = each if isinstance(each, RelationshipBody) else _ITEM(each)
            items.append(questions.relationship(body))
        except InputError as error:
            # Its fields are counted from the item; the service puts the item's place before them.
            items.append(error)
    return items


def _precondition(body: PreconditionBody) -> Precondition | ZeratulError:
    if (body.must_exist is None) == (body.must_not_exist is None):
        return InputError("send exactly one of `mustExist` and `mustNotExist`")
    try:
        if body.must_exist is not None:
            fact = questions.relationship(body.must_exist, prefix="mustExist.")
            return Precondition(fact, must_exist=True)
        chosen = cast("RelationshipBody", body.must_not_exist)
        fact = questions.relationship(chosen, prefix="mustNotExist.")
        return Precondition(fact, must_exist=False)
    except InputError as error:
        return error


def _render_written(answer: Written) -> tuple[int, bytes]:
    return 201 if answer.created else 200, orjson.dumps(encoding.written(answer))


def _render_bulk(answer: BulkAnswer) -> tuple[int, bytes]:
    return 200, orjson.dumps(encoding.bulk(answer))


def _rendered(
    answer: Answer | Replay, render: Callable[[Answer], tuple[int, bytes]]
) -> tuple[int, bytes]:
    if isinstance(answer, Replay):
        return answer.status, answer.body
    return render(answer)

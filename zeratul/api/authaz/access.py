"""Questions over HTTP: check, bulk check, explain, expand (contract authaz §6)."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

from zeratul.api.authaz import encoding, questions, reading
from zeratul.api.authaz.explaining import explanation
from zeratul.api.authaz.structures import (
    BulkCheckBody,
    CheckBody,
    CheckItem,
    ExplainBody,
    FastBulkCheckBody,
)
from zeratul.api.bodies import read_json
from zeratul.api.keys import CALLER
from zeratul.api.queries import Query
from zeratul.api.responses import json_answer, json_bytes
from zeratul.errors import InputError, LimitError, UnknownNameError, ZeratulError
from zeratul.graph.answers import CheckQuestion
from zeratul.service.ground.decoding import Decoder

if TYPE_CHECKING:
    from collections.abc import Sequence

    import msgspec
    from aiohttp import web
    from aiohttp.http import RawRequestMessage

    from zeratul.api.authaz.structures import RelationshipBody
    from zeratul.api.forwarding import Forwarder
    from zeratul.api.work import Work
    from zeratul.domain.limits import Limits
    from zeratul.domain.relationship import Relationship, SubjectRef
    from zeratul.service.ground.caller import Caller
    from zeratul.service.questions.access import Access

_CHECK = Decoder(CheckBody)
_EXPLAIN = Decoder(ExplainBody)
_ITEM = Decoder(CheckItem, what="the item")
_FAST_CHECKS = Decoder(FastBulkCheckBody)
_CHECKS = Decoder(BulkCheckBody)

# LIMIT: questions a front answers itself; more would hold up the checks beside them.
INLINE_CHECKS_MAX = 1_000


Item = CheckQuestion | ZeratulError


class AccessHandlers:
    """Handlers of ``/authorization/check``, ``explain`` and ``expand``."""

    def __init__(
        self,
        service: Access,
        limits: Limits,
        work: Work,
        forwarder: Forwarder | None,
    ) -> None:
        self._service = service
        self._limits = limits
        self._work = work
        self._forwarder = forwarder

    async def check(self, request: web.Request) -> web.StreamResponse:
        """``POST /check``: answered on the event loop, in microseconds."""
        Query(request, ())
        raw = await read_json(request, self._limits, "small_body_bytes_max")
        return json_bytes(request, self.check_now(request, request[CALLER], raw))

    def check_now(
        self, request: web.Request | RawRequestMessage, caller: Caller, raw: bytes
    ) -> bytes:
        """The hot path: the answer to a check as JSON.

        Raises:
            ZeratulError: what the body, the question or the caller has wrong.
        """
        body = _CHECK(raw)
        question = questions.question(body, caller)
        given = body.contextual_relationships
        try:
            answer = self._service.check(
                caller,
                question,
                contextual=self._given(given, "contextualRelationships") if given else (),
                at_least=reading.at_least(request, consistency=body.consistency),
            )
        except UnknownNameError as error:
            raise questions.named(error) from None
        return encoding.check(answer)

    async def check_many(self, request: web.Request) -> web.StreamResponse:
        """``POST /check/bulk``: answers in order, errors of items inline."""
        Query(request, ())
        forwarder = self._forwarder
        declared = request.content_length
        if forwarder is not None and (
            declared is None or declared > self._limits.small_body_bytes_max
        ):
            return await forwarder.stream(request, "body_bytes_max")
        raw = await read_json(request, self._limits, "body_bytes_max")
        caller = request[CALLER]
        body, items = self._checks(raw, caller)
        if forwarder is not None and len(items) > INLINE_CHECKS_MAX:
            return await forwarder.whole(request, raw)
        fresh = reading.at_least(request, consistency=body.consistency)
        asked = [each for each in items if isinstance(each, CheckQuestion)]
        ask = partial(self._service.check_many, caller, asked, at_least=fresh)
        answer = ask() if len(items) <= INLINE_CHECKS_MAX else await self._work.run(ask)
        answered = iter(answer.results)
        found = [next(answered) if isinstance(each, CheckQuestion) else each for each in items]
        results = [
            questions.named(each) if isinstance(each, UnknownNameError) else each for each in found
        ]
        return json_bytes(request, encoding.checks(results, answer.zookie))

    def _checks(
        self, raw: bytes, caller: Caller
    ) -> tuple[FastBulkCheckBody | BulkCheckBody, list[Item]]:
        try:
            body: FastBulkCheckBody | BulkCheckBody = _FAST_CHECKS(raw)
        except InputError:
            # An item does not decode: one by one, so that it spoils only itself.
            body = _CHECKS(raw)
        most = self._limits.bulk_checks_max
        if len(body.checks) > most:
            raise LimitError(
                "bulk_checks_max",
                most,
                f"a call has at most {most:,} checks, this one has {len(body.checks):,}",
                field="checks",
            )
        tenant = caller.question_tenant(body.tenant_id)
        default = caller.question_subject(None)
        if body.user_id is not None or body.subject is not None:
            default = questions.subject(body.user_id, body.subject)
        items: list[Item] = []
        checks: Sequence[CheckItem | msgspec.Raw] = body.checks
        for each in checks:
            try:
                item = each if isinstance(each, CheckItem) else _ITEM(each)
                items.append(_item(item, default, tenant))
            except InputError as error:
                # Its fields are counted from the item, beside which the error stands.
                items.append(error)
        return body, items

    async def explain(self, request: web.Request) -> web.StreamResponse:
        """``POST /explain``: the proof, or what was looked at and what would do."""
        Query(request, ())
        body = _EXPLAIN(await read_json(request, self._limits, "small_body_bytes_max"))
        caller = request[CALLER]
        ask = partial(
            self._service.explain,
            caller,
            questions.question(body, caller),
            contextual=self._given(body.contextual_relationships, "contextualRelationships"),
            writes=self._given(body.writes, "writes"),
            deletes=self._given(body.deletes, "deletes"),
            at_least=reading.at_least(request, consistency=body.consistency),
        )
        try:
            answer = await self._work.run(ask)
        except UnknownNameError as error:
            raise questions.named(error) from None
        return json_answer(request, explanation(answer))

    async def expand(self, request: web.Request) -> web.StreamResponse:
        """``GET /expand``: the tree of a userset, usersets in it unexpanded."""
        query = Query(request, ("resource", "resourceId", "relation", "permission", "zookie"))
        kind, relation = reading.target(query, "relation")
        resource = questions.resource(kind, query.required("resourceId"))
        fresh = reading.at_least(request, query=query)
        answer = await self._work.run(
            partial(self._service.expand, request[CALLER], resource, relation, at_least=fresh)
        )
        return json_answer(request, encoding.expansion(answer))

    def _given(self, bodies: list[RelationshipBody], field: str) -> list[Relationship]:
        if not bodies:
            return []
        most = self._limits.contextual_relationships_max
        if len(bodies) > most:
            raise LimitError(
                "contextual_relationships_max",
                most,
                f"`{field}` has at most {most}, this has {len(bodies):,}",
                field=field,
            )
        return [
            questions.relationship(each, prefix=f"{field}[{index}].")
            for index, each in enumerate(bodies)
        ]


def _item(body: CheckItem, default: SubjectRef | None, tenant: str | None) -> CheckQuestion:
    if default is not None and body.user_id is None and body.subject is None:
        who = default
    else:
        who = questions.subject(body.user_id, body.subject)
    kind, relation = questions.target(body)
    return CheckQuestion(who, questions.place(kind, body.resource_id), relation, tenant)

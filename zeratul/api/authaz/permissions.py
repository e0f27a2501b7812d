"""``GET /authorization/permissions``: what a subject may do (contract authaz §5)."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any

from zeratul.api.authaz import encoding, questions, reading
from zeratul.api.keys import CALLER
from zeratul.api.queries import Query
from zeratul.api.responses import json_answer
from zeratul.api.routes import Route
from zeratul.errors import ValidationError

if TYPE_CHECKING:
    from aiohttp import web

    from zeratul.api.forwarding import Forwarder
    from zeratul.api.work import Work
    from zeratul.service.roles.role_answers import HeldPermissions
    from zeratul.service.services import Services

_KNOWN = ("userId", "subject", "tenantId", "resource", "resourceId", "zookie")


class PermissionHandlers:
    """Handler of ``/authorization/permissions``."""

    def __init__(self, services: Services, work: Work, forwarder: Forwarder | None) -> None:
        self._service = services.permissions
        self._work = work
        self._forwarder = forwarder

    def routes(self) -> list[Route]:
        """The table of this area."""
        return [Route("GET", "/api/v1/authorization/permissions", self.held)]

    async def held(self, request: web.Request) -> web.StreamResponse:
        """``GET …/permissions``: on whole types, or on one resource."""
        query = Query(request, _KNOWN)
        caller = request[CALLER]
        user_id, text = query.text("userId"), query.text("subject")
        asked = None if user_id is None and text is None else questions.subject(user_id, text)
        who = caller.question_subject(asked)
        if who is None:
            raise ValidationError({"userId": ["is missing: send `userId` or `subject`"]})
        resource = query.text("resource")
        if resource is None and self._forwarder is not None:
            # A whole catalog: some milliseconds of work, megabytes of answer at its largest.
            return await self._forwarder.stream(request, "small_body_bytes_max")
        ask = partial(
            self._service.held,
            caller,
            who,
            tenant_id=query.text("tenantId"),
            resource=resource,
            resource_id=query.text("resourceId"),
            at_least=reading.at_least(request, query=query),
        )
        answer = ask() if resource is not None else await self._work.run(ask)
        return json_answer(request, _held(answer))


def _held(answer: HeldPermissions) -> dict[str, Any]:
    value = encoding.subject(answer.subject) | {"tenantId": answer.tenant_id}
    if answer.resource is not None:
        value["resource"] = answer.resource
    if answer.resource_id is not None:
        value["resourceId"] = answer.resource_id
    return value | {"permissions": answer.permissions, "zookie": answer.zookie}

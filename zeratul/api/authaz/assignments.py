"""Role assignments over HTTP, and members of tenants (contract authaz §3)."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any

import orjson

from zeratul.api.authaz import encoding, problems, questions, reading
from zeratul.api.authaz.assignments_bodies import AssignmentBody, BulkAssignmentBody
from zeratul.api.authaz.labels import PAGING, rendered, tenant_of
from zeratul.api.authaz.reading import ZOOKIE_HEADER
from zeratul.api.bodies import read_json
from zeratul.api.keys import CALLER
from zeratul.api.paths import path_text
from zeratul.api.queries import Query
from zeratul.api.responses import json_answer, no_content
from zeratul.api.routes import Route
from zeratul.api.work import idempotency
from zeratul.errors import InputError, LimitError, ZeratulError
from zeratul.service.ground.decoding import Decoder
from zeratul.service.ground.times import parse_time
from zeratul.service.roles.assigning import scope_text
from zeratul.service.roles.role_answers import AssignmentFilter, BulkAssignment, Wish

if TYPE_CHECKING:
    from collections.abc import Sequence
    from concurrent.futures import Future

    import msgspec
    from aiohttp import web

    from zeratul.api.work import Work
    from zeratul.domain.limits import Limits
    from zeratul.service.ground.answers import Deleted, ItemResult
    from zeratul.service.ground.idempotency import Replay
    from zeratul.service.roles.role_answers import Assigned, Assignment, BulkAssigned, Member
    from zeratul.service.services import Services

_ASSIGNMENT = Decoder(AssignmentBody)
_BULK = Decoder(BulkAssignmentBody)

_FILTERS = ("userId", "subject", "roleId")


class AssignmentHandlers:
    """Handlers of ``/role-assignments`` in its three places, and of ``…/members``."""

    def __init__(self, services: Services, limits: Limits, work: Work) -> None:
        self._service = services.assignments
        self._tenants = services.tenants
        self._limits = limits
        self._work = work

    def routes(self) -> list[Route]:
        """The table of this area."""
        small, large = "small_body_bytes_max", "body_bytes_max"
        application = "/api/v1/applications/{appId}"
        tenant = f"{application}/tenants/{{tenantId}}"
        table: list[Route] = []
        for place in ("/api/v1", application, tenant):
            many = f"{place}/role-assignments"
            table += [
                Route("POST", many, self.assign),
                Route("GET", many, self.list, heavy=True, body_limit=small),
                Route("DELETE", many, self.unassign),
                Route("POST", f"{many}/bulk", self.bulk, heavy=True, body_limit=large),
                Route("DELETE", f"{many}/{{assignmentId}}", self.unassign_id),
            ]
        members = f"{tenant}/members"
        return [
            *table,
            Route("GET", members, self.members, heavy=True, body_limit=small),
            Route("DELETE", f"{members}/{{userId}}", self.remove_member),
        ]

    async def assign(self, request: web.Request) -> web.StreamResponse:
        """``POST …/role-assignments``: 201 where it is new."""
        Query(request, ())
        raw = await read_json(request, self._limits, "small_body_bytes_max")
        answer = await self._work.durable(
            self._service.assign(
                request[CALLER],
                _wish(_ASSIGNMENT(raw)),
                tenant_of(request),
                idempotency=idempotency(request, raw, self._limits, _render_assigned),
            )
        )
        return rendered(request, answer, _render_assigned)

    async def unassign(self, request: web.Request) -> web.StreamResponse:
        """``DELETE …/role-assignments``: by the body it was made with; absent is no error."""
        Query(request, ())
        raw = await read_json(request, self._limits, "small_body_bytes_max")
        answer = await self._work.durable(
            self._service.unassign(request[CALLER], _wish(_ASSIGNMENT(raw)), tenant_of(request))
        )
        return json_answer(request, _deleted(answer))

    async def unassign_id(self, request: web.Request) -> web.StreamResponse:
        """``DELETE …/role-assignments/{assignmentId}``."""
        Query(request, ())
        zookie = await self._work.durable(
            self._service.unassign_id(
                request[CALLER], path_text(request, "assignmentId"), tenant_of(request)
            )
        )
        return no_content(request, {ZOOKIE_HEADER: zookie})

    async def list(self, request: web.Request) -> web.StreamResponse:
        """``GET …/role-assignments``; under a tenant, what is assigned in it."""
        tenant_id = tenant_of(request)
        where = ("tenantId", "scope") if tenant_id is None else ()
        query = Query(request, (*_FILTERS, *where, *PAGING))
        user_id, text = query.text("userId"), query.text("subject")
        who = None if user_id is None and text is None else questions.subject(user_id, text)
        wanted = AssignmentFilter(
            who, query.text("roleId"), query.text("tenantId"), query.text("scope")
        )
        page = await self._work.run(
            partial(
                self._service.list,
                request[CALLER],
                wanted,
                tenant_id,
                page=reading.page(query, self._limits),
                at_least=reading.at_least(request, query=query),
            )
        )
        rows = [_assignment(each) for each in page.rows]
        return json_answer(request, encoding.some(page, rows))

    async def bulk(self, request: web.Request) -> web.StreamResponse:
        """``POST …/role-assignments/bulk``: up to 5,000 in one transaction."""
        options = reading.bulk_options(request)
        raw = await read_json(request, self._limits, "body_bytes_max")
        again = idempotency(request, raw, self._limits, _render_bulk)
        caller, tenant_id = request[CALLER], tenant_of(request)

        def start() -> Future[BulkAssigned | Replay]:
            body = _BULK(raw)
            chosen = BulkAssignment(
                assign=_wishes(body.assign, "assign", self._limits),
                unassign=_wishes(body.unassign, "unassign", self._limits),
                on_error=options.on_error,
                results=options.results,
                dry_run=options.dry_run,
                idempotency=again,
            )
            return self._service.bulk(caller, chosen, tenant_id)

        answer = await self._work.durable(await self._work.run(start))
        return rendered(request, answer, _render_bulk)

    async def members(self, request: web.Request) -> web.StreamResponse:
        """``GET …/tenants/{tenantId}/members``: users with their roles there."""
        query = Query(request, PAGING)
        page = await self._work.run(
            partial(
                self._tenants.members,
                request[CALLER],
                path_text(request, "tenantId"),
                page=reading.page(query, self._limits),
                at_least=reading.at_least(request, query=query),
            )
        )
        return json_answer(request, encoding.some(page, [_member(each) for each in page.rows]))

    async def remove_member(self, request: web.Request) -> web.StreamResponse:
        """``DELETE …/tenants/{tenantId}/members/{userId}``: all roles a user has there."""
        Query(request, ())
        answer = await self._work.durable(
            self._tenants.remove_member(
                request[CALLER], path_text(request, "tenantId"), path_text(request, "userId")
            )
        )
        return json_answer(request, _deleted(answer))


def _wishes(
    bodies: Sequence[msgspec.Raw], field: str, limits: Limits
) -> list[Wish | ZeratulError]:
    most = limits.bulk_assignments_max
    if len(bodies) > most:
        # Before items are looked at: a body of the size allowed holds millions of `{}`.
        raise LimitError(
            "bulk_assignments_max",
            most,
            f"a bulk call takes at most {most:,} items in `{field}`, this one has {len(bodies):,}",
            help="send them in several calls",
            field=field,
        )
    wishes: list[Wish | ZeratulError] = []
    for each in bodies:
        try:
            wishes.append(_wish(_ASSIGNMENT(each)))
        except InputError as error:
            # Its fields are counted from the item; the service puts the place before them.
            wishes.append(error)
    return wishes


def _wish(body: AssignmentBody) -> Wish:
    who = questions.subject(body.user_id, body.subject)
    expires_at_ms = None
    if body.expires_at is not None:
        expires_at_ms = parse_time(body.expires_at, field="expiresAt")
    role_id = questions.required(body.role_id, "roleId")
    return Wish(who, role_id, body.tenant_id, body.scope, expires_at_ms)


def _assignment(assignment: Assignment) -> dict[str, Any]:
    value: dict[str, Any] = {"id": assignment.id}
    value |= encoding.subject(assignment.holder)
    return value | {
        "roleId": assignment.role_id,
        "tenantId": assignment.scope.tenant,
        "scope": scope_text(assignment.scope),
        "expiresAt": encoding.time(assignment.expires_at_ms),
        "createdAt": encoding.time(assignment.created_at_ms),
    }


def _member(member: Member) -> dict[str, Any]:
    return {
        "userId": member.user_id,
        "roles": [{"roleId": role.role_id, "roleName": role.role_name} for role in member.roles],
    }


def _deleted(answer: Deleted) -> dict[str, Any]:
    return {"deleted": answer.deleted, "zookie": answer.zookie}


def _render_assigned(answer: Assigned) -> tuple[int, bytes]:
    value = _assignment(answer.assignment) | {
        "created": answer.created,
        "warnings": answer.warnings,
        "zookie": answer.zookie,
    }
    return 201 if answer.created else 200, orjson.dumps(value)


def _render_bulk(answer: BulkAssigned) -> tuple[int, bytes]:
    bulk = answer.bulk
    value = {
        "created": bulk.created,
        "existing": bulk.existing,
        "replaced": bulk.replaced,
        "deleted": bulk.deleted,
        "failed": bulk.failed,
        "results": [_item(result) for result in bulk.results],
        "warnings": answer.warnings,
        "dryRun": bulk.dry_run,
        "zookie": bulk.zookie,
    }
    return 200, orjson.dumps(value)


def _item(result: ItemResult) -> dict[str, Any]:
    value: dict[str, Any] = {"index": result.index, "status": result.status}
    if result.operation == "delete":
        value["operation"] = "unassign"
    if result.error is not None:
        value["error"] = problems.item(result.error)
    return value

"""Groups over HTTP (contract authaz §4)."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any

import msgspec
import orjson

from zeratul.api.authaz import encoding, questions, reading
from zeratul.api.authaz.groups_bodies import GroupBody, MembersBody
from zeratul.api.bodies import read_json
from zeratul.api.keys import CALLER
from zeratul.api.paths import path_text
from zeratul.api.queries import Query
from zeratul.api.responses import json_answer, json_bytes
from zeratul.api.routes import Route
from zeratul.api.work import idempotency
from zeratul.errors import InputError, LimitError, ZeratulError
from zeratul.service.ground.decoding import Decoder
from zeratul.service.ground.idempotency import Replay
from zeratul.service.groups.groups import KEEP
from zeratul.service.groups.members import ALONE
from zeratul.service.groups.stored_groups import GROUP_TYPE, MEMBER

if TYPE_CHECKING:
    from collections.abc import Sequence

    from aiohttp import web

    from zeratul.api.work import Work
    from zeratul.domain.limits import Limits
    from zeratul.domain.relationship import SubjectRef
    from zeratul.service.ground.answers import StoredRelationship
    from zeratul.service.groups.group_answers import Group, MembersAdded, MembersRemoved
    from zeratul.service.services import Services

_GROUP = Decoder(GroupBody)
_MEMBERS = Decoder(MembersBody)

_PAGING = ("pageSize", "cursor", "zookie")


class GroupHandlers:
    """Handlers of ``/groups``."""

    def __init__(self, services: Services, limits: Limits, work: Work) -> None:
        self._service = services.groups
        self._limits = limits
        self._work = work

    def routes(self) -> list[Route]:
        """The table of this area."""
        groups = "/api/v1/groups"
        one, members = f"{groups}/{{groupId}}", f"{groups}/{{groupId}}/members"
        large, small = "body_bytes_max", "small_body_bytes_max"
        return [
            Route("GET", groups, self.list, heavy=True, body_limit=small),
            Route("GET", one, self.get),
            Route("PUT", one, self.put, heavy=True, body_limit=large),
            Route("DELETE", one, self.delete, heavy=True, body_limit=small),
            Route("GET", members, self.members, heavy=True, body_limit=small),
            Route("POST", members, self.add, heavy=True, body_limit=large),
            Route("DELETE", members, self.remove, heavy=True, body_limit=large),
            Route("PUT", f"{members}/{{subject}}", self.add_one),
            Route("DELETE", f"{members}/{{subject}}", self.remove_one),
        ]

    async def list(self, request: web.Request) -> web.StreamResponse:
        """``GET /groups``."""
        query = Query(request, _PAGING)
        page = await self._work.run(
            partial(
                self._service.list,
                request[CALLER],
                page=reading.page(query, self._limits),
                at_least=reading.at_least(request, query=query),
            )
        )
        rows = [_group(each) for each in page.rows]
        return json_answer(request, encoding.some(page, rows))

    async def get(self, request: web.Request) -> web.StreamResponse:
        """``GET /groups/{groupId}``."""
        query = Query(request, ("zookie",))
        fresh = reading.at_least(request, query=query)
        group = self._service.get(request[CALLER], path_text(request, "groupId"), at_least=fresh)
        return json_answer(request, _group(group))

    async def put(self, request: web.Request) -> web.StreamResponse:
        """``PUT /groups/{groupId}``: 201 where it is new."""
        Query(request, ())
        body = _GROUP(await read_json(request, self._limits, "body_bytes_max"))
        caller, group_id = request[CALLER], path_text(request, "groupId")
        members = body.members
        if members is not msgspec.UNSET:
            self._require_few(members, "members")
        put = partial(
            self._service.put,
            caller,
            group_id,
            name=KEEP if body.name is msgspec.UNSET else body.name,
            members=None if members is msgspec.UNSET else _subjects(members),
        )
        answer = await self._work.durable(await self._work.run(put))
        value = _group(answer.group) | {
            "created": answer.created,
            "added": answer.added,
            "removed": answer.removed,
            "zookie": answer.zookie,
        }
        return json_answer(request, value, 201 if answer.created else 200)

    async def delete(self, request: web.Request) -> web.StreamResponse:
        """``DELETE /groups/{groupId}``: with its members; with ``force`` whatever names it."""
        force = Query(request, ("force",)).flag("force")
        delete = partial(
            self._service.delete, request[CALLER], path_text(request, "groupId"), force=force
        )
        answer = await self._work.durable(await self._work.run(delete))
        value = {
            "membersDeleted": answer.members,
            "usesDeleted": answer.uses,
            "complete": answer.complete,
            "zookie": answer.zookie,
        }
        return json_answer(request, value)

    async def members(self, request: web.Request) -> web.StreamResponse:
        """``GET /groups/{groupId}/members``: nested groups unexpanded."""
        query = Query(request, _PAGING)
        page = await self._work.run(
            partial(
                self._service.members,
                request[CALLER],
                path_text(request, "groupId"),
                page=reading.page(query, self._limits),
                at_least=reading.at_least(request, query=query),
            )
        )
        return json_answer(request, encoding.some(page, [_member(row) for row in page.rows]))

    async def add(self, request: web.Request) -> web.StreamResponse:
        """``POST /groups/{groupId}/members``."""
        Query(request, ())
        raw = await read_json(request, self._limits, "body_bytes_max")
        subjects = _MEMBERS(raw).subjects
        self._require_few(subjects, "subjects")
        add = partial(
            self._service.add,
            request[CALLER],
            path_text(request, "groupId"),
            _subjects(subjects),
            idempotency=idempotency(request, raw, self._limits, _render_added),
        )
        answer = await self._work.durable(await self._work.run(add))
        if isinstance(answer, Replay):
            return json_bytes(request, answer.body, answer.status)
        return json_answer(request, _added(answer))

    async def remove(self, request: web.Request) -> web.StreamResponse:
        """``DELETE /groups/{groupId}/members``."""
        Query(request, ())
        subjects = _MEMBERS(await read_json(request, self._limits, "body_bytes_max")).subjects
        self._require_few(subjects, "subjects")
        remove = partial(
            self._service.remove,
            request[CALLER],
            path_text(request, "groupId"),
            _subjects(subjects),
        )
        answer = await self._work.durable(await self._work.run(remove))
        return json_answer(request, _removed(answer))

    async def add_one(self, request: web.Request) -> web.StreamResponse:
        """``PUT /groups/{groupId}/members/{subject}``."""
        Query(request, ())
        member = questions.member(path_text(request, "subject"), field=ALONE)
        future = self._service.add(
            request[CALLER], path_text(request, "groupId"), [member], field=ALONE
        )
        answer = await self._work.durable(future)
        if isinstance(answer, Replay):
            raise TypeError("a call without a key was answered with a replay")
        return json_answer(request, _added(answer))

    async def remove_one(self, request: web.Request) -> web.StreamResponse:
        """``DELETE /groups/{groupId}/members/{subject}``."""
        Query(request, ())
        member = questions.member(path_text(request, "subject"), field=ALONE)
        future = self._service.remove(
            request[CALLER], path_text(request, "groupId"), [member], field=ALONE
        )
        return json_answer(request, _removed(await self._work.durable(future)))

    def _require_few(self, subjects: Sequence[str], field: str) -> None:
        # Before any of them is looked at: a body of the size allowed holds a million.
        most = self._limits.bulk_writes_max
        if len(subjects) > most:
            raise LimitError(
                "bulk_writes_max",
                most,
                f"a call takes at most {most:,} `{field}`, this one has {len(subjects):,}",
                help="send them in several calls, or use the import",
                field=field,
            )


def _subjects(texts: Sequence[str]) -> list[SubjectRef | ZeratulError]:
    """Members of a list; what one gets wrong stands in its place."""
    found: list[SubjectRef | ZeratulError] = []
    for text in texts:
        try:
            found.append(questions.member(text))
        except InputError as error:
            found.append(error)
    return found


def _group(group: Group) -> dict[str, Any]:
    value: dict[str, Any] = {
        "id": group.id,
        "name": group.name,
        "subject": f"{GROUP_TYPE}:{group.id}#{MEMBER}",
        "createdAt": encoding.time(group.created_at_ms),
        "updatedAt": encoding.time(group.updated_at_ms),
    }
    if group.members is not None:
        value["memberCount"] = group.members
    return value


def _member(row: StoredRelationship) -> dict[str, Any]:
    value = encoding.subject(row.relationship.subject)
    value["createdAt"] = encoding.time(row.created_at_ms)
    if row.relationship.expires_at_ms is not None:
        value["expiresAt"] = encoding.time(row.relationship.expires_at_ms)
    return value


def _added(answer: MembersAdded) -> dict[str, Any]:
    return {"added": answer.added, "existing": answer.existing, "zookie": answer.zookie}


def _removed(answer: MembersRemoved) -> dict[str, Any]:
    return {"removed": answer.removed, "absent": answer.absent, "zookie": answer.zookie}


def _render_added(answer: MembersAdded) -> tuple[int, bytes]:
    return 200, orjson.dumps(_added(answer))

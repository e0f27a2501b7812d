"""Reading the audit log: pages newest first, and an export (contract authaz §7).

Events are found by looking at them one after the other from the newest on, within the times asked
for. A page looks at a bounded number: what it did not look at stands behind its cursor, so a page
may be short, even empty, and still have a next one. Nothing is ever left out silently.
"""

from __future__ import annotations

import base64
from typing import TYPE_CHECKING, Any, NamedTuple

import orjson

from zeratul.errors import InputError
from zeratul.service.ground.answers import FIRST_PAGE, Page
from zeratul.service.ground.audit import server_caller
from zeratul.service.ground.cursors import Cursor, query_digest
from zeratul.service.ground.times import format_time

if TYPE_CHECKING:
    from collections.abc import Iterator

    from zeratul.service.ground.caller import Caller
    from zeratul.service.ground.foundation import Foundation
    from zeratul.store.interface import Snapshot, StoredEvent

# LIMIT: events and bytes an export looks at in one snapshot, and answers in one chunk.
CHUNK_EVENTS = 1_000
CHUNK_BYTES = 1024 * 1024

Event = dict[str, Any]


class AuditFilter(NamedTuple):
    """Which events; what is None does not narrow.

    Attributes:
        actor_id, action, target_type, target_id, user_id, permission, tenant_id: exactly these.
        from_ms: of this time and later.
        to_ms: before this time.
        server: the server's own log, instead of an application's.
    """

    actor_id: str | None = None
    action: str | None = None
    target_type: str | None = None
    target_id: str | None = None
    user_id: str | None = None
    permission: str | None = None
    tenant_id: str | None = None
    from_ms: int | None = None
    to_ms: int | None = None
    server: bool = False


class AuditPage(NamedTuple):
    """Some events, newest first; ``next_cursor`` is None when all were looked at."""

    rows: list[Event]
    next_cursor: str | None
    page_size: int


class AuditLog:
    """Use cases that read the audit log."""

    def __init__(self, foundation: Foundation) -> None:
        self._base = foundation

    def find(self, caller: Caller, wanted: AuditFilter, *, page: Page = FIRST_PAGE) -> AuditPage:
        """A page of the events that match.

        Raises:
            ForbiddenError: the caller lacks ``audit:read``; for the server's own log, it is not
                the root key.
            NotFoundError: a tenant that is not the caller's.
            InputError: times the wrong way round; a page size or cursor that is none.
        """
        search = _search(caller, wanted)
        base = self._base
        size = base.page_size(page)
        query = query_digest("audit", search.application, search.wanted)
        before = b""
        if page.cursor:
            before = Cursor.decode(page.cursor, base.cursor_secret, query).position
        rows: list[Event] = []
        examined = shown_bytes = 0
        with base.snapshot(caller) as snapshot:
            begin, end = search.revisions(snapshot)
            last: StoredEvent | None = None
            for stored in search.events(snapshot, before, begin, end):
                examined += 1
                last = stored
                event = search.event(stored)
                if event is not None:
                    rows.append(event)
                    shown_bytes += len(stored.body)
                if (
                    len(rows) >= size
                    or examined >= base.limits.audit_examined_max
                    or shown_bytes >= base.limits.audit_page_bytes_max
                ):
                    break
            else:
                last = None  # All were looked at.
            following = None
            if last is not None:
                following = Cursor(
                    query, snapshot.revision, snapshot.now_ms, 0, last.position
                ).encode(base.cursor_secret)
        return AuditPage(rows, following, size)

    def export(self, caller: Caller, wanted: AuditFilter) -> Iterator[list[Event]]:
        """All events that match, newest first, in chunks; none newer than the call.

        No snapshot is held between two chunks, so what is collected meanwhile is not in it.

        Raises:
            ForbiddenError, NotFoundError, InputError: like ``find``.
        """
        search = _search(caller, wanted)
        with self._base.snapshot(caller) as snapshot:
            begin, end = search.revisions(snapshot)
        return self._chunks(search, begin, end)

    def _chunks(self, search: _Search, begin: int, end: int) -> Iterator[list[Event]]:
        before = b""
        while True:
            with self._base.store.snapshot() as snapshot:
                stored = snapshot.events(
                    search.application,
                    before=before,
                    upto=end,
                    limit=CHUNK_EVENTS,
                    bytes_max=CHUNK_BYTES,
                )
            if not stored:
                return
            before = stored[-1].position
            inside = [each for each in stored if each.revision > begin]
            found = [event for event in map(search.event, inside) if event is not None]
            if found:
                yield found
            if len(inside) < len(stored):
                return


class _Search(NamedTuple):
    """A filter made ready.

    ``fragments`` are pieces of JSON that every matching event's body holds: looking for them costs
    a tenth of reading the body.
    """

    application: int
    wanted: AuditFilter
    fragments: tuple[bytes, ...]

    def revisions(self, snapshot: Snapshot) -> tuple[int, int]:
        """All matching events are of revisions behind the first and up to the second."""
        begin, end = 0, snapshot.revision
        if self.wanted.from_ms is not None:
            begin = snapshot.revision_at(self.wanted.from_ms - 1)
        if self.wanted.to_ms is not None:
            end = snapshot.revision_at(self.wanted.to_ms - 1)
        return begin, end

    def events(
        self, snapshot: Snapshot, before: bytes, begin: int, end: int
    ) -> Iterator[StoredEvent]:
        """Events of those revisions older than a position, newest first."""
        while True:
            found = snapshot.events(
                self.application,
                before=before,
                upto=end,
                limit=CHUNK_EVENTS,
                bytes_max=CHUNK_BYTES,
            )
            for each in found:
                if each.revision <= begin:
                    return
                yield each
            if not found:
                return
            before = found[-1].position

    def event(self, stored: StoredEvent) -> Event | None:
        """The event as it is shown, if it matches."""
        body = stored.body
        if not all(fragment in body for fragment in self.fragments):
            return None
        event = orjson.loads(body)
        return _shown(stored.position, event) if self._matches(event) else None

    def _matches(self, event: Event) -> bool:
        wanted = self.wanted
        actor, target = event["actor"], event["target"]
        pairs = (
            (wanted.actor_id, actor["id"]),
            (wanted.action, event["action"]),
            (wanted.target_type, target["type"]),
            (wanted.target_id, target["id"]),
            (wanted.user_id, event["userId"]),
            (wanted.permission, event["permission"]),
            (wanted.tenant_id, event["tenantId"]),
        )
        if any(asked is not None and asked != found for asked, found in pairs):
            return False
        time_ms = event["time"]
        return (wanted.from_ms is None or time_ms >= wanted.from_ms) and (
            wanted.to_ms is None or time_ms < wanted.to_ms
        )


def _search(caller: Caller, wanted: AuditFilter) -> _Search:
    caller.require("audit:read")
    application = caller.application
    if wanted.server:
        caller.require_root("applications:read")
        application = server_caller(caller).application
    from_ms, to_ms = wanted.from_ms, wanted.to_ms
    if from_ms is not None and to_ms is not None and from_ms > to_ms:
        raise InputError("`from` is later than `to`", field="from")
    wanted = wanted._replace(tenant_id=caller.question_tenant(wanted.tenant_id))
    named = {
        "action": wanted.action,
        "userId": wanted.user_id,
        "permission": wanted.permission,
        "tenantId": wanted.tenant_id,
        "type": wanted.target_type,
    }
    fragments = [
        # As they stand in a body: one key of an object, without its braces.
        orjson.dumps({name: value})[1:-1]
        for name, value in named.items()
        if value is not None
    ]
    fragments += [
        orjson.dumps({"id": value})[1:-1]
        for value in (wanted.actor_id, wanted.target_id)
        if value is not None
    ]
    return _Search(application, wanted, tuple(fragments))


def _shown(position: bytes, event: Event) -> Event:
    event_id = "evt_" + base64.urlsafe_b64encode(position).rstrip(b"=").decode("ascii")
    return {"id": event_id, **event, "time": format_time(event["time"])}

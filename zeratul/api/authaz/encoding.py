"""Answers of the services in this contract's words: camelCase, plain values for JSON."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Protocol

import orjson

from zeratul.api.authaz import problems
from zeratul.service.ground.answers import CheckAnswer
from zeratul.service.ground.times import format_time

if TYPE_CHECKING:
    from collections.abc import Sequence

    from zeratul.domain.relationship import Relationship, SubjectRef
    from zeratul.errors import ZeratulError
    from zeratul.graph.answers import ExpandNode
    from zeratul.service.administration.application_answers import Application
    from zeratul.service.ground.answers import (
        BulkAnswer,
        Deleted,
        ItemResult,
        RelationshipPage,
        StoredRelationship,
    )
    from zeratul.service.keys.key_answers import KeyInfo, NewKey
    from zeratul.service.questions.access_answers import ExpandAnswer
    from zeratul.service.relationships.relationship_answers import ImportAnswer, Written
    from zeratul.service.rules.model_answers import ModelAnswer

USER = "user"


def subject(who: SubjectRef) -> dict[str, Any]:
    """``subject`` always; ``userId`` too where it is a plain user."""
    if who.type == USER and not who.relation and not who.is_wildcard:
        return {"userId": who.id, "subject": str(who)}
    return {"subject": str(who)}


def relationship(fact: Relationship) -> dict[str, Any]:
    """A relationship as it could be written again."""
    value = subject(fact.subject)
    value["resource"] = fact.resource_type
    value["resourceId"] = fact.resource_id
    value["relation"] = fact.relation
    if fact.expires_at_ms is not None:
        value["expiresAt"] = format_time(fact.expires_at_ms)
    return value


def stored(row: StoredRelationship) -> dict[str, Any]:
    """A relationship with the time it was made; None once that history was collected."""
    return relationship(row.relationship) | {"createdAt": time(row.created_at_ms)}


def written(answer: Written) -> dict[str, Any]:
    """What a write came to."""
    return relationship(answer.relationship) | {
        "createdAt": time(answer.created_at_ms),
        "created": answer.created,
        "zookie": answer.zookie,
    }


def deleted(answer: Deleted) -> dict[str, Any]:
    """What a deletion came to."""
    return {
        "deleted": answer.deleted,
        "complete": answer.complete,
        "dryRun": answer.dry_run,
        "zookie": answer.zookie,
    }


def bulk(answer: BulkAnswer) -> dict[str, Any]:
    """Counts and item results of a bulk call."""
    return {
        "created": answer.created,
        "existing": answer.existing,
        "replaced": answer.replaced,
        "deleted": answer.deleted,
        "failed": answer.failed,
        "results": [_item(result) for result in answer.results],
        "dryRun": answer.dry_run,
        "zookie": answer.zookie,
    }


def _item(result: ItemResult) -> dict[str, Any]:
    value: dict[str, Any] = {"index": result.index, "status": result.status}
    if result.operation == "delete":
        value["operation"] = "delete"
    if result.error is not None:
        value["error"] = problems.item(result.error)
    return value


def relationship_page(page: RelationshipPage) -> dict[str, Any]:
    """A page of stored relationships."""
    return some(page, [stored(row) for row in page.rows])


class Page(Protocol):
    """What pages of a list have in common."""

    @property
    def next_cursor(self) -> str | None:
        """Where the list goes on; None at the end."""

    @property
    def page_size(self) -> int:
        """Rows asked for."""


class FreshPage(Page, Protocol):
    """A page that says as of when it is."""

    @property
    def zookie(self) -> str:
        """How fresh it is."""


def page_of(page: Page, rows: list[dict[str, Any]]) -> dict[str, Any]:
    """A page of a list that has no revision of its own."""
    return {
        "data": rows,
        "next": page.next_cursor,
        "nextCursor": page.next_cursor,
        "pageSize": page.page_size,
    }


def some(page: FreshPage, rows: list[dict[str, Any]]) -> dict[str, Any]:
    """A page of a list."""
    return page_of(page, rows) | {"zookie": page.zookie}


# All answers a check can have but for its zookie: encoding one is joining bytes. A way that was
# not looked at is left out, never claimed false.
_CHECK_HEADS = {
    (allowed, role, direct): orjson.dumps(
        {
            "allowed": allowed,
            **({} if role is None else {"viaRole": role}),
            **({} if direct is None else {"viaDirectGrant": direct}),
        }
    )[:-1]
    for allowed in (True, False)
    for role in (True, False, None)
    for direct in (True, False, None)
}


def check(answer: CheckAnswer) -> bytes:
    """A decision, as JSON."""
    head = _CHECK_HEADS[answer.allowed, answer.via_role, answer.via_direct_grant]
    # A zookie is URL-safe base64: nothing in it needs escaping.
    return b'%b,"zookie":"%b"}' % (head, answer.zookie.encode("ascii"))


def checks(results: Sequence[CheckAnswer | ZeratulError], zookie: str) -> bytes:
    """Decisions in order, item errors inline, as JSON."""
    heads = _CHECK_HEADS
    parts = [
        heads[each.allowed, each.via_role, each.via_direct_grant] + b"}"
        if isinstance(each, CheckAnswer)
        else orjson.dumps({"error": problems.item(each)})
        for each in results
    ]
    return b'{"results":[%b],"zookie":"%b"}' % (b",".join(parts), zookie.encode("ascii"))


def expansion(answer: ExpandAnswer) -> dict[str, Any]:
    """The tree of a userset, as a list of nodes that name their children by number."""
    values: list[dict[str, Any]] = []
    queue: list[ExpandNode] = [answer.root]
    for node in queue:
        first = len(queue)
        queue.extend(node.children)
        value: dict[str, Any] = {
            "kind": node.kind,
            "resource": node.resource.type,
            "resourceId": node.resource.id,
            "relation": node.relation,
        }
        if node.kind == "direct":
            value["subjects"] = [str(each) for each in node.subjects]
            value["subjectsTotal"] = node.subjects_total
        value["children"] = list(range(first, len(queue)))
        values.append(value)
    return {"nodes": values, "revision": answer.revision, "zookie": answer.zookie}


def imported(answer: ImportAnswer, *, complete: bool) -> dict[str, Any]:
    """Counts of an import, so far or in the end."""
    value: dict[str, Any] = {
        "complete": complete,
        "lines": answer.lines,
        "created": answer.created,
        "existing": answer.existing,
        "replaced": answer.replaced,
        "rejected": answer.rejected,
        "dryRun": answer.dry_run,
    }
    if complete:
        value["rejects"] = [
            {"line": reject.line, "error": problems.item(reject.error)}
            for reject in answer.rejects
        ]
        value["zookie"] = answer.zookie
    return value


def application(answer: Application) -> dict[str, Any]:
    """An application."""
    value: dict[str, Any] = {
        "id": answer.id,
        "name": answer.name,
        "tenancyType": answer.tenancy_type,
        "createdAt": format_time(answer.created_at_ms),
    }
    if answer.zookie is not None:
        value["zookie"] = answer.zookie
    return value


def key(answer: KeyInfo) -> dict[str, Any]:
    """An API key without its secret."""
    return {
        "id": answer.id,
        "name": answer.name,
        "permissions": list(answer.permissions),
        "tenantId": answer.tenant_id,
        "createdAt": format_time(answer.created_at_ms),
        "expiresAt": time(answer.expires_at_ms),
        "rotatedAt": time(answer.rotated_at_ms),
        "oldSecretUntil": time(answer.old_secret_until_ms),
        "lastUsedAt": time(answer.last_used_at_ms),
        "prefix": answer.prefix,
        "last4": answer.last_four,
    }


def new_key(answer: NewKey) -> dict[str, Any]:
    """A fresh API key, the only time with its secret."""
    return key(answer.key) | {"secret": answer.secret, "zookie": answer.zookie}


def model(answer: ModelAnswer) -> dict[str, Any]:
    """An application's model."""
    return {
        "model": answer.model,
        "schemaRevision": answer.schema_revision,
        "revision": answer.revision,
        "etag": answer.etag,
        "zookie": answer.zookie,
    }


def model_put(answer: ModelAnswer) -> dict[str, Any]:
    """What putting a model came to."""
    return {
        "schemaRevision": answer.schema_revision,
        "changed": answer.changed,
        "orphans": dict(answer.orphans),
        "deleted": answer.deleted,
        "dryRun": answer.dry_run,
        "etag": answer.etag,
        "zookie": answer.zookie,
    }


def time(time_ms: int | None) -> str | None:
    """A time as text, or None."""
    return None if time_ms is None else format_time(time_ms)

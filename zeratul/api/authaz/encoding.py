"""Answers of the services in this contract's words: camelCase, plain values for JSON."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import msgspec
import orjson

from zeratul.api.authaz import problems
from zeratul.service.answers import CheckAnswer
from zeratul.service.times import format_time

if TYPE_CHECKING:
    from collections.abc import Sequence

    from zeratul.domain.relationship import Relationship, SubjectRef
    from zeratul.errors import ZeratulError
    from zeratul.graph.answers import ExpandNode, TraceNode
    from zeratul.service.answers import (
        Application,
        BulkAnswer,
        Deleted,
        ExpandAnswer,
        ExplainAnswer,
        ImportAnswer,
        ItemResult,
        KeyInfo,
        ModelAnswer,
        NewKey,
        RelationshipPage,
        ResourcePage,
        ResourceRow,
        StoredRelationship,
        SubjectPage,
        SubjectRow,
        Written,
    )

USER = "user"

_encode_lines = msgspec.json.Encoder().encode_lines


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
    return relationship(row.relationship) | {"createdAt": _time(row.created_at_ms)}


def written(answer: Written) -> dict[str, Any]:
    """What a write came to."""
    return relationship(answer.relationship) | {
        "createdAt": _time(answer.created_at_ms),
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
    return {
        "data": [stored(row) for row in page.rows],
        "next": page.next_cursor,
        "nextCursor": page.next_cursor,
        "pageSize": page.page_size,
        "zookie": page.zookie,
    }


# All answers a check can have but for its zookie: encoding one is joining bytes.
_CHECK_HEADS = {
    (allowed, role, direct): orjson.dumps(
        {"allowed": allowed, "viaRole": role, "viaDirectGrant": direct}
    )[:-1]
    for allowed in (True, False)
    for role in (True, False)
    for direct in (True, False)
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


def explanation(
    answer: ExplainAnswer, *, tenant_id: str | None, type_level: bool = False
) -> dict[str, Any]:
    """The tree of the proof, and on a denial what was looked at and what would do.

    The tree comes as a list of nodes that name their children by number: a proof may be thousands
    of steps deep, deeper than JSON readers nest.
    """
    found = answer.explanation
    roles: list[Any] = []  # roles come with their issue; none exist yet, so none was considered
    value: dict[str, Any] = {
        "allowed": answer.allowed,
        "durationMs": round(answer.duration_ms, 3),
        "revision": answer.revision,
        **subject(answer.subject),
        "permission": f"{answer.resource.type}:{answer.relation}",
        "tenantId": tenant_id,
        "resourceId": None if type_level else answer.resource.id,
        "roles": roles,
        "roleTrace": roles,
        "policyTrace": [],
        "directGrants": _direct_grants(answer),
        "records": [],
        "proof": [relationship(fact) for fact in found.proof],
        "nodes": _trace(found.root),
        "cut": found.cut,
        "reads": found.reads,
        "text": answer.text,
        "zookie": answer.zookie,
    }
    if not answer.allowed:
        value["suggestions"] = [relationship(fact) for fact in found.suggestions]
    return value


def _direct_grants(answer: ExplainAnswer) -> list[dict[str, Any]]:
    grants = []
    seen: set[Relationship] = set()
    stack = [answer.explanation.root]
    while stack:
        node = stack.pop()
        stack.extend(reversed(node.children))
        fact = node.relationship
        if fact is None or fact.resource != answer.resource or fact in seen:
            continue
        seen.add(fact)
        grants.append(
            {
                "relation": fact.relation,
                "actions": [answer.relation],
                "matched": node.membership.name == "MEMBER",
                "via": str(fact.subject),
            }
        )
    return grants


def _trace(root: TraceNode) -> list[dict[str, Any]]:
    values: list[dict[str, Any]] = []
    queue: list[TraceNode] = [root]
    for node in queue:  # grows while it is walked: breadth first, children numbered as they come
        first = len(queue)
        queue.extend(node.children)
        value: dict[str, Any] = {"kind": node.kind, "membership": node.membership.name.lower()}
        if node.resource is not None:
            value |= {"resource": node.resource.type, "resourceId": node.resource.id}
        if node.relation:
            value["relation"] = node.relation
        if node.relationship is not None:
            value["relationship"] = str(node.relationship)
        value["children"] = list(range(first, len(queue)))
        values.append(value)
    return values


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


def subject_row(row: SubjectRow) -> dict[str, Any]:
    """One row of who-can; a wildcard's exceptions are listed up to a limit and counted."""
    value: dict[str, Any] = {"subject": row.subject, "via": row.via}
    if row.except_total:
        value["except"] = row.except_
        value["exceptTotal"] = row.except_total
    return value


def resource_row(row: ResourceRow) -> dict[str, Any]:
    """One row of what-can."""
    return {"resource": row.resource, "resourceId": row.resource_id, "via": row.via}


class _ResourceLine(msgspec.Struct, gc=False):
    resource: str
    resourceId: str  # noqa: N815 - the contract's spelling
    via: tuple[str, ...]


def resource_lines(rows: Sequence[ResourceRow]) -> bytes:
    """Rows of what-can as NDJSON; a million of them are encoded in one go a chunk."""
    return _encode_lines([_ResourceLine(*row) for row in rows])


def subject_lines(rows: Sequence[SubjectRow]) -> bytes:
    """Rows of who-can as NDJSON."""
    return _encode_lines([subject_row(row) for row in rows])


def list_page(page: SubjectPage | ResourcePage, rows: list[dict[str, Any]]) -> dict[str, Any]:
    """A page of who-can or what-can."""
    value: dict[str, Any] = {
        "data": rows,
        "next": page.next_cursor,
        "nextCursor": page.next_cursor,
        "pageSize": page.page_size,
        "complete": page.complete,
        "revision": page.revision,
        "zookie": page.zookie,
    }
    if page.total is not None:
        value["total"] = page.total
    return value


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
        "createdAt": format_time(answer.created_at_ms),
        "expiresAt": _time(answer.expires_at_ms),
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
        "zookie": answer.zookie,
    }


def one_page(rows: list[dict[str, Any]]) -> dict[str, Any]:
    """A list that always fits one page."""
    return {"data": rows, "next": None, "nextCursor": None, "pageSize": len(rows)}


def _time(time_ms: int | None) -> str | None:
    return None if time_ms is None else format_time(time_ms)

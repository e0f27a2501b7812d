"""Answers around the catalog in this contract's words."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from zeratul.api.authaz.encoding import some
from zeratul.language.catalog import permissions as permissions_of
from zeratul.language.catalog import resource_json
from zeratul.service.rules.catalog_reading import resource_answer

if TYPE_CHECKING:
    from collections.abc import Iterable

    from zeratul.language.catalog_rules import Warning  # noqa: A004 - the contract's word
    from zeratul.service.rules.catalog_answers import (
        CatalogChange,
        CatalogPage,
        PermissionPage,
        RenameAnswer,
        ResourceAnswer,
        ResourceDiff,
        UsageAnswer,
    )


def resource(answer: ResourceAnswer) -> dict[str, Any]:
    """One resource; ``relationActions`` is what holding each relation is enough for."""
    found = answer.resource
    return {
        **resource_json(found),
        "relationActions": {name: list(actions) for name, actions in answer.implied.items()},
        "permissions": [f"{found.name}:{action}" for action in found.actions],
        "etag": answer.etag,
    }


def page(answer: CatalogPage) -> dict[str, Any]:
    """A page of resources."""
    rows = [resource(row) for row in answer.rows]
    return some(answer, rows) | {"count": answer.count, "etag": answer.etag}


def catalog(answer: CatalogChange) -> dict[str, Any]:
    """What putting a catalog came to."""
    change = answer.difference
    after = answer.catalog
    return {
        "resources": [
            resource(resource_answer(answer.schema, after, name)) for name in after.resources
        ],
        "count": len(after.resources),
        "permissions": permissions_of(after),
        "added": change.added,
        "updated": change.updated,
        "removed": change.removed,
        "unchanged": change.unchanged,
        "changes": [_diff(each) for each in change.changes],
        "warnings": _warnings(answer.warnings),
        "references": answer.references,
        "etag": answer.etag,
        "dryRun": answer.dry_run,
        "zookie": answer.zookie,
    }


def changed_resource(answer: CatalogChange, name: str) -> dict[str, Any]:
    """What changing one resource came to."""
    change = answer.difference
    return {
        **resource(resource_answer(answer.schema, answer.catalog, name)),
        "created": name in change.added,
        "changes": [_diff(each) for each in change.changes],
        "warnings": _warnings(each for each in answer.warnings if each.resource == name),
        "references": answer.references,
        "dryRun": answer.dry_run,
        "zookie": answer.zookie,
    }


def removed(answer: CatalogChange) -> dict[str, Any]:
    """What taking a resource out came to."""
    return {
        "removed": answer.difference.removed,
        "references": answer.references,
        "dryRun": answer.dry_run,
        "zookie": answer.zookie,
    }


def usage(answer: UsageAnswer) -> dict[str, Any]:
    """Who references a resource."""
    return {
        "resource": answer.resource,
        "policies": [
            {"policyId": policy.id, "name": policy.name, "permissions": list(permissions)}
            for policy, permissions in answer.policies
        ],
        "roles": [
            {"roleId": role.id, "name": role.name, "tenantId": role.tenant_id}
            for role in answer.roles
        ],
        "attachments": answer.attachments,
        "assignments": dict(answer.assignments),
        "assignmentsTotal": sum(answer.assignments.values()),
        "relationships": dict(answer.relationships),
        "relationshipsTotal": sum(answer.relationships.values()),
        "zookie": answer.zookie,
    }


def permissions(answer: PermissionPage) -> dict[str, Any]:
    """A page of permissions."""
    rows = [
        {
            "permission": row.permission,
            "resource": row.resource,
            "action": row.action,
            "description": row.description,
            "relations": row.relations,
        }
        for row in answer.rows
    ]
    return some(answer, rows) | {"count": answer.count}


def renamed(answer: RenameAnswer) -> dict[str, Any]:
    """What a rename came to."""
    return {
        "kind": answer.kind,
        "resource": answer.resource,
        "from": answer.old,
        "to": answer.new,
        "references": answer.references,
        "overridden": answer.overridden,
        "etag": answer.etag,
        "dryRun": answer.dry_run,
        "zookie": answer.zookie,
    }


def _diff(change: ResourceDiff) -> dict[str, Any]:
    return {
        "resource": change.resource,
        "actionsAdded": change.actions_added,
        "actionsRemoved": change.actions_removed,
        "relationsAdded": change.relations_added,
        "relationsRemoved": change.relations_removed,
        "relationsChanged": change.relations_changed,
    }


def _warnings(found: Iterable[Warning]) -> list[dict[str, Any]]:
    return [
        {"code": each.code, "resource": each.resource, "message": each.message} for each in found
    ]

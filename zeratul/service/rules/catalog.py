"""The catalog: resources, their actions and what relations imply (contract authaz §2).

A change is worked out against a view, before the writers' lock: the catalog that would be, what
goes, and what rests on it. Inside the transaction the rules must still be the same, else it is
worked out again; and what has come to rest on what goes in between is met there.

*Decision*: assignments of roles on a resource's paths (``documents/*``) are references like its
grants. Their paths are texts that may name anything, and without the resource they give nothing;
but a resource declared by that name again would give it back to whoever had it.

*Decision*: a built-in type (``user``, ``group``, ``client``, ``api_key``) is no resource: subjects
and resources of one name would be one type. Where the model declares such a type, it may be one.

*Decision*: where the model declares a relation that has the name of a built-in one, it implies
what the built-in one does: it is one relation. ``owner`` cannot be overridden even then; the
answer warns of it.
"""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

from zeratul.errors import PreconditionError
from zeratul.service.ground.etags import require_match
from zeratul.service.ground.futures import retrying
from zeratul.service.ground.stored_model import pack_catalog, pack_resource
from zeratul.service.rules.catalog_change import Event, Options, attempt
from zeratul.service.rules.catalog_reading import CatalogReading, require_resource
from zeratul.service.rules.catalog_renaming import Renaming, Wish

if TYPE_CHECKING:
    from collections.abc import Sequence
    from concurrent.futures import Future

    from zeratul.domain.catalog import Catalog
    from zeratul.service.ground.caller import Caller
    from zeratul.service.ground.foundation import Foundation
    from zeratul.service.ground.idempotency import Idempotent, Replay
    from zeratul.service.rules.catalog_answers import (
        CatalogChange,
        Mode,
        RenameAnswer,
        ResourceRequest,
    )
    from zeratul.service.rules.catalog_change import Edit
    from zeratul.service.rules.catalog_editing import Edited, Editor


class Catalogs(CatalogReading):
    """Use cases around an application's catalog; the reading ones are in the base class."""

    def __init__(self, foundation: Foundation) -> None:
        super().__init__(foundation)
        self._renaming = Renaming(foundation)

    def put_all(
        self,
        caller: Caller,
        resources: Sequence[ResourceRequest],
        *,
        mode: Mode = "replace",
        if_match: str | None = None,
        force: bool = False,
        dry_run: bool = False,
    ) -> Future[CatalogChange]:
        """Replace the catalog; with mode ``merge`` only add to it and update.

        Args:
            caller: who asks.
            resources: what it shall hold; what a resource leaves out, it keeps.
            mode: ``merge`` takes nothing away: no resource, no action, no relation.
            if_match: refuse unless the catalog's entity tag is among these.
            force: take what goes out of policies and delete its grants and the role assignments
                on its paths, in the same commit.
            dry_run: only say what would change.

        Raises:
            ForbiddenError, TenantScopeError: the caller may not write the catalog.
            ValidationError: (also from the future) with every finding.
            PreconditionError: (also from the future) another catalog is there.
            InUseError: (also from the future) something rests on what would go.
            LimitError: (also from the future) the catalog would be too large, or too many role
                assignments would go.
        """

        def edit(current: Catalog, editor: Editor) -> Edited:
            require_match(if_match, pack_catalog(current))
            return editor.put_all(resources, mode)

        action = "catalog.replaced" if mode == "replace" else "catalog.updated"
        event = Event(action, "catalog", caller.application_id)
        return self._write(caller, edit, event, Options(force, dry_run))

    def put_one(
        self,
        caller: Caller,
        resource: ResourceRequest,
        *,
        patch: bool = False,
        if_match: str | None = None,
        force: bool = False,
        dry_run: bool = False,
    ) -> Future[CatalogChange]:
        """Make or replace one resource; with ``patch`` change one that is there.

        Raises:
            NotFoundError: (``patch``; also from the future) there is no such resource.
            ForbiddenError, TenantScopeError, ValidationError, PreconditionError, InUseError: as
                ``put_all``; the entity tag is the resource's.
        """

        def edit(current: Catalog, editor: Editor) -> Edited:
            _require_match_one(current, resource.name, if_match, may_be_new=not patch)
            return editor.put_one(resource, patch=patch)

        event = Event("resource.updated", "resource", resource.name)
        return self._write(caller, edit, event, Options(force, dry_run))

    def remove(
        self,
        caller: Caller,
        name: str,
        *,
        if_match: str | None = None,
        force: bool = False,
        dry_run: bool = False,
    ) -> Future[CatalogChange]:
        """Take one resource out of the catalog.

        Raises:
            NotFoundError: (also from the future) there is no such resource.
            ForbiddenError, TenantScopeError, PreconditionError, InUseError: as ``put_one``.
        """

        def edit(current: Catalog, editor: Editor) -> Edited:
            _require_match_one(current, name, if_match, may_be_new=False)
            return editor.remove(name)

        event = Event("resource.deleted", "resource", name)
        return self._write(caller, edit, event, Options(force, dry_run))

    def rename_resource(
        self,
        caller: Caller,
        name: str,
        to: str,
        *,
        dry_run: bool = False,
        idempotency: Idempotent | None = None,
    ) -> Future[RenameAnswer | Replay]:
        """Call a resource otherwise: in the catalog, in policies, in every relationship.

        No relationship is touched, so it takes as long for one as for millions.

        Raises:
            ForbiddenError, TenantScopeError: the caller may not write the catalog.
            NotFoundError: (also from the future) there is no such resource.
            ValidationError: the new name is none.
            AlreadyExistsError: (also from the future) something is called so already.
            ConflictError: (also from the future) the model names the resource.
            IdempotencyError: (also from the future) the same key with another request.
        """
        wish = Wish("resource", name, name, to)
        return self._rename(caller, wish, idempotency, dry_run=dry_run)

    def rename_action(
        self,
        caller: Caller,
        resource: str,
        name: str,
        to: str,
        *,
        dry_run: bool = False,
        idempotency: Idempotent | None = None,
    ) -> Future[RenameAnswer | Replay]:
        """Call an action otherwise: in the catalog and in policies; who may do it stays the same.

        Raises:
            ForbiddenError, TenantScopeError, NotFoundError, ValidationError, AlreadyExistsError,
            ConflictError, IdempotencyError: as ``rename_resource``.
        """
        wish = Wish("action", resource, name, to)
        return self._rename(caller, wish, idempotency, dry_run=dry_run)

    def rename_relation(
        self,
        caller: Caller,
        resource: str,
        name: str,
        to: str,
        *,
        dry_run: bool = False,
        idempotency: Idempotent | None = None,
    ) -> Future[RenameAnswer | Replay]:
        """Call a custom relation otherwise: in the catalog and in every relationship.

        Raises:
            ForbiddenError, TenantScopeError, NotFoundError, ValidationError, AlreadyExistsError,
            ConflictError, IdempotencyError: as ``rename_resource``.
        """
        wish = Wish("relation", resource, name, to)
        return self._rename(caller, wish, idempotency, dry_run=dry_run)

    def _rename(
        self, caller: Caller, wish: Wish, idempotency: Idempotent | None, *, dry_run: bool
    ) -> Future[RenameAnswer | Replay]:
        require_writer(caller)
        return retrying(
            partial(self._renaming.attempt, caller, wish, idempotency, dry_run=dry_run)
        )

    def _write(
        self, caller: Caller, edit: Edit, event: Event, options: Options
    ) -> Future[CatalogChange]:
        require_writer(caller)
        return retrying(partial(attempt, self._base, caller, edit, event, options))


def require_writer(caller: Caller) -> None:
    """Refuse whoever may not change the catalog.

    Raises:
        ForbiddenError, TenantScopeError: saying why.
    """
    caller.require("catalog:write")
    caller.require_whole_application("resources of the catalog")


def _require_match_one(
    current: Catalog, name: str, if_match: str | None, *, may_be_new: bool
) -> None:
    """Whether one resource is the one the caller has seen.

    Raises:
        NotFoundError: it is not there and may not be new.
        PreconditionError: it is another one, or was expected and is not there.
    """
    if name in current.resources or not may_be_new:
        require_match(if_match, pack_resource(require_resource(current, name)))
    elif if_match is not None:
        raise PreconditionError(
            f"there is no resource `{name[:128]}`", help="leave `If-Match` out to make it"
        )

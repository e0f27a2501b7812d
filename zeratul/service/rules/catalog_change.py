"""One change of the catalog: worked out against a view, committed if that still holds.

NOTE: what a change takes away is looked for, in policies and among the grants; a change that takes
nothing away reads neither, however many there are.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, NamedTuple

from zeratul.dispatch.state import MODEL_ID, MODEL_KIND
from zeratul.domain.catalog import Catalog
from zeratul.errors import InUseError, LimitError
from zeratul.language.application import joined
from zeratul.language.catalog import resource_json
from zeratul.language.catalog_rules import warnings_of
from zeratul.language.openfga import compile_model
from zeratul.service.ground.audit import batch_of, record
from zeratul.service.ground.etags import etag_of
from zeratul.service.ground.futures import resolved
from zeratul.service.ground.stored_model import (
    Rules,
    pack_catalog,
    pack_rules,
    read_rules,
    require_model,
    slot_names,
)
from zeratul.service.roles.stored_grants import grant_form
from zeratul.service.rules.catalog_answers import CatalogChange
from zeratul.service.rules.catalog_assignments import PathAssignments
from zeratul.service.rules.catalog_editing import Edited, Editor, difference
from zeratul.service.rules.catalog_references import (
    Gone,
    affected_policies,
    policy_references,
    rewrite_policies,
)
from zeratul.service.rules.orphans import Orphans

if TYPE_CHECKING:
    from concurrent.futures import Future

    from zeratul.dispatch.view import View
    from zeratul.domain.schema import Schema
    from zeratul.service.ground.caller import Caller
    from zeratul.service.ground.foundation import Foundation
    from zeratul.service.rules.catalog_answers import References
    from zeratul.store.interface import Snapshot, WriteTransaction

Edit = Callable[[Catalog, Editor], Edited]
"""From the catalog that is there to the one that is asked for; refuses by raising."""


class Event(NamedTuple):
    """How the audit log names a change."""

    action: str
    target_type: str
    target_id: str


class Options(NamedTuple):
    """How a change is made: with what rests on it, or not at all."""

    force: bool
    dry_run: bool


def attempt(
    base: Foundation, caller: Caller, edit: Edit, event: Event, options: Options
) -> Future[CatalogChange]:
    """Make the change, unless the rules move under it.

    Raises:
        ZeratulError: what ``edit`` raises.
        InUseError: (also from the future) something rests on what would go.
        LimitError: the catalog would be too large.
        ModelMovedError: (from the future) it has to be worked out again.
    """
    application = caller.application
    with base.view(caller) as view:
        rules, since = read_rules(view.snapshot, application), view.revision
        zookie = base.view_zookie(view)
        current = rules.catalog or Catalog()
        model = compile_model(rules.model, limits=base.limits)
        edited = edit(current, Editor(current, model, base.limits))
        change = _Change(base, caller, rules, edited, model, view)
        references = change.references(view.snapshot)
    # Counted before the writers' lock: a refusal and a dry run never take it.
    assignments = change.assignments.count(view, base.store)
    if options.dry_run or not options.force:
        grants = change.orphans.count(view, base.store)
        references = _with_counts(references, assignments, grants)
    if options.dry_run or change.is_empty:
        return resolved(change.answer(references, zookie, dry_run=options.dry_run))
    if references and not options.force:
        raise _in_use(references)
    return base.store.write(lambda tx: change.commit(tx, since, event, force=options.force))


class _Change:
    def __init__(
        self,
        base: Foundation,
        caller: Caller,
        rules: Rules,
        edited: Edited,
        model: Schema,
        view: View,
    ) -> None:
        self._base = base
        self._caller = caller
        self._rules = rules
        self._current = rules.catalog or Catalog()
        self._edited = edited
        self._model = model
        self._schema = joined(model, edited.catalog, roles=rules.roles)
        self._gone = Gone.between(self._current, edited.catalog)
        self._packed = pack_catalog(edited.catalog)
        self.is_empty = self._packed == pack_catalog(self._current)
        self.orphans = Orphans(view.schema, self._schema, caller.application)
        segments = frozenset(map(self._current.segment, self._gone.resources))
        self.assignments = PathAssignments(grant_form(view), segments)
        # Looked up before the writers' lock: a large catalog has a hundred thousand names.
        known = view.snapshot.vocabulary(caller.application).slots
        self._fresh = [name for name in slot_names(self._schema) if name not in known]
        most = base.limits.catalog_bytes_max
        if len(self._packed) > most:
            raise LimitError(
                "catalog_bytes_max",
                most,
                f"the catalog would have {len(self._packed):,} bytes, more than {most:,}"
                " (catalog_bytes_max)",
            )

    def references(self, snapshot: Snapshot) -> References:
        """What rests on what goes, role assignments and live grants apart."""
        found: References = {}
        if self._gone:
            application = self._caller.application
            affected = list(affected_policies(snapshot, application, self._gone.holds))
            found = policy_references(snapshot, application, affected)
        if self._edited.pruned:
            found["relations"] = dict(self._edited.pruned)
        return found

    def answer(
        self, references: References, zookie: str, *, dry_run: bool = False
    ) -> CatalogChange:
        """What the change came to, or would."""
        catalog = self._edited.catalog
        return CatalogChange(
            catalog=catalog,
            schema=self._schema,
            etag=etag_of(self._packed),
            difference=difference(self._current, catalog),
            warnings=warnings_of(catalog, self._model),
            references=references,
            dry_run=dry_run,
            zookie=zookie,
        )

    def commit(
        self, tx: WriteTransaction, since: int, event: Event, *, force: bool
    ) -> CatalogChange:
        """Make the change.

        Raises:
            ModelMovedError: the rules were changed since it was worked out.
            InUseError: something came to rest on what goes since; nothing was changed.
        """
        base, caller = self._base, self._caller
        application = caller.application
        require_model(tx.snapshot, application, self._rules.revision)
        references = self._cascade(tx, since, force=force)
        tx.intern_slots(application, self._fresh)
        rules = self._rules._replace(revision=tx.revision, catalog=self._edited.catalog)
        tx.put_document(application, MODEL_KIND, MODEL_ID, pack_rules(rules))
        self._record(tx, event, references)
        return self.answer(references, base.zookie(application, tx.revision, tx.revision))

    def _cascade(self, tx: WriteTransaction, since: int, *, force: bool) -> References:
        """Take what goes out of policies, and delete its role assignments and grants."""
        # First: whether others wrote meanwhile can not be told behind own writes.
        assignments = self.assignments.delete(tx, self._base, since)
        references = self.references(tx.snapshot)
        if self._gone and references:
            application = self._caller.application
            affected = list(affected_policies(tx.snapshot, application, self._gone.holds))
            rewrite_policies(
                tx,
                self._caller,
                affected,
                lambda permission: None if self._gone.holds(permission) else permission,
            )
        grants: dict[str, int] = {}
        if force or self.orphans.may_have_come(tx, since):
            grants = self.orphans.delete(tx, self._base.store)
        references = _with_counts(references, assignments, grants)
        if references and not force:
            raise _in_use(references)  # Undoes all of it with the job.
        return references

    def _record(self, tx: WriteTransaction, event: Event, references: References) -> None:
        old, new = self._current.resources, self._edited.catalog.resources
        changed = [name for name in dict.fromkeys((*old, *new)) if old.get(name) != new.get(name)]
        action = event.action
        if event.target_type == "resource" and event.target_id not in old:
            action = "resource.created"
        after: dict[str, Any] = {
            "resources": [resource_json(new[name]) for name in changed if name in new]
        }
        if references:
            after["references"] = references
        record(
            tx,
            self._caller,
            action,
            event.target_type,
            event.target_id,
            before={"resources": [resource_json(old[name]) for name in changed if name in old]},
            after=after,
            batch_id=batch_of(tx) if references else None,
        )


def _with_counts(
    references: References, assignments: dict[str, int], grants: dict[str, int]
) -> References:
    counted = {"assignments": assignments, "relationships": grants}
    return references | {kind: counts for kind, counts in counted.items() if counts}


def _in_use(references: References) -> InUseError:
    kinds = ", ".join(references)
    return InUseError(f"what would go from the catalog is in use: {kinds}", references)

"""Renames in the catalog: one transaction, no relationship touched.

Relationships hold numbers, so a rename gives a number another name. Policies hold names: they are
rewritten in the same commit. Before it only the old name means anything, after it only the new
one.

*Decision*: what the model names is renamed in the model. *Decision*: built-in relations know
actions by name (``viewer`` implies ``read``); where a rename would change what one implies, the
resource overrides it from then on, so that a rename grants nothing and takes nothing away.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, NamedTuple

from zeratul.dispatch.state import MODEL_ID, MODEL_KIND
from zeratul.domain.catalog import (
    EVERY_ACTION,
    Catalog,
    CatalogRelation,
    CatalogResource,
    renamed_segments,
)
from zeratul.domain.vocabulary import SELF
from zeratul.errors import (
    AlreadyExistsError,
    ConflictError,
    LimitError,
    NotFoundError,
    ValidationError,
    nearest,
)
from zeratul.language.application import joined
from zeratul.language.builtins import builtins
from zeratul.language.catalog import implied_actions
from zeratul.language.catalog_rules import check_action, check_key
from zeratul.language.findings import Findings, Place
from zeratul.language.openfga import compile_model
from zeratul.service.ground.audit import batch_of, record
from zeratul.service.ground.etags import etag_of
from zeratul.service.ground.futures import resolved
from zeratul.service.ground.stored_model import (
    pack_catalog,
    pack_rules,
    read_rules,
    require_model,
    slot_names,
)
from zeratul.service.rules.catalog_answers import RenameAnswer
from zeratul.service.rules.catalog_editing import Editor
from zeratul.service.rules.catalog_reading import require_resource, stored_on
from zeratul.service.rules.catalog_references import (
    affected_policies,
    policy_references,
    renamed_permission,
    rewrite_policies,
)

if TYPE_CHECKING:
    from collections.abc import Container, Mapping, Sequence
    from concurrent.futures import Future

    from zeratul.domain.schema import Schema
    from zeratul.service.ground.caller import Caller
    from zeratul.service.ground.foundation import Foundation
    from zeratul.service.ground.idempotency import Idempotent, Replay
    from zeratul.service.ground.stored_model import Rules
    from zeratul.service.rules.catalog_answers import Affected, References, RenameKind
    from zeratul.store.interface import Snapshot, WriteTransaction

_TO = Place() / "to"


class Wish(NamedTuple):
    """A rename as asked for: of a resource, or of an action or relation of one."""

    kind: RenameKind
    resource: str
    old: str
    new: str


class _Plan(NamedTuple):
    """A rename worked out.

    Attributes:
        wish: what was asked for.
        catalog: afterwards.
        permissions: old and new text of the permissions it is about; None for none.
        overridden: built-in relations that are overridden from now on.
    """

    wish: Wish
    catalog: Catalog
    permissions: tuple[str, str] | None
    overridden: tuple[str, ...] = ()


class Renaming:
    """Attempts at a rename; a ``ModelMovedError`` says that it has to be worked out again."""

    def __init__(self, foundation: Foundation) -> None:
        self._base = foundation

    def attempt(
        self, caller: Caller, wish: Wish, idempotency: Idempotent | None, *, dry_run: bool
    ) -> Future[RenameAnswer | Replay]:
        """Work it out against a view, and commit that.

        Raises:
            NotFoundError, ValidationError, AlreadyExistsError, ConflictError: see ``Catalogs``.
            ModelMovedError: (from the future) the rules changed meanwhile.
        """
        base, application = self._base, caller.application
        with base.view(caller) as view:
            replay = base.replay(idempotency, caller, view.snapshot)
            if replay is not None:
                return resolved(replay)
            rules = read_rules(view.snapshot, application)
            model = compile_model(rules.model, limits=base.limits)
            planned = _PLANS[wish.kind](wish, rules.catalog or Catalog(), model, view.schema)
            # Judged like any other: a rename can make a rule of the model recurse.
            Editor(rules.catalog or Catalog(), model, base.limits).judge(planned.catalog)
            schema = joined(model, planned.catalog, roles=rules.roles)
            zookie = base.view_zookie(view)
            references = policy_references(
                view.snapshot, application, _affected(view.snapshot, application, planned)
            )
            fresh = _fresh_names(wish, schema, view.snapshot.vocabulary(application).slots)
            relation = wish.old if wish.kind == "relation" else None
            stored = stored_on(view, wish.resource, relation)
        if dry_run:
            counts = stored.count(view, base.store) if wish.kind != "action" else {}
            if counts:
                references["relationships"] = counts
            return resolved(_answer(planned, references, zookie, dry_run=True))

        def job(tx: WriteTransaction) -> RenameAnswer:
            return self._commit(tx, caller, planned, rules, fresh)

        return base.write_once(caller, idempotency, job)

    def _commit(
        self,
        tx: WriteTransaction,
        caller: Caller,
        planned: _Plan,
        rules: Rules,
        fresh: Sequence[tuple[str, str]],
    ) -> RenameAnswer:
        base, application, wish = self._base, caller.application, planned.wish
        require_model(tx.snapshot, application, rules.revision)
        affected = _affected(tx.snapshot, application, planned)
        references = policy_references(tx.snapshot, application, affected)
        if planned.permissions is not None:
            rewrite_policies(tx, caller, affected, renamed_permission(*planned.permissions))
        tx.rename_slots(application, _renamed_slots(wish))
        catalog = replace(planned.catalog, renamed=tx.revision)
        if wish.kind == "resource":
            catalog = self._with_segments(catalog, rules.catalog or Catalog(), wish, tx.revision)
        tx.intern_slots(application, fresh)
        put = rules._replace(revision=tx.revision, catalog=catalog)
        tx.put_document(application, MODEL_KIND, MODEL_ID, pack_rules(put))
        target = wish.old if wish.kind == "resource" else f"{wish.resource}.{wish.old}"
        record(
            tx,
            caller,
            f"{wish.kind}.renamed",
            wish.kind,
            target,
            before={"resource": wish.resource, "name": wish.old},
            after={"resource": _resource_after(wish), "name": wish.new, "references": references},
            batch_id=batch_of(tx) if references else None,
        )
        zookie = base.zookie(application, tx.revision, tx.revision)
        return _answer(planned._replace(catalog=catalog), references, zookie, dry_run=False)

    def _with_segments(
        self, catalog: Catalog, before: Catalog, wish: Wish, revision: int
    ) -> Catalog:
        segments = renamed_segments(before, wish.old, wish.new, str(revision))
        most = self._base.limits.catalog_segments_max
        if len(segments) > most:
            raise LimitError(
                "catalog_segments_max",
                most,
                f"resources of this catalog had more than {most:,} names (catalog_segments_max)",
            )
        return replace(catalog, segments=segments)


# --- What becomes of the catalog.


def _plan_resource(wish: Wish, catalog: Catalog, model: Schema, schema: Schema) -> _Plan:
    resource = require_resource(catalog, wish.old)
    _require_fresh_key(wish)
    if wish.old in model.types:
        raise _of_model(f"`{wish.old}` is a type of the model")
    if wish.new in schema.types:
        raise AlreadyExistsError(f"there is a type `{wish.new}` already")
    resources = {
        wish.new if name == wish.old else name: (
            replace(resource, name=wish.new) if name == wish.old else each
        )
        for name, each in catalog.resources.items()
    }
    permissions = (f"{wish.old}:{EVERY_ACTION}", f"{wish.new}:{EVERY_ACTION}")
    return _Plan(wish, replace(catalog, resources=resources), permissions)


def _plan_action(wish: Wish, catalog: Catalog, model: Schema, schema: Schema) -> _Plan:
    resource = require_resource(catalog, wish.resource)
    if wish.old not in resource.actions:
        raise _absent("action", wish, resource.actions)
    _require_fresh_key(wish)
    _require_free(wish, resource, model, schema)
    renamed = replace(
        resource,
        actions=_renamed(resource.actions, wish),
        relations={
            name: replace(each, actions=_renamed(each.actions, wish))
            for name, each in resource.relations.items()
        },
    )
    renamed, overridden = _same_for_builtins(wish, resource, renamed)
    permissions = (f"{wish.resource}:{wish.old}", f"{wish.resource}:{wish.new}")
    return _Plan(wish, _with(catalog, renamed), permissions, overridden)


def _plan_relation(wish: Wish, catalog: Catalog, model: Schema, schema: Schema) -> _Plan:
    resource = require_resource(catalog, wish.resource)
    if wish.old in builtins().relations:
        raise ConflictError(f"`{wish.old}` is a built-in relation; every resource has it")
    if wish.old not in resource.relations:
        raise _absent("relation", wish, resource.relations)
    _require_fresh_key(wish)
    _require_free(wish, resource, model, schema)
    relations = {
        wish.new if name == wish.old else name: each for name, each in resource.relations.items()
    }
    return _Plan(wish, _with(catalog, replace(resource, relations=relations)), None)


_PLANS = {"resource": _plan_resource, "action": _plan_action, "relation": _plan_relation}


def _same_for_builtins(
    wish: Wish, before: CatalogResource, after: CatalogResource
) -> tuple[CatalogResource, tuple[str, ...]]:
    """Overrides of the built-in relations that would imply something else by the new name."""
    old, new = implied_actions(before), implied_actions(after)
    overrides = {
        name: CatalogRelation(_renamed(old[name], wish))
        for name, builtin in builtins().relations.items()
        if builtin.overridable and _renamed(old[name], wish) != new[name]
    }
    return replace(after, relations={**after.relations, **overrides}), tuple(overrides)


def _renamed(names: tuple[str, ...], wish: Wish) -> tuple[str, ...]:
    return tuple(wish.new if name == wish.old else name for name in names)


def _with(catalog: Catalog, resource: CatalogResource) -> Catalog:
    return replace(catalog, resources={**catalog.resources, resource.name: resource})


# --- What is refused.


def _require_fresh_key(wish: Wish) -> None:
    findings = Findings()
    (check_action if wish.kind == "action" else check_key)(wish.new, _TO, findings)
    if wish.new == wish.old:
        findings.add(_TO, f"it is called `{wish.old}` already")
    if findings:
        raise ValidationError(findings.listed())


def _require_free(wish: Wish, resource: CatalogResource, model: Schema, schema: Schema) -> None:
    """Whether the model leaves both names to the catalog, and nothing else has the new one."""
    own = model.types.get(wish.resource)
    for name in (wish.old, wish.new):
        if own is not None and name in own.relations:
            raise _of_model(f"the model names `{name}` on type `{wish.resource}`")
    if wish.new in schema.types[wish.resource].relations or wish.new in resource.actions:
        raise AlreadyExistsError(
            f"`{wish.resource}` has a relation or an action `{wish.new}` already"
        )


def _of_model(what: str) -> ConflictError:
    return ConflictError(
        what,
        help="what the model names is renamed by putting another model: name both there, move the"
        " relationships, then put a model without the old name",
    )


def _absent(kind: str, wish: Wish, known: Mapping[str, object] | tuple[str, ...]) -> NotFoundError:
    suggestion = nearest(wish.old, known)
    return NotFoundError(
        f"`{wish.resource}` has no {kind} `{wish.old[:128]}`",
        help=f"did you mean `{suggestion}`?" if suggestion else None,
    )


# --- What is rewritten.


def _affected(snapshot: Snapshot, application: int, planned: _Plan) -> list[Affected]:
    if planned.permissions is None:
        return []
    rewrite = renamed_permission(*planned.permissions)
    return list(affected_policies(snapshot, application, lambda text: rewrite(text) != text))


def _renamed_slots(wish: Wish) -> dict[tuple[str, str], tuple[str, str]]:
    match wish.kind:
        case "resource":
            # A type's own slot takes all others of it along, also those that only the past shows.
            return {(wish.old, SELF): (wish.new, SELF)}
        case "relation":
            return {(wish.resource, wish.old): (wish.resource, wish.new)}
        case "action":
            return {}  # Nothing is stored on an action.


def _fresh_names(
    wish: Wish, schema: Schema, known: Container[tuple[str, str]]
) -> list[tuple[str, str]]:
    """Names that have no number once the slots are renamed; looked up before the writers' lock."""

    def before(name: tuple[str, str]) -> tuple[str, str]:
        if wish.kind == "resource" and name[0] == wish.new:
            return wish.old, name[1]
        renamed = wish.kind == "relation" and name == (wish.resource, wish.new)
        return (wish.resource, wish.old) if renamed else name

    return [name for name in slot_names(schema) if before(name) not in known]


def _resource_after(wish: Wish) -> str:
    return wish.new if wish.kind == "resource" else wish.resource


def _answer(planned: _Plan, references: References, zookie: str, *, dry_run: bool) -> RenameAnswer:
    wish = planned.wish
    return RenameAnswer(
        kind=wish.kind,
        resource=_resource_after(wish),
        old=wish.old,
        new=wish.new,
        references=references,
        overridden=planned.overridden,
        etag=etag_of(pack_catalog(planned.catalog)),
        dry_run=dry_run,
        zookie=zookie,
    )

"""Get and put an application's model; no change leaves relationships the model forbids."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any

from zeratul.dispatch.state import MODEL_ID, MODEL_KIND
from zeratul.domain.catalog import Catalog
from zeratul.errors import ConflictError, SchemaError, SchemaInUseError
from zeratul.language.application import joined
from zeratul.language.catalog_rules import check_catalog, check_resource
from zeratul.language.findings import Findings, Place
from zeratul.language.openfga import compile_model
from zeratul.service.ground.audit import batch_of, record
from zeratul.service.ground.etags import etag_of, require_match
from zeratul.service.ground.futures import ModelMovedError, resolved, retrying
from zeratul.service.ground.stored_model import (
    Rules,
    pack_model,
    pack_rules,
    read_rules,
    require_model,
    slot_names,
)
from zeratul.service.rules.model_answers import ModelAnswer
from zeratul.service.rules.orphans import Orphans

if TYPE_CHECKING:
    from concurrent.futures import Future

    from zeratul.domain.limits import Limits
    from zeratul.domain.schema import Schema
    from zeratul.service.ground.caller import Caller
    from zeratul.service.ground.foundation import Foundation
    from zeratul.store.interface import WriteTransaction


class Models:
    """Use cases around an application's model."""

    def __init__(self, foundation: Foundation) -> None:
        self._base = foundation

    def get(self, caller: Caller) -> ModelAnswer:
        """The model as it was put; an empty one where none was.

        Raises:
            ForbiddenError: the caller lacks ``model:read``.
        """
        caller.require("model:read")
        with self._base.view(caller) as view:
            rules = read_rules(view.snapshot, view.application)
            return ModelAnswer(
                model=rules.model,
                schema_revision=rules.revision,
                revision=view.revision,
                zookie=self._base.view_zookie(view),
                etag=etag_of(pack_model(rules.model)),
            )

    def put(
        self,
        caller: Caller,
        document: object,
        *,
        if_match: str | None = None,
        force: bool = False,
        dry_run: bool = False,
    ) -> Future[ModelAnswer]:
        """Replace the model.

        Args:
            caller: who asks.
            document: the OpenFGA JSON form, decoded.
            if_match: refuse unless the model's entity tag is among these.
            force: delete the relationships the new model has no place for, in the same commit.
            dry_run: only validate and count those.

        Raises:
            ForbiddenError, TenantScopeError: the caller may not write the model.
            SchemaError: with every finding, those of the catalog beside it included.
            PreconditionError: (also from the future) another model is there.
            SchemaInUseError: (also from the future) it would orphan relationships.
            ConflictError: (from the future) another model was put meanwhile.
        """
        caller.require("model:write")
        caller.require_whole_application("models")
        compiled = compile_model(document, limits=self._base.limits)
        if not isinstance(document, dict):  # The compiler has refused anything else already.
            raise SchemaError({"": ["a model is a JSON object"]})
        return retrying(
            partial(
                self._attempt, caller, document, compiled, if_match, force=force, dry_run=dry_run
            )
        )

    def _attempt(
        self,
        caller: Caller,
        document: dict[str, Any],
        compiled: Schema,
        if_match: str | None,
        *,
        force: bool,
        dry_run: bool,
    ) -> Future[ModelAnswer]:
        """Work it out against a view, and commit that; see ``put``.

        Raises:
            ModelMovedError: (from the future) the catalog or the roles changed the rules.
        """
        base = self._base
        with base.view(caller) as view:
            rules, since = read_rules(view.snapshot, view.application), view.revision
            zookie = base.view_zookie(view)
            require_match(if_match, pack_model(rules.model))
            unchanged = rules.model == document
            if not unchanged:
                _require_catalog(rules.catalog or Catalog(), compiled, base.limits)
            schema = joined(compiled, rules.catalog, roles=rules.roles)
            orphans = Orphans(view.schema, schema, caller.application)
        # Counted before the writers' lock: a refusal and a dry run never take it.
        counts = {} if unchanged or (force and not dry_run) else orphans.count(view, base.store)
        if unchanged or dry_run:
            return resolved(
                ModelAnswer(
                    model=document,
                    schema_revision=rules.revision,
                    revision=since,
                    zookie=zookie,
                    etag=etag_of(pack_model(document)),
                    changed=not unchanged,
                    orphans=counts,
                    deleted=sum(counts.values()),
                    dry_run=dry_run,
                )
            )
        if counts:
            raise SchemaInUseError(counts)

        def job(tx: WriteTransaction) -> ModelAnswer:
            put = rules._replace(model=document)
            try:
                answer = self._put(caller, tx, put, schema, orphans, since, force=force)
            except ModelMovedError as error:
                if read_rules(tx.snapshot, caller.application).model == rules.model:
                    raise  # Only what is beside the model was changed: tried again.
                raise ConflictError(
                    "the model was changed meanwhile", help="read it again"
                ) from error
            record(
                tx,
                caller,
                "model.updated",
                "model",
                MODEL_ID,
                before=rules.model,
                after=document,
                batch_id=batch_of(tx) if answer.deleted else None,
            )
            return answer

        return base.store.write(job)

    def _put(
        self,
        caller: Caller,
        tx: WriteTransaction,
        rules: Rules,
        schema: Schema,
        orphans: Orphans,
        since: int,
        *,
        force: bool,
    ) -> ModelAnswer:
        application = caller.application
        require_model(tx.snapshot, application, rules.revision)
        counts: dict[str, int] = {}
        if force or orphans.may_have_come(tx, since):
            counts = orphans.delete(tx, self._base.store)
            if counts and not force:
                raise SchemaInUseError(counts)  # Undoes the deletion with the job.
        tx.intern_slots(application, slot_names(schema))
        body = pack_rules(rules._replace(revision=tx.revision))
        tx.put_document(application, MODEL_KIND, MODEL_ID, body)
        return ModelAnswer(
            model=rules.model,
            schema_revision=tx.revision,
            revision=tx.revision,
            zookie=self._base.zookie(application, tx.revision, tx.revision),
            etag=etag_of(pack_model(rules.model)),
            changed=True,
            orphans=counts,
            deleted=sum(counts.values()),
        )


def _require_catalog(catalog: Catalog, model: Schema, limits: Limits) -> None:
    """Whether a model and the catalog that is there fit together.

    Raises:
        SchemaError: with every finding, under ``catalog``.
    """
    findings = Findings()
    place = Place() / "catalog" / "resources"
    for index, resource in enumerate(catalog.resources.values()):
        check_resource(resource, place / index, model, limits, findings)
    check_catalog(catalog, place, model, limits, findings)
    findings.raise_if_any()

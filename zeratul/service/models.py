"""Get and put an application's model; no change leaves relationships the model forbids."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from zeratul.dispatch.state import MODEL_ID, MODEL_KIND
from zeratul.errors import ConflictError, SchemaError, SchemaInUseError
from zeratul.language.openfga import compile_model
from zeratul.service.answers import ModelAnswer
from zeratul.service.applications import slot_names
from zeratul.service.futures import ModelMovedError, resolved
from zeratul.service.orphans import Orphans
from zeratul.service.stored_model import pack_model, read_model, require_model

if TYPE_CHECKING:
    from concurrent.futures import Future

    from zeratul.domain.schema import Schema
    from zeratul.service.caller import Caller
    from zeratul.service.foundation import Foundation
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
            schema_revision, model = read_model(view.snapshot, view.application)
            return ModelAnswer(
                model=model,
                schema_revision=schema_revision,
                revision=view.revision,
                zookie=self._base.view_zookie(view),
            )

    def put(
        self, caller: Caller, document: object, *, force: bool = False, dry_run: bool = False
    ) -> Future[ModelAnswer]:
        """Replace the model.

        Args:
            caller: who asks.
            document: the OpenFGA JSON form, decoded.
            force: delete the relationships the new model has no place for, in the same commit.
            dry_run: only validate and count those.

        Raises:
            ForbiddenError: the caller lacks ``model:write``.
            SchemaError: with every finding.
            SchemaInUseError: (also from the future) it would orphan relationships.
            ConflictError: (from the future) the model was changed meanwhile.
        """
        caller.require("model:write")
        schema = compile_model(document, limits=self._base.limits)
        if not isinstance(document, dict):  # The compiler has refused anything else already.
            raise SchemaError({"": ["a model is a JSON object"]})
        base = self._base
        with base.view(caller) as view:
            before, since = view.schema_revision, view.revision
            zookie = base.view_zookie(view)
            unchanged = read_model(view.snapshot, view.application)[1] == document
            orphans = Orphans(view.schema, schema, caller.application)
        # Counted before the writers' lock: a refusal and a dry run never take it.
        counts = {} if unchanged or (force and not dry_run) else orphans.count(view, base.store)
        if unchanged or dry_run:
            return resolved(
                ModelAnswer(
                    model=document,
                    schema_revision=before,
                    revision=since,
                    zookie=zookie,
                    changed=not unchanged,
                    orphans=counts,
                    deleted=sum(counts.values()),
                    dry_run=dry_run,
                )
            )
        if counts:
            raise SchemaInUseError(counts)

        def job(tx: WriteTransaction) -> ModelAnswer:
            return self._put(caller, tx, document, schema, orphans, before, since, force=force)

        return base.store.write(job)

    def _put(
        self,
        caller: Caller,
        tx: WriteTransaction,
        model: dict[str, Any],
        schema: Schema,
        orphans: Orphans,
        before: int,
        since: int,
        *,
        force: bool,
    ) -> ModelAnswer:
        application = caller.application
        try:
            require_model(tx.snapshot, application, before)
        except ModelMovedError as error:
            raise ConflictError("the model was changed meanwhile", help="read it again") from error
        counts: dict[str, int] = {}
        if force or orphans.may_have_come(tx, since):
            counts = orphans.delete(tx, self._base.store)
            if counts and not force:
                raise SchemaInUseError(counts)  # Undoes the deletion with the job.
        tx.intern_slots(application, slot_names(schema))
        tx.put_document(application, MODEL_KIND, MODEL_ID, pack_model(tx.revision, model))
        return ModelAnswer(
            model=model,
            schema_revision=tx.revision,
            revision=tx.revision,
            zookie=self._base.zookie(application, tx.revision, tx.revision),
            changed=True,
            orphans=counts,
            deleted=sum(counts.values()),
        )

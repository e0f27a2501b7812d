"""What is known of an application's rules: its schema compiled, its numbers, its memos."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import orjson

from zeratul.dispatch.memos import MemoTable
from zeratul.domain.vocabulary import SELF, WILDCARD_SLOT, Vocabulary
from zeratul.errors import InternalError
from zeratul.graph.plan import Plan, compile_plan
from zeratul.language.openfga import compile_model, empty_schema

if TYPE_CHECKING:
    from zeratul.domain.limits import Limits
    from zeratul.domain.schema import Schema
    from zeratul.store.interface import Snapshot

MODEL_KIND = "model"
MODEL_ID = "current"
"""The application's model lives in document (application, MODEL_KIND, MODEL_ID):
``{"revision": schema revision, "model": OpenFGA JSON}``."""

# Slots of names that no commit has interned yet (an application before its first write): the top
# of the 24-bit range, never stored, so nothing matches them.
_PROVISIONAL_SLOTS_FIRST = 0xF0_0000


class ApplicationState(NamedTuple):
    """A compiled schema with its memos."""

    schema: Schema
    schema_revision: int
    vocabulary: Vocabulary
    plan: Plan
    table: MemoTable
    slots: dict[tuple[str, str], int]  # declared relations and permissions only
    wildcard_nodes: dict[int, int]  # type slot -> node of ``*``, once one was seen stored

    @property
    def is_provisional(self) -> bool:
        """Whether some of its names have no slot of their own yet."""
        return any(slot >= _PROVISIONAL_SLOTS_FIRST for slot in self.vocabulary.names)

    def slot(self, type_name: str, relation: str) -> int:
        """The number of a declared relation or permission.

        Raises:
            UnknownNameError: type or relation not declared.
        """
        found = self.slots.get((type_name, relation))
        if found is None:
            self.schema.relation(type_name, relation, field="relation", type_field="resource")
            raise InternalError(f"`{type_name}#{relation}` has no slot")
        return found


def load_state(application: int, snapshot: Snapshot, limits: Limits) -> ApplicationState:
    """The application's rules as the snapshot's head has them."""
    stored = snapshot.document(application, MODEL_KIND, MODEL_ID)
    schema_revision = 0
    if stored is None:
        schema = empty_schema()
    else:
        document = orjson.loads(stored)
        schema_revision = document["revision"]
        schema = compile_model(document["model"], limits=limits)
    vocabulary = _complete(snapshot.vocabulary(application), schema)
    plan = compile_plan(schema, vocabulary)
    return ApplicationState(
        schema=schema,
        schema_revision=schema_revision,
        vocabulary=vocabulary,
        plan=plan,
        table=MemoTable(plan),
        slots={
            (name, relation): vocabulary.slots[name, relation]
            for name, definition in schema.types.items()
            for relation in definition.relations
        },
        wildcard_nodes={},
    )


def _complete(vocabulary: Vocabulary, schema: Schema) -> Vocabulary:
    """The vocabulary with provisional slots for names that are declared and not interned."""
    missing = [
        (name, part)
        for name, definition in schema.types.items()
        for part in (SELF, WILDCARD_SLOT, *definition.relations)
        if (name, part) not in vocabulary.slots
    ]
    if not missing:
        return vocabulary
    added = {name: _PROVISIONAL_SLOTS_FIRST + index for index, name in enumerate(missing)}
    return Vocabulary(
        vocabulary.application,
        {**vocabulary.slots, **added},
        {**vocabulary.names, **{slot: name for name, slot in added.items()}},
    )

"""What is known of an application's rules: its schema compiled, its numbers, its memos."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import orjson

from zeratul.dispatch.memos import MemoTable
from zeratul.domain.scopes import RESERVED_TYPES
from zeratul.domain.vocabulary import SELF, WILDCARD_SLOT, Vocabulary
from zeratul.errors import InternalError
from zeratul.graph.plan import Plan, compile_plan
from zeratul.language.application import application_schema
from zeratul.language.catalog import catalog_of
from zeratul.language.openfga import empty_schema

if TYPE_CHECKING:
    from zeratul.domain.catalog import Catalog
    from zeratul.domain.limits import Limits
    from zeratul.domain.schema import Schema
    from zeratul.domain.scopes import Grant
    from zeratul.store.interface import Snapshot

MODEL_KIND = "model"
MODEL_ID = "current"
"""The rules of an application live in document (application, MODEL_KIND, MODEL_ID):
``{"revision": schema revision, "model": OpenFGA JSON, "catalog": JSON or null, "roles": whether
the server's own types are part of the schema}``."""

# Slots of names that no commit has interned yet (an application before its first write): the top
# of the 24-bit range, never stored, so nothing matches them.
_PROVISIONAL_SLOTS_FIRST = 0xF0_0000


class ApplicationState(NamedTuple):
    """A compiled schema with its memos.

    Attributes:
        schema: the compiled rules, the server's own types included.
        schema_revision: of the commit that set them, 0 without one.
        vocabulary, plan: the schema in numbers.
        table: memos under this plan.
        type_slots: of declared types only, not of the server's own: nobody can name those.
        slots: of declared relations and permissions only, likewise.
        wildcard_nodes: type slot -> node of ``*``, once one was seen stored.
        catalog: as it is stored; the schema has it attached.
        permissions: (type, action) -> ``type:action`` for what a role may give: every declared
            action, in an application with roles; else nothing.
        grants: node of a grant -> what it is, as far as that was asked; names never change.
        is_provisional: whether some of its names have no slot of their own yet.
    """

    schema: Schema
    schema_revision: int
    vocabulary: Vocabulary
    plan: Plan
    table: MemoTable
    type_slots: dict[str, int]
    slots: dict[tuple[str, str], int]
    wildcard_nodes: dict[int, int]
    catalog: Catalog | None
    permissions: dict[tuple[str, str], str]
    grants: dict[int, Grant]
    is_provisional: bool

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
    catalog = None
    if stored is None:
        schema = empty_schema()
    else:
        document = orjson.loads(stored)
        schema_revision = document["revision"]
        if document.get("catalog") is not None:
            catalog = catalog_of(document["catalog"])
        schema = application_schema(
            document["model"], catalog, roles=bool(document.get("roles")), limits=limits
        )
    vocabulary = _complete(snapshot.vocabulary(application), schema)
    plan = compile_plan(schema, vocabulary)
    declared = [name for name in schema.types if name not in RESERVED_TYPES]
    return ApplicationState(
        schema=schema,
        schema_revision=schema_revision,
        vocabulary=vocabulary,
        plan=plan,
        table=MemoTable(plan),
        type_slots={name: vocabulary.slots[name, SELF] for name in declared},
        slots={
            (name, relation): vocabulary.slots[name, relation]
            for name in declared
            for relation in schema.types[name].relations
        },
        wildcard_nodes={},
        catalog=catalog,
        permissions=_permissions(catalog) if plan.holder is not None else {},
        grants={},
        is_provisional=any(slot >= _PROVISIONAL_SLOTS_FIRST for slot in vocabulary.names),
    )


def _permissions(catalog: Catalog | None) -> dict[tuple[str, str], str]:
    if catalog is None:
        return {}
    return {
        (name, action): f"{name}:{action}"
        for name, resource in catalog.resources.items()
        for action in resource.actions
    }


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

"""The document that an application's rules live in, and whether a write still meets the same ones.

Model and catalog are one document: either changes the compiled schema, so both share a revision,
and a write that was validated against an older one is validated again.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

import orjson

from zeratul.dispatch.state import MODEL_ID, MODEL_KIND
from zeratul.domain.vocabulary import SELF, WILDCARD_SLOT
from zeratul.language.catalog import catalog_json, catalog_of, resource_json
from zeratul.service.ground.futures import ModelMovedError

if TYPE_CHECKING:
    from zeratul.domain.catalog import Catalog, CatalogResource
    from zeratul.domain.schema import Schema
    from zeratul.store.interface import Snapshot

EMPTY_MODEL: dict[str, Any] = {"schema_version": "1.1", "type_definitions": []}


class Rules(NamedTuple):
    """What is compiled into an application's schema.

    Attributes:
        revision: of the commit that set them, 0 for none: the schema revision.
        model: OpenFGA's JSON form, as it was put.
        catalog: None where none was ever put.
        roles: whether the server's own types are part of the schema.
    """

    revision: int = 0
    model: dict[str, Any] = EMPTY_MODEL
    catalog: Catalog | None = None
    roles: bool = False


def pack_rules(rules: Rules) -> bytes:
    """The document. INVARIANT: the revision comes first, ``require_model`` reads only that."""
    return orjson.dumps(
        {
            "revision": rules.revision,
            "model": rules.model,
            "catalog": None if rules.catalog is None else catalog_json(rules.catalog),
            "roles": rules.roles,
        }
    )


def read_rules(snapshot: Snapshot, application: int) -> Rules:
    """The rules; those of an application without any where none were put."""
    document = snapshot.document(application, MODEL_KIND, MODEL_ID)
    if document is None:
        return Rules()
    stored = orjson.loads(document)
    catalog = stored.get("catalog")
    return Rules(
        int(stored["revision"]),
        stored["model"],
        None if catalog is None else catalog_of(catalog),
        bool(stored.get("roles")),
    )


def pack_model(model: dict[str, Any]) -> bytes:
    """What the entity tag of a model is made of; the order of its keys says nothing."""
    return orjson.dumps(model, option=orjson.OPT_SORT_KEYS)


def pack_catalog(catalog: Catalog) -> bytes:
    """What the entity tag of a catalog is made of."""
    return orjson.dumps(catalog_json(catalog))


def pack_resource(resource: CatalogResource) -> bytes:
    """What the entity tag of one resource is made of."""
    return orjson.dumps(resource_json(resource))


def require_model(snapshot: Snapshot, application: int, schema_revision: int) -> None:
    """Whether a write may rely on what it was validated against.

    Raises:
        ModelMovedError: the rules were changed since.
    """
    document = snapshot.document(application, MODEL_KIND, MODEL_ID)
    if document is None:
        if schema_revision:
            raise ModelMovedError
    elif not document.startswith(b'{"revision":%d,' % schema_revision):
        raise ModelMovedError


def slot_names(schema: Schema) -> list[tuple[str, str]]:
    """Every (type, relation) of a schema that needs a number."""
    names: list[tuple[str, str]] = []
    for type_name, definition in schema.types.items():
        names += ((type_name, SELF), (type_name, WILDCARD_SLOT))
        names += ((type_name, relation) for relation in definition.relations)
    return names

"""The schema of an application: its model, its catalog and the server's own types, as one."""

from __future__ import annotations

from typing import TYPE_CHECKING

from zeratul.domain.limits import Limits
from zeratul.domain.schema import Schema
from zeratul.language.catalog import attach
from zeratul.language.openfga import compile_model
from zeratul.language.reserved import reserved_types

if TYPE_CHECKING:
    from zeratul.domain.catalog import Catalog

_DEFAULT_LIMITS = Limits()


def application_schema(
    model: object,
    catalog: Catalog | None,
    *,
    roles: bool,
    limits: Limits = _DEFAULT_LIMITS,
) -> Schema:
    """What an application's questions and writes are judged by.

    Args:
        model: OpenFGA's JSON form, decoded.
        catalog: attached as it is: whoever stores one has judged it (``language.catalog_rules``).
        roles: whether the server's own types are there, in which role assignments are stored.
        limits: bounds on the model.

    Raises:
        SchemaError: the model is none; carries every finding.
    """
    return joined(compile_model(model, limits=limits), catalog, roles=roles)


def joined(compiled: Schema, catalog: Catalog | None, *, roles: bool) -> Schema:
    """``application_schema`` of a model that is compiled already."""
    types = dict(compiled.types) if catalog is None else attach(compiled.types, catalog)
    if roles:
        types |= reserved_types(types)
    return Schema(types)

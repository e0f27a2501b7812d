"""What the models' service answers: plain values, no JSON, no HTTP."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelAnswer:
    """An application's model.

    Attributes:
        model: the OpenFGA JSON form, as it was put.
        schema_revision: revision of the commit that set it, 0 for none.
        revision: what the answer is as of.
        etag: its entity tag; of what would be there, on a dry run.
        changed: put only: whether the model differs from the one before.
        orphans: put only: what disappeared (``document#viewer@user``) -> relationships counted.
        deleted: put only: orphaned relationships deleted (counted only, on a dry run).
    """

    model: dict[str, Any]
    schema_revision: int
    revision: int
    zookie: str
    etag: str
    changed: bool = False
    orphans: Mapping[str, int] = field(default_factory=dict)
    deleted: int = 0
    dry_run: bool = False

"""The document an application's model lives in, and whether a write still meets the same one."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import orjson

from zeratul.dispatch.state import MODEL_ID, MODEL_KIND
from zeratul.service.futures import ModelMovedError

if TYPE_CHECKING:
    from zeratul.store.interface import Snapshot

EMPTY_MODEL: dict[str, Any] = {"schema_version": "1.1", "type_definitions": []}


def pack_model(schema_revision: int, model: object) -> bytes:
    """The document. INVARIANT: the revision comes first, ``require_model`` reads only that."""
    return orjson.dumps({"revision": schema_revision, "model": model})


def read_model(snapshot: Snapshot, application: int) -> tuple[int, dict[str, Any]]:
    """Schema revision and model; 0 and an empty model where none was put."""
    document = snapshot.document(application, MODEL_KIND, MODEL_ID)
    if document is None:
        return 0, EMPTY_MODEL
    stored = orjson.loads(document)
    return int(stored["revision"]), stored["model"]


def require_model(snapshot: Snapshot, application: int, schema_revision: int) -> None:
    """Whether a write may rely on what it was validated against.

    Raises:
        ModelMovedError: the model was changed since.
    """
    document = snapshot.document(application, MODEL_KIND, MODEL_ID)
    if document is None:
        if schema_revision:
            raise ModelMovedError
    elif not document.startswith(b'{"revision":%d,' % schema_revision):
        raise ModelMovedError

"""How keys are stored, found by their application, and shown without their secrets.

A key is a document of the server's own, because a secret says which key it is and not which
application. So that one application's keys are found without reading those of the others, each has
an index document too, ordered by application, and one of a tenant a second, ordered by tenant.
"""

from __future__ import annotations

import hashlib
import secrets
from typing import TYPE_CHECKING, Any, NamedTuple

import orjson

from zeratul.domain.relationship import id_is_valid
from zeratul.service.ground.directory import KEY_KIND, ROOT_KEY_ID, SERVER, secret_digest
from zeratul.service.ground.times import format_time
from zeratul.service.keys.key_answers import KeyInfo
from zeratul.service.keys.key_uses import forget_use

if TYPE_CHECKING:
    from collections.abc import Sequence

    from zeratul.store.interface import Snapshot, WriteTransaction

_OF_APPLICATION_KIND = "key-of"
_OF_TENANT_KIND = "key-of-tenant"
_SERVER_KIND = "server"
_INDEXED_ID = "keys-indexed"
# LIMIT: index documents read at a time.
_INDEX_ROWS = 1_000

Stored = dict[str, Any]


class FreshKey(NamedTuple):
    """A document to be stored, and the secret that opens it, to be shown once."""

    document: Stored
    secret: str


def fresh_key(
    *,
    name: str,
    permissions: Sequence[str],
    application: int,
    application_id: str,
    tenant_id: str | None,
    expires_at_ms: int | None,
) -> FreshKey:
    """A key with an id and a secret of its own; ``createdAtMs`` is for the transaction to say."""
    short_id = secrets.token_hex(6)
    secret = fresh_secret(short_id)
    document: Stored = {
        "id": f"key_{short_id}",
        "name": name,
        "application": application,
        "applicationId": application_id,
        "tenantId": tenant_id,
        "permissions": list(permissions),
        "expiresAtMs": expires_at_ms,
        **shown_of(secret),
    }
    return FreshKey(document, secret)


def root_key(secret: str, now_ms: int) -> Stored:
    """The document of the root key with this secret."""
    return {
        "id": ROOT_KEY_ID,
        "name": "root",
        "application": None,
        "applicationId": "",
        "tenantId": None,
        "permissions": ["*"],
        "createdAtMs": now_ms,
        "expiresAtMs": None,
        **shown_of(secret),
    }


def fresh_secret(short_id: str) -> str:
    """A secret of the key with this short id: 256 random bits behind what finds its document."""
    return f"zrt_{short_id}_{secrets.token_urlsafe(32)}"


def shown_of(secret: str) -> Stored:
    """What is stored of a secret: its digest, and what people recognise it by."""
    # Of a secret somebody else chose, nothing is shown: it may be short.
    ours = secret.startswith("zrt_")
    return {
        "sha256": secret_digest(secret).hex(),
        "prefix": "_".join(secret.split("_", 2)[:2]) if ours else "",
        "lastFour": secret[-4:] if ours else "",
    }


def put_key(tx: WriteTransaction, document: Stored) -> None:
    """Store a key, and where it is found by its application."""
    key_id = document["id"]
    tx.put_document(SERVER, KEY_KIND, key_id, orjson.dumps(document))
    for kind, index_id in _index(document):
        if tx.snapshot.document(SERVER, kind, index_id) is None:
            tx.put_document(SERVER, kind, index_id, b"")


def delete_key(tx: WriteTransaction, document: Stored) -> None:
    """Leave nothing of a key."""
    tx.delete_document(SERVER, KEY_KIND, document["id"])
    for kind, index_id in _index(document):
        tx.delete_document(SERVER, kind, index_id)
    forget_use(tx, document["id"])


def find_key(snapshot: Snapshot, key_id: str) -> Stored | None:
    """A key by its id, of whatever application."""
    body = snapshot.document(SERVER, KEY_KIND, key_id) if id_is_valid(key_id) else None
    if body is None:
        return None
    document: Stored = orjson.loads(body)
    return document


def keys_of(
    snapshot: Snapshot, application: int, tenant_id: str | None, *, after: str, limit: int
) -> list[Stored]:
    """An application's keys, or a tenant's, behind an id, in id order."""
    kind, prefix = _place(application, tenant_id)
    rows = snapshot.documents(SERVER, kind, after=prefix + after, limit=limit)
    found: list[Stored] = []
    for index_id, _ in rows:
        if not index_id.startswith(prefix):
            break
        document = find_key(snapshot, index_id.removeprefix(prefix))
        if document is not None:
            found.append(document)
    return found


def delete_keys_of(tx: WriteTransaction, application: int, limit: int) -> int:
    """Delete keys of an application, at most ``limit``; how many."""
    found = keys_of(tx.snapshot, application, None, after="", limit=limit)
    for document in found:
        delete_key(tx, document)
    return len(found)


def are_indexed(snapshot: Snapshot) -> bool:
    """Whether every key has its index documents: those of earlier versions had none."""
    return snapshot.document(SERVER, _SERVER_KIND, _INDEXED_ID) is not None


def index_all(tx: WriteTransaction) -> None:
    """Give every key its index documents, and say so."""
    after = ""
    while rows := tx.snapshot.documents(SERVER, KEY_KIND, after=after, limit=_INDEX_ROWS):
        after = rows[-1][0]
        for _, body in rows:
            for kind, index_id in _index(orjson.loads(body)):
                tx.put_document(SERVER, kind, index_id, b"")
    tx.put_document(SERVER, _SERVER_KIND, _INDEXED_ID, b"{}")


def key_info(stored: Stored, *, now_ms: int, last_used_at_ms: int | None) -> KeyInfo:
    """A key as it is shown."""
    old = stored.get("old")
    until_ms = old["untilMs"] if old else None
    return KeyInfo(
        id=stored["id"],
        name=stored["name"],
        permissions=tuple(stored["permissions"]),
        created_at_ms=stored["createdAtMs"],
        expires_at_ms=stored["expiresAtMs"],
        prefix=stored["prefix"],
        last_four=stored["lastFour"],
        tenant_id=stored.get("tenantId"),
        rotated_at_ms=stored.get("rotatedAtMs"),
        old_secret_until_ms=until_ms if until_ms is not None and until_ms > now_ms else None,
        last_used_at_ms=last_used_at_ms,
    )


def key_event(stored: Stored) -> dict[str, Any]:
    """A key as the audit log shows it: nothing of its secret."""
    expires_at_ms = stored["expiresAtMs"]
    return {
        "id": stored["id"],
        "name": stored["name"],
        "permissions": stored["permissions"],
        "tenantId": stored.get("tenantId"),
        "expiresAt": None if expires_at_ms is None else format_time(expires_at_ms),
    }


def _index(document: Stored) -> list[tuple[str, str]]:
    """(kind, id) of a key's index documents; the root key has none."""
    application, tenant_id = document["application"], document.get("tenantId")
    if application is None:
        return []
    places = [_place(application, None)]
    if tenant_id is not None:
        places.append(_place(application, tenant_id))
    return [(kind, prefix + document["id"]) for kind, prefix in places]


def _place(application: int, tenant_id: str | None) -> tuple[str, str]:
    """The kind of index document, and what the ids of those wanted begin with."""
    if tenant_id is None:
        return _OF_APPLICATION_KIND, f"{application:08x}/"
    # Document ids are short; those of tenants need not be.
    digest = hashlib.sha256(tenant_id.encode("utf-8", "surrogatepass")).hexdigest()[:32]
    return _OF_TENANT_KIND, f"{application:08x}/{digest}/"

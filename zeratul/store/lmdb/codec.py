"""Byte layouts of the tables: every key and value, big-endian, so that key order is value order.

A row is ``key ‖ other ‖ created``: the key says one end, the slot and the subject slot, the value
names the other end. The second field of a key is ``slot << 8 | kind`` (in ``reverse``: subject
slot), so rows that carry attributes stand beside the plain ones without hiding among them.
"""

from __future__ import annotations

import struct
from array import array
from dataclasses import dataclass
from hashlib import blake2b
from typing import TYPE_CHECKING, Any

import numpy as np
from pyroaring import BitMap

from zeratul.store.interface import CHANGE_FIELDS, ChangeSet

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from numpy.typing import NDArray

FORMAT_VERSION = 1

PLAIN = 0  # kind: nothing but the row itself
ATTRIBUTED = 1  # kind: has an entry in ``attributes``

SLOT_MAX = 0xFF_FFFF
APPLICATION_MAX = 0xFFFF_FFFF
REVISION_MAX = 0xFFFF_FFFF_FFFF

U32 = struct.Struct(">I")
U64 = struct.Struct(">Q")
KEY = struct.Struct(">III")
pack_u32 = U32.pack
pack_u64 = U64.pack
pack_key = KEY.pack

KEY_SIZE = KEY.size
ROW_VALUE_SIZE = 10  # other u32 ‖ created u48
BURIED_VALUE_SIZE = 16  # other u32 ‖ created u48 ‖ deleted u48
ROW_SIZE = KEY_SIZE + ROW_VALUE_SIZE

# What ``getmulti(keyfixed=True)`` returns: key ‖ value, packed.
ROW_RECORD = np.dtype(
    {
        "names": ["first", "second", "third", "node", "created_high", "created_low"],
        "formats": [">u4", ">u4", ">u4", ">u4", ">u2", ">u4"],
        "offsets": [0, 4, 8, 12, 16, 18],
        "itemsize": ROW_SIZE,
    }
)
# The same of ``led``: (subject slot, slot) -> a userset that was ever named there.
LED_RECORD = np.dtype([("subject_slot", ">u4"), ("slot", ">u4"), ("node", ">u4")])
BURIED_RECORD = np.dtype(
    {
        "names": [
            *("first", "second", "third", "node", "created_high", "created_low"),
            *("deleted_high", "deleted_low"),
        ],
        "formats": [">u4", ">u4", ">u4", ">u4", ">u2", ">u4", ">u2", ">u4"],
        "offsets": [0, 4, 8, 12, 16, 18, 22, 24],
        "itemsize": KEY_SIZE + BURIED_VALUE_SIZE,
    }
)
CHANGE_RECORD = np.dtype(CHANGE_FIELDS)
GONE, THERE = 0, 1  # ``op`` of a change
pack_change = struct.Struct(">BIIIIB").pack

nodes_of_records = struct.Struct(f">{KEY_SIZE}xI{ROW_VALUE_SIZE - 4}x").iter_unpack

_ONE = array("I", [0])

# Below this numpy's fixed cost is more than a loop's.
_FEW_BYTES = 64 * ROW_SIZE


def pack_u48(number: int) -> bytes:
    """Six bytes, for revisions in rows."""
    return number.to_bytes(6, "big")


def unpack_u48(data: bytes) -> int:
    """Inverse of ``pack_u48``."""
    return int.from_bytes(data, "big")


def bitmap_of_records(records: memoryview | bytes) -> BitMap:
    """The other ends named by packed rows (key ‖ value)."""
    if len(records) <= _FEW_BYTES:
        if not records:
            return BitMap()
        return BitMap([node for (node,) in nodes_of_records(records)])
    return bitmap_of_array(np.frombuffer(records, ROW_RECORD)["node"])


def bitmap_of_array(nodes: NDArray[Any]) -> BitMap:
    """A bitmap of numpy integers; by way of ``array``, which pyroaring reads in one piece."""
    numbers = _ONE * len(nodes)
    values = np.frombuffer(numbers, np.uint32)
    values[:] = nodes
    if (values[1:] < values[:-1]).any():
        # The rows of many keys: a bitmap that grows at its end alone is made much faster.
        values.sort()
    return BitMap(numbers)


def keys_of(first: NDArray[Any] | int, second: int, third: int, count: int) -> list[bytes]:
    """Row keys that differ in their first field, in its order."""
    fields = np.empty((count, 3), ">u4")
    fields[:, 0] = first
    fields[:, 1] = second
    fields[:, 2] = third
    keys: list[bytes] = fields.view(f"V{KEY_SIZE}").ravel().tolist()
    return keys


def pack_columns(*fields: NDArray[Any]) -> list[bytes]:
    """Rows of big-endian u32 columns, each as bytes."""
    table = np.empty((len(fields[0]), len(fields)), ">u4")
    for position, field in enumerate(fields):
        table[:, position] = field
    packed: list[bytes] = table.view(f"V{4 * len(fields)}").ravel().tolist()
    return packed


ROW_VALUE = np.dtype([("node", ">u4"), ("created", "V6")])
_BURIED_VALUE = np.dtype([*ROW_VALUE.descr, ("deleted", "V6")])


def pack_values(
    nodes: NDArray[Any], created: NDArray[Any] | np.void, deleted: np.void | None = None
) -> list[bytes]:
    """Values of rows, or with the revision that ended them of tombstones."""
    values = np.empty(len(nodes), ROW_VALUE if deleted is None else _BURIED_VALUE)
    values["node"], values["created"] = nodes, created
    if deleted is not None:
        values["deleted"] = deleted
    packed: list[bytes] = values.view(f"V{values.itemsize}").tolist()
    return packed


def pack_change_columns(op: int, fields: NDArray[Any]) -> bytes:
    """Changes of plain rows given as columns."""
    changes = np.empty(fields.shape[1], CHANGE_RECORD)
    changes["op"], changes["attributed"] = op, PLAIN
    changes["resource"], changes["slot"], changes["subject_slot"], changes["subject"] = fields
    return changes.tobytes()


# Names and other texts in keys: LMDB takes at most 511 bytes.

BOUNDED_KEY_SIZE_MAX = 511
_DIGEST_SIZE = 32


def bounded(full: bytes) -> bytes:
    """A key LMDB takes: the text itself, or its start and a digest.

    INVARIANT: only digested keys are exactly ``BOUNDED_KEY_SIZE_MAX`` long, so no short text can
    be mistaken for a long one; who reads one verifies it against the full text stored elsewhere.
    """
    if len(full) < BOUNDED_KEY_SIZE_MAX:
        return full
    digest = blake2b(full, digest_size=_DIGEST_SIZE).digest()
    return full[: BOUNDED_KEY_SIZE_MAX - _DIGEST_SIZE] + digest


def bounded_all(names: Sequence[bytes]) -> Sequence[bytes]:
    """``bounded`` of each."""
    if all(map(BOUNDED_KEY_SIZE_MAX.__gt__, map(len, names))):
        return names
    return [bounded(name) for name in names]


def name_of(type_slot: int, object_id: str) -> bytes:
    """The full name of a node: what ``nodes`` holds and, bounded, the key in ``names``."""
    return pack_u32(type_slot) + object_id.encode()


def slot_name(application: int, type_name: str, relation: str) -> bytes:
    """The full name of a slot. No type name holds a NUL."""
    return pack_u32(application) + type_name.encode() + b"\x00" + relation.encode()


def split_slot_name(name: bytes) -> tuple[int, str, str]:
    """Inverse of ``slot_name``: application, type, relation."""
    type_name, _, relation = name[4:].partition(b"\x00")
    return U32.unpack_from(name)[0], type_name.decode(), relation.decode()


def documents_prefix(application: int, kind: str) -> bytes:
    """What the keys of all documents of a kind begin with."""
    return pack_u32(application) + kind.encode() + b"\x00"


_ID_SIZE = struct.Struct(">H")


def pack_document(document_id: str, body: bytes, *, long: bool) -> bytes:
    """A document with its id in front where the key holds only a digest of it."""
    name = document_id.encode() if long else b""
    return _ID_SIZE.pack(len(name)) + name + body


def unpack_document(value: bytes) -> tuple[str, bytes]:
    """Inverse of ``pack_document``; the id is empty where the key holds it."""
    end = _ID_SIZE.size + _ID_SIZE.unpack_from(value)[0]
    return value[_ID_SIZE.size : end].decode(), value[end:]


def answer_key(application: int, key: bytes) -> bytes:
    """Where a remembered answer stands. A digest, because callers choose the key's length."""
    return pack_u32(application) + blake2b(key, digest_size=_DIGEST_SIZE).digest()


# Attributes: a byte of flags says which fields follow, so a condition and its context can join.

_HAS_EXPIRY = 1
_ATTRIBUTES = struct.Struct(">BQ")


def pack_attributes(expires_at_ms: int) -> bytes:
    """What ``attributes`` holds for a row."""
    return _ATTRIBUTES.pack(_HAS_EXPIRY, expires_at_ms)


def unpack_expiry(value: bytes) -> int:
    """When the row of an ``attributes`` value expires."""
    flags, expires_at_ms = _ATTRIBUTES.unpack_from(value)
    if not flags & _HAS_EXPIRY:
        raise ValueError(f"attributes with flags {flags}")
    return int(expires_at_ms)


# Audit events: application ‖ revision ‖ sequence within the commit.

_EVENT_KEY = struct.Struct(">IQI")


def event_key(application: int, revision: int, sequence: int) -> bytes:
    """Where an audit event stands; behind the application it is the event's position."""
    return _EVENT_KEY.pack(application, revision, sequence)


def event_revision(key: bytes) -> int:
    """The revision of an event's key."""
    return int(_EVENT_KEY.unpack(key)[1])


# Changes: rows, the applications that recorded audit events, documents.

CHANGE_ROWS_PER_PART = 4_096  # LIMIT: 72 KB a value; a reader of changes holds one part at a time.
_CHANGE_KEY = struct.Struct(">QI")
_DOCUMENT_HEAD = struct.Struct(">IHH")
_RECORDED = 0xFFFF  # in place of a kind's size: the application has audit events


def change_key(revision: int, part: int) -> bytes:
    """Key of one part of a commit's changes."""
    return _CHANGE_KEY.pack(revision, part)


def change_revision(key: bytes) -> int:
    """The revision of a change key."""
    return int(_CHANGE_KEY.unpack(key)[0])


def pack_changes(
    rows: bytes, documents: Sequence[tuple[int, str, str]], recorded: Iterable[int] = ()
) -> bytes:
    """One part: the rows as they are, the applications with audit events, the documents."""
    pieces = [pack_u32(len(rows) // CHANGE_RECORD.itemsize), rows]
    pieces += (_DOCUMENT_HEAD.pack(application, _RECORDED, 0) for application in recorded)
    for application, kind, document_id in documents:
        kind_bytes, id_bytes = kind.encode(), document_id.encode()
        pieces.append(_DOCUMENT_HEAD.pack(application, len(kind_bytes), len(id_bytes)))
        pieces += (kind_bytes, id_bytes)
    return b"".join(pieces)


def unpack_changes(revision: int, value: bytes) -> ChangeSet:
    """Inverse of ``pack_changes``."""
    position = U32.size + U32.unpack_from(value)[0] * CHANGE_RECORD.itemsize
    rows = value[U32.size : position]
    documents = []
    while position < len(value):
        application, kind_size, id_size = _DOCUMENT_HEAD.unpack_from(value, position)
        position += _DOCUMENT_HEAD.size
        if kind_size == _RECORDED:
            continue
        middle, end = position + kind_size, position + kind_size + id_size
        documents.append(
            (application, value[position:middle].decode(), value[middle:end].decode())
        )
        position = end
    return ChangeSet(revision, rows, documents)


def unpack_recorded(value: bytes) -> list[int]:
    """The applications for which the commit of a part of changes recorded audit events."""
    recorded = []
    position = U32.size + U32.unpack_from(value)[0] * CHANGE_RECORD.itemsize
    while position < len(value):
        application, kind_size, _ = _DOCUMENT_HEAD.unpack_from(value, position)
        if kind_size != _RECORDED:
            break
        recorded.append(application)
        position += _DOCUMENT_HEAD.size
    return recorded


# The store's counters: one record, because every snapshot reads it.

_STATE = struct.Struct(">QQIIIQ")
unpack_state = _STATE.unpack  # a plain tuple in the order of ``Counters``


@dataclass(slots=True)
class Counters:
    """The store's counters as of a commit, or while a transaction changes them.

    Attributes:
        head: newest revision.
        oldest: oldest revision that can still be read.
        next_node, next_slot, next_application: first numbers never given.
        marks: how many (slot, subject slot) pairs ever held attributed rows.
    """

    head: int = 0
    oldest: int = 0
    next_node: int = 1
    next_slot: int = 1
    next_application: int = 1
    marks: int = 0

    def pack(self) -> bytes:
        """The record."""
        return _STATE.pack(
            self.head,
            self.oldest,
            self.next_node,
            self.next_slot,
            self.next_application,
            self.marks,
        )

"""Names and their numbers in one snapshot."""

from __future__ import annotations

from itertools import islice
from typing import TYPE_CHECKING, Any

import numpy as np

from zeratul.errors import StoreError
from zeratul.store.lmdb.codec import (
    BOUNDED_KEY_SIZE_MAX,
    U32,
    bounded,
    bounded_all,
    name_of,
    pack_u32,
)
from zeratul.store.lmdb.environment import read_counters
from zeratul.store.lmdb.failures import translated
from zeratul.store.lmdb.scans import Scans

if TYPE_CHECKING:
    from collections.abc import Sequence

    import lmdb
    from numpy.typing import NDArray

    from zeratul.store.lmdb.known_names import KnownNames

_SLOT_OVERHEAD = 4  # type slot in front of an id in ``nodes``

# LIMIT: at least so many nodes are read as one run from the first to the last, if at most so many
# times as many stand between these: a step costs half of a seek.
RUN_NODES_MIN = 16
RUN_SPAN_MAX = 1.5
# LIMIT: texts of fewer ids are not kept: they are read as quickly.
TEXT_NODES_MIN = 32


class Names(Scans):
    """Nodes by name, and names by node."""

    __slots__ = ("_known", "_next_node")

    # What this process remembers; None for a snapshot that sees what no commit made yet, because
    # it may come to nothing. Numbers from the second on had no name when the snapshot was opened.
    _known: KnownNames | None
    _next_node: int

    def node(self, type_slot: int, object_id: str) -> int | None:
        """The node of a name, or None where no commit interned it."""
        if self._known is not None:
            node = self._known.find((type_slot, object_id))
            if node is not None and node < self._next_node:
                return node
        return self._stored_node(type_slot, object_id)

    @translated
    def _stored_node(self, type_slot: int, object_id: str) -> int | None:
        name = name_of(type_slot, object_id)
        value = self._transaction.get(bounded(name), db=self._tables.names)
        if value is None:
            return None
        node = self._verified(name, value)
        if self._known is not None:
            self._known.keep((type_slot, object_id), node)
        return node

    @translated
    def nodes(self, names: Sequence[tuple[int, str]]) -> list[int | None]:
        """Nodes of many (type slot, id), in their order."""
        known = self._known
        if known is None:
            return [self._stored_node(*name) for name in names]
        nodes: list[int | None] = list(map(known.find, names))
        next_node = self._next_node
        missing = [index for index, node in enumerate(nodes) if node is None or node >= next_node]
        if missing:
            full_names = [name_of(*names[index]) for index in missing]
            stored = self.nodes_of(full_names)
            for index, full_name in zip(missing, full_names, strict=True):
                node = nodes[index] = stored.get(full_name)
                if node is not None:
                    known.keep(names[index], node)
        return nodes

    def nodes_of(self, full_names: Sequence[bytes]) -> dict[bytes, int]:
        """Node by full name, of those that have one."""
        # Neighbours share pages. It costs next to nothing where they come in order.
        ordered = sorted(full_names)
        keys = bounded_all(ordered)
        cursor = self._transaction.cursor(self._tables.names)
        found = cursor.getmulti(keys)
        if keys is not ordered:
            names = dict(zip(keys, ordered, strict=True))
            return {names[key]: self._verified(names[key], value) for key, value in found}
        # No digest among them: every key is the name itself.
        numbers = np.frombuffer(b"".join([value for _, value in found]), ">u4").tolist()
        return dict(zip([key for key, _ in found], numbers, strict=True))

    def _verified(self, name: bytes, value: bytes) -> int:
        """The node, after a look whether a digested key stands for this very name."""
        if (
            len(name) >= BOUNDED_KEY_SIZE_MAX
            and self._transaction.get(value, db=self._tables.nodes) != name
        ):
            raise StoreError("the digest of a long name is another name's", reason="corrupted")
        return int(U32.unpack(value)[0])

    @translated
    def names(self, nodes: Sequence[int]) -> list[tuple[int, str]]:
        """(type slot, id) of many nodes, in their order."""
        return [
            (U32.unpack_from(name)[0], name[_SLOT_OVERHEAD:].decode())
            for name in self._full_names(nodes)
        ]

    @translated
    def ids(self, nodes: Sequence[int]) -> list[str]:
        """Only the ids, in their order."""
        return [str(name[_SLOT_OVERHEAD:], "utf-8") for name in self._full_names(nodes)]

    def id_texts(self, type_slot: int, nodes: Sequence[int], *, keep: bool = False) -> bytes:
        """Only the ids of nodes of one type, in their order, as UTF-8 with a NUL between two."""
        known = self._known
        if not keep or known is None or len(nodes) < TEXT_NODES_MIN:
            return self._id_texts(type_slot, nodes)
        key = pack_u32(type_slot) + np.asarray(nodes, np.uint32).tobytes()
        texts = known.texts.find(key)
        if texts is None:
            texts = self._id_texts(type_slot, nodes)
            known.texts.keep(key, texts)
        return texts

    @translated
    def _id_texts(self, type_slot: int, nodes: Sequence[int]) -> bytes:
        names = self._full_names(nodes)
        # A slot has 24 bits, so what stands in front of each id begins with a NUL and no id has
        # one: this finds these places and no others, as long as all are of the type.
        texts = b"".join(names).replace(pack_u32(type_slot), b"\x00")
        if texts.count(b"\x00") != len(names):
            raise StoreError("a node is of another type", reason="corrupted")
        return texts[1:]

    def _full_names(self, nodes: Sequence[int]) -> list[bytes]:
        numbers = np.asarray(nodes, np.uint32)
        keys: list[bytes] = numbers.astype(">u4").view("V4").tolist()
        with self._transaction.cursor(self._tables.nodes) as cursor:
            if len(keys) >= RUN_NODES_MIN:
                names = _run(cursor, numbers, keys)
                if names is not None:
                    return names
            found = [name for name in map(cursor.get, keys) if name is not None]
        if len(found) != len(keys):
            raise StoreError("a node has no name", reason="corrupted")
        return found

    def next_node(self) -> int:
        """First node that no name has yet."""
        return read_counters(self._transaction, self._tables).next_node


def _run(cursor: lmdb.Cursor[bytes], nodes: NDArray[Any], keys: list[bytes]) -> list[bytes] | None:
    """Values of ascending nodes, read one after the other; None where that is no quick way."""
    first, last = int(nodes[0]), int(nodes[-1])
    span = last - first + 1
    if not 0 < span <= RUN_SPAN_MAX * len(nodes) or not (nodes[1:] > nodes[:-1]).all():
        return None
    if not cursor.set_key(keys[0]):
        return None
    run = list(islice(cursor.iternext(keys=False, values=True), span))
    if cursor.key() != keys[-1]:
        return None  # a node between them is no more
    return run if span == len(nodes) else list(map(run.__getitem__, (nodes - first).tolist()))

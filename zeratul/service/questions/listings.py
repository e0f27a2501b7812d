"""Computed lists in numbers: what stands at their head, parts of them, and a memory of them.

A list has a head of a few rows (the wildcard's, or one for each place where a role gives it) and
then nodes in their order. A *position* counts rows of the head; behind the head it is the number
of its rows plus the last node, so it stays what it is however the list was come by.
"""

from __future__ import annotations

from collections import OrderedDict
from threading import Lock
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from pyroaring import BitMap

from zeratul.domain.paths import STAR
from zeratul.domain.relationship import WILDCARD
from zeratul.domain.scopes import parse_scope
from zeratul.domain.vocabulary import SELF
from zeratul.service.ground.blocks import VIA_ORDER

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from numpy.typing import NDArray

    from zeratul.dispatch.view import View
    from zeratul.graph.answers import ResourceAnswer, Via

ListingKey = tuple[bytes, int, int]
"""Which list, the revision and the time it is as of."""

# LIMIT: pages that are read ahead, and the names of one: 4 MB in one process.
AHEAD_MAX = 16
AHEAD_BYTES_MAX = 256 * 1024
# Roughly what a place takes in memory besides its text.
_PLACE_BYTES = 128


class Place(NamedTuple):
    """Where a role gives it: ``*`` for all of a type, or a path below it, and the ways."""

    id: str
    ways: tuple[str, ...]


class Listing(NamedTuple):
    """A computed list: nodes of one type; ``wildcard_via`` is None without a wildcard row."""

    type_slot: int
    nodes: BitMap
    via: Mapping[Via, BitMap]
    wildcard_via: tuple[str, ...] | None
    exceptions: BitMap
    places: tuple[Place, ...] = ()

    @property
    def head(self) -> int:
        """How many rows stand before the nodes."""
        return len(self.places) + (self.wildcard_via is not None)

    @property
    def total(self) -> int:
        """How many rows."""
        return len(self.nodes) + self.head

    def size_bytes(self) -> int:
        """Roughly what it takes in memory."""
        bitmaps = (self.nodes, self.exceptions, *self.via.values())
        places = sum(len(place.id) + _PLACE_BYTES for place in self.places)
        return sum(_size_bytes(bitmap) for bitmap in bitmaps) + places


class Slice(NamedTuple):
    """Some rows of a list: those of its head, then nodes with their ways.

    Attributes:
        head: numbers of rows of the head.
        nodes: ascending.
        ways: by which ways each node is reached, a byte each: an index into ``WAYS``.
        last: position behind them; None at the end of the list.
    """

    head: range
    nodes: Sequence[int]
    ways: bytes
    last: int | None


class RecentListings:
    """The lists of the last few cursors, within a limit of memory."""

    def __init__(self, bytes_max: int) -> None:
        self._bytes_max = bytes_max
        self._bytes = 0
        self._lock = Lock()
        self._kept: OrderedDict[ListingKey, tuple[Listing, int]] = OrderedDict()

    def get(self, key: ListingKey) -> Listing | None:
        """The list, if it is still there."""
        with self._lock:
            found = self._kept.get(key)
            if found is None:
                return None
            self._kept.move_to_end(key)
            return found[0]

    def keep(self, key: ListingKey, listing: Listing) -> None:
        """Keep a list, unless it alone is too large; the ones not used for longest make room."""
        with self._lock:
            if key in self._kept:
                return
            size = listing.size_bytes()
            if size > self._bytes_max:
                return
            self._kept[key] = (listing, size)
            self._bytes += size
            while self._bytes > self._bytes_max:
                _, (_, dropped) = self._kept.popitem(last=False)
                self._bytes -= dropped


class RowsAhead:
    """Slices with their names, read before they are asked for; each is given away once.

    Nothing in them can grow old: a list is as of one revision, and names never change.
    """

    def __init__(self) -> None:
        self._lock = Lock()
        self._kept: OrderedDict[tuple[ListingKey, int, int], tuple[Slice, bytes]] = OrderedDict()

    def take(self, place: tuple[ListingKey, int, int]) -> tuple[Slice, bytes] | None:
        """What was read of a list behind a position, if so many rows were."""
        with self._lock:
            return self._kept.pop(place, None)

    def keep(self, place: tuple[ListingKey, int, int], rows: Slice, ids: bytes) -> None:
        """Keep it for a while, unless it is very large."""
        if len(ids) > AHEAD_BYTES_MAX:
            return
        with self._lock:
            self._kept[place] = (rows, ids)
            if len(self._kept) > AHEAD_MAX:
                self._kept.popitem(last=False)


def resources_listing(view: View, type_name: str, answer: ResourceAnswer) -> Listing:
    """The list of resources: places of roles first, each resource that is one in its place."""
    type_slot = view.vocabulary.slots[type_name, SELF]
    if not answer.scopes:
        return Listing(type_slot, answer.nodes, answer.via, None, BitMap())
    ids = sorted({_place_id(scope_id) for scope_id in answer.scopes})
    literal = [each for each in ids if not _is_pattern(each)]
    found = view.snapshot.nodes([(type_slot, each) for each in literal])
    # INVARIANT: a name may be interned between two pages, so it must not matter whether it is:
    # what counts is whether the node is in the answer, which is as of one revision.
    nodes = {
        each: node
        for each, node in zip(literal, found, strict=True)
        if node is not None and node in answer.nodes
    }
    placed = BitMap(nodes.values())
    role: Via = "role"
    places = tuple(
        Place(
            each,
            tuple(
                kind
                for kind in VIA_ORDER
                if kind == role
                or (each in nodes and kind in answer.via and nodes[each] in answer.via[kind])
            ),
        )
        for each in sorted(ids, key=lambda each: (each != WILDCARD, each))
    )
    via = {kind: part - placed for kind, part in answer.via.items()}
    return Listing(type_slot, answer.nodes - placed, via, None, BitMap(), places)


def _place_id(scope_id: str) -> str:
    """What a scope stands for among the ids of a type: ``*``, or a path."""
    rest = parse_scope(scope_id).path[1:]
    return WILDCARD if rest in ((), (STAR,)) else "/".join(rest)


def _is_pattern(place_id: str) -> bool:
    return any(part == STAR for segment in place_id.split("/") for part in segment.split(":"))


def cut_out(listing: Listing, after: int, size: int) -> Slice:
    """At most ``size`` rows behind position ``after`` (0: from the start)."""
    head = range(min(after, listing.head), min(after + size, listing.head))
    behind = after - listing.head
    begin = listing.nodes.rank(behind) if behind > 0 else 0
    chosen = listing.nodes[begin : begin + size - len(head)]
    nodes = chosen.to_array()
    if head.stop >= listing.head and begin + len(nodes) >= len(listing.nodes):
        last = None
    elif nodes:
        last = listing.head + nodes[-1]
    else:
        last = head.stop
    return Slice(head, nodes, _ways(listing.via, chosen, nodes), last)


def _ways(via: Mapping[Via, BitMap], chosen: BitMap, nodes: Sequence[int]) -> bytes:
    """The kinds of way each node is reached by, as indexes into ``WAYS``."""
    masks = np.zeros(len(nodes), np.uint8)
    for bit, kind in enumerate(VIA_ORDER):
        reached = via.get(kind)
        common = reached & chosen if reached else None
        if not common:
            continue
        if len(common) == len(nodes):
            masks |= 1 << bit
        else:
            # Both ascend, and what is in the one is in the other.
            masks[np.searchsorted(_array(nodes), _array(common.to_array()))] |= 1 << bit
    return masks.tobytes()


def _array(nodes: Sequence[int]) -> NDArray[Any]:
    return np.asarray(nodes, np.uint32)


def _size_bytes(bitmap: BitMap) -> int:
    statistics: Mapping[str, Any] = bitmap.get_statistics()
    return sum(value for name, value in statistics.items() if name.startswith("n_bytes_"))

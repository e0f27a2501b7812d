"""Numbers of names, and names of numbers, that were looked up lately, in one process.

A name never changes its number and a number is never used again, so what was committed once stays
true: nothing has to be invalidated. Names that no commit knows are not kept: they may get a number
at any time.
"""

from __future__ import annotations

from collections import OrderedDict
from threading import Lock

# LIMIT: about 350 bytes each, so 23 MB a process; the oldest makes room.
NAMES_MAX = 65_536
# LIMIT: longer ids are rare and would need more room than that.
ID_LENGTH_MAX = 64
# LIMIT: memory for texts of lists in a process, about a million short names.
TEXTS_BYTES_MAX = 16 * 1024 * 1024

Name = tuple[int, str]
"""Type slot and id; a type slot belongs to one application."""


class KnownTexts:
    """Ids of whole parts of lists as one text each, by their nodes; threads may share it.

    Most lists are asked for again as they were, or longer by new nodes at their end. To keep an
    entry for each name would take ten times the memory, and longer than to read them.
    """

    __slots__ = ("_bytes", "_lock", "_texts")

    def __init__(self) -> None:
        self._lock = Lock()
        self._texts: OrderedDict[bytes, bytes] = OrderedDict()
        self._bytes = 0

    def find(self, nodes: bytes) -> bytes | None:
        """The text that was kept, if it still is."""
        with self._lock:
            found = self._texts.get(nodes)
            if found is not None:
                self._texts.move_to_end(nodes)
            return found

    def keep(self, nodes: bytes, text: bytes) -> None:
        """Keep a text; those not used for longest make room."""
        with self._lock:
            if nodes in self._texts:
                return
            self._texts[nodes] = text
            self._bytes += len(nodes) + len(text)
            while self._bytes > TEXTS_BYTES_MAX:
                dropped, text = self._texts.popitem(last=False)
                self._bytes -= len(dropped) + len(text)


class KnownNames:
    """Name -> node. Threads may share it: each step is one call into the dictionary.

    Attributes:
        find: the number of a name, or None where it is not known here.
        texts: names of parts of lists.
    """

    __slots__ = ("_nodes", "find", "texts")

    def __init__(self) -> None:
        self.texts = KnownTexts()
        self._nodes: OrderedDict[Name, int] = OrderedDict()
        self.find = self._nodes.get

    def keep(self, name: Name, node: int) -> None:
        """Keep the number that a commit gave to a name."""
        if len(name[1]) <= ID_LENGTH_MAX:
            self._nodes[name] = node
            if len(self._nodes) > NAMES_MAX:
                self._nodes.popitem(last=False)

"""Numbers of names that were looked up lately, in one process.

A name never changes its number and a number is never used again, so what was committed once stays
true: nothing has to be invalidated. Names that no commit knows are not kept: they may get a number
at any time.
"""

from __future__ import annotations

from collections import OrderedDict

# LIMIT: about 350 bytes each, so 12 MB a process; the oldest makes room.
NAMES_MAX = 32_768
# LIMIT: longer ids are rare and would need more room than that.
ID_LENGTH_MAX = 64

Name = tuple[int, str]
"""Type slot and id; a type slot belongs to one application."""


class KnownNames:
    """Name -> node. Threads may share it: each step is one call into the dictionary.

    Attributes:
        find: the number of a name, or None where it is not known here.
    """

    __slots__ = ("_nodes", "find")

    def __init__(self) -> None:
        self._nodes: OrderedDict[Name, int] = OrderedDict()
        self.find = self._nodes.get

    def keep(self, name: Name, node: int) -> None:
        """Keep the number that a commit gave to a name."""
        if len(name[1]) <= ID_LENGTH_MAX:
            self._nodes[name] = node
            if len(self._nodes) > NAMES_MAX:
                self._nodes.popitem(last=False)

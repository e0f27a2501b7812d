"""Sets of subjects of one form: explicit nodes, and possibly everybody but some.

A wildcard stands for all subjects of its type, stored or not, so a set is finite or cofinite. The
explicit part is kept beside the wildcard: who was named is listed by name even where everybody is
    in.
"""

from __future__ import annotations

from typing import NamedTuple

from pyroaring import BitMap


class SubjectSet(NamedTuple):
    """``nodes`` plus, with ``wildcard``, every subject that is not in ``exceptions``.

    INVARIANT: ``exceptions`` is empty without a wildcard and shares nothing with ``nodes``.
    """

    nodes: BitMap
    wildcard: bool
    exceptions: BitMap

    def __or__(self, other: SubjectSet) -> SubjectSet:
        nodes = self.nodes | other.nodes
        if self.wildcard and other.wildcard:
            exceptions = self.exceptions & other.exceptions
        else:
            exceptions = self.exceptions | other.exceptions
        return SubjectSet(nodes, self.wildcard or other.wildcard, exceptions - nodes)

    def __and__(self, other: SubjectSet) -> SubjectSet:
        nodes = self.nodes & other.nodes
        if other.wildcard:
            nodes |= self.nodes - other.exceptions
        if self.wildcard:
            nodes |= other.nodes - self.exceptions
        if not (self.wildcard and other.wildcard):
            return only(nodes)
        return all_but((self.exceptions | other.exceptions) - nodes, nodes)

    def __sub__(self, other: SubjectSet) -> SubjectSet:
        if other.wildcard:
            # Left over: who is in self and an exception of the other.
            spared = other.exceptions - other.nodes
            nodes = self.nodes & spared
            if self.wildcard:
                nodes |= spared - self.exceptions
            return only(nodes)
        nodes = self.nodes - other.nodes
        if not self.wildcard:
            return only(nodes)
        return all_but((self.exceptions | other.nodes) - nodes, nodes)

    def same(self, other: SubjectSet) -> bool:
        """Whether both hold the same parts."""
        return (
            self.wildcard == other.wildcard
            and self.nodes == other.nodes
            and self.exceptions == other.exceptions
        )


_NONE = BitMap()


def only(nodes: BitMap) -> SubjectSet:
    """Just these."""
    return SubjectSet(nodes, wildcard=False, exceptions=_NONE)


def all_but(exceptions: BitMap, nodes: BitMap) -> SubjectSet:
    """Everybody but ``exceptions``, with ``nodes`` known by name."""
    return SubjectSet(nodes, wildcard=True, exceptions=exceptions)


NOBODY = only(_NONE)
EVERYBODY = all_but(_NONE, _NONE)

"""What an evaluation may ask for: a closed set of batched reads.

Theory of operation: an evaluation is one generator. It yields ``(read, keys)`` and is sent the
answers in the keys' order; it returns its outcome. In one round it asks at most once for each kind
of read, for all of its frontier. Drivers (``zeratul.dispatch.driver``) are a few lines.

Keys and answers are those of ``zeratul.store.interface.Snapshot``, in numbers:

    HAS               (resource, slot, subject slot, subject)   -> bool
    SUBJECTS          (resource, slot, subject slot)            -> bitmap of subjects
    RESOURCES         (subject, subject slot, slot)             -> bitmap of resources
    MEETS             (resource, slot, subject slot, bitmap)    -> one common node, or None
    SUBJECTS_OF_ALL   (bitmap of resources, slot, subject slot) -> bitmap of subjects
    RESOURCES_OF_ALL  (bitmap of subjects, subject slot, slot)  -> bitmap of resources
    SUBJECT_COUNTS    (resource, slot, subject slot)            -> upper bound of their number
    CLOSURE           one (subject, whether it must be answered), not a list
                      -> ``Closure``, or None where it need not be and would be large
    CLOSURES          subject                                   -> the same, for who need not be
                                                                   answered
    WALKED            subject, told and not asked: rows are followed although its closure is known

About roles (``graph.roles``), which no overlay changes:

    SCOPES            id of a scope                             -> its node, or None where unknown
    GRANTS_ON         node of a scope                           -> bitmap of its grants
    CARRYING          (permission, bitmap of grants)            -> bitmap of those whose role
                                                                   gives the permission
    GRANTS            node of a grant                           -> ``domain.scopes.Grant``
"""

from __future__ import annotations

from collections.abc import Generator
from typing import TYPE_CHECKING, Any, NamedTuple, TypeAlias, TypeVar

from zeratul.errors import LimitError

if TYPE_CHECKING:
    from pyroaring import BitMap

HAS, SUBJECTS, RESOURCES, MEETS, SUBJECTS_OF_ALL, RESOURCES_OF_ALL, SUBJECT_COUNTS = range(7)
CLOSURE, CLOSURES, WALKED = range(7, 10)
SCOPES, GRANTS_ON, CARRYING, GRANTS = range(10, 14)

Answer = TypeVar("Answer")
Request: TypeAlias = tuple[int, Any]
Evaluation: TypeAlias = Generator[Request, Any, Answer]


class Subject(NamedTuple):
    """Who is asked about, in numbers.

    Attributes:
        node: the object's node (or one of the request's own where no commit interned it).
        slot: (type, "") for a plain subject, (type, relation) for a userset, (type, "*") wildcard.
        wildcard_node: node of the type's ``*`` for a plain subject, else None; matches too.
        wildcard_slot: slot (type, "*"), 0 without one.
    """

    node: int
    slot: int
    wildcard_node: int | None = None
    wildcard_slot: int = 0


class Closure(NamedTuple):
    """Usersets a subject is in.

    Attributes:
        sets: slot -> nodes; a slot without any is left out.
        wide: whether ``plan.containers`` are in it, besides ``plan.closable``.
    """

    sets: dict[int, BitMap]
    wide: bool


class Budget:
    """Counts adjacency reads (keys plus rows) and ends an evaluation that takes too many."""

    __slots__ = ("limit", "name", "reads")

    def __init__(self, limit: int, name: str) -> None:
        self.limit = limit
        self.name = name
        self.reads = 0

    def spend(self, reads: int) -> None:
        """Count reads.

        Raises:
            LimitError: the budget is used up; the evaluation has no outcome.
        """
        self.reads += reads
        if self.reads > self.limit:
            raise LimitError(
                self.name,
                self.limit,
                f"the question needs more than {self.limit:,} reads ({self.name})",
                help="ask about a narrower resource or subject, or raise the limit",
            )

"""What an answer rests on, and whether any of it was touched since.

Theory of operation: the outcome of an evaluation is a function of what it was answered, so an
answer stands while all of that does. An evaluation says itself what it asks for; noted of it are

- the resources whose rows it read: a committed row touches the resource that it is of;
- the subject whose closure it used: a closure stands while its memo does (``dispatch.memos``), a
  wide one only while a wide memo does: a narrow one in its place knows less of commits;
- roles and policies, names of grants, the schema: documents, whatever of the application changes.

Whatever else is asked for (scopes by their names, rows from the subject's side) leaves the answer
without a basis. So has it to be with names that no commit knows: one that interns them need not
touch anything noted here.
"""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING, TypeVar

import numpy as np

from zeratul.graph.requests import (
    CARRYING,
    CLOSURE,
    GRANTS,
    HAS,
    MEETS,
    SUBJECT_COUNTS,
    SUBJECTS,
    WALKED,
)
from zeratul.store.interface import CHANGE_FIELDS

if TYPE_CHECKING:
    from collections.abc import Sequence

    from zeratul.graph.requests import Evaluation, Request
    from zeratul.store.interface import ChangeSet

Answer = TypeVar("Answer")

Basis = tuple[int, ...]
"""Node and slot of the subject whose closure was used, and 1 if it was wide, or ``NOBODY``; then
nodes of resources."""

NOBODY = (-1, -1, 0)

CHANGE = np.dtype(CHANGE_FIELDS)
CHANGE_ROW = struct.Struct(">BIIIIB")
# LIMIT: below this a loop is faster than numpy's set-up.
LOOP_ROWS_MAX = 64
# LIMIT: an answer that rests on more resources is not worth their room; one that is inherited
# through ten folders rests on a dozen.
RESOURCES_MAX = 24
# LIMIT: keys of a request, some for each resource; and requests. They are held until the end.
KEYS_MAX = 8 * RESOURCES_MAX
ROUNDS_MAX = 4 * RESOURCES_MAX
# LIMIT: places of resources, 2 MB a process. Two in one place only make answers go too early.
PLACES = 1 << 18
# LIMIT: applications whose documents are told apart, deleted ones among them; one more ends all
# answers once.
APPLICATIONS_MAX = 10_000

_OF_RESOURCES = frozenset({HAS, MEETS, SUBJECTS, SUBJECT_COUNTS})
# Told, or answered by documents and by names that never change.
_OF_DOCUMENTS = frozenset({WALKED, CARRYING, GRANTS})


def noting(evaluation: Evaluation[Answer], requests: list[Request]) -> Evaluation[Answer]:
    """The evaluation, whose first requests are noted; one more than count at most.

    Of a closure is noted whether it is wide, not whether it had to be answered.
    """
    try:
        request = next(evaluation)
        while True:
            answers = yield request
            if len(requests) <= ROUNDS_MAX:
                kind, keys = request
                if kind == CLOSURE:
                    request = (kind, (keys[0], answers is not None and answers.wide))
                requests.append(request)
            request = evaluation.send(answers)
    except StopIteration as stop:
        answer: Answer = stop.value
        return answer


def basis_of(requests: Sequence[Request]) -> Basis | None:
    """What answers to these requests rest on, as ``noting`` has them; None if untold, or much."""
    if len(requests) > ROUNDS_MAX:
        return None
    subject = NOBODY
    resources: set[int] = set()
    for kind, keys in requests:
        if kind in _OF_RESOURCES:
            if len(keys) > KEYS_MAX:
                return None
            resources.update([key[0] for key in keys])
        elif kind == CLOSURE:
            (node, slot, *_), wide = keys
            if subject != NOBODY and subject[:2] != (node, slot):
                return None
            subject = (node, slot, max(subject[2], int(wide)))
        elif kind not in _OF_DOCUMENTS:
            return None
    return (*subject, *resources) if len(resources) <= RESOURCES_MAX else None


class Touched:
    """The newest revision that touched each resource and each application's documents.

    Written under the lock of ``dispatch.memos`` before a revision counts as applied, so whoever
    reads the newest applied revision first misses nothing of it.
    """

    __slots__ = ("_all", "_documents", "_packed", "_places")

    def __init__(self) -> None:
        self._packed = np.zeros(PLACES, np.uint64)
        self._places = self._packed.data
        self._documents: dict[int, int] = {}
        self._all = 0

    def note(self, change: ChangeSet) -> None:
        """Take in what a commit changed."""
        revision, rows, documents = change
        for application, _, _ in documents:
            self._documents[application] = revision
        if len(self._documents) > APPLICATIONS_MAX:
            self.note_all(revision)
        if len(rows) <= LOOP_ROWS_MAX * CHANGE_ROW.size:
            places = self._places
            for _, resource, _, _, _, _ in CHANGE_ROW.iter_unpack(rows):
                places[resource % PLACES] = revision
        else:
            self._packed[np.frombuffer(rows, CHANGE)["resource"] % PLACES] = revision

    def note_all(self, revision: int) -> None:
        """Up to a revision anything may have been touched."""
        self._all = revision  # before, not after: other threads are reading both
        self._documents = {}

    def since(self, application: int, basis: Basis, revision: int) -> bool:
        """Whether a resource of the basis, or a document, was touched after a revision."""
        # In this order: ``note_all`` sets the one before it empties the other.
        if self._documents.get(application, 0) > revision or self._all > revision:
            return True
        places = self._places
        return any(places[node % PLACES] > revision for node in basis[3:])

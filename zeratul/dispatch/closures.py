"""Closures of one view: from a memo, or made and kept.

A closure is put together from those of the usersets that hold the subject, which its fellow
members share; or found by one fixpoint where there are many of these. One that has answered a few
times is made wide, so that inheritance costs one test; a subject in very many usersets need not
get one.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from zeratul.dispatch.driver import drive
from zeratul.errors import InternalError, LimitError
from zeratul.graph.lookup_resources import closure, held, holding_keys
from zeratul.graph.requests import Budget, Closure, Subject

if TYPE_CHECKING:
    from pyroaring import BitMap

    from zeratul.dispatch.memos import Memo, Memos
    from zeratul.dispatch.overlay import Overlay
    from zeratul.dispatch.state import ApplicationState
    from zeratul.domain.limits import Limits
    from zeratul.store.interface import Snapshot

# LIMIT: a subject with more direct usersets than this is first looked for from the resource's
# side.
_HELD_USERSETS_FEW = 1_000
# LIMIT: up to here a closure is put together from the memos of the usersets that are held; above
# it one vectorised fixpoint is cheaper.
_COMPOSED_USERSETS_MAX = 64
# LIMIT: a closure is made wide when it has answered this often, and dropped from that if it takes
# more reads than this: then walking up from the resource is cheaper.
_USES_BEFORE_WIDE = 4
_WIDE_READS_MAX = 20_000


class Closures:
    """Makes the closures that one view's questions ask for.

    Attributes:
        expiring: whether a memo was used that ends at some time.
    """

    __slots__ = ("_deadline", "_limits", "_memos", "_snapshot", "_state", "expiring")

    def __init__(
        self,
        snapshot: Snapshot,
        state: ApplicationState,
        memos: Memos,
        limits: Limits,
        deadline: float,
    ) -> None:
        self._snapshot = snapshot
        self._state = state
        self._memos = memos
        self._limits = limits
        self._deadline = deadline
        self.expiring = False

    def over(self, source: Overlay, subject: Subject) -> Closure:
        """The subject's closure over other rows than the stored ones; memos know nothing of it."""
        budget = Budget(self._limits.check_reads_max, "check_reads_max")
        made = closure(self._state.plan, subject, budget)
        return drive(made, source, _no_closure, self._deadline)

    def answer(self, request: tuple[Subject, bool]) -> Closure | None:
        """The subject's closure, from a memo or made and kept; None if large and it may wait."""
        subject, must = request
        memo = self._memo(subject)
        if memo is not None:
            self.expiring = self.expiring or memo.expires_ms is not None
            if memo.may_widen and memo.uses >= _USES_BEFORE_WIDE:
                memo.may_widen = False
                return self._widen(subject) or memo.closure
            return memo.closure
        keys = holding_keys(self._state.plan, subject)
        count = sum(self._snapshot.resource_counts(keys))
        if not must and count > _HELD_USERSETS_FEW:
            return None
        return self._make(subject, keys, count)[0]

    def _memo(self, subject: Subject) -> Memo | None:
        return self._memos.get(
            self._state.table,
            (subject.node, subject.slot),
            self._snapshot.revision,
            self._snapshot.now_ms,
        )

    def _keep(self, subject: Subject, made: Closure, expires: int | None) -> None:
        self._memos.put(
            self._state.table,
            (subject.node, subject.slot),
            made,
            revision=self._snapshot.revision,
            now_ms=self._snapshot.now_ms,
            expires_ms=expires,
        )

    def _widen(self, subject: Subject) -> Closure | None:
        """A wide closure, kept; None where it would be too large."""
        slots = self._state.plan.fed_by_subject
        keys = [(subject.node, subject.slot, stored) for stored in slots]
        if sum(self._snapshot.resource_counts(keys)) > _WIDE_READS_MAX:
            return None
        budget = Budget(_WIDE_READS_MAX, "check_reads_max")
        evaluation = closure(self._state.plan, subject, budget, wide=True)
        try:
            made = drive(evaluation, self._snapshot, _no_closure, self._deadline)
        except LimitError:
            return None  # the narrow one answers as well, goal by goal
        self._keep(subject, made, self._snapshot.expires_min_ms)
        return made

    def _make(
        self, subject: Subject, keys: list[tuple[int, int, int]], count: int
    ) -> tuple[Closure, int | None]:
        """A narrow closure and the time it ends, put together from memos where that is cheaper."""
        plan = self._state.plan
        if subject.slot not in plan.bodies and count <= _COMPOSED_USERSETS_MAX:
            made, expires = self._compose(held(plan, subject, self._snapshot.resources(keys)))
        else:
            budget = Budget(self._limits.check_reads_max, "check_reads_max")
            evaluation = closure(plan, subject, budget)
            made = drive(evaluation, self._snapshot, _no_closure, self._deadline)
            expires = self._snapshot.expires_min_ms
        if not plan.containers:
            made = made._replace(wide=True)
        self._keep(subject, made, expires)
        return made, expires

    def _compose(self, directly: dict[int, BitMap]) -> tuple[Closure, int | None]:
        """The closure of a subject from those of the usersets it is directly in."""
        parts = []
        ends = [self._snapshot.expires_min_ms]
        for slot, nodes in directly.items():
            for node in nodes:
                userset = Subject(node, slot)
                memo = self._memo(userset)
                if memo is not None:
                    self.expiring = self.expiring or memo.expires_ms is not None
                part, end = (
                    self._make(userset, [], 0) if memo is None else (memo.closure, memo.expires_ms)
                )
                parts.append(part.sets)
                ends.append(end)
        # A memo that was made meanwhile may have read further expiries.
        ends.append(self._snapshot.expires_min_ms)
        expires = min((end for end in ends if end is not None), default=None)
        return Closure(_union(parts, self._state.plan.closable), wide=False), expires


def _union(parts: list[dict[int, BitMap]], slots: frozenset[int]) -> dict[int, BitMap]:
    """The union of closures, of these slots only: a part may be a wide one."""
    sets: dict[int, BitMap] = {}
    for part in parts:
        for slot, found in part.items():
            if slot in slots:
                sets[slot] = sets[slot] | found if slot in sets else found
    return sets


def _no_closure(_request: tuple[Subject, bool]) -> Closure | None:
    raise InternalError("a closure asked for a closure")

"""Closures of one view: from a memo, or made and kept.

A closure is put together from those of the usersets that hold the subject, which its fellow
members share: a cold subject costs one read and a few unions. Where very many usersets hold it, it
is found by one fixpoint, or not at all: a subject in very many usersets need not get one.

A narrow closure leaves inheritance (folders in folders) to a walk up from the resource; a wide one
answers that by one test too. One is made wide when walks were needed, or at once where those of
all its usersets are.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple, TypeVar

from pyroaring import BitMap

from zeratul.dispatch.driver import drive
from zeratul.errors import InternalError, LimitError
from zeratul.graph.closure import closure, holdings, spread_from, union
from zeratul.graph.requests import Budget, Closure, Subject

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from zeratul.dispatch.memos import Memo, Memos
    from zeratul.dispatch.overlay import Overlay
    from zeratul.dispatch.state import ApplicationState
    from zeratul.domain.limits import Limits
    from zeratul.graph.closure import Sets
    from zeratul.graph.requests import Evaluation
    from zeratul.graph.spread import Spread
    from zeratul.store.interface import Snapshot

Answer = TypeVar("Answer")

# LIMIT: a subject with more direct usersets than this is first looked for from the resource's
# side.
_HELD_USERSETS_FEW = 1_000
# LIMIT: up to here a closure is put together from the memos of the usersets that are held; above
# it one vectorised fixpoint is cheaper.
_COMPOSED_USERSETS_MAX = 64
# LIMIT: a closure is made wide when so many questions walked, if that takes no more reads than is
# in proportion to them. It is tried twice: early, for what is made in about a millisecond (and
# shared by all members of a group), and once more for the most reads, or nodes, that are ever
# worth it.
_WALKS_BEFORE_WIDE = 2
_WIDE_READS_FEW = 5_000
_WALKS_BEFORE_LAST = 16
_WIDE_READS_MAX = 20_000
# LIMIT: nodes of a closure that is made wide before anything walked; it may never be needed.
_WIDE_AT_ONCE_MAX = 4_096


class _Try(NamedTuple):
    """When a closure may be made wide, and how many reads that may take."""

    walks: int
    reads: int


_TRIES_MAX = 2


def _try(number: int) -> _Try:
    if number == 0:
        return _Try(_WALKS_BEFORE_WIDE, _WIDE_READS_FEW)
    return _Try(_WALKS_BEFORE_LAST, _WIDE_READS_MAX)


class Closures:
    """Makes the closures that one view's questions ask for.

    Attributes:
        expiring: whether a memo was used that ends at some time.
    """

    __slots__ = (
        "_deadline",
        "_limits",
        "_memos",
        "_snapshot",
        "_state",
        "expiring",
    )

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
        memo = self._memo(subject.node, subject.slot)
        if memo is None:
            memo = self._made(subject, must=must)
            if memo is None:
                return None
        elif memo.walks and memo.may_widen and memo.walks >= _try(memo.tries).walks:
            memo = self._widened(subject, memo, memo.tries)
        return memo.closure

    def walked(self, subjects: Sequence[Subject]) -> None:
        """Note that rows had to be followed after all that the closures of these could tell."""
        entries = self._state.table.entries
        for subject in subjects:
            memo = entries.get((subject.node, subject.slot))
            if memo is not None and memo.may_widen:
                memo.walks += 1

    def _memo(self, node: int, slot: int) -> Memo | None:
        snapshot = self._snapshot
        memo = self._memos.get(self._state.table, (node, slot), snapshot.revision, snapshot.now_ms)
        if memo is not None and memo.expires_ms is not None:
            self.expiring = True
        return memo

    def _keep(self, subject: Subject, made: Closure, parts: Iterable[Memo] = ()) -> Memo:
        snapshot = self._snapshot
        expires = snapshot.expires_min_ms
        for part in parts:
            end = part.expires_ms
            if end is not None and (expires is None or end < expires):
                expires = end
        return self._memos.put(
            self._state.table,
            (subject.node, subject.slot),
            made,
            revision=snapshot.revision,
            now_ms=snapshot.now_ms,
            expires_ms=expires,
        )

    def _made(self, subject: Subject, *, must: bool) -> Memo | None:
        """A closure that was not there; None if large and it may wait."""
        plan = self._state.plan
        if subject.slot not in plan.bodies:
            made = self._composed(subject)
            if made is not None:
                return made
        if not must:
            keys = [key for key, _ in holdings(plan.narrow, subject)]
            if sum(self._snapshot.resource_counts(keys)) > _HELD_USERSETS_FEW:
                return None
        return self._solved(subject)

    def _solved(self, subject: Subject) -> Memo:
        """The narrow closure, found by a fixpoint."""
        plan = self._state.plan
        budget = Budget(self._limits.check_reads_max, "check_reads_max")
        made = self._drive(closure(plan, subject, budget))
        return self._keep(subject, made if plan.containers else made._replace(wide=True))

    def _composed(self, subject: Subject) -> Memo | None:
        """The closure, put together; wide if its parts are. None if many usersets hold it."""
        plan = self._state.plan
        held = self._held(plan.narrow, subject)
        if held is None:
            return None
        own, usersets = held
        parts = [self._memo(*each) or self._solved(Subject(*each)) for each in usersets]
        if (
            plan.containers
            and parts
            and all(part.closure.wide for part in parts)
            and sum(map(_nodes, parts)) <= _WIDE_AT_ONCE_MAX
        ):
            made = self._composed_wide(subject, 0)
            if made is not None:
                return made
        sets = union([own, *(_only(plan.closable, part.closure) for part in parts)])
        return self._keep(subject, Closure(sets, wide=not plan.containers), parts)

    def _composed_wide(self, subject: Subject, tries: int) -> Memo | None:
        """The wide closure, put together; None where it would be too large."""
        spread = self._state.plan.wide
        reads = _try(tries).reads
        held = self._held(spread, subject)
        if held is None:
            return self._solved_wide(subject, reads)
        own, usersets = held
        parts = []
        for each in usersets:
            userset = Subject(*each)
            part = self._memo(*each) or self._solved(userset)
            if part.may_widen and part.tries <= tries:
                part = self._widened(userset, part, tries)
            if not part.closure.wide:
                return None
            parts.append(part)
        if sum(map(_nodes, parts)) > _WIDE_READS_MAX:
            return None
        sets = union(part.closure.sets for part in parts)
        fresh = {
            slot: nodes - sets[slot] if slot in sets else nodes for slot, nodes in own.items()
        }
        if any(fresh.values()):
            budget = Budget(reads, "check_reads_max")
            try:
                sets = union([sets, self._drive(spread_from(spread, fresh, budget))])
            except LimitError:
                return None
        return self._keep(subject, Closure(sets, wide=True), parts)

    def _widened(self, subject: Subject, memo: Memo, tries: int) -> Memo:
        """The memo made wide; as it is where that would be too large."""
        memo.tries = tries + 1
        memo.may_widen = memo.tries < _TRIES_MAX
        if subject.slot in self._state.plan.bodies:
            return self._solved_wide(subject, _try(tries).reads) or memo
        return self._composed_wide(subject, tries) or memo

    def _solved_wide(self, subject: Subject, reads: int) -> Memo | None:
        """The wide closure, found by a fixpoint; None where it would be too large."""
        plan = self._state.plan
        keys = [key for key, _ in holdings(plan.wide, subject)]
        if sum(self._snapshot.resource_counts(keys)) > reads:
            return None
        budget = Budget(reads, "check_reads_max")
        try:
            return self._keep(subject, self._drive(closure(plan, subject, budget, wide=True)))
        except LimitError:
            return None  # the narrow one answers as well, goal by goal

    def _held(self, spread: Spread, subject: Subject) -> tuple[Sets, list[tuple[int, int]]] | None:
        """What rows put the subject in, and the usersets with memos among it; None if many."""
        rows = holdings(spread, subject)
        found = self._snapshot.few_resources([key for key, _ in rows], _COMPOSED_USERSETS_MAX)
        if found is None:
            return None
        own: Sets = {}
        usersets: list[tuple[int, int]] = []
        for (_, holding), nodes in zip(rows, found, strict=True):
            if holding.is_shared:
                usersets += [(node, holding.stored) for node in nodes]
            elif nodes:
                own = union([own, dict.fromkeys(holding.covering, BitMap(nodes))])
        return own, usersets

    def _drive(self, evaluation: Evaluation[Answer]) -> Answer:
        return drive(evaluation, self._snapshot, _no_closure, self._deadline)


def _nodes(memo: Memo) -> int:
    return sum(map(len, memo.closure.sets.values()))


def _only(slots: frozenset[int], found: Closure) -> Sets:
    """The sets of these slots: those of others are in a wide closure only."""
    if not found.wide:
        return found.sets
    return {slot: nodes for slot, nodes in found.sets.items() if slot in slots}


def _no_closure(_request: tuple[Subject, bool]) -> Closure | None:
    raise InternalError("a closure asked for a closure")

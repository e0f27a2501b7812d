"""Group commit: one thread that runs every waiting job in one LMDB transaction, then answers all.

LMDB ties a write transaction to the thread that began it, so one thread owns begin, every put and
commit; callers hand it a function. A job may see what the jobs before it in the group wrote, so
nobody is answered, not even with an error, before the commit.

Undoing one job alone: one that raises before it put anything is simply answered with its error.
One that raises later takes the group's transaction down: what was in front of it commits first,
then it runs alone, then what was behind. So the result is that of the jobs one after the other.
"""

from __future__ import annotations

import threading
from collections import deque
from concurrent.futures import Future
from contextlib import suppress
from functools import partial
from queue import Empty, SimpleQueue
from time import monotonic, monotonic_ns
from typing import TYPE_CHECKING, Any, TypeVar

from zeratul.errors import StoreError
from zeratul.store.lmdb.failures import translated
from zeratul.store.lmdb.transaction import LmdbTransaction

if TYPE_CHECKING:
    from collections.abc import Callable

    import lmdb

    from zeratul.domain.limits import Limits
    from zeratul.store.interface import WriteTransaction
    from zeratul.store.lmdb.environment import Environment

T = TypeVar("T")

# LIMIT: a group takes no further job after holding the writers' lock this long, so that the other
# processes' writers and the first callers of this group do not wait for an endless queue.
GROUP_HOLD_NS = 50_000_000
# LIMIT: readers of killed processes keep old pages; three of them grew a file by 65 MB in 300
# commits. Looking at 1,024 slots costs microseconds.
READER_CHECK_INTERVAL_S = 5.0


class _Job:
    __slots__ = ("_answer", "function", "future", "running")

    def __init__(self, function: Callable[[WriteTransaction], Any], future: Future[Any]) -> None:
        self.function = function
        self.future = future
        self.running = False
        self._answer: Callable[[], None] | None = None

    def start(self) -> bool:
        """Whether anybody still waits for it; from the first run on it cannot be cancelled."""
        self.running = self.running or self.future.set_running_or_notify_cancel()
        return self.running

    def run(self, transaction: LmdbTransaction) -> BaseException | None:
        """Run the function and keep its outcome for after the commit."""
        transaction.start_job()
        try:
            value = self.function(transaction)
            if transaction.doomed is not None:
                # The job swallowed a failure that left half of something behind.
                raise transaction.doomed
        except BaseException as error:  # noqa: BLE001 - a caller's job must not end the thread
            self._answer = partial(self.future.set_exception, error)
            return error
        self._answer = partial(self.future.set_result, value)
        return None

    def answer(self) -> None:
        """Tell the caller what came of it."""
        if self._answer is not None:
            self._answer()

    def fail(self, error: BaseException) -> None:
        """Tell the caller why it could not be done."""
        if self.start():
            self.future.set_exception(error)


class Writer:
    """Owns the write transactions of one process.

    Attributes:
        commits: transactions committed.
        jobs: jobs answered.
        longest_hold_ms: longest time a transaction held the writers' lock.
    """

    def __init__(
        self, environment: Environment, limits: Limits, clock_ms: Callable[[], int]
    ) -> None:
        self._environment = environment
        self._limits = limits
        self._clock_ms = clock_ms
        self._queue: SimpleQueue[_Job | None] = SimpleQueue()
        self._closing = threading.Lock()
        self._closed = False
        self._ended = False  # the thread met the end of the queue
        self._held_since_ns = 0
        self._readers_checked = monotonic()
        self.commits = 0
        self.jobs = 0
        self.longest_hold_ms = 0
        self._thread = threading.Thread(target=self._serve, name="zeratul-writer", daemon=True)
        self._thread.start()

    @property
    def held_ms(self) -> int:
        """How long the running transaction has held the writers' lock; 0 without one."""
        since = self._held_since_ns
        return (monotonic_ns() - since) // 1_000_000 if since else 0

    def submit(self, function: Callable[[WriteTransaction], T]) -> Future[T]:
        """Queue a job; see ``Store.write``."""
        future: Future[T] = Future()
        with self._closing:
            if self._closed:
                future.set_exception(StoreError("the store is closed", reason="closed"))
            else:
                self._queue.put(_Job(function, future))
        return future

    def close(self) -> None:
        """Answer what waits, then end the thread."""
        with self._closing:
            if not self._closed:
                self._closed = True
                self._queue.put(None)
        self._thread.join()

    # The thread.

    def _serve(self) -> None:
        while not self._ended:
            group: list[_Job] = []
            self._take(group, wait=True)
            groups = deque(self._run(group, more=True))
            while groups:
                groups.extendleft(reversed(self._run(groups.popleft(), more=False)))
            self._check_readers()

    def _take(self, group: list[_Job], *, wait: bool) -> bool:
        """Add the next waiting job to the group, if there is one."""
        if self._ended:
            return False
        try:
            job = self._queue.get(block=wait)
        except Empty:
            return False
        if job is None:
            self._ended = True
            return False
        if job.start():
            group.append(job)
        return True

    def _run(self, group: list[_Job], *, more: bool) -> list[list[_Job]]:
        """One transaction; returns what has to run again, in order, each in one of its own."""
        if not group:
            return []
        try:
            return self._transact(group, more=more)
        except BaseException as error:  # noqa: BLE001 - whatever happens, every caller is answered
            # Begin or commit failed. One job may be why (a full map): each gets its own chance.
            if len(group) > 1:
                return [[job] for job in group]
            group[0].fail(error)
            return []

    @translated
    def _transact(self, group: list[_Job], *, more: bool) -> list[list[_Job]]:
        raw = self._environment.lmdb.begin(write=True)
        began = self._held_since_ns = monotonic_ns()
        try:
            culprit = self._run_jobs(raw, group, more=more)
        finally:
            raw.abort()  # Does nothing after a commit.
            self._held_since_ns = 0
            held_ms = (monotonic_ns() - began) // 1_000_000
            self.longest_hold_ms = max(self.longest_hold_ms, held_ms)
        if culprit is not None and len(group) > 1:
            parts = (group[:culprit], [group[culprit]], group[culprit + 1 :])
            return [part for part in parts if part]
        for job in group:
            job.answer()
        self.jobs += len(group)
        return []

    def _run_jobs(
        self, raw: lmdb.Transaction[bytes], group: list[_Job], *, more: bool
    ) -> int | None:
        """Run all and commit; or the index of the one that failed after it had put something."""
        transaction = LmdbTransaction(
            raw, self._environment.tables, self._limits, now_ms=self._clock_ms()
        )
        deadline_ns = self._held_since_ns + GROUP_HOLD_NS
        put = False
        index = 0
        while index < len(group):
            error = group[index].run(transaction)
            if error is not None and transaction.touched:
                return index
            put = put or transaction.touched
            index += 1
            if more and index == len(group) and monotonic_ns() < deadline_ns:
                self._take(group, wait=False)
        if put:
            transaction.finish()
            raw.commit()
            self.commits += 1
        return None

    def _check_readers(self) -> None:
        if monotonic() - self._readers_checked > READER_CHECK_INTERVAL_S:
            self._readers_checked = monotonic()
            # Only tidiness: whatever else is wrong meets the next transaction, whose caller hears.
            with suppress(StoreError):
                self._environment.clear_dead_readers()

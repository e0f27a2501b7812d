"""Futures of writes, chained without threads of their own.

The future a service hands out can not be cancelled: a client that went away does not undo a write
that is under way, and whoever resolves the future need not ask.

Nothing here is left in a reference cycle: what a future's callbacks hold (thousands of rows) goes
with the last reference, not with the next run of the garbage collector.
"""

from __future__ import annotations

from concurrent.futures import Future
from threading import Lock
from typing import TYPE_CHECKING, Generic, TypeVar

from zeratul.errors import ConflictError

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

S = TypeVar("S")
T = TypeVar("T")

# LIMIT: each attempt loses only to another model change; ten in a row are an operator's loop.
MODEL_CHANGES_MAX = 10


class ModelMovedError(Exception):
    """Raised inside a write: the model is not the one the write was validated against."""


def resolved(value: T) -> Future[T]:
    """A future that has its result already."""
    future: Future[T] = Future()
    future.set_result(value)
    return future


def followed(future: Future[S], step: Callable[[S], Future[T]]) -> Future[T]:
    """A future of what ``step``, begun with the other's result, comes to."""
    outcome: Future[T] = Future()
    outcome.set_running_or_notify_cancel()

    def settle(settled: Future[T]) -> None:
        error = settled.exception()
        if error is None:
            outcome.set_result(settled.result())
        else:
            outcome.set_exception(error)

    def begin(settled: Future[S]) -> None:
        try:
            step(settled.result()).add_done_callback(settle)
        except BaseException as error:  # noqa: BLE001 - a future carries whatever its work raised
            outcome.set_exception(error)

    future.add_done_callback(begin)
    return outcome


def all_of(futures: Sequence[Future[T]]) -> Future[list[T]]:
    """Their results in order, once all are there; the first error in that order, if any."""
    outcome: Future[list[T]] = Future()
    outcome.set_running_or_notify_cancel()
    waiting = list(futures)
    left = len(waiting)
    lock = Lock()

    def settle(_: Future[T] | None) -> None:
        nonlocal left
        with lock:
            left -= 1
            if left > 0:
                return
        try:
            outcome.set_result([future.result() for future in waiting])
        except BaseException as error:  # noqa: BLE001 - a future carries whatever its work raised
            outcome.set_exception(error)
        finally:
            waiting.clear()  # They hold this function.

    for future in futures:
        future.add_done_callback(settle)
    if not futures:
        settle(None)
    return outcome


def ended(future: Future[S]) -> Future[None]:
    """A future of the other's end, whether with a result or an error."""
    outcome: Future[None] = Future()
    outcome.set_running_or_notify_cancel()
    future.add_done_callback(lambda _: outcome.set_result(None))
    return outcome


def retrying(attempt: Callable[[], Future[T]]) -> Future[T]:
    """What ``attempt`` comes to, tried again whenever the model moved under it.

    The first attempt runs on the caller's thread, so that what it refuses is raised here; later
    ones on the thread that resolved the attempt before.

    Raises:
        ConflictError: (from the future) the model changed again and again.
    """
    attempts = _Attempts(attempt)
    attempts.begin()
    return attempts.outcome


class _Attempts(Generic[T]):
    """A class because a function that names itself would be a reference cycle."""

    def __init__(self, attempt: Callable[[], Future[T]]) -> None:
        self._attempt = attempt
        self._tries = 0
        self.outcome: Future[T] = Future()
        self.outcome.set_running_or_notify_cancel()

    def begin(self) -> None:
        self._attempt().add_done_callback(self._settle)

    def _settle(self, future: Future[T]) -> None:
        error = future.exception()
        if error is None:
            self.outcome.set_result(future.result())
            return
        if not isinstance(error, ModelMovedError):
            self.outcome.set_exception(error)
            return
        self._tries += 1
        if self._tries >= MODEL_CHANGES_MAX:
            self.outcome.set_exception(
                ConflictError("the model keeps changing", help="retry later")
            )
            return
        try:
            self.begin()
        except Exception as problem:  # noqa: BLE001 - a future carries whatever its work raised
            self.outcome.set_exception(problem)

"""Drives an evaluation over a snapshot: a loop of a few lines, and the deadline."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any, TypeVar

from zeratul.errors import LimitError

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from pyroaring import BitMap

    from zeratul.dispatch.overlay import Overlay
    from zeratul.graph.requests import Closure, Evaluation, Subject
    from zeratul.store.interface import Snapshot

Answer = TypeVar("Answer")

# A clock costs as much as a small read; quick questions end before the first look at it.
_ROUNDS_PER_LOOK = 16


class Driver:
    """Answers reads from one snapshot; ``closure`` answers the request of that name."""

    __slots__ = ("_deadline", "_reads")

    def __init__(
        self,
        snapshot: Snapshot | Overlay,
        closure: Callable[[tuple[Subject, bool]], Closure | None],
        deadline_s: float | None = None,
    ) -> None:
        def subjects_of_all(keys: Sequence[tuple[BitMap, int, int]]) -> list[BitMap]:
            return [snapshot.subjects_of_all(*key) for key in keys]

        def resources_of_all(keys: Sequence[tuple[BitMap, int, int]]) -> list[BitMap]:
            return [snapshot.resources_of_all(*key) for key in keys]

        # In the order of the request numbers in graph.requests.
        self._reads: tuple[Callable[[Any], Any], ...] = (
            snapshot.has,
            snapshot.subjects,
            snapshot.resources,
            snapshot.meets,
            subjects_of_all,
            resources_of_all,
            snapshot.subject_counts,
            closure,
        )
        self._deadline = deadline_s

    def run(self, evaluation: Evaluation[Answer]) -> Answer:
        """The evaluation's outcome.

        Raises:
            LimitError: the deadline passed, or the evaluation's budget is used up.
            StoreError: a read failed.
        """
        reads = self._reads
        rounds = 0
        try:
            kind, keys = next(evaluation)
            while True:
                kind, keys = evaluation.send(reads[kind](keys))
                rounds += 1
                if rounds % _ROUNDS_PER_LOOK == 0 and self._deadline is not None:
                    self._look(evaluation)
        except StopIteration as stop:
            answer: Answer = stop.value
            return answer

    def _look(self, evaluation: Evaluation[Answer]) -> None:
        if self._deadline is not None and time.monotonic() > self._deadline:
            evaluation.close()
            raise LimitError("request_timeout_s", 0, "the question took longer than allowed")

"""Drives an evaluation over a snapshot: a loop of a few lines, and the deadline."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any, TypeVar

from zeratul.errors import InternalError, LimitError
from zeratul.graph.requests import (
    CARRYING,
    CLOSURE,
    CLOSURES,
    GRANTS,
    GRANTS_ON,
    HAS,
    MEETS,
    RESOURCES,
    RESOURCES_OF_ALL,
    SCOPES,
    SUBJECT_COUNTS,
    SUBJECTS,
    SUBJECTS_OF_ALL,
    WALKED,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from zeratul.dispatch.overlay import Overlay
    from zeratul.dispatch.roles import Roles
    from zeratul.graph.requests import Closure, Evaluation, Subject
    from zeratul.store.interface import Snapshot

Answer = TypeVar("Answer")

# A clock costs as much as a small read; quick questions end before the first look at it.
_ROUNDS_PER_LOOK = 16


def drive(
    evaluation: Evaluation[Answer],
    source: Snapshot | Overlay,
    closure: Callable[[tuple[Subject, bool]], Closure | None],
    deadline_s: float,
    roles: Roles | None = None,
    walked: Callable[[Sequence[Subject]], None] | None = None,
) -> Answer:
    """The evaluation's outcome.

    Args:
        evaluation: what is to be decided or listed.
        source: answers its reads.
        closure: answers its requests for closures.
        deadline_s: when to give up, on the monotonic clock.
        roles: answers what it asks about roles, if it may ask.
        walked: told whose closures did not save following rows from the resource's side.

    Raises:
        LimitError: the deadline passed, or the evaluation's budget is used up.
        StoreError: a read failed.
    """
    rounds = 0
    try:
        kind, keys = next(evaluation)
        while True:
            # A chain of comparisons, the most frequent first: a quick check makes two or three.
            if kind == HAS:
                answers: Any = source.has(keys)
            elif kind == CLOSURE:
                answers = closure(keys)
            elif kind == MEETS:
                answers = source.meets(keys)
            elif kind == SUBJECTS:
                answers = source.subjects(keys)
            elif kind in (CLOSURES, WALKED):
                answers = _of_subjects(kind, keys, closure, walked)
            elif roles is not None and kind >= SCOPES:
                answers = _tell(roles, kind, keys)
            else:
                answers = _read(source, kind, keys)
            kind, keys = evaluation.send(answers)
            rounds += 1
            if rounds % _ROUNDS_PER_LOOK == 0 and time.monotonic() > deadline_s:
                evaluation.close()
                raise LimitError("request_timeout_s", 0, "the question took longer than allowed")
    except StopIteration as stop:
        answer: Answer = stop.value
        return answer


def _of_subjects(
    kind: int,
    subjects: Sequence[Subject],
    closure: Callable[[tuple[Subject, bool]], Closure | None],
    walked: Callable[[Sequence[Subject]], None] | None,
) -> list[Closure | None]:
    """Closures of those who need not have one; none for those that are only told of."""
    if kind == CLOSURES:
        return [closure((subject, False)) for subject in subjects]
    if walked is not None:
        walked(subjects)
    return []


def _tell(roles: Roles, kind: int, keys: Any) -> list[Any]:
    """Answers about scopes, grants and what roles give."""
    if kind == CARRYING:
        return [roles.carrying(*key) for key in keys]
    if kind == GRANTS:
        return roles.grants(keys)
    if kind == SCOPES:
        return roles.scopes(keys)
    if kind == GRANTS_ON:
        return roles.grants_on(keys)
    raise InternalError(f"an evaluation asked for {kind}")


def _read(source: Snapshot | Overlay, kind: int, keys: Any) -> list[Any]:
    """Answers of the reads that lists and large subjects make."""
    if kind == RESOURCES_OF_ALL:
        return [source.resources_of_all(*key) for key in keys]
    if kind == SUBJECTS_OF_ALL:
        return [source.subjects_of_all(*key) for key in keys]
    if kind == RESOURCES:
        return source.resources(keys)
    if kind == SUBJECT_COUNTS:
        return source.subject_counts(keys)
    raise InternalError(f"an evaluation asked for {kind}")

"""The decision log: what was asked and answered, where an application wants it recorded.

Theory of operation: a check that is answered is noted in memory and recorded about a second later,
many in one commit, behind the back of whoever asked. A check never waits for it and never fails by
it. At most ``Limits.decision_log_batch_max`` are noted between two commits; what comes on top is
dropped, counted in a metric and told by an event ``decision.dropped``, so that nobody takes a log
with gaps for a whole one.

Where no application has the log on, all that a check pays is a look at ``active``.
"""

from __future__ import annotations

import random
from contextlib import suppress
from threading import Lock
from typing import TYPE_CHECKING, NamedTuple

from zeratul.errors import InternalError, StoreError
from zeratul.graph.answers import CheckQuestion
from zeratul.service.ground.answers import CheckAnswer
from zeratul.service.ground.audit import record, user_of
from zeratul.service.ground.caller import Caller
from zeratul.service.ground.directory import SERVER, application_number
from zeratul.service.ground.later import Later
from zeratul.service.ground.setting_documents import SETTINGS_KIND, DecisionLog, all_settings
from zeratul.service.ground.times import format_time

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from zeratul.dispatch.engine import Engine
    from zeratul.domain.limits import Limits
    from zeratul.errors import ZeratulError
    from zeratul.store.interface import WriteTransaction

# LIMIT: commits of decisions end what is cached of the revision before; one a second does not
# show.
FLUSH_INTERVAL_S = 1.0

_OFF = DecisionLog()


class _Noted(NamedTuple):
    caller: Caller
    question: CheckQuestion
    answer: CheckAnswer
    time_ms: int


class Decisions:
    """The decisions of one process.

    Attributes:
        active: whether any application may have the log on; ``note`` need not be called else.
        on_count: told ``decisions_recorded`` or ``decisions_dropped``, and how many; for metrics.
    """

    def __init__(
        self,
        engine: Engine,
        limits: Limits,
        clock_ms: Callable[[], int],
        *,
        flush_interval_s: float = FLUSH_INTERVAL_S,
    ) -> None:
        self.active = True
        self.on_count: Callable[[str, int], None] = _uncounted
        self._store = engine.store
        self._clock_ms = clock_ms
        self._batch_max = limits.decision_log_batch_max
        self._lock = Lock()
        self._noted: list[_Noted] = []
        self._dropped: dict[tuple[str, int], int] = {}
        # Which applications have the log on, as far as the settings were read.
        self._logs: dict[int, DecisionLog] = {}
        self._generation = 0
        self._read_generation = -1
        self._later = Later("decisions", self.flush, wait_s=flush_interval_s)
        engine.on_documents(self._changed)
        self._read()

    def note(self, caller: Caller, question: CheckQuestion, answer: CheckAnswer) -> None:
        """Have a decision recorded, if its application wants it to be.

        Raises:
            InternalError: as ``note_many``.
        """
        self.note_many(caller, (question,), (answer,))

    def note_many(
        self,
        caller: Caller,
        questions: Sequence[CheckQuestion | ZeratulError],
        answers: Sequence[CheckAnswer | ZeratulError],
    ) -> None:
        """Have the decisions of a bulk call recorded; what is an error was not decided.

        Args:
            caller: who asked.
            questions: in the order of the answers.
            answers: what they came to.

        Raises:
            InternalError: it is to be recorded, and the caller does not say in which request.
        """
        log = self._log_of(caller.application)
        if log.mode == "off":
            return
        if not caller.is_told:
            # The log came on while this was being decided, and who took the request did not
            # know: it is decided again, by who can tell it.
            raise InternalError("a decision is recorded with the request it was made for")
        now_ms = self._clock_ms()
        chosen = [
            _Noted(caller, question, answer, now_ms)
            for question, answer in zip(questions, answers, strict=True)
            if isinstance(answer, CheckAnswer)
            and isinstance(question, CheckQuestion)
            and not (log.mode == "denials" and answer.allowed)
            and (log.sample >= 1 or random.random() < log.sample)  # noqa: S311 - only a sample
        ]
        if not chosen:
            return
        with self._lock:
            room = self._batch_max - len(self._noted)
            self._noted += chosen[:room]
            if len(chosen) > room:
                where = (caller.application_id, caller.application)
                self._dropped[where] = self._dropped.get(where, 0) + len(chosen) - room
        self._later.soon()

    def flush(self) -> None:
        """Record what was noted, durably.

        Raises:
            StoreError: it could not be recorded; what was noted is lost and counted as dropped.
        """
        with self._lock:
            noted, self._noted = self._noted, []
            dropped, self._dropped = self._dropped, {}
        if not noted and not dropped:
            return
        try:
            self._store.write(lambda tx: _record(tx, noted, dropped)).result()
        except StoreError:
            self.on_count("decisions_dropped", len(noted) + sum(dropped.values()))
            raise
        self.on_count("decisions_recorded", len(noted))
        self.on_count("decisions_dropped", sum(dropped.values()))

    def close(self) -> None:
        """Record what is noted; before the store closes."""
        self._later.close()

    def _log_of(self, application: int) -> DecisionLog:
        if self._read_generation != self._generation:
            with suppress(StoreError):  # then it goes by what it knew, and reads again
                self._read()
        return self._logs.get(application, _OFF)

    def _read(self) -> None:
        # INVARIANT: what changes after the snapshot was opened makes a new generation, so it is
        # read again by whoever comes next.
        generation = self._generation
        with self._store.snapshot() as snapshot:
            logs = {
                number: settings.decision_log
                for number, settings in all_settings(snapshot)
                if settings.decision_log.mode != "off"
            }
        with self._lock:
            if generation == self._generation:
                self._logs = logs
                self._read_generation = generation
                self.active = bool(logs)

    def _changed(self, documents: Iterable[tuple[int, str, str]]) -> None:
        changed = list(documents)
        if not changed or any(
            application == SERVER and kind == SETTINGS_KIND for application, kind, _ in changed
        ):
            with self._lock:
                self._generation += 1
                self.active = True


def _record(
    tx: WriteTransaction, noted: list[_Noted], dropped: dict[tuple[str, int], int]
) -> None:
    # An application may have been deleted since: nothing may be recorded in it.
    wheres = {(each.caller.application_id, each.caller.application) for each in noted}
    wheres |= dropped.keys()
    there = {where for where in wheres if application_number(where[0], tx.snapshot) == where[1]}
    for caller, question, answer, time_ms in noted:
        if (caller.application_id, caller.application) not in there:
            continue
        resource = question.resource
        after: dict[str, object] = {
            "allowed": answer.allowed,
            "subject": str(question.subject),
            "decidedAt": format_time(time_ms),
        }
        if answer.via_role is not None:
            after["viaRole"] = answer.via_role
        if answer.via_direct_grant is not None:
            after["viaDirectGrant"] = answer.via_direct_grant
        record(
            tx,
            caller,
            "decision.allowed" if answer.allowed else "decision.denied",
            resource.type,
            resource.id,
            permission=f"{resource.type}:{question.relation}",
            tenant_id=question.tenant,
            user_id=user_of(question.subject),
            after=after,
        )
    for (application_id, application), count in dropped.items():
        if (application_id, application) in there:
            server = Caller(application_id, application, "decision-log", is_root=True)
            record(
                tx, server, "decision.dropped", "application", application_id,
                after={"dropped": count},
            )  # fmt: skip


def _uncounted(_name: str, _count: int) -> None:
    """Nobody counts, as in a script."""

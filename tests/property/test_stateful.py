"""Two processes on one environment, anything in any order: every answer equals the reference's.

Writes, deletions, expiries, model changes, collection of history and reads of past revisions are
interleaved with questions to either process, whose memos are warm from whatever was asked before;
a process may also start afresh, or keep a view open while others write. The reference is told what
was written and knows nothing else.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    precondition,
    rule,
    run_state_machine_as_test,
)

from tests import builders, strategies
from tests.property import thresholds
from tests.property.agreement import Probe, assert_agree, every_check, every_lookup
from tests.reference.evaluator import Reference
from zeratul.domain.relationship import WILDCARD, ObjectRef, SubjectRef
from zeratul.errors import InputError
from zeratul.graph.answers import CheckQuestion

if TYPE_CHECKING:
    from tests.applications import Installation, Peer
    from zeratul.domain.relationship import Relationship
    from zeratul.domain.schema import Schema

Rows = dict["Relationship", "Relationship"]
"""What is stored: the relationship without its expiry -> with it."""

_CLOCK = [strategies.NOW_MS + step for step in (0, -2_000, -500, 1, 500, 5_000)]
TIMES = st.sampled_from(_CLOCK)
PROCESSES = st.sampled_from(["first", "second"])
READERS = st.sampled_from(["first", "second", ""])
"""Who looks after a change; at times nobody, so that several changes are followed at once."""

CLASSIC = builders.model(
    {
        "user": {},
        "group": {"member": "[user, user:*, group#member]"},
        "folder": {
            "parent": "[folder]",
            "viewer": "[user, group#member] or viewer from parent",
        },
        "document": {
            "parent": "[folder]",
            "banned": "[user, group#member]",
            "viewer": "[user, group#member, folder#viewer] or viewer from parent",
            "reader": "viewer but not banned",
        },
    }
)
"""A model in which closures matter; drawn ones seldom nest groups and arrows like this."""

GROUPS = builders.model(
    {
        "user": {},
        "group": {"member": "[user, user:*, group#member]"},
        "document": {
            "viewer": "[group#member]",
            "seen": "viewer from parent",
            "parent": "[document]",
        },
    }
)

CHURN_BYTES = 3 * 8
_CLOCK_MOVES_FROM = 160
_PAIRS = [
    *(("first", "first"), ("first", "second"), ("second", "first"), ("second", "second")),
    *(("first", "first"), ("first", ""), ("second", "")),
]
_EXPIRY = {192 + step: expiry for step, expiry in enumerate(strategies.EXPIRIES * 16)}

FOLDERS = builders.model(
    {
        "user": {},
        "folder": {"parent": "[folder]", "viewer": "[user] or viewer from parent"},
        "document": {"parent": "[folder]", "viewer": "viewer from parent"},
    }
)

MODELS = st.sampled_from([GROUPS, FOLDERS, CLASSIC]) | strategies.models()
CHOICES = st.lists(st.integers(0, 2**16), min_size=1, max_size=8)
HISTORY_MAX = 12


class Point(NamedTuple):
    """The application at one revision."""

    revision: int
    rows: Rows


class Held(NamedTuple):
    """A view that was kept open, and what it has to go on answering."""

    rows: Rows
    schema: Schema
    now_ms: int


class Machine(RuleBasedStateMachine):
    """One application; the rules are what can happen to it."""

    def __init__(self, first: Installation, second: Peer) -> None:
        super().__init__()
        self.processes: dict[str, Any] = {"first": first, "second": second}
        self.held: dict[str, Held] = {}
        self.now_ms = strategies.NOW_MS

    @initialize(model=MODELS, data=st.data())
    def create(self, model: dict[str, Any], data: st.DataObject) -> None:
        """An application with a model and relationships."""
        first = self.processes["first"]
        self.application = first.create(model)
        self._learn(strategies.compiled(model))
        self.rows: Rows = {}
        self.history: list[Point] = []
        self._write("first", data.draw(strategies.relationship_lists(self.schema)), [])
        self._watch("first")
        self._watch("second")

    @rule(choices=st.binary(min_size=CHURN_BYTES, max_size=CHURN_BYTES))
    def churn(self, choices: bytes) -> None:
        """Write what is not there and delete what is, one by one, and look after most of them."""
        near = [row for row in strategies.possible_relationships(self.schema) if _near(row)]
        for who, which, when in zip(choices[::3], choices[1::3], choices[2::3], strict=True):
            if not near:
                return
            row = near[which % len(near)]
            process, reader = _PAIRS[who % len(_PAIRS)]
            if row in self.rows:
                self._write(process, [], [row])
            else:
                self._write(process, [row._replace(expires_at_ms=_EXPIRY.get(when))], [])
            if who >= _CLOCK_MOVES_FROM:
                self.now_ms = _CLOCK[when % len(_CLOCK)]
            self._watch(reader)

    @rule(process=PROCESSES, reader=READERS, choices=CHOICES)
    def delete(self, process: str, reader: str, choices: list[int]) -> None:
        """Some of what is stored, and something that is not."""
        stored = list(self.rows)
        possible = strategies.possible_relationships(self.schema)
        deletes = [stored[choice % len(stored)] for choice in choices if stored]
        deletes += possible[choices[0] % len(possible) :][:1] if possible else []
        self._write(process, [], list(dict.fromkeys(deletes)))
        self._watch(reader)

    @rule(process=PROCESSES, reader=READERS, choices=CHOICES, data=st.data())
    def replace(self, process: str, reader: str, choices: list[int], data: st.DataObject) -> None:
        """Delete and write in one commit, one and the same relationship among them."""
        stored = list(self.rows)
        deletes = list(dict.fromkeys(stored[choice % len(stored)] for choice in choices if stored))
        drawn = data.draw(strategies.relationship_lists(self.schema))[:4]
        writes = {row._replace(expires_at_ms=None): row for row in [*deletes[:1], *drawn]}
        self._write(process, list(writes.values()), deletes)
        self._watch(reader)

    @rule(reader=READERS, now_ms=TIMES)
    def look_at_another_time(self, reader: str, now_ms: int) -> None:
        """Questions are asked at another time, later or earlier."""
        self.now_ms = now_ms
        self._watch(reader)

    @rule(process=PROCESSES, reader=READERS, model=MODELS)
    def change_model(self, process: str, reader: str, model: dict[str, Any]) -> None:
        """Another model; what it has no place for is deleted first."""
        schema = strategies.compiled(model)
        orphans = [row for row in self.rows if not _allowed(schema, row)]
        if orphans:
            self._write(process, [], orphans)
        revision = self.processes[process].put_model(self.application, model)
        self._learn(schema)
        self.history.append(Point(revision, dict(self.rows)))
        self._watch(reader)

    @rule(process=PROCESSES, room=strategies.MEMO_BYTES)
    def start_afresh(self, process: str, room: int) -> None:
        """A process forgets every memo and every compiled model; it may have room for few."""
        self.processes[process].forget(room)

    @rule(process=PROCESSES)
    def collect(self, process: str) -> None:
        """All history goes; processes that have not followed find their changes collected."""
        self.processes[process].collect()
        del self.history[:-1]

    @rule(process=PROCESSES, choices=CHOICES, pin=st.none() | st.integers(0, HISTORY_MAX))
    def ask(self, process: str, choices: list[int], pin: int | None) -> None:
        """Questions about now, or as of an earlier revision (under today's model)."""
        point, revision = self.history[-1], None
        if pin is not None:
            point = self.history[max(-1 - pin, -len(self.history))]
            revision = point.revision
        self._ask(process, self._probes(choices), point.rows, revision)

    @rule(process=PROCESSES)
    def hold(self, process: str) -> None:
        """Keep a view open."""
        self.processes[process].hold(self.application, now_ms=self.now_ms)
        self.held[process] = Held(dict(self.rows), self.schema, self.now_ms)

    @precondition(lambda self: self.held)
    @rule(choices=CHOICES, data=st.data())
    def ask_held(self, choices: list[int], data: st.DataObject) -> None:
        """A view that is open answers as of its revision, model and time."""
        process = data.draw(st.sampled_from(sorted(self.held)))
        held = self.held[process]
        lookups = every_lookup(held.schema)
        probes = [*_watched(held.schema), lookups[choices[0] % len(lookups)]]
        answers = self.processes[process].ask_held(probes)
        assert_agree(self._reference(held.schema, held.rows, held.now_ms), probes, answers)

    def teardown(self) -> None:
        """No view outlives its run."""
        for process in self.held:
            self.processes[process].release()

    def _write(
        self, process: str, writes: list[Relationship], deletes: list[Relationship]
    ) -> None:
        revision = self.processes[process].write(self.application, writes, deletes)
        for row in deletes:
            self.rows.pop(row, None)
        self.rows.update({row._replace(expires_at_ms=None): row for row in writes})
        self.history.append(Point(revision, dict(self.rows)))

    def _watch(self, reader: str) -> None:
        """The same questions after each change: what is remembered must be forgotten in time."""
        if reader:
            self._ask(reader, self.watched, self.rows, None)

    def _ask(self, process: str, probes: list[Probe], rows: Rows, revision: int | None) -> None:
        answers = self.processes[process].ask(
            self.application, probes, revision=revision, now_ms=self.now_ms
        )
        assert_agree(self._reference(self.schema, rows, self.now_ms), probes, answers)

    def _learn(self, schema: Schema) -> None:
        self.schema = schema
        self.checks = every_check(schema)
        self.lookups = every_lookup(schema)
        self.questions = strategies.all_questions(schema)
        self.watched = _watched(schema)

    def _probes(self, choices: list[int]) -> list[Probe]:
        probes = self.watched + [self.checks[choice % len(self.checks)] for choice in choices]
        start = choices[0] % len(self.questions)
        probes.append(("check_many", (self.questions[start : start + 40],)))
        probes += [self.lookups[choice % len(self.lookups)] for choice in choices]
        question = self.questions[choices[-1] % len(self.questions)]
        probes.append(("explain", (question,)))
        probes.append(("expand", (question.resource, question.relation)))
        return probes

    def _reference(self, schema: Schema, rows: Rows, now_ms: int) -> Reference:
        allowed = [row for row in rows.values() if _allowed(schema, row)]
        return Reference(schema, allowed, now_ms)


def _near(row: Relationship) -> bool:
    """Whether it is between the few names that are watched."""
    return {row.resource_id, row.subject_id} <= {"1", "2", WILDCARD}


def _watched(schema: Schema) -> list[Probe]:
    """Whether two users and a group are in anything at all."""
    subjects = [SubjectRef("user", "1"), SubjectRef("user", "2")]
    subjects += [
        SubjectRef(type_name, "1", relation)
        for type_name, relation in strategies.goals(schema)[:1]
    ]
    return [
        ("check", (CheckQuestion(subject, ObjectRef(type_name, resource_id), relation),))
        for type_name, relation in strategies.goals(schema)
        for resource_id in strategies.IDS[:2]
        for subject in subjects
    ]


def _allowed(schema: Schema, row: Relationship) -> bool:
    try:
        schema.validate_relationship(row)
    except InputError:
        return False
    return True


@pytest.mark.slow
@pytest.mark.parametrize("sizes", thresholds.ALL)
def test_every_answer_equals_the_reference(
    installation: Installation, peer: Peer, sizes: str
) -> None:
    """Whatever happened before, in whichever process, and whatever counts as large there."""

    class BetweenTheTwo(Machine):
        def __init__(self) -> None:
            super().__init__(installation, peer)

    before = installation.tune(thresholds.ALL[sizes])
    peer.tune(thresholds.ALL[sizes])
    try:
        run_state_machine_as_test(
            BetweenTheTwo,
            settings=settings(stateful_step_count=20, report_multiple_bugs=False),
        )
    finally:
        installation.tune(before)
        peer.tune(before)

"""Anything may happen to roles, in two processes: every answer still equals the reference.

Policies, roles, assignments, groups, relationships and the catalog change; time moves; views stay
open; the past is asked. What a process remembers of roles must be forgotten in time.
"""

from __future__ import annotations

import threading
from bisect import bisect_right
from copy import deepcopy
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

from tests import builders
from tests.property import thresholds
from tests.property.role_worlds import (
    CATALOGS,
    POLICIES,
    POLICY,
    RESOURCE_IDS,
    ROLE,
    ROLES,
    World,
    all_questions,
    install,
    judge_decision,
    judge_explanation,
    judge_resources,
    judge_subjects,
    picked_assignment,
    possible_relationships,
    worlds,
)
from tests.reference.roles import Assignment, Role, RoleReference, Rules
from tests.strategies import EXPIRIES, MEMO_BYTES, NOW_MS
from zeratul.domain.catalog import Catalog, CatalogResource
from zeratul.domain.relationship import ObjectRef, Relationship, SubjectRef
from zeratul.errors import InputError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.applications import Installation, Peer
    from tests.property.agreement import Probe
    from zeratul.dispatch.engine import Engine
    from zeratul.domain.schema import Schema
    from zeratul.graph.answers import CheckQuestion

PROCESSES = st.sampled_from(["first", "second"])
READERS = st.sampled_from(["first", "second", ""])
"""Who looks after a change; at times nobody, so that several changes are followed at once."""

TIMES = st.sampled_from([NOW_MS + step for step in (0, -2_000, 1, 500, 5_000)])
BYTES = st.binary(min_size=12, max_size=12)
HISTORY_MAX = 8


class Point(NamedTuple):
    """What was stored at one revision; policies, roles and the catalog are always today's."""

    revision: int
    relationships: list[Relationship]
    assignments: dict[Assignment, int | None]


class Machine(RuleBasedStateMachine):
    """One application with roles; the rules are what can happen to it."""

    def __init__(self, first: Installation, second: Peer) -> None:
        super().__init__()
        self.processes: dict[str, Any] = {"first": first, "second": second}
        self.held: dict[str, tuple[World, int]] = {}
        self.now_ms = NOW_MS

    @initialize(world=worlds())
    def create(self, world: World) -> None:
        """An application."""
        self.world = world
        self.application = install(self.processes["first"], world)
        self.rows = {row._replace(expires_at_ms=None): row for row in world.relationships}
        self.history: list[Point] = []
        self._changed(self.processes["first"].assign(self.application, {}))
        self._watch("first")
        self._watch("second")

    @property
    def granted(self) -> Rules:
        """Everything about roles."""
        return self.world.rules

    @rule(process=PROCESSES, reader=READERS, policy=st.sampled_from(POLICIES), content=POLICY)
    def edit_policy(self, process: str, reader: str, policy: str, content: frozenset[str]) -> None:
        """All roles that have it give something else at once."""
        self.granted.policies[policy] = content
        self._changed(
            self.processes[process].put_documents(self.application, policies={policy: content})
        )
        self._watch(reader)

    @rule(process=PROCESSES, reader=READERS, role=st.sampled_from(ROLES), content=ROLE | st.none())
    def edit_role(self, process: str, reader: str, role: str, content: Role | None) -> None:
        """Other policies, another tenant, or gone while it is assigned."""
        if content is None:
            self.granted.roles.pop(role, None)
        else:
            self.granted.roles[role] = content
        self._changed(
            self.processes[process].put_documents(self.application, roles={role: content})
        )
        self._watch(reader)

    @rule(process=PROCESSES, reader=READERS, choices=BYTES)
    def assign(self, process: str, reader: str, choices: bytes) -> None:
        """Assign what is not assigned, some of it for a time only."""
        added: dict[Assignment, int | None] = {}
        for role, where, who, ends in zip(*[iter(choices)] * 4, strict=True):
            expiry = EXPIRIES[ends % len(EXPIRIES)] if ends >= 192 else None
            added[picked_assignment(role, where, who)] = expiry
        self.granted.assignments.update(added)
        self._changed(self.processes[process].assign(self.application, added))
        self._watch(reader)

    @rule(process=PROCESSES, reader=READERS, choices=BYTES)
    def unassign(self, process: str, reader: str, choices: bytes) -> None:
        """Some of what is assigned; the index of a grant goes with its last holder."""
        assigned = list(self.granted.assignments)
        if not assigned:
            return
        removed = list(dict.fromkeys(assigned[byte % len(assigned)] for byte in choices[:3]))
        for each in removed:
            del self.granted.assignments[each]
        kept = list(self.granted.assignments)
        self._changed(self.processes[process].assign(self.application, {}, removed, kept))
        self._watch(reader)

    @rule(process=PROCESSES, reader=READERS, choices=BYTES)
    def churn(self, process: str, reader: str, choices: bytes) -> None:
        """Write relationships that are not there and delete those that are."""
        possible = possible_relationships(self.world.schema)
        for high, low, ends in zip(*[iter(choices)] * 3, strict=True):
            row = possible[(high << 8 | low) % len(possible)]
            writes: list[Relationship] = []
            deletes: list[Relationship] = []
            if row in self.rows:
                del self.rows[row]
                deletes = [row]
            else:
                expiry = EXPIRIES[ends % len(EXPIRIES)] if ends >= 192 else None
                writes = [row._replace(expires_at_ms=expiry)]
                self.rows[row] = writes[0]
            self._changed(self.processes[process].write(self.application, writes, deletes))
            self._watch(reader)

    @rule(process=PROCESSES, reader=READERS, catalog=st.sampled_from(CATALOGS))
    def change_catalog(self, process: str, reader: str, catalog: Catalog) -> None:
        """Actions come and go, resources have another segment; what has no place goes first."""
        changed = self.world._replace(
            rules=Rules(
                catalog, self.granted.policies, self.granted.roles, self.granted.assignments
            )
        )
        orphans = [row for row in self.rows if not _allowed(changed.schema, row)]
        if orphans:
            for row in orphans:
                del self.rows[row]
            self._changed(self.processes[process].write(self.application, [], orphans))
        self.world = changed
        _, revision = self.processes[process].put_rules(
            self.application, self.world.model, catalog
        )
        self._changed(revision)
        self._watch(reader)

    @rule(reader=READERS, now_ms=TIMES)
    def look_at_another_time(self, reader: str, now_ms: int) -> None:
        """Questions are asked at another time, later or earlier."""
        self.now_ms = now_ms
        self._watch(reader)

    @rule(process=PROCESSES, room=MEMO_BYTES)
    def start_afresh(self, process: str, room: int) -> None:
        """A process forgets everything; it may have room for few memos."""
        self.processes[process].forget(room)

    @rule(process=PROCESSES)
    def collect(self, process: str) -> None:
        """All history goes."""
        self.processes[process].collect()
        del self.history[:-1]

    @rule(process=PROCESSES, choices=BYTES, pin=st.none() | st.integers(0, HISTORY_MAX))
    def ask(self, process: str, choices: bytes, pin: int | None) -> None:
        """Questions in every form about now, or as of an earlier revision under today's rules."""
        point, revision = self.history[-1], None
        if pin is not None:
            point = self.history[max(-1 - pin, -len(self.history))]
            revision = point.revision
        self._ask(process, self.world, point, self._probes(choices), revision=revision)

    @rule(process=PROCESSES)
    def hold(self, process: str) -> None:
        """Keep a view open."""
        self.processes[process].hold(self.application, now_ms=self.now_ms)
        self.held[process] = (deepcopy(self._now()), self.now_ms)

    @precondition(lambda self: self.held)
    @rule(choices=BYTES, data=st.data())
    def ask_held(self, choices: bytes, data: st.DataObject) -> None:
        """A view that is open answers by what was there when it was opened, roles too."""
        process = data.draw(st.sampled_from(sorted(self.held)))
        world, now_ms = self.held[process]
        probes = _probes(world, choices)
        answers = self.processes[process].ask_held(probes)
        _judge(world.reference(now_ms), probes, answers)

    def teardown(self) -> None:
        """No view outlives its run."""
        for process in self.held:
            self.processes[process].release()

    def _now(self) -> World:
        return self.world._replace(relationships=list(self.rows.values()))

    def _changed(self, revision: int) -> None:
        point = Point(revision, list(self.rows.values()), dict(self.granted.assignments))
        self.history.append(point)

    def _probes(self, choices: bytes) -> list[Probe]:
        return _probes(self.world, choices)

    def _watch(self, reader: str) -> None:
        """The same questions after each change: what is remembered must be forgotten in time."""
        if reader:
            probes: list[Probe] = [("decide", (each,)) for each in _watched(self.world)]
            self._ask(reader, self.world, self.history[-1], probes)

    def _ask(
        self,
        process: str,
        world: World,
        point: Point,
        probes: list[Probe],
        *,
        revision: int | None = None,
    ) -> None:
        schema = world.schema
        rows = [row for row in point.relationships if _allowed(schema, row)]
        rules = Rules(
            world.rules.catalog, world.rules.policies, world.rules.roles, point.assignments
        )
        answers = self.processes[process].ask(
            self.application, probes, revision=revision, now_ms=self.now_ms
        )
        _judge(RoleReference(schema, rows, rules, self.now_ms), probes, answers)


def _watched(world: World) -> list[CheckQuestion]:
    """Whether two users may read or update a few things."""
    return [
        question
        for question in all_questions(world.schema, (None, "t"))
        if question.subject in {SubjectRef("user", "1"), SubjectRef("user", "2")}
        and question.resource.id in {"", "1", "1/1"}
    ]


def _probes(world: World, choices: bytes) -> list[Probe]:
    """Some questions of every form."""
    questions = all_questions(world.schema)
    chosen = [
        questions[(high << 8 | low) % len(questions)]
        for high, low in zip(choices[::2], choices[1::2], strict=True)
    ]
    first, second = chosen[:2]
    probes: list[Probe] = [("decide", (each,)) for each in chosen]
    probes.append(("decide_many", (_watched(world) + chosen,)))
    probes.append(
        ("lookup_resources", (first.subject, first.resource.type, first.relation, first.tenant))
    )
    resource = ObjectRef(second.resource.type, RESOURCE_IDS[choices[0] % len(RESOURCE_IDS)])
    form = [("user", ""), ("group", "member")][choices[1] % 2]
    probes.append(("lookup_subjects", (resource, second.relation, *form, second.tenant)))
    probes.append(("explain", (first,)))
    return probes


def _judge(reference: RoleReference, probes: list[Probe], answers: list[Any]) -> None:
    for (method, arguments), answer in zip(probes, answers, strict=True):
        if method == "decide":
            judge_decision(reference, arguments[0], answer)
        elif method == "decide_many":
            for question, decision in zip(arguments[0], answer, strict=True):
                judge_decision(reference, question, decision)
        elif method == "explain":
            judge_explanation(reference, arguments[0], answer)
        elif method == "lookup_resources":
            judge_resources(reference, answer, *arguments)
        else:
            judge_subjects(reference, answer, *arguments)


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


READERS_AT_ONCE = 3
EDITS = 60
_EVERYBODY = SubjectRef("user", "1")
_SIMPLE = World(
    builders.model({}),
    [],
    Rules(
        Catalog({"documents": CatalogResource("documents", actions=("read", "update"))}),
        {"pol_1": frozenset({"documents:read"}), "pol_2": frozenset({"documents:update"})},
        {"role_1": Role(("pol_1",))},
        {Assignment("role_1", None, (), _EVERYBODY): None},
    ),
)
_ASKED = [builders.question(f"documents:1#{action}@user:1") for action in ("read", "update")]

_Note = tuple[int, int, int, bool | None]
"""What was committed before, the revision of the answer, which question, and whether by a role."""


def _told(engine: Engine, application: int, since: int) -> Iterator[_Note]:
    """Each question asked out of memory, where it is there, and of a view."""
    for number, question in enumerate(_ASKED):
        known = engine.recall(application, question)
        if known is not None:
            yield since, known[0], number, known[1].via_role
    with engine.view(application) as view:
        for number, question in enumerate(_ASKED):
            yield since, view.revision, number, view.decide(question).via_role


@pytest.mark.slow
@pytest.mark.parametrize("writer", ["this process", "the other process"])
def test_every_view_answers_by_the_roles_of_its_revision(
    installation: Installation, peer: Peer, writer: str
) -> None:
    """Threads share one engine while policies and roles are edited, here or elsewhere.

    Out of memory or not, and nobody is told less than what was committed before he asked.
    """
    application = install(installation, _SIMPLE)
    with installation.engine.view(application) as view:
        book = [(view.revision, [True, False])]
    done = threading.Event()
    notes: list[_Note] = []
    failures: list[BaseException] = []

    def reader() -> None:
        try:
            while not done.is_set():
                notes.extend(_told(installation.engine, application, book[-1][0]))
        except BaseException as error:  # noqa: BLE001 - shown by the assertion below
            failures.append(error)

    threads = [threading.Thread(target=reader) for _ in range(READERS_AT_ONCE)]
    for thread in threads:
        thread.start()
    process: Any = installation if writer == "this process" else peer
    given = {"pol_1": "read", "pol_2": "update"}
    role = "pol_1"
    try:
        for number in range(EDITS):
            if number % 2:
                role = "pol_2" if role == "pol_1" else "pol_1"
                revision = process.put_documents(application, roles={"role_1": Role((role,))})
            else:
                changed = ("pol_1", "pol_2")[number // 2 % 2]
                given[changed] = "update" if given[changed] == "read" else "read"
                revision = process.put_documents(
                    application, policies={changed: [f"documents:{given[changed]}"]}
                )
            book.append((revision, [given[role] == action for action in ("read", "update")]))
    finally:
        done.set()
        for thread in threads:
            thread.join()
    assert not failures
    revisions = [revision for revision, _ in book]
    assert len({revision for _, revision, _, _ in notes}) > 1
    for since, revision, number, said in notes:
        assert revision >= since
        assert said == book[bisect_right(revisions, revision) - 1][1][number], revision

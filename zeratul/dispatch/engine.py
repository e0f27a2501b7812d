"""The one door to the evaluator: a view is one snapshot of one application with its schema.

Every answer of a view is as of one revision and one time. Views are cheap (microseconds) and
short-lived: no LMDB snapshot outlives a few seconds (design §4).

Decision: a view at a past revision reads past relationships under the current schema. Context: a
page's cursor goes on at its revision; a schema change between two pages would make them speak of
different rules. Outcome: whoever pins a revision compares ``schema_revision`` and refuses to go
on.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Self, TypeVar

from zeratul.dispatch.driver import drive
from zeratul.dispatch.explaining import explain
from zeratul.dispatch.memos import Memos
from zeratul.dispatch.naming import Naming
from zeratul.dispatch.overlay import Overlay
from zeratul.dispatch.recent import RecentAnswers
from zeratul.dispatch.state import MODEL_KIND, ApplicationState, load_state
from zeratul.domain.vocabulary import SELF
from zeratul.errors import InternalError, LimitError, ZeratulError
from zeratul.graph.check import check
from zeratul.graph.check_many import check_many
from zeratul.graph.expand import expand
from zeratul.graph.lookup_resources import closure, held, holding_keys, lookup_resources
from zeratul.graph.lookup_subjects import lookup_subjects
from zeratul.graph.requests import Budget, Closure, Subject

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from pyroaring import BitMap

    from zeratul.dispatch.memos import Memo
    from zeratul.domain.limits import Limits
    from zeratul.domain.membership import Membership
    from zeratul.domain.relationship import ObjectRef, Relationship, SubjectRef
    from zeratul.graph.answers import (
        CheckQuestion,
        ExpandNode,
        Explanation,
        ResourceAnswer,
        SubjectAnswer,
    )
    from zeratul.graph.requests import Evaluation
    from zeratul.store.interface import Snapshot, Store

Answer = TypeVar("Answer")

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


_Asked = tuple[Subject, int, int]
"""A question in numbers: subject, resource node, slot."""


class Engine:
    """Opens views; owns compiled schemas and memos of this process. Safe to share by threads."""

    def __init__(self, store: Store, limits: Limits) -> None:
        self.store = store
        self.limits = limits
        self.memos = Memos(limits.memo_bytes_max, self._documents_changed)
        self._states: dict[int, ApplicationState] = {}
        self._recent = RecentAnswers(0)
        self._listeners: list[Callable[[Iterable[tuple[int, str, str]]], None]] = []

    def on_documents(self, listener: Callable[[Iterable[tuple[int, str, str]]], None]) -> None:
        """Call ``listener`` with (application, kind, id) of documents that commits changed.

        An empty call means that everything may have changed. It runs while a view is being opened,
        before that view answers anything.
        """
        self._listeners.append(listener)

    def view(
        self, application: int, *, revision: int | None = None, now_ms: int | None = None
    ) -> View:
        """A view of the latest commit, or as of a revision and time.

        Raises:
            RevisionError: the revision is in the future or was collected.
        """
        snapshot = self.store.snapshot(now_ms=now_ms, revision=revision)
        try:
            self.memos.follow(snapshot)
            state = self._states.get(application)
            if state is None or state.schema_revision > snapshot.head:
                state = self._load(application, snapshot)
            return View(self, application, snapshot, state, self._recent_at(snapshot))
        except BaseException:
            snapshot.close()
            raise

    def follow(self) -> None:
        """Learn what other processes committed, without asking anything."""
        with self.store.snapshot() as snapshot:
            self.memos.follow(snapshot)

    def _recent_at(self, snapshot: Snapshot) -> RecentAnswers | None:
        """Answers of the snapshot's revision; None for the past, which is rarely asked twice."""
        recent = self._recent
        if recent.revision != snapshot.revision:
            if snapshot.revision < recent.revision or snapshot.revision != snapshot.head:
                return None
            recent = self._recent = RecentAnswers(snapshot.revision)
        return recent

    def _documents_changed(self, documents: Iterable[tuple[int, str, str]]) -> None:
        documents = list(documents)
        if not documents:
            self._states.clear()
        for application, kind, _ in documents:
            if kind == MODEL_KIND and self._states.pop(application, None) is not None:
                self.memos.forget(application)
        for listener in self._listeners:
            listener(documents)

    def _load(self, application: int, snapshot: Snapshot) -> ApplicationState:
        state = load_state(application, snapshot, self.limits)
        # INVARIANT: only a state that is true at ``applied`` is kept for later views. One with
        # provisional slots is not: a write may intern them without touching the model. Changes
        # reach only a kept state's memos, so both happen under one lock; the memos of any other
        # state die with its view.
        with self.memos.lock:
            if snapshot.head == self.memos.applied and not state.is_provisional:
                self._states[application] = state
                self.memos.adopt(application, state.table)
        return state


class View:
    """One snapshot of one application. Use as a context manager.

    Attributes:
        application: its number.
        snapshot: the store's snapshot, for scans and names.
        schema: the compiled schema (built-in types included; empty model = built-ins only).
        schema_revision: revision of the commit that set the model, 0 without one.
        vocabulary: slots by name.
        revision: what the answers are as of.
    """

    __slots__ = (
        "_deadline",
        "_engine",
        "_expiring",
        "_recent",
        "_state",
        "application",
        "revision",
        "schema",
        "schema_revision",
        "snapshot",
        "vocabulary",
    )

    def __init__(
        self,
        engine: Engine,
        application: int,
        snapshot: Snapshot,
        state: ApplicationState,
        recent: RecentAnswers | None,
    ) -> None:
        self._engine = engine
        self._state = state
        self._recent = recent
        self._expiring = False  # whether a memo that ends at some time was used
        self._deadline = time.monotonic() + engine.limits.request_timeout_s
        self.application = application
        self.snapshot = snapshot
        self.schema = state.schema
        self.schema_revision = state.schema_revision
        self.vocabulary = state.vocabulary
        self.revision = snapshot.revision

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *details: object) -> None:
        self.snapshot.close()

    def close(self) -> None:
        """Release the snapshot."""
        self.snapshot.close()

    def slot(self, type_name: str, relation: str) -> int:
        """The number of a declared relation or permission.

        Raises:
            UnknownNameError: type or relation not declared.
        """
        return self._state.slot(type_name, relation)

    def check(
        self, question: CheckQuestion, contextual: Sequence[Relationship] = ()
    ) -> Membership:
        """Whether the subject is a member.

        Raises:
            UnknownNameError: type or relation not declared.
            LimitError: the read budget is used up; nothing was decided.
        """
        known = None if contextual else self._known(question)
        if known is not None:
            return known
        slot = self.slot(question.resource.type, question.relation)
        naming = Naming(self.snapshot, self._state)
        subject, node = naming.question(question)
        if contextual:
            return self._decide(subject, node, slot, self._overlay(naming, contextual))
        answer = self._decide(subject, node, slot, None)
        self._remember(question, answer)
        return answer

    def _known(self, question: CheckQuestion) -> Membership | None:
        recent = self._recent
        if recent is None:
            return None
        return recent.get(self.application, question, self.snapshot.now_ms)

    def _remember(self, question: CheckQuestion, answer: Membership) -> None:
        snapshot = self.snapshot
        if self._recent is not None and not self._expiring and snapshot.expires_min_ms is None:
            self._recent.put(self.application, question, snapshot.now_ms, answer)

    def _decide(
        self, subject: Subject, node: int, slot: int, source: Overlay | None
    ) -> Membership:
        budget = Budget(self._engine.limits.check_reads_max, "check_reads_max")
        evaluation = check(self._state.plan, subject, node, slot, budget)
        return self._run(evaluation, source)

    def check_many(
        self, questions: Sequence[CheckQuestion], contextual: Sequence[Relationship] = ()
    ) -> list[Membership | ZeratulError]:
        """Answers in order; an item's own error stands in its place."""
        answers: list[Membership | ZeratulError | None] = [None] * len(questions)
        if not contextual:
            answers = [self._known(question) for question in questions]
        naming = Naming(self.snapshot, self._state)
        naming.warm(
            question for question, known in zip(questions, answers, strict=True) if known is None
        )
        source = self._overlay(naming, contextual) if contextual else None
        asked: dict[int, _Asked] = {}
        for index, question in enumerate(questions):
            if answers[index] is not None:
                continue
            try:
                slot = self.slot(question.resource.type, question.relation)
                asked[index] = (*naming.question(question), slot)
            except ZeratulError as error:
                answers[index] = error
        decided = self._decide_many(dict.fromkeys(asked.values()), source)
        for index, question_asked in asked.items():
            answer = answers[index] = decided[question_asked]
            if source is None and not isinstance(answer, ZeratulError):
                self._remember(questions[index], answer)
        return answers  # type: ignore[return-value]  # every place is filled by now

    def _decide_many(
        self, questions: Iterable[_Asked], source: Overlay | None
    ) -> dict[_Asked, Membership | ZeratulError]:
        """Each different question once: together where that is possible, alone where not."""
        decided: dict[_Asked, Membership | ZeratulError] = {}
        alone: list[_Asked] = []
        together: list[_Asked] = []
        for question in questions:
            (together if question[2] in self._state.plan.union_only else alone).append(question)
        budget = Budget(self._engine.limits.check_reads_max, "check_reads_max")
        try:
            answers = self._run(check_many(self._state.plan, together, budget), source)
        except LimitError:
            alone.extend(together)  # each with a budget of its own
        else:
            for question, answer in zip(together, answers, strict=True):
                if answer is None:
                    alone.append(question)
                else:
                    decided[question] = answer
        for question in alone:
            subject, node, slot = question
            try:
                decided[question] = self._decide(subject, node, slot, source)
            except ZeratulError as error:
                decided[question] = error
        return decided

    def explain(
        self,
        question: CheckQuestion,
        contextual: Sequence[Relationship] = (),
        deletes: Sequence[Relationship] = (),
    ) -> Explanation:
        """Why or why not, bypassing memos; ``deletes`` are taken as absent.

        Raises:
            UnknownNameError: type or relation not declared.
            LimitError: the decision itself needs too many reads.
        """
        slot = self.slot(question.resource.type, question.relation)
        naming = Naming(self.snapshot, self._state)
        subject, node = naming.question(question)
        # Always over an overlay: memos are never asked, and suggestions are tried on top of it.
        return explain(
            self._state.plan,
            subject,
            node,
            slot,
            naming=naming,
            source=self._overlay(naming, contextual, deletes),
            run=self._run,
            limits=self._engine.limits,
        )

    def expand(self, resource: ObjectRef, relation: str, *, subjects_max: int) -> ExpandNode:
        """The userset's tree.

        Raises:
            UnknownNameError: type or relation not declared.
            LimitError: the read budget is used up.
        """
        limits = self._engine.limits
        slot = self.slot(resource.type, relation)
        naming = Naming(self.snapshot, self._state)
        node = naming.node(resource.type, resource.id)
        evaluation = expand(
            self._state.plan,
            node,
            slot,
            subjects_max=subjects_max,
            nodes_max=limits.explain_nodes_max,
            budget=Budget(limits.lookup_reads_max, "lookup_reads_max"),
        )
        return naming.expansion(self._run(evaluation, None))

    def lookup_resources(
        self, subject: SubjectRef, type_name: str, relation: str
    ) -> ResourceAnswer:
        """Every resource of the type that the subject has the relation to.

        Raises:
            UnknownNameError: type or relation not declared.
            LimitError: the read budget is used up.
        """
        slot = self.slot(type_name, relation)
        naming = Naming(self.snapshot, self._state)
        asked = naming.subject(subject)
        budget = Budget(self._engine.limits.lookup_reads_max, "lookup_reads_max")
        answer = self._run(lookup_resources(self._state.plan, asked, slot, budget), None)
        return naming.without_own_resources(answer)

    def lookup_subjects(
        self, resource: ObjectRef, relation: str, subject_type: str, subject_relation: str = ""
    ) -> SubjectAnswer:
        """Every subject of the form that has the relation to the resource.

        Raises:
            UnknownNameError: type or relation not declared.
            LimitError: the read budget is used up.
        """
        slot = self.slot(resource.type, relation)
        self.schema.type(subject_type, field="subjectType")
        if subject_relation:
            subject_slot = self.slot(subject_type, subject_relation)
        else:
            subject_slot = self.vocabulary.slots[subject_type, SELF]
        naming = Naming(self.snapshot, self._state)
        node = naming.node(resource.type, resource.id)
        budget = Budget(self._engine.limits.lookup_reads_max, "lookup_reads_max")
        evaluation = lookup_subjects(self._state.plan, node, slot, subject_slot, budget)
        return naming.without_own_subjects(self._run(evaluation, None))

    def _overlay(
        self, naming: Naming, added: Sequence[Relationship], removed: Sequence[Relationship] = ()
    ) -> Overlay:
        for relationship in added:
            self.schema.validate_relationship(relationship, prefix="contextualRelationships.")
        return Overlay(
            self.snapshot,
            [naming.row(relationship) for relationship in added],
            [naming.row(relationship) for relationship in removed],
        )

    def _run(self, evaluation: Evaluation[Answer], source: Overlay | None) -> Answer:
        if source is None:
            return drive(evaluation, self.snapshot, self._answer_closure, self._deadline)
        return drive(
            evaluation,
            source,
            lambda request: self._closure_over(source, request[0]),
            self._deadline,
        )

    def _closure_over(self, source: Overlay, subject: Subject) -> Closure:
        budget = Budget(self._engine.limits.check_reads_max, "check_reads_max")
        made = closure(self._state.plan, subject, budget)
        return drive(made, source, _no_closure, self._deadline)

    def _answer_closure(self, request: tuple[Subject, bool]) -> Closure | None:
        """The subject's closure, from a memo or made and kept; None if large and it may wait."""
        subject, must = request
        memo = self._memo(subject)
        if memo is not None:
            self._expiring = self._expiring or memo.expires_ms is not None
            if memo.may_widen and memo.uses >= _USES_BEFORE_WIDE:
                memo.may_widen = False
                return self._widen(subject) or memo.closure
            return memo.closure
        keys = holding_keys(self._state.plan, subject)
        count = sum(self.snapshot.resource_counts(keys))
        if not must and count > _HELD_USERSETS_FEW:
            return None
        return self._make(subject, keys, count)[0]

    def _memo(self, subject: Subject) -> Memo | None:
        return self._engine.memos.get(
            self._state.table,
            (subject.node, subject.slot),
            self.snapshot.revision,
            self.snapshot.now_ms,
        )

    def _keep(self, subject: Subject, made: Closure, expires: int | None) -> None:
        self._engine.memos.put(
            self._state.table,
            (subject.node, subject.slot),
            made,
            revision=self.snapshot.revision,
            now_ms=self.snapshot.now_ms,
            expires_ms=expires,
        )

    def _widen(self, subject: Subject) -> Closure | None:
        """A wide closure, kept; None where it would be too large."""
        budget = Budget(_WIDE_READS_MAX, "check_reads_max")
        evaluation = closure(self._state.plan, subject, budget, wide=True)
        try:
            made = drive(evaluation, self.snapshot, _no_closure, self._deadline)
        except LimitError:
            return None  # the narrow one answers as well, goal by goal
        self._keep(subject, made, self.snapshot.expires_min_ms)
        return made

    def _make(
        self, subject: Subject, keys: list[tuple[int, int, int]], count: int
    ) -> tuple[Closure, int | None]:
        """A narrow closure and the time it ends, put together from memos where that is cheaper."""
        plan = self._state.plan
        if subject.slot not in plan.bodies and count <= _COMPOSED_USERSETS_MAX:
            made, expires = self._compose(held(plan, subject, self.snapshot.resources(keys)))
        else:
            budget = Budget(self._engine.limits.check_reads_max, "check_reads_max")
            evaluation = closure(plan, subject, budget)
            made = drive(evaluation, self.snapshot, _no_closure, self._deadline)
            expires = self.snapshot.expires_min_ms
        if not plan.containers:
            made = made._replace(wide=True)
        self._keep(subject, made, expires)
        return made, expires

    def _compose(self, directly: dict[int, BitMap]) -> tuple[Closure, int | None]:
        """The closure of a subject from those of the usersets it is directly in."""
        parts = []
        ends = [self.snapshot.expires_min_ms]
        for slot, nodes in directly.items():
            for node in nodes:
                userset = Subject(node, slot)
                memo = self._memo(userset)
                if memo is not None:
                    self._expiring = self._expiring or memo.expires_ms is not None
                part, end = (
                    self._make(userset, [], 0) if memo is None else (memo.closure, memo.expires_ms)
                )
                parts.append(part.sets)
                ends.append(end)
        # A memo that was made meanwhile may have read further expiries.
        ends.append(self.snapshot.expires_min_ms)
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

"""A view: one snapshot of one application with its schema, and every question asked of it.

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

from zeratul.dispatch.closures import Closures
from zeratul.dispatch.driver import drive
from zeratul.dispatch.explaining import explain
from zeratul.dispatch.naming import Naming
from zeratul.dispatch.overlay import Overlay
from zeratul.domain.vocabulary import SELF
from zeratul.errors import LimitError, ZeratulError
from zeratul.graph.check import check
from zeratul.graph.check_many import check_many
from zeratul.graph.expand import expand
from zeratul.graph.lookup_resources import lookup_resources
from zeratul.graph.lookup_subjects import lookup_subjects
from zeratul.graph.requests import Budget, Subject

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from zeratul.dispatch.memos import Memos
    from zeratul.dispatch.recent import RecentAnswers
    from zeratul.dispatch.state import ApplicationState
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
    from zeratul.graph.requests import Closure, Evaluation
    from zeratul.store.interface import Snapshot

Answer = TypeVar("Answer")

_Asked = tuple[Subject, int, int]
"""A question in numbers: subject, resource node, slot."""


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
        "_closures",
        "_deadline",
        "_limits",
        "_memos",
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
        application: int,
        snapshot: Snapshot,
        state: ApplicationState,
        *,
        memos: Memos,
        recent: RecentAnswers | None,
        limits: Limits,
    ) -> None:
        self._state = state
        self._memos = memos
        self._recent = recent
        self._limits = limits
        self._closures: Closures | None = None  # many questions need none
        self._deadline = time.monotonic() + limits.request_timeout_s
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
        if self._recent is None or snapshot.expires_min_ms is not None:
            return
        if self._closures is None or not self._closures.expiring:
            self._recent.put(self.application, question, snapshot.now_ms, answer)

    def _decide(
        self, subject: Subject, node: int, slot: int, source: Overlay | None
    ) -> Membership:
        budget = Budget(self._limits.check_reads_max, "check_reads_max")
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
        budget = Budget(self._limits.check_reads_max, "check_reads_max")
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
            limits=self._limits,
        )

    def expand(self, resource: ObjectRef, relation: str, *, subjects_max: int) -> ExpandNode:
        """The userset's tree.

        Raises:
            UnknownNameError: type or relation not declared.
            LimitError: the read budget is used up.
        """
        limits = self._limits
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
        budget = Budget(self._limits.lookup_reads_max, "lookup_reads_max")
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
        budget = Budget(self._limits.lookup_reads_max, "lookup_reads_max")
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
            return drive(evaluation, self.snapshot, self._closure, self._deadline)
        return drive(
            evaluation,
            source,
            lambda request: self._prepared().over(source, request[0]),
            self._deadline,
        )

    def _closure(self, request: tuple[Subject, bool]) -> Closure | None:
        return self._prepared().answer(request)

    def _prepared(self) -> Closures:
        if self._closures is None:
            self._closures = Closures(
                self.snapshot, self._state, self._memos, self._limits, self._deadline
            )
        return self._closures

"""A view: one snapshot of one application with its schema, and every question asked of it.

Every answer of a view is as of one revision and one time. Views are cheap (microseconds) and
short-lived: no LMDB snapshot outlives a few seconds (design §4).

A question is answered by relationships or by a role. Where roles cannot matter (an application
without any, a relation that is no declared action) they cost nothing and are said to say no.

Decision: a view at a past revision reads past relationships under the current schema. Context: a
page's cursor goes on at its revision; a schema change between two pages would make them speak of
different rules. Outcome: whoever pins a revision compares ``schema_revision`` and refuses to go
on. Roles and policies are read as of today as well; ``View.roles_moved`` tells.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from zeratul.dispatch.basis import basis_of, noting
from zeratul.dispatch.deciding import NOT_ON_TYPE, WITHOUT_ROLES, combined
from zeratul.dispatch.explaining import explain, explain_on_type
from zeratul.dispatch.explaining_roles import explain_roles
from zeratul.dispatch.holding import held_on, permissions_given
from zeratul.dispatch.naming import Naming
from zeratul.dispatch.opened import Opened
from zeratul.domain.relationship import ObjectRef
from zeratul.domain.vocabulary import REQUEST_NODES_FIRST, SELF
from zeratul.errors import ZeratulError
from zeratul.graph.check import check
from zeratul.graph.expand import expand
from zeratul.graph.lookup_resources import lookup_resources
from zeratul.graph.lookup_subjects import lookup_subjects
from zeratul.graph.requests import Budget
from zeratul.graph.roles import RoleQuestion, decide

if TYPE_CHECKING:
    from collections.abc import Sequence

    from zeratul.dispatch.deciding import Asked
    from zeratul.dispatch.recent import RecentAnswers
    from zeratul.domain.membership import Membership
    from zeratul.domain.relationship import Relationship, SubjectRef
    from zeratul.graph.answers import (
        CheckQuestion,
        Decision,
        ExpandNode,
        Explanation,
        ResourceAnswer,
        SubjectAnswer,
    )
    from zeratul.graph.requests import Request, Subject


class View(Opened):
    """One snapshot of one application. Use as a context manager."""

    __slots__ = ()

    def check(
        self, question: CheckQuestion, contextual: Sequence[Relationship] = ()
    ) -> Membership:
        """Whether the subject is a member, by relationships or by a role.

        Raises:
            UnknownNameError: type or relation not declared.
            LimitError: the read budget is used up; nothing was decided.
        """
        return self.decide(question, contextual).membership

    def check_many(
        self, questions: Sequence[CheckQuestion], contextual: Sequence[Relationship] = ()
    ) -> list[Membership | ZeratulError]:
        """Answers in order; an item's own error stands in its place."""
        return [
            answer if isinstance(answer, ZeratulError) else answer.membership
            for answer in self.decide_many(questions, contextual)
        ]

    def decide(self, question: CheckQuestion, contextual: Sequence[Relationship] = ()) -> Decision:
        """Whether the subject is a member, and by which way.

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
        source = self._overlay(naming, contextual) if contextual else None
        plan = self._state.plan
        role = self._role_question(question, subject) if self._state.permissions else None
        budget = Budget(self._limits.check_reads_max, "check_reads_max")
        requests: list[Request] = []
        if role is not None:
            answer = self._run(noting(decide(plan, node, slot, role, budget), requests), source)
        elif node is not None:
            evaluation = noting(check(plan, subject, node, slot, budget), requests)
            answer = WITHOUT_ROLES[self._run(evaluation, source)]
        else:
            answer = NOT_ON_TYPE
        recent = self._remembering() if source is None else None
        if recent is not None:
            is_known = max(subject.node, node or 0) < REQUEST_NODES_FIRST
            basis = basis_of(requests) if is_known and not self._state.is_provisional else None
            now_ms = self.snapshot.now_ms
            recent.put(self.application, question, self.revision, now_ms, answer, basis)
        return answer

    def decide_many(
        self,
        questions: Sequence[CheckQuestion],
        contextual: Sequence[Relationship] = (),
        deletes: Sequence[Relationship] = (),
    ) -> list[Decision | ZeratulError]:
        """Answers in order, ``deletes`` taken as absent; an item's error stands in its place."""
        answers: list[Decision | ZeratulError | None] = [None] * len(questions)
        changed = bool(contextual or deletes)
        if not changed:
            answers = [*self._known_many(questions)]
        undecided = [index for index, answer in enumerate(answers) if answer is None]
        if not undecided:
            return answers  # type: ignore[return-value]  # every place is filled
        naming = Naming(self.snapshot, self._state)
        source = self._overlay(naming, contextual, deletes) if changed else None
        asked: dict[int, Asked] = {}
        roles: dict[int, RoleQuestion] = {}
        permissions = self._state.permissions
        named = naming.many([questions[index] for index in undecided])
        for index, parts in zip(undecided, named, strict=True):
            if isinstance(parts, ZeratulError):
                answers[index] = parts
                continue
            subject, node, slot = parts
            role = self._role_question(questions[index], subject) if permissions else None
            if role is not None:
                roles[index] = role
            if node is not None:
                asked[index] = (subject, node, slot)
            elif role is None:
                answers[index] = NOT_ON_TYPE
        decided = combined(
            self._state.plan,
            asked,
            roles,
            self._limits,
            lambda evaluation: self._run(evaluation, source),
        )
        recent = self._remembering() if source is None else None
        now_ms = self.snapshot.now_ms
        for index, answer in decided.items():
            answers[index] = answer
            if recent is not None and not isinstance(answer, ZeratulError):
                recent.put(self.application, questions[index], self.revision, now_ms, answer)
        return answers  # type: ignore[return-value]  # every place is filled by now

    def permissions_on_types(
        self, subject: SubjectRef, type_names: Sequence[str], tenant: str | None = None
    ) -> list[frozenset[str]]:
        """What roles give the subject on each type as a whole, as policies name it.

        Raises:
            LimitError: the read budget is used up.
        """
        if self._roles is None:
            return [frozenset() for _ in type_names]
        naming = Naming(self.snapshot, self._state)
        asked = naming.subject(subject)
        places = [(self._path(ObjectRef(name, "")), tenant) for name in type_names]
        budget = Budget(self._limits.lookup_reads_max, "lookup_reads_max")
        evaluation = held_on(self._state.plan, asked, places, budget)
        return permissions_given(self._roles, self._run(evaluation, None))

    def _role_question(self, question: CheckQuestion, subject: Subject) -> RoleQuestion | None:
        """What is to be asked of roles, if they can matter."""
        resource = question.resource
        permission = self._state.permissions.get((resource.type, question.relation))
        if permission is None:
            return None
        return RoleQuestion(subject, self._path(resource), permission, question.tenant)

    def _known(self, question: CheckQuestion) -> Decision | None:
        recent = self._recent
        if recent is None:
            return None
        return recent.get(
            self.application, question, self.revision, self.snapshot.now_ms, self._state.table
        )

    def _known_many(self, questions: Sequence[CheckQuestion]) -> list[Decision | None]:
        recent = self._recent
        if recent is None:
            return [None] * len(questions)
        return recent.get_many(
            self.application, questions, self.revision, self.snapshot.now_ms, self._state.table
        )

    def _remembering(self) -> RecentAnswers | None:
        """Where answers are kept, if none of what was read so far ends at some time."""
        if self.snapshot.expires_min_ms is not None:
            return None
        if self._closures is not None and self._closures.expiring:
            return None
        return self._recent

    def explain(
        self,
        question: CheckQuestion,
        contextual: Sequence[Relationship] = (),
        deletes: Sequence[Relationship] = (),
        *,
        one_tenant: bool = False,
    ) -> Explanation:
        """Why or why not, bypassing memos; ``deletes`` are taken as absent.

        Both ways are looked at, and every role the subject holds anywhere; with ``one_tenant``
        nothing is told of other tenants than the question's.

        Raises:
            UnknownNameError: type or relation not declared.
            LimitError: the decision itself needs too many reads.
        """
        slot = self.slot(question.resource.type, question.relation)
        naming = Naming(self.snapshot, self._state)
        subject, node = naming.question(question)
        plan = self._state.plan
        # Always over an overlay: memos are never asked, and suggestions are tried on top of it.
        source = self._overlay(naming, contextual, deletes)
        by_role = None
        if self._roles is not None:
            by_role = explain_roles(
                plan,
                subject,
                (self._path(question.resource), question.tenant),
                self._state.permissions.get((question.resource.type, question.relation)),
                naming=naming,
                roles=self._roles,
                source=source,
                run=self._run,
                limits=self._limits,
                one_tenant=one_tenant,
            )
        if node is None:
            return explain_on_type(question.resource, question.relation, by_role)
        return explain(
            plan,
            subject,
            node,
            slot,
            naming=naming,
            source=source,
            run=self._run,
            limits=self._limits,
            by_role=by_role,
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
        self, subject: SubjectRef, type_name: str, relation: str, tenant: str | None = None
    ) -> ResourceAnswer:
        """Every resource of the type that the subject has the relation to.

        What roles give is told by scopes (``ResourceAnswer.scopes``), never by enumeration.

        Raises:
            UnknownNameError: type or relation not declared.
            LimitError: the read budget is used up.
        """
        slot = self.slot(type_name, relation)
        naming = Naming(self.snapshot, self._state)
        asked = naming.subject(subject)
        budget = Budget(self._limits.lookup_reads_max, "lookup_reads_max")
        permission = self._state.permissions.get((type_name, relation))
        place = (self._path(ObjectRef(type_name, "")), tenant)
        evaluation = lookup_resources(
            self._state.plan,
            asked,
            slot,
            budget,
            by_role=None if permission is None else (permission, place),
        )
        return naming.without_own_resources(self._run(evaluation, None))

    def lookup_subjects(
        self,
        resource: ObjectRef,
        relation: str,
        subject_type: str,
        subject_relation: str = "",
        tenant: str | None = None,
    ) -> SubjectAnswer:
        """Every subject of the form that has the relation to the resource, holders of roles too.

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
        permission = self._state.permissions.get((resource.type, relation))
        place = (self._path(resource), tenant)
        evaluation = lookup_subjects(
            self._state.plan,
            node,
            slot,
            subject_slot,
            budget,
            by_role=None if permission is None else (permission, place),
        )
        return naming.without_own_subjects(self._run(evaluation, None))

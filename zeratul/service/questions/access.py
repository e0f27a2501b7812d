"""Check, explain, expand (contract authaz §6); the lists are in the base class.

A question whose resource has no id is about the type as a whole: roles alone decide it.
"""

from __future__ import annotations

import time
from dataclasses import replace
from typing import TYPE_CHECKING, TypeGuard

from zeratul.domain.membership import Membership
from zeratul.domain.relationship import WILDCARD, ObjectRef, id_is_valid, ids_are_plain
from zeratul.errors import (
    LimitError,
    UnknownNameError,
    ValidationError,
    ZeratulError,
)
from zeratul.graph.answers import CheckQuestion, Decision
from zeratul.service.ground.answers import CheckAnswer
from zeratul.service.ground.directory import APPLICATION_KIND, SERVER
from zeratul.service.ground.labels import require_tenant
from zeratul.service.ground.validation import (
    DIRECT_GRANTS,
    findings_of,
    is_reserved,
    place,
    require_id,
    require_resource,
    require_subject,
    require_type,
    reserved_type,
)
from zeratul.service.questions.access_answers import BulkCheckAnswer, ExpandAnswer
from zeratul.service.questions.explanations import explained
from zeratul.service.questions.lookups import Lookups

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from zeratul.dispatch.view import View
    from zeratul.domain.relationship import Relationship
    from zeratul.service.ground.caller import Caller
    from zeratul.service.ground.foundation import Foundation
    from zeratul.service.questions.access_answers import ExplainAnswer

# LIMIT: subjects an expansion lists on one leaf; it says how many there are.
EXPAND_SUBJECTS_MAX = 100


class _Answers(dict[Decision, CheckAnswer]):
    """The answers of one revision by decision, each made once."""

    def __init__(self, revision: int, zookie: str) -> None:
        super().__init__()
        self.revision = revision
        self.zookie = zookie

    def __missing__(self, decision: Decision) -> CheckAnswer:
        membership, related, by_role = decision
        answer = self[decision] = CheckAnswer(
            allowed=membership is Membership.MEMBER,
            membership=membership,
            via_role=by_role,
            via_direct_grant=related,
            zookie=self.zookie,
        )
        return answer


class Access(Lookups):
    """Use cases that compute: who may do what, and why."""

    def __init__(self, foundation: Foundation) -> None:
        super().__init__(foundation)
        self._answers: dict[int, _Answers] = {}
        foundation.engine.on_documents(self._documents_changed)

    def check(
        self,
        caller: Caller,
        question: CheckQuestion,
        *,
        contextual: Sequence[Relationship] = (),
        at_least: str | None = None,
    ) -> CheckAnswer:
        """Does the subject have the relation (or permission) to the resource?

        Raises:
            ForbiddenError: the caller lacks ``checks:create``.
            UserScopeError: the caller speaks for one user, and the question is not about that one.
            NotFoundError: the caller acts in another tenant than the question's.
            InputError: an unknown type or relation, an id that breaks the rules; a contextual
                relationship the schema does not let be stored.
            RevisionError: ``at_least`` can not be met.
            LimitError: too many reads or contextual relationships; nothing was decided.
        """
        # NOTE: the hottest path of the server: at most one view, no allocation but the view's own.
        subject, resource, _, tenant = question
        caller.require_question("checks:create", subject)
        if tenant is not None or caller.tenant_id is not None:
            question = _in_tenant(caller, question)
        base = self._base
        if at_least is None and not contextual:
            known = self._recalled(caller, question)
            if known is not None:
                return known
        with base.view(caller) as view:
            if at_least is not None:
                base.require_fresh(view, at_least)
            if (
                not id_is_valid(subject.id)
                or (resource.id and not id_is_valid(resource.id))
                or (subject.relation and subject.id == WILDCARD)
            ):
                _refuse(view, question)
            if contextual:
                self._require_storable(view, contextual, "contextualRelationships")
            try:
                decision = view.decide(question, contextual)
            except UnknownNameError as error:
                raise _told(error) from None
            answer = self._answers_of(view)[decision]
        if base.decisions.active:
            base.decisions.note(caller, question, answer)
        return answer

    def _recalled(self, caller: Caller, question: CheckQuestion) -> CheckAnswer | None:
        """The answer, if it was given and nothing was committed since."""
        base = self._base
        found = base.recall(caller, question)
        if found is None:
            return None
        revision, decision = found
        answers = self._answers.get(caller.application)
        if answers is None or answers.revision != revision:
            return None
        answer = answers[decision]
        if base.decisions.active:
            base.decisions.note(caller, question, answer)
        return answer

    def check_many(
        self,
        caller: Caller,
        questions: Sequence[CheckQuestion | ZeratulError],
        *,
        contextual: Sequence[Relationship] = (),
        at_least: str | None = None,
    ) -> BulkCheckAnswer:
        """Many questions at one revision; an item's error stands in its answer's place.

        Equal answers are one and the same object.

        Raises:
            ForbiddenError: the caller lacks ``checks:create``.
            LimitError: more questions than a call may have.
            InputError: a contextual relationship the schema does not let be stored.
            RevisionError: ``at_least`` can not be met.
        """
        own = caller.question_subject(None)
        caller.require_question("checks:create", *(() if own is None else (own,)))
        if own is not None or caller.tenant_id is not None:
            questions = [_of_caller(caller, each) for each in questions]
        base = self._base
        most = base.limits.bulk_checks_max
        if len(questions) > most:
            message = f"a bulk call takes at most {most:,} checks, this one has {len(questions):,}"
            raise LimitError("bulk_checks_max", most, message, field="checks")
        place(questions, "checks")
        with base.view(caller) as view:
            base.require_fresh(view, at_least)
            if contextual:
                self._require_storable(view, contextual, "contextualRelationships")
            asked, refused = _sorted_out(view, questions)
            answers = self._answers_of(view)
            results: list[CheckAnswer | ZeratulError] = [
                answers[found] if isinstance(found, Decision) else _told(found)
                for found in view.decide_many(asked, contextual)
            ]
            for index, error in refused:  # Ascending: what is behind moves into its place.
                results.insert(index, error)
            answer = BulkCheckAnswer(results, base.view_zookie(view))
        if base.decisions.active:
            base.decisions.note_many(caller, questions, results)
        return answer

    def explain(
        self,
        caller: Caller,
        question: CheckQuestion,
        *,
        contextual: Sequence[Relationship] = (),
        writes: Sequence[Relationship] = (),
        deletes: Sequence[Relationship] = (),
        at_least: str | None = None,
    ) -> ExplainAnswer:
        """Why, or why not; ``writes`` and ``deletes`` are taken as done.

        Raises:
            ForbiddenError: the caller lacks ``checks:explain``.
            UserScopeError, NotFoundError, InputError: as for ``check``; a hypothetical
                relationship that names what is not there.
            RevisionError: ``at_least`` can not be met.
            LimitError: too many reads; nothing was decided.
        """
        caller.require_question("checks:explain", question.subject)
        base = self._base
        began = time.perf_counter()
        question = _in_tenant(caller, question)
        with base.view(caller) as view:
            base.require_fresh(view, at_least)
            _require_question(view, question)
            self._require_storable(view, contextual, "contextualRelationships")
            self._require_storable(view, writes, "writes")
            removed = self._storable(view, deletes, "deletes")
            answer = explained(
                view,
                question,
                added=[*contextual, *writes],
                removed=removed,
                visible_tenant=caller.tenant_id,
                zookie=base.view_zookie(view),
            )
            return replace(answer, duration_ms=(time.perf_counter() - began) * 1_000)

    def expand(
        self, caller: Caller, resource: ObjectRef, relation: str, *, at_least: str | None = None
    ) -> ExpandAnswer:
        """The tree of the userset ``resource#relation``.

        Raises:
            ForbiddenError: the caller lacks ``checks:explain``.
            TenantScopeError: the caller acts in one tenant: this lists direct grants.
            InputError: an unknown type or relation, an id that breaks the rules.
            RevisionError: ``at_least`` can not be met.
            LimitError: too many reads.
        """
        caller.require("checks:explain")
        caller.require_whole_application(DIRECT_GRANTS)
        base = self._base
        with base.view(caller) as view:
            base.require_fresh(view, at_least)
            require_resource(view.schema, resource)
            root = view.expand(resource, relation, subjects_max=EXPAND_SUBJECTS_MAX)
            return ExpandAnswer(root, view.revision, base.view_zookie(view))

    def _documents_changed(self, documents: Iterable[tuple[int, str, str]]) -> None:
        """Keep nothing of applications that are gone."""
        if any(where == SERVER and kind == APPLICATION_KIND for where, kind, _ in documents):
            self._answers.clear()

    def _answers_of(self, view: View) -> _Answers:
        zookie = self._base.view_zookie(view)
        kept = self._answers.get(view.application)
        if kept is None or kept.zookie is not zookie:
            kept = self._answers[view.application] = _Answers(view.revision, zookie)
        return kept

    def _require_storable(
        self, view: View, relationships: Sequence[Relationship], name: str
    ) -> None:
        self._require_few(relationships, name)
        _, errors = self._base.table(view).rows(
            relationships, now_ms=view.snapshot.now_ms, prefix=name
        )
        if errors:
            raise ValidationError(findings_of(error for _, error in errors))

    def _storable(
        self, view: View, relationships: Sequence[Relationship], name: str
    ) -> list[Relationship]:
        """Those that could be stored; the others are absent anyway."""
        self._require_few(relationships, name)
        rows, errors = self._base.table(view).absent_rows(relationships, prefix=name)
        if errors:
            raise ValidationError(findings_of(error for _, error in errors))
        return [
            relationship
            for relationship, row in zip(relationships, rows, strict=True)
            if row is not None
        ]

    def _require_few(self, relationships: Sequence[Relationship], name: str) -> None:
        most = self._base.limits.contextual_relationships_max
        if len(relationships) > most:
            message = f"at most {most} `{name}`, not {len(relationships):,}"
            raise LimitError("contextual_relationships_max", most, message, field=name)


def _in_tenant(caller: Caller, question: CheckQuestion) -> CheckQuestion:
    """The question, asked in the caller's own tenant if it has one."""
    tenant = caller.question_tenant(question.tenant)
    if tenant is not None:
        require_tenant(tenant)
    return question if tenant == question.tenant else question._replace(tenant=tenant)


def _of_caller(caller: Caller, item: CheckQuestion | ZeratulError) -> CheckQuestion | ZeratulError:
    """The question as the caller may ask it, or what is wrong with it."""
    if isinstance(item, ZeratulError):
        return item
    try:
        caller.question_subject(item.subject)
        return _in_tenant(caller, item)
    except ZeratulError as error:
        return error


def _are_plain(
    questions: Sequence[CheckQuestion | ZeratulError],
) -> TypeGuard[Sequence[CheckQuestion]]:
    """Whether nothing of it has to be looked at one by one; true of most calls."""
    ids: list[str] = []
    for item in questions:
        if isinstance(item, ZeratulError):
            return False
        (_, subject_id, userset), (_, resource_id), _, tenant = item
        if tenant is not None or (userset and subject_id == WILDCARD):
            return False
        ids.append(subject_id)
        if resource_id:
            ids.append(resource_id)
    return ids_are_plain(ids)


def _sorted_out(
    view: View, questions: Sequence[CheckQuestion | ZeratulError]
) -> tuple[Sequence[CheckQuestion], list[tuple[int, ZeratulError]]]:
    """The questions that can be asked, and an error and its place for each other one."""
    if _are_plain(questions):
        return questions, []
    asked: list[CheckQuestion] = []
    refused: list[tuple[int, ZeratulError]] = []
    seen: set[str] = set()
    tenants: set[str | None] = {None}
    for index, item in enumerate(questions):
        if isinstance(item, ZeratulError):
            refused.append((index, item))
            continue
        (_, subject_id, userset), (_, resource_id), _, tenant = item
        # Bulk calls repeat ids: a set is quicker than the rules.
        if (
            (subject_id in seen or id_is_valid(subject_id))
            and (not resource_id or resource_id in seen or id_is_valid(resource_id))
            and tenant in tenants
            and not (userset and subject_id == WILDCARD)
        ):
            seen.add(subject_id)
            seen.add(resource_id or subject_id)
            asked.append(item)
            continue
        try:
            _refuse(view, item)
        except ZeratulError as error:
            refused.append((index, error))
        else:  # a tenant that was not met before
            tenants.add(tenant)
            asked.append(item)
    return asked, refused


def _require_question(view: View, question: CheckQuestion) -> None:
    if question.resource.id:
        require_resource(view.schema, question.resource)
    else:
        require_type(view.schema, question.resource.type, "resource")
    view.schema.relation(question.resource.type, question.relation, field="relation")
    require_subject(view.schema, question.subject)


def _refuse(view: View, question: CheckQuestion) -> None:
    """Raise what is wrong with the ids, or the types before them."""
    require_type(view.schema, question.resource.type, "resource")
    if question.resource.id:
        require_id(question.resource.id, "resourceId")
    require_subject(view.schema, question.subject)
    if question.tenant is not None:
        require_tenant(question.tenant)


def _told(error: ZeratulError) -> ZeratulError:
    """The error, or a clearer one where a caller named one of Zeratul's own types."""
    if isinstance(error, UnknownNameError) and error.kind == "type" and is_reserved(error.name):
        return reserved_type(error.name, error.field)
    return error

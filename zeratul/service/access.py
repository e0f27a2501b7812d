"""Check, explain, expand (contract authaz §6); the lists are in the base class."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from zeratul.domain.membership import Membership
from zeratul.domain.relationship import RESERVED_TYPE_MARK, WILDCARD, id_is_valid
from zeratul.errors import (
    LimitError,
    UnknownNameError,
    ValidationError,
    ZeratulError,
)
from zeratul.service.answers import (
    BulkCheckAnswer,
    CheckAnswer,
    ExpandAnswer,
    ExplainAnswer,
)
from zeratul.service.lookups import Lookups
from zeratul.service.text import explanation_text
from zeratul.service.validation import (
    findings_of,
    place,
    require_id,
    require_resource,
    require_subject,
    require_type,
    reserved_type,
)

if TYPE_CHECKING:
    from collections.abc import Sequence

    from zeratul.dispatch.view import View
    from zeratul.domain.relationship import ObjectRef, Relationship, SubjectRef
    from zeratul.graph.answers import CheckQuestion
    from zeratul.service.caller import Caller
    from zeratul.service.foundation import Foundation

# LIMIT: subjects an expansion lists on one leaf; it says how many there are.
EXPAND_SUBJECTS_MAX = 100

_Answers = tuple[CheckAnswer, CheckAnswer, CheckAnswer]


class Access(Lookups):
    """Use cases that compute: who may do what, and why."""

    def __init__(self, foundation: Foundation) -> None:
        super().__init__(foundation)
        self._answers: dict[int, tuple[str, _Answers]] = {}

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
            InputError: an unknown type or relation, an id that breaks the rules; a contextual
                relationship the schema does not let be stored.
            RevisionError: ``at_least`` can not be met.
            LimitError: too many reads or contextual relationships; nothing was decided.
        """
        # NOTE: the hottest path of the server: one view, no allocation but the view's own.
        caller.require("checks:create")
        base = self._base
        with base.view(caller) as view:
            if at_least is not None:
                base.require_fresh(view, at_least)
            subject, resource, _ = question
            if (
                not id_is_valid(subject.id)
                or not id_is_valid(resource.id)
                or (subject.relation and subject.id == WILDCARD)
            ):
                _refuse(view, question)
            if contextual:
                self._require_storable(view, contextual, "contextualRelationships")
            try:
                membership = view.check(question, contextual)
            except UnknownNameError as error:
                raise _told(error) from None
            return self._answers_of(view)[membership]

    def check_type(
        self,
        caller: Caller,
        subject: SubjectRef,
        type_name: str,
        relation: str,
        *,
        at_least: str | None = None,
    ) -> CheckAnswer:
        """Is it allowed on the type as a whole? Only roles say so, never a relationship.

        There are no roles yet, so what can be asked is answered with no.

        Raises:
            ForbiddenError: the caller lacks ``checks:create``.
            InputError: an unknown type or relation, an id that breaks the rules.
            RevisionError: ``at_least`` can not be met.
        """
        caller.require("checks:create")
        base = self._base
        with base.view(caller) as view:
            base.require_fresh(view, at_least)
            require_type(view.schema, type_name, "resource")
            view.schema.relation(type_name, relation, field="action")
            require_subject(view.schema, subject)
            return self._answers_of(view)[Membership.NOT_MEMBER]

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
        caller.require("checks:create")
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
                answers[found] if isinstance(found, Membership) else _told(found)
                for found in view.check_many(asked, contextual)
            ]
            for index, error in refused:  # Ascending: what is behind moves into its place.
                results.insert(index, error)
            return BulkCheckAnswer(results, answers[0].zookie)

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
            InputError: as for ``check``; a hypothetical relationship that names what is not there.
            RevisionError: ``at_least`` can not be met.
            LimitError: too many reads; nothing was decided.
        """
        caller.require("checks:explain")
        base = self._base
        began = time.perf_counter()
        with base.view(caller) as view:
            base.require_fresh(view, at_least)
            _require_question(view, question)
            self._require_storable(view, contextual, "contextualRelationships")
            self._require_storable(view, writes, "writes")
            removed = self._storable(view, deletes, "deletes")
            explanation = view.explain(question, [*contextual, *writes], removed)
            return ExplainAnswer(
                subject=question.subject,
                resource=question.resource,
                relation=question.relation,
                allowed=explanation.membership is Membership.MEMBER,
                explanation=explanation,
                revision=view.revision,
                duration_ms=(time.perf_counter() - began) * 1_000,
                text=explanation_text(question, explanation),
                zookie=base.view_zookie(view),
            )

    def expand(
        self, caller: Caller, resource: ObjectRef, relation: str, *, at_least: str | None = None
    ) -> ExpandAnswer:
        """The tree of the userset ``resource#relation``.

        Raises:
            ForbiddenError: the caller lacks ``checks:explain``.
            InputError: an unknown type or relation, an id that breaks the rules.
            RevisionError: ``at_least`` can not be met.
            LimitError: too many reads.
        """
        caller.require("checks:explain")
        base = self._base
        with base.view(caller) as view:
            base.require_fresh(view, at_least)
            require_resource(view.schema, resource)
            root = view.expand(resource, relation, subjects_max=EXPAND_SUBJECTS_MAX)
            return ExpandAnswer(root, view.revision, base.view_zookie(view))

    def _answers_of(self, view: View) -> _Answers:
        """The three answers of a revision, by membership."""
        zookie = self._base.view_zookie(view)
        kept = self._answers.get(view.application)
        if kept is not None and kept[0] is zookie:
            return kept[1]
        answers = (
            _answer(Membership.NOT_MEMBER, zookie),
            _answer(Membership.CONDITIONAL, zookie),
            _answer(Membership.MEMBER, zookie),
        )
        self._answers[view.application] = (zookie, answers)
        return answers

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


def _answer(membership: Membership, zookie: str) -> CheckAnswer:
    allowed = membership is Membership.MEMBER
    # No roles yet: what is allowed is allowed by relationships.
    return CheckAnswer(
        allowed=allowed,
        membership=membership,
        via_role=False,
        via_direct_grant=allowed,
        zookie=zookie,
    )


def _sorted_out(
    view: View, questions: Sequence[CheckQuestion | ZeratulError]
) -> tuple[list[CheckQuestion], list[tuple[int, ZeratulError]]]:
    """The questions that can be asked, and an error and its place for each other one."""
    asked: list[CheckQuestion] = []
    refused: list[tuple[int, ZeratulError]] = []
    seen: set[str] = set()
    for index, item in enumerate(questions):
        if isinstance(item, ZeratulError):
            refused.append((index, item))
            continue
        (_, subject_id, userset), (_, resource_id), _ = item
        # Bulk calls repeat ids: a set is quicker than the rules.
        if (
            (subject_id in seen or id_is_valid(subject_id))
            and (resource_id in seen or id_is_valid(resource_id))
            and not (userset and subject_id == WILDCARD)
        ):
            seen.add(subject_id)
            seen.add(resource_id)
            asked.append(item)
            continue
        try:
            _refuse(view, item)
        except ZeratulError as error:
            refused.append((index, error))
    return asked, refused


def _require_question(view: View, question: CheckQuestion) -> None:
    require_resource(view.schema, question.resource)
    view.schema.relation(question.resource.type, question.relation, field="relation")
    require_subject(view.schema, question.subject)


def _refuse(view: View, question: CheckQuestion) -> None:
    """Raise what is wrong with the ids, or the types before them."""
    require_type(view.schema, question.resource.type, "resource")
    require_id(question.resource.id, "resourceId")
    require_subject(view.schema, question.subject)


def _told(error: ZeratulError) -> ZeratulError:
    """The error, or a clearer one where a caller named one of Zeratul's own types."""
    if (
        isinstance(error, UnknownNameError)
        and error.kind == "type"
        and RESERVED_TYPE_MARK in error.name
    ):
        return reserved_type(error.name, error.field)
    return error

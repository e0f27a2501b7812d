"""What it means that an answer agrees with the reference."""

from __future__ import annotations

from functools import reduce
from typing import TYPE_CHECKING, Any

from tests import strategies
from tests.reference.evaluator import Reference
from zeratul.domain.membership import Membership, exclusion, intersection, union
from zeratul.domain.relationship import WILDCARD, ObjectRef, SubjectRef

if TYPE_CHECKING:
    from collections.abc import Sequence

    from tests.applications import Resources, Subjects
    from zeratul.domain.schema import Schema
    from zeratul.graph.answers import CheckQuestion, ExpandNode, Explanation

Probe = tuple[str, tuple[Any, ...]]
"""A method of ``tests.applications.Answers`` and its arguments."""


def every_check(schema: Schema) -> list[Probe]:
    """Every question, one by one."""
    return [("check", (question,)) for question in strategies.all_questions(schema)]


def every_lookup(schema: Schema) -> list[Probe]:
    """Both lookups of everything."""
    resources: list[Probe] = [
        ("lookup_resources", (subject, *goal))
        for subject in strategies.all_subjects(schema)
        for goal in strategies.goals(schema)
    ]
    subjects: list[Probe] = [
        ("lookup_subjects", (ObjectRef(type_name, resource_id), relation, *form))
        for type_name, relation in strategies.goals(schema)
        for resource_id in (*strategies.IDS, strategies.GHOST)
        for form in strategies.subject_forms(schema)
    ]
    return resources + subjects


def assert_agree(reference: Reference, probes: Sequence[Probe], answers: Sequence[Any]) -> None:
    """Every answer equals the reference's."""
    for (method, arguments), answer in zip(probes, answers, strict=True):
        _JUDGES[method](reference, answer, *arguments)


def _judge_check(reference: Reference, answer: int, question: CheckQuestion) -> None:
    expected = reference.check(*question)
    assert Membership(answer) is expected, (
        f"{question.resource}#{question.relation}@{question.subject}"
    )


def _judge_check_many(
    reference: Reference, answers: list[int], questions: Sequence[CheckQuestion]
) -> None:
    for question, answer in zip(questions, answers, strict=True):
        _judge_check(reference, answer, question)


def _judge_resources(
    reference: Reference, answer: Resources, subject: SubjectRef, type_name: str, relation: str
) -> None:
    where = f"resources of {type_name}#{relation}@{subject}"
    expected = reference.lookup_resources(subject, type_name, relation)
    # A userset is in itself; where no relationship mentions it, a list may leave it out.
    itself = {subject.id} - reference.mentioned[type_name]
    assert answer.ids - itself == expected - itself, where
    _assert_ways(answer.via, answer.ids, where)


def _judge_subjects(
    reference: Reference,
    answer: Subjects,
    resource: ObjectRef,
    relation: str,
    subject_type: str,
    subject_relation: str = "",
) -> None:
    where = f"subjects {subject_type}#{subject_relation} of {resource}#{relation}: {answer}"
    expected = reference.lookup_subjects(resource, relation, subject_type, subject_relation)
    itself = {resource.id} - reference.mentioned[subject_type] if subject_relation else set()
    assert answer.wildcard == expected.wildcard, where
    assert answer.wildcard or not answer.exceptions, where
    assert not answer.exceptions & answer.explicit, where
    assert WILDCARD not in answer.explicit | answer.exceptions, where
    asked = {*reference.mentioned[subject_type], *answer.explicit, *answer.exceptions}
    for subject_id in (asked | {*strategies.IDS, strategies.GHOST}) - itself:
        subject = SubjectRef(subject_type, subject_id, subject_relation)
        is_member = reference.check(subject, resource, relation) is Membership.MEMBER
        assert answer.holds(subject_id) == is_member, f"{where}: {subject}"
    if answer.wildcard and strategies.is_pure_union(reference.schema):
        _assert_named_in_spite_of_wildcard(
            reference, answer, where, resource, relation, subject_type
        )
    _assert_ways(answer.via, answer.explicit, where)
    assert bool(answer.wildcard_via) == answer.wildcard, where


def _assert_named_in_spite_of_wildcard(
    reference: Reference,
    answer: Subjects,
    where: str,
    resource: ObjectRef,
    relation: str,
    subject_type: str,
) -> None:
    named = [row for row in reference.relationships if row.subject_id != WILDCARD]
    without = Reference(reference.schema, named)
    assert answer.explicit == without.lookup_subjects(resource, relation, subject_type).explicit, (
        where
    )


def _assert_ways(ways: dict[str, frozenset[str]], found: frozenset[str], where: str) -> None:
    assert frozenset().union(*ways.values()) == found, f"{where}: ways {ways}"


def _judge_explanation(reference: Reference, answer: Explanation, question: CheckQuestion) -> None:
    _judge_check(reference, answer.membership, question)
    if answer.membership is Membership.MEMBER:
        proof = [row._replace(expires_at_ms=None) for row in answer.proof]
        assert Reference(reference.schema, proof).check(*question) is Membership.MEMBER, proof


def _judge_expansion(
    reference: Reference, answer: ExpandNode, resource: ObjectRef, relation: str
) -> None:
    for subject in strategies.all_subjects(reference.schema):
        # A userset is in itself by definition, which no tree of rules shows.
        if (*resource, relation) != tuple(subject):
            said = says(answer, subject, reference)
            assert said is reference.check(subject, resource, relation), f"{subject}: {answer}"


def says(node: ExpandNode, subject: SubjectRef, reference: Reference) -> Membership:
    """What an expansion says about a subject.

    Usersets in the leaves are not expanded and a goal shown elsewhere is only named: those two are
    asked of the reference.
    """
    if node.kind == "seen":
        return reference.check(subject, node.resource, node.relation)
    if node.kind == "direct":
        assert node.subjects_total == len(node.subjects)
        return reduce(
            union, (_in_leaf(subject, stored, reference) for stored in node.subjects), _NOT_MEMBER
        )
    if node.kind == "computed" and (*node.resource, node.relation) == tuple(subject):
        return Membership.MEMBER
    parts = [says(child, subject, reference) for child in node.children]
    if node.kind == "intersection":
        return reduce(intersection, parts)
    if node.kind == "exclusion":
        base, subtract = parts
        return exclusion(base, subtract)
    assert node.kind in {"computed", "arrow", "union"}, node.kind
    return reduce(union, parts, _NOT_MEMBER)


def _in_leaf(subject: SubjectRef, stored: SubjectRef, reference: Reference) -> Membership:
    everybody = stored.is_wildcard and not subject.relation and stored.type == subject.type
    if stored == subject or everybody:
        return Membership.MEMBER
    if stored.relation:
        return reference.check(subject, ObjectRef(stored.type, stored.id), stored.relation)
    return _NOT_MEMBER


_NOT_MEMBER = Membership.NOT_MEMBER

_JUDGES: dict[str, Any] = {
    "check": _judge_check,
    "check_many": _judge_check_many,
    "expand": _judge_expansion,
    "explain": _judge_explanation,
    "lookup_resources": _judge_resources,
    "lookup_subjects": _judge_subjects,
}

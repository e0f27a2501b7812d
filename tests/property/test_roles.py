"""Roles: every answer equals the slow reference, whoever is asked about, and in whichever way."""

from __future__ import annotations

from itertools import product
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.property import thresholds
from tests.property.role_worlds import (
    HOLDERS,
    POLICY,
    RESOURCE_IDS,
    ROLE,
    ROLES,
    SUBJECTS,
    TENANTS,
    World,
    all_questions,
    goals,
    install,
    judge_decision,
    judge_explanation,
    judge_resources,
    judge_subjects,
    worlds,
)
from tests.reference.roles import Assignment, RoleReference
from tests.strategies import NOW_MS
from zeratul.domain.membership import Membership
from zeratul.domain.relationship import ObjectRef, Relationship

if TYPE_CHECKING:
    from tests.applications import Installation
    from tests.property.agreement import Probe

FORMS = (("user", ""), ("client", ""), ("group", "member"))

# A new engine for each question costs a compilation; every so many questions are enough of them.
_STRIDE = 41


@given(world=worlds())
@pytest.mark.parametrize("sizes", thresholds.ALL)
def test_check_equals_the_reference(installation: Installation, sizes: str, world: World) -> None:
    """One by one and all at once, cold and warm, whatever counts as large."""
    before = installation.tune(thresholds.ALL[sizes])
    try:
        application = install(installation, world)
        reference = world.reference()
        questions = all_questions(world.schema)
        single: list[Probe] = [("decide", (question,)) for question in questions]
        for _ in ("cold", "warm"):
            (many,) = installation.ask(application, [("decide_many", (questions,))], now_ms=NOW_MS)
            decisions = installation.ask(application, single, now_ms=NOW_MS)
            for question, decision, of_many in zip(questions, decisions, many, strict=True):
                judge_decision(reference, question, decision)
                judge_decision(reference, question, of_many)
    finally:
        installation.tune(before)


@given(world=worlds())
def test_check_needs_no_memo(installation: Installation, world: World) -> None:
    """Each question to an engine that has never been asked anything."""
    application = install(installation, world)
    reference = world.reference()
    for question in all_questions(world.schema)[::_STRIDE]:
        installation.forget()
        (decision,) = installation.ask(application, [("decide", (question,))], now_ms=NOW_MS)
        judge_decision(reference, question, decision)


@given(world=worlds())
def test_lookups_equal_the_reference(installation: Installation, world: World) -> None:
    """What can everybody, who can everywhere: exactly those for whom a check says yes."""
    application = install(installation, world)
    reference = world.reference()
    tenants = (None, *TENANTS)
    resources = [
        (subject, *goal, tenant)
        for subject, goal, tenant in product(SUBJECTS, goals(world.schema), tenants)
    ]
    probes: list[Probe] = [("lookup_resources", each) for each in resources]
    answers = installation.ask(application, probes, now_ms=NOW_MS)
    for each, answer in zip(resources, answers, strict=True):
        judge_resources(reference, answer, *each)
    subjects = [
        (ObjectRef(goal[0], resource_id), goal[1], *form, tenant)
        for goal, resource_id, form, tenant in product(
            goals(world.schema), RESOURCE_IDS, FORMS, tenants
        )
    ]
    probes = [("lookup_subjects", each) for each in subjects]
    answers = installation.ask(application, probes, now_ms=NOW_MS)
    for each, answer in zip(subjects, answers, strict=True):
        judge_subjects(reference, answer, *each)


@given(world=worlds())
def test_explanations_equal_the_reference(installation: Installation, world: World) -> None:
    """Every role the subject holds, why it counts or not, and how it comes to be held."""
    application = install(installation, world)
    reference = world.reference()
    for question in all_questions(world.schema, (None, "t"))[::_STRIDE]:
        (told,) = installation.ask(application, [("explain", (question,))], now_ms=NOW_MS)
        judge_explanation(reference, question, told)


@given(world=worlds())
def test_permissions_on_types_equal_the_reference(
    installation: Installation, world: World
) -> None:
    """What roles give on types as a whole, by name: as a check of each action says."""
    application = install(installation, world)
    reference = world.reference()
    types = ("documents", "offices")
    asked = list(product(SUBJECTS, (types,), (None, *TENANTS)))
    probes: list[Probe] = [("permissions_on_types", each) for each in asked]
    answers = installation.ask(application, probes, now_ms=NOW_MS)
    for (subject, _, tenant), answer in zip(asked, answers, strict=True):
        for type_name, permissions in zip(types, answer, strict=True):
            for action in world.rules.catalog.resources[type_name].actions:
                said = bool(permissions & {f"{type_name}:{action}", f"{type_name}:*"})
                expected = reference.by_role(subject, ObjectRef(type_name, ""), action, tenant)
                assert said == expected, (subject, type_name, action, tenant)


@given(world=worlds())
def test_an_explanation_for_one_tenant_tells_of_no_other(
    installation: Installation, world: World
) -> None:
    """The decision and every other role are told all the same."""
    application = install(installation, world)
    roles = world.rules.roles
    for question in all_questions(world.schema, ("t",))[::_STRIDE]:
        with installation.engine.view(application, now_ms=NOW_MS) as view:
            whole = view.explain(question)
            told = view.explain(question, one_tenant=True)
        assert told.membership is whole.membership
        assert told.roles_total == len(told.roles)
        for each in told.roles:
            assert each in whole.roles
            assert each.scope != "tenant/u"
            assert each.role_id not in roles or roles[each.role_id].tenant != "u"
        hidden = [each for each in whole.roles if each not in told.roles]
        assert all(not each.considered for each in hidden)


@given(world=worlds(), added=st.data())
def test_what_is_supposed_counts_for_roles(
    installation: Installation, world: World, added: st.DataObject
) -> None:
    """Contextual memberships of groups, and in explanations memberships taken as absent."""
    application = install(installation, world)
    context = added.draw(
        st.lists(st.sampled_from(_memberships(world)), min_size=1, max_size=3, unique=True)
    )
    stored = [row._replace(expires_at_ms=None) for row in world.relationships]
    deletes = [row for row in stored if row.resource_type == "group" and row not in context][:2]
    with_context = RoleReference(
        world.schema, [*world.relationships, *context], world.rules, NOW_MS
    )
    supposed = RoleReference(
        world.schema,
        [*(row for row in world.relationships if _bare(row) not in deletes), *context],
        world.rules,
        NOW_MS,
    )
    questions = all_questions(world.schema, ("t",))
    for reference, arguments in (
        (with_context, (questions, context)),
        (supposed, (questions, context, deletes)),
    ):
        (many,) = installation.ask(application, [("decide_many", arguments)], now_ms=NOW_MS)
        for question, decision in zip(questions, many, strict=True):
            judge_decision(reference, question, decision)
    for question in questions[::_STRIDE]:
        probes: list[Probe] = [
            ("decide", (question, context)),
            ("explain", (question, context, deletes)),
        ]
        decision, told = installation.ask(application, probes, now_ms=NOW_MS)
        judge_decision(with_context, question, decision)
        judge_explanation(supposed, question, told)


def _bare(row: Relationship) -> Relationship:
    return row._replace(expires_at_ms=None)


def _memberships(world: World) -> list[Relationship]:
    """Rows that put somebody into a group."""
    definition = world.schema.types["group"]
    return [
        Relationship("group", group, relation.name, form.type, who, form.relation)
        for relation in definition.relations.values()
        for form in relation.subjects
        if not form.wildcard
        for group in ("1", "2")
        for who in ("1", "2")
    ]


@given(world=worlds(), data=st.data())
def test_no_tenant_learns_of_another(
    installation: Installation, world: World, data: st.DataObject
) -> None:
    """No answer for a tenant, or for none, changes when another tenant's roles do."""
    application = install(installation, world)
    questions = all_questions(world.schema, (None, "t"))
    probes: list[Probe] = [("decide_many", (questions,))]
    probes += [
        ("lookup_resources", (subject, *goal, tenant))
        for subject, goal, tenant in product(SUBJECTS, goals(world.schema), (None, "t"))
    ]
    probes += [
        ("lookup_subjects", (ObjectRef(goal[0], resource_id), goal[1], *form, tenant))
        for goal, resource_id, form, tenant in product(
            goals(world.schema), RESOURCE_IDS[:4], FORMS, (None, "t")
        )
    ]
    before = installation.ask(application, probes, now_ms=NOW_MS)
    theirs = data.draw(
        st.dictionaries(
            st.builds(
                lambda role, holder: Assignment(role, "u", (), holder),
                st.sampled_from((*ROLES, "role_u")),
                st.sampled_from(HOLDERS),
            ),
            st.none(),
            min_size=1,
            max_size=6,
        )
    )
    installation.assign(application, theirs)
    policies = {"pol_u": data.draw(POLICY)}
    roles = {"role_u": data.draw(ROLE)._replace(policies=("pol_u",), tenant="u")}
    installation.put_documents(application, policies=policies, roles=roles)
    assert installation.ask(application, probes, now_ms=NOW_MS) == before
    gone = [each for each in world.rules.assignments if each.tenant == "u"]
    kept = [each for each in (*world.rules.assignments, *theirs) if each not in gone]
    installation.assign(application, {}, gone, kept)
    installation.put_documents(application, roles={"role_u": None})
    assert installation.ask(application, probes, now_ms=NOW_MS) == before


@given(world=worlds())
def test_bulk_decides_as_one_does(installation: Installation, world: World) -> None:
    """Membership alone is the decision's, also with an item that can not be asked."""
    application = install(installation, world)
    questions = all_questions(world.schema, ("t",))
    probes: list[Probe] = [("check_many", (questions,)), ("decide_many", (questions,))]
    values, decisions = installation.ask(application, probes, now_ms=NOW_MS)
    for value, decision in zip(values, decisions, strict=True):
        assert Membership(value) is decision.membership

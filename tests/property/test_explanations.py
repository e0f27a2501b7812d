"""Explanations tell the truth: they agree with checks, and what they suggest turns the no."""

from __future__ import annotations

from itertools import count, product
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.builders import model, rel, subject
from tests.suggested import do, undo
from tests.unit.service.role_world import RoleWorld
from zeratul.domain.relationship import ObjectRef
from zeratul.graph.answers import CheckQuestion
from zeratul.service.services import Services
from zeratul.store.lmdb import open_store

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from zeratul.service.questions.access_answers import ExplainAnswer

MODEL = model(
    {
        "user": {},
        "group": {"member": "[user, group#member]"},
        "folders": {"viewer": "[user, group#member]"},
        "documents": {
            "parent": "[folders]",
            "banned": "[user, group#member]",
            "pardoned": "[user]",
            "reader": "[user, user:*, group#member] or viewer from parent",
            "read": "reader but not (banned but not pardoned)",
        },
    }
)
CATALOG = {"documents": ("read", "update", "delete"), "folders": ("read",)}
WHO = ("user:1", "user:2", "group:1#member", "user:*")
NAMES = ("1", "1/2", "a b", "")
TENANTS = (None, "t", "u")
FACTS = tuple(
    rel(text)
    for text in (
        *(f"documents:{name}#banned@{who}" for name in ("1", "a b") for who in WHO[:3]),
        *(f"documents:{name}#reader@{who}" for name in ("1", "1/2") for who in WHO),
        *(f"documents:1#{relation}@user:1" for relation in ("pardoned", "editor", "owner")),
        "documents:1#parent@folders:1", "folders:1#viewer@user:2",
        "folders:1#viewer@group:2#member", "group:1#member@user:1",
        "group:1#member@group:2#member", "group:2#member@user:2",
    )
)  # fmt: skip
POLICIES = (
    ("documents:read",),
    ("documents:*", "folders:read"),
    ("documents:update", "folders:*"),
)
ROLES = tuple(product(((), (0,), (1,), (2,), (0, 2)), (None, "t")))
PLACES = (
    (None, None), ("t", None), ("u", None), (None, "documents/1"), (None, "*/1/*"),
    (None, "documents/*/2"),
)  # fmt: skip

_names = count(1)


@pytest.fixture(scope="module")
def services(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Services]:
    """Services over one store; each example has an application of its own."""
    path: Path = tmp_path_factory.mktemp("explanations") / "data"
    opened = Services.build(open_store(path))
    yield opened
    opened.close()


def explained(world: RoleWorld, question: CheckQuestion) -> ExplainAnswer:
    """The explanation, after it was held against the check."""
    access = world.services.access
    found = access.explain(world.caller, question)
    checked = access.check(world.caller, question)
    assert found.allowed == checked.allowed, question
    by_role, related = found.explanation.via_role, found.explanation.via_relationships
    assert found.allowed == (bool(by_role) or bool(related))
    assert checked.via_role in (None, by_role)
    assert checked.via_direct_grant in (None, related)
    assert bool(by_role) == any(role.trace.reason == "decides" for role in found.roles)
    for role in found.roles:
        gives = any(policy.matched for policy in role.policies)
        assert gives == role.trace.carries
        assert role.trace.considered == (role.tenant_id in (None, question.tenant))
    for grant in found.direct_grants:
        assert not (grant.matched and grant.effect == "takes_away")
        assert not grant.matched or related
    if related and question.resource.id:
        assert any(grant.matched for grant in found.direct_grants)
    if found.closest is not None:
        held = question._replace(relation=found.closest.partition(":")[2])
        assert access.check(world.caller, held).allowed
    for line in (*map(str, found.explanation.proof), *filter(None, [found.closest])):
        assert line in found.text
    return found


@given(data=st.data())
def test_explanations_agree_with_checks_and_suggestions_turn_the_no(
    services: Services, data: st.DataObject
) -> None:
    """In a random small world, for every question."""
    made = services.applications.create(services.local_caller(), f"app {next(_names)}").result()
    caller = services.local_caller(made.id)
    services.models.put(caller, MODEL).result()
    world = RoleWorld(services, caller)
    world.declare(CATALOG)
    facts = data.draw(st.lists(st.sampled_from(FACTS), unique=True, max_size=8))
    services.relationships.bulk(caller, facts).result()
    policies = [world.policy(f"policy {each}", *each) for each in POLICIES]
    kinds = data.draw(st.lists(st.sampled_from(ROLES), max_size=3))
    roles = [
        (world.role(f"role {index}", *(policies[each] for each in content), tenant=tenant), tenant)
        for index, (content, tenant) in enumerate(kinds)
    ]
    for role, owner in roles:
        holders = data.draw(
            st.lists(st.tuples(st.sampled_from(WHO[:3]), st.sampled_from(PLACES)), max_size=2)
        )
        for who, place in holders:
            if owner is None or place == (owner, None):
                world.assign(who, role, *place)
    questions = [
        (who, CheckQuestion(subject(who), ObjectRef("documents", name), action, tenant))
        for who, name, action, tenant in product(WHO, NAMES, CATALOG["documents"], TENANTS)
    ]
    tried = data.draw(st.lists(st.sampled_from(questions), max_size=4))
    for _, question in questions[:: data.draw(st.integers(3, 11))]:
        explained(world, question)
    for who, question in tried:
        found = explained(world, question)
        if found.allowed:
            assert not found.suggestions
        for suggestion in found.suggestions:
            do(world, who, suggestion)
            assert services.access.check(caller, question).allowed, suggestion
            undo(world, who, suggestion)
            assert not services.access.check(caller, question).allowed, suggestion

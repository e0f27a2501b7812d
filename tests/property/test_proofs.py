"""Explanations can be checked: a proof proves, and a suggestion helps."""

from __future__ import annotations

from typing import TYPE_CHECKING

from hypothesis import event, given

from tests import builders
from tests.reference.evaluator import Reference
from tests.strategies import NOW_MS, World, all_questions, worlds
from zeratul.domain.membership import Membership

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.applications import Installation
    from zeratul.domain.relationship import Relationship
    from zeratul.graph.answers import CheckQuestion, Explanation, TraceNode

_EVERY = 5
"""Every so many questions of a world are explained; explaining is slow and worlds are many."""


def explained(
    installation: Installation, world: World
) -> Iterator[tuple[CheckQuestion, Explanation]]:
    """Some questions of a world with their explanations."""
    application = installation.create(world.model, world.relationships)
    questions = all_questions(world.schema)
    reference = Reference(world.schema, world.relationships, NOW_MS)
    yes = [q for q in questions if reference.check(*q) is Membership.MEMBER]
    asked = [*yes, *questions[::_EVERY]]
    answers = installation.ask(
        application, [("explain", (question,)) for question in asked], now_ms=NOW_MS
    )
    yield from zip(asked, answers, strict=True)


def live(world: World) -> dict[Relationship, Relationship]:
    """What is stored and not expired, by the relationship without its expiry."""
    rows = Reference(world.schema, world.relationships, NOW_MS).relationships
    return {row._replace(expires_at_ms=None): row for row in rows}


@given(world=worlds())
def test_an_explanation_says_what_the_check_says(installation: Installation, world: World) -> None:
    """The decision, the root of the trace and the reference are one."""
    reference = Reference(world.schema, world.relationships, NOW_MS)
    for question, explanation in explained(installation, world):
        assert explanation.membership is reference.check(*question), question
        assert explanation.root.membership is explanation.membership
        assert not explanation.cut
        if explanation.membership is Membership.MEMBER:
            assert not explanation.suggestions
        else:
            assert not explanation.proof


@given(world=worlds())
def test_a_proof_alone_gives_the_same_yes(installation: Installation, world: World) -> None:
    """Its relationships are stored ones, suffice alone, and none of them can be missed."""
    stored = live(world)
    for question, explanation in explained(installation, world):
        if explanation.membership is not Membership.MEMBER:
            continue
        proof = [row._replace(expires_at_ms=None) for row in explanation.proof]
        event(f"proof of {len(proof)}")
        assert set(proof) <= stored.keys(), question
        assert len(set(proof)) == len(proof), question
        alone = Reference(world.schema, proof)
        assert alone.check(*question) is Membership.MEMBER, (question, proof)
        for left_out in proof:
            rest = Reference(world.schema, [row for row in proof if row != left_out])
            assert rest.check(*question) is Membership.NOT_MEMBER, (question, proof, left_out)


@given(world=worlds())
def test_a_proof_replays_on_the_engine(installation: Installation, world: World) -> None:
    """In an empty application with the same model: stored and sent along, whole and in part."""
    empty = installation.create(world.model)
    replayed = 0
    for question, explanation in explained(installation, world):
        if explanation.membership is not Membership.MEMBER or replayed == _REPLAYED_MAX:
            continue
        replayed += 1
        proof = [row._replace(expires_at_ms=None) for row in explanation.proof]
        parts = [[row for row in proof if row != left_out] for left_out in proof]
        [whole, *partly] = installation.ask(
            empty, [("check", (question, rows)) for rows in (proof, *parts)]
        )
        assert whole == Membership.MEMBER, (question, proof)
        assert partly == [Membership.NOT_MEMBER] * len(parts), (question, proof)
        if replayed == 1:
            alone = installation.create(world.model, proof)
            [stored] = installation.ask(alone, [("check", (question,))])
            assert stored == Membership.MEMBER, (question, proof)


@given(world=worlds())
def test_a_suggestion_turns_a_no(installation: Installation, world: World) -> None:
    """The schema allows it, it is not there yet, and with it alone the answer is yes."""
    for question, explanation in explained(installation, world):
        event(f"suggestions: {min(len(explanation.suggestions), 3)}")
        for suggestion in explanation.suggestions:
            world.schema.validate_relationship(suggestion)
            assert suggestion._replace(expires_at_ms=None) not in live(world), question
            granted = Reference(world.schema, [*world.relationships, suggestion], NOW_MS)
            assert granted.check(*question) is Membership.MEMBER, (question, suggestion)


@given(world=worlds())
def test_a_trace_names_only_facts(installation: Installation, world: World) -> None:
    """What a trace shows as stored is stored, and no goal is laid out twice."""
    stored = live(world)
    for question, explanation in explained(installation, world):
        laid_out: list[tuple[object, str]] = []
        for node in _nodes(explanation.root):
            if node.relationship is not None and node.membership is Membership.MEMBER:
                row = node.relationship._replace(expires_at_ms=None)
                assert row in stored, (question, row)
            if node.kind == "relation" and node.children:
                laid_out.append((node.resource, node.relation))
        assert len(laid_out) == len(set(laid_out)), (question, laid_out)


def test_the_least_proof_of_a_direct_member_is_one_relationship(
    installation: Installation,
) -> None:
    """Whoever is also in through groups needs one relationship, and a stranger one suggestion."""
    model = builders.model(
        {
            "user": {},
            "group": {"member": "[user, group#member]"},
            "document": {"viewer": "[user, group#member]"},
        }
    )
    rows = builders.rels(
        "document:d#viewer@group:a#member",
        "group:a#member@group:b#member",
        "group:b#member@user:u",
        "document:d#viewer@user:u",
    )
    application = installation.create(model, rows)
    [yes, no] = installation.ask(
        application,
        [
            ("explain", (builders.question("document:d#viewer@user:u"),)),
            ("explain", (builders.question("document:d#viewer@user:v"),)),
        ],
    )
    assert list(yes.proof) == builders.rels("document:d#viewer@user:u")
    assert builders.rel("document:d#viewer@user:v") in no.suggestions


def test_what_opens_everything_is_suggested_only_where_less_does_not_do(
    installation: Installation,
) -> None:
    model = builders.model(
        {
            "user": {},
            "document": {
                "owner": "[user]",
                "editor": "[user] or owner",
                "viewer": "[user] or editor",
                "banned": "[user]",
                "seen": "viewer but not banned",
                "own": "[user] or owner",
                "kept": "owner",
            },
            # Names that are granted, and permissions that rest on them.
            "room": {
                "owner": "[user]",
                "guest": "[user]",
                "steward": "[user]",
                "can_enter": "owner or guest or steward",
                "can_clean": "owner or steward",
                "can_sell": "owner",
            },
        }
    )
    application = installation.create(model, [])
    asked = {
        "document:d#viewer": ["viewer", "editor"],
        "document:d#seen": ["viewer", "editor"],
        "document:d#own": ["own"],
        "document:d#owner": ["owner"],
        "document:d#kept": ["owner"],
        "room:r#can_enter": ["guest", "steward"],
        "room:r#can_clean": ["steward"],
        "room:r#can_sell": ["owner"],
    }
    told = installation.ask(
        application,
        [("explain", (builders.question(f"{name}@user:u"),)) for name in asked],
    )
    suggested = [[row.relation for row in each.suggestions] for each in told]
    assert dict(zip(asked, suggested, strict=True)) == asked


def _nodes(root: TraceNode) -> Iterator[TraceNode]:
    stack = [root]
    while stack:
        node = stack.pop()
        yield node
        stack.extend(node.children)


_REPLAYED_MAX = 8
"""Proofs replayed on the engine for one world; each costs as many questions as it has parts."""

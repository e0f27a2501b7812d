"""Laws that need no reference: what may not matter, what may not shrink, what has to end."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests import builders
from tests.property.agreement import assert_agree, every_check, every_lookup
from tests.reference.evaluator import Reference
from tests.strategies import (
    NOW_MS,
    World,
    all_questions,
    possible_relationships,
    worlds,
)
from zeratul.domain.membership import Membership

if TYPE_CHECKING:
    import random

    from tests.applications import Installation

DEPTH = 5_000

GROUPS = builders.model(
    {
        "user": {},
        "group": {"member": "[user, group#member]"},
        "document": {
            "viewer": "[user, group#member]",
            "banned": "[user, group#member]",
            "reader": "viewer but not banned",
        },
    }
)
FOLDERS = builders.model(
    {
        "user": {},
        "folder": {
            "parent": "[folder]",
            "banned": "[user]",
            "viewer": "[user] or viewer from parent",
            "reader": "[user] or (reader from parent but not banned)",
        },
    }
)


@given(world=worlds(), shuffle=st.randoms(use_true_random=False))
def test_order_and_repetition_do_not_matter(
    installation: Installation, world: World, shuffle: random.Random
) -> None:
    """Written in another order, in several commits and again, they give the same answers."""
    probes = every_check(world.schema)
    once = installation.create(world.model, world.relationships)
    rows = [*world.relationships, *world.relationships[:5]]
    shuffle.shuffle(rows)
    middle = len(rows) // 2
    again = installation.create(world.model)
    installation.write(again, rows[:middle])
    installation.write(again, rows[middle:])
    installation.write(again, rows)
    assert installation.ask(again, probes, now_ms=NOW_MS) == installation.ask(
        once, probes, now_ms=NOW_MS
    )


@given(world=worlds(expiring=False, exclusions=False), data=st.data())
def test_without_exclusion_a_relationship_never_takes_access_away(
    installation: Installation, world: World, data: st.DataObject
) -> None:
    """Every member stays one when another relationship is written."""
    more = data.draw(st.sampled_from(possible_relationships(world.schema)))
    questions = all_questions(world.schema)
    application = installation.create(world.model, world.relationships)
    [before] = installation.ask(application, [("check_many", (questions,))])
    installation.write(application, [more])
    [after] = installation.ask(application, [("check_many", (questions,))])
    for question, was, is_now in zip(questions, before, after, strict=True):
        assert is_now >= was, f"{more} takes {question} away"


@given(world=worlds(expiring=False), data=st.data())
def test_contextual_relationships_count_like_stored_ones(
    installation: Installation, world: World, data: st.DataObject
) -> None:
    """Whatever part of them comes along with the question, the answers are the same."""
    stored_count = data.draw(st.integers(0, len(world.relationships)))
    stored, contextual = world.relationships[:stored_count], world.relationships[stored_count:]
    application = installation.create(world.model, stored)
    reference = Reference(world.schema, world.relationships)
    for question in all_questions(world.schema)[::7]:
        [one, [among_many], after] = installation.ask(
            application,
            [
                ("check", (question, contextual)),
                ("check_many", ([question], contextual)),
                ("check", (question,)),
            ],
        )
        expected = reference.check(*question)
        assert one == among_many == expected
        assert after == Reference(world.schema, stored).check(*question), "context was kept"


def test_contextual_relationships_may_name_what_nobody_stored(installation: Installation) -> None:
    """Unknown groups, users and documents meet each other within one question."""
    application = installation.create(GROUPS)
    contextual = builders.rels("document:d#viewer@group:g#member", "group:g#member@user:u")
    [yes, no] = installation.ask(
        application,
        [
            ("check", (builders.question("document:d#viewer@user:u"), contextual)),
            ("check", (builders.question("document:d#viewer@user:other"), contextual)),
        ],
    )
    assert (yes, no) == (Membership.MEMBER, Membership.NOT_MEMBER)


@pytest.mark.parametrize("size", [1, 2, 3, 50])
def test_a_ring_of_groups_ends(installation: Installation, size: int) -> None:
    """Groups in each other in a ring have one set of members, and nobody else is in it."""
    ring = [f"group:{i}#member@group:{(i + 1) % size}#member" for i in range(size)]
    rows = builders.rels(
        *ring, "group:0#member@user:u", f"document:d#viewer@group:{size - 1}#member"
    )
    application = installation.create(GROUPS, rows)
    ids = {str(i) for i in range(size)}
    [yes, no, groups, members] = installation.ask(
        application,
        [
            ("check", (builders.question("document:d#reader@user:u"),)),
            ("check", (builders.question("document:d#reader@user:v"),)),
            ("lookup_resources", (builders.subject("user:u"), "group", "member")),
            ("lookup_subjects", (builders.resource("document:d"), "reader", "group", "member")),
        ],
    )
    assert (yes, no) == (Membership.MEMBER, Membership.NOT_MEMBER)
    assert groups.ids == ids
    assert members.explicit == ids


@pytest.mark.slow
def test_a_chain_of_groups_has_no_depth_limit(installation: Installation) -> None:
    """A user 5,000 groups down is a viewer, and is not where the last one is banned."""
    chain = [f"group:{i}#member@group:{i + 1}#member" for i in range(DEPTH)]
    rows = builders.rels(
        *chain,
        f"group:{DEPTH}#member@user:u",
        "document:a#viewer@group:0#member",
        "document:b#viewer@group:0#member",
        f"document:b#banned@group:{DEPTH}#member",
    )
    application = installation.create(GROUPS, rows)
    subject = builders.subject("user:u")
    [allowed, banned, other, resources, subjects, groups] = installation.ask(
        application,
        [
            ("check", (builders.question("document:a#reader@user:u"),)),
            ("check", (builders.question("document:b#reader@user:u"),)),
            ("check", (builders.question("document:a#reader@user:v"),)),
            ("lookup_resources", (subject, "document", "reader")),
            ("lookup_subjects", (builders.resource("document:a"), "reader", "user")),
            ("lookup_resources", (subject, "group", "member")),
        ],
    )
    assert (allowed, banned, other) == (
        Membership.MEMBER,
        Membership.NOT_MEMBER,
        Membership.NOT_MEMBER,
    )
    assert resources.ids == {"a"}
    assert subjects.explicit == {"u"}
    assert len(groups.ids) == DEPTH + 1


@pytest.mark.slow
def test_a_chain_of_folders_has_no_depth_limit(installation: Installation) -> None:
    """A right inherited through 5,000 arrows holds, also where each step subtracts."""
    rows = builders.rels(
        *(f"folder:{i}#parent@folder:{i + 1}" for i in range(DEPTH)),
        f"folder:{DEPTH}#viewer@user:u",
        f"folder:{DEPTH}#reader@user:u",
        "folder:10#banned@user:u",
    )
    application = installation.create(FOLDERS, rows)
    subject = builders.subject("user:u")
    [far, near, banned, resources, readable] = installation.ask(
        application,
        [
            ("check", (builders.question("folder:0#viewer@user:u"),)),
            ("check", (builders.question("folder:11#reader@user:u"),)),
            ("check", (builders.question("folder:0#reader@user:u"),)),
            ("lookup_resources", (subject, "folder", "viewer")),
            ("lookup_resources", (subject, "folder", "reader")),
        ],
    )
    assert (far, near, banned) == (Membership.MEMBER, Membership.MEMBER, Membership.NOT_MEMBER)
    assert len(resources.ids) == DEPTH + 1
    assert len(readable.ids) == DEPTH - 10


@given(world=worlds())
def test_every_evaluation_ends_without_memos(installation: Installation, world: World) -> None:
    """Lookups of a fresh engine on data full of cycles end, and agree."""
    application = installation.create(world.model, world.relationships)
    installation.forget()
    probes = every_lookup(world.schema)[::11]
    reference = Reference(world.schema, world.relationships, NOW_MS)
    assert_agree(reference, probes, installation.ask(application, probes, now_ms=NOW_MS))

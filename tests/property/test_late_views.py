"""A view that commits have overtaken leaves nothing behind that is not true any more.

What it derives is true of its revision and of no later one. The process is asked little before, so
that much is left to derive late, and the relationships are few, so that each of them matters.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from hypothesis import event, given, settings
from hypothesis import strategies as st

from tests import builders
from tests.property.agreement import assert_agree
from tests.reference.evaluator import Reference
from tests.strategies import NOW_MS, compiled

if TYPE_CHECKING:
    from tests.applications import Installation
    from tests.property.agreement import Probe
    from zeratul.domain.relationship import Relationship

MODEL = builders.model(
    {
        "user": {},
        "group": {"member": "[user, group#member]"},
        "folder": {
            "parent": "[folder]",
            "viewer": "[user, group#member] or viewer from parent",
        },
        "document": {"parent": "[folder]", "viewer": "[user] or viewer from parent"},
    }
)
PLACES = ("document:1", "document:2", "document:3", "folder:1", "folder:2")
FOLDERS = ("folder:1", "folder:2", "folder:3")
HOLDERS = ("user:u", "group:1#member", "group:2#member")
QUESTIONS: list[Probe] = [
    ("check", (builders.question(f"{place}#viewer@user:u"),)) for place in (*PLACES, "folder:3")
]
SOME_QUESTIONS = st.lists(st.sampled_from(QUESTIONS), min_size=1, max_size=3, unique=True)


@st.composite
def few_relationships(draw: st.DrawFn) -> list[Relationship]:
    """Each thing in a folder or in none, and one or two ways in."""
    parents = draw(st.tuples(*(st.sampled_from(FOLDERS) for _ in PLACES)))
    texts = [f"{place}#parent@{folder}" for place, folder in zip(PLACES, parents, strict=True)]
    ways = st.tuples(st.sampled_from(FOLDERS), st.sampled_from(HOLDERS))
    texts += [
        f"{folder}#viewer@{holder}"
        for folder, holder in draw(st.sets(ways, min_size=1, max_size=2))
    ]
    texts += ["group:1#member@user:u", "group:2#member@group:1#member"]
    return builders.rels(*texts)


# They take a millisecond each, and few come to the point.
@settings(max_examples=10 * settings().max_examples)
@given(
    rows=few_relationships(),
    early=SOME_QUESTIONS,
    choice=st.integers(0, 9),
    late=SOME_QUESTIONS,
)
def test_what_a_late_view_derives_ends_with_it(
    installation: Installation,
    rows: list[Relationship],
    early: list[Probe],
    choice: int,
    late: list[Probe],
) -> None:
    """One relationship goes while a view is open that goes on being asked."""
    application = installation.create(MODEL, rows)
    schema = compiled(MODEL)
    gone = rows[choice % len(rows)]
    before = Reference(schema, rows, NOW_MS)
    after = Reference(schema, [row for row in rows if row != gone], NOW_MS)
    installation.forget()
    for probe in early:  # a view for each: at its end nothing is left of the last one
        assert_agree(before, [probe], installation.ask(application, [probe], now_ms=NOW_MS))
    installation.hold(application, now_ms=NOW_MS)
    try:
        installation.write(application, [], [gone])
        installation.engine.follow()
        assert_agree(before, late, installation.ask_held(late))
    finally:
        installation.release()
    event(f"taken back: {any(before.check(*q) != after.check(*q) for _, (q,) in late)}")
    assert_agree(after, QUESTIONS, installation.ask(application, QUESTIONS, now_ms=NOW_MS))

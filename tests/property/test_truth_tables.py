"""Every small rewrite over every combination of leaves, exhaustively, against plain logic.

All trees of depth two or less with two operands each, over a leaf the subject is in and a leaf it
is not in: 590 rules. Each is asked by check and by both lookups, with leaves that are computed or
arrows, and with the one membership stored in each way there is.
"""

from __future__ import annotations

from itertools import product
from typing import TYPE_CHECKING, Any, NamedTuple

import pytest

from tests import builders
from zeratul.domain.membership import Membership
from zeratul.graph.answers import CheckQuestion

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from tests.applications import Installation

DEPTH = 2
TREES = 590
RELATIONS_PER_TYPE = 150

OPERATORS: dict[str, Callable[[bool, bool], bool]] = {
    "or": lambda left, right: left or right,
    "and": lambda left, right: left and right,
    "but not": lambda left, right: left and not right,
}
LEAVES = {"computed": ("in", "out"), "arrow": ("in from parent", "out from parent")}
WAYS = {
    "direct": ["{holder}#in@user:u"],
    "wildcard": ["{holder}#in@user:*"],
    "group": ["{holder}#in@group:g#member", "group:g#member@user:u"],
    "nested group": [
        "{holder}#in@group:g#member",
        "group:g#member@group:h#member",
        "group:h#member@user:u",
    ],
}


class Tree(NamedTuple):
    """A rule and what plain logic makes of it."""

    rule: str
    holds: bool


def trees(depth: int, leaves: tuple[str, str]) -> Iterator[Tree]:
    """Every tree of at most this depth."""
    yield Tree(leaves[0], True)
    yield Tree(leaves[1], False)
    if depth:
        below = list(trees(depth - 1, leaves))
        for left, right, (operator, meaning) in product(below, below, OPERATORS.items()):
            yield Tree(
                f"({left.rule}) {operator} ({right.rule})", meaning(left.holds, right.holds)
            )


def model_of(chunks: list[list[Tree]]) -> dict[str, Any]:
    """A type for each chunk, a relation for each tree of it."""
    stored = {"in": "[user, user:*, group#member]", "out": "[user, user:*, group#member]"}
    types: dict[str, dict[str, str]] = {
        "user": {},
        "group": {"member": "[user, group#member]"},
        "folder": stored,
    }
    for number, chunk in enumerate(chunks):
        rules = {f"r{index}": tree.rule for index, tree in enumerate(chunk)}
        types[f"t{number}"] = {**stored, "parent": "[folder]", **rules}
    return builders.model(types)


@pytest.mark.slow
@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("leaf", LEAVES)
def test_every_small_rule_follows_plain_logic(
    installation: Installation, leaf: str, way: str
) -> None:
    """Check, lookup_resources and lookup_subjects of all rules."""
    every = list(trees(DEPTH, LEAVES[leaf]))
    assert len(every) == TREES
    chunks = [
        every[start : start + RELATIONS_PER_TYPE] for start in range(0, TREES, RELATIONS_PER_TYPE)
    ]
    rows: list[str] = []
    for number in range(len(chunks)):
        holder = f"t{number}:x" if leaf == "computed" else "folder:f"
        rows += [row.format(holder=holder) for row in WAYS[way]]
        rows.append(f"t{number}:x#parent@folder:f")
    application = installation.create(model_of(chunks), builders.rels(*dict.fromkeys(rows)))
    subject = builders.subject("user:u")
    for number, chunk in enumerate(chunks):
        resource = builders.resource(f"t{number}:x")
        asked: list[tuple[str, tuple[Any, ...]]] = []
        for index in range(len(chunk)):
            relation = f"r{index}"
            asked.append(("check", (CheckQuestion(subject, resource, relation),)))
            asked.append(("lookup_resources", (subject, resource.type, relation)))
            asked.append(("lookup_subjects", (resource, relation, "user")))
        answers = iter(installation.ask(application, asked))
        for tree in chunk:
            checked, resources, subjects = next(answers), next(answers), next(answers)
            expected = Membership.MEMBER if tree.holds else Membership.NOT_MEMBER
            assert checked == expected, tree
            assert resources.ids == ({"x"} if tree.holds else set()), tree
            assert subjects.holds("u") == tree.holds, tree

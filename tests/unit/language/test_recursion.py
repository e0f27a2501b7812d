"""Recursion through what an exclusion subtracts."""

import pytest

from tests.builders import model
from tests.unit.language.refused import findings_of, one_finding
from zeratul.language.openfga import compile_model


def test_the_cycle_is_named():
    place, message = one_finding(
        model(
            {
                "document": {
                    "viewer": "[user] but not blocked",
                    "blocked": "[user] or can_read",
                    "can_read": "viewer",
                }
            }
        )
    )

    assert "type_definitions[0].relations.viewer.difference.subtract" == place
    assert (
        "`document#viewer` depends on itself through what is subtracted here: document#viewer →"
        " document#blocked → document#can_read → document#viewer"
    ) == message


@pytest.mark.parametrize(
    "rules",
    [
        {"a": "[user] but not a"},
        {"p": "[document]", "a": "[user] but not (a from p)"},
        {"b": "[user]", "a": "b but not [user, document#a]"},
        {"b": "[user]", "a": "b but not ([user] and (b or a))"},
        {"b": "[user]", "a": "b but not (b but not a)"},
        {"b": "[user, document#a]", "a": "[user] but not b"},
        {"b": "[user]", "p": "[document]", "c": "b or a from p", "a": "b but not c"},
    ],
)
def test_recursion_through_a_subtracted_part_is_refused(rules):
    place, message = one_finding(model({"document": rules}))

    assert place.startswith("type_definitions[0].relations.a.difference.subtract")
    assert "`document#a` depends on itself through what is subtracted here" in message


def test_recursion_across_types_is_refused():
    found = findings_of(
        model(
            {
                "folder": {"document": "[document]", "hidden": "[user] or viewer from document"},
                "document": {
                    "parent": "[folder]",
                    "viewer": "[user] but not (hidden from parent)",
                },
            }
        )
    )

    (message,) = found["type_definitions[1].relations.viewer.difference.subtract"]
    assert message.endswith("document#viewer → folder#hidden → document#viewer")


@pytest.mark.parametrize(
    "rules",
    [
        {"p": "[document]", "b": "[user]", "a": "([user] or a from p) but not b"},
        {"b": "[user, document#b]", "a": "[user, document#a] but not b"},
        {"b": "[user]", "a": "b but not (b but not c)", "c": "[user]"},
    ],
)
def test_recursion_on_the_base_side_compiles(rules):
    compile_model(model({"document": rules}))


def test_a_long_cycle_is_cut_and_says_so():
    rules = {f"r{number}": f"r{number + 1}" for number in range(100)}
    rules |= {"r100": "[user] but not r0"}

    _, message = one_finding(model({"document": rules}))

    assert "→ … → document#r100" in message
    assert len(message) < 400

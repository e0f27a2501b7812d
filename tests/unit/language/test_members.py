"""Relations and subject types that can never have a member."""

import pytest

from tests.builders import model
from tests.unit.language.refused import findings_of
from zeratul.language.openfga import compile_model


def relations(name: str, *relations: str) -> set[str]:
    return {f"type_definitions[0].relations.{relation}" for relation in relations}


@pytest.mark.parametrize(
    ("rules", "empty"),
    [
        ({"a": "a"}, "a"),
        ({"a": "b", "b": "a"}, "ab"),
        ({"a": "b", "b": "c", "c": "a or b"}, "abc"),
        ({"a": "[document#a]"}, "a"),
        ({"p": "[document]", "a": "a from p"}, "a"),
        ({"p": "[document]", "a": "b or a from p", "b": "a"}, "ab"),
        ({"u": "[user]", "a": "u and b", "b": "a"}, "ab"),
        ({"u": "[user]", "a": "a but not u"}, "a"),
        ({"a": "a", "b": "a", "u": "[user] or a"}, "ab"),
    ],
)
def test_a_relation_without_an_entry_is_refused(rules, empty):
    found = findings_of(model({"document": rules}))

    assert relations("document", *empty) == set(found)
    for name in empty:
        (message,) = found[f"type_definitions[0].relations.{name}"]
        assert message.startswith(f"`document#{name}` can never have a member")


@pytest.mark.parametrize(
    "rules",
    [
        {"a": "[user] or a"},
        {"a": "[user] or b", "b": "a"},
        {"a": "[user, document#a]"},
        {"a": "[user:*]"},
        {"p": "[document]", "a": "[user] or a from p"},
        {"a": "[document#b]", "b": "[document#a, user]"},
        {"u": "[user]", "e": "[user]", "a": "u and e", "b": "u but not e"},
    ],
)
def test_recursion_with_an_entry_compiles(rules):
    compile_model(model({"document": rules}))


def test_a_subject_type_that_can_never_match_is_refused():
    found = findings_of(
        model(
            {
                "document": {"viewer": "[user, team#admin]"},
                "team": {"admin": "[team#admin]"},
            }
        )
    )

    assert {
        "type_definitions[1].relations.admin",
        "type_definitions[0].metadata.relations.viewer.directly_related_user_types[1]",
    } == set(found)
    (message,) = found[
        "type_definitions[0].metadata.relations.viewer.directly_related_user_types[1]"
    ]
    assert "`team#admin` can never match: `admin` of `team` can never have a member" == message


def test_an_entry_far_away_is_found_in_any_order():
    """Two hundred relations that lead one into the other, the entry last and first."""
    chain = {f"r{number}": f"r{number + 1}" for number in range(150)} | {"r150": "[user]"}

    compile_model(model({"document": chain}))
    compile_model(model({"document": dict(reversed(chain.items()))}))

"""Where arrows may start and lead."""

import pytest

from tests.builders import model
from tests.unit.language.refused import findings_of, one_finding
from zeratul.domain.rewrite import Arrow
from zeratul.language.openfga import compile_model

TUPLESET = "type_definitions[0].relations.viewer.tupleToUserset.tupleset.relation"
TARGET = "type_definitions[0].relations.viewer.tupleToUserset.computedUserset.relation"
NOWHERE = (
    "unknown relation `ownr` on every type `parent` leads to (`folder`, `user`); did you mean"
    " `owner`?"
)


@pytest.mark.parametrize(
    "rule",
    ["[folder] or above", "above", "[folder] but not above", "([folder] and above) or above"],
)
def test_a_computed_tupleset_is_refused(rule):
    place, message = one_finding(
        model(
            {
                "document": {"above": "[folder]", "parent": rule, "viewer": "owner from parent"},
                "folder": {"owner": "[user]"},
            }
        )
    )

    assert TUPLESET == place
    assert "`parent` is computed; an arrow starts at a relation that is only stored" in message


@pytest.mark.parametrize("subject", ["folder:*", "folder#owner"])
def test_a_tupleset_takes_plain_objects_only(subject):
    place, message = one_finding(
        model(
            {
                "document": {"parent": f"[folder, {subject}]", "viewer": "owner from parent"},
                "folder": {"owner": "[user]"},
            }
        )
    )

    assert TUPLESET == place
    assert f"`parent` takes `{subject}`; an arrow follows plain objects only" in message


def test_an_arrow_that_leads_nowhere_is_refused():
    assert one_finding(
        model(
            {
                "document": {"parent": "[folder, user]", "viewer": "ownr from parent"},
                "folder": {"owner": "[user]"},
                "user": {},
            }
        )
    ) == (
        TARGET,
        NOWHERE,
    )


def test_an_arrow_needs_one_of_its_types_to_have_the_relation():
    schema = compile_model(
        model(
            {
                "document": {"parent": "[folder, user]", "viewer": "owner from parent"},
                "folder": {"owner": "[user]"},
            }
        )
    )

    assert Arrow("parent", "owner") == schema.relation("document", "viewer").rewrite


def test_every_arrow_over_a_wrong_tupleset_is_found():
    found = findings_of(
        model(
            {
                "document": {
                    "parent": "[user:*]",
                    "a": "[user] or owner from parent",
                    "b": "[user] or owner from parent",
                },
                "user": {"owner": "[user]"},
            }
        )
    )

    assert {
        "type_definitions[0].relations.a.union.child[1].tupleToUserset.tupleset.relation",
        "type_definitions[0].relations.b.union.child[1].tupleToUserset.tupleset.relation",
    } == set(found)

"""Conditions are refused until they are evaluated."""

from tests.builders import model
from tests.unit.language.refused import findings_of


def test_declared_and_used_conditions_are_findings():
    document = model({"document": {"viewer": "[user, group#member]"}})
    document["conditions"] = {"in_office": {"name": "in_office", "expression": "true"}}
    stored = document["type_definitions"][0]["metadata"]["relations"]["viewer"]
    stored["directly_related_user_types"][0]["condition"] = "in_office"

    assert {
        "conditions.in_office": ["conditions are not supported yet"],
        "type_definitions[0].metadata.relations.viewer.directly_related_user_types[0].condition": [
            "conditions are not supported yet: `user` with `in_office`"
        ],
    } == findings_of(document)

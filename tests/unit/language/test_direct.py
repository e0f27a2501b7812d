"""``this`` and subject types belong together."""

import pytest

from tests.builders import model
from tests.unit.language.refused import one_finding, with_rewrite
from zeratul.domain.schema import AllowedSubject
from zeratul.language.openfga import compile_model


@pytest.mark.parametrize(
    "rewrite",
    [
        {"this": {}},
        {"union": {"child": [{"computedUserset": {"relation": "owner"}}, {"this": {}}]}},
        {
            "difference": {
                "base": {"computedUserset": {"relation": "owner"}},
                "subtract": {"this": {}},
            }
        },
    ],
)
def test_a_stored_relation_must_list_its_subject_types(rewrite):
    place, message = one_finding(with_rewrite(rewrite))

    assert "type_definitions[0].relations.viewer" == place
    assert message.startswith("`viewer` is stored (`this`), but `metadata` lists no")


def test_a_computed_relation_must_not_list_subject_types():
    document = with_rewrite({"computedUserset": {"relation": "owner"}})
    relations = document["type_definitions"][0]["metadata"]["relations"]
    relations["viewer"] = {"directly_related_user_types": [{"type": "user"}]}

    place, message = one_finding(document)

    assert "type_definitions[0].metadata.relations.viewer.directly_related_user_types" == place
    assert "`viewer` is computed" in message


def test_a_computed_relation_may_list_no_subject_types():
    """OpenFGA's own compiler writes empty lists."""
    schema = compile_model(model({"document": {"owner": "[user]", "viewer": "owner"}}))

    assert () == schema.relation("document", "viewer").subjects


def test_a_subject_type_named_twice_is_kept_once():
    schema = compile_model(model({"document": {"viewer": "[user, user:*, user]"}}))

    assert (AllowedSubject("user"), AllowedSubject("user", wildcard=True)) == schema.relation(
        "document", "viewer"
    ).subjects

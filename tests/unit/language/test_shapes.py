"""Wrong shapes: each is a finding under its path, whatever else is wrong, and never a crash."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.strategies import broken_models, json_documents
from tests.unit.language.refused import VIEWER, findings_of, one_finding, with_rewrite
from zeratul.domain.schema import Schema
from zeratul.errors import SchemaError
from zeratul.language.openfga import compile_model, model_of

OWNER = {"computedUserset": {"relation": "owner"}}
EXPECTED = (
    "expected one of: `this`, `computedUserset`, `tupleToUserset`, `union`, `intersection`,"
    " `difference`"
)


def typed(**fields: object) -> dict[str, object]:
    return {"schema_version": "1.1", "type_definitions": [{"type": "document", **fields}]}


def with_subject(subject: object) -> dict[str, object]:
    stored = {"viewer": {"directly_related_user_types": [subject]}}
    return typed(relations={"viewer": {"this": {}}}, metadata={"relations": stored})


@pytest.mark.parametrize("document", [None, True, 3, 1.5, "model", [], float("nan")])
def test_a_model_is_an_object(document):
    place, message = one_finding(document)

    assert "$" == place
    assert message.startswith("expected an object, got ")


def test_an_object_whose_names_are_no_text_is_refused():
    assert {"$": ["the names of an object's fields are text"]} == findings_of({1: 2})


def test_both_parts_of_a_model_are_required():
    assert {"schema_version", "type_definitions"} == set(findings_of({}))


@pytest.mark.parametrize(
    ("version", "part"),
    [("1.0", "not supported"), ("1.3", "must be"), (1.1, "must be"), ([], "must be")],
)
def test_other_schema_versions_are_refused(version, part):
    place, message = one_finding({"schema_version": version, "type_definitions": []})

    assert "schema_version" == place
    assert part in message


@pytest.mark.parametrize("version", ["1.1", "1.2"])
def test_versions_with_subject_types_compile(version):
    compile_model({"schema_version": version, "type_definitions": []})


@pytest.mark.parametrize(
    ("document", "place", "message"),
    [
        (
            {"schema_version": "1.1", "type_definition": [], "type_definitions": []},
            "type_definition",
            "unknown field `type_definition`; did you mean `type_definitions`?",
        ),
        (
            typed(relation={}),
            "type_definitions[0].relation",
            "unknown field `relation`; did you mean `relations`?",
        ),
        (
            typed(metadata={"relation": {}}),
            "type_definitions[0].metadata.relation",
            "unknown field `relation`; did you mean `relations`?",
        ),
        (
            with_subject({"type": "user", "wildcards": {}}),
            "type_definitions[0].metadata.relations.viewer.directly_related_user_types[0].wildcards",
            "unknown field `wildcards`; did you mean `wildcard`?",
        ),
        (
            with_rewrite({"computedUserset": {"relation": "owner", "relations": 1}}),
            VIEWER + ".computedUserset.relations",
            "unknown field `relations`; did you mean `relation`?",
        ),
    ],
)
def test_unknown_fields_are_named_with_the_nearest(document, place, message):
    assert (place, message) == one_finding(document)


@pytest.mark.parametrize(
    ("rewrite", "place", "message"),
    [
        (None, "", "expected an object, got null"),
        ("owner", "", "expected an object, got text"),
        (
            {},
            "",
            EXPECTED,
        ),
        (
            {"this": {}, "union": {"child": [OWNER]}},
            "",
            "more than one rewrite: `this`, `union`",
        ),
        ({"this": []}, ".this", "expected an object, got a list"),
        ({"computedUserset": "owner"}, ".computedUserset", "expected an object, got text"),
        ({"computedUserset": {}}, ".computedUserset.relation", "is missing"),
        (
            {"computedUserset": {"relation": 7}},
            ".computedUserset.relation",
            "expected text, got a number",
        ),
        (
            {"computedUserset": {"relation": ""}},
            ".computedUserset.relation",
            "must not be empty",
        ),
        (
            {"computedUserset": {"relation": "owner", "object": "document:1"}},
            ".computedUserset.object",
            "must be empty: a rewrite names relations only",
        ),
        (
            {"tupleToUserset": {"tupleset": {"relation": "parent"}}},
            ".tupleToUserset.computedUserset",
            "is missing",
        ),
        ({"tupleToUserset": True}, ".tupleToUserset", "expected an object, got true or false"),
        ({"union": {}}, ".union.child", "is missing"),
        ({"union": {"child": {}}}, ".union.child", "expected a list, got an object"),
        ({"union": {"child": []}}, ".union.child", "must not be empty"),
        ({"union": {"child": [OWNER, 1]}}, ".union.child[1]", "expected an object, got a number"),
        (
            {"intersection": {"child": [{"union": {"child": [None]}}]}},
            ".intersection.child[0].union.child[0]",
            "expected an object, got null",
        ),
        ({"difference": {"base": OWNER}}, ".difference.subtract", "is missing"),
        (
            {"difference": {"base": OWNER, "subtract": []}},
            ".difference.subtract",
            "expected an object, got a list",
        ),
    ],
)
def test_a_rewrite_of_the_wrong_shape_is_found_where_it_is(rewrite, place, message):
    assert (VIEWER + place, message) == one_finding(with_rewrite(rewrite))


@pytest.mark.parametrize(
    ("subject", "place", "message"),
    [
        ("user", "", "expected an object, got text"),
        ({}, ".type", "is missing"),
        ({"type": 5}, ".type", "expected text, got a number"),
        ({"type": "user", "relation": 5}, ".relation", "expected text, got a number"),
        ({"type": "user", "wildcard": True}, ".wildcard", "expected an object, got true or false"),
        (
            {"type": "group", "relation": "member", "wildcard": {}},
            "",
            "takes a relation or a wildcard, not both",
        ),
    ],
)
def test_a_subject_type_of_the_wrong_shape_is_found_where_it_is(subject, place, message):
    start = "type_definitions[0].metadata.relations.viewer.directly_related_user_types[0]"

    assert (start + place, message) == one_finding(with_subject(subject))


def test_all_findings_come_at_once():
    found = findings_of(
        {
            "schema_version": "1.0",
            "type_definitions": [
                7,
                {"relations": {"viewer": []}},
                {"type": "document", "relations": [], "metadata": 3},
            ],
            "conditions": [],
        }
    )

    assert {
        "schema_version",
        "type_definitions[0]",
        "type_definitions[1].type",
        "type_definitions[1].relations.viewer",
        "type_definitions[2].relations",
        "conditions",
    } == set(found)


def test_metadata_of_a_relation_nobody_declared_is_found():
    place, message = one_finding(
        typed(
            relations={"viewer": {"this": {}}},
            metadata={
                "relations": {
                    "viewer": {"directly_related_user_types": [{"type": "user"}]},
                    "viewr": {},
                }
            },
        )
    )

    assert "type_definitions[0].metadata.relations.viewr" == place
    assert "unknown relation `viewr` on type `document`; did you mean `viewer`?" == message


def test_what_other_servers_add_is_taken_and_dropped():
    """Ids, notes of modules, nulls and empty texts say nothing; the schema is the same."""
    plain = with_subject({"type": "user"})
    noted = {
        "id": "01HXZ",
        "schema_version": "1.2",
        "conditions": {},
        "type_definitions": [
            {
                "type": "document",
                "relations": {"viewer": {"this": {}}},
                "metadata": {
                    "module": "documents",
                    "source_info": {"file": "documents.fga"},
                    "relations": {
                        "viewer": {
                            "module": "documents",
                            "source_info": None,
                            "directly_related_user_types": [
                                {"type": "user", "relation": "", "condition": "", "wildcard": None}
                            ],
                        }
                    },
                },
            }
        ],
    }

    assert compile_model(plain) == compile_model(noted)


def test_an_empty_object_in_a_computed_userset_says_nothing():
    rewrite = {"computedUserset": {"object": "", "relation": "owner"}}

    assert compile_model(with_rewrite(OWNER)) == compile_model(with_rewrite(rewrite))


def test_names_in_findings_can_be_shown_and_encoded():
    """Control characters, lone surrogates and long names do not reach a message as they are."""
    found = findings_of(
        {"schema_version": "1.1", "type_definitions": [], "\ud800\n" + "x" * 999: 1}
    )

    text = json.dumps(found, ensure_ascii=False)
    text.encode("utf-8")
    assert len(text) < 500
    assert "\\ud800" in text


@given(st.one_of(json_documents, broken_models()))
def test_any_json_value_compiles_or_is_refused(document):
    """Nothing but a schema or findings comes back, and the schema prints back."""
    try:
        schema = compile_model(document)
    except SchemaError as error:
        findings = dict(error.findings)
    else:
        assert isinstance(schema, Schema)
        assert schema == compile_model(model_of(schema))
        return
    assert findings
    json.dumps(findings, ensure_ascii=False).encode("utf-8")

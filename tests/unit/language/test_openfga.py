"""Models become schemas and schemas become models: real ones, drawn ones, the built-in types."""

import json
from pathlib import Path

import pytest
from hypothesis import given

from tests.builders import model
from tests.strategies import compiled, models
from tests.unit.language.refused import findings_of
from zeratul.domain.rewrite import Arrow, Computed, Direct, Exclusion, Intersection, Union
from zeratul.domain.schema import AllowedSubject
from zeratul.language.openfga import compile_model, empty_schema, model_of

DATA = Path(__file__).resolve().parents[4] / "shared" / "data"
STORES = DATA / "openfga-sample-stores" / "compiled.json"
ORGANISATION = DATA / "github-org" / "model.json"


def stores(*, conditions: bool) -> list[object]:
    if not STORES.exists():
        return [pytest.param(None, marks=pytest.mark.skip(reason=f"{STORES.name} is absent"))]
    rows = json.loads(STORES.read_text(encoding="utf-8"))
    return [
        pytest.param(row["model"], id=row["name"])
        for row in rows
        if row["conditions"] == conditions
    ]


@pytest.mark.parametrize("document", stores(conditions=False))
def test_models_of_real_stores_compile_and_print_back(document):
    schema = compile_model(document)

    assert {definition["type"] for definition in document["type_definitions"]} <= set(schema.types)
    assert schema == compile_model(model_of(schema))


@pytest.mark.parametrize("document", stores(conditions=True))
def test_models_of_real_stores_with_conditions_are_refused_for_these_alone(document):
    found = findings_of(document)

    assert {f"conditions.{name}" for name in document["conditions"]} <= set(found)
    for messages in found.values():
        assert all(text.startswith("conditions are not supported yet") for text in messages)


@pytest.mark.skipif(not ORGANISATION.exists(), reason="github-org/model.json is absent")
def test_the_model_of_a_real_organisation_compiles_and_prints_back():
    document = json.loads(ORGANISATION.read_text(encoding="utf-8"))
    schema = compile_model(document)

    assert {"org", "team", "repo"} <= set(schema.types)
    assert schema == compile_model(model_of(schema))
    assert [definition.get("relations", {}) for definition in document["type_definitions"]] == [
        definition["relations"] for definition in model_of(schema)["type_definitions"]
    ]


def test_each_rewrite_becomes_its_node():
    schema = compile_model(
        model(
            {
                "document": {
                    "parent": "[document]",
                    "owner": "[user, user:*, group#member]",
                    "viewer": "[user] or ((owner and viewer from parent) but not owner)",
                }
            }
        )
    )

    viewer = schema.relation("document", "viewer")
    assert (
        Union(
            (
                Direct(),
                Exclusion(
                    Intersection((Computed("owner"), Arrow("parent", "viewer"))), Computed("owner")
                ),
            )
        )
        == viewer.rewrite
    )
    assert (
        AllowedSubject("user"),
        AllowedSubject("user", wildcard=True),
        AllowedSubject("group", "member"),
    ) == schema.relation("document", "owner").subjects


def test_children_keep_their_order():
    rules = dict.fromkeys("abcdef", "[user]") | {"all": "f or a or e or b or d or c"}
    rewrite = compile_model(model({"document": rules})).relation("document", "all").rewrite

    assert Union(tuple(Computed(name) for name in "faebdc")) == rewrite


def test_an_empty_schema_has_the_built_in_types_only():
    schema = empty_schema()

    assert {"user", "group", "client", "api_key"} == set(schema.types)
    assert all(definition.builtin for definition in schema.types.values())
    assert ["user", "group#member", "client"] == [
        str(subject) for subject in schema.relation("group", "member").subjects
    ]
    assert {"schema_version": "1.1", "type_definitions": []} == model_of(schema)


def test_a_models_own_type_replaces_the_built_in_one():
    schema = compile_model(model({"group": {"lead": "[user]"}, "client": {}}))

    assert {"lead"} == set(schema.type("group").relations)
    assert not schema.type("group").builtin
    assert not schema.type("client").builtin
    assert schema.type("user").builtin


def test_without_built_in_types_only_the_models_own_are_known():
    assert {} == compile_model(model({}), builtin=False).types


def test_built_in_types_count_against_no_limit_and_stay_out_of_paths():
    """A relation that `group` lacks is found where the model names it."""
    found = findings_of(model({"document": {"viewer": "[group#owner]"}}))

    assert all(place.startswith("type_definitions[0]") for place in found)


@given(models())
def test_printing_and_compiling_again_changes_nothing(document):
    schema = compiled(document)
    printed = model_of(schema)

    assert schema == compile_model(printed)
    assert printed == model_of(compile_model(printed))

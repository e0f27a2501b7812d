"""The built-in sample model: its relationships are allowed, and its assertions hold."""

import json

import pytest

from tests.reference.evaluator import Reference
from zeratul.domain.membership import Membership
from zeratul.domain.relationship import ObjectRef, Relationship, SubjectRef, id_problem
from zeratul.domain.rewrite import Arrow, Exclusion, Intersection, Union
from zeratul.domain.schema import walk
from zeratul.language.declared import declared
from zeratul.language.openfga import compile_model, model_of

FOLDER = "models/documents/"
MODEL = json.loads(declared(FOLDER + "model.json"))
ROWS = [json.loads(line) for line in declared(FOLDER + "relationships.ndjson").splitlines()]
ASSERTIONS = json.loads(declared(FOLDER + "assertions.json"))
SCHEMA = compile_model(MODEL)
RELATIONSHIPS = [
    Relationship.parse(f"{row['resource']}#{row['relation']}@{row['subject']}") for row in ROWS
]


@pytest.fixture(scope="module")
def reference() -> Reference:
    return Reference(SCHEMA, RELATIONSHIPS)


def test_the_model_prints_back_as_it_is():
    printed = {
        definition["type"]: definition for definition in model_of(SCHEMA)["type_definitions"]
    }

    for definition in MODEL["type_definitions"]:
        assert definition.get("relations", {}) == printed[definition["type"]]["relations"]
        assert definition.get("metadata") == printed[definition["type"]].get("metadata")


def test_the_model_shows_every_form_of_rewrite():
    forms = {
        type(node)
        for definition in SCHEMA.types.values()
        for relation in definition.relations.values()
        for node in walk(relation.rewrite)
    }

    assert {Union, Intersection, Exclusion, Arrow} <= forms


def test_every_relationship_is_allowed_and_there_once():
    for relationship in RELATIONSHIPS:
        SCHEMA.validate_relationship(relationship)
        assert id_problem(relationship.resource_id) is None
    assert len(RELATIONSHIPS) == len(set(RELATIONSHIPS))


@pytest.mark.parametrize(
    "row",
    ASSERTIONS["checks"],
    ids=lambda row: f"{row['subject']} {row['relation']} {row['resource']}",
)
def test_a_check_holds(reference, row):
    answer = reference.check(
        SubjectRef.parse(row["subject"]), ObjectRef.parse(row["resource"]), row["relation"]
    )

    assert row["allowed"] == (answer is Membership.MEMBER)


@pytest.mark.parametrize(
    "row", ASSERTIONS["who_can"], ids=lambda row: f"{row['resource']}#{row['relation']}"
)
def test_who_can_is_complete(reference, row):
    found = reference.lookup_subjects(ObjectRef.parse(row["resource"]), row["relation"], "user")

    assert row.get("everyone", False) == found.wildcard
    if found.wildcard:
        assert row["except"] == sorted(f"user:{name}" for name in found.exceptions)
    else:
        assert row["subjects"] == sorted(f"user:{name}" for name in found.explicit)


@pytest.mark.parametrize(
    "row",
    ASSERTIONS["what_can"],
    ids=lambda row: f"{row['subject']} {row['relation']} {row['type']}",
)
def test_what_can_is_complete(reference, row):
    found = reference.lookup_resources(
        SubjectRef.parse(row["subject"]), row["type"], row["relation"]
    )

    assert row["resources"] == sorted(f"{row['type']}:{name}" for name in found)


def test_the_assertions_prove_something():
    """Yes and no, everyone and nobody, for every permission of a document."""
    asked = {
        row["relation"] for row in ASSERTIONS["checks"] if row["resource"].startswith("document:")
    }
    permissions = {name for name in SCHEMA.type("document").relations if name.startswith("can_")}

    assert permissions <= asked
    for permission in permissions:
        answers = {row["allowed"] for row in ASSERTIONS["checks"] if row["relation"] == permission}
        assert {True, False} == answers, permission

"""Whatever is sent as a model or a relationship is understood or refused, never mistaken."""

from __future__ import annotations

from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from tests.strategies import (
    World,
    broken_models,
    json_documents,
    models,
    possible_relationships,
    worlds,
)
from zeratul.domain.relationship import Relationship
from zeratul.errors import MalformedError, SchemaError
from zeratul.language.openfga import compile_model, model_of


def refused_with_findings(document: Any) -> bool:
    """Whether the compiler refuses it; how it does so is asserted."""
    findings = None
    try:
        compile_model(document)
    except SchemaError as error:
        findings = error.findings
    assert findings is None or (findings and all(findings.values()))
    return findings is not None


@given(document=json_documents)
def test_any_document_is_a_model_or_has_findings(document: Any) -> None:
    """Arbitrary JSON: no other error comes out."""
    if not refused_with_findings(document):
        assert isinstance(document, dict)
        assert document["type_definitions"] is not None


@given(document=broken_models())
def test_a_broken_model_is_a_model_or_has_findings(document: Any) -> None:
    """A good model with one place replaced: no other error comes out."""
    if not refused_with_findings(document):
        schema = compile_model(document)
        assert compile_model(model_of(schema)) == schema


@given(model=models())
def test_a_drawn_model_compiles_and_comes_back(model: dict[str, Any]) -> None:
    """The type-directed generator makes models; printing and compiling is the identity."""
    schema = compile_model(model)
    assert compile_model(model_of(schema)) == schema


@given(text=st.text(st.sampled_from("ab*:#@/ \n|é"), max_size=24))
def test_text_is_a_relationship_or_malformed(text: str) -> None:
    """What parses prints as the same text; everything else is malformed."""
    try:
        relationship = Relationship.parse(text)
    except MalformedError:
        return
    assert str(relationship) == text


@given(world=worlds())
def test_drawn_relationships_are_allowed(world: World) -> None:
    """The generator and the schema mean the same by "allowed", and text says all of them."""
    for row in possible_relationships(world.schema):
        world.schema.validate_relationship(row)
        assert Relationship.parse(str(row)) == row

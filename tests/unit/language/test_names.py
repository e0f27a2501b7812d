"""Names of types and relations."""

import pytest

from tests.builders import model
from tests.unit.language.refused import findings_of, one_finding
from zeratul.language.openfga import compile_model


@pytest.mark.parametrize("name", ["self", "this"])
def test_reserved_names_are_refused(name):
    found = findings_of(model({name: {name: "[user]"}}))

    message = f"`{name}` is reserved and cannot be a name"
    assert {
        "type_definitions[0].type": [message],
        f"type_definitions[0].relations.{name}": [message],
    } == found


@pytest.mark.parametrize(
    "name", ["a b", "1st", "a:b", "a#b", "é", "a" * 255, "*", "\ud800", "a\n"]
)
def test_names_outside_the_pattern_are_refused(name):
    place, message = one_finding(model({name: {}}))

    assert "type_definitions[0].type" == place
    assert "is not a valid name" in message


def test_an_invalid_relation_name_is_quoted_in_its_path():
    place, message = one_finding(model({"document": {"can read": "[user]"}}))

    assert 'type_definitions[0].relations["can read"]' == place
    assert "`can read` is not a valid name" in message


def test_the_servers_own_types_cannot_be_declared():
    _, message = one_finding(model({"⟨record⟩": {}}))

    assert "`⟨record⟩` is a name of the server's own and cannot be declared" == message


def test_a_type_declared_twice_is_found_at_the_second():
    document = model({"document": {}, "folder": {}})
    document["type_definitions"].append({"type": "document"})

    assert one_finding(document) == (
        "type_definitions[2].type",
        "`document` is declared twice, first at type_definitions[0]",
    )


def test_record_role_and_tenant_are_ordinary_types():
    schema = compile_model(model({"record": {}, "role": {}, "tenant": {"can-do_it": "[user]"}}))

    assert {"record", "role", "tenant", "user", "group", "client", "api_key"} == set(schema.types)

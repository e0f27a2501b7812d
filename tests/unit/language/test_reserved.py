"""The server's own types: who may hold a role follows from the schema beside them."""

import pytest

from tests.builders import model
from zeratul.domain.relationship import name_is_valid
from zeratul.domain.rewrite import Direct
from zeratul.domain.schema import AllowedSubject, TypeDefinition
from zeratul.domain.scopes import GRANT_TYPE, HOLDER, RESERVED_TYPES
from zeratul.errors import SchemaError
from zeratul.language.openfga import compile_model
from zeratul.language.reserved import reserved_types


@pytest.mark.parametrize(
    ("types", "holders"),
    [
        ({}, ["user", "client", "api_key", "group#member"]),
        ({"group": {}}, ["user", "client", "api_key"]),
        ({"group": {"staff": "[user]"}}, ["user", "client", "api_key"]),
        (
            {"user": {}, "group": {"listed": "[user]", "member": "listed"}},
            ["user", "client", "api_key", "group#member"],
        ),
    ],
)
def test_who_may_hold_a_role(types, holders):
    made = reserved_types(compile_model(model(types)).types)
    assert [str(form) for form in made[GRANT_TYPE].relations[HOLDER].subjects] == holders


def test_a_schema_without_some_of_them():
    made = reserved_types({"user": TypeDefinition("user")})
    assert made[GRANT_TYPE].relations[HOLDER].subjects == (AllowedSubject("user"),)


def test_they_are_stored_and_nothing_else():
    made = reserved_types(compile_model(model({})).types)
    assert set(made) == set(RESERVED_TYPES)
    for definition in made.values():
        assert definition.builtin
        for relation in definition.relations.values():
            assert relation.rewrite == Direct()
            assert relation.subjects


@pytest.mark.parametrize("name", RESERVED_TYPES)
def test_no_model_can_declare_them(name):
    assert not name_is_valid(name)
    with pytest.raises(SchemaError) as raised:
        compile_model({"schema_version": "1.1", "type_definitions": [{"type": name}]})
    assert "server's own" in str(raised.value.findings)

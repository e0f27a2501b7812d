"""What a catalog has to keep to beside a model, and what it is advised to."""

from __future__ import annotations

import pytest

from tests.builders import catalog, model
from zeratul.domain.limits import Limits
from zeratul.language.catalog_rules import (
    check_action,
    check_catalog,
    check_key,
    check_override,
    check_resource,
    warnings_of,
)
from zeratul.language.findings import Findings, Place
from zeratul.language.openfga import compile_model, empty_schema
from zeratul.language.strata import has_subtraction, recursion_through_subtraction

ROOT = Place()
LIMITS = Limits()
RECURSIVE = model(
    {
        "user": {},
        "folder": {"banned": "[user]"},
        "documents": {
            "parent": "[documents, folder]",
            "lead": "[user] but not banned from parent",
        },
    }
)


def found(check, *args):
    findings = Findings()
    check(*args, findings)
    return findings.listed()


def judged(declared, rules=None, limits=LIMITS):
    compiled = compile_model(rules) if rules else empty_schema()
    findings = Findings()
    for resource in declared.resources.values():
        check_resource(resource, ROOT / resource.name, compiled, limits, findings)
    check_catalog(declared, ROOT / "all", compiled, limits, findings)
    return findings.listed()


@pytest.mark.parametrize("text", ["a", "documents", "a_b", "a0", "a" * 63])
def test_keys(text):
    assert {} == found(check_key, text, ROOT / "x")
    assert {} == found(check_action, text, ROOT / "x")


@pytest.mark.parametrize(
    "text", ["", "Resource", "a:b", "*", "1a", "_a", "a b", "a" * 64, "ä", "⟨grant⟩", "a\n", "a-B"]
)
def test_what_is_no_key(text):
    assert ["x"] == list(found(check_key, text, ROOT / "x"))
    assert ["x"] == list(found(check_action, text, ROOT / "x"))


def test_only_actions_may_hold_a_hyphen():
    assert {} == found(check_action, "export-all", ROOT / "x")
    assert "is not a valid key" in found(check_key, "export-all", ROOT / "x")["x"][0]


def test_a_reserved_name_is_told_apart_from_a_wrong_one():
    assert "server's own" in found(check_key, "⟨scope⟩", ROOT / "x")["x"][0]


def test_owner_is_never_overridden():
    assert ["x"] == list(found(check_override, "owner", ROOT / "x"))
    assert {} == found(check_override, "viewer", ROOT / "x")
    assert {} == found(check_override, "approver", ROOT / "x")


@pytest.mark.parametrize("name", ["user", "group", "client", "api_key"])
def test_a_built_in_type_is_a_resource_only_where_the_model_declares_it(name):
    declared = catalog(**{name: (["read"], {})})
    assert [f"{name}.resource"] == list(judged(declared))
    assert {} == judged(declared, model({"user": {}, name: {}}))


def test_an_action_is_no_relation():
    assert ["documents.actions[1]"] == list(
        judged(catalog(documents=(["read", "approver"], {"approver": ["read"]})))
    )
    assert ["documents.actions[0]"] == list(judged(catalog(documents=(["viewer"], {}))))
    # A relation of the model may be an action: the model decides it.
    rules = model({"user": {}, "documents": {"viewer": "[user]"}})
    assert {} == judged(catalog(documents=(["viewer"], {})), rules)
    assert ["documents.actions[0]"] == list(
        judged(catalog(documents=(["viewer"], {"viewer": []})), rules)
    )


def test_numbers_of_actions_relations_and_resources():
    small = Limits(catalog_resources_max=1, catalog_actions_max=2, catalog_relations_max=1)
    assert {} == judged(catalog(a=(["x", "y"], {"z": [], "viewer": []})), limits=small)
    over = judged(catalog(a=(["x", "y", "w"], {"z": [], "v": []}), b=([], {})), limits=small)
    assert {
        "a.actions": ["at most 2 actions (catalog_actions_max), these are 3"],
        "a.relations": ["at most 1 custom relations (catalog_relations_max), these are 2"],
        "all": ["at most 1 resources (catalog_resources_max), these are 2"],
    } == over


def test_pairs_of_relations_and_actions_are_bounded():
    declared = catalog(a=(["x", "y"], {"z": ["x", "y"]}))
    assert {} == judged(declared, limits=Limits(catalog_pairs_max=4))
    assert "catalog_pairs_max" in judged(declared, limits=Limits(catalog_pairs_max=3))["all"][0]


def test_a_catalog_must_not_make_the_model_recurse_through_an_exclusion():
    # `banned` of a parent that is a document would be the catalog's, and rest on `lead`.
    assert {} == judged(catalog(documents=(["read"], {"lead": ["read"]})), RECURSIVE)
    findings = judged(catalog(documents=(["banned"], {"lead": ["banned"]})), RECURSIVE)
    assert ["all"] == list(findings)
    assert "`documents#lead`" in findings["all"][0]
    # The action alone does not: nothing leads from it back to `lead`.
    assert {} == judged(catalog(documents=(["banned"], {})), RECURSIVE)


def test_recursion_is_looked_for_only_where_something_subtracts():
    assert not has_subtraction(empty_schema())
    assert has_subtraction(compile_model(RECURSIVE))
    assert recursion_through_subtraction(compile_model(RECURSIVE)) is None
    deep = model(
        {
            "user": {},
            "group": {"member": "[user, group#member]"},
            "doc": {
                "parent": "[doc]",
                "viewer": "[user, group#member] or viewer from parent",
                "read": "(viewer and viewer) but not banned",
                "banned": "[user, doc#banned]",
            },
        }
    )
    assert recursion_through_subtraction(compile_model(deep)) is None


def codes(declared, rules=None):
    compiled = compile_model(rules) if rules else empty_schema()
    return [(each.code, each.resource) for each in warnings_of(declared, compiled)]


def test_a_simple_catalog_gets_no_warning():
    actions = ["create", "read", "update", "delete", "list", "comment", "approve", "listen"]
    assert [] == codes(catalog(documents=(actions, {"a": [], "b": [], "c": [], "viewer": []})))


def test_more_than_twenty_resources_are_warned_of():
    assert [] == codes(catalog(**{f"r{n}": ([], {}) for n in range(20)}))
    assert [("too_many_resources", None)] == codes(
        catalog(**{f"r{n}": ([], {}) for n in range(21)})
    )


def test_more_than_three_custom_relations_are_warned_of():
    custom = {name: [] for name in "abcd"}
    assert [("too_many_relations", "documents")] == codes(catalog(documents=([], custom)))


@pytest.mark.parametrize(
    ("action", "simple"),
    [
        ("update_status_to_x", "update"),
        ("edit_title", "update"),
        ("create-draft", "create"),
        ("delete_all", "delete"),
        ("get_name", "read"),
    ],
)
def test_compound_actions_are_warned_of(action, simple):
    found = warnings_of(catalog(documents=([action], {})), empty_schema())
    assert ["compound_action"] == [each.code for each in found]
    assert f"`{simple}`" in found[0].message


def test_what_the_model_decides_is_said():
    rules = model({"user": {}, "documents": {"owner": "[user]", "read": "[user]"}})
    declared = catalog(documents=(["read", "list"], {"approver": ["read"], "viewer": ["list"]}))
    assert [("decided_by_model", "documents"), ("owner_of_model", "documents")] == codes(
        declared, rules
    )


def test_warnings_are_bounded_and_counted():
    many = catalog(documents=([f"update_{n}" for n in range(100)], {}), b=(["get_it"], {}))
    found = warnings_of(many, empty_schema())
    assert 101 == len(found)
    assert ("more_warnings", "1 more warnings") == (found[-1].code, found[-1].message)

"""A catalog attached to a model: one type of one name, actions as unions of what implies them."""

from __future__ import annotations

import pytest

from tests.builders import catalog, model
from zeratul.domain.catalog import Catalog, CatalogRelation, CatalogResource, renamed_segments
from zeratul.domain.rewrite import Computed, Direct, Exclusion, Union
from zeratul.language.application import application_schema
from zeratul.language.builtins import builtins
from zeratul.language.catalog import (
    catalog_json,
    catalog_of,
    implied_actions,
    permissions,
    relation_actions,
)
from zeratul.language.openfga import compile_model

EMPTY = model({})
TAKEN = ["user", "user:*", "client", "api_key", "group#member"]


def schema_of(declared, rules=EMPTY, *, roles=False):
    return application_schema(rules, declared, roles=roles)


def ways(schema, type_name, action):
    """The relations a union of computed ones names."""
    rewrite = schema.relation(type_name, action).rewrite
    assert isinstance(rewrite, Union)
    assert all(isinstance(child, Computed) for child in rewrite.children)
    return [child.relation for child in rewrite.children]


def test_without_catalog_and_roles_the_schema_is_the_model_s():
    rules = model({"doc": {"viewer": "[user]"}})
    assert compile_model(rules) == schema_of(None, rules)


def test_a_resource_has_the_built_in_relations_stored():
    schema = schema_of(catalog(documents=(["read"], {})))
    assert {"owner", "editor", "viewer", "commenter", "read"} == set(
        schema.type("documents").relations
    )
    for name in builtins().relations:
        relation = schema.relation("documents", name)
        assert Direct() == relation.rewrite
        assert TAKEN == [str(form) for form in relation.subjects]


def test_an_action_is_the_union_of_what_implies_it():
    schema = schema_of(
        catalog(
            documents=(["create", "read", "approve"], {"approver": ["approve", "read"]}),
        )
    )
    assert ["owner", "editor"] == ways(schema, "documents", "create")
    assert ["owner", "editor", "viewer", "commenter", "approver"] == ways(
        schema, "documents", "read"
    )
    assert ["owner", "approver"] == ways(schema, "documents", "approve")
    assert () == schema.relation("documents", "read").subjects


def test_editor_without_create_does_not_create():
    resource = CatalogResource("documents", actions=("read", "update"))
    assert ("read", "update") == implied_actions(resource)["editor"]


@pytest.mark.parametrize(
    ("actions", "implied"),
    [
        (("read", "comment"), ("read", "comment")),
        (("read",), ("read",)),
        (("comment",), ("comment",)),
        ((), ()),
    ],
)
def test_commenter_comments_only_where_that_is_an_action(actions, implied):
    assert implied == implied_actions(CatalogResource("documents", actions=actions))["commenter"]


def test_owner_gains_an_action_declared_later():
    before = CatalogResource("documents", actions=("read",))
    after = CatalogResource("documents", actions=("read", "shred"))
    assert ("read",) == implied_actions(before)["owner"]
    assert ("read", "shred") == implied_actions(after)["owner"]
    assert ("read",) == implied_actions(after)["viewer"]


def test_a_resource_overrides_what_a_built_in_relation_implies_but_owner():
    schema = schema_of(
        catalog(
            documents=(["read", "list", "export"], {"viewer": ["export"], "commenter": []}),
        )
    )
    assert ["owner", "editor"] == ways(schema, "documents", "read")
    assert ["owner"] == ways(schema, "documents", "list")
    assert ["owner", "viewer"] == ways(schema, "documents", "export")
    # Whoever stores a catalog refuses this; even so an owner may do everything.
    forged = CatalogResource(
        "documents", actions=("read",), relations={"owner": CatalogRelation(())}
    )
    assert ("read",) == implied_actions(forged)["owner"]


def test_an_action_nothing_implies_is_there_and_nobody_has_it():
    forged = catalog(documents=(["zap"], {}))
    assert ["owner"] == ways(schema_of(forged), "documents", "zap")


def test_the_model_decides_what_it_names():
    rules = model(
        {
            "user": {},
            "documents": {
                "viewer": "[user]",
                "banned": "[user]",
                "read": "viewer but not banned",
            },
        }
    )
    schema = schema_of(catalog(documents=(["read", "list"], {"approver": ["read"]})), rules)
    assert isinstance(schema.relation("documents", "read").rewrite, Exclusion)
    assert ["user"] == [str(form) for form in schema.relation("documents", "viewer").subjects]
    # What it leaves open the catalog adds: relations, and actions over the model's relations.
    assert ["owner", "viewer"] == ways(schema, "documents", "list")
    assert TAKEN == [str(form) for form in schema.relation("documents", "approver").subjects]
    assert not schema.type("documents").builtin


def test_a_relation_of_the_model_that_the_catalog_lists_implies_actions():
    rules = model({"user": {}, "documents": {"auditor": "[user]"}})
    schema = schema_of(catalog(documents=(["inspect"], {"auditor": ["inspect"]})), rules)
    assert ["owner", "auditor"] == ways(schema, "documents", "inspect")
    assert ["user"] == [str(form) for form in schema.relation("documents", "auditor").subjects]


def test_relations_of_a_catalog_take_only_subjects_that_exist():
    rules = model({"user": {}, "group": {"lead": "[user]"}})
    schema = schema_of(catalog(documents=(["read"], {})), rules)
    assert TAKEN[:4] == [str(form) for form in schema.relation("documents", "viewer").subjects]


def test_the_server_s_own_types_are_there_with_roles_only():
    assert not [name for name in schema_of(None).types if "⟨" in name]
    assert 3 == len([name for name in schema_of(None, roles=True).types if "⟨" in name])


def test_relation_actions_say_what_holding_one_relation_is_enough_for():
    rules = model(
        {
            "user": {},
            "documents": {
                "parent": "[documents]",
                "lead": "[user]",
                "viewer": "[user] or lead or viewer from parent",
                "banned": "[user]",
                "read": "viewer",
                "sign": "lead but not banned",
            },
        }
    )
    declared = catalog(
        documents=(["read", "sign", "list"], {"approver": ["list", "read"]}), other=(["go"], {})
    )
    found = relation_actions(schema_of(declared, rules), declared, "documents")
    assert ("read", "list") == found["lead"]
    assert ("read", "list") == found["viewer"]
    # The model decides `read`: an approver may not, whatever the catalog says.
    assert ("list",) == found["approver"]
    assert ("list",) == found["owner"]
    assert () == found["banned"]
    assert () == found["parent"]
    assert "read" not in found
    assert {"lead", "parent", "viewer", "banned"} == set(
        relation_actions(schema_of(None, rules), None, "documents")
    )


def test_permissions_are_resource_and_action():
    declared = catalog(documents=(["read", "list"], {}), reports=([], {}), a=(["go"], {}))
    assert ["documents:read", "documents:list", "a:go"] == permissions(declared)


def test_a_catalog_survives_its_json_form():
    declared = Catalog(
        {
            "documents": CatalogResource(
                "documents",
                "Files",
                ("read", "export-all"),
                {"approver": CatalogRelation(("read",), "May approve")},
            )
        },
        {"documents": "files", "files": "files#7"},
        7,
    )
    assert declared == catalog_of(catalog_json(declared))


def test_paths_stay_with_a_resource_through_every_rename():
    declared = Catalog({"docs": CatalogResource("docs")})
    assert "docs" == declared.segment("docs")
    renamed = Catalog({}, renamed_segments(declared, "docs", "files", "5"))
    assert ("docs", "docs#5") == (renamed.segment("files"), renamed.segment("docs"))
    assert ("files", "docs") == (renamed.named("docs"), renamed.named("docs#5"))
    again = Catalog({}, renamed_segments(renamed, "files", "papers", "6"))
    assert ("docs", "docs#5", "files#6") == tuple(
        again.segment(name) for name in ("papers", "docs", "files")
    )
    back = Catalog({}, renamed_segments(again, "papers", "docs", "7"))
    assert "docs" == back.segment("docs")
    segments = [back.segment(name) for name in ("docs", "files", "papers", "other")]
    assert len(segments) == len(set(segments))


def test_every_name_has_a_segment_of_its_own_however_names_wander():
    declared = Catalog()
    for mark, (name, to) in enumerate(
        [("a", "b"), ("a", "c"), ("b", "a"), ("c", "b"), ("a", "c"), ("b", "d")]
    ):
        before = {each: declared.segment(each) for each in "abcd"}
        declared = Catalog({}, renamed_segments(declared, name, to, str(mark)))
        after = {each: declared.segment(each) for each in "abcd"}
        assert before[name] == after[to]
        assert after[name] not in before.values()
        assert 4 == len(set(after.values()))


def test_the_declared_relations_are_sound():
    declared = builtins()
    assert ["owner", "editor", "viewer", "commenter"] == list(declared.relations)
    assert [name for name, each in declared.relations.items() if not each.overridable] == ["owner"]
    assert declared.relations["owner"].actions is None
    assert ("create", "read", "update") == declared.relations["editor"].actions
    assert ("read", "list") == declared.relations["viewer"].actions
    assert ("read", "comment") == declared.relations["commenter"].actions
    assert TAKEN == [str(form) for form in declared.subjects]

"""Random catalogs beside random models: they compile, and relations imply what was declared."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from tests.reference.evaluator import Reference
from tests.strategies import models
from zeratul.domain.catalog import Catalog, CatalogRelation, CatalogResource
from zeratul.domain.limits import Limits
from zeratul.domain.membership import Membership
from zeratul.domain.relationship import ObjectRef, Relationship, SubjectRef
from zeratul.domain.vocabulary import SELF, WILDCARD_SLOT, Vocabulary
from zeratul.graph.plan import compile_plan
from zeratul.language.application import application_schema, joined
from zeratul.language.catalog import catalog_json, catalog_of, relation_actions
from zeratul.language.catalog_rules import check_catalog, check_resource
from zeratul.language.findings import Findings, Place
from zeratul.language.openfga import compile_model

NOTHING = {"schema_version": "1.1", "type_definitions": []}
# Some are names of the model strategy as well (`folder`, `document`, relations `a` to `d`).
_RESOURCES = ("document", "folder", "reports")
_ACTIONS = ("read", "list", "create", "update", "comment", "shred", "a", "b")
_CUSTOM = ("approver", "c", "d")
_BUILT_IN = {
    "owner": frozenset(_ACTIONS),
    "editor": frozenset({"create", "read", "update"}),
    "viewer": frozenset({"read", "list"}),
    "commenter": frozenset({"read", "comment"}),
}


def _some(names):
    return st.lists(st.sampled_from(names), unique=True).map(tuple) if names else st.just(())


@st.composite
def resources(draw, name):
    actions = draw(_some(_ACTIONS))
    named = draw(_some((*_CUSTOM, "editor", "viewer", "commenter")))
    relations = {each: CatalogRelation(draw(_some(actions))) for each in named}
    return CatalogResource(name, actions=actions, relations=relations)


@st.composite
def catalogs(draw):
    names = draw(_some(_RESOURCES))
    return Catalog({name: draw(resources(name)) for name in names})


def _implied(resource, relation):
    """What a relation implies, said in one line."""
    if relation != "owner" and relation in resource.relations:
        return set(resource.relations[relation].actions)
    return _BUILT_IN.get(relation, frozenset()) & set(resource.actions)


@given(catalogs())
def test_relations_imply_what_is_declared_and_nothing_else(declared):
    schema = application_schema(NOTHING, declared, roles=False)
    ann = SubjectRef("user", "ann")
    for resource in declared.resources.values():
        shown = relation_actions(schema, declared, resource.name)
        for relation in {*_BUILT_IN, *resource.relations}:
            held = Relationship(resource.name, "x", relation, *ann[:2])
            reference = Reference(schema, [held])
            allowed = {
                action
                for action in resource.actions
                if reference.check(ann, ObjectRef(resource.name, "x"), action) is Membership.MEMBER
            }
            assert _implied(resource, relation) == allowed == set(shown[relation])


@given(models(), catalogs())
def test_what_is_judged_sound_compiles_and_leaves_the_model_s_own_part_alone(rules, declared):
    compiled = compile_model(rules)
    findings = Findings()
    for resource in declared.resources.values():
        check_resource(resource, Place(), compiled, Limits(), findings)
    check_catalog(declared, Place(), compiled, Limits(), findings)
    schema = joined(compiled, declared, roles=True)
    for name, definition in compiled.types.items():
        for relation in definition.relations.values():
            assert relation == schema.types[name].relations[relation.name]
    for resource in declared.resources.values():
        assert {*resource.actions, *resource.relations, *_BUILT_IN} <= set(
            schema.types[resource.name].relations
        )
    if not findings:
        names = [
            (name, part)
            for name, definition in schema.types.items()
            for part in (SELF, WILDCARD_SLOT, *definition.relations)
        ]
        slots = {name: number for number, name in enumerate(names, 1)}
        # A schema that recurses through an exclusion has no plan.
        compile_plan(schema, Vocabulary(1, slots, {n: name for name, n in slots.items()}))


@given(catalogs())
def test_a_stored_catalog_is_the_same_catalog(declared):
    assert declared == catalog_of(catalog_json(declared))

"""A rename is one commit: before it the old name means what it meant, after it the new one."""

from __future__ import annotations

import pytest

from tests.builders import model, question, rel, rels
from tests.unit.service.conftest import held_writer
from tests.unit.service.test_catalog import current, events, everything, put, wanted
from zeratul.domain.limits import Limits
from zeratul.errors import (
    AlreadyExistsError,
    ConflictError,
    LimitError,
    NotFoundError,
    UnknownNameError,
    ValidationError,
)
from zeratul.service.ground.answers import Page
from zeratul.service.relationships.relationship_answers import RelationshipFilter
from zeratul.service.roles.role_answers import Labelled, Wish
from zeratul.service.rules.catalog_answers import RelationRequest, ResourceRequest
from zeratul.service.services import Services
from zeratul.store.lmdb import open_store

DOCUMENTS = wanted(
    "documents",
    ["create", "read", "update", "approve"],
    {"approver": ["read", "approve"]},
    "Files",
)
REPORTS = wanted("reports", ["read"])


@pytest.fixture
def caller(services, empty):
    """A caller in the default application, with a catalog, grants, a policy and a role."""
    put(services, empty, DOCUMENTS, REPORTS)
    services.relationships.bulk(
        empty,
        rels(
            "documents:d1#approver@user:ann",
            "documents:d1#viewer@user:bob",
            "documents:d2#approver@group:eng#member",
            "group:eng#member@user:eve",
            "reports:r1#viewer@user:ann",
        ),
    ).result()
    return empty


@pytest.fixture
def policy(services, caller):
    given = Labelled("P", None, ["documents:read", "documents:*", "reports:read"])
    return services.policies.create(caller, given).result()


def allowed(services, caller, text):
    return services.access.check(caller, question(text)).allowed


def resource(services, caller, name, to, **options):
    return services.catalog.rename_resource(caller, name, to, **options).result()


def test_a_resource_takes_its_grants_and_policies_along(services, caller, policy):
    role = services.roles.create(caller, Labelled("R", None, [policy.id])).result()
    services.assignments.assign(
        caller, Wish(rel("x:x#x@user:zoe").subject, role.id, path="documents/d7")
    ).result()
    count = len(everything(services, caller))
    answer = resource(services, caller, "documents", "files")
    assert ("resource", "files") == (answer.kind, answer.resource)
    assert ("documents", "files") == (answer.old, answer.new)
    assert {"policies": {policy.id: 2}, "roles": {role.id: 1}} == answer.references
    for text in (
        "files:d1#approve@user:ann",
        "files:d1#read@user:bob",
        "files:d2#approve@user:eve",
        "files:d7#update@user:zoe",
        "reports:r1#read@user:ann",
    ):
        assert allowed(services, caller, text)
    for text in ("files:d1#approve@user:bob", "files:d3#read@user:ann", "files:d8#read@user:zoe"):
        assert not allowed(services, caller, text)
    with pytest.raises(UnknownNameError) as caught:
        allowed(services, caller, "documents:d1#read@user:ann")
    assert {"files", "reports"} == set(current(services, caller))
    assert "documents" == caught.value.name
    assert ("files:read", "files:*", "reports:read") == services.policies.get(
        caller, policy.id
    ).permissions
    stored = everything(services, caller)
    assert count == len(stored)
    assert not any(b"documents" in line for line in stored)
    assert answer.etag == services.catalog.list(caller).etag


def test_a_new_resource_of_the_old_name_begins_empty(services, caller, policy):
    role = services.roles.create(caller, Labelled("R", None, [policy.id])).result()
    zoe = rel("x:x#x@user:zoe").subject
    services.assignments.assign(caller, Wish(zoe, role.id, path="documents")).result()
    resource(services, caller, "documents", "files")
    services.catalog.put_one(caller, DOCUMENTS).result()
    services.policies.update(
        caller, policy.id, Labelled(None, None, ["files:read", "documents:read"])
    ).result()
    assert allowed(services, caller, "files:d1#read@user:zoe")
    assert not allowed(services, caller, "documents:d1#read@user:zoe")
    assert not allowed(services, caller, "documents:d1#read@user:ann")
    services.relationships.write(caller, rel("documents:d1#viewer@user:new")).result()
    assert allowed(services, caller, "documents:d1#read@user:new")
    assert not allowed(services, caller, "files:d1#read@user:new")
    # A role on the new resource's paths is one on these alone.
    amy = rel("x:x#x@user:amy").subject
    services.assignments.assign(caller, Wish(amy, role.id, path="documents/d1")).result()
    assert allowed(services, caller, "documents:d1#read@user:amy")
    assert not allowed(services, caller, "files:d1#read@user:amy")


def test_there_and_back_again_is_what_it_was(services, caller, policy):
    before = (everything(services, caller), services.catalog.list(caller).etag)
    resource(services, caller, "documents", "files")
    resource(services, caller, "files", "papers")
    resource(services, caller, "papers", "documents")
    assert before[0] == everything(services, caller)
    assert list(DOCUMENTS.actions) == list(current(services, caller)["documents"].actions)
    assert allowed(services, caller, "documents:d1#approve@user:ann")


def test_a_name_a_resource_had_before_can_be_another_one_s(services, caller):
    """Also where the numbers of the name are still there, with a history of rows."""
    put(services, caller, DOCUMENTS, REPORTS, wanted("files", ["read"]))
    services.relationships.write(caller, rel("files:f1#viewer@user:old")).result()
    services.catalog.remove(caller, "files", force=True).result()
    resource(services, caller, "documents", "files")
    assert not allowed(services, caller, "files:f1#read@user:old")
    assert allowed(services, caller, "files:d1#read@user:bob")


def test_two_resources_change_places(services, caller):
    resource(services, caller, "documents", "x")
    resource(services, caller, "reports", "documents")
    resource(services, caller, "x", "reports")
    assert allowed(services, caller, "reports:d1#approve@user:ann")
    assert allowed(services, caller, "documents:r1#read@user:ann")
    assert not allowed(services, caller, "documents:d1#read@user:bob")


def test_a_relation_takes_its_grants_along(services, caller):
    answer = services.catalog.rename_relation(caller, "documents", "approver", "signer").result()
    assert ("documents", {}, ()) == (answer.resource, answer.references, answer.overridden)
    assert allowed(services, caller, "documents:d1#approve@user:ann")
    assert allowed(services, caller, "documents:d2#signer@user:eve")
    with pytest.raises(UnknownNameError):
        allowed(services, caller, "documents:d1#approver@user:ann")
    kept = current(services, caller)["documents"].relations
    assert {"signer": ("read", "approve")} == {name: each.actions for name, each in kept.items()}
    # A new relation of the old name begins empty.
    change = ResourceRequest("documents", relations={"approver": RelationRequest(["approve"])})
    services.catalog.put_one(caller, change, patch=True).result()
    assert not allowed(services, caller, "documents:d1#approver@user:ann")


def test_an_action_is_renamed_in_policies_and_relations(services, caller, policy):
    answer = services.catalog.rename_action(caller, "documents", "approve", "sign").result()
    assert ({}, ()) == (answer.references, answer.overridden)
    assert allowed(services, caller, "documents:d1#sign@user:ann")
    assert not allowed(services, caller, "documents:d1#sign@user:bob")
    with pytest.raises(UnknownNameError):
        allowed(services, caller, "documents:d1#approve@user:ann")
    answer = services.catalog.rename_action(caller, "documents", "read", "see").result()
    assert {"policies": {policy.id: 1}} == answer.references
    assert ("documents:see", "documents:*", "reports:read") == services.policies.get(
        caller, policy.id
    ).permissions


def test_renaming_an_action_gives_nobody_anything_and_takes_nothing(services, caller):
    """Built-in relations know actions by name, in both directions."""
    before = services.catalog.get(caller, "documents").implied
    answer = services.catalog.rename_action(caller, "documents", "read", "see").result()
    assert ("editor", "viewer", "commenter") == answer.overridden
    answer = services.catalog.rename_action(caller, "documents", "approve", "list").result()
    assert () == answer.overridden  # `viewer` is overridden already: `list` is not given to it
    after = services.catalog.get(caller, "documents").implied
    names = {"read": "see", "approve": "list"}
    assert {
        relation: tuple(names.get(action, action) for action in actions)
        for relation, actions in before.items()
    } == after
    assert not allowed(services, caller, "documents:d1#list@user:bob")
    assert allowed(services, caller, "documents:d1#see@user:bob")
    answer = services.catalog.rename_action(caller, "reports", "read", "comment").result()
    assert {"editor", "viewer"} == set(answer.overridden)
    assert allowed(services, caller, "reports:r1#comment@user:ann")


def test_a_dry_run_says_what_would_be_renamed(services, caller, policy):
    before = (services.catalog.list(caller).etag, everything(services, caller))
    answer = resource(services, caller, "documents", "files", dry_run=True)
    assert answer.dry_run
    assert {policy.id: 2} == answer.references["policies"]
    assert 3 == sum(answer.references["relationships"].values())
    answer = services.catalog.rename_relation(
        caller, "documents", "approver", "signer", dry_run=True
    ).result()
    assert {
        "relationships": {
            "documents#approver@user": 1,
            "documents#approver@group#member": 1,
        }
    } == answer.references
    services.catalog.rename_action(caller, "documents", "read", "see", dry_run=True).result()
    assert before == (services.catalog.list(caller).etag, everything(services, caller))
    assert not [each for each in events(services, caller) if "renamed" in each["action"]]


@pytest.mark.parametrize(
    ("to", "error"),
    [
        ("documents", ValidationError),
        ("Files", ValidationError),
        ("a:b", ValidationError),
        ("⟨grant⟩", ValidationError),
        ("", ValidationError),
        ("reports", AlreadyExistsError),
        ("user", AlreadyExistsError),
        ("group", AlreadyExistsError),
    ],
)
def test_a_resource_gets_a_name_that_is_free_and_good(services, caller, to, error):
    with pytest.raises(error):
        resource(services, caller, "documents", to)
    assert allowed(services, caller, "documents:d1#approve@user:ann")


@pytest.mark.parametrize(
    ("name", "to", "error"),
    [
        ("read", "read", ValidationError),
        ("read", "Read", ValidationError),
        ("read", "update", AlreadyExistsError),
        ("read", "approver", AlreadyExistsError),
        ("read", "viewer", AlreadyExistsError),
        ("raed", "see", NotFoundError),
    ],
)
def test_an_action_gets_a_name_that_is_free_and_good(services, caller, name, to, error):
    with pytest.raises(error):
        services.catalog.rename_action(caller, "documents", name, to)


@pytest.mark.parametrize(
    ("name", "to", "error"),
    [
        ("approver", "approver", ValidationError),
        ("approver", "sign-er", ValidationError),
        ("approver", "viewer", AlreadyExistsError),
        ("approver", "read", AlreadyExistsError),
        ("aprover", "signer", NotFoundError),
        ("viewer", "reader", ConflictError),
        ("owner", "lord", ConflictError),
    ],
)
def test_a_relation_gets_a_name_that_is_free_and_good(services, caller, name, to, error):
    with pytest.raises(error):
        services.catalog.rename_relation(caller, "documents", name, to)


def test_what_the_model_names_is_renamed_in_the_model(services, caller):
    rules = model({"user": {}, "documents": {"approver": "[user, group#member]", "see": "[user]"}})
    services.models.put(caller, rules).result()
    for rename in (
        lambda: resource(services, caller, "documents", "files"),
        lambda: services.catalog.rename_relation(caller, "documents", "approver", "signer"),
        lambda: services.catalog.rename_action(caller, "documents", "read", "see"),
    ):
        with pytest.raises(ConflictError) as caught:
            rename()
        assert "model" in caught.value.help
    # The other type of the catalog is nobody's business.
    resource(services, caller, "reports", "papers")


def test_a_rename_that_makes_the_model_recurse_is_refused(services, empty):
    recursive = model(
        {
            "user": {},
            "folder": {"banned": "[user]"},
            "documents": {
                "parent": "[documents, folder]",
                "lead": "[user] but not banned from parent",
            },
        }
    )
    services.models.put(empty, recursive).result()
    put(services, empty, wanted("documents", ["shut"], {"lead": ["shut"]}))
    with pytest.raises(ValidationError):
        services.catalog.rename_action(empty, "documents", "shut", "banned")


def test_a_rename_is_worked_out_again_when_the_rules_move(services, caller):
    with held_writer(services.store):
        added = services.catalog.put_one(caller, wanted("notes", ["read"]))
        renamed = services.catalog.rename_resource(caller, "documents", "files")
        taken = services.catalog.rename_resource(caller, "reports", "files")
        late = services.relationships.write(caller, rel("documents:d9#viewer@user:zoe"))
    assert added.result().difference.added == ("notes",)
    assert "files" == renamed.result().new
    with pytest.raises(AlreadyExistsError):
        taken.result()
    with pytest.raises(UnknownNameError):
        late.result()
    assert {"files", "reports", "notes"} == set(current(services, caller))


def test_what_was_renamed_meanwhile_does_not_look_empty_to_a_deletion(services, caller):
    on_d1 = RelationshipFilter(None, "documents", "d1")
    with held_writer(services.store):
        renamed = services.catalog.rename_resource(caller, "documents", "files")
        deleted = services.relationships.delete_by_filter(caller, on_d1)
        one = services.relationships.delete(caller, rel("documents:d2#approver@group:eng#member"))
    assert "files" == renamed.result().new
    with pytest.raises(UnknownNameError):
        deleted.result()
    # A single one was told apart by its numbers already: it is that very relationship.
    assert 1 == one.result().deleted
    assert allowed(services, caller, "files:d1#read@user:bob")


def test_a_list_that_began_before_a_rename_does_not_go_on(services, caller):
    """Its names mean something else now, or nothing; it must not end as if it were complete."""
    ann = rel("x:x#x@user:ann").subject
    first = services.relationships.by_subject(caller, ann, page=Page(1))
    services.catalog.put_one(caller, wanted("notes", ["read"])).result()
    second = services.relationships.by_subject(caller, ann, page=Page(1, first.next_cursor))
    assert 1 == len(second.rows)
    resource(services, caller, "documents", "files")
    with pytest.raises(ConflictError):
        services.relationships.by_subject(caller, ann, page=Page(1, first.next_cursor))
    first = services.relationships.by_subject(caller, ann, page=Page(1))
    rest = services.relationships.by_subject(caller, ann, page=Page(9, first.next_cursor))
    assert {"files", "reports"} == {
        row.relationship.resource_type for row in (*first.rows, *rest.rows)
    }


def test_renames_leave_events(services, caller, policy):
    resource(services, caller, "documents", "files")
    services.catalog.rename_action(caller, "files", "read", "see").result()
    services.catalog.rename_relation(caller, "files", "approver", "signer").result()
    found = {each["action"]: each for each in events(services, caller)}
    assert {"type": "resource", "id": "documents"} == found["resource.renamed"]["target"]
    assert {"type": "action", "id": "files.read"} == found["action.renamed"]["target"]
    assert {"type": "relation", "id": "files.approver"} == found["relation.renamed"]["target"]
    assert "files" == found["resource.renamed"]["after"]["name"]
    assert "policy.updated" in found


def test_names_are_remembered_up_to_a_limit(tmp_path, clock):
    limits = Limits(catalog_segments_max=2)
    services = Services.build(open_store(tmp_path / "small", clock_ms=clock), limits=limits)
    caller = services.local_caller()
    put(services, caller, wanted("a", ["read"]))
    resource(services, caller, "a", "b")
    with pytest.raises(LimitError) as caught:
        resource(services, caller, "b", "c")
    assert "catalog_segments_max" == caught.value.limit
    assert ["b"] == list(current(services, caller))
    services.close()

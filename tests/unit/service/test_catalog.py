"""The catalog is replaced only if nothing rests on what goes, unless forced."""

from __future__ import annotations

from dataclasses import replace

import orjson
import pytest

from tests.builders import model, question, rel, rels
from tests.unit.service.conftest import held_writer
from zeratul.domain.limits import Limits
from zeratul.errors import (
    ForbiddenError,
    InputError,
    InUseError,
    LimitError,
    NotFoundError,
    PreconditionError,
    SchemaError,
    SchemaInUseError,
    TenantScopeError,
    UnknownNameError,
    ValidationError,
)
from zeratul.service.ground.answers import Page
from zeratul.service.roles.role_answers import Labelled
from zeratul.service.rules.catalog_answers import RelationRequest, ResourceRequest
from zeratul.service.services import Services
from zeratul.store.lmdb import open_store


def wanted(name, actions, relations=None, description=None):
    """A resource as asked for; relations as ``{"approver": ["read"]}``."""
    if relations is not None:
        relations = {
            key: None if each is None else RelationRequest(each) for key, each in relations.items()
        }
    return ResourceRequest(name, description, actions, relations)


DOCUMENTS = wanted(
    "documents",
    ["create", "read", "update", "approve"],
    {"approver": ["read", "approve"]},
    "Files",
)
REPORTS = wanted("reports", ["read"])
STORED = rels(
    "documents:d1#approver@user:ann",
    "documents:d1#viewer@user:bob",
    "documents:d2#approver@group:eng#member",
    "group:eng#member@user:eve",
)


@pytest.fixture
def caller(services, empty):
    """A caller in the default application, with a catalog and grants."""
    services.catalog.put_all(empty, [DOCUMENTS, REPORTS]).result()
    services.relationships.bulk(empty, STORED).result()
    return empty


@pytest.fixture
def policy(services, caller):
    """A policy on two roles."""
    made = services.policies.create(
        caller,
        Labelled("Approving", None, ["documents:approve", "documents:read", "reports:*"]),
    ).result()
    for name in ("One", "Two"):
        services.roles.create(caller, Labelled(name, None, [made.id])).result()
    return made


def put(services, caller, *resources, **options):
    return services.catalog.put_all(caller, resources, **options).result()


def allowed(services, caller, text):
    return services.access.check(caller, question(text)).allowed


def everything(services, caller):
    return sorted(b"".join(services.transfers.export(caller)).splitlines())


def current(services, caller):
    return {row.resource.name: row.resource for row in services.catalog.list(caller).rows}


def events(services, caller):
    with services.store.snapshot() as snapshot:
        found = snapshot.events(caller.application, limit=100)
    return [orjson.loads(each.body) for each in found]


def test_an_application_begins_without_a_catalog(services, empty):
    assert ([], 0) == (services.catalog.list(empty).rows, services.catalog.list(empty).count)
    with pytest.raises(NotFoundError):
        services.catalog.get(empty, "documents")


def test_a_catalog_decides_at_once(services, caller):
    assert allowed(services, caller, "documents:d1#approve@user:ann")
    assert allowed(services, caller, "documents:d1#read@user:bob")
    assert not allowed(services, caller, "documents:d1#update@user:bob")
    assert allowed(services, caller, "documents:d2#approve@user:eve")


def test_put_says_what_changed(services, caller):
    answer = put(
        services,
        caller,
        REPORTS,
        wanted("documents", ["create", "read", "update", "approve", "list"], {"approver": []}),
        wanted("notes", ["read"]),
    )
    change = answer.difference
    assert (("notes",), ("documents",), (), ("reports",)) == change[:4]
    assert (("list",), ()) == change.changes[0][1:3]
    assert ("approver",) == change.changes[0].relations_changed
    assert {} == answer.references
    assert not allowed(services, caller, "documents:d1#approve@user:ann")
    assert allowed(services, caller, "documents:d1#list@user:bob")


def test_what_is_put_again_changes_nothing(services, caller):
    before = services.catalog.list(caller)
    revision = services.store.statistics()["revision"]
    answer = put(services, caller, DOCUMENTS, REPORTS)
    assert ("documents", "reports") == answer.difference.unchanged
    assert before.etag == answer.etag
    assert revision == services.store.statistics()["revision"]


def test_what_a_resource_leaves_out_it_keeps(services, caller):
    put(services, caller, wanted("documents", DOCUMENTS.actions), REPORTS)
    kept = current(services, caller)["documents"]
    assert ("Files", ["approver"]) == (kept.description, list(kept.relations))
    assert allowed(services, caller, "documents:d1#approve@user:ann")


def test_no_relations_and_relations_left_out_are_two_things(services, caller):
    with pytest.raises(InUseError) as caught:
        put(services, caller, wanted("documents", DOCUMENTS.actions, {}), REPORTS)
    assert {
        "relationships": {
            "documents#approver@user": 1,
            "documents#approver@group#member": 1,
        }
    } == caught.value.references
    assert "approver" in current(services, caller)["documents"].relations
    put(services, caller, wanted("documents", DOCUMENTS.actions, {}), REPORTS, force=True)
    assert {} == current(services, caller)["documents"].relations
    assert 2 == len(everything(services, caller))


def test_a_resource_that_goes_takes_nothing_along_unless_forced(services, caller, policy):
    before = everything(services, caller)
    with pytest.raises(InUseError) as caught:
        put(services, caller, REPORTS)
    found = caught.value.references
    assert {policy.id: 2} == found["policies"]
    assert [1, 1] == list(found["roles"].values())
    assert 3 == sum(found["relationships"].values())
    assert before == everything(services, caller)
    assert services.policies.get(caller, policy.id).permissions == policy.permissions

    answer = put(services, caller, REPORTS, force=True)
    assert found == answer.references
    assert ("reports:*",) == services.policies.get(caller, policy.id).permissions
    assert 1 == len(everything(services, caller))
    # Declared again, it comes back without grants.
    put(services, caller, DOCUMENTS, REPORTS)
    assert not allowed(services, caller, "documents:d1#approve@user:ann")


def test_an_action_that_goes_leaves_policies_and_kept_relations_when_forced(
    services, caller, policy
):
    fewer = wanted("documents", ["create", "read", "update"])
    with pytest.raises(InUseError) as caught:
        put(services, caller, fewer, REPORTS)
    assert {policy.id: 1} == caught.value.references["policies"]
    assert {"documents#approver": 1} == caught.value.references["relations"]
    assert "relationships" not in caught.value.references
    put(services, caller, fewer, REPORTS, force=True)
    assert ("documents:read", "reports:*") == services.policies.get(caller, policy.id).permissions
    assert ("read",) == current(services, caller)["documents"].relations["approver"].actions
    with pytest.raises(UnknownNameError):
        allowed(services, caller, "documents:d1#approve@user:ann")
    assert allowed(services, caller, "documents:d1#read@user:ann")


def test_every_resource_s_star_stays_while_the_resource_does(services, caller, policy):
    put(services, caller, DOCUMENTS, wanted("reports", ["list"]))
    assert "reports:*" in services.policies.get(caller, policy.id).permissions


def test_merging_takes_nothing_away(services, caller, policy):
    before = everything(services, caller)
    answer = put(
        services,
        caller,
        wanted("documents", ["list"], {"signer": ["list"]}),
        wanted("notes", ["read"]),
        mode="merge",
    )
    assert (("notes",), ("documents",), (), ("reports",)) == answer.difference[:4]
    merged = current(services, caller)["documents"]
    assert ("create", "read", "update", "approve", "list") == merged.actions
    assert ["approver", "signer"] == list(merged.relations)
    assert before == everything(services, caller)
    # An empty `relations` removes nothing either.
    again = put(services, caller, wanted("documents", [], {}), mode="merge")
    assert ("documents", "reports", "notes") == again.difference.unchanged


def test_a_dry_run_says_everything_and_changes_nothing(services, caller, policy):
    before = (services.catalog.list(caller), everything(services, caller))
    answer = put(services, caller, wanted("notes", ["read"]), dry_run=True)
    assert answer.dry_run
    assert (("notes",), (), ("documents", "reports"), ()) == answer.difference[:4]
    assert {policy.id: 3} == answer.references["policies"]
    assert 3 == sum(answer.references["relationships"].values())
    assert before[0].etag == services.catalog.list(caller).etag
    assert before[1] == everything(services, caller)


def test_a_lost_if_match_changes_nothing(services, caller):
    seen = services.catalog.list(caller).etag
    put(services, caller, DOCUMENTS, wanted("reports", ["read", "list"]), if_match=seen)
    with pytest.raises(PreconditionError):
        put(services, caller, DOCUMENTS, REPORTS, if_match=seen)
    assert ("read", "list") == current(services, caller)["reports"].actions
    put(services, caller, DOCUMENTS, REPORTS, if_match="*")


def test_a_lost_if_match_is_met_in_the_transaction(services, caller):
    seen = services.catalog.list(caller).etag
    with held_writer(services.store):
        first = services.catalog.put_all(caller, [DOCUMENTS], if_match=seen)
        second = services.catalog.put_all(caller, [REPORTS], if_match=seen, force=True)
    assert first.result().difference.removed == ("reports",)
    with pytest.raises(PreconditionError):
        second.result()


def test_of_two_changes_at_once_both_are_made(services, caller):
    with held_writer(services.store):
        first = services.catalog.put_one(caller, wanted("notes", ["read"]))
        second = services.catalog.put_one(caller, wanted("mails", ["read"]))
    assert first.result().difference.added == ("notes",)
    assert second.result().difference.added == ("mails",)
    assert {"documents", "reports", "notes", "mails"} == set(current(services, caller))


def test_a_grant_written_meanwhile_is_met_in_the_transaction(services, caller):
    without = wanted("documents", DOCUMENTS.actions, {"signer": ["read"]})
    put(
        services,
        caller,
        wanted("documents", DOCUMENTS.actions, {"signer": []}),
        REPORTS,
        force=True,
    )
    with held_writer(services.store):
        late = services.relationships.write(caller, rel("documents:d9#signer@user:zoe"))
        removing = services.catalog.put_all(
            caller, [wanted("documents", DOCUMENTS.actions, {}), REPORTS]
        )
    assert late.result().created
    with pytest.raises(InUseError) as caught:
        removing.result()
    assert {"relationships": {"documents#signer@user": 1}} == caught.value.references
    assert "signer" in current(services, caller)["documents"].relations
    assert any(b"zoe" in line for line in everything(services, caller))
    put(services, caller, without, REPORTS)


def test_a_policy_written_meanwhile_is_met_in_the_transaction(services, caller):
    given = Labelled("Late", None, ["reports:read"])
    with held_writer(services.store):
        late = services.policies.create(caller, given)
        removing = services.catalog.remove(caller, "reports")
    with pytest.raises(InUseError) as caught:
        removing.result()
    assert {"policies": {late.result().id: 1}} == caught.value.references
    assert "reports" in current(services, caller)


def test_a_policy_is_not_written_with_what_went_meanwhile(services, caller):
    given = Labelled("Late", None, ["reports:read"])
    with held_writer(services.store):
        removing = services.catalog.remove(caller, "reports")
        late = services.policies.create(caller, given)
    assert ("reports",) == removing.result().difference.removed
    with pytest.raises(InputError):
        late.result()


def test_a_change_reads_only_what_it_takes_away(services, caller, policy, monkeypatch):
    """However many grants and policies there are."""
    scanned, listed = [], []

    def scan(snapshot, type_slot, *, slots=None, **more):
        scanned.append((type_slot, slots))
        return scan_type(snapshot, type_slot, slots=slots, **more)

    def documents(snapshot, application, kind, **more):
        listed.append(kind)
        return list_documents(snapshot, application, kind, **more)

    with services.store.snapshot() as snapshot:
        numbers = snapshot.vocabulary(caller.application).slots
        scan_type, list_documents = type(snapshot).scan_type, type(snapshot).documents
        monkeypatch.setattr(type(snapshot), "scan_type", scan)
        monkeypatch.setattr(type(snapshot), "documents", documents)
    more = wanted("documents", [*DOCUMENTS.actions, "list"], {"approver": [], "signer": []})
    put(services, caller, more, REPORTS, wanted("notes", ["read"]))
    put(services, caller, more, REPORTS, wanted("notes", ["read"]), force=True)
    assert ([], []) == (scanned, listed)
    # A relation that goes is looked for, and nothing else.
    without = wanted("documents", more.actions, {"signer": []})
    with pytest.raises(InUseError):
        put(services, caller, without, REPORTS, wanted("notes", ["read"]))
    put(services, caller, without, REPORTS, wanted("notes", ["read"]), force=True)
    only = (numbers["documents", ""], {numbers["documents", "approver"]})
    assert {only[0]} == {type_slot for type_slot, _ in scanned}
    assert all(slots == only[1] for _, slots in scanned)


# --- One resource.


def test_one_resource_is_made_replaced_changed_and_removed(services, caller):
    made = services.catalog.put_one(caller, wanted("notes", ["read"], {"pinner": ["read"]}))
    assert ("notes",) == made.result().difference.added
    services.catalog.put_one(caller, wanted("notes", ["read", "pin"])).result()
    assert ["pinner"] == list(services.catalog.get(caller, "notes").resource.relations)
    change = ResourceRequest("notes", relations={"pinner": None, "x": RelationRequest(["pin"])})
    services.catalog.put_one(caller, change, patch=True).result()
    found = services.catalog.get(caller, "notes")
    assert (("read", "pin"), ["x"]) == (found.resource.actions, list(found.resource.relations))
    assert ("pin",) == found.implied["x"]
    services.catalog.remove(caller, "notes").result()
    assert {"documents", "reports"} == set(current(services, caller))


def test_a_patch_says_only_what_changes(services, caller):
    services.catalog.put_one(
        caller, ResourceRequest("documents", description="Papers"), patch=True
    ).result()
    found = services.catalog.get(caller, "documents").resource
    assert ("Papers", tuple(DOCUMENTS.actions)) == (found.description, found.actions)
    assert ["approver"] == list(found.relations)


def test_one_resource_has_an_entity_tag_of_its_own(services, caller):
    seen = services.catalog.get(caller, "reports").etag
    services.catalog.put_one(caller, wanted("documents", [*DOCUMENTS.actions, "list"])).result()
    assert seen == services.catalog.get(caller, "reports").etag
    services.catalog.put_one(caller, wanted("reports", ["list"]), if_match=seen).result()
    for again in (
        lambda: services.catalog.put_one(caller, wanted("reports", ["read"]), if_match=seen),
        lambda: services.catalog.remove(caller, "reports", if_match=seen),
        lambda: services.catalog.put_one(caller, wanted("notes", ["read"]), if_match="*"),
    ):
        with pytest.raises(PreconditionError):
            again().result()
    assert {"documents", "reports"} == set(current(services, caller))


@pytest.mark.parametrize(
    "call",
    [
        lambda catalog, caller: catalog.get(caller, "document"),
        lambda catalog, caller: catalog.usage(caller, "document"),
        lambda catalog, caller: catalog.remove(caller, "document"),
        lambda catalog, caller: catalog.put_one(caller, ResourceRequest("document"), patch=True),
        lambda catalog, caller: catalog.rename_resource(caller, "document", "files"),
        lambda catalog, caller: catalog.rename_action(caller, "document", "read", "see"),
        lambda catalog, caller: catalog.rename_relation(caller, "document", "approver", "see"),
    ],
)
def test_what_is_not_there_is_not_found_and_the_nearest_is_named(services, caller, call):
    with pytest.raises(NotFoundError) as caught:
        call(services.catalog, caller)
    assert "documents" in caught.value.help


# --- What is refused.


def refused(services, caller, *resources, **options):
    before = services.catalog.list(caller).etag
    with pytest.raises(ValidationError) as caught:
        services.catalog.put_all(caller, resources, **options)
    assert before == services.catalog.list(caller).etag
    return caught.value.findings


def test_all_findings_are_told_at_once_under_their_places(services, caller):
    found = refused(
        services,
        caller,
        wanted("Resource", ["Read", "read", "read"]),
        wanted("documents", ["read", "a:b", "*"], {"Bad": ["read"], "owner": ["read"]}),
        wanted("notes", ["read"], {"pinner": ["raed", "read", "read"]}),
        wanted("user", ["read"]),
        wanted("notes", ["read"]),
    )
    assert {
        "resources[0].resource",
        "resources[0].actions[0]",
        "resources[0].actions[2]",
        "resources[1].actions[1]",
        "resources[1].actions[2]",
        "resources[1].relations.Bad",
        "resources[1].relations.owner",
        "resources[2].relations.pinner.actions[0]",
        "resources[2].relations.pinner.actions[2]",
        "resources[3].resource",
        "resources[4].resource",
    } == set(found)
    assert "did you mean `read`?" in found["resources[2].relations.pinner.actions[0]"][0]
    assert "declared twice, first at resources[2]" in found["resources[4].resource"][0]


def test_limits_are_named(services, caller):
    many = [wanted(f"r{n}", ["read"]) for n in range(1_001)]
    assert "catalog_resources_max" in refused(services, caller, *many)["resources"][0]
    actions = [f"a{n}" for n in range(101)]
    found = refused(services, caller, wanted("documents", actions))
    assert "catalog_actions_max" in found["resources[0].actions"][0]
    relations = {f"r{n}": [] for n in range(51)}
    found = refused(services, caller, wanted("documents", [], relations))
    assert "catalog_relations_max" in found["resources[0].relations"][0]
    # Merging counts what is there already.
    full = [wanted(f"r{n}", ["read"]) for n in range(999)]
    assert (
        "catalog_resources_max" in refused(services, caller, *full, mode="merge")["resources"][0]
    )


def test_a_catalog_too_large_to_be_kept_is_refused(tmp_path, clock):
    limits = Limits(catalog_bytes_max=200)
    services = Services.build(open_store(tmp_path / "small", clock_ms=clock), limits=limits)
    caller = services.local_caller()
    put(services, caller, wanted("a", ["read"]))
    with pytest.raises(LimitError) as caught:
        services.catalog.put_one(caller, wanted("b", ["read"], description="x" * 200))
    assert "catalog_bytes_max" == caught.value.limit
    services.close()


def test_a_description_is_text_of_some_length(services, caller):
    found = refused(services, caller, wanted("documents", [], {}, "x" * 1_025))
    assert ["resources[0].description"] == list(found)


def test_who_may_not_is_refused(services, caller):
    reader = replace(caller, permissions=frozenset({"catalog:read"}), is_root=False)
    assert 2 == services.catalog.list(reader).count
    for write in (
        lambda who: services.catalog.put_all(who, [REPORTS]),
        lambda who: services.catalog.put_one(who, REPORTS),
        lambda who: services.catalog.remove(who, "reports"),
        lambda who: services.catalog.rename_resource(who, "reports", "x"),
        lambda who: services.catalog.rename_action(who, "reports", "read", "x"),
        lambda who: services.catalog.rename_relation(who, "documents", "approver", "x"),
    ):
        with pytest.raises(ForbiddenError) as caught:
            write(reader)
        assert "catalog:write" == caught.value.permission
        with pytest.raises(TenantScopeError):
            write(replace(caller, tenant_id="t1"))
    tenant = replace(caller, tenant_id="t1")
    assert 2 == services.catalog.list(tenant).count
    assert "documents" == services.catalog.get(tenant, "documents").resource.name
    assert 5 == services.catalog.permissions(tenant).count
    with pytest.raises(TenantScopeError):
        services.catalog.usage(tenant, "documents")
    stranger = replace(caller, permissions=frozenset({"catalog:write"}), is_root=False)
    for read in (services.catalog.list, services.catalog.permissions):
        with pytest.raises(ForbiddenError):
            read(stranger)


# --- Reading.


def test_lists_go_by_name_in_pages(services, caller):
    put(services, caller, *(wanted(name, ["b", "a"]) for name in "dbca"), mode="merge")
    names, cursor = [], None
    while True:
        page = services.catalog.list(caller, page=Page(4, cursor))
        assert 6 == page.count
        names += [row.resource.name for row in page.rows]
        cursor = page.next_cursor
        if cursor is None:
            break
    assert ["a", "b", "c", "d", "documents", "reports"] == names
    shown = services.catalog.permissions(caller, page=Page(3))
    assert ["a:a", "a:b", "b:a"] == [row.permission for row in shown.rows]
    rest = services.catalog.permissions(caller, page=Page(100, shown.next_cursor))
    assert (13, 10, None) == (rest.count, len(rest.rows), rest.next_cursor)
    with pytest.raises(InputError):
        services.catalog.list(caller, page=Page(3, shown.next_cursor))


def test_permissions_say_what_they_are_and_which_relations_are_enough(services, caller):
    rows = {row.permission: row for row in services.catalog.permissions(caller).rows}
    assert "approve documents: Files" == rows["documents:approve"].description
    assert ("owner", "approver") == rows["documents:approve"].relations
    assert "read reports" == rows["reports:read"].description


def test_usage_lists_who_references_a_resource(services, caller, policy):
    found = services.catalog.usage(caller, "documents")
    assert [(policy.id, ("documents:approve", "documents:read"))] == [
        (each.id, permissions) for each, permissions in found.policies
    ]
    assert {"One", "Two"} == {role.name for role in found.roles}
    assert 2 == found.attachments
    assert {
        "documents#approver@user": 1,
        "documents#viewer@user": 1,
        "documents#approver@group#member": 1,
    } == found.relationships
    assert {} == services.catalog.usage(caller, "reports").relationships


# --- Audit.


def test_every_change_leaves_an_event_and_what_changed_nothing_none(services, caller, policy):
    count = len(events(services, caller))
    put(services, caller, DOCUMENTS, REPORTS)
    put(services, caller, REPORTS, dry_run=True)
    assert count == len(events(services, caller))
    services.catalog.put_one(caller, wanted("notes", ["read"])).result()
    put(services, caller, DOCUMENTS, REPORTS, force=True)
    put(services, caller, REPORTS, force=True)
    found = events(services, caller)
    names = [each["action"] for each in found][: len(found) - count]
    assert ["catalog.replaced", "policy.updated", "catalog.replaced", "resource.created"] == names
    last, cascade = found[0], found[1]
    assert ["documents"] == [each["resource"] for each in last["before"]["resources"]]
    assert 3 == sum(last["after"]["references"]["relationships"].values())
    assert last["batchId"] == cascade["batchId"]
    assert ["reports:*"] == cascade["after"]["permissions"]


# --- Beside a model.


MODEL = model(
    {
        "user": {},
        "documents": {"viewer": "[user]", "banned": "[user]", "read": "viewer but not banned"},
    }
)


def test_a_model_wins_for_what_it_names(services, caller):
    answer = services.models.put(caller, MODEL, dry_run=True).result()
    assert {} == answer.orphans  # `viewer` still takes users
    services.models.put(caller, MODEL).result()
    assert allowed(services, caller, "documents:d1#read@user:bob")
    services.relationships.write(caller, rel("documents:d1#banned@user:bob")).result()
    assert not allowed(services, caller, "documents:d1#read@user:bob")
    # The model decides `read` alone; what it leaves open is the catalog's.
    assert not allowed(services, caller, "documents:d1#read@user:ann")
    assert allowed(services, caller, "documents:d1#approve@user:ann")


def test_a_model_that_takes_over_a_custom_relation_keeps_what_it_allows(services, caller):
    takes = model({"user": {}, "documents": {"approver": "[user]"}})
    with pytest.raises(SchemaInUseError) as caught:
        services.models.put(caller, takes)
    assert {"documents#approver@group#member": 1} == caught.value.orphans
    services.models.put(caller, takes, force=True).result()
    assert allowed(services, caller, "documents:d1#approve@user:ann")
    # Without it, the relation is the catalog's again.
    services.models.put(caller, model({"user": {}})).result()
    assert allowed(services, caller, "documents:d1#approve@user:ann")


def test_a_model_that_does_not_fit_the_catalog_is_refused_with_findings(services, empty):
    own = model({"user": {}, "client": {"viewer": "[user]"}})
    services.models.put(empty, own).result()
    put(services, empty, wanted("client", ["viewer", "read"]))
    with pytest.raises(SchemaError) as caught:
        services.models.put(empty, model({"user": {}}))
    assert {"catalog.resources[0].resource", "catalog.resources[0].actions[0]"} == set(
        caught.value.findings
    )
    assert own == services.models.get(empty).model


def test_a_catalog_that_does_not_fit_the_model_is_refused(services, empty):
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
    found = refused(services, empty, wanted("documents", ["banned"], {"lead": ["banned"]}))
    assert ["resources"] == list(found)
    put(services, empty, wanted("documents", ["banned"], {"lead": []}))
    with pytest.raises(ValidationError):
        services.catalog.put_one(
            empty,
            ResourceRequest("documents", relations={"lead": RelationRequest(["banned"])}),
            patch=True,
        )


def test_the_model_is_not_for_the_key_of_a_tenant(services, caller):
    with pytest.raises(TenantScopeError):
        services.models.put(replace(caller, tenant_id="t1"), MODEL)


# --- Applications of an older release.


def test_names_that_a_release_declares_get_their_numbers_at_its_first_start(tmp_path, clock):
    path = tmp_path / "old"
    services = Services.build(open_store(path, clock_ms=clock), clock_ms=clock)
    caller = services.local_caller()
    put(services, caller, DOCUMENTS)
    store = services.store

    def older(tx):
        # As if the built-in type, and a built-in relation, were new in this release.
        names = {("api_key", ""): ("gone", ""), ("documents", "commenter"): ("documents", "gone")}
        tx.rename_slots(caller.application, names)
        tx.delete_document(0, "server", "declared-names")
        # The rules are read anew.
        body = tx.snapshot.document(caller.application, "model", "current")
        tx.put_document(caller.application, "model", "current", body)

    store.write(older).result()
    services.close()
    again = Services.build(open_store(path, clock_ms=clock), clock_ms=clock)
    caller = again.local_caller()
    for text in ("documents:d1#viewer@api_key:k1", "documents:d1#commenter@user:ann"):
        assert again.relationships.write(caller, rel(text)).result().created
    assert allowed(again, caller, "documents:d1#read@api_key:k1")
    again.close()

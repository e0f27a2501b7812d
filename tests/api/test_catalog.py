"""The catalog over HTTP: every row of the contract, and everything that is refused."""

from __future__ import annotations

import pytest

from tests.api.client import FACTS, MODEL, PROBLEM, A, Client, fact

# As the vendor's pages show it.
VENDOR = {
    "resources": [
        {
            "resource": "documents",
            "description": "Files",
            "actions": ["create", "read", "update", "delete"],
        },
        {"resource": "invoices", "description": "Bills", "actions": ["read", "approve"]},
    ]
}
APPROVER = {"approver": {"actions": ["approve", "read"], "description": "May approve"}}


class Catalog:
    """The catalog of a client's application."""

    def __init__(self, client: Client) -> None:
        self.client = client
        self.app = client.headers["X-Zeratul-Application"]
        self.home = f"/api/v1/applications/{self.app}"
        self.path = f"{self.home}/resources"

    def put(self, *resources, headers=None, **query):
        body = {"resources": list(resources)}
        return self.client.call("PUT", self.path, body, headers=headers, **query)

    def one(self, method, name, body=None, **more):
        return self.client.call(method, f"{self.path}/{name}", body, **more)

    def get(self, **query):
        return self.client.get(self.path, **query)

    def names(self):
        return {row["resource"] for row in self.get().json["data"]}

    def policy(self, *permissions, name="P"):
        made = self.client.post(
            f"{self.home}/policies", {"name": name, "permissions": list(permissions)}
        )
        assert made.status == 201, made.body
        return made.json["id"]

    def permissions(self, policy_id):
        return self.client.get(f"{self.home}/policies/{policy_id}").json["permissions"]


def item(resource, actions, **more):
    return {"resource": resource, "actions": actions, **more}


def grant(api, *texts):
    for text in texts:
        answer = api.post(FACTS, fact(text))
        assert answer.status in {200, 201}, answer.body


@pytest.fixture
def catalog(api):
    """The vendor's example, with a custom relation."""
    made = Catalog(api)
    documents, invoices = VENDOR["resources"]
    answer = made.put(documents, {**invoices, "relations": APPROVER})
    assert answer.status == 200, answer.body
    return made


# --- PUT of all.


def test_put_answers_the_whole_catalog_and_what_changed(api):
    catalog = Catalog(api)
    answer = catalog.client.call("PUT", catalog.path, VENDOR)
    assert answer.status == 200
    found = answer.json
    assert found["count"] == 2
    assert [row["resource"] for row in found["resources"]] == ["documents", "invoices"]
    assert found["permissions"] == [
        *(f"documents:{action}" for action in ("create", "read", "update", "delete")),
        *("invoices:read", "invoices:approve"),
    ]
    assert (found["added"], found["updated"]) == (["documents", "invoices"], [])
    assert (found["removed"], found["unchanged"]) == ([], [])
    assert (found["warnings"], found["references"], found["dryRun"]) == ([], {}, False)
    assert answer.headers["ETag"] == found["etag"]
    relations = found["resources"][1]["relationActions"]
    assert relations == {
        "owner": ["read", "approve"],
        "editor": ["read"],
        "viewer": ["read"],
        "commenter": ["read"],
    }
    fresh = api.get(catalog.path, zookie=found["zookie"])
    assert fresh.json["etag"] == found["etag"]


def test_the_vendor_s_example_sent_again_destroys_nothing(api, catalog):
    grant(api, "invoices:i1#approver@user:ann", "documents:d1#editor@user:bob")
    before = (catalog.get().json["data"], api.everything())
    for _ in range(2):
        answer = api.call("PUT", catalog.path, VENDOR)
        assert answer.status == 200
        assert answer.json["unchanged"] == ["documents", "invoices"]
    assert before == (catalog.get().json["data"], api.everything())
    assert api.check("user:ann", "invoices:i1", "approve")


def test_built_in_relations_are_intersected_with_the_declared_actions(api):
    catalog = Catalog(api)
    catalog.put(item("notes", ["read", "update"]), item("posts", ["read", "comment", "create"]))
    grant(api, *(f"{kind}:x#editor@user:e" for kind in ("notes", "posts")))
    grant(api, *(f"{kind}:x#commenter@user:c" for kind in ("notes", "posts")))
    grant(api, "notes:x#owner@user:o")
    assert api.check("user:e", "notes:x", "update")
    assert api.check("user:e", "posts:x", "create")
    assert api.check("user:c", "posts:x", "comment")
    assert api.check("user:c", "notes:x", "read")
    for action in ("create", "comment"):
        asked = {"userId": "e", "resource": "notes", "resourceId": "x", "action": action}
        assert api.post(f"{A}/check", asked).status == 400
    # What is declared later is the owner's at once.
    catalog.put(item("notes", ["read", "update", "shred"]), mode="merge")
    assert api.check("user:o", "notes:x", "shred")
    assert not api.check("user:e", "notes:x", "shred")


def test_a_resource_that_goes_is_refused_with_every_reference_counted(api, catalog):
    policy = catalog.policy("invoices:approve", "invoices:*", "documents:read")
    role = api.post(f"{catalog.home}/roles", {"name": "R", "policyIds": [policy]}).json["id"]
    grant(
        api,
        "invoices:i1#approver@user:ann",
        "invoices:i2#approver@user:bob",
        "invoices:i1#viewer@user:*",
    )
    documents = VENDOR["resources"][0]
    answer = catalog.put(documents)
    assert answer.status == 409
    assert answer.headers["Content-Type"] == PROBLEM
    assert answer.json["code"] == "in_use"
    assert answer.json["references"] == {
        "policies": {policy: 2},
        "roles": {role: 1},
        "relationships": {"invoices#approver@user": 2, "invoices#viewer@user:*": 1},
    }
    assert "force=true" in answer.json["detail"]
    assert catalog.names() == {"documents", "invoices"}
    dry = catalog.put(documents, dryRun="true")
    assert dry.status == 200
    assert dry.json["references"] == answer.json["references"]
    assert (dry.json["removed"], dry.json["dryRun"]) == (["invoices"], True)
    assert catalog.names() == {"documents", "invoices"}
    forced = catalog.put(documents, force="true")
    assert forced.status == 200
    assert forced.json["references"] == answer.json["references"]
    assert catalog.permissions(policy) == ["documents:read"]
    assert api.everything() == []
    assert catalog.names() == {"documents"}


def test_a_custom_relation_with_live_grants_is_refused_with_the_count_then_forced(api, catalog):
    grant(api, *(f"invoices:i{n}#approver@user:ann" for n in range(7)))
    grant(api, "invoices:i1#viewer@user:bob")
    documents, invoices = VENDOR["resources"]
    without = {**invoices, "relations": {}}
    answer = catalog.put(documents, without)
    assert answer.status == 409
    assert answer.json["references"] == {"relationships": {"invoices#approver@user": 7}}
    assert api.check("user:ann", "invoices:i3", "approve")
    forced = catalog.put(documents, without, force="true")
    assert forced.status == 200
    assert len(api.everything()) == 1
    assert not api.check("user:ann", "invoices:i3", "approve")
    assert api.check("user:bob", "invoices:i1", "read")


def test_merging_adds_and_updates_only(api, catalog):
    answer = catalog.put(item("notes", ["read"]), item("invoices", ["list"]), mode="merge")
    assert answer.status == 200
    assert answer.json["added"] == ["notes"]
    assert answer.json["updated"] == ["invoices"]
    assert answer.json["removed"] == []
    assert answer.json["changes"] == [
        {
            "resource": "invoices",
            "actionsAdded": ["list"],
            "actionsRemoved": [],
            "relationsAdded": [],
            "relationsRemoved": [],
            "relationsChanged": [],
        }
    ]
    found = catalog.one("GET", "invoices").json
    assert found["actions"] == ["read", "approve", "list"]
    assert list(found["relations"]) == ["approver"]


def test_a_dry_run_changes_nothing(api, catalog):
    before = catalog.get().body
    answer = catalog.put(item("notes", ["read"]), dryRun="true", force="true")
    assert answer.status == 200
    assert (answer.json["added"], answer.json["removed"]) == (["notes"], ["documents", "invoices"])
    for call in (
        catalog.one("PUT", "notes", {"actions": ["read"]}, dryRun="true"),
        catalog.one("PATCH", "documents", {"actions": []}, dryRun="true"),
        catalog.one("DELETE", "documents", dryRun="true"),
        catalog.one("POST", "documents/rename", {"to": "files", "dryRun": True}),
        catalog.one("POST", "documents/actions/read/rename", {"to": "see", "dryRun": True}),
        catalog.one("POST", "invoices/relations/approver/rename", {"to": "x", "dryRun": True}),
    ):
        assert (call.status, call.json["dryRun"]) == (200, True)
    assert before == catalog.get().body


def test_an_if_match_that_lost_changes_nothing(api, catalog):
    seen = catalog.get().json["etag"]
    first = catalog.put(item("documents", ["read"]), headers={"If-Match": seen}, mode="merge")
    assert first.status == 200
    catalog.put(item("notes", ["read"]), mode="merge")
    lost = catalog.put(item("documents", ["read"]), headers={"If-Match": seen}, force="true")
    assert (lost.status, lost.json["code"]) == (412, "precondition_failed")
    assert catalog.names() == {"documents", "invoices", "notes"}
    one = catalog.one("GET", "notes").json["etag"]
    for method, body in (("PUT", {"actions": ["list"]}), ("PATCH", {"actions": ["send"]})):
        kept = catalog.one(method, "notes", body, headers={"If-Match": one})
        assert kept.status == 200
        assert kept.headers["ETag"] == kept.json["etag"]
        again = catalog.one(method, "notes", {"actions": []}, headers={"If-Match": one})
        assert again.status == 412
        one = kept.json["etag"]
    assert catalog.one("DELETE", "notes", headers={"If-Match": '"other"'}).status == 412
    assert catalog.one("DELETE", "notes", headers={"If-Match": one}).status == 200


def test_warnings_are_advice(api):
    catalog = Catalog(api)
    many = [item(f"r{n}", ["read"]) for n in range(21)]
    many[3] = item("r3", ["update_status_to_x"], relations={n: {"actions": []} for n in "abcd"})
    answer = catalog.put(*many)
    assert answer.status == 200
    assert [(each["code"], each["resource"]) for each in answer.json["warnings"]] == [
        ("too_many_resources", None),
        ("too_many_relations", "r3"),
        ("compound_action", "r3"),
    ]


# --- One resource.


def test_one_resource_is_made_replaced_changed_and_removed(api, catalog):
    made = catalog.one(
        "PUT", "notes", {"actions": ["read"], "relations": {"pin": {"actions": []}}}
    )
    assert (made.status, made.json["created"]) == (201, True)
    put = catalog.one("PUT", "notes", {"resource": "notes", "actions": ["read", "list"]})
    assert (put.status, put.json["created"]) == (200, False)
    assert list(put.json["relations"]) == ["pin"]
    patched = catalog.one(
        "PATCH",
        "notes",
        {"description": "N", "relations": {"pin": None, "pinner": {"actions": ["list"]}}},
    )
    assert patched.status == 200
    got = catalog.one("GET", "notes")
    assert (got.status, got.json["description"]) == (200, "N")
    assert got.json["relations"] == {"pinner": {"actions": ["list"], "description": ""}}
    assert got.json["relationActions"]["pinner"] == ["list"]
    assert got.json["permissions"] == ["notes:read", "notes:list"]
    gone = catalog.one("DELETE", "notes")
    assert (gone.status, gone.json["removed"]) == (200, ["notes"])
    assert {"zookie", "references", "dryRun"} <= gone.json.keys()
    assert catalog.one("GET", "notes").status == 404


def test_one_resource_is_guarded_like_all(api, catalog):
    policy = catalog.policy("documents:read")
    grant(api, "documents:d1#viewer@user:ann")
    for call in (
        lambda **query: catalog.one("PUT", "documents", {"actions": ["list"]}, **query),
        lambda **query: catalog.one("PATCH", "documents", {"actions": ["list"]}, **query),
        lambda **query: catalog.one("DELETE", "documents", **query),
    ):
        refused = call()
        assert refused.status == 409
        assert refused.json["references"]["policies"] == {policy: 1}
    assert catalog.one("DELETE", "documents", force="true").status == 200
    assert catalog.permissions(policy) == []


def test_who_references_a_resource(api, catalog):
    policy = catalog.policy("documents:read", "invoices:*")
    role = api.post(f"{catalog.home}/roles", {"name": "R", "policyIds": [policy]}).json["id"]
    grant(api, "documents:d1#viewer@user:ann", "documents:d2#viewer@user:ann")
    answer = catalog.one("GET", "documents/usage")
    assert answer.status == 200
    found = answer.json
    assert found["policies"] == [
        {"policyId": policy, "name": "P", "permissions": ["documents:read"]}
    ]
    assert found["roles"] == [{"roleId": role, "name": "R", "tenantId": None}]
    assert found["relationships"] == {"documents#viewer@user": 2}
    assert (found["attachments"], found["relationshipsTotal"]) == (1, 2)
    assert (found["assignments"], found["assignmentsTotal"]) == ({}, 0)


def test_permissions_for_pickers_come_in_pages(api, catalog):
    rows, cursor = [], None
    while True:
        more = {"cursor": cursor} if cursor else {}
        answer = api.get(f"{catalog.home}/permissions", pageSize=4, **more)
        assert answer.status == 200
        assert answer.json["count"] == 6
        rows += answer.json["data"]
        cursor = answer.json["nextCursor"]
        assert answer.json["next"] == cursor
        if cursor is None:
            break
    assert [row["permission"] for row in rows] == [
        *(f"documents:{action}" for action in ("create", "delete", "read", "update")),
        *("invoices:approve", "invoices:read"),
    ]
    approve = rows[4]
    assert (approve["resource"], approve["action"]) == ("invoices", "approve")
    assert approve["relations"] == ["owner", "approver"]
    assert approve["description"] == "approve invoices: Bills"


def test_resources_come_in_pages(api, catalog):
    first = catalog.get(pageSize=1)
    assert [row["resource"] for row in first.json["data"]] == ["documents"]
    second = catalog.get(pageSize=1, cursor=first.json["next"])
    assert [row["resource"] for row in second.json["data"]] == ["invoices"]
    assert second.json["next"] is None
    assert (second.json["pageSize"], second.json["count"]) == (1, 2)
    for size in (0, 1_001, "x"):
        assert catalog.get(pageSize=size).status == 400
    other = api.get(f"{catalog.home}/permissions", cursor=first.json["next"])
    assert other.status == 400


# --- What is refused.


def findings(answer):
    assert answer.status == 400, answer.body
    assert answer.headers["Content-Type"] == PROBLEM
    return answer.json["errors"]


@pytest.mark.parametrize("name", ["Resource", "a:b", "*", "", "a b", "⟨grant⟩", "ä", "a" * 64])
def test_keys_that_are_none(api, catalog, name):
    before = catalog.get().body
    assert list(findings(catalog.put(item(name, [])))) == ["resources[0].resource"]
    found = findings(catalog.put(item("notes", ["read", name])))
    assert list(found) == ["resources[0].actions[1]"]
    relations = {name: {"actions": []}}
    assert len(findings(catalog.put(item("notes", [], relations=relations)))) == 1
    renamed = catalog.one("POST", "documents/rename", {"to": name})
    assert list(findings(renamed)) == ["to"]
    renamed = catalog.one("POST", "documents/actions/read/rename", {"to": name})
    assert list(findings(renamed)) == ["to"]
    assert before == catalog.get().body


@pytest.mark.parametrize("name", ["%E2%9F%A8grant%E2%9F%A9", "Documents", "document", "%2A"])
def test_a_path_that_names_no_resource(catalog, name):
    for method, part, body in (
        ("GET", "", None),
        ("PATCH", "", {}),
        ("DELETE", "", None),
        ("GET", "/usage", None),
        ("POST", "/rename", {"to": "files"}),
        ("POST", "/actions/read/rename", {"to": "see"}),
        ("POST", "/relations/approver/rename", {"to": "signer"}),
    ):
        answer = catalog.one(method, name + part, body)
        assert (answer.status, answer.json["code"]) == (404, "not_found")
    made = catalog.one("PUT", name, {"actions": ["read"]})
    assert made.status == (400 if name != "document" else 201)


@pytest.mark.parametrize("name", ["user", "group", "client", "api_key"])
def test_built_in_types_are_no_resources(api, name):
    catalog = Catalog(api)
    found = findings(catalog.put(item("notes", []), item("client", ["read"])))
    assert list(found) == ["resources[1].resource"]
    if name in {"client", "api_key"}:  # The model of these tests declares the others.
        assert list(findings(catalog.one("PUT", name, {"actions": []}))) == ["resource"]


def test_all_findings_are_told_at_once(catalog):
    answer = catalog.put(
        item("Bad", ["read"]),
        item("documents", ["read", "Read", "read"], relations={"owner": {"actions": ["read"]}}),
        item("notes", ["read"], relations={"pinner": {"actions": ["raed"]}}),
        item("documents", []),
    )
    found = findings(answer)
    assert set(found) == {
        "resources[0].resource",
        "resources[1].actions[1]",
        "resources[1].actions[2]",
        "resources[1].relations.owner",
        "resources[2].relations.pinner.actions[0]",
        "resources[3].resource",
    }
    assert "did you mean `read`?" in found["resources[2].relations.pinner.actions[0]"][0]


def test_bodies_that_are_none_are_told_item_by_item(catalog):
    before = catalog.get().body
    answer = catalog.put(
        {"resource": "a", "actions": "read"},
        {"resource": "b", "actions": [], "relation": {}},
        {"resource": "c"},
        item("d", []),
    )
    assert set(findings(answer)) == {
        "resources[0].actions",
        "resources[1].relation",
        "resources[2].actions",
    }
    for body in ({}, {"resource": []}, {"resources": {}}, {"resources": [], "extra": 1}, []):
        assert catalog.client.call("PUT", catalog.path, body).status == 400
    for body in ({}, {"actions": [], "relations": {"x": None}}, {"actions": [1]}):
        assert catalog.one("PUT", "notes", body).status == 400
    other = catalog.one("PUT", "notes", {"resource": "other", "actions": []})
    assert list(findings(other)) == ["resource"]
    for body in ({"actions": {}}, {"resource": "x"}, {"relations": None}):
        assert catalog.one("PATCH", "documents", body).status == 400
    for body in ({}, {"to": 1}, {"to": "x", "dryrun": True}):
        assert catalog.one("POST", "documents/rename", body).status == 400
    for query in ({"mode": "add"}, {"force": "yes"}, {"dryrun": "true"}):
        assert catalog.put(item("a", []), **query).status == 400
    assert before == catalog.get().body


def test_limits_are_named(api):
    catalog = Catalog(api)
    many = [item(f"r{n}", ["read"]) for n in range(1_001)]
    assert "catalog_resources_max" in findings(catalog.put(*many))["resources"][0]
    assert catalog.put(*many[:1_000]).status == 200
    more = catalog.one("PUT", "another", {"actions": []})
    assert "catalog_resources_max" in findings(more)["resource"][0]
    actions = [f"a{n}" for n in range(101)]
    found = findings(catalog.one("PATCH", "r1", {"actions": actions}))
    assert "catalog_actions_max" in found["actions"][0]
    assert catalog.one("PATCH", "r1", {"actions": actions[:100]}, force="true").status == 200
    relations = {f"c{n}": {"actions": []} for n in range(51)}
    found = findings(catalog.one("PATCH", "r1", {"relations": relations}))
    assert "catalog_relations_max" in found["relations"][0]
    relations.pop("c0")
    assert catalog.one("PATCH", "r1", {"relations": relations}).status == 200


def test_a_body_too_large_is_refused_unread(api):
    catalog = Catalog(api)
    raw = b'{"resources": [' + b" " * (6 << 20) + b"]}"
    answer = api.call("PUT", catalog.path, raw=raw)
    assert (answer.status, answer.json["limit"]) == (413, "catalog_bytes_max")


def test_a_limited_key_and_a_tenant_s_key(root, api, catalog):
    def key(**more):
        made = api.post("/api/v1/api-keys", {"name": "k", **more})
        assert made.status == 201, made.body
        return Client(root.port, made.json["secret"])

    reader = key(permissions=["catalog:read"])
    tenant = key(permissions=["catalog:*"], tenantId="t1")
    for who in (reader, tenant):
        assert who.get(catalog.path).status == 200
        assert who.get(f"{catalog.path}/documents").status == 200
        assert who.get(f"{catalog.home}/permissions").status == 200
        for method, path, body in (
            ("PUT", catalog.path, {"resources": []}),
            ("PUT", f"{catalog.path}/notes", {"actions": []}),
            ("PATCH", f"{catalog.path}/documents", {}),
            ("DELETE", f"{catalog.path}/documents", None),
            ("POST", f"{catalog.path}/documents/rename", {"to": "x"}),
            ("POST", f"{catalog.path}/documents/actions/read/rename", {"to": "x"}),
            ("POST", f"{catalog.path}/invoices/relations/approver/rename", {"to": "x"}),
        ):
            answer = who.call(method, path, body)
            assert answer.status == 403, (path, answer.body)
            if who is reader:
                assert answer.json["permission"] == "catalog:write"
            else:
                assert answer.json["code"] == "tenant_scope"
    assert reader.get(f"{catalog.path}/documents/usage").status == 200
    assert tenant.get(f"{catalog.path}/documents/usage").status == 403
    nothing = key(permissions=["checks:create"])
    assert nothing.get(catalog.path).json["permission"] == "catalog:read"
    # Another application is not there for a key of this one.
    assert reader.get("/api/v1/applications/default/resources").status == 404


# --- Beside the model.


def test_the_model_decides_what_it_names(api):
    catalog = Catalog(api)
    put = catalog.put(
        item("document", ["read", "print"], relations={"printer": {"actions": ["print"]}})
    )
    assert put.status == 200
    grant(api, "document:d1#viewer@user:ann", "document:d1#printer@user:pia")
    grant(api, "document:d1#banned@user:ann")
    assert not api.check("user:ann", "document:d1", "read")
    assert not api.check("user:pia", "document:d1", "read")
    assert api.check("user:pia", "document:d1", "print")
    shown = put.json["resources"][0]["relationActions"]
    assert shown["printer"] == ["print"]
    for path, what in (
        ("document/rename", "document"),
        ("document/actions/read/rename", "read"),
    ):
        refused = catalog.one("POST", path, {"to": "other"})
        assert (refused.status, refused.json["code"]) == (409, "conflict")
        assert f"`{what}`" in refused.json["detail"]
        assert "model" in refused.json["detail"]
    # The model goes on to be put, beside the catalog.
    model = f"{catalog.home}/model"
    again = api.call("PUT", model, MODEL)
    assert (again.status, again.json["changed"]) == (200, False)
    without = {
        **MODEL,
        "type_definitions": [
            each for each in MODEL["type_definitions"] if each["type"] != "document"
        ],
    }
    refused = api.call("PUT", model, without)
    assert refused.status == 409
    assert refused.json["orphans"] == {"document#banned@user": 1}
    assert api.call("PUT", model, without, force="true").status == 200
    assert api.check("user:ann", "document:d1", "read")
    assert api.check("user:pia", "document:d1", "print")


def test_every_change_is_in_the_audit_log(api, catalog):
    catalog.put(item("notes", ["read"]), mode="merge")
    catalog.one("PUT", "mails", {"actions": ["read"]})
    catalog.one("PATCH", "mails", {"actions": ["read", "send"]})
    catalog.one("POST", "mails/rename", {"to": "letters"})
    catalog.one("DELETE", "letters")
    answer = api.get("/api/v1/audit")
    assert answer.status == 200, answer.body
    names = [each["action"] for each in answer.json["data"]]
    assert names[:6] == [
        "resource.deleted",
        "resource.renamed",
        "resource.updated",
        "resource.created",
        "catalog.updated",
        "catalog.replaced",
    ]


def test_a_rename_sent_again_gives_the_first_answer(api, catalog):
    headers = {"Idempotency-Key": "once"}
    first = catalog.one("POST", "documents/rename", {"to": "files"}, headers=headers)
    again = catalog.one("POST", "documents/rename", {"to": "files"}, headers=headers)
    assert first.status == again.status == 200
    assert first.json == again.json
    other = catalog.one("POST", "documents/rename", {"to": "papers"}, headers=headers)
    assert (other.status, other.json["code"]) == (409, "idempotency_key_reused")
    assert catalog.names() == {"files", "invoices"}


def test_a_rename_moves_grants_and_policies(api, catalog):
    policy = catalog.policy("documents:read", "documents:*")
    grant(api, "documents:d1#editor@user:ann")
    answer = catalog.one("POST", "documents/rename", {"to": "files"})
    assert answer.status == 200
    assert answer.json == {
        "kind": "resource",
        "resource": "files",
        "from": "documents",
        "to": "files",
        "references": {"policies": {policy: 2}},
        "overridden": [],
        "etag": catalog.get().json["etag"],
        "dryRun": False,
        "zookie": answer.json["zookie"],
    }
    assert catalog.permissions(policy) == ["files:read", "files:*"]
    assert api.check("user:ann", "files:d1", "update")
    asked = {"userId": "ann", "resource": "documents", "resourceId": "d1", "action": "read"}
    assert api.post(f"{A}/check", asked).status == 400
    taken = catalog.one("POST", "files/rename", {"to": "invoices"})
    assert (taken.status, taken.json["code"]) == (409, "already_exists")
    for path in ("files/actions/print/rename", "files/relations/signer/rename"):
        assert catalog.one("POST", path, {"to": "other"}).status == 404
    built_in = catalog.one("POST", "files/relations/viewer/rename", {"to": "reader"})
    assert (built_in.status, built_in.json["code"]) == (409, "conflict")

"""Every route of the table and every kind of caller: who is let in, who is not, what is recorded.

The table says for each route what it needs. A route that is not in it fails a test, so that none
comes without a guard; so does one that is in it and is not served any more.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Literal, NamedTuple

import pytest

from tests.api.client import NDJSON, Client
from tests.api.roles_town import Town, made
from tests.api.servers import serving
from tests.api.test_openapi import Anything
from tests.token_makers import AUDIENCE, Signer, claims, key_set
from zeratul.api.authaz.routes import routes
from zeratul.api.pages import PageHandlers
from zeratul.api.work import Work
from zeratul.domain.limits import Limits
from zeratul.service.keys.key_permissions import MANAGEMENT_PERMISSIONS

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.api.client import Answer

APP = "/api/v1/applications/{appId}"
ASK = "/api/v1/authorization"
FACTS = f"{ASK}/relationships"
KEYS = "/api/v1/api-keys"
ISSUER = "https://login.test/"
NOW_MS = 1_900_000_000_000

# Whom a key of one tenant with all permissions is: at home in its tenant, refused because the
# thing belongs to the whole application, refused because only the root key may.
Tenant = Literal["in", "whole", "root"]


class Guard(NamedTuple):
    """What a route needs, and a call of it that works for whoever may call it.

    Attributes:
        permission: the management permission.
        body: sent as JSON; text as NDJSON. `{…}` in it are filled in like those of the path.
        query: behind the path.
        event: the action of the one event it leaves; None: it changes nothing.
        tenant: what it is to a tenant's key.
        user: whether a user with a token of its own may ask it, about itself.
    """

    permission: str
    body: Any = None
    query: str = ""
    event: str | None = None
    tenant: Tenant = "in"
    user: bool = False


ROLE = {"name": "fresh", "policyIds": []}
POLICY = {"name": "fresh", "permissions": ["documents:read"]}
FACT = {"userId": "eve", "resource": "documents", "resourceId": "d9", "relation": "viewer"}
STORED = {"userId": "ann", "resource": "documents", "resourceId": "d1", "relation": "viewer"}
CHECK = {"userId": "ann", "resource": "documents", "resourceId": "d1", "action": "read"}
ASSIGN = {"userId": "eve", "roleId": "{roleId}"}
ASSIGNED = {"userId": "ann", "roleId": "{heldId}", "tenantId": "t1"}
BULK = {"assign": [{"userId": "eve", "roleId": "{heldId}", "tenantId": "t1"}]}
MODEL = {"schema_version": "1.1", "type_definitions": [{"type": "user"}, {"type": "team"}]}
RESOURCE = {"actions": ["read", "enter", "clean"]}
TRUST = {"issuer": "https://other.test/", "audience": AUDIENCE, "jwksUri": "https://o.test/k"}

ASSIGNMENTS = {
    "POST {}": Guard("assignments:write", ASSIGN, event="role.assigned"),
    "GET {}": Guard("assignments:read"),
    "DELETE {}": Guard("assignments:write", ASSIGNED, event="role.unassigned"),
    "POST {}/bulk": Guard("assignments:write", BULK, event="role.assigned"),
    "DELETE {}/{{assignmentId}}": Guard("assignments:write", event="role.unassigned"),
}
ROLES = {
    "POST {}": Guard("roles:write", ROLE, event="role.created"),
    "GET {}": Guard("roles:read"),
    "GET {}/{{roleId}}": Guard("roles:read"),
    "PUT {}/{{roleId}}": Guard("roles:write", ROLE, event="role.updated"),
    "PATCH {}/{{roleId}}": Guard("roles:write", {"name": "other"}, event="role.updated"),
    "DELETE {}/{{roleId}}": Guard("roles:write", event="role.deleted"),
}


def _below(path: str, guards: dict[str, Guard], *, whole: bool = False) -> dict[str, Guard]:
    """The guards of an area that is served under several paths."""
    return {
        name.format(path): guard._replace(tenant="whole") if whole and guard.event else guard
        for name, guard in guards.items()
    }


def _whole(guards: dict[str, Guard]) -> dict[str, Guard]:
    return {name: guard._replace(tenant="whole") for name, guard in guards.items()}


def _root(guards: dict[str, Guard]) -> dict[str, Guard]:
    return {name: guard._replace(tenant="root") for name, guard in guards.items()}


TABLE: dict[str, Guard] = {
    f"POST {ASK}/check": Guard("checks:create", CHECK, user=True),
    f"POST {ASK}/check/bulk": Guard("checks:create", {"checks": [CHECK]}, user=True),
    f"POST {ASK}/check-bulk": Guard("checks:create", {"checks": [CHECK]}, user=True),
    f"GET {ASK}/permissions": Guard("checks:create", query="userId=ann", user=True),
    f"POST {ASK}/explain": Guard("checks:explain", CHECK, user=True),
    f"GET {ASK}/what-can": Guard(
        "checks:explain", query="userId=ann&resource=documents&action=read", user=True
    ),
    f"GET {ASK}/who-can": Guard(
        "checks:explain", query="resource=documents&resourceId=d1&action=read"
    ),
    f"GET {KEYS}": Guard("keys:read"),
    f"POST {KEYS}": Guard("keys:write", {"name": "fresh"}, event="api_key.created"),
    f"GET {KEYS}/{{keyId}}": Guard("keys:read"),
    f"DELETE {KEYS}/{{keyId}}": Guard("keys:write", event="api_key.deleted"),
    f"POST {KEYS}/{{keyId}}/rotate": Guard(
        "keys:write", {"graceSeconds": 60}, event="api_key.rotated"
    ),
    "GET /api/v1/audit": Guard("audit:read"),
    "GET /api/v1/audit/export": Guard("audit:read"),
    f"GET {APP}/model": Guard("model:read"),
    f"GET {APP}/policies": Guard("policies:read"),
    f"GET {APP}/policies/{{policyId}}": Guard("policies:read"),
    f"GET {APP}/resources": Guard("catalog:read"),
    f"GET {APP}/resources/{{resource}}": Guard("catalog:read"),
    f"GET {APP}/permissions": Guard("catalog:read"),
    f"GET {APP}/tenants/{{tenantId}}/members": Guard("assignments:read"),
    f"DELETE {APP}/tenants/{{tenantId}}/members/{{userId}}": Guard(
        "assignments:write", event="role.unassigned"
    ),
    **_below("/api/v1/role-assignments", ASSIGNMENTS),
    **_below(f"{APP}/role-assignments", ASSIGNMENTS),
    **_below(f"{APP}/tenants/{{tenantId}}/role-assignments", ASSIGNMENTS),
    **_below(f"{APP}/roles", ROLES, whole=True),
    **_below(f"{APP}/tenants/{{tenantId}}/roles", ROLES),
    **_whole(
        {
            f"GET {ASK}/expand": Guard(
                "checks:explain", query="resource=documents&resourceId=d1&relation=viewer"
            ),
            f"POST {FACTS}": Guard("relationships:write", FACT, event="relationship.created"),
            f"DELETE {FACTS}": Guard("relationships:write", STORED, event="relationship.deleted"),
            f"GET {FACTS}": Guard("relationships:read", query="userId=ann"),
            f"POST {FACTS}/bulk": Guard(
                "relationships:write", {"writes": [FACT]}, event="relationships.written"
            ),
            f"POST {FACTS}/import": Guard(
                "relationships:import", json.dumps(FACT), event="relationships.imported"
            ),
            f"GET {FACTS}/export": Guard("relationships:export"),
            f"PUT {APP}/model": Guard("model:write", MODEL, event="model.updated"),
            f"POST {APP}/policies": Guard("policies:write", POLICY, event="policy.created"),
            f"PUT {APP}/policies/{{policyId}}": Guard(
                "policies:write", POLICY, event="policy.updated"
            ),
            f"PATCH {APP}/policies/{{policyId}}": Guard(
                "policies:write", {"permissions": []}, event="policy.updated"
            ),
            f"DELETE {APP}/policies/{{policyId}}": Guard("policies:write", event="policy.deleted"),
            f"PUT {APP}/resources": Guard(
                "catalog:write",
                {"resources": [{"resource": "rooms", "actions": ["read"]}]},
                "mode=merge",
                event="catalog.updated",
            ),
            f"PUT {APP}/resources/{{resource}}": Guard(
                "catalog:write", RESOURCE, event="resource.updated"
            ),
            f"PATCH {APP}/resources/{{resource}}": Guard(
                "catalog:write", {"description": "new"}, event="resource.updated"
            ),
            f"DELETE {APP}/resources/{{resource}}": Guard(
                "catalog:write", event="resource.deleted"
            ),
            f"GET {APP}/resources/{{resource}}/usage": Guard("catalog:read"),
            f"POST {APP}/resources/{{resource}}/rename": Guard(
                "catalog:write", {"to": "places"}, event="resource.renamed"
            ),
            f"POST {APP}/resources/{{resource}}/actions/{{action}}/rename": Guard(
                "catalog:write", {"to": "go_in"}, event="action.renamed"
            ),
            f"POST {APP}/resources/{{resource}}/relations/{{relation}}/rename": Guard(
                "catalog:write", {"to": "porter"}, event="relation.renamed"
            ),
            "GET /api/v1/groups": Guard("groups:read"),
            "GET /api/v1/groups/{groupId}": Guard("groups:read"),
            "PUT /api/v1/groups/{groupId}": Guard(
                "groups:write", {"name": "new"}, event="group.updated"
            ),
            "DELETE /api/v1/groups/{groupId}": Guard("groups:write", event="group.deleted"),
            "GET /api/v1/groups/{groupId}/members": Guard("groups:read"),
            "POST /api/v1/groups/{groupId}/members": Guard(
                "groups:write", {"subjects": ["eve"]}, event="group.member_added"
            ),
            "DELETE /api/v1/groups/{groupId}/members": Guard(
                "groups:write", {"subjects": ["bob"]}, event="group.member_removed"
            ),
            "PUT /api/v1/groups/{groupId}/members/{subject}": Guard(
                "groups:write", event="group.member_added"
            ),
            "DELETE /api/v1/groups/{groupId}/members/{subject}": Guard(
                "groups:write", event="group.member_removed"
            ),
            f"GET {APP}/issuers": Guard("keys:read"),
            f"GET {APP}/issuers/{{issuerId}}": Guard("keys:read"),
            f"PUT {APP}/issuers/{{issuerId}}": Guard("keys:write", TRUST, event="issuer.updated"),
            f"DELETE {APP}/issuers/{{issuerId}}": Guard("keys:write", event="issuer.deleted"),
        }
    ),
    **_root(
        {
            "POST /api/v1/applications": Guard(
                "applications:write", {"name": "fresh of {appId}"}, event="application.created"
            ),
            "GET /api/v1/applications": Guard("applications:read"),
            f"GET {APP}": Guard("applications:read"),
            f"DELETE {APP}": Guard(
                "applications:delete", query="confirm={appName}", event="application.deleted"
            ),
            f"GET {APP}/settings": Guard("applications:read"),
            f"PUT {APP}/settings": Guard(
                "applications:write", {"decisionLog": {"mode": "all"}}, event="settings.updated"
            ),
        }
    ),
}
# Pages about the server: any living key opens them, a user's token does not.
PAGES = {"GET /metrics", "GET /openapi.json", "GET /docs", "GET /docs/{file}"}
OPEN = {f"{method} {path}" for path in ("/healthz", "/readyz") for method in ("GET", "HEAD")}

ALL = [pytest.param(name, id=name) for name in TABLE]
WRITES = [pytest.param(name, id=name) for name, guard in TABLE.items() if guard.event]
READS = [pytest.param(name, id=name) for name, guard in TABLE.items() if not guard.event]
POSTS = [
    pytest.param(name, id=name)
    for name, guard in TABLE.items()
    if guard.event and name.startswith("POST") and not name.endswith("/import")
]

# An import goes on behind a broken line.
BODIES = [each for each in WRITES if isinstance(TABLE[str(each.id)].body, dict)]


class Clock:
    """The servers' time, moved by hand."""

    now_ms = NOW_MS

    def __call__(self) -> int:
        return self.now_ms


@dataclass(frozen=True)
class World:
    """An application with one of everything.

    Attributes:
        root: the root key's client, within it.
        names: what stands for the names in braces.
        secrets: of all its keys.
    """

    root: Client
    names: dict[str, str]
    tenants_names: dict[str, str]
    secrets: list[str]

    @classmethod
    def new(cls, server: Client) -> World:
        town = Town.new(server, "multi_tenant")
        root = town.client
        app = root.headers["X-Zeratul-Application"]
        relations = {"keeper": {"actions": ["enter"]}}
        rooms = {"actions": ["read", "enter"], "relations": relations}
        made(town.call("PUT", "resources/offices", rooms))
        policy = town.policy("loose", "documents:read")
        shared = town.policy("shared", "documents:read")
        held = town.role("held", shared)
        assignment = town.assign("user:ann", held, tenantId="t1")
        made(root.post(f"{ASK}/relationships", STORED))
        made(root.call("PUT", "/api/v1/groups/g1", {"members": ["user:bob"]}))
        trust = {"issuer": ISSUER, "audience": AUDIENCE, "jwks": key_set(Signer())}
        made(town.call("PUT", "issuers/main", trust))
        body = {"name": "spare", "permissions": ["groups:read"], "tenantId": "t1"}
        key = made(root.post(KEYS, body))
        names = {
            "appId": app,
            "appName": made(root.get(f"/api/v1/applications/{app}"))["name"],
            "tenantId": "t1",
            "policyId": policy["id"],
            "roleId": town.role("loose", shared)["id"],
            "heldId": held["id"],
            "assignmentId": assignment["id"],
            "userId": "ann",
            "keyId": key["id"],
            "resource": "offices",
            "action": "enter",
            "relation": "keeper",
            "groupId": "g1",
            "subject": "user:bob",
            "issuerId": "main",
        }
        own = {"roleId": town.role("own", shared, tenant="t1")["id"]}
        return cls(root, names, names | own, [key["secret"], root.key or ""])

    def call(self, name: str, client: Client, *, body: object = None, **more: Any) -> Answer:
        """The route's working call, or one with another body."""
        method, _, path = name.partition(" ")
        guard = TABLE[name]
        names = self.tenants_names if "{tenantId}" in path else self.names
        if name == "PUT /api/v1/groups/{groupId}/members/{subject}":
            names = names | {"subject": "user:eve"}
        path = _filled(path, names) + ("?" + _filled(guard.query, names) if guard.query else "")
        sent = guard.body if body is None else body
        if sent is None:
            return client.call(method, path, **more)
        text = _filled(sent if isinstance(sent, str) else json.dumps(sent), names).encode()
        kind = NDJSON if isinstance(guard.body, str) else "application/json"
        headers = {"Content-Type": kind} | more.pop("headers", {})
        return client.call(method, path, raw=text, headers=headers, **more)

    def key(self, permissions: list[str] | None, **more: object) -> Client:
        body = {"name": "k", **({} if permissions is None else {"permissions": permissions})}
        answer = made(self.root.post(KEYS, body | more))
        self.secrets.append(answer["secret"])
        return Client(self.root.port, answer["secret"])

    def events(self) -> list[dict[str, Any]]:
        """Everything recorded in the application and in the server's own log."""
        inside = self.root.get("/api/v1/audit/export")
        server = Client(self.root.port, self.root.key).get("/api/v1/audit/export", server="true")
        assert server.status == 200
        return [*(inside.lines if inside.status == 200 else []), *server.lines]


def _filled(text: str, names: dict[str, str]) -> str:
    for name, value in names.items():
        text = text.replace("{" + name + "}", value)
    return text


def key_id(client: Client) -> str:
    assert client.key is not None
    return f"key_{client.key.split('_')[1]}"


def needed(answer: Answer) -> tuple[int, str]:
    """Status and permission of a refusal."""
    return answer.status, answer.json.get("permission", "")


def token(user: str, **more: object) -> dict[str, Any]:
    said = claims(NOW_MS, **{"iss": ISSUER, "sub": user, **more})
    return {"headers": {"Authorization": f"Bearer {Signer().token(said)}"}}


@pytest.fixture(scope="module")
def clock() -> Clock:
    return Clock()


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory, clock: Clock) -> Iterator[Client]:
    data = tmp_path_factory.mktemp("guards") / "data"
    with serving(data, limits=Limits(), clock_ms=clock) as client:
        yield client


@pytest.fixture(scope="module")
def shared(server: Client) -> World:
    """For calls that are refused, or change nothing."""
    return World.new(server)


@pytest.fixture(scope="module")
def ended(server: Client, shared: World, clock: Clock) -> dict[str, Client]:
    """Keys with every permission that hold no more."""
    deleted, rotated = shared.key(["*"]), shared.key(["*"])
    assert shared.root.call("DELETE", f"{KEYS}/{key_id(deleted)}").status == 204
    made(shared.root.post(f"{KEYS}/{key_id(rotated)}/rotate", {}))
    expired = shared.key(["*"], expiresAt="2030-03-17T17:46:41Z")
    assert expired.get(KEYS).status == 200
    away = World.new(server)
    homeless = away.key(["*"])
    assert homeless.get(KEYS).status == 200
    assert away.call(f"DELETE {APP}", away.root).status == 204
    return {"deleted": deleted, "rotated": rotated, "expired": expired, "homeless": homeless}


def test_the_table_has_every_route():
    limits = Limits()
    work = Work(limits)
    table = {route.name: route for route in routes(Anything(), limits, work, None)}
    pages = {route.name: route for route in PageHandlers(None).routes()}
    work.close()
    assert table.keys() == TABLE.keys()
    assert {route.entrance for route in table.values()} == {"key"}
    assert {name for name, route in pages.items() if route.entrance == "page"} == PAGES
    assert {name for name, route in pages.items() if route.entrance == "open"} == OPEN


@pytest.mark.parametrize("name", ALL)
def test_a_key_that_ended_opens_nothing(shared, ended, clock, name):
    before = len(shared.events())
    clock.now_ms = NOW_MS + 1_001
    try:
        for kind, client in ended.items():
            answer = shared.call(name, client)
            assert (answer.status, answer.json["code"]) == (401, "unauthenticated"), kind
    finally:
        clock.now_ms = NOW_MS
    for client in (Client(shared.root.port, None), Client(shared.root.port, "zrt_0_0")):
        assert shared.call(name, client).status == 401
    assert len(shared.events()) == before


@pytest.mark.parametrize("name", ALL)
def test_a_key_in_use_ends_with_its_deletion(shared, name):
    """Known to the process and trusted until the call itself looks: every call has to look."""
    client = shared.key(["*"])
    assert client.get(KEYS).status == 200
    assert shared.root.call("DELETE", f"{KEYS}/{key_id(client)}").status == 204
    answer = shared.call(name, client)
    if TABLE[name].tenant == "root":
        assert answer.status in (401, 403)
    else:
        assert (answer.status, answer.json["code"]) == (401, "unauthenticated"), answer.body


def test_a_list_that_is_remembered_ends_with_the_key(shared):
    path = f"{ASK}/what-can?userId=pat&resource=documents&action=read&pageSize=1"
    for number in range(3):
        made(shared.root.post(FACTS, FACT | {"userId": "pat", "resourceId": f"p{number}"}))
    client = shared.key(["*"])
    first = client.get(path)
    assert first.status == 200
    assert client.get(f"{path}&cursor={first.json['next']}").status == 200
    assert shared.root.call("DELETE", f"{KEYS}/{key_id(client)}").status == 204
    assert client.get(f"{path}&cursor={first.json['next']}").status == 401


@pytest.fixture(scope="module")
def weak(shared: World) -> dict[str, Client]:
    """For each permission a key with all the others."""
    return {
        each: shared.key(
            sorted(MANAGEMENT_PERMISSIONS - {"*", each, each.partition(":")[0] + ":*"})
        )
        for each in {guard.permission for guard in TABLE.values()}
    }


@pytest.fixture(scope="module")
def foreign(server: Client) -> World:
    return World.new(server)


@pytest.fixture(scope="module")
def stranger(foreign: World) -> Client:
    """A key of another application, with every permission."""
    return foreign.key(["*"])


@pytest.fixture(scope="module")
def tenants(shared: World) -> dict[str, Client]:
    return {tenant: shared.key(["*"], tenantId=tenant) for tenant in ("t1", "t2")}


@pytest.mark.parametrize("name", ALL)
def test_a_key_without_the_permission_is_told_which(shared, weak, name):
    guard = TABLE[name]
    before = len(shared.events())
    answer = shared.call(name, weak[guard.permission])
    assert needed(answer) == (403, guard.permission)
    assert len(shared.events()) == before


@pytest.mark.parametrize("name", ALL)
def test_a_key_of_another_application_learns_nothing(shared, stranger, foreign, name):
    """By the path or by the header; ids in the path are no way in either."""
    before = len(shared.events())
    answer = shared.call(name, replace(stranger, headers=shared.root.headers))
    assert (answer.status, answer.json["code"]) == (404, "not_found"), answer.body
    told = answer.body.decode()
    for secret in ("loose", "shared", shared.names["appName"]):
        assert f"`{secret}`" not in told
    path = name.partition(" ")[2]
    if "{appId}" in path:
        assert shared.call(name, stranger).status == 404
    own = [
        each for each in ("{keyId}", "{assignmentId}", "{policyId}", "{roleId}") if each in path
    ]
    if own:
        names = shared.names | {"appId": foreign.names["appId"]}
        answer = replace(shared, names=names, tenants_names=names).call(name, stranger)
        assert answer.status == 404, answer.body
    assert len(shared.events()) == before


@pytest.mark.parametrize("name", ALL)
def test_a_user_asks_about_itself_and_nothing_else(shared, name):
    guard = TABLE[name]
    before = len(shared.events())
    answer = shared.call(name, shared.root, **token("ann"))
    other = shared.call(name, shared.root, **token("bob"))
    assert len(shared.events()) == before
    if not guard.user:
        assert needed(answer) == needed(other) == (403, guard.permission)
        return
    assert answer.status == 200, answer.body
    if "bulk" in name:
        assert "allowed" in answer.json["results"][0]
        assert "allowed" not in other.json["results"][0]
        assert other.json["results"][0]["error"]["code"] == "user_scope"
    else:
        assert (other.status, other.json["code"]) == (403, "user_scope")


@pytest.mark.parametrize("name", ALL)
def test_a_user_needs_the_keys_permission_too(shared, weak, name):
    guard = TABLE[name]
    answer = shared.call(name, weak[guard.permission], **token("ann"))
    assert needed(answer) == (403, guard.permission)


@pytest.mark.parametrize("name", ALL)
def test_another_tenants_key_reaches_nothing(shared, tenants, name):
    """What belongs to tenant t1 is not there for a key of t2, and it changes nothing else."""
    guard, path = TABLE[name], name.partition(" ")[2]
    before = len(shared.events())
    if guard.tenant == "root":
        assert needed(shared.call(name, tenants["t2"])) == (403, guard.permission)
    elif guard.tenant == "whole":
        answer = shared.call(name, tenants["t2"])
        assert (answer.status, answer.json["code"]) == (403, "tenant_scope"), answer.body
    elif any(each in path for each in ("{tenantId}", "{keyId}", "{assignmentId}")):
        answer = shared.call(name, tenants["t2"])
        assert (answer.status, answer.json["code"]) == (404, "not_found"), answer.body
        assert shared.call(name, tenants["t1"], **token("ann", tenant_id="t2")).status == 404
    elif guard.event is None:
        told = shared.call(name, tenants["t2"]).body.decode()
        own = shared.tenants_names
        for text in (own["roleId"], own["keyId"], own["assignmentId"], '"t1"'):
            assert text not in told
    assert len(shared.events()) == before


@pytest.mark.parametrize("name", READS)
def test_reading_needs_that_permission_only(shared, tenants, name):
    guard = TABLE[name]
    before = len(shared.events())
    if guard.tenant == "root":
        assert shared.call(name, shared.root).status == 200
        assert needed(shared.call(name, shared.key(["*"]))) == (403, guard.permission)
        before += 1  # the key
    else:
        answer = shared.call(name, shared.key([guard.permission]))
        assert answer.status == 200, answer.body
        before += 1  # the key
        inside = shared.call(name, tenants["t1"])
        assert inside.status == (200 if guard.tenant == "in" else 403), inside.body
    assert len(shared.events()) == before


@pytest.mark.parametrize("name", WRITES)
def test_a_write_needs_that_permission_only_and_leaves_one_event(server, name):
    world = World.new(server)
    guard = TABLE[name]
    if guard.tenant == "root":
        client = world.root
        assert needed(world.call(name, world.key(["*"]))) == (403, guard.permission)
    elif name.endswith("/rotate"):
        client = world.key([guard.permission, "groups:read"])
    else:
        client = world.key([guard.permission])
    before = {event["id"] for event in world.events()}
    answer = world.call(name, client, headers={"X-Request-Id": "the-call"})
    assert answer.status in (200, 201, 204), answer.body
    assert answer.headers["X-Zeratul-Zookie"] or "zookie" in answer.json
    if answer.body and "secret" in answer.json:
        world.secrets.append(answer.json["secret"])
    found = [event for event in world.events() if event["id"] not in before]
    if name.endswith("/import"):  # It takes many commits: its begin is recorded by the first.
        assert found.pop()["action"] == "relationships.import_started"
    assert [(each["action"], each["requestId"]) for each in found] == [(guard.event, "the-call")]
    told = json.dumps(world.events())
    for secret in world.secrets:
        assert secret not in told
        assert secret.split("_", 2)[-1] not in told


@pytest.mark.parametrize("name", BODIES)
def test_a_broken_write_leaves_nothing(shared, name):
    before = len(shared.events())
    answer = shared.call(name, shared.root, body={"nonsense": 1})
    assert answer.status == 400, answer.body
    assert "nonsense" in answer.json["errors"]
    assert len(shared.events()) == before


@pytest.mark.parametrize("name", WRITES)
def test_a_tenants_key_writes_in_its_tenant_only(server, name):
    world = World.new(server)
    guard = TABLE[name]
    client = world.key(["*"], tenantId="t1")
    before = {event["id"] for event in world.events()}
    answer = world.call(name, client)
    found = [event for event in world.events() if event["id"] not in before]
    if guard.tenant == "in":
        assert answer.status in (200, 201, 204), answer.body
        assert [(event["action"], event["tenantId"]) for event in found] == [(guard.event, "t1")]
    else:
        wanted = guard.permission if guard.tenant == "root" else ""
        assert needed(answer) == (403, wanted)
        assert found == []


@pytest.mark.parametrize("name", POSTS)
def test_a_repeated_post_is_answered_once_and_to_nobody_else(server, name):
    world = World.new(server)
    guard = TABLE[name]
    root = guard.tenant == "root"
    client = world.root if root else world.key(["*"])
    again = {"headers": {"Idempotency-Key": "same"}}
    first = world.call(name, client, **again)
    assert first.status in (200, 201), first.body
    events = len(world.events())
    second = world.call(name, client, **again)
    assert (second.status, second.body) == (first.status, first.body)
    body = json.dumps(guard.body) + " "
    method, _, path = name.partition(" ")
    names = world.tenants_names if "{tenantId}" in path else world.names
    other = client.call(
        method,
        _filled(path, names),
        raw=_filled(body, names).encode(),
        headers={"Content-Type": "application/json", "Idempotency-Key": "same"},
    )
    assert (other.status, other.json["code"]) == (409, "idempotency_key_reused"), other.body
    assert len(world.events()) == events
    if not root:
        weak = world.key(["checks:create"])
        assert needed(world.call(name, weak, **again)) == (403, guard.permission)
        peer = world.call(name, world.key(["*"]), **again)
        assert peer.body != first.body
        if "secret" in first.json and peer.status < 300:
            assert peer.json["secret"] != first.json["secret"]

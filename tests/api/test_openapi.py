"""The OpenAPI document says what the server does: routes, bodies, and its page."""

import base64

import msgspec
import pytest

from tests.api.client import Client
from zeratul.api.authaz import (
    administration_bodies,
    assignments_bodies,
    catalog_bodies,
    groups_bodies,
    issuers_bodies,
    policies_bodies,
    roles_bodies,
    structures,
)
from zeratul.api.authaz.routes import routes
from zeratul.api.pages import PageHandlers
from zeratul.api.resources import openapi_document
from zeratul.api.work import Work
from zeratul.domain.limits import Limits

DOCUMENT = msgspec.json.decode(openapi_document())
METHODS = {"get", "head", "put", "post", "patch", "delete"}
BODIES = {
    "RelationshipWrite": structures.RelationshipBody,
    "RelationshipFilter": structures.FilterBody,
    "Precondition": structures.PreconditionBody,
    "Bulk": structures.BulkBody,
    "Check": structures.CheckBody,
    "Explain": structures.ExplainBody,
    "CheckItem": structures.CheckItem,
    "BulkCheck": structures.BulkCheckBody,
    "Catalog": catalog_bodies.FastCatalogBody,
    "CatalogItem": catalog_bodies.CatalogItem,
    "CatalogRelation": catalog_bodies.RelationBody,
    "ResourceWrite": catalog_bodies.ResourceBody,
    "ResourcePatch": catalog_bodies.ResourcePatch,
    "Rename": catalog_bodies.RenameBody,
    "PolicyWrite": policies_bodies.PolicyBody,
    "PolicyPatch": policies_bodies.PolicyPatchBody,
    "RoleWrite": roles_bodies.RoleBody,
    "RolePatch": roles_bodies.RolePatchBody,
    "AssignmentWrite": assignments_bodies.AssignmentBody,
    "BulkAssignment": assignments_bodies.BulkAssignmentBody,
    "GroupWrite": groups_bodies.GroupBody,
    "GroupMembers": groups_bodies.MembersBody,
    "NewApplication": structures.ApplicationBody,
    "NewKey": structures.KeyBody,
    "Rotation": administration_bodies.RotateBody,
    "Settings": administration_bodies.SettingsBody,
    "DecisionLog": administration_bodies.DecisionLogBody,
    "IssuerWrite": issuers_bodies.IssuerBody,
}


def operations():
    for path, item in DOCUMENT["paths"].items():
        for method in METHODS & item.keys():
            yield path, method, item[method]


def references(value):
    if isinstance(value, dict):
        if "$ref" in value:
            yield value["$ref"]
        for each in value.values():
            yield from references(each)
    elif isinstance(value, list):
        for each in value:
            yield from references(each)


class Anything:
    """Stands for the services: routes only need their handlers bound."""

    def __getattr__(self, name):
        return Anything()


def test_every_route_is_in_the_document_and_every_path_is_a_route():
    limits = Limits()
    work = Work(limits)
    table = [*routes(Anything(), limits, work, None), *PageHandlers(None).routes()]
    work.close()
    assert {(route.path, route.method.lower()) for route in table} == {
        (path, method) for path, method, _ in operations()
    }


def test_every_reference_names_something():
    for reference in references(DOCUMENT):
        at = DOCUMENT
        for step in reference.removeprefix("#/").split("/"):
            at = at[step]


def test_every_operation_has_an_id_a_summary_and_examples_of_json():
    ids = [operation["operationId"] for _, _, operation in operations()]
    assert len(ids) == len(set(ids))
    for path, method, operation in operations():
        assert operation["summary"], (path, method)
        bodies = [operation.get("requestBody", {}), *operation["responses"].values()]
        for body in bodies:
            media = body.get("content", {}).get("application/json")
            if media and path != "/openapi.json":
                assert "example" in media, (path, method)


@pytest.mark.parametrize("name", BODIES)
def test_fields_of_bodies_are_those_the_server_takes(name):
    taken = set(BODIES[name].__struct_encode_fields__)
    # Reserved for its issue: refused with words of its own, so not offered.
    assert set(DOCUMENT["components"]["schemas"][name]["properties"]) == taken - {"condition"}


@pytest.mark.parametrize(
    ("path", "method", "operation"),
    [each for each in operations() if "requestBody" in each[2]],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_examples_of_bodies_are_taken(path, method, operation):
    media = operation["requestBody"]["content"].get("application/json")
    if media is None or media["schema"]["$ref"].endswith("/Model"):
        return  # lines and models are other modules' to decode
    kind = BODIES[media["schema"]["$ref"].rpartition("/")[2]]
    msgspec.json.decode(msgspec.json.encode(media["example"]), type=kind)


def test_parameters_of_queries_are_those_the_server_takes(api):
    """A documented one is never refused as unknown, whatever else is wrong with the request."""
    for path, method, operation in operations():
        if "{" in path:
            continue
        for listed in operation["parameters"]:
            shared = listed.get("$ref", "").rpartition("/")[2]
            parameter = DOCUMENT["components"]["parameters"][shared] if shared else listed
            if parameter["in"] == "query":
                answer = api.call(method.upper(), path, **{parameter["name"]: "x"})
                assert "unknown query parameter" not in answer.body.decode(), (path, parameter)


def basic(key: str) -> dict[str, str]:
    pair = base64.b64encode(f"anyone:{key}".encode()).decode()
    return {"Authorization": f"Basic {pair}"}


@pytest.mark.parametrize("path", ["/docs", "/docs/docs.js", "/docs/docs.css", "/openapi.json"])
def test_pages_open_in_a_browser_with_the_key_as_password(root, path):
    stranger = Client(root.port, None)
    refused = stranger.get(path)
    assert refused.status == 401
    assert refused.headers["WWW-Authenticate"].startswith("Basic ")
    assert "the key as password" in refused.json["detail"]
    assert stranger.call("GET", path, headers=basic("wrong")).status == 401
    assert stranger.call("GET", path, headers={"Authorization": "Basic ???"}).status == 400
    opened = stranger.call("GET", path, headers=basic(root.key))
    assert opened.status == 200
    assert root.get(path).body == opened.body


def test_basic_authentication_is_for_pages_only(root):
    stranger = Client(root.port, None)
    answer = stranger.call("GET", "/api/v1/applications", headers=basic(root.key))
    assert answer.status == 401


def test_the_page_loads_nothing_from_elsewhere(root):
    for path in ("/docs", "/docs/docs.js", "/docs/docs.css"):
        text = root.get(path).body.decode()
        assert "http://" not in text
        assert "https://" not in text
        assert "innerHTML" not in text
    assert "default-src 'none'" in root.get("/docs").headers["Content-Security-Policy"]
    assert root.get("/docs/other.js").status == 404

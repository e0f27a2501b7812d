"""model, applications and keys on a data directory."""

import json

from tests.cli.conftest import SAMPLE
from zeratul.door import open_services

BROKEN = {
    "schema_version": "1.1",
    "type_definitions": [
        {"type": "user"},
        {
            "type": "document",
            "relations": {
                "viewer": {"this": {}},
                "can_read": {"computedUserset": {"relation": "viewr"}},
                "can_edit": {"computedUserset": {"relation": "editor"}},
            },
            "metadata": {
                "relations": {"viewer": {"directly_related_user_types": [{"type": "usr"}]}}
            },
        },
    ],
}


def test_validate_counts_what_is_declared(zeratul):
    done = zeratul("model", "validate", SAMPLE / "model.json", "--json")

    assert done.code == 0
    assert done.json["valid"] is True
    assert done.json["types"] == len(
        json.loads((SAMPLE / "model.json").read_text())["type_definitions"]
    )


def test_validate_tells_every_finding(zeratul, tmp_path):
    """An invalid model is a "no": exit code 1."""
    file = tmp_path / "model.json"
    file.write_text(json.dumps(BROKEN))

    done = zeratul("model", "validate", file)

    assert done.code == 1
    for name in ("viewr", "editor", "usr"):
        assert f"`{name}`" in done.err
    answered = zeratul("model", "validate", file, "--json")
    assert answered.code == 1
    assert answered.json["valid"] is False
    assert len(answered.json["errors"]) >= 3


def test_what_is_not_json_is_an_error(zeratul, tmp_path):
    file = tmp_path / "model.json"
    file.write_text("{")

    done = zeratul("model", "validate", file)

    assert done.code == 2
    assert "not JSON" in done.err


def test_get_prints_what_was_put(zeratul, data):
    assert zeratul("model", "get", "--data", data).json == json.loads(
        (SAMPLE / "model.json").read_text()
    )


def test_a_model_that_orphans_is_refused_with_counts_then_forced(zeratul, data, tmp_path):
    model = json.loads((SAMPLE / "model.json").read_text())
    for definition in model["type_definitions"]:
        if definition["type"] == "document":
            subjects = definition["metadata"]["relations"]["viewer"]["directly_related_user_types"]
            subjects[:] = [
                each for each in subjects if each != {"type": "group", "relation": "member"}
            ]
    file = tmp_path / "model.json"
    file.write_text(json.dumps(model))

    refused = zeratul("model", "put", file, "--data", data)
    assert refused.code == 2
    assert "document#viewer@group#member: 1" in refused.err
    held = ("user:farid", "document:roadmap-2027", "can_read", "--data", data)
    assert zeratul("check", *held).code == 0

    tried = zeratul("model", "put", file, "--data", data, "--force", "--dry-run")
    assert tried.code == 0
    assert zeratul("check", *held).code == 0

    forced = zeratul("model", "put", file, "--data", data, "--force")
    assert forced.code == 0
    assert "1 relationships deleted" in forced.out
    assert zeratul("check", *held).code == 1


def test_applications_are_apart(zeratul, data):
    """A new application starts empty; what is written there is not seen in the other."""
    name = zeratul("applications", "create", "other", "--data", data).out.strip()
    assert name in zeratul("applications", "list", "--data", data).out
    assert {"default", name} == {
        json.loads(line)["id"]
        for line in zeratul("applications", "list", "--data", data, "--json").lines
    }

    there = ("--data", data, "--application", name)
    assert zeratul("model", "put", SAMPLE / "model.json", *there).code == 0

    assert zeratul("check", "user:carla", "document:roadmap-2027", "owner", *there).code == 1
    assert (
        zeratul("check", "user:carla", "document:roadmap-2027", "owner", "--data", data).code == 0
    )


def test_a_key_is_shown_once_and_opens_its_application(zeratul, data):
    made = zeratul(
        "keys", "create", "backend", "--permission", "checks:create", "--data", data, "--json"
    )
    assert made.code == 0
    plain = zeratul("keys", "create", "other", "--data", data)
    assert plain.code == 0
    assert len(plain.lines) == 1

    services = open_services(data)
    try:
        caller = services.keys.authenticate(made.json["secret"])
        assert caller.application_id == "default"
        assert {"checks:create"} == set(caller.permissions)
        assert services.keys.authenticate(plain.out.strip()).key_id != caller.key_id
    finally:
        services.close()


def test_an_unknown_permission_and_a_bad_time_are_errors(zeratul, data):
    unknown = zeratul("keys", "create", "k", "--permission", "check:create", "--data", data)
    assert unknown.code == 2
    assert "checks:create" in unknown.err
    assert zeratul("keys", "create", "k", "--expires", "tomorrow", "--data", data).code == 2

"""Keys and applications on a data directory and through a server: the same commands, all alike."""

from __future__ import annotations

import json

import pytest

from tests.api.servers import ROOT_KEY, Server


@pytest.fixture(params=["local", "remote"])
def place(request, tmp_path, zeratul):
    """Options that name an empty store."""
    data = tmp_path / "data"
    if request.param == "local":
        assert zeratul("import", "--data", data, _empty(tmp_path)).code == 0
        yield ("--data", data)
        return
    server = Server(data)
    yield ("--url", f"http://127.0.0.1:{server.port}", "--key", ROOT_KEY)
    server.stop()


def _empty(tmp_path):
    file = tmp_path / "empty.ndjson"
    file.write_text("")
    return file


def test_a_key_is_made_listed_rotated_and_deleted(zeratul, place):
    made = zeratul("keys", "create", "ci", "--tenant", "acme", "--json", *place)
    assert made.code == 0, made.err
    key, secret = made.json["id"], made.json["secret"]
    assert made.json["tenantId"] == "acme"

    listed = zeratul("keys", "list", *place)
    assert [f"{key}  ci  never used  tenant acme"] == listed.lines
    assert secret not in listed.out
    shown = [json.loads(line) for line in zeratul("keys", "list", "--json", *place).lines]
    assert [key] == [each["id"] for each in shown]

    rotated = zeratul("keys", "rotate", key, "--grace", "1h", "--json", *place)
    assert rotated.code == 0, rotated.err
    assert rotated.json["secret"] != secret
    assert rotated.json["oldSecretUntil"] is not None
    plain = zeratul("keys", "rotate", key, *place)
    assert plain.code == 0
    assert len(plain.lines) == 1

    assert zeratul("keys", "delete", key, *place).code == 0
    assert zeratul("keys", "list", *place).lines == []
    gone = zeratul("keys", "delete", key, *place)
    assert gone.code == 2
    assert f"there is no key `{key}`" in gone.err


def test_an_application_is_deleted_by_its_name(zeratul, place):
    made = zeratul("applications", "create", "shop", *place).out.strip()
    wrong = zeratul("applications", "delete", made, "--confirm", "shops", *place)
    assert wrong.code == 2
    assert "not confirmed" in wrong.err
    assert made in zeratul("applications", "list", *place).out
    assert zeratul("applications", "delete", made, "--confirm", "shop", *place).code == 0
    assert made not in zeratul("applications", "list", *place).out
    assert zeratul("applications", "delete", made, "--confirm", "shop", *place).code == 2


def test_a_bad_grace_is_an_error(zeratul, place):
    done = zeratul("keys", "rotate", "key_x", "--grace", "soon", *place)
    assert done.code == 2
    assert "not a duration" in done.err


@pytest.mark.parametrize(
    ("retention", "said"), [("7w", "not a duration"), ("-1", "not a duration"), ("9999d", "years")]
)
def test_a_server_with_a_bad_retention_says_why(zeratul, tmp_path, retention, said):
    done = zeratul("serve", "--data", tmp_path / "data", "--retention", retention)
    assert done.code == 2
    assert said in done.err
    assert not (tmp_path / "data").exists()

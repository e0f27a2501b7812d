"""check, explain, who-can and what-can on a data directory: answers, exit codes, errors."""

import json

import pytest

from tests.cli.conftest import SAMPLE

ASSERTIONS = json.loads((SAMPLE / "assertions.json").read_text())


@pytest.mark.slow
def test_every_assertion_of_the_sample_holds(zeratul, data):
    """Exit code 0 for yes, 1 for no, and the word that says so."""
    for each in ASSERTIONS["checks"]:
        done = zeratul(
            "check", each["subject"], each["resource"], each["relation"], "--data", data
        )

        expected = (0, "yes\n") if each["allowed"] else (1, "no\n")
        assert expected == done[:2], each


def test_check_answers_json(zeratul, data):
    done = zeratul(
        "check", "user:anna", "document:roadmap-2027", "can_delete", "--data", data, "--json"
    )

    assert done.code == 0
    assert done.json["allowed"] is True
    assert done.json["zookie"]


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("user:anna", "documnet:roadmap-2027", "viewer"), "did you mean `document`?"),
        (("user:anna", "document:roadmap-2027", "viewr"), "did you mean `viewer`?"),
        (("user:anna", "roadmap-2027", "viewer"), "expected `type:id`"),
        (("user:", "document:roadmap-2027", "viewer"), "must not be empty"),
    ],
)
def test_what_is_wrong_is_named_and_nothing_is_decided(zeratul, data, arguments, said):
    """An error is exit code 2, never 1: a typo must not look like a "no"."""
    for verb in ("check", "explain"):
        done = zeratul(verb, *arguments, "--data", data)

        assert done.code == 2
        assert done.out == ""
        assert said in done.err
        assert "Traceback" not in done.err


def test_explain_shows_the_way_of_a_yes(zeratul, data):
    done = zeratul("explain", "user:david", "document:vacation-policy", "can_read", "--data", data)

    assert done.code == 0
    assert "group:frontend#member@user:david" in done.out
    assert "document:vacation-policy#parent@folder:handbook" in done.out


def test_explain_shows_what_would_turn_a_no(zeratul, data):
    question = ("user:hugo", "document:vacation-policy", "can_read", "--data", data)
    done = zeratul("explain", *question, "--json")

    assert done.code == 1
    assert done.json["allowed"] is False
    assert done.json["suggestions"]
    assert zeratul("explain", *question).out.rstrip() == done.json["text"].rstrip()


def test_who_can_and_what_can_agree(zeratul, data):
    readers = zeratul("who-can", "document:roadmap-2027", "can_read", "--data", data)

    assert readers.code == 0
    names = {line.split("\t")[0] for line in readers.lines}
    assert "user:carla" in names
    assert f"{len(names)} in all" in readers.err
    for name in names:
        readable = zeratul("what-can", name, "document", "can_read", "--data", data, "--json")
        rows = [json.loads(line) for line in readable.lines]
        assert "roadmap-2027" in {row["resourceId"] for row in rows}, name


def test_who_can_takes_a_form_of_subject(zeratul, data):
    done = zeratul(
        "who-can", "document:roadmap-2027", "viewer", "group#member", "--data", data, "--json"
    )

    assert "group:marketing#member" in {json.loads(line)["subject"] for line in done.lines}


def test_a_directory_without_data_is_not_made(zeratul, tmp_path):
    """A typo in --data must not answer "no" from a fresh, empty store."""
    done = zeratul("check", "user:a", "group:g", "member", "--data", tmp_path / "nowhere")

    assert done.code == 2
    assert "there is no data at" in done.err
    assert "help: " in done.err
    assert not (tmp_path / "nowhere").exists()


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("--data", "x", "--url", "http://127.0.0.1:1"), "not both"),
        (("--url", "http://127.0.0.1:1"), "API key"),
        (("--url", "ftp://127.0.0.1:1", "--key", "k"), "not a server's address"),
        (("--url", "http://127.0.0.1:1", "--key", "k"), "cannot reach"),
        (("--unknown",), "No such option"),
        ((), "there is no data at"),
    ],
)
def test_a_target_that_cannot_be_asked_is_an_error(
    zeratul, tmp_path, monkeypatch, arguments, said
):
    monkeypatch.chdir(tmp_path)

    done = zeratul("check", "user:a", "group:g", "member", *arguments)

    assert done.code == 2
    assert said in done.err
    assert "Traceback" not in done.err


def test_an_unknown_verb_is_an_error(zeratul):
    assert zeratul("chek").code == 2


def test_help_lists_every_verb(zeratul):
    done = zeratul("--help")

    assert done.code == 0
    for verb in ("serve", "import", "export", "check", "explain", "who-can", "what-can", "model",
                 "keys", "applications", "backup", "restore"):  # fmt: skip
        assert f"\n  {verb} " in done.out
        assert zeratul(verb, "--help").code == 0

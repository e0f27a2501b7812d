"""``zeratul.open``: the services in-process, in text."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

import zeratul
from tests.unit.service.conftest import MODEL
from zeratul.errors import MalformedError, NotFoundError, StoreError, UnknownNameError


@pytest.fixture
def door(tmp_path):
    with zeratul.open(tmp_path / "data") as opened:
        opened.put_model(MODEL)
        yield opened


def test_write_check_list_explain_delete(door):
    assert door.write("document:a#viewer@group:eng#member")
    assert not door.write("document:a#viewer@group:eng#member")
    assert door.write("group:eng#member@user:ann")
    assert door.check("user:ann", "document:a", "reader")
    assert not door.check("user:bob", "document:a", "reader")
    assert [True, False] == door.check_many(
        [("user:ann", "document:a", "reader"), ("user:bob", "document:a", "reader")]
    )
    assert ["user:ann"] == door.who_can("document:a", "reader")
    assert ["document:a"] == door.what_can("user:ann", "document", "reader")
    assert "group:eng#member@user:ann" in door.explain("user:ann", "document:a", "reader").text
    assert ["group:eng#member@user:ann"] == [
        str(row.relationship) for row in door.read(subject="user:ann")
    ]
    assert door.delete("group:eng#member@user:ann")
    assert not door.delete("group:eng#member@user:ann")
    assert not door.check("user:ann", "document:a", "reader")
    assert MODEL == door.model()


def test_an_expiry_that_no_text_can_say_is_refused(door):
    with pytest.raises(MalformedError) as caught:
        door.write("document:a#viewer@user:ann", expires_at_ms=10**15)
    assert caught.value.field == "expiresAt"
    assert [] == list(door.export())


def test_everything_of_a_subject_or_on_a_resource_goes(door):
    door.bulk(
        ["document:a#viewer@user:ann", "document:a#owner@user:bob", "folder:f#viewer@user:ann"]
    )
    assert 2 == len(door.read(resource="document:a"))
    assert 1 == len(door.read(resource="document:a", subject="user:bob", relation="owner"))
    assert 2 == door.delete_subject("user:ann")
    assert 1 == door.delete_resource("document:a")
    assert [] == list(door.export())


def test_lines_go_in_and_come_out(door):
    lines = ['{"relationship":"document:a#viewer@user:ann"}', b'{"x":1}\n', "", "{"]
    answer = door.import_lines(lines)
    assert (1, [2, 4]) == (answer.created, [reject.line for reject in answer.rejects])
    out = list(door.export())
    assert 1 == len(out)
    assert 1 == door.import_lines(out, dry_run=True).existing


def test_errors_are_those_of_the_services(door):
    with pytest.raises(MalformedError):
        door.check("ann", "document:a", "reader")
    with pytest.raises(UnknownNameError):
        door.write("documnt:a#viewer@user:ann")
    with pytest.raises(MalformedError) as caught:
        door.bulk(["document:a#viewer@user:ann", "x"])
    assert "writes[1]" == caught.value.field
    with pytest.raises(UnknownNameError):
        door.check_many([("user:ann", "document:a", "reader"), ("user:ann", "document:a", "x")])


def test_an_unknown_application_or_store_is_told_and_leaves_nothing_open(tmp_path):
    with pytest.raises(NotFoundError):
        zeratul.open(tmp_path / "data", application="nope")
    with zeratul.open(tmp_path / "data") as door:
        assert [] == list(door.export())
    with pytest.raises(StoreError):
        zeratul.open(tmp_path / "absent", create=False)


def test_two_processes_share_a_directory(door, tmp_path):
    script = (
        "import sys, zeratul\n"
        "with zeratul.open(sys.argv[1]) as door:\n"
        "    print(door.check('user:ann', 'document:a', 'viewer'))\n"
        "    door.write('document:b#viewer@user:ann')\n"
    )
    door.write("document:a#viewer@user:ann")
    asked = ("user:ann", "document:b", "viewer")
    assert not door.check(*asked)
    done = subprocess.run(
        [sys.executable, "-c", script, str(tmp_path / "data")],
        check=True,
        capture_output=True,
        text=True,
        cwd=Path(__file__).parents[3],
        timeout=60,
    )
    assert "True\n" == done.stdout
    assert door.check(*asked)


def test_the_package_itself_pulls_in_no_store():
    script = "import sys, zeratul; print('lmdb' in sys.modules, hasattr(zeratul, 'nope'))"
    done = subprocess.run(
        [sys.executable, "-c", script],
        check=True,
        capture_output=True,
        text=True,
        cwd=Path(__file__).parents[3],
        timeout=60,
    )
    assert "False False\n" == done.stdout

"""backup beside a process that has the store open, and restore, which wants to be alone."""

import subprocess
import sys
from contextlib import contextmanager

import pytest

HELD = ("user:carla", "document:roadmap-2027", "owner")

# Holds the store open, writes once, says so, and goes on until its standard input ends.
HOLDER = """
import sys
from pathlib import Path
from zeratul.door import open_services
from zeratul.domain.relationship import Relationship

services = open_services(Path(sys.argv[1]))
relationship = Relationship.parse("document:late#viewer@user:late")
services.relationships.write(services.local_caller(), relationship).result()
print("open", flush=True)
sys.stdin.read()
services.close()
"""


@contextmanager
def held_open(data):
    with subprocess.Popen(
        [sys.executable, "-c", HOLDER, str(data)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stdout.readline() == "open\n"
        yield
        process.stdin.close()
        assert process.wait(timeout=30) == 0


@pytest.mark.slow
def test_a_backup_is_hot_and_restores_to_the_same_answers(zeratul, data, tmp_path):
    """What was answered before the backup is in it, though another process has the store open."""
    copy, other = tmp_path / "copies" / "monday", tmp_path / "other"
    with held_open(data):
        made = zeratul("backup", copy, "--data", data)
        assert made.code == 0, made.err

    restored = zeratul("restore", copy, "--data", other)

    assert restored.code == 0, restored.err
    assert zeratul("check", "user:late", "document:late", "viewer", "--data", other).code == 0
    exported = [zeratul("export", "--data", each).lines for each in (data, other)]
    assert sorted(exported[0]) == sorted(exported[1])


@pytest.mark.slow
def test_restore_refuses_a_store_in_use_even_by_force(zeratul, data, tmp_path):
    copy = tmp_path / "copy"
    assert zeratul("backup", copy, "--data", data).code == 0
    with held_open(data):
        done = zeratul("restore", copy, "--data", data, "--force")

        assert done.code == 2
        assert "is using" in done.err

    assert zeratul("check", "user:late", "document:late", "viewer", "--data", data).code == 0


def test_restore_replaces_only_by_force(zeratul, data, tmp_path):
    copy, file = tmp_path / "copy", tmp_path / "more.ndjson"
    assert zeratul("backup", copy, "--data", data).code == 0
    file.write_text('{"resource": "document:x", "relation": "viewer", "subject": "user:a"}\n')
    assert zeratul("import", "--data", data, file).code == 0

    refused = zeratul("restore", copy, "--data", data)
    assert refused.code == 2
    assert "--force" in refused.err
    assert zeratul("check", "user:a", "document:x", "viewer", "--data", data).code == 0

    assert zeratul("restore", copy, "--data", data, "--force").code == 0
    assert zeratul("check", "user:a", "document:x", "viewer", "--data", data).code == 1
    assert zeratul("check", *HELD, "--data", data).code == 0
    # What was restored takes writes again.
    assert zeratul("import", "--data", data, file).code == 0
    assert zeratul("check", "user:a", "document:x", "viewer", "--data", data).code == 0


def test_a_backup_never_overwrites(zeratul, data, tmp_path):
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "file").write_text("mine")

    done = zeratul("backup", tmp_path / "full", "--data", data)

    assert done.code == 2
    assert "not empty" in done.err
    assert (tmp_path / "full" / "file").read_text() == "mine"


def test_what_is_no_backup_is_not_restored(zeratul, data, tmp_path):
    """Neither a directory without a store nor a damaged file; the data stays as it was."""
    (tmp_path / "empty").mkdir()
    (tmp_path / "bad").mkdir()
    (tmp_path / "bad" / "data.mdb").write_bytes(b"garbage" * 4_096)

    for name in ("empty", "bad"):
        done = zeratul("restore", tmp_path / name, "--data", data, "--force")

        assert done.code == 2, name
        assert "Traceback" not in done.err
        assert zeratul("check", *HELD, "--data", data).code == 0

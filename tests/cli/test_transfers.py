"""import and export on a data directory: NDJSON, CSV, standard input, rejects, round trips."""

import io
import json
import subprocess
import sys

import pytest

from tests.cli.conftest import SAMPLE

COUNT = len((SAMPLE / "relationships.ndjson").read_text().splitlines())


def stored(zeratul, data) -> set[str]:
    done = zeratul("export", "--data", data)
    assert done.code == 0
    return {
        f"{row['resource']}#{row['relation']}@{row['subject']}"
        for row in map(json.loads, done.lines)
    }


def test_importing_again_changes_nothing(zeratul, data):
    before = stored(zeratul, data)

    done = zeratul("import", "--data", data, SAMPLE / "relationships.ndjson", "--json")

    assert done.code == 0
    assert (COUNT, 0, COUNT, 0) == tuple(
        done.json[name] for name in ("lines", "created", "existing", "rejected")
    )
    assert before == stored(zeratul, data)
    assert len(before) == COUNT


def test_export_and_import_make_an_equal_store(zeratul, data, tmp_path):
    """Through a file, into a directory that was not there."""
    file, other = tmp_path / "all.ndjson", tmp_path / "other"
    assert zeratul("export", "--data", data, file).code == 0

    done = zeratul("import", "--data", other, "--model", SAMPLE / "model.json", file)

    assert done.code == 0
    assert stored(zeratul, data) == stored(zeratul, other)


def test_rejected_lines_are_named_and_stop_nothing(zeratul, data, tmp_path):
    """Exit code 1, the line's number, and the lines around it are taken."""
    file = tmp_path / "some.ndjson"
    file.write_text(
        '{"resource": "document:x", "relation": "viewer", "subject": "user:a"}\n'
        "not json\n"
        '{"resource": "document:x", "relation": "viewr", "subject": "user:b"}\n'
        "\n"
        '{"resource": "document:x", "relation": "viewer", "subject": "user:c"}'
    )

    done = zeratul("import", "--data", data, file)

    assert done.code == 1
    assert "line 2: " in done.err
    assert "line 3: " in done.err
    assert "viewr" in done.err
    assert "2 created" in done.out
    assert "2 rejected" in done.out
    assert {"document:x#viewer@user:a", "document:x#viewer@user:c"} <= stored(zeratul, data)


def test_a_line_with_several_faults_shows_each(zeratul, data, tmp_path):
    """And not only that there are several."""
    file = tmp_path / "one.ndjson"
    line = {"resource": "document:x", "relation": "viewer", "subject": "folder:f"}
    file.write_text(json.dumps(line | {"expiresAt": "2020-01-01T00:00:00Z"}))

    done = zeratul("import", "--data", data, file)

    assert done.code == 1
    assert "`subject`: `document#viewer` does not take `folder`" in done.err
    assert "`expiresAt`: the expiry is in the past" in done.err
    assert done.out.startswith("1 line: 0 created")


def test_a_dry_run_writes_nothing(zeratul, data, tmp_path):
    file = tmp_path / "one.ndjson"
    file.write_text('{"resource": "document:x", "relation": "viewer", "subject": "user:a"}\n')
    before = stored(zeratul, data)

    done = zeratul("import", "--data", data, "--dry-run", file)

    assert done.code == 0
    assert "1 would be created" in done.out
    assert before == stored(zeratul, data)


def test_csv_is_taken_by_its_name(zeratul, data, tmp_path):
    """Columns in any order; quoted ids; line numbers count the header."""
    file = tmp_path / "some.csv"
    file.write_text(
        "subject,resource,relation\n"
        'user:a,"document:one, two",viewer\n'
        "user:b,document:x,nothing\n"
        "user:c,document:x\n"
        "group:staff#member,document:x,viewer\n"
    )

    done = zeratul("import", "--data", data, file)

    assert done.code == 1
    assert "line 3: " in done.err
    assert "line 4: " in done.err
    assert "2 created" in done.out
    assert {
        "document:one, two#viewer@user:a",
        "document:x#viewer@group:staff#member",
    } <= stored(zeratul, data)


@pytest.mark.parametrize("text", ["user,thing\n", "resource,relation\n", "subject,subject\n"])
def test_csv_without_its_columns_is_an_error(zeratul, data, tmp_path, text):
    file = tmp_path / "some.csv"
    file.write_text(text)

    done = zeratul("import", "--data", data, file)

    assert done.code == 2
    assert "names its columns" in done.err


def test_csv_expiry_is_optional(zeratul, data, tmp_path):
    file = tmp_path / "some.csv"
    file.write_text(
        "resource,relation,subject,expiresAt\n"
        "document:x,viewer,user:a,\n"
        "document:x,viewer,user:b,2999-01-01T00:00:00Z\n"
    )

    assert zeratul("import", "--data", data, file).code == 0

    rows = [json.loads(line) for line in zeratul("export", "--data", data).lines]
    expiries = {
        row["subject"]: row.get("expiresAt") for row in rows if row["resource"] == "document:x"
    }
    assert expiries["user:a"] is None
    assert expiries["user:b"].startswith("2999-01-01")


def test_standard_input_is_the_default(zeratul, data, monkeypatch):
    line = b'{"resource": "document:x", "relation": "viewer", "subject": "user:a"}'
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(line)))

    done = zeratul("import", "--data", data)

    assert done.code == 0
    assert "1 created" in done.out


def test_two_files_without_a_last_newline_stay_apart(zeratul, data, tmp_path):
    files = [tmp_path / "a.ndjson", tmp_path / "b.ndjson"]
    for name, file in zip("ab", files, strict=True):
        file.write_text(
            json.dumps({"resource": "document:x", "relation": "viewer", "subject": f"user:{name}"})
        )

    done = zeratul("import", "--data", data, *files)

    assert done.code == 0
    assert "2 created" in done.out


def test_an_import_of_another_model_names_what_is_wrong(zeratul, data, tmp_path):
    """--model is put first; a model that does not compile imports nothing."""
    model = tmp_path / "model.json"
    model.write_text(
        '{"schema_version": "1.1", "type_definitions": [{"type": "a", "relations": 3}]}'
    )
    before = stored(zeratul, data)

    done = zeratul("import", "--data", data, "--model", model, SAMPLE / "relationships.ndjson")

    assert done.code == 2
    assert "finding" in done.err
    assert before == stored(zeratul, data)


def test_a_failed_export_leaves_no_file(zeratul, data, tmp_path):
    file = tmp_path / "all.ndjson"

    done = zeratul("export", "--data", data, "--application", "nobody", file)

    assert done.code == 2
    assert [] == [each for each in tmp_path.iterdir() if each.name not in {"data", "model.json"}]


@pytest.mark.slow
def test_a_reader_that_has_seen_enough_is_no_answer(data):
    """`export | head`: no traceback, and not our "no" either; what shells say of SIGPIPE."""
    with subprocess.Popen(
        [sys.executable, "-m", "zeratul", "export", "--data", str(data)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        process.stdout.close()
        said = process.stderr.read()

        assert process.wait(timeout=60) == 141
    assert "Traceback" not in said

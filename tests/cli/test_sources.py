"""Files of relationships as NDJSON in pieces: nothing lost, bytes counted, lines in place."""

import io
import json

import pytest

from zeratul.cli.sources import CSV_ROWS, PIECE_BYTES, form_of, pieces


def read(text: bytes, form: str) -> tuple[list[bytes], int]:
    counted = []
    joined = b"".join(pieces(io.BytesIO(text), form, counted.append))
    return joined.split(b"\n"), sum(counted)


@pytest.mark.parametrize("end", [b"", b"\n"])
def test_ndjson_passes_as_it_is(end):
    """Longer than a piece; the last line gets the end it lacks."""
    line = b'{"resource": "document:x", "relation": "viewer", "subject": "user:a"}'
    text = b"\n".join([line] * (3 * PIECE_BYTES // len(line))) + end

    lines, counted = read(text, "ndjson")

    assert text.rstrip(b"\n").split(b"\n") == lines[:-1]
    assert lines[-1] == b""
    assert len(text) == counted


def test_an_empty_file_has_no_lines():
    assert read(b"", "ndjson") == ([b""], 0)
    assert read(b"", "csv") == ([b""], 0)


def test_csv_rows_become_lines_of_the_same_numbers():
    """More rows than one piece holds, a byte order mark, an empty row in the middle."""
    rows = [f"document:{n},viewer,user:{n}" for n in range(2 * CSV_ROWS + 7)]
    rows[5] = ""
    text = "\ufeffresource,relation,subject\r\n" + "\r\n".join(rows) + "\r\n"

    lines, counted = read(text.encode(), "csv")

    assert len(text.encode()) == counted
    assert lines[0] == b""
    assert lines[6] == b""
    assert lines[-1] == b""
    for number in (0, 4, 6, CSV_ROWS - 1, CSV_ROWS, len(rows) - 1):
        assert json.loads(lines[number + 1]) == {
            "resource": f"document:{number}",
            "relation": "viewer",
            "subject": f"user:{number}",
        }


def test_csv_columns_stand_in_any_order_and_an_empty_expiry_is_none():
    rows = "user:a,,document:x,viewer\nuser:b,2999-01-01T00:00:00Z,document:é,viewer\n"

    lines, _ = read(("subject,expiresAt,resource,relation\n" + rows).encode(), "csv")

    plain = {"resource": "document:x", "relation": "viewer", "subject": "user:a"}
    assert json.loads(lines[1]) == plain
    assert json.loads(lines[2]) == {
        "resource": "document:é",
        "relation": "viewer",
        "subject": "user:b",
        "expiresAt": "2999-01-01T00:00:00Z",
    }


def test_empty_csv_fields_are_left_to_the_importer():
    lines, _ = read(b"resource,relation,subject\n,viewer,\n", "csv")

    assert json.loads(lines[1]) == {"resource": "", "relation": "viewer", "subject": ""}


def test_a_csv_row_of_the_wrong_length_is_left_to_the_importer():
    """It becomes a line that the importer refuses by its number, not a guess."""
    lines, _ = read(b"resource,relation,subject\na:1,b\na:1,b,c:1,d\n", "csv")

    assert json.loads(lines[1]) == {"resource": "a:1", "relation": "b"}
    assert "(too many columns)" in json.loads(lines[2])


def test_a_csv_row_cut_off_before_its_expiry_is_refused_by_the_importer():
    """Without its end the grant would last for ever; an empty field says so on purpose."""
    head = b"resource,relation,subject,expiresAt\n"

    lines, _ = read(head + b"a:1,b,c:1\na:1,b,c:1,\na:1,b\n", "csv")

    assert "(too few columns)" in json.loads(lines[1])
    assert json.loads(lines[2]) == {"resource": "a:1", "relation": "b", "subject": "c:1"}
    assert "(too few columns)" in json.loads(lines[3])


@pytest.mark.parametrize("end", ["\n", "\r\n", "\r"])
def test_a_csv_row_of_several_lines_is_told_by_its_last_one(end):
    rows = ["a:1,b,c:1", f'"a:2{end}x",b,c:2', "a:3,b,c:3", f'a:4,b,"c{end}{end}4"', "a:5,b,c:5"]
    text = end.join(["resource,relation,subject", *rows, ""])

    lines, _ = read(text.encode(), "csv")

    numbers = {json.loads(line)["resource"][:3]: at for at, line in enumerate(lines, 1) if line}
    assert numbers == {"a:1": 2, "a:2": 4, "a:3": 5, "a:4": 8, "a:5": 9}


@pytest.mark.parametrize(
    ("name", "form"), [("a.csv", "csv"), ("A.CSV", "csv"), ("a.ndjson", "ndjson"), ("-", "ndjson")]
)
def test_the_name_tells_the_form(name, form):
    assert form == form_of(name)

"""Files of relationships as NDJSON in pieces, whatever form they came in."""

from __future__ import annotations

import csv
import io
import re
from itertools import islice, starmap
from pathlib import PurePath
from typing import TYPE_CHECKING, BinaryIO, Literal

import msgspec
import orjson

from zeratul.cli.console import CommandError
from zeratul.domain.limits import Limits

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

Form = Literal["ndjson", "csv"]

# LIMIT: bytes read at a time; an import holds a few of them, never a file.
PIECE_BYTES = 256 * 1024
CSV_ROWS = 2_000
CSV_COLUMNS = ("resource", "relation", "subject", "expiresAt")
_encode_lines = msgspec.json.Encoder().encode_lines
CSV_REQUIRED = {"resource", "relation", "subject"}
_BREAK = re.compile(r"\r\n?|\n")


def form_of(name: str) -> Form:
    """The form a file's name promises: CSV for ``.csv``, NDJSON for everything else."""
    return "csv" if PurePath(name).suffix.lower() == ".csv" else "ndjson"


def pieces(file: BinaryIO, form: Form, moved: Callable[[int], None]) -> Iterator[bytes]:
    """The file as NDJSON; ``moved`` hears how many of its bytes each piece took.

    Line numbers stay true: a CSV file's header becomes an empty line, and a row of several lines
    is told by its last one.

    Raises:
        CommandError: a CSV file without the columns it needs, or not CSV.
    """
    if form == "csv":
        yield from _csv_pieces(file, moved)
        return
    last = b"\n"
    while piece := file.read(PIECE_BYTES):
        moved(len(piece))
        yield piece
        last = piece
    if not last.endswith(b"\n"):
        # Or the next file's first line would become part of this one's last.
        yield b"\n"


def _csv_pieces(file: BinaryIO, moved: Callable[[int], None]) -> Iterator[bytes]:
    counted = _Counted(file, moved)
    text = io.TextIOWrapper(io.BufferedReader(counted, PIECE_BYTES), "utf-8-sig", newline="")
    csv.field_size_limit(Limits().import_line_bytes_max)
    rows = csv.reader(text, strict=True)
    try:
        columns = next(rows, None)
        if columns is None:
            return
        _require_columns(columns)
        yield b"\n"
        whole = _whole_row(columns)
        before = rows.line_num
        while some := list(islice(rows, CSV_ROWS)):
            one_line_each = rows.line_num - before == len(some)
            yield _lines(columns, whole, some, one_line_each=one_line_each)
            before = rows.line_num
    except csv.Error as error:
        raise CommandError(f"line {rows.line_num}: not CSV: {error}") from error
    except UnicodeDecodeError as error:
        raise CommandError(f"after line {rows.line_num}: not UTF-8") from error
    finally:
        text.detach()


def _require_columns(columns: list[str]) -> None:
    unknown = [column for column in columns if column not in CSV_COLUMNS]
    missing = sorted(CSV_REQUIRED.difference(columns))
    if unknown or missing or len(set(columns)) != len(columns):
        raise CommandError(
            f"the first line of a CSV file names its columns, this one says: {', '.join(columns)}",
            help="resource,relation,subject and perhaps expiresAt",
        )


def _whole_row(columns: list[str]) -> type[msgspec.Struct]:
    """What a row with all columns is encoded as, positions being columns; an empty expiry is none.

    No row ever has the other defaults: they only let the columns stand in any order.
    """
    return msgspec.defstruct(
        "WholeRow",
        [(name, str | None, "" if name == "expiresAt" else None) for name in columns],
        omit_defaults=True,
        gc=False,
    )


def _lines(
    columns: list[str],
    whole: type[msgspec.Struct],
    rows: list[list[str]],
    *,
    one_line_each: bool,
) -> bytes:
    if one_line_each and all(map(len(columns).__eq__, map(len, rows))):
        return _encode_lines(list(starmap(whole, rows)))
    return b"".join([_line(columns, row) for row in rows])


def _line(columns: list[str], row: list[str]) -> bytes:
    """The row as a line, behind an empty one for each line break inside of it."""
    breaks = b"\n" * sum(len(_BREAK.findall(text)) for text in row)
    if not row:
        return b"\n"
    values = dict(zip(columns, row, strict=False))
    if not values.get("expiresAt", "-"):
        del values["expiresAt"]
    # These are refused by the importer with their line number, as any other bad line.
    if len(row) > len(columns):
        values["(too many columns)"] = ",".join(row[len(columns) :])
    elif "expiresAt" in columns[len(row) :]:
        # Cut off, it may be: without its end a grant would have none.
        values["(too few columns)"] = str(len(row))
    return breaks + orjson.dumps(values) + b"\n"


class _Counted(io.RawIOBase):
    """Tells how many bytes were read."""

    def __init__(self, file: BinaryIO, moved: Callable[[int], None]) -> None:
        self._file = file
        self._moved = moved

    def readable(self) -> bool:
        """It is."""
        return True

    def readinto(self, buffer: memoryview) -> int:  # type: ignore[override]  # typeshed asks for any buffer
        """Fill the buffer from the file."""
        piece = self._file.read(len(buffer))
        buffer[: len(piece)] = piece
        self._moved(len(piece))
        return len(piece)

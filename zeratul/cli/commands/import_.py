"""`zeratul import`: relationships from files or standard input."""

from __future__ import annotations

import os
import stat
import sys
from typing import TYPE_CHECKING, BinaryIO, cast

import click

from zeratul.cli.commands.model import read_model
from zeratul.cli.console import NO, YES, answer, answer_json, note, print_error
from zeratul.cli.options import json_option, target_options
from zeratul.cli.progress import TransferBar
from zeratul.cli.sources import Form, form_of, pieces
from zeratul.errors import ValidationError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from zeratul.cli.target import Json, Target

# LIMIT: rejected lines shown on a terminal; `--json` lists all that the importer listed.
REJECTS_SHOWN_MAX = 20


@click.command(
    epilog="Example: zeratul import --data data --model model.json relationships.ndjson"
)
@click.argument("files", nargs=-1, type=click.File("rb"))
@click.option(
    "--format",
    "form",
    type=click.Choice(["ndjson", "csv"]),
    help="Form of the files.  [default: by their names, NDJSON for standard input]",
)
@click.option("--model", "model_file", type=click.File("rb"), help="Put this model first.")
@click.option("--dry-run", is_flag=True, help="Say what would happen; write nothing.")
@json_option
@target_options(create=True)
def command(
    target: Target,
    files: tuple[BinaryIO, ...],
    form: Form | None,
    model_file: BinaryIO | None,
    dry_run: bool,
    as_json: bool,
) -> int:
    """Import relationships.

    From FILES, or from standard input; safe to repeat.

    NDJSON: one {"resource": "document:a", "relation": "viewer", "subject": "user:anne"} a line.
    CSV: a first line resource,relation,subject. Exit code 1: some lines were rejected.
    """
    if model_file is not None:
        target.put_model(read_model(model_file), force=False, dry_run=dry_run)
    sources = files or (sys.stdin.buffer,)
    counts: Json = {}
    with TransferBar("importing", _size(sources)) as bar:
        for counts in target.load(_all_pieces(sources, form, bar.moved), dry_run=dry_run):
            bar.done(counts["lines"])
    if as_json:
        answer_json(counts)
    else:
        _show(counts, dry_run=dry_run, one_file=len(sources) == 1)
    return NO if counts["rejected"] else YES


def _all_pieces(
    sources: Sequence[BinaryIO], form: Form | None, moved: Callable[[int], None]
) -> Iterator[bytes]:
    for source in sources:
        yield from pieces(source, form or form_of(str(getattr(source, "name", ""))), moved)


def _size(sources: Sequence[BinaryIO]) -> int | None:
    """Bytes altogether, or None where one of them is no file."""
    total = 0
    for source in sources:
        try:
            about = os.fstat(source.fileno())
        except OSError:  # Not even a descriptor: somebody replaced standard input.
            return None
        if not stat.S_ISREG(about.st_mode):
            return None
        total += about.st_size
    return total


def _show(counts: Json, *, dry_run: bool, one_file: bool) -> None:
    rejects = cast("list[Json]", counts.get("rejects") or [])
    for reject in rejects[:REJECTS_SHOWN_MAX]:
        print_error(f"line {reject['line']:,}: {_reason(reject)}")
    more = counts["rejected"] - min(len(rejects), REJECTS_SHOWN_MAX)
    if more:
        note(f"… and {more:,} more rejected lines")
    if rejects and not one_file:
        note("lines are counted through all files")
    doing = "would be " if dry_run else ""
    answer(
        f"{counts['lines']:,} line{'s' if counts['lines'] != 1 else ''}: "
        f"{counts['created']:,} {doing}created, "
        f"{counts['existing']:,} existing, {counts['rejected']:,} rejected"
    )


def _reason(reject: Json) -> str:
    error = reject["error"]
    if not isinstance(error, dict):
        return str(error)
    if error.get("code") == ValidationError.code:
        # Its detail says no more than that there are several.
        found = cast("dict[str, list[str]]", error.get("errors") or {})
        said = [f"`{field}`: {each}" for field, messages in found.items() for each in messages]
        if said:
            return "; ".join(said)
    return str(error.get("detail") or error)

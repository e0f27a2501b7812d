"""`zeratul export`: everything stored, as NDJSON that `import` takes."""

from __future__ import annotations

import contextlib
import os
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO

import click

from zeratul.cli.console import note
from zeratul.cli.options import target_options
from zeratul.cli.progress import TransferBar

if TYPE_CHECKING:
    from collections.abc import Iterator

    from zeratul.cli.target import Target


@click.command()
@click.argument("file", required=False, type=click.Path(dir_okay=False, path_type=Path))
@target_options()
def command(target: Target, file: Path | None) -> None:
    """Export all relationships.

    To FILE, or to standard output. The export is of one revision, however long it takes and
    whoever writes meanwhile.
    """
    to_stdout = file is None or str(file) == "-"
    with contextlib.ExitStack() as stack:
        output = sys.stdout.buffer if to_stdout else stack.enter_context(_whole(Path(str(file))))
        rows = 0
        with TransferBar("exporting", None) as bar:
            for chunk in target.export():
                output.write(chunk)
                rows += chunk.count(b"\n")
                bar.moved(len(chunk))
                bar.done(rows)
        output.flush()
    note(f"{rows:,} relationships")


@contextlib.contextmanager
def _whole(file: Path) -> Iterator[BinaryIO]:
    """A file that appears under its name only when everything is in it."""
    descriptor, name = tempfile.mkstemp(dir=file.parent, prefix=f".{file.name}-")
    unfinished = Path(name)
    try:
        with os.fdopen(descriptor, "wb") as output:
            yield output
            output.flush()
            os.fsync(output.fileno())
        unfinished.replace(file)
    except BaseException:
        unfinished.unlink(missing_ok=True)
        raise

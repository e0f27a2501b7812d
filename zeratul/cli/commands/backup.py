"""`zeratul backup`: a hot, compact copy of a data directory."""

from __future__ import annotations

import contextlib
import shutil
import tempfile
from pathlib import Path

import click

from zeratul.cli.console import CommandError, answer, answer_json
from zeratul.cli.options import data_option, holds_data, json_option, no_data


@click.command(epilog="Example: zeratul backup --data data backups/monday")
@click.argument("directory", type=click.Path(file_okay=False, path_type=Path))
@json_option
@data_option
def command(data: Path, directory: Path, as_json: bool) -> None:
    """Make a hot, compact copy.

    One consistent state of the data, put into DIRECTORY, while a server runs or not.
    """
    from zeratul.door import open_services

    if not holds_data(data):
        raise no_data(data)
    if directory.exists() and any(directory.iterdir()):
        raise CommandError(
            f"`{directory}` is not empty", help="name a directory that is not there"
        )
    directory.parent.mkdir(parents=True, exist_ok=True)
    # Under its own name only when it is whole.
    unfinished = Path(tempfile.mkdtemp(dir=directory.parent, prefix=f".{directory.name}-"))
    try:
        services = open_services(data)
        try:
            services.store.backup(unfinished)
        finally:
            services.close()
        with contextlib.suppress(FileNotFoundError):
            directory.rmdir()
        unfinished.replace(directory)
    except BaseException:
        shutil.rmtree(unfinished, ignore_errors=True)
        raise
    size = sum(each.stat().st_size for each in directory.iterdir())
    if as_json:
        answer_json({"directory": str(directory), "bytes": size})
    else:
        answer(f"{directory}: {size / 1024**2:,.1f} MiB")

"""`zeratul restore`: make a backup the data again."""

from __future__ import annotations

import contextlib
import fcntl
import os
import shutil
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

import click

from zeratul.cli.console import CommandError, answer, answer_json
from zeratul.cli.options import data_option, holds_data, json_option, no_data

if TYPE_CHECKING:
    from collections.abc import Iterator


@click.command(epilog="Example: zeratul restore --data data backups/monday")
@click.argument("directory", type=click.Path(file_okay=False, exists=True, path_type=Path))
@click.option("--force", is_flag=True, help="Replace the data that is there.")
@json_option
@data_option
def command(data: Path, directory: Path, force: bool, as_json: bool) -> None:
    """Make a backup the data again.

    The one in DIRECTORY; no server may be running on the data.
    """
    from zeratul.store.lmdb.environment import DATA_FILE, OPEN_FILE

    if not holds_data(directory):
        raise no_data(directory)
    data.mkdir(mode=0o700, parents=True, exist_ok=True)
    if not force and any(each.name != OPEN_FILE for each in data.iterdir()):
        raise CommandError(f"`{data}` is not empty", help="--force replaces the data in it")
    with _alone(data, OPEN_FILE):
        # Beside the data: a rename within one file system is whole or not at all.
        staged = Path(tempfile.mkdtemp(dir=data, prefix=".restore-"))
        try:
            _copy(directory / DATA_FILE, staged / DATA_FILE)
            revision = _revision(staged)
            (staged / DATA_FILE).replace(data / DATA_FILE)
            # The table of readers belonged to what was replaced; nobody has it open.
            (data / "lock.mdb").unlink(missing_ok=True)
            _sync(data)
        finally:
            shutil.rmtree(staged, ignore_errors=True)
    if as_json:
        answer_json({"data": str(data), "revision": revision})
    else:
        answer(f"{data}: revision {revision:,}")


@contextlib.contextmanager
def _alone(data: Path, lock_name: str) -> Iterator[None]:
    """Nobody else has the store open, and nobody opens it meanwhile.

    Every process that opens the store holds a shared lock on this file (`store.lmdb.environment`).

    Raises:
        CommandError: somebody has it open.
    """
    descriptor = os.open(data / lock_name, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise CommandError(
                f"a server or another command is using `{data}`", help="stop it first"
            ) from None
        yield
    finally:
        os.close(descriptor)


def _copy(source: Path, target: Path) -> None:
    shutil.copyfile(source, target)
    _sync(target)


def _revision(directory: Path) -> int:
    """The newest revision of a copy; opening it proves its format before anything is replaced."""
    from zeratul.door import open_services

    services = open_services(directory)
    try:
        with services.store.snapshot() as snapshot:
            return snapshot.revision
    finally:
        services.close()


def _sync(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)

"""`zeratul model`: validate, read and replace an application's model."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

import click
import orjson

from zeratul.cli.console import NO, YES, CommandError, answer, answer_json, note, print_error
from zeratul.cli.options import json_option, target_options
from zeratul.errors import SchemaError

if TYPE_CHECKING:
    from typing import BinaryIO

    from zeratul.cli.target import Target


@click.group()
def command() -> None:
    """Validate, read, replace a model.

    In OpenFGA's JSON form, schema 1.1.
    """


@command.command()
@click.argument("file", type=click.File("rb"))
@json_option
def validate(file: BinaryIO, as_json: bool) -> int:
    """Say everything that is wrong with the model in FILE (`-`: standard input)."""
    from zeratul.language.openfga import compile_model

    document = read_model(file)
    try:
        schema = compile_model(document)
    except SchemaError as error:
        if as_json:
            answer_json({"valid": False, "errors": error.findings})
        else:
            lines = (
                f"{where}: {message}"
                for where, messages in error.findings.items()
                for message in messages
            )
            print_error(f"{file.name}: {error.message}", details=lines)
        return NO
    declared = [each for each in schema.types.values() if not each.builtin]
    relations = sum(len(each.relations) for each in declared)
    if as_json:
        answer_json({"valid": True, "types": len(declared), "relations": relations})
    else:
        answer(f"valid: {len(declared)} types, {relations} relations")
    return YES


@command.command()
@target_options()
def get(target: Target) -> None:
    """Print the application's model."""
    document = orjson.dumps(target.model(), option=orjson.OPT_INDENT_2 | orjson.OPT_APPEND_NEWLINE)
    sys.stdout.write(document.decode())


@command.command()
@click.argument("file", type=click.File("rb"))
@click.option("--force", is_flag=True, help="Delete the relationships the model would orphan.")
@click.option("--dry-run", is_flag=True, help="Say what would happen; change nothing.")
@json_option
@target_options(create=True)
def put(target: Target, file: BinaryIO, force: bool, dry_run: bool, as_json: bool) -> None:
    """Replace the application's model by the one in FILE (`-`: standard input)."""
    done = target.put_model(read_model(file), force=force, dry_run=dry_run)
    if as_json:
        answer_json(done)
        return
    for what, count in sorted((done.get("orphans") or {}).items()):
        note(f"orphaned: {what}: {count:,}")
    doing = "would be " if dry_run else ""
    answer(f"model {doing}{'replaced' if done.get('changed', True) else 'unchanged'}")
    if done.get("deleted"):
        answer(f"{done['deleted']:,} relationships {doing}deleted")


def read_model(file: BinaryIO) -> object:
    """The JSON value in a file.

    Raises:
        CommandError: it is not JSON.
    """
    try:
        document: object = orjson.loads(file.read())
    except orjson.JSONDecodeError as error:
        raise CommandError(f"{file.name}: not JSON: {error}") from error
    return document

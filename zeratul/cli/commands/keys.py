"""`zeratul keys`: make API keys."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from zeratul.cli.console import answer, answer_json, note
from zeratul.cli.options import json_option, target_options

if TYPE_CHECKING:
    from zeratul.cli.target import Target


@click.group()
def command() -> None:
    """Make API keys."""


@command.command(epilog="Example: zeratul keys create backend --permission checks:create")
@click.argument("name")
@click.option(
    "--permission",
    "permissions",
    multiple=True,
    help="What the key may do, `area:verb`, `area:*` or `*`; may be given again.  [default: *]",
)
@click.option("--expires", help="When it ends, like 2030-01-31T12:00:00Z.  [default: never]")
@json_option
@target_options()
def create(
    target: Target, name: str, permissions: tuple[str, ...], expires: str | None, as_json: bool
) -> None:
    """Make a key called NAME for the application; prints its secret, this once."""
    made = target.create_key(name, permissions, expires)
    if as_json:
        answer_json(made)
        return
    answer(made["secret"])
    note(f"key {made['id']}; the secret is stored hashed and cannot be shown again")

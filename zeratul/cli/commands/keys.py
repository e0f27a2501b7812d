"""`zeratul keys`: make, list, rotate and delete API keys."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from zeratul.cli.console import answer, answer_json, note
from zeratul.cli.options import json_option, target_options

if TYPE_CHECKING:
    from zeratul.cli.target import Json, Target


@click.group()
def command() -> None:
    """Make, list, rotate and delete API keys."""


@command.command(epilog="Example: zeratul keys create backend --permission checks:create")
@click.argument("name")
@click.option(
    "--permission",
    "permissions",
    multiple=True,
    help="What the key may do, `area:verb`, `area:*` or `*`; may be given again.  [default: *]",
)
@click.option("--expires", help="When it ends, like 2030-01-31T12:00:00Z.  [default: never]")
@click.option("--tenant", help="The one tenant it acts in.  [default: the whole application]")
@json_option
@target_options()
def create(
    target: Target,
    name: str,
    permissions: tuple[str, ...],
    expires: str | None,
    tenant: str | None,
    as_json: bool,
) -> None:
    """Make a key called NAME for the application; prints its secret, this once."""
    _show_secret(target.create_key(name, permissions, expires, tenant), as_json=as_json)


@command.command("list")
@json_option
@target_options()
def list_(target: Target, as_json: bool) -> None:
    """List the application's keys: id, name, when they were last used."""
    for each in target.api_keys():
        if as_json:
            answer_json(each)
        else:
            used = each["lastUsedAt"] or "never used"
            tenant = f"  tenant {each['tenantId']}" if each["tenantId"] else ""
            answer(f"{each['id']}  {each['name']}  {used}{tenant}")


@command.command(epilog="Example: zeratul keys rotate key_0a1b2c3d4e5f --grace 24h")
@click.argument("key_id", metavar="ID")
@click.option("--grace", default="0", help="How long the old secret goes on: 24h, 90m or seconds.")
@json_option
@target_options()
def rotate(target: Target, key_id: str, grace: str, as_json: bool) -> None:
    """Give the key a new secret and print it, this once; the old one ends."""
    from zeratul.config import parse_duration

    _show_secret(target.rotate_key(key_id, parse_duration(grace)), as_json=as_json)


@command.command()
@click.argument("key_id", metavar="ID")
@target_options()
def delete(target: Target, key_id: str) -> None:
    """Take the key away; its next call is refused."""
    target.delete_key(key_id)
    note(f"key {key_id} is deleted")


def _show_secret(made: Json, *, as_json: bool) -> None:
    if as_json:
        answer_json(made)
        return
    answer(made["secret"])
    note(f"key {made['id']}; the secret is stored hashed and cannot be shown again")

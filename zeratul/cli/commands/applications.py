"""`zeratul applications`: make, list and delete applications."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from zeratul.cli.console import answer, answer_json, note
from zeratul.cli.options import json_option, target_options

if TYPE_CHECKING:
    from zeratul.cli.target import Target


@click.group()
def command() -> None:
    """Make, list and delete applications."""


@command.command()
@click.argument("name")
@json_option
@target_options()
def create(target: Target, name: str, as_json: bool) -> None:
    """Make an application called NAME; prints its id."""
    made = target.create_application(name)
    if as_json:
        answer_json(made)
    else:
        answer(made["id"])


@command.command("list")
@json_option
@target_options()
def list_(target: Target, as_json: bool) -> None:
    """List all applications: id and name."""
    for each in target.applications():
        if as_json:
            answer_json(each)
        else:
            answer(f"{each['id']}  {each['name']}")


@command.command(epilog="Example: zeratul applications delete app_0a1b2c --confirm shop")
@click.argument("application_id", metavar="ID")
@click.option("--confirm", required=True, help="The application's name.")
@target_options()
def delete(target: Target, application_id: str, confirm: str) -> None:
    """Delete the application ID and everything in it; `default` is empty afterwards."""
    target.delete_application(application_id, confirm)
    note(f"application {application_id} is deleted")

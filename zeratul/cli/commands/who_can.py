"""`zeratul who-can`: everyone who has a relation to a resource."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from zeratul.cli.console import Listing, answer_json, note
from zeratul.cli.options import json_option, target_options
from zeratul.domain.relationship import ObjectRef

if TYPE_CHECKING:
    from zeratul.cli.target import Json, Target


@click.command(epilog="Example: zeratul who-can document:roadmap viewer")
@click.argument("resource")
@click.argument("relation")
@click.argument("form", default="user")
@json_option
@target_options()
def command(target: Target, resource: str, relation: str, form: str, as_json: bool) -> None:
    """List everyone who can.

    Every subject of FORM (`user` unless told otherwise, or for example `group#member`) that has
    RELATION to RESOURCE: exact, complete, at one revision.
    """
    subject_type, _, subject_relation = form.partition("#")
    rows = target.who_can(
        ObjectRef.parse(resource, field="resource"), relation, subject_type, subject_relation
    )
    listing = Listing()
    for row in rows:
        if as_json:
            answer_json(row)
        else:
            listing.row(row["subject"], ", ".join(row["via"]), exceptions_of(row))
    if not as_json:
        note(f"{rows.total:,} in all")


def exceptions_of(row: Json) -> str:
    """Whom an exclusion takes out of a wildcard's row, as text; the number is never cut."""
    listed = row.get("except") or ()
    more = row.get("exceptTotal", len(listed)) - len(listed)
    return ", ".join(listed) + (f" and {more:,} more" if more else "")

"""`zeratul what-can`: everything of a type that a subject has a relation to."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from zeratul.cli.console import Listing, answer_json, note
from zeratul.cli.options import json_option, target_options
from zeratul.domain.relationship import SubjectRef

if TYPE_CHECKING:
    from zeratul.cli.target import Target


@click.command(epilog="Example: zeratul what-can user:anne document viewer")
@click.argument("subject")
@click.argument("resource_type")
@click.argument("relation")
@json_option
@target_options()
def command(
    target: Target, subject: str, resource_type: str, relation: str, as_json: bool
) -> None:
    """List everything a subject can.

    Every resource of RESOURCE_TYPE that SUBJECT has RELATION to: exact, complete, at one revision.
    """
    rows = target.what_can(SubjectRef.parse(subject, field="subject"), resource_type, relation)
    listing = Listing()
    for row in rows:
        if as_json:
            answer_json(row)
        else:
            listing.row(f"{row['resource']}:{row['resourceId']}", ", ".join(row["via"]))
    if not as_json:
        note(f"{rows.total:,} in all")

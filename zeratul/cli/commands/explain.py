"""`zeratul explain`: why, or why not, as a tree."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from zeratul.cli.console import NO, YES, answer, answer_json
from zeratul.cli.options import json_option, target_options
from zeratul.cli.painting import painted
from zeratul.domain.relationship import ObjectRef, SubjectRef

if TYPE_CHECKING:
    from zeratul.cli.target import Target


@click.command(epilog="Example: zeratul explain user:anne document:roadmap viewer")
@click.argument("subject")
@click.argument("resource")
@click.argument("relation")
@json_option
@target_options()
def command(target: Target, subject: str, resource: str, relation: str, as_json: bool) -> int:
    """Say why, or why not.

    Why SUBJECT has (or lacks) RELATION to RESOURCE, as a tree; on a no also the least grant that
    would turn it. Exit code 0 yes, 1 no.
    """
    found = target.explain(
        SubjectRef.parse(subject, field="subject"),
        ObjectRef.parse(resource, field="resource"),
        relation,
    )
    if as_json:
        answer_json(found)
    else:
        answer(painted(found["text"].rstrip()))
    return YES if found["allowed"] else NO

"""`zeratul check`: may this subject do this to that resource?"""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from zeratul.cli.console import NO, YES, answer, answer_json, verdict
from zeratul.cli.options import json_option, target_options
from zeratul.domain.relationship import ObjectRef, SubjectRef

if TYPE_CHECKING:
    from zeratul.cli.target import Target


@click.command(epilog="Example: zeratul check user:anne document:roadmap viewer")
@click.argument("subject")
@click.argument("resource")
@click.argument("relation")
@json_option
@target_options()
def command(target: Target, subject: str, resource: str, relation: str, as_json: bool) -> int:
    """Say whether SUBJECT has RELATION.

    To RESOURCE, that is; RELATION may be a permission of the model. Exit code 0 yes, 1 no.
    """
    found = target.check(
        SubjectRef.parse(subject, field="subject"),
        ObjectRef.parse(resource, field="resource"),
        relation,
    )
    if as_json:
        answer_json(found)
    else:
        answer(verdict(found["allowed"]))
    return YES if found["allowed"] else NO

"""Lines of an import: one relationship each, in any of three forms of JSON."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Annotated

import msgspec

from zeratul.domain.relationship import (
    WILDCARD,
    ObjectRef,
    Relationship,
    SubjectRef,
    id_problem,
)
from zeratul.errors import MalformedError
from zeratul.service.ground.columns import candidates_of_texts
from zeratul.service.ground.decoding import Decoder

if TYPE_CHECKING:
    from collections.abc import Sequence

    from zeratul.service.ground.columns import Candidates

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MILLISECOND = timedelta(milliseconds=1)

_Time = Annotated[datetime, msgspec.Meta(tz=True)]


class Line(msgspec.Struct, forbid_unknown_fields=True, rename="camel"):
    """A line in any of its three forms: parts as text, one text, or the API's fields."""

    resource: str | None = None
    relation: str | None = None
    subject: str | None = None
    relationship: str | None = None
    resource_id: str | None = None
    user_id: str | None = None
    expires_at: _Time | None = None


class PlainLine(msgspec.Struct, forbid_unknown_fields=True, rename="camel", gc=False):
    """The form an export has; nearly every line is one."""

    resource: str
    relation: str
    subject: str
    expires_at: _Time | None = None


_decode = Decoder(Line, what="the line")
decode_plain = msgspec.json.Decoder(PlainLine).decode
UNDECODABLE = (msgspec.DecodeError, UnicodeDecodeError)
"""What ``decode_plain`` raises for another form; bytes that are not UTF-8 come as the second."""


def decode(text: bytes) -> tuple[Relationship, PlainLine]:
    """The relationship of a line in whichever form, and the line in the plain form.

    Raises:
        MalformedError: it is not JSON, or a part breaks the rules.
        UnknownNameError, ValidationError: none of the forms.
    """
    line = _decode(text)
    found = _parts(line)
    plain = PlainLine(str(found.resource), found.relation, str(found.subject), line.expires_at)
    return _timed(found, line.expires_at), plain


def relationship_of(line: PlainLine) -> Relationship:
    """The relationship of a plain line.

    Raises:
        MalformedError: a part breaks the rules.
    """
    found = _parts(Line(line.resource, line.relation, line.subject))
    return _timed(found, line.expires_at)


def candidates_of(lines: Sequence[PlainLine]) -> Candidates:
    """The lines as columns."""
    times = [line.expires_at for line in lines]
    expiries = None
    if times.count(None) != len(lines):
        expiries = [None if time is None else (time - _EPOCH) // _MILLISECOND for time in times]
    return candidates_of_texts(
        [line.resource for line in lines],
        [line.relation for line in lines],
        [line.subject for line in lines],
        expiries,
    )


def _timed(found: Relationship, time: datetime | None) -> Relationship:
    if time is None:
        return found
    return found._replace(expires_at_ms=(time - _EPOCH) // _MILLISECOND)


def _parts(line: Line) -> Relationship:
    if line.relationship is not None:
        others = (line.resource, line.relation, line.subject, line.resource_id, line.user_id)
        if any(part is not None for part in others):
            raise MalformedError(
                "`relationship` says it all: no other field may name a part", field="relationship"
            )
        return Relationship.parse(line.relationship, field="relationship")
    resource_text = _present(line.resource, "resource")
    relation = _present(line.relation, "relation")
    if line.user_id is not None and line.subject is not None:
        raise MalformedError("either `userId` or `subject`, not both", field="subject")
    if line.user_id == WILDCARD:
        # A star where an id is expected would be a mistake with a large effect.
        raise MalformedError(
            "a user id must not be `*`",
            field="userId",
            help="for everyone send `subject` with `user:*`",
        )
    if line.user_id is not None:
        problem = id_problem(line.user_id)
        if problem:
            raise MalformedError(problem, field="userId")
        subject = SubjectRef("user", line.user_id)
    else:
        subject = SubjectRef.parse(_present(line.subject, "subject"), field="subject")
    if line.resource_id is not None:
        resource = ObjectRef(resource_text, line.resource_id)
    else:
        resource = ObjectRef.parse(resource_text, field="resource")
    return Relationship(*resource, relation, *subject)


def _present(text: str | None, field: str) -> str:
    if text is None:
        raise MalformedError(f"`{field}` is missing", field=field)
    return text

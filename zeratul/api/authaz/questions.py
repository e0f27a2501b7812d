"""Subjects, resources, relationships and questions out of the contract's words.

Whether a type or relation is declared and an id keeps the rules is the services' to say, with the
schema at hand; here is refused only what this contract's own words get wrong, and what the
services say of names is put down to the word that was used (``action``, ``permission``).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, cast

from zeratul.api.authaz.structures import NO_CONDITION
from zeratul.domain.relationship import (
    WILDCARD,
    ObjectRef,
    Relationship,
    SubjectRef,
    id_is_valid,
    id_problem,
)
from zeratul.errors import MalformedError, ValidationError
from zeratul.graph.answers import CheckQuestion
from zeratul.service.ground.columns import candidates_of_parts
from zeratul.service.ground.times import parse_time

if TYPE_CHECKING:
    from collections.abc import Sequence

    from zeratul.api.authaz.structures import CheckBody, CheckItem, RelationshipBody
    from zeratul.errors import UnknownNameError
    from zeratul.service.ground.caller import Caller
    from zeratul.service.ground.columns import Candidates

USER = "user"


def subject(user_id: str | None, text: str | None, *, prefix: str = "") -> SubjectRef:
    """The subject: a bare user id, or ``type:id``, ``type:id#relation``, ``type:*``.

    Raises:
        ValidationError: both or none of the two fields.
        MalformedError: what is there does not parse, or is no id.
    """
    if text is not None:
        if user_id is not None:
            raise ValidationError({prefix + "subject": ["send `userId` or `subject`, not both"]})
        return SubjectRef.parse(text, field=prefix + "subject")
    if user_id is None:
        raise ValidationError({prefix + "userId": ["is missing: send `userId` or `subject`"]})
    if user_id == WILDCARD:
        # A star where an id is expected would be a mistake with a large effect.
        raise MalformedError(
            "a user id must not be `*`",
            field=prefix + "userId",
            help="for everyone send `subject` with `user:*`",
        )
    problem = id_problem(user_id)
    if problem:
        raise MalformedError(problem, field=prefix + "userId")
    return SubjectRef(USER, user_id)


def member(text: str, *, field: str | None = None) -> SubjectRef:
    """A member of a group: a bare user id, or a subject as text.

    Raises:
        MalformedError: it is neither.
    """
    if ":" in text or "#" in text:
        return SubjectRef.parse(text, field=field)
    if text == WILDCARD:
        raise MalformedError(
            "a user id must not be `*`", field=field, help="for everyone send `user:*`"
        )
    return SubjectRef(USER, text)


def asker(caller: Caller, user_id: str | None, text: str | None) -> SubjectRef:
    """Whom a question is about: whom it names, or the user the caller speaks for.

    Raises:
        ValidationError, MalformedError: like ``subject``.
    """
    own = caller.question_subject(None) if user_id is None and text is None else None
    return subject(user_id, text) if own is None else own


def question(body: CheckBody, caller: Caller) -> CheckQuestion:
    """The question of a body; without a subject it is about the user the caller speaks for.

    Raises:
        ValidationError: a field is missing, or two do not agree.
        MalformedError: the subject or the permission does not parse, an id that is none.
    """
    who = asker(caller, body.user_id, body.subject)
    kind, relation = target(body)
    return CheckQuestion(who, place(kind, body.resource_id), relation, body.tenant_id)


def required(text: str | None, field: str) -> str:
    """The text of a field.

    Raises:
        ValidationError: it is absent.
    """
    if text is None:
        raise ValidationError({field: ["is missing"]})
    return text


def relationship(body: RelationshipBody, *, prefix: str = "") -> Relationship:
    """A relationship to write, to delete, or to take as given.

    Raises:
        ValidationError: a field is missing, or asks for what this server does not have.
        MalformedError: the subject or the time does not parse.
    """
    if bytes(body.condition) not in (b"", b"null"):
        raise ValidationError({prefix + "condition": ["conditions are not supported yet"]})
    expires_at_ms = None
    if body.expires_at is not None:
        expires_at_ms = parse_time(body.expires_at, field=prefix + "expiresAt")
    kind, identity, relation = body.resource, body.resource_id, body.relation
    if kind is None or identity is None or relation is None:
        fields = {"resource": kind, "resourceId": identity, "relation": relation}
        missing = [name for name, value in fields.items() if value is None]
        raise ValidationError({prefix + name: ["is missing"] for name in missing})
    user_id = body.user_id
    # Nearly every `userId` is one; what is wrong with another is said below.
    if body.subject is None and user_id is not None and _is_user_id(user_id):
        return Relationship(kind, identity, relation, USER, user_id, "", expires_at_ms)
    who = subject(user_id, body.subject, prefix=prefix)
    return Relationship(kind, identity, relation, *who, expires_at_ms)


def _is_user_id(text: str) -> bool:
    return text != WILDCARD and id_is_valid(text)


def candidates(bodies: Sequence[RelationshipBody]) -> Candidates | None:
    """Relationships to write as columns; None where an item has to be looked at by itself.

    That is one that lacks a part, has one too many, or one that ``relationship`` refuses.
    """
    count = len(bodies)
    kinds = [body.resource for body in bodies]
    ids = [body.resource_id for body in bodies]
    relations = [body.relation for body in bodies]
    subjects = [body.subject for body in bodies]
    if [body.user_id for body in bodies].count(None) != count:
        subjects = [_subject_text(body.user_id, body.subject) for body in bodies]
    if not (all(kinds) and all(ids) and all(relations) and all(subjects)):
        return None
    if [body.condition for body in bodies].count(NO_CONDITION) != count:
        return None
    expiries = None
    times = [body.expires_at for body in bodies]
    if times.count(None) != count:
        try:
            expiries = [None if time is None else parse_time(time, field="") for time in times]
        except MalformedError:
            return None
    return candidates_of_parts(
        cast("list[str]", kinds),
        cast("list[str]", ids),
        cast("list[str]", relations),
        cast("list[str]", subjects),
        expiries,
    )


def _subject_text(user_id: str | None, text: str | None) -> str:
    """The one that is there as ``type:id``; empty if it is not one."""
    if user_id is None:
        return text or ""
    if text is not None or user_id in {"", WILDCARD} or "#" in user_id:
        return ""
    return f"{USER}:{user_id}"


def target(body: CheckBody | CheckItem, *, prefix: str = "") -> tuple[str, str]:
    """Type and relation a question is about: ``resource`` and ``action``, or ``permission``.

    Raises:
        ValidationError: neither, or both and they differ.
        MalformedError: the permission does not parse.
    """
    if body.permission is None:
        return (
            required(body.resource, prefix + "resource"),
            required(body.action, prefix + "action"),
        )
    kind, relation = split_permission(body.permission, field=prefix + "permission")
    if body.resource not in (None, kind) or body.action not in (None, relation):
        raise ValidationError(
            {prefix + "permission": ["does not agree with `resource` and `action`"]}
        )
    return kind, relation


# What the services look up by kind, and where this contract's callers said it.
_FIELDS = {"type": "resource", "relation": "action"}


def named(error: UnknownNameError) -> UnknownNameError:
    """The error, put down to the field of a question; of a ``permission`` to that half of it."""
    if error.field in (None, "relation"):
        error.field = _FIELDS.get(error.kind)
    return error


def split_permission(text: str, *, field: str) -> tuple[str, str]:
    """Type and relation of ``type:relation``.

    Raises:
        MalformedError: it is not of this form.
    """
    kind, colon, relation = text.partition(":")
    if not (colon and kind and relation):
        raise MalformedError("expected `resource:action`", field=field)
    return kind, relation


def place(kind: str, text: str | None) -> ObjectRef:
    """The resource a question is about; without an id the type as a whole.

    Raises:
        MalformedError: an empty id, or a star, which stands for no single resource.
    """
    return ObjectRef(kind, "") if text is None else resource(kind, text)


def resource(kind: str, text: str, *, prefix: str = "") -> ObjectRef:
    """The resource a question is about.

    Raises:
        MalformedError: an empty id, or a star, which stands for no single resource.
    """
    if text in {"", WILDCARD}:
        what = f"be `{WILDCARD}`" if text else "be empty"
        raise MalformedError(f"a resource id must not {what}", field=prefix + "resourceId")
    return ObjectRef(kind, text)

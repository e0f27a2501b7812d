"""Relationships: ``type:id#relation@type:id#relation`` (Zanzibar §2.1), as values and as text.

Rules of ids: 1 to 1,024 characters, compared byte for byte; no ``#``, no control characters, no
surrogates, no white space at the ends. A subject id ``*`` is the wildcard of its type; no resource
is called ``*``. In text the first ``:`` separates type and id, so ids may hold ``:``, ``/`` and
``@``.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, NamedTuple

from zeratul.errors import MalformedError

if TYPE_CHECKING:
    from collections.abc import Sequence

ID_LENGTH_MAX = 1_024
WILDCARD = "*"

_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_\-]{0,253}")
# INVARIANT: what this refuses is exactly what `id_problem` explains.
_ID = re.compile(r"(?!\s)[^#\x00-\x1f\x7f-\x9f\ud800-\udfff]{1,1024}(?<!\s)")

_SUBJECT = re.compile(rf"({_NAME.pattern}):({_ID.pattern})(?:#({_NAME.pattern}))?")

# LIMIT: of a text that does not parse; its sender knows the rest.
SHOWN_LENGTH_MAX = 64

# Types of Zeratul's own nodes (design §1): no contract, model or caller may name them. The bracket
# makes them unspellable in every contract's pattern; the check says so clearly.
RESERVED_TYPE_MARK = "⟨"


def name_is_valid(text: str) -> bool:
    """Whether ``text`` may name a type or relation."""
    return _NAME.fullmatch(text) is not None


def id_is_valid(text: str) -> bool:
    """Whether ``text`` may be an id (the wildcard included)."""
    return _ID.fullmatch(text) is not None


def ids_are_plain(texts: Sequence[str]) -> bool:
    """Whether all are ids of printable ASCII without a space; quicker than asking one by one.

    Most are. Where it says no, the rules may still say yes.
    """
    joined = "".join(texts)
    return (
        joined.isascii()
        and joined.isprintable()
        and not (" " in joined or "#" in joined)
        and all(texts)
        and max(map(len, texts), default=0) <= ID_LENGTH_MAX
    )


def id_problem(text: str) -> str | None:
    """What is wrong with an id, or None."""
    if id_is_valid(text):
        return None
    if not text:
        return "an id must not be empty"
    if len(text) > ID_LENGTH_MAX:
        return f"an id has at most {ID_LENGTH_MAX:,} characters, this one has {len(text):,}"
    if "#" in text:
        return "an id must not contain `#`"
    if text != text.strip():
        return "an id must not begin or end with white space"
    return "an id must not contain control characters or surrogates"


def surely_valid_ids(ids: Sequence[str]) -> bool:
    """Whether all may be ids, found out at once; False says nothing, ask for each.

    What is printable has no control character, no surrogate and no white space but the blank.
    """
    text = "".join(ids)
    return (
        text.isprintable()
        and "#" not in text
        and " " not in text
        and all(ids)
        and max(map(len, ids), default=0) <= ID_LENGTH_MAX
    )


class ObjectRef(NamedTuple):
    """A resource, or the object part of a subject: ``type:id``."""

    type: str
    id: str

    def __str__(self) -> str:
        return f"{self.type}:{self.id}"

    @classmethod
    def parse(cls, text: str, *, field: str | None = None) -> ObjectRef:
        """Read ``type:id``.

        Raises:
            MalformedError: no ``:``, or a type or id that breaks the rules.
        """
        type_name, separator, object_id = text.partition(":")
        if not separator:
            shown = text if len(text) <= SHOWN_LENGTH_MAX else text[:SHOWN_LENGTH_MAX] + "…"
            raise MalformedError(f"expected `type:id`, not `{shown}`", field=field)
        if not name_is_valid(type_name):
            raise MalformedError("not a valid type name before the first `:`", field=field)
        problem = id_problem(object_id)
        if problem:
            raise MalformedError(problem, field=field)
        return cls(type_name, object_id)


class SubjectRef(NamedTuple):
    """A plain subject (``relation`` empty), a wildcard (id ``*``) or a userset."""

    type: str
    id: str
    relation: str = ""

    def __str__(self) -> str:
        return (
            f"{self.type}:{self.id}#{self.relation}" if self.relation else f"{self.type}:{self.id}"
        )

    @property
    def is_wildcard(self) -> bool:
        """Whether it stands for every subject of its type."""
        return self.id == WILDCARD

    @classmethod
    def parse(cls, text: str, *, field: str | None = None) -> SubjectRef:
        """Read ``type:id``, ``type:*`` or ``type:id#relation``.

        Raises:
            MalformedError: it is none of them.
        """
        found = _SUBJECT.fullmatch(text)
        if found is not None and not (found[2] == WILDCARD and found[3]):
            return cls(found[1], found[2], found[3] or "")
        # Something is wrong: look at its parts, and say which.
        object_text, mark, relation = text.partition("#")
        if mark and not name_is_valid(relation):
            raise MalformedError("not a valid relation after `#`", field=field)
        reference = ObjectRef.parse(object_text, field=field)
        if mark and reference.id == WILDCARD:
            raise MalformedError("a wildcard has no relation", field=field)
        return cls(reference.type, reference.id, relation)


class Relationship(NamedTuple):
    """One stored fact: the subject has the relation to the resource.

    ``expires_at_ms`` ends it at that time; the place of a condition is reserved for its issue.
    """

    resource_type: str
    resource_id: str
    relation: str
    subject_type: str
    subject_id: str
    subject_relation: str = ""
    expires_at_ms: int | None = None

    @property
    def resource(self) -> ObjectRef:
        """The resource side."""
        return ObjectRef(self.resource_type, self.resource_id)

    @property
    def subject(self) -> SubjectRef:
        """The subject side."""
        return SubjectRef(self.subject_type, self.subject_id, self.subject_relation)

    def __str__(self) -> str:
        return f"{self.resource}#{self.relation}@{self.subject}"

    @classmethod
    def parse(cls, text: str, *, field: str | None = None) -> Relationship:
        """Read ``type:id#relation@type:id[#relation]``.

        >>> str(Relationship.parse("document:a#viewer@group:eng#member"))
        'document:a#viewer@group:eng#member'

        Raises:
            MalformedError: it does not parse, or a part breaks the rules.
        """
        # Ids hold no `#`, relations hold no `@`: the first `#`, then the first `@` after it.
        resource_text, mark, rest = text.partition("#")
        relation, at, subject_text = rest.partition("@")
        if not (mark and at):
            raise MalformedError(
                "expected `type:id#relation@type:id` or `…#relation`", field=field
            )
        if not name_is_valid(relation):
            raise MalformedError("not a valid relation between `#` and `@`", field=field)
        resource = ObjectRef.parse(resource_text, field=field)
        if resource.id == WILDCARD:
            raise MalformedError("a resource id must not be `*`", field=field)
        subject = SubjectRef.parse(subject_text, field=field)
        return cls(*resource, relation, *subject)

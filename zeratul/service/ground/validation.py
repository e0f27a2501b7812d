"""What the schema lets be written, as one table: names in, the numbers of a row out.

A bulk call validates thousands of relationships: a good one costs one look-up in the table and two
regular expressions, only a bad one gets a full error. Suggestions are bounded: finding the nearest
name costs milliseconds in the worst case, and a stranger could ask for five thousand of them.
"""

from __future__ import annotations

from functools import partial
from itertools import filterfalse
from typing import TYPE_CHECKING

from zeratul.domain.relationship import (
    RESERVED_TYPE_MARK,
    WILDCARD,
    Relationship,
    id_is_valid,
    id_problem,
)
from zeratul.domain.vocabulary import SELF, WILDCARD_SLOT
from zeratul.errors import (
    InputError,
    MalformedError,
    UnknownNameError,
    ValidationError,
    ZeratulError,
)
from zeratul.service.ground.times import TIME_MAX_MS, TOO_LATE
from zeratul.store.interface import Row

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from zeratul.domain.relationship import ObjectRef, SubjectRef
    from zeratul.domain.schema import Schema
    from zeratul.domain.vocabulary import Vocabulary

DIRECT_GRANTS = "direct grants"
"""What a caller of one tenant may not write, delete or list."""

# LIMIT: unknown names of one call that get a suggestion; a person reads no more than these.
SUGGESTIONS_MAX = 50

new_row = partial(tuple.__new__, Row)  # A third of the time of Row's own constructor.

Form = tuple[str, str, str, str, bool]
Numbers = tuple[int, int, int, int]  # resource type, slot, subject slot, subject type


class WriteTable:
    """Every storable form of one schema with its numbers.

    Attributes:
        schema, vocabulary: what it was made from.
        schema_revision: the model a write was validated against.
        forms: every form a caller may store -> its numbers; for paths that parse names themselves.
        pairs: (slot, subject slot) of every storable form.
        type_slots: every type that a caller may store something of -> its slot.
    """

    def __init__(self, schema: Schema, vocabulary: Vocabulary, schema_revision: int) -> None:
        self.schema = schema
        self.vocabulary = vocabulary
        self.schema_revision = schema_revision
        self.forms: dict[Form, Numbers] = {}
        slots = vocabulary.slots
        for type_name, definition in schema.types.items():
            if is_reserved(type_name):
                continue  # written by the server alone
            for name, relation in definition.relations.items():
                for form in relation.subjects:
                    last = WILDCARD_SLOT if form.wildcard else form.relation
                    self.forms[type_name, name, form.type, form.relation, form.wildcard] = (
                        slots[type_name, SELF],
                        slots[type_name, name],
                        slots[form.type, last],
                        slots[form.type, SELF],
                    )
        self.type_slots = {
            name: slots[name, SELF] for form in self.forms for name in (form[0], form[2])
        }
        self.pairs = frozenset((slot, subject) for _, slot, subject, _ in self.forms.values())

    def rows(
        self, items: Sequence[Relationship | ZeratulError], *, now_ms: int, prefix: str
    ) -> tuple[list[Row | None], list[tuple[int, ZeratulError]]]:
        """Rows to write in the order of the items, None and an error for each bad one.

        Args:
            items: relationships, or what was wrong with an item already (see ``place``).
            now_ms: an expiry at or before it is refused, as is one that no text can say.
            prefix: name of the list, for fields like ``writes[17].relation``.
        """
        forms = self.forms
        rows: list[Row | None] = []
        errors: list[tuple[int, ZeratulError]] = []
        suggestions = SUGGESTIONS_MAX
        for index, item in enumerate(items):
            if isinstance(item, ZeratulError):
                rows.append(None)
                errors.append((index, item))
                continue
            type_name, resource_id, relation, subject_type, subject_id, last, expiry = item
            numbers = forms.get((type_name, relation, subject_type, last, subject_id == WILDCARD))
            if (
                numbers is not None
                and id_is_valid(resource_id)
                and id_is_valid(subject_id)
                and resource_id != WILDCARD
                and (expiry is None or now_ms < expiry <= TIME_MAX_MS)
            ):
                resource_slot, slot, subject_slot, subject_type_slot = numbers
                rows.append(
                    new_row(
                        (
                            resource_slot,
                            resource_id,
                            slot,
                            subject_slot,
                            subject_type_slot,
                            subject_id,
                            expiry,
                        )
                    )
                )
                continue
            rows.append(None)
            where = f"{prefix}[{index}]."
            errors.append((index, self.problem(item, now_ms, where, suggest=suggestions > 0)))
            suggestions -= 1
        return rows, errors

    def row(self, relationship: Relationship, *, now_ms: int) -> Row:
        """The row of one relationship to write.

        Raises:
            InputError: the schema or the rules of ids do not let it be stored.
        """
        rows, errors = self.rows([relationship], now_ms=now_ms, prefix="")
        row = rows[0]
        if errors or row is None:
            raise self.problem(relationship, now_ms, "")
        return row

    def absent_row(
        self, relationship: Relationship, where: str, *, suggest: bool = True
    ) -> Row | None:
        """The row of a relationship that should not be there; None when it never can be.

        Raises:
            UnknownNameError: a type or relation is not declared.
            MalformedError: an id breaks the rules.
        """
        self._require_names(relationship, where, suggest=suggest)
        findings = _id_findings(relationship, where)
        if findings:
            raise findings[0]
        type_name, resource_id, relation, subject_type, subject_id, last, _ = relationship
        numbers = self.forms.get((type_name, relation, subject_type, last, subject_id == WILDCARD))
        if numbers is None or resource_id == WILDCARD:
            return None
        resource_slot, slot, subject_slot, subject_type_slot = numbers
        return Row(
            resource_slot, resource_id, slot, subject_slot, subject_type_slot, subject_id, None
        )

    def absent_rows(
        self, items: Sequence[Relationship | ZeratulError], *, prefix: str
    ) -> tuple[list[Row | None], list[tuple[int, ZeratulError]]]:
        """Like ``rows``, of relationships to delete; None without an error: never stored."""
        rows: list[Row | None] = []
        errors: list[tuple[int, ZeratulError]] = []
        for index, item in enumerate(items):
            where = f"{prefix}[{index}]."
            row = None
            try:
                if isinstance(item, ZeratulError):
                    raise item
                row = self.absent_row(item, where, suggest=len(errors) < SUGGESTIONS_MAX)
            except ZeratulError as error:
                errors.append((index, error))
            rows.append(row)
        return rows, errors

    def problem(
        self, relationship: Relationship, now_ms: int, where: str, *, suggest: bool = True
    ) -> InputError:
        """What is wrong with a relationship that is not storable; several things as findings."""
        found: list[InputError] = []
        try:
            self._require_names(relationship, where, suggest=suggest)
            self.schema.validate_relationship(relationship, prefix=where)
        except InputError as error:
            found.append(error)
        found += _id_findings(relationship, where)
        expiry = relationship.expires_at_ms
        if expiry is not None and expiry <= now_ms:
            found.append(InputError("the expiry is in the past", field=where + "expiresAt"))
        if expiry is not None and expiry > TIME_MAX_MS:
            found.append(MalformedError(TOO_LATE, field=where + "expiresAt"))
        return found[0] if len(found) == 1 else ValidationError(findings_of(found))

    def _require_names(self, relationship: Relationship, where: str, *, suggest: bool) -> None:
        """Known types and relations; without ``suggest`` no time goes into the nearest ones."""
        types = self.schema.types
        for name, field in (
            (relationship.resource_type, "resource"),
            (relationship.subject_type, "subject"),
        ):
            require_type(self.schema, name, where + field, suggest=suggest)
        for type_name, name, field in (
            (relationship.resource_type, relationship.relation, "relation"),
            (relationship.subject_type, relationship.subject_relation, "subject"),
        ):
            known = types[type_name].relations
            if name not in known and not (field == "subject" and not name):
                place = f" on type `{type_name}`"
                raise UnknownNameError(
                    "relation", name, known if suggest else (), where=place, field=where + field
                )


def require_type(schema: Schema, name: str, field: str, *, suggest: bool = True) -> None:
    """Whether a caller may name the type, and it is declared.

    Raises:
        MalformedError: it is one of Zeratul's own.
        UnknownNameError: nobody declared it.
    """
    if is_reserved(name):
        raise reserved_type(name, field)
    if name not in schema.types:
        known = filterfalse(is_reserved, schema.types) if suggest else ()
        raise UnknownNameError("type", name, known, field=field)


def is_reserved(type_name: str) -> bool:
    """Whether a type is one of Zeratul's own, which no caller may name or see."""
    return RESERVED_TYPE_MARK in type_name


def reserved_type(name: str, field: str | None) -> MalformedError:
    """The error for one of Zeratul's own types in a caller's mouth."""
    return MalformedError(
        f"the type `{name[:128]}` is reserved: types in ⟨ ⟩ are the server's own", field=field
    )


def require_subject(schema: Schema, subject: SubjectRef, field: str = "subject") -> None:
    """Whether a subject's names are declared and its id keeps the rules.

    Raises:
        MalformedError, UnknownNameError: they do not.
    """
    require_type(schema, subject.type, field)
    if subject.relation:
        schema.relation(subject.type, subject.relation, field=field, type_field=field)
    require_id(subject.id, field)
    if subject.relation and subject.id == WILDCARD:
        raise MalformedError("a wildcard has no relation", field=field)


def require_resource(schema: Schema, resource: ObjectRef) -> None:
    """Whether a resource's type is declared and its id keeps the rules.

    Raises:
        MalformedError, UnknownNameError: they do not.
    """
    require_type(schema, resource.type, "resource")
    require_id(resource.id, "resourceId")


def require_id(text: str, field: str) -> None:
    """Whether an id keeps the rules.

    Raises:
        MalformedError: saying which it breaks.
    """
    problem = id_problem(text)
    if problem:
        raise MalformedError(problem, field=field)


def findings_of(errors: Iterable[ZeratulError]) -> dict[str, list[str]]:
    """Field -> messages of several errors, in their order."""
    findings: dict[str, list[str]] = {}
    for error in errors:
        if isinstance(error, ValidationError):
            for field, messages in error.findings.items():
                findings.setdefault(field, []).extend(messages)
            continue
        message = f"{error.message}; {error.help}" if error.help else error.message
        findings.setdefault(getattr(error, "field", None) or "", []).append(message)
    return findings


def _id_findings(relationship: Relationship, where: str) -> list[InputError]:
    found: list[InputError] = []
    for text, field in (
        (relationship.resource_id, "resourceId"),
        (relationship.subject_id, "subject"),
    ):
        problem = id_problem(text)
        if problem:
            found.append(MalformedError(problem, field=where + field))
    return found


def place(items: Sequence[object], prefix: str) -> None:
    """Count the fields of item errors from the whole request: ``writes[17].relation``."""
    for index, item in enumerate(items):
        if not isinstance(item, InputError):
            continue
        where = f"{prefix}[{index}]"
        if isinstance(item, ValidationError):
            item.findings = {f"{where}.{key}": found for key, found in item.findings.items()}
        else:
            item.field = f"{where}.{item.field}" if item.field else where

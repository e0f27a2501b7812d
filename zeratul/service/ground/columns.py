"""Thousands of relationships to write as columns, validated by what they have in common.

A bulk call or a piece of an import names the same few types and relations in every item, and the
same resources and subjects in many. So what they name is counted out first, and each distinct
name, id and form of relationship is looked at once; the rest is arithmetic on arrays of numbers.

It only says which items are good. What is wrong with one of the others is said by ``validation``,
by the same rules.
"""

from __future__ import annotations

from collections import defaultdict
from itertools import count
from typing import TYPE_CHECKING, Any, NamedTuple, TypeVar

import numpy as np

from zeratul.domain.relationship import WILDCARD, id_is_valid, surely_valid_ids
from zeratul.service.ground.times import TIME_MAX_MS
from zeratul.store.interface import RowColumns

if TYPE_CHECKING:
    from collections.abc import Hashable, Iterable, Sequence

    from numpy.typing import NDArray

    from zeratul.service.ground.validation import WriteTable

H = TypeVar("H", bound="Hashable")


class Candidates(NamedTuple):
    """Relationships as columns, nothing checked.

    Attributes:
        objects: distinct resources: type and id.
        relations: distinct relations.
        subjects: distinct subjects: type, id, relation; None for one that is empty behind its
            ``#``.
        rows: of each relationship, indexes of the three above.
        expiries: of each relationship; None where none has one.
    """

    objects: Sequence[tuple[str, str]]
    relations: Sequence[str]
    subjects: Sequence[tuple[str, str, str | None]]
    rows: tuple[NDArray[np.intp], NDArray[np.intp], NDArray[np.intp]]
    expiries: Sequence[int | None] | None


def candidates_of_texts(
    resources: Sequence[str],
    relations: Sequence[str],
    subjects: Sequence[str],
    expiries: Sequence[int | None] | None,
) -> Candidates:
    """From ``type:id`` and ``type:id#relation``; what is neither comes out as an empty id."""
    texts, resource_rows = _counted_out(resources)
    return _candidates(
        [(kind, identity) for kind, _, identity in (text.partition(":") for text in texts)],
        resource_rows,
        relations,
        subjects,
        expiries,
    )


def candidates_of_parts(
    resource_types: Sequence[str],
    resource_ids: Sequence[str],
    relations: Sequence[str],
    subjects: Sequence[str],
    expiries: Sequence[int | None] | None,
) -> Candidates:
    """The same with a resource's type and id apart."""
    ids, rows = _counted_out(resource_ids)
    kinds = list(dict.fromkeys(resource_types))
    if len(kinds) == 1:
        objects = [(kinds[0], identity) for identity in ids]
    else:
        kinds, kind_rows = _counted_out(resource_types)
        pairs, rows = np.unique(kind_rows * len(ids) + rows, return_inverse=True)
        objects = [
            (kinds[kind], ids[number])
            for kind, number in (divmod(pair, len(ids)) for pair in pairs.tolist())
        ]
    return _candidates(objects, rows, relations, subjects, expiries)


def _candidates(
    objects: Sequence[tuple[str, str]],
    resource_rows: NDArray[np.intp],
    relations: Sequence[str],
    subjects: Sequence[str],
    expiries: Sequence[int | None] | None,
) -> Candidates:
    names, relation_rows = _counted_out(relations)
    texts, subject_rows = _counted_out(subjects)
    return Candidates(
        objects,
        names,
        [_subject(text) for text in texts],
        (resource_rows, relation_rows, subject_rows),
        expiries,
    )


def _subject(text: str) -> tuple[str, str, str | None]:
    kind, _, identity = text.partition(":")
    if "#" not in identity:
        return kind, identity, ""
    identity, _, relation = identity.partition("#")
    return kind, identity, relation or None


def _counted_out(values: Sequence[H]) -> tuple[list[H], NDArray[np.intp]]:
    """The distinct values in the order they come, and which of them stands where."""
    numbers: defaultdict[H, int] = defaultdict(count().__next__)
    rows = np.fromiter(map(numbers.__getitem__, values), np.intp, count=len(values))
    return list(numbers), rows


def storable(
    table: WriteTable, candidates: Candidates, *, now_ms: int
) -> tuple[RowColumns, list[int]]:
    """Those that the table has a place for, and the indexes of the others.

    INVARIANT: the others are exactly those that ``WriteTable.rows`` refuses.
    """
    objects, _, subjects, rows, expiries = candidates
    forms, which = _forms(table, candidates)
    good = forms[which, 0] != _NO_FORM
    good &= _valid_ids([identity for _, identity in objects], wildcard=False)[rows[0]]
    good &= _valid_ids([identity for _, identity, _ in subjects], wildcard=True)[rows[2]]
    if expiries is not None:
        good &= [expiry is None or now_ms < expiry <= TIME_MAX_MS for expiry in expiries]
    resource_rows, _, subject_rows = rows
    others: list[int] = []
    if not good.all():
        others = np.flatnonzero(~good).tolist()
        which = which[good]
        # A name that no good one has must not be interned.
        objects, resource_rows = _used(objects, resource_rows[good])
        subjects, subject_rows = _used(subjects, subject_rows[good])
        if expiries is not None:
            expiries = [expiries[index] for index in np.flatnonzero(good).tolist()]
    slot_of = table.type_slots.__getitem__
    columns = RowColumns(
        [slot_of(each[0]) for each in objects] + [slot_of(each[0]) for each in subjects],
        [each[1] for each in objects] + [each[1] for each in subjects],
        resource_rows,
        forms[which, 0].astype(np.uint64),
        forms[which, 1].astype(np.uint64),
        subject_rows + len(objects),
        expiries,
    )
    return columns, others


_NO_FORM = -1


def _forms(table: WriteTable, candidates: Candidates) -> tuple[NDArray[Any], NDArray[np.intp]]:
    """Slot and subject slot of each form that occurs, and which of them each candidate has."""
    objects, relations, subjects, (resource_rows, relation_rows, subject_rows), _ = candidates
    kinds, kind_numbers = _counted_out([kind for kind, _ in objects])
    ends, end_numbers = _counted_out(
        [(kind, relation, identity == WILDCARD) for kind, identity, relation in subjects]
    )
    # No overflow: each factor is at most the number of candidates of one call.
    codes = kind_numbers[resource_rows] * len(relations) + relation_rows
    codes = codes * len(ends) + end_numbers[subject_rows]
    distinct, which = np.unique(codes, return_inverse=True)
    forms = np.full((len(distinct), 2), _NO_FORM, np.int64)
    for number, code in enumerate(distinct.tolist()):
        rest, end = divmod(code, len(ends))
        kind, relation = divmod(rest, len(relations))
        found = table.forms.get((kinds[kind], relations[relation], *ends[end]))
        if found is not None:
            forms[number] = found[1], found[2]
    return forms, which


def _valid_ids(ids: list[str], *, wildcard: bool) -> NDArray[np.bool_]:
    """Which of the ids keep the rules; the wildcard only where it may stand."""
    if surely_valid_ids(ids) and (wildcard or WILDCARD not in ids):
        return np.ones(len(ids), bool)
    valid: Iterable[bool] = (
        id_is_valid(identity) and (wildcard or identity != WILDCARD) for identity in ids
    )
    return np.fromiter(valid, bool, count=len(ids))


def _used(values: Sequence[H], rows: NDArray[np.intp]) -> tuple[list[H], NDArray[np.intp]]:
    """The values that occur in the rows, and the rows with their numbers."""
    used, numbers = np.unique(rows, return_inverse=True)
    return [values[number] for number in used.tolist()], numbers


def joined(parts: Sequence[RowColumns]) -> RowColumns:
    """One after the other as one; at least one."""
    if len(parts) == 1:
        return parts[0]
    starts = np.cumsum([0, *(len(part.ids) for part in parts)]).tolist()
    expiries: list[int | None] | None = None
    if any(part.expiries is not None for part in parts):
        expiries = []
        for part in parts:
            expiries += part.expiries or [None] * len(part.slots)
    return RowColumns(
        [slot for part in parts for slot in part.types],
        [identity for part in parts for identity in part.ids],
        np.concatenate(
            [part.resources + start for part, start in zip(parts, starts, strict=False)]
        ),
        np.concatenate([part.slots for part in parts]),
        np.concatenate([part.subject_slots for part in parts]),
        np.concatenate(
            [part.subjects + start for part, start in zip(parts, starts, strict=False)]
        ),
        expiries,
    )

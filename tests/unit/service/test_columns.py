"""Property: as columns exactly those relationships are good that are good one by one."""

from __future__ import annotations

import sys

import msgspec
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.builders import rel
from tests.unit.service.conftest import MODEL, NOON_MS
from zeratul.api.authaz import questions
from zeratul.api.authaz.structures import RelationshipBody
from zeratul.domain.relationship import id_is_valid, surely_valid_ids
from zeratul.domain.vocabulary import SELF, Vocabulary
from zeratul.errors import InputError
from zeratul.language.openfga import compile_model
from zeratul.service.ground.columns import joined, storable
from zeratul.service.ground.times import TIME_MAX_MS, format_time
from zeratul.service.ground.validation import WriteTable
from zeratul.service.relationships.lines import PlainLine, candidates_of, relationship_of

SCHEMA = compile_model(MODEL)
NAMES = [
    (kind, name)
    for kind, definition in SCHEMA.types.items()
    for name in (SELF, "*", *definition.relations)
]
SLOTS = {name: number for number, name in enumerate(NAMES, 1)}
TABLE = WriteTable(
    SCHEMA, Vocabulary(1, SLOTS, {number: name for name, number in SLOTS.items()}), 1
)

ids = st.sampled_from(
    ["a", "b", "a:b", "x@y", "Zoë Doe", "*", "", " a", "a ", "a#b", "a\x00", "\xa0", "x" * 1_025]
)
kinds = st.sampled_from(["document", "document", "folder", "group", "user", "nope", "⟨role⟩", ""])
relations = st.sampled_from(["viewer", "viewer", "owner", "parent", "member", "reader", "nope"])
ends = st.sampled_from(["", "", "", "#member", "#viewer", "#", "#nope", "#member#member"])
subjects = st.builds(lambda kind, identity, end: f"{kind}:{identity}{end}", kinds, ids, ends)
times = st.sampled_from([None, None, NOON_MS - 1, NOON_MS, NOON_MS + 1, TIME_MAX_MS])
bodies = st.builds(
    RelationshipBody,
    user_id=st.none() | ids,
    subject=st.none() | subjects | st.just("user"),
    resource=kinds,
    resource_id=ids,
    relation=relations,
    expires_at=st.none() | st.sampled_from([format_time(NOON_MS + 1), "soon"]),
)
usual = st.builds(
    RelationshipBody,
    subject=subjects,
    resource=kinds,
    resource_id=ids,
    relation=relations,
    expires_at=times.map(lambda time: None if time is None else format_time(time)),
)


def one_by_one(relationships):
    rows, errors = TABLE.rows(relationships, now_ms=NOON_MS, prefix="")
    return [row for row in rows if row is not None], [index for index, _ in errors]


@given(st.lists(usual, max_size=6) | st.lists(bodies, max_size=3))
def test_bodies_are_good_as_columns_exactly_if_each_is(items):
    found = questions.candidates(items)
    relationships = []
    for item in items:
        try:
            relationships.append(questions.relationship(item))
        except InputError as error:
            relationships.append(error)
    if found is None:
        # Some body has something special, or is no relationship at all.
        assert any(
            isinstance(item, InputError) or not all((body.resource_id, body.resource))
            for item, body in zip(relationships, items, strict=True)
        )
        return
    columns, others = storable(TABLE, found, now_ms=NOON_MS)
    rows, refused = one_by_one(relationships)
    assert refused == others
    assert rows == columns.rows()


@given(st.lists(st.builds(lambda *parts: parts, kinds, ids, relations, subjects), max_size=8))
def test_lines_are_good_as_columns_exactly_if_each_is(items):
    lines = [
        PlainLine(f"{kind}:{identity}", relation, subject)
        for kind, identity, relation, subject in items
    ]
    columns, others = storable(TABLE, candidates_of(lines), now_ms=NOON_MS)
    relationships = []
    for line in lines:
        try:
            relationships.append(relationship_of(line))
        except InputError as error:
            relationships.append(error)
    rows, refused = one_by_one(relationships)
    assert refused == others
    assert rows == columns.rows()


def test_names_of_refused_relationships_are_not_kept():
    """Or a bad line would use up a name."""
    lines = [
        PlainLine("document:a", "viewer", "user:ann"),
        PlainLine("document:b", "nope", "user:bob"),
    ]
    columns, others = storable(TABLE, candidates_of(lines), now_ms=NOON_MS)
    assert [1] == others
    assert ["a", "ann"] == columns.ids


@pytest.mark.parametrize(("late_ms", "refused"), [(0, []), (1, [0])])
def test_an_expiry_that_no_text_can_say_is_refused(late_ms, refused):
    """Whoever reads or exports it would get an error."""
    fact = rel("document:a#viewer@user:ann")._replace(expires_at_ms=TIME_MAX_MS + late_ms)
    found = candidates_of([PlainLine("document:a", "viewer", "user:ann")])
    found = found._replace(expiries=[fact.expires_at_ms])
    assert storable(TABLE, found, now_ms=NOON_MS)[1] == refused
    assert one_by_one([fact])[1] == refused


@pytest.mark.parametrize("user_id", ["*", "", "a#member"])
def test_a_user_id_is_nothing_but_an_id(user_id):
    body = RelationshipBody(
        user_id=user_id, resource="document", resource_id="a", relation="viewer"
    )
    assert questions.candidates([body]) is None


def test_a_condition_is_looked_at_by_itself():
    body = msgspec.json.decode(
        b'{"userId":"a","resource":"document","resourceId":"a","relation":"viewer",'
        b'"condition":{"name":"x"}}',
        type=RelationshipBody,
    )
    assert questions.candidates([body]) is None


def test_parts_are_joined_in_their_order():
    texts = ["document:a#viewer@user:ann", "document:b#owner@user:ann"]
    parts = []
    for expires_at_ms in (None, NOON_MS + 1):
        for text in texts:
            fact = rel(text)
            lines = [PlainLine(str(fact.resource), fact.relation, str(fact.subject))]
            columns, _ = storable(TABLE, candidates_of(lines), now_ms=NOON_MS)
            parts.append(columns._replace(expiries=expires_at_ms and [expires_at_ms]))
    whole = joined(parts)
    assert [row for part in parts for row in part.rows()] == whole.rows()
    assert whole.resources.dtype == np.intp
    assert joined(parts[:2]).expiries is None


def test_what_looks_valid_at_once_is_valid_one_by_one():
    """Every character there is, at the start, in the middle and at the end of an id."""
    for code in range(sys.maxunicode + 1):
        text = chr(code)
        if surely_valid_ids((text,)):
            assert id_is_valid(text)
            assert id_is_valid(f"a{text}a")
    assert surely_valid_ids(("a", "b:c/d@e.f", "é中"))
    assert not surely_valid_ids(("a", ""))
    assert not surely_valid_ids(("a" * 1_025,))

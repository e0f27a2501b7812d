"""Layouts: what goes in comes out, and bytes sort as the values do."""

from __future__ import annotations

import struct

import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from pyroaring import BitMap

from zeratul.store.lmdb import codec
from zeratul.store.lmdb.adjacency import forward_row

u32 = st.integers(0, 0xFFFF_FFFF)
u24 = st.integers(0, 0xFF_FFFF)
u48 = st.integers(0, codec.REVISION_MAX)
kinds = st.sampled_from([codec.PLAIN, codec.ATTRIBUTED])
row_values = st.tuples(u32, u24, kinds, u24, u32, u48)
texts = st.text(st.characters(codec="utf-8", exclude_characters="\x00"), max_size=300)


def row(resource: int, slot: int, kind: int, subject_slot: int, subject: int, made: int) -> bytes:
    """A forward row."""
    key = codec.pack_key(resource, slot << 8 | kind, subject_slot)
    return key + codec.pack_u32(subject) + codec.pack_u48(made)


@given(row_values, row_values)
def test_rows_sort_as_their_values(left: tuple[int, ...], right: tuple[int, ...]) -> None:
    """Resource, slot, kind, subject slot, subject, revision."""
    assert (left < right) == (row(*left) < row(*right))


@given(row_values)
def test_a_reverse_row_leads_back_to_its_forward_row(values: tuple[int, ...]) -> None:
    """Slots change places, the kind stays where it is."""
    resource, slot, kind, subject_slot, subject, made = values
    reverse = codec.pack_key(subject, subject_slot << 8 | kind, slot)
    reverse += codec.pack_u32(resource) + codec.pack_u48(made)
    assert row(*values) == forward_row(reverse)


@given(st.lists(row_values, max_size=150))
def test_packed_records_become_bitmaps(rows: list[tuple[int, ...]]) -> None:
    """By the loop for few and by numpy for many."""
    packed = b"".join(row(*values) for values in rows)
    assert BitMap(values[4] for values in rows) == codec.bitmap_of_records(packed)


@given(st.lists(u32, max_size=5), u32, u32)
def test_keys_are_packed_alike_one_by_one_and_by_columns(
    first: list[int], second: int, third: int
) -> None:
    """Trailing zero bytes included."""
    expected = [codec.pack_key(number, second, third) for number in first]
    assert expected == codec.keys_of(np.array(first, np.uint64), second, third, len(first))


@given(u32, u32, st.text(max_size=40), st.text(max_size=40))
def test_names_sort_by_type_then_bytes(one: int, two: int, left: str, right: str) -> None:
    """So a type's names stand together."""
    ordered = (one, left.encode()) < (two, right.encode())
    assert ordered == (codec.name_of(one, left) < codec.name_of(two, right))


@given(st.binary(max_size=1_200), st.binary(max_size=1_200))
def test_bounded_keys_fit_and_never_meet(left: bytes, right: bytes) -> None:
    """A short name is never taken for the digest of a long one."""
    keys = codec.bounded(left), codec.bounded(right)
    assert all(len(key) <= codec.BOUNDED_KEY_SIZE_MAX for key in keys)
    assert (left == right) == (keys[0] == keys[1])


def test_the_digest_of_a_long_name_is_not_a_short_names_key() -> None:
    """Even if somebody calls something by those very bytes."""
    digested = codec.bounded(b"n" * 600)
    assert digested != codec.bounded(digested)


@given(u32, texts, texts)
def test_slot_names_round_trip(application: int, type_name: str, relation: str) -> None:
    """Application, type, relation."""
    packed = codec.slot_name(application, type_name, relation)
    assert (application, type_name, relation) == codec.split_slot_name(packed)


@given(texts, st.binary(max_size=50), st.booleans())
def test_documents_round_trip(document_id: str, body: bytes, long: bool) -> None:
    """With the id where the key does not hold it."""
    packed = codec.pack_document(document_id, body, long=long)
    assert (document_id if long else "", body) == codec.unpack_document(packed)


@given(
    st.integers(1, codec.REVISION_MAX),
    st.lists(st.tuples(st.integers(0, 1), u32, u24, u24, u32, kinds), max_size=20),
    st.lists(st.tuples(u32, texts, texts), max_size=5),
    st.lists(u32, max_size=3),
)
def test_changes_round_trip(
    revision: int,
    rows: list[tuple[int, ...]],
    documents: list[tuple[int, str, str]],
    recorded: list[int],
) -> None:
    """Rows as numpy reads them, documents, and apart from them who recorded audit events."""
    packed = b"".join(codec.pack_change(*values) for values in rows)
    value = codec.pack_changes(packed, documents, recorded)
    change_set = codec.unpack_changes(revision, value)
    assert (revision, packed, documents) == tuple(change_set)
    assert rows == np.frombuffer(change_set.rows, codec.CHANGE_RECORD).tolist()
    assert recorded == codec.unpack_recorded(value)


@given(st.lists(st.tuples(u32, u24, u24, u32), max_size=20))
def test_changes_are_packed_alike_one_by_one_and_by_columns(
    rows: list[tuple[int, int, int, int]],
) -> None:
    """Plain ones."""
    fields = np.array(rows, np.uint64).reshape(-1, 4).T
    expected = b"".join(codec.pack_change(codec.GONE, *row, codec.PLAIN) for row in rows)
    assert expected == codec.pack_change_columns(codec.GONE, fields)


@given(st.lists(st.tuples(u32, u48), max_size=20), u48)
def test_values_are_packed_alike_one_by_one_and_by_columns(
    rows: list[tuple[int, int]], deleted: int
) -> None:
    """Of rows and of tombstones, trailing zero bytes included."""
    nodes = np.array([node for node, _ in rows], np.uint64)
    created = np.array([codec.pack_u48(made) for _, made in rows], "V6")
    expected = [codec.pack_u32(node) + codec.pack_u48(made) for node, made in rows]
    assert expected == codec.pack_values(nodes, created)
    end = codec.pack_u48(deleted)
    assert [value + end for value in expected] == codec.pack_values(nodes, created, np.void(end))


@given(st.tuples(u32, u48, u32), st.tuples(u32, u48, u32))
def test_event_keys_sort_by_application_revision_sequence(
    left: tuple[int, int, int], right: tuple[int, int, int]
) -> None:
    """And tell the revision."""
    assert (left < right) == (codec.event_key(*left) < codec.event_key(*right))
    assert left[1] == codec.event_revision(codec.event_key(*left))


@given(st.tuples(u48, u32), st.tuples(u48, u32))
def test_change_keys_sort_by_revision_then_part(
    left: tuple[int, int], right: tuple[int, int]
) -> None:
    """And tell the revision."""
    assert (left < right) == (codec.change_key(*left) < codec.change_key(*right))
    assert left[0] == codec.change_revision(codec.change_key(*left))


@given(st.integers(0, 2**64 - 1))
def test_attributes_round_trip(expires_at_ms: int) -> None:
    """The expiry."""
    assert expires_at_ms == codec.unpack_expiry(codec.pack_attributes(expires_at_ms))


@given(u48)
def test_six_byte_numbers_round_trip(number: int) -> None:
    """And are those eight-byte ones end in."""
    assert number == codec.unpack_u48(codec.pack_u48(number))
    assert struct.pack(">Q", number)[2:] == codec.pack_u48(number)


def test_counters_round_trip() -> None:
    """Each number keeps its place."""
    counters = codec.Counters(1, 2, 3, 4, 5, 6)
    assert counters == codec.Counters(*codec.unpack_state(counters.pack()))

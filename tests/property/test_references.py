"""Subjects and ids out of text: what is quick says the same as the rules, part by part."""

from __future__ import annotations

from hypothesis import example, given
from hypothesis import strategies as st

from zeratul.domain.relationship import (
    ID_LENGTH_MAX,
    WILDCARD,
    ObjectRef,
    SubjectRef,
    id_is_valid,
    ids_are_plain,
    name_is_valid,
)
from zeratul.errors import MalformedError

# Many of what the rules are about, and a few of everything else.
LETTERS = st.sampled_from("ab_-1:#*@/ \t\n\x00\x7f\x85é\u2003⟨")
TEXT = st.text(LETTERS | st.characters(), max_size=12)
PARTS = st.tuples(TEXT, st.sampled_from([":", "#", "", "::", ":*#", ":*"]), TEXT).map("".join)


def by_parts(text: str) -> SubjectRef | None:
    """The subject as the rules of its parts have it; None where one of them is broken."""
    before, mark, relation = text.partition("#")
    try:
        reference = ObjectRef.parse(before)
    except MalformedError:
        return None
    if mark and (not name_is_valid(relation) or reference.id == WILDCARD):
        return None
    return SubjectRef(*reference, relation)


@given(TEXT | PARTS | st.tuples(PARTS, st.just("#"), TEXT).map("".join))
@example("user:ann")
@example("user:*")
@example("user:*#member")
@example("group:eng#member")
@example("group:eng#")
@example("group:a:b#member")
@example("group:eng #member")
@example("group: eng")
@example("group:eng#member\n")
@example("user:" + "x" * ID_LENGTH_MAX)
@example("user:" + "x" * (ID_LENGTH_MAX + 1))
@example("u" * 254 + ":x")
@example("u" * 255 + ":x")
def test_a_subject_is_read_as_its_parts_are(text: str) -> None:
    """In one look where nothing is wrong, and refused where anything is."""
    try:
        found = SubjectRef.parse(text)
    except MalformedError:
        found = None
    assert found == by_parts(text)


@given(st.lists(TEXT, max_size=4))
@example([])
@example([""])
@example(["a", ""])
@example(["a b"])
@example(["a#b"])
@example(["*"])
@example(["é"])
@example(["x" * ID_LENGTH_MAX])
@example(["x" * (ID_LENGTH_MAX + 1)])
@example(["a", "\x7f"])
def test_plain_ids_keep_the_rules(texts: list[str]) -> None:
    """What is said to be plain needs no second look."""
    if ids_are_plain(texts):
        assert all(map(id_is_valid, texts))
    elif all(text.isascii() and " " not in text for text in texts):
        assert not all(map(id_is_valid, texts))

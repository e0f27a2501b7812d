"""Shapes: the answers they say are right agree with an evaluation of their relationships."""

from __future__ import annotations

import json
from itertools import islice

import numpy as np
import pytest

from loadtest import extremes, shapes
from loadtest.reference import Reference

SHAPES = [
    shapes.Sharing(6_000),
    shapes.Peers(0.01),
    extremes.DeepGroups(1, 5),
    extremes.DeepGroups(30, 5),
    extremes.WideGroups(20, 7),
    extremes.ArrowChains(25, 4),
    extremes.HeavyUsers(300, 4),
    extremes.Popular(900),
    extremes.Library(2_500),
]
NAMES = [f"{shape.name} {number}" for number, shape in enumerate(SHAPES)]


@pytest.mark.parametrize("shape", SHAPES, ids=NAMES)
def test_size_is_exact_and_nothing_repeats(shape: shapes.Shape) -> None:
    """A shape yields as many relationships as it says, each once."""
    triples = list(shape.triples())

    assert shape.size == len(triples)
    assert len(triples) == len(set(triples))


@pytest.mark.parametrize("shape", SHAPES, ids=NAMES)
def test_known_answers_are_right(shape: shapes.Shape) -> None:
    """The reference evaluator agrees with every known answer; denied ones are among them."""
    reference = Reference(shape.model, shape.triples())
    for kind in shape.kinds:
        questions = shape.questions(kind, 80)
        assert len(questions) == 80
        for asked in questions:
            answer = reference.check(asked.subject, f"document:{asked.resource_id}", asked.action)
            assert asked.allowed == answer, (kind, asked)
        if "denied" in kind:
            assert not any(asked.allowed for asked in questions)


@pytest.mark.parametrize("shape", SHAPES, ids=NAMES)
def test_the_same_twice(shape: shapes.Shape) -> None:
    """A second pass yields the same lines, each a JSON object of the import format."""
    first = b"".join(shape.chunks())

    assert first == b"".join(shape.chunks())
    parsed = [json.loads(text) for text in first.splitlines()[:50]]
    expected = list(islice(shape.triples(), 50))
    assert expected == [(row["resource"], row["relation"], row["subject"]) for row in parsed]


def test_unknown_kind_is_refused() -> None:
    """A question kind that a shape lacks is an error that names those it has."""
    with pytest.raises(ValueError, match="inherited, denied, not sideways"):
        extremes.Library(10).questions("sideways", 1)


def test_peers_has_the_published_size() -> None:
    """At scale 1 it is the 244,000 relationships and 21,662 answers of the design."""
    peers = shapes.Peers()

    assert peers.size == 244_000
    assert peers.listing() == ("user:u0", 21_662)


@pytest.mark.parametrize("scale", [0.01, 0.1])
def test_peers_listing(scale: float) -> None:
    """The lister reads exactly as many documents as the shape says."""
    peers = shapes.Peers(scale)
    reference = Reference(peers.model, peers.triples())
    subject, total = peers.listing()

    readable = sum(
        reference.check(subject, f"document:d{document}", "read")
        for document in range(peers.documents)
    )
    assert total == readable


def test_zipf_is_heavy_at_the_head() -> None:
    """The first user has far more than the mean; every rank is within bounds."""
    ranks = shapes.zipf(3, 1, np.arange(20_000, dtype=np.uint64), 1_000)

    assert 0 <= ranks.min()
    assert ranks.max() < 1_000
    assert np.count_nonzero(ranks == 0) > 20 * 20_000 / 1_000


def test_numbers_follow_the_names() -> None:
    """Rows of numbers, for the raw floors, are as distinct as the relationships they stand for."""
    sharing = shapes.Sharing(10_000)
    rows = sharing.numbers_between(0, sharing.documents)
    triples = list(sharing.documents_between(0, sharing.documents))

    assert len(triples) == len(rows)
    assert len(triples) == len({tuple(row) for row in rows[:, [0, 1, 3]].tolist()})
    assert len({resource for resource, _, _ in triples}) == len(set(rows[:, 0].tolist()))


def test_reference_follows_cycles_once() -> None:
    """Groups in a circle end the walk; a rewrite it does not know is refused."""
    circle = [
        ("group:a", "member", "group:b#member"),
        ("group:b", "member", "group:a#member"),
        ("group:b", "member", "user:u"),
    ]
    reference = Reference(shapes.MODEL, circle)

    assert reference.count == 3
    assert reference.check("user:u", "group:a", "member")
    assert not reference.check("user:v", "group:a", "member")
    with pytest.raises(ValueError, match="difference"):
        Reference(
            {"type_definitions": [{"type": "t", "relations": {"r": {"difference": {}}}}]}, []
        )

"""A million relationships through the import endpoint, then 10,000 answers are compared."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from loadtest.shapes import Sharing
from loadtest.spotcheck import questions_of, spot_check

if TYPE_CHECKING:
    from pathlib import Path


def test_questions_are_known_and_random_ones() -> None:
    """Half have answers known by arithmetic, of every kind; the others are any pair."""
    asked = questions_of(Sharing(20_000), 4_000)

    assert len(asked) == 4_000
    assert len(set(asked)) > 2_000
    assert any(subject.startswith("user:guest") for subject, _ in asked)


@pytest.mark.slow
def test_spot_check_of_a_million(tmp_path: Path) -> None:
    """Every answer of the server equals the slow evaluator's; there are both kinds of answer."""
    result = spot_check(tmp_path / "data", relationships=1_000_000, questions=10_000)

    assert result.questions == 10_000
    assert result.relationships > 980_000
    assert 1_000 < result.allowed < 9_000

"""The ways meant for large data give the answers of the ways meant for small data."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from hypothesis import given

from tests.property import thresholds
from tests.property.agreement import Probe, assert_agree, every_check, every_lookup
from tests.reference.evaluator import Reference
from tests.strategies import NOW_MS, World, all_questions, worlds

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.applications import Installation


@pytest.fixture(params=[name for name in thresholds.ALL if thresholds.ALL[name]], scope="module")
def tuned(request: pytest.FixtureRequest, installation: Installation) -> Iterator[Installation]:
    """This process with its sizes made small."""
    before = installation.tune(thresholds.ALL[request.param])
    yield installation
    installation.tune(before)


@given(world=worlds())
def test_sizes_do_not_change_answers(tuned: Installation, world: World) -> None:
    """Checks again and again until every memo has taken its widest form, and both lookups."""
    application = tuned.create(world.model, world.relationships)
    reference = Reference(world.schema, world.relationships, NOW_MS)
    checks = every_check(world.schema)
    many: list[Probe] = [("check_many", (all_questions(world.schema),))]
    for probes in (checks, checks, many, checks, every_lookup(world.schema)):
        assert_agree(reference, probes, tuned.ask(application, probes, now_ms=NOW_MS))


@given(world=worlds())
def test_sizes_do_not_change_first_answers(tuned: Installation, world: World) -> None:
    """Many checks at once by an engine that has never been asked anything."""
    application = tuned.create(world.model, world.relationships)
    tuned.forget()
    many: list[Probe] = [("check_many", (all_questions(world.schema),))]
    reference = Reference(world.schema, world.relationships, NOW_MS)
    assert_agree(reference, many, tuned.ask(application, many, now_ms=NOW_MS))

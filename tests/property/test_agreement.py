"""Check, many checks and both lookups equal the reference on any model and any relationships."""

from __future__ import annotations

from typing import TYPE_CHECKING

from hypothesis import given

from tests.property.agreement import assert_agree, every_check, every_lookup
from tests.reference.evaluator import Reference
from tests.strategies import NOW_MS, World, all_questions, worlds

if TYPE_CHECKING:
    from tests.applications import Installation


def reference_of(world: World) -> Reference:
    """The reference at the time that questions are asked."""
    return Reference(world.schema, world.relationships, NOW_MS)


@given(world=worlds())
def test_check_equals_the_reference(installation: Installation, world: World) -> None:
    """Every question, cold in a view of its own and again in one view with all the others."""
    application = installation.create(world.model, world.relationships)
    reference = reference_of(world)
    probes = every_check(world.schema)
    for _ in ("cold", "warm"):
        assert_agree(reference, probes, installation.ask(application, probes, now_ms=NOW_MS))


@given(world=worlds())
def test_check_needs_no_memo(installation: Installation, world: World) -> None:
    """Each question to an engine that has never been asked anything."""
    application = installation.create(world.model, world.relationships)
    reference = reference_of(world)
    for probe in every_check(world.schema)[::_STRIDE]:
        installation.forget()
        assert_agree(reference, [probe], installation.ask(application, [probe], now_ms=NOW_MS))


@given(world=worlds())
def test_check_many_equals_the_reference(installation: Installation, world: World) -> None:
    """All questions at once, cold and warm."""
    application = installation.create(world.model, world.relationships)
    probes = [("check_many", (all_questions(world.schema),))]
    reference = reference_of(world)
    for _ in ("cold", "warm"):
        assert_agree(reference, probes, installation.ask(application, probes, now_ms=NOW_MS))


@given(world=worlds())
def test_lookups_equal_the_reference(installation: Installation, world: World) -> None:
    """All resources of every subject and all subjects of every resource, in every form."""
    application = installation.create(world.model, world.relationships)
    probes = every_lookup(world.schema)
    assert_agree(reference_of(world), probes, installation.ask(application, probes, now_ms=NOW_MS))


@given(world=worlds())
def test_the_wildcard_is_everybody_nobody_named(world: World) -> None:
    """In the reference itself: ``user:*`` is in exactly what an unmentioned user is in."""
    reference = reference_of(world)
    for question in all_questions(world.schema):
        if question.subject.is_wildcard:
            nobody = question.subject._replace(id="never-mentioned")
            assert reference.check(*question) is reference.check(
                *question._replace(subject=nobody)
            )


# A new engine for each question costs a compilation; every so many questions are enough of them.
_STRIDE = 17

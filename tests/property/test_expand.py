"""The leaves of an expansion explain every check (Zanzibar §2.4.5)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from hypothesis import given

from tests.property.agreement import Probe, assert_agree
from tests.reference.evaluator import Reference
from tests.strategies import GHOST, IDS, NOW_MS, World, goals, worlds
from zeratul.domain.relationship import ObjectRef

if TYPE_CHECKING:
    from tests.applications import Installation


@given(world=worlds())
def test_the_leaves_explain_every_check(installation: Installation, world: World) -> None:
    """Applying the tree's operations to its leaves gives the check's answer, for every subject."""
    application = installation.create(world.model, world.relationships)
    probes: list[Probe] = [
        ("expand", (ObjectRef(type_name, resource_id), relation))
        for type_name, relation in goals(world.schema)
        for resource_id in (*IDS, GHOST)
    ]
    trees = installation.ask(application, probes, now_ms=NOW_MS)
    for (_, (resource, _)), tree in zip(probes, trees, strict=True):
        assert tree.resource == resource
    assert_agree(Reference(world.schema, world.relationships, NOW_MS), probes, trees)

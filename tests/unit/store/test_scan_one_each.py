"""Scans of a type that give one row of each resource: a list of resources, whatever they hold."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from tests.unit.store.world import World
    from zeratul.store.interface import Snapshot


def listed(world: World, snapshot: Snapshot, limit: int) -> list[str]:
    """Resources in the order of the scan, gathered from pages."""
    found: list[str] = []
    after = b""
    while True:
        rows = snapshot.scan_type(world.slot("doc"), after=after, limit=limit, one_each=True)
        if not rows:
            return found
        assert len(rows) <= limit
        after = rows[-1].position
        for row in rows:
            found += world.texts(snapshot, [row.resource])


@pytest.mark.parametrize("limit", [1, 2, 3, 100])
def test_each_resource_comes_once_in_the_order_of_names(world: World, limit: int) -> None:
    world.write(*(f"doc:{name}#viewer@user:{user}" for name in "cab" for user in "uvw"))
    world.write("doc:gone#viewer@user:u")
    world.delete("doc:gone#viewer@user:u")
    with world.store.snapshot() as snapshot:
        assert ["doc:a", "doc:b", "doc:c"] == listed(world, snapshot, limit)


def test_it_goes_on_at_its_revision_whatever_becomes_of_the_row_it_stands_on(
    world: World,
) -> None:
    world.write(*(f"doc:{name}#viewer@user:{user}" for name in "abc" for user in "uv"))
    revision = world.revision()
    with world.store.snapshot(revision=revision) as snapshot:
        (first,) = snapshot.scan_type(world.slot("doc"), limit=1, one_each=True)
    world.delete("doc:a#viewer@user:u", "doc:b#viewer@user:u", "doc:b#viewer@user:v")
    world.write("doc:aa#viewer@user:u")
    with world.store.snapshot(revision=revision) as snapshot:
        rows = snapshot.scan_type(world.slot("doc"), after=first.position, limit=9, one_each=True)
        assert {"doc:b", "doc:c"} == world.texts(snapshot, [row.resource for row in rows])

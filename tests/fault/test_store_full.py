"""No room: a full map, a file that may not grow. That write fails, everything else goes on."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from threading import Event
from typing import TYPE_CHECKING

import pytest

from tests.unit.store.world import World
from zeratul.errors import StoreError
from zeratul.store.lmdb import open_store

if TYPE_CHECKING:
    from collections.abc import Iterator

ROOT = Path(__file__).parents[2]
SMALL_MAP_BYTES = 1 << 21


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    """A store with room for a few thousand relationships."""
    store = open_store(tmp_path / "s", map_bytes=SMALL_MAP_BYTES)
    yield World(store)
    store.close()


def fill(world: World) -> int:
    """Write until nothing fits; how many batches did."""
    written: list[int] = []
    with pytest.raises(StoreError) as caught:
        write_for_ever(world, written)
    assert "full" == caught.value.reason
    assert caught.value.help is not None
    assert "map_bytes" in caught.value.help
    return len(written)


def write_for_ever(world: World, written: list[int]) -> None:
    """Note each batch of 100 that was written."""
    while True:
        batch = len(written)
        world.write(*(f"doc:{batch}-{n}#viewer@user:{n}" for n in range(100)))
        written.append(batch)


def test_a_full_map_refuses_that_write_whole_and_reading_goes_on(world: World) -> None:
    """Nothing of the refused batch is there."""
    batches = fill(world)
    with world.store.snapshot() as snapshot:
        rows = snapshot.scan_type(world.slot("doc"), limit=1_000_000)
        assert batches * 100 == len(rows)
        assert [True] == world.has(snapshot, "doc:0-0#viewer@user:0")


def test_a_small_write_in_the_group_of_one_too_large_succeeds(world: World) -> None:
    """Only the one that does not fit is undone."""
    large = world.prepare(f"doc:{number}#viewer@user:{number}" for number in range(50_000))
    small = [world.prepare([f"doc:small{number}#viewer@user:u"]) for number in range(3)]
    go_on = Event()
    first = world.store.write(lambda _tx: go_on.wait())
    futures = [
        world.store.write(lambda tx, p=prepared: tx.apply(p))
        for prepared in (small[0], large, small[1], small[2])
    ]
    go_on.set()
    first.result()
    with pytest.raises(StoreError) as caught:
        futures.pop(1).result()
    assert "full" == caught.value.reason
    assert [[0], [0], [0]] == [future.result().writes for future in futures]


def test_writing_goes_on_when_there_is_room_again(world: World) -> None:
    """Collected history makes room, and so does a larger map after a restart."""
    batches = fill(world)
    # Deleting needs some room itself: small steps find it.
    world.store.collect(retention_s=0, steps=1_000)
    for batch in range(0, batches, 2):
        for start in range(0, 100, 10):
            world.delete(*(f"doc:{batch}-{n}#viewer@user:{n}" for n in range(start, start + 10)))
            world.store.collect(retention_s=0, steps=10)
    assert [0] == world.write("doc:new#viewer@user:u")
    with world.store.snapshot() as snapshot:
        rows = snapshot.scan_type(world.slot("doc"), limit=1_000_000)
        assert (batches // 2) * 100 + 1 == len(rows)


def test_a_larger_map_after_a_restart_has_room(tmp_path: Path) -> None:
    """What the error's help says works."""
    store = open_store(tmp_path / "s", map_bytes=SMALL_MAP_BYTES)
    world = World(store)
    fill(world)
    store.close()
    world.store = open_store(tmp_path / "s", map_bytes=4 * SMALL_MAP_BYTES)
    try:
        assert [0] == world.write("doc:new#viewer@user:u")
    finally:
        world.store.close()


FILE_LIMIT = """
import resource, sys
from tests.unit.store.world import World
from zeratul.errors import StoreError
from zeratul.store.lmdb import open_store
store = open_store(sys.argv[1])
world = World(store)
world.write("doc:a#viewer@user:u")
_, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
resource.setrlimit(resource.RLIMIT_FSIZE, (1 << 20, hard))
batch = 0
try:
    while True:
        world.write(*(f"doc:{batch}-{n}#viewer@user:{n}" for n in range(500)))
        batch += 1
except StoreError as error:
    print(error.reason)
with store.snapshot() as snapshot:
    rows = snapshot.scan_type(world.slot("doc"), limit=1_000_000)
    print(len(rows) == batch * 500 + 1, world.has(snapshot, "doc:a#viewer@user:u"))
resource.setrlimit(resource.RLIMIT_FSIZE, (hard, hard))
print(world.write(*(f"doc:{batch}-{n}#viewer@user:{n}" for n in range(500)))[0].name)
store.close()
"""


@pytest.mark.slow
def test_a_file_that_may_not_grow_refuses_that_write_and_no_more(tmp_path: Path) -> None:
    """Like a full disk: reading goes on, and writing with room again."""
    done = subprocess.run(
        [sys.executable, "-c", FILE_LIMIT, str(tmp_path / "s")],
        check=False,
        capture_output=True,
        text=True,
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
    )
    assert "" == done.stderr
    reason, reading, writing = done.stdout.splitlines()
    assert reason in ("full", "io")
    assert "True [True]" == reading
    assert "CREATED" == writing

"""Sweeping is killed again and again: the next process goes on, and no other application loses."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.unit.store.world import World
from zeratul.store.lmdb import open_store

if TYPE_CHECKING:
    from zeratul.store.lmdb import LmdbStore

pytestmark = pytest.mark.slow

ROOT = Path(__file__).parents[2]
ENVIRONMENT = {**os.environ, "PYTHONPATH": str(ROOT)}
MAP_BYTES = 1 << 28
STEP_ENTRIES = 50
LIVES = 4

SWEEP = """
import sys
from zeratul.store.lmdb import open_store, sweeper
sweeper.STEP_ENTRIES = int(sys.argv[3])
store = open_store(sys.argv[1], map_bytes=int(sys.argv[2]))
while store.sweep():
    print("step", flush=True)
"""


def fill(world: World) -> None:
    """Rows, some expiring, tombstones, documents, events, answers."""
    texts = [f"doc:{n}#viewer@user:{n % 50}" for n in range(3_000)]
    world.write(*texts, *((f"doc:{n}#owner@group:{n % 5}#member", 10**15) for n in range(300)))
    world.delete(*texts[::3])

    def job(tx) -> None:
        for number in range(300):
            tx.put_document(world.application, "role", f"role_{number}", b"{}" * 500)
            tx.record(world.application, b"event" * 100)
            tx.remember(world.application, b"%d" % number, b"answer", 10**15)

    world.store.write(job).result()


def entries(store: LmdbStore) -> dict[str, int]:
    """Entries by table, but for what each commit adds."""
    return {
        name: number
        for name, number in store.statistics().items()
        if name.startswith("entries_") and name not in ("entries_changes", "entries_revisions")
    }


@pytest.mark.parametrize("steps", [0, 1, 13])
def test_a_killed_sweep_is_gone_on_with(tmp_path: Path, steps: int) -> None:
    """From where it was; a killed step is done whole or not at all."""
    path = tmp_path / "s"
    store = open_store(path, map_bytes=MAP_BYTES)
    kept = World(store)
    fill(kept)
    expected = entries(store)
    dropped = World(store)
    fill(dropped)
    store.write(lambda tx: tx.drop_application(dropped.application)).result()
    with store.snapshot() as snapshot:
        rows = kept.everything(snapshot, limit=10_000)
    left = sum(entries(store).values())
    store.close()
    for _ in range(LIVES):
        arguments = [sys.executable, "-c", SWEEP, path, str(MAP_BYTES), str(STEP_ENTRIES)]
        with subprocess.Popen(
            arguments, stdout=subprocess.PIPE, text=True, cwd=ROOT, env=ENVIRONMENT
        ) as process:
            assert process.stdout is not None
            for _ in range(steps):
                assert "step\n" == process.stdout.readline()
            process.send_signal(signal.SIGKILL)
            # What it still printed before it died was done, too.
            done = steps + sum(line.endswith("\n") for line in process.stdout)
        assert process.returncode == -signal.SIGKILL
        store = open_store(path, map_bytes=MAP_BYTES)
        before, left = left, sum(entries(store).values())
        # Rows of one key go together, so a step may remove more.
        assert before - left >= done * STEP_ENTRIES
        with store.snapshot() as snapshot:
            assert rows == kept.everything(snapshot, limit=10_000)
            assert not snapshot.vocabulary(dropped.application).slots
        store.close()
    store = open_store(path, map_bytes=MAP_BYTES)
    assert left > sum(expected.values()) + 1
    while store.sweep():
        pass
    after = entries(store)
    # That there was an application is remembered.
    assert expected | {"entries_meta": expected["entries_meta"] + 1} == after
    with store.snapshot() as snapshot:
        assert rows == kept.everything(snapshot, limit=10_000)
        assert 300 == len(snapshot.events(kept.application, limit=999))
    store.close()

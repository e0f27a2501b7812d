"""Durable: the disk has it before the caller hears of it; ``kill -9`` loses no answered write."""

from __future__ import annotations

import os
import re
import shutil
import signal
import subprocess
import sys
from pathlib import Path
from typing import IO

import pytest

from tests.unit.store.world import World
from zeratul.store.lmdb import open_store

pytestmark = pytest.mark.slow

ROOT = Path(__file__).parents[2]
ENVIRONMENT = {**os.environ, "PYTHONPATH": str(ROOT)}

ANSWER = """
import os, sys
from zeratul.store.lmdb import open_store
store = open_store(sys.argv[1], map_bytes=1 << 30)
for number in range(3):
    os.write(1, b"asked")
    store.write(lambda tx: tx.put_document(1, "k", str(number), b"body")).result()
    os.write(1, b"answered")
store.close()
"""


@pytest.mark.skipif(shutil.which("strace") is None, reason="needs strace")
def test_the_disk_is_synced_before_a_write_is_answered(tmp_path: Path) -> None:
    """The data pages by ``fdatasync``, then the meta page through a descriptor opened O_DSYNC."""
    log = tmp_path / "log"
    calls = "trace=write,pwrite64,pwritev,writev,fdatasync,fsync,msync,openat"
    subprocess.run(
        ["strace", "-f", "-o", log, "-e", calls, sys.executable, "-c", ANSWER, tmp_path / "s"],
        check=True,
        stdout=subprocess.DEVNULL,
        cwd=ROOT,
        env=ENVIRONMENT,
    )
    lines = log.read_text().splitlines()
    synchronous = {
        match[1]
        for line in lines
        if (match := re.search(r"data\.mdb.*O_DSYNC.* = (\d+)$", line)) is not None
    }
    assert 1 == len(synchronous)
    meta_write = rf"pwrite64\({synchronous.pop()},"
    waiting: list[str] | None = None
    answered = 0
    for line in lines:
        if '"asked"' in line:
            waiting = []
        elif '"answered"' in line:
            assert waiting is not None
            done = "\n".join(waiting)
            assert re.search(rf"f(data)?sync.*= 0[\s\S]*{meta_write}.*= \d+", done), done
            answered += 1
        elif waiting is not None:
            waiting.append(line)
    assert 3 == answered


WRITE_FOR_EVER = """
import sys
from tests.unit.store.world import World
from zeratul.store.lmdb import open_store
store = open_store(sys.argv[1], map_bytes=1 << 30)
world = World(store)
print(world.application, flush=True)
batch = 0
while True:
    first = int(sys.argv[2]) + batch
    futures = []
    for part in range(3):
        writes = [f"doc:{first}-{part}-{n}#viewer@user:{n % 50}" for n in range(100)]
        deletes = [f"doc:{first - 1}-{part}-{n}#viewer@user:{n % 50}" for n in range(50)]
        prepared = world.prepare(writes, deletes)
        futures.append(store.write(lambda tx, p=prepared: tx.apply(p)))
    for part, future in enumerate(futures):
        future.result()
        print(f"{first}-{part}", flush=True)
    batch += 1
"""


def read_answers(output: IO[str], count: int) -> list[str]:
    """The next lines, each the name of a batch whose write was answered."""
    return [output.readline().strip() for _ in range(count)]


@pytest.mark.parametrize("kill_after", [1, 7, 20])
def test_kill_keeps_what_was_answered_and_halves_nothing(tmp_path: Path, kill_after: int) -> None:
    """Batches are there whole or not at all; both directions agree."""
    path = tmp_path / "s"
    answered = []
    for life in range(3):
        with subprocess.Popen(
            [sys.executable, "-c", WRITE_FOR_EVER, path, str(life * 1_000)],
            stdout=subprocess.PIPE,
            text=True,
            cwd=ROOT,
            env=ENVIRONMENT,
        ) as process:
            assert process.stdout is not None
            process.stdout.readline()
            answered += read_answers(process.stdout, kill_after)
            process.send_signal(signal.SIGKILL)
            # What it still printed before it died was answered, too.
            answered += [line.strip() for line in process.stdout if line.endswith("\n")]
    check(path, answered)


def check(path: Path, answered: list[str]) -> None:
    """Every answered batch is there, no batch in part, and every row from both ends."""
    store = open_store(path, map_bytes=1 << 30)
    try:
        world = World(store)
        found: dict[str, set[str]] = {}
        with store.snapshot() as snapshot:
            rows = []
            for application in range(1, world.application):
                world.vocabulary = snapshot.vocabulary(application)
                rows += snapshot.scan_type(world.slot("doc"), limit=10**6)
            keys = [(row.subject, row.subject_slot, row.slot) for row in rows]
            for row, resources in zip(rows, snapshot.resources(keys), strict=True):
                assert row.resource in resources
            for object_id in snapshot.ids([row.resource for row in rows]):
                batch, _, number = object_id.rpartition("-")
                found.setdefault(batch, set()).add(number)
        numbers = store.statistics()
    finally:
        store.close()
    assert numbers["entries_forward"] == numbers["entries_reverse"] == len(rows)
    assert set(answered) <= found.keys()
    # A batch's first half is deleted by the next one; otherwise it is whole.
    assert {50, 100} >= {len(numbers) for numbers in found.values()}

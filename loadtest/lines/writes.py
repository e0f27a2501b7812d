"""Writes: single durable ones, bulk uploads into small and large stores, and offline imports."""

from __future__ import annotations

import json
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from itertools import count
from typing import TYPE_CHECKING

from loadtest import floors
from loadtest.bench import Row, median, ratio, turns
from loadtest.client import RELATIONSHIPS, Client, bulk_body
from loadtest.http_load import Load, run
from loadtest.processes import ROOT, ServerFaultError, timed
from loadtest.shapes import MODEL, Sharing

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from loadtest.bench import Bench, Stored
    from loadtest.client import Target

UPLOAD = 5_000
CLIENTS = 64
SMALL = 20_000
_run_number = count()


def single_writes(target: Target, connections: int, seconds: float) -> float:
    """Relationships a second, each written by a request of its own and each a new one."""
    load = Load(
        target=target,
        path=RELATIONSHIPS,
        prefix=f'{{"resource":"document","resourceId":"single{next(_run_number)}-',
        suffix='","relation":"viewer","subject":"user:u1"}',
        expect=b'"created":true',
        connections=connections,
        seconds=seconds,
    )
    return run(load).rate


def writes(bench: Bench) -> Iterator[Row]:
    """Single durable writes of 1 and of 64 clients."""
    plan = bench.plan
    target = bench.loaded("writes", Sharing(SMALL))
    numbers = count()
    with floors.RawTables(bench.directory / "raw-single") as raw:

        def raw_commits() -> float:
            with timed() as seconds:
                for _ in range(plan.synced_writes):
                    raw.single(next(numbers))
            return plan.synced_writes / seconds[0]

        log = bench.directory / "synced"
        figures = turns(
            plan.rounds,
            {
                "sync": lambda: floors.append_and_sync(log, plan.synced_writes),
                "raw": raw_commits,
                "one": lambda: single_writes(target, 1, plan.seconds),
                "many": lambda: single_writes(target, CLIENTS, plan.seconds),
            },
        )
    yield _one_client(figures)
    times = ratio(figures["many"], figures["one"])
    yield Row(
        line="writes",
        work=f"durable single writes, {CLIENTS} clients",
        value=median(figures["many"]),
        unit="writes/s",
        floors={"1 client": median(figures["one"])},
        ratios={"1 client": times},
        aim="≥ 5 × one client",
        met=times >= 5,
    )


def _one_client(figures: dict[str, list[float]]) -> Row:
    times = ratio(figures["one"], figures["sync"])
    return Row(
        line="writes",
        work="durable single writes, 1 client",
        value=median(figures["one"]),
        unit="writes/s",
        floors={
            "append + fdatasync": median(figures["sync"]),
            "LMDB commit": median(figures["raw"]),
        },
        ratios={
            "append + fdatasync": times,
            "LMDB commit": ratio(figures["one"], figures["raw"]),
        },
        aim="≥ 0.4",
        met=times >= 0.4,
    )


def _upload(stored: Stored, shape: Sharing, clients: Sequence[Client]) -> float:
    """Writes a second of one bulk call of each client, all at once; new relationships each.

    Making the bodies is not on the clock.
    """
    bodies = []
    for _ in clients:
        first = stored.next_document
        stored.next_document += UPLOAD // shape.ROWS_PER_DOCUMENT
        bodies.append(bulk_body(shape.documents_between(first, stored.next_document)))
    with ThreadPoolExecutor(len(clients)) as pool, timed() as seconds:
        answers = list(pool.map(Client.bulk, clients, bodies))
    for answer in answers:
        if answer["created"] != UPLOAD:
            raise ServerFaultError(f"uploaded {UPLOAD:,}: {json.dumps(answer)[:500]}")
    stored.relationships += UPLOAD * len(clients)
    return UPLOAD * len(clients) / seconds[0]


def bulk(bench: Bench) -> Iterator[Row]:
    """Bulk uploads of 5,000 writes a call, into an empty store and into larger ones."""
    for size in bench.plan.stored:
        yield _bulk_at(bench, size)


def _bulk_at(bench: Bench, size: int) -> Row:
    stored = bench.stored(size, Sharing)
    shape = stored.shape if isinstance(stored.shape, Sharing) else Sharing(SMALL)
    # New documents come behind the shape's own.
    stored.next_document = max(stored.next_document, shape.documents)
    raw_document = 0
    with (
        Client(stored.target) as client,
        Client(stored.target) as second,
        floors.RawTables(bench.directory / f"raw-{size}") as raw,
    ):
        if stored.shape is None:
            client.put_model(MODEL)
        else:
            raw.append(shape.numbers_between(0, shape.documents))
            raw_document = shape.documents

        def raw_upload() -> float:
            nonlocal raw_document
            last = raw_document + UPLOAD // shape.ROWS_PER_DOCUMENT
            rows = shape.numbers_between(raw_document, last)
            raw_document = last
            return UPLOAD / raw.upload(rows)

        figures = turns(
            bench.plan.uploads,
            {
                "raw": raw_upload,
                "ours": lambda: _upload(stored, shape, [client]),
                "pair": lambda: _upload(stored, shape, [client, second]),
            },
        )
    times = ratio(figures["ours"], figures["raw"])
    return Row(
        line="bulk",
        work=f"bulk upload, {UPLOAD:,} writes a call, {size:,} stored",
        value=median(figures["ours"]),
        unit="writes/s",
        floors={"LMDB putmulti": median(figures["raw"])},
        ratios={"LMDB putmulti": times},
        aim="≥ 0.5",
        met=times >= 0.5,
        note=f"one client; two at once: {median(figures['pair']):,.0f} writes/s",
    )


def _command_seconds(*arguments: str) -> float:
    with timed() as seconds:
        finished = subprocess.run(
            [sys.executable, "-m", "zeratul", *arguments],
            cwd=ROOT,
            capture_output=True,
            text=True,
            check=False,
            timeout=1_800,
        )
    if finished.returncode:
        complaint = (finished.stdout + finished.stderr)[-1_000:]
        raise ServerFaultError(f"zeratul {' '.join(arguments)}: {complaint}")
    return seconds[0]


def _write_files(shape: Sharing, directory: Path) -> dict[str, tuple[Path, Path]]:
    """The shape as NDJSON and as CSV, and a file of each without any relationship."""
    files = {
        name: (directory / f"import.{name}", directory / f"nothing.{name}")
        for name in ("ndjson", "csv")
    }
    full, empty = files["ndjson"]
    with full.open("wb") as output:
        output.writelines(shape.chunks())
    empty.write_bytes(b"")
    full, empty = files["csv"]
    empty.write_text("resource,relation,subject\n")
    with full.open("w") as text:
        text.write("resource,relation,subject\n")
        text.writelines(",".join(triple) + "\n" for triple in shape.triples())
    return files


def offline_import(bench: Bench) -> Iterator[Row]:
    """The import command on a store that no server has open, from NDJSON and CSV."""
    shape = Sharing(bench.plan.import_rows)
    files = _write_files(shape, bench.directory)
    model = bench.directory / "model.json"
    model.write_text(json.dumps(MODEL))
    rows = shape.numbers_between(0, shape.documents)
    runs = count()

    def append() -> float:
        with floors.RawTables(bench.directory / f"raw-import-{next(runs)}") as raw:
            return len(rows) / raw.append(rows)

    def command(file: Path, empty: Path) -> float:
        # What the command needs to start is not the import's: an empty file tells how long.
        data = bench.directory / f"offline-{next(runs)}"
        _command_seconds("model", "put", str(model), "--data", str(data))
        start = _command_seconds("import", str(empty), "--data", str(data))
        whole = _command_seconds("import", str(file), "--data", str(data))
        return shape.size / max(whole - start, 1e-3)

    works = {"append": append}
    for name, (file, empty) in files.items():
        works[name] = lambda file=file, empty=empty: command(file, empty)  # type: ignore[misc]
    figures = turns(max(1, bench.plan.rounds // 2), works)
    for name in files:
        rate = median(figures[name])
        yield Row(
            line="import",
            work=f"offline import of {shape.size:,} relationships, {name.upper()}",
            value=rate,
            unit="relationships/s",
            floors={"LMDB sorted append": median(figures["append"])},
            ratios={"LMDB sorted append": ratio(figures[name], figures["append"])},
            aim="≥ 150,000/s",
            met=rate >= 150_000,
            note="without the start of the command",
        )

"""What size costs: growth of latencies, bytes on disk, memory of the processes."""

from __future__ import annotations

from typing import TYPE_CHECKING

from loadtest import floors
from loadtest.bench import Row, median
from loadtest.client import Client, Wire
from loadtest.shapes import Sharing

if TYPE_CHECKING:
    from collections.abc import Iterator

    from loadtest.bench import Bench
    from loadtest.shapes import Question

LIVE_TABLES = ("names", "nodes", "forward", "reverse")
MIB = 1024 * 1024


def _mixed(shape: Sharing, count: int, seed: int) -> list[Question]:
    """Questions of every kind in equal parts."""
    pools = [shape.questions(kind, count // len(shape.kinds), seed=seed) for kind in shape.kinds]
    return [each for group in zip(*pools, strict=True) for each in group]


def growth(bench: Bench) -> Iterator[Row]:
    """The same kinds of check in a store and in one ten times as large."""
    sizes = [size for size in bench.plan.stored if size]
    stores = [bench.stored(size, Sharing) for size in sizes]
    p50s: dict[int, list[float]] = {size: [] for size in sizes}
    # Each store's questions are spread over all of it; a round has its own.
    for number in range(bench.plan.rounds + 1):
        asked = [
            _mixed(store.shape, bench.plan.distinct_questions, number)
            for store in stores
            if isinstance(store.shape, Sharing)
        ]
        for size, store, questions in zip(sizes, stores, asked, strict=True):
            with Client(store.target) as client, Wire(store.target) as wire:
                client.verify(questions)
                p50s[size].append(median([wire.check(each) * 1e3 for each in questions]))
    first = sizes[0]
    for size in sizes:
        # The first round warms both.
        values, base = p50s[size][1:], p50s[first][1:]
        times = median([value / under for value, under in zip(values, base, strict=True)])
        yield Row(
            line="growth",
            work=f"check at {size:,} stored, p50",
            value=median(values),
            unit="ms",
            floors={f"{first:,} stored": median(base)},
            ratios={f"{first:,} stored": times},
            aim="≤ 1.5 ×" if size != first else "",
            met=times <= 1.5 if size != first else None,
            note="direct, nested, inherited and denied in equal parts; one connection",
        )


def disk(bench: Bench) -> Iterator[Row]:
    """Bytes a relationship, from the pages of the tables of live rows and names."""
    store = bench.stored(bench.plan.stored[-1], Sharing)
    sizes = floors.table_bytes(store.data)
    live = sum(sizes[name] for name in LIVE_TABLES) / store.relationships
    rest = sum(sizes.values()) / store.relationships - live
    file = sum(path.stat().st_blocks * 512 for path in store.data.rglob("*.mdb"))
    detail = ", ".join(
        f"{name} {size / store.relationships:.1f}"
        for name, size in sorted(sizes.items(), key=lambda item: -item[1])
        if size / store.relationships >= 0.05
    )
    yield Row(
        line="disk",
        work=f"bytes a relationship, {store.relationships:,} stored: rows and dictionary",
        value=live,
        unit="bytes",
        floors={"rows alone": 2.0 * (floors.KEY_BYTES + floors.VALUE_BYTES)},
        ratios={"rows alone": live / (2.0 * (floors.KEY_BYTES + floors.VALUE_BYTES))},
        aim="≤ 120 bytes",
        met=live <= 120,
        note=f"{detail}; history and the rest {rest:.1f}; "
        f"file with free pages {file / store.relationships:.1f}",
    )


def memory(bench: Bench) -> Iterator[Row]:
    """What the servers of this run hold now, after their work."""
    bench.main()
    servers = {
        name: server for name, server in bench.started().items() if not name.startswith("bare")
    }
    for name, server in servers.items():
        held = server.memory()
        yield Row(
            line="memory",
            work=f"memory of the server `{name}`, {held.processes} processes",
            value=held.private / MIB,
            unit="MiB",
            note=f"with pages of the store that they have mapped: {held.resident / MIB:,.0f} MiB",
        )

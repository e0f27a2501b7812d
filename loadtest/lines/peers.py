"""Our figures in the shape the peers were measured with, beside theirs."""

from __future__ import annotations

from typing import TYPE_CHECKING

from loadtest import peers as measured_peers
from loadtest.bench import Row, check_load, median, turns
from loadtest.client import Client, bulk_body
from loadtest.lines.checks import NEW, WORDS
from loadtest.lines.lists import compare_stream, stream_all
from loadtest.lines.writes import UPLOAD, single_writes
from loadtest.processes import timed
from loadtest.shapes import Peers

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from loadtest.bench import Bench
    from loadtest.client import Target


def _lister(client: Client, shape: Peers) -> Callable[[], float]:
    subject, total = shape.listing()
    expected = {f"d{number}" for number in range(0, shape.documents, shape.FAN)}
    if len(expected) != total:
        raise ValueError("the shape's list is not what it says")

    def work() -> float:
        lines, seconds = stream_all(client, subject)
        compare_stream(lines, expected, "the peers' list")
        return seconds * 1e3

    return work


def _uploader(client: Client) -> Callable[[], float]:
    """Documents that nobody asks about; making the body is not on the clock."""
    first = 0

    def work() -> float:
        nonlocal first
        numbers = range(first, first + UPLOAD)
        first += UPLOAD
        body = bulk_body(
            (f"document:up{number}", "viewer", f"user:w{number % 97}-0") for number in numbers
        )
        with timed() as seconds:
            client.bulk(body)
        return UPLOAD / seconds[0]

    return work


def peers(bench: Bench) -> Iterator[Row]:
    """Checks, a list of 21,662 answers, uploads and single writes, each times the best peer's."""
    shape = Peers(bench.plan.peers_scale)
    target = bench.loaded("peers", shape)
    with Client(target) as client:
        figures = turns(max(3, bench.plan.rounds // 2), _works(bench, client, target, shape))
    for column, heading in zip(measured_peers.COLUMNS, measured_peers.HEADINGS, strict=True):
        value = median(figures[column])
        times = measured_peers.times_better(column, value)
        aim = measured_peers.AIMS.get(column)
        yield Row(
            line="peers",
            work=heading,
            value=value,
            unit="ms" if column == "list_ms" else "a second",
            floors={"best peer": measured_peers.best(column)},
            ratios={"best peer": times},
            aim=f"≥ {aim:g} × the best peer" if aim else "better than the best peer",
            met=times >= (aim or 1.0),
            note=_note(shape, column),
        )


def _works(
    bench: Bench, client: Client, target: Target, shape: Peers
) -> dict[str, Callable[[], float]]:
    works: dict[str, Callable[[], float]] = {}
    # The line of the checks asks the same of the same data.
    known = {row.work: row.value for row in bench.finished.get("check", ())}
    for kind in shape.kinds:
        # The harder one where it was measured: no answer comes out of memory.
        work = WORDS[kind] + NEW if WORDS[kind] + NEW in known else WORDS[kind]
        if work in known:
            # mypy cannot tell the type of a lambda with a default.
            works[kind] = lambda value=known[work]: value  # type: ignore[misc]
            continue
        load = check_load(bench, target, shape.questions(kind, bench.plan.distinct_questions))
        works[kind] = lambda load=load: load().rate  # type: ignore[misc]
    works["list_ms"] = _lister(client, shape)
    works["uploads"] = _uploader(client)
    works["writes"] = lambda: single_writes(target, 16, bench.plan.seconds)
    return works


def _note(shape: Peers, column: str) -> str:
    size = f"{shape.size:,} relationships"
    if column == "list_ms":
        return f"{size}, {shape.answers:,} answers"
    return f"{size}, 16 clients" if column == "writes" else size

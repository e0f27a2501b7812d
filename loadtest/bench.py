"""What the lines share: sizes, servers with loaded shapes, turns, and the rows they report."""

from __future__ import annotations

import contextlib
import json
import statistics
import threading
import time
from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Any, Self

from loadtest import floors
from loadtest.client import CHECK, Client, Target, check_body, expected
from loadtest.http_load import Load, Measured, run
from loadtest.processes import Server, ServerFaultError, timed, zeratul

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence
    from pathlib import Path
    from types import TracebackType

    from loadtest.shapes import Question, Shape


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """Sizes and times of a run. The figures of a quick run are of small data and short turns."""

    name: str
    rounds: int
    seconds: float
    connections: int
    distinct_questions: int
    new_questions: int
    peers_scale: float
    stored: tuple[int, ...]
    uploads: int
    import_rows: int
    synced_writes: int
    list_answers: int
    usersets: int
    pairs: int
    subjects: int
    depths: tuple[int, ...]
    folder_depths: tuple[int, ...]
    wide_groups: tuple[int, int]
    chains: int
    spot_rows: int
    spot_questions: int
    star_patterns: int
    live_grants: int


QUICK = Plan(
    name="quick",
    rounds=2,
    seconds=1.0,
    connections=8,
    distinct_questions=1_000,
    new_questions=0,
    peers_scale=0.1,
    stored=(0, 20_000, 100_000),
    uploads=8,
    import_rows=100_000,
    synced_writes=100,
    list_answers=20_000,
    usersets=5_000,
    pairs=4,
    subjects=20_000,
    depths=(1, 10, 100, 1_000),
    folder_depths=(1, 10, 100),
    wide_groups=(200, 50),
    chains=10,
    spot_rows=20_000,
    spot_questions=2_000,
    star_patterns=5_000,
    live_grants=20_000,
)
FULL = Plan(
    name="full",
    rounds=5,
    seconds=4.0,
    connections=8,
    distinct_questions=20_000,
    new_questions=40_000,
    peers_scale=1.0,
    stored=(0, 1_000_000, 10_000_000),
    uploads=20,
    import_rows=2_000_000,
    synced_writes=1_000,
    list_answers=1_000_000,
    usersets=100_000,
    pairs=6,
    subjects=1_000_000,
    depths=(1, 10, 100, 1_000),
    folder_depths=(1, 10, 100),
    wide_groups=(1_000, 500),
    chains=50,
    spot_rows=1_000_000,
    spot_questions=10_000,
    star_patterns=100_000,
    live_grants=1_000_000,
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """One result.

    Attributes:
        line: which line of the table of design §8 it belongs to.
        work: what was done, in words.
        value: the figure, in ``unit``; a median of turns.
        floors: figures of what it is compared with.
        ratios: medians of the ratios of each turn, by floor.
        aim: what the design asks for, in words; empty for a figure without aim.
        met: whether it was reached; None without aim, or where this run's sizes do not say.
    """

    line: str
    work: str
    value: float
    unit: str
    floors: Mapping[str, float] = field(default_factory=dict)
    ratios: Mapping[str, float] = field(default_factory=dict)
    aim: str = ""
    met: bool | None = None
    note: str = ""

    def to_json(self) -> dict[str, Any]:
        """Plain values."""
        return asdict(self)


def median(values: Sequence[float]) -> float:
    """The median of some values."""
    return float(statistics.median(values))


def ratio(values: Sequence[float], floor: Sequence[float]) -> float:
    """Median of the ratios of values measured in the same turn."""
    return median([value / under for value, under in zip(values, floor, strict=True)])


def turns(rounds: int, works: Mapping[str, Callable[[], float]]) -> dict[str, list[float]]:
    """Run all works one after the other, ``rounds`` times; their figures in order of the turns.

    What disturbs the machine for a while then disturbs all of them. Each second round runs
    backwards, so that none always comes after the same other.
    """
    figures: dict[str, list[float]] = {name: [] for name in works}
    for number in range(rounds):
        names = list(works)
        for name in names if number % 2 == 0 else reversed(names):
            figures[name].append(works[name]())
    return figures


class Background:
    """Repeats a piece of work in a thread while a block runs. Use as a context manager.

    Raises:
        Exception: at the end of the block, what the work raised.
    """

    def __init__(self, work: Callable[[], None], *, interval_s: float = 0.0) -> None:
        """``work`` is called again and again, at most once in an interval if one is given."""
        self._work = work
        self._interval_s = interval_s
        self._stop = threading.Event()
        self._started = threading.Event()
        self._error: Exception | None = None
        self._thread = threading.Thread(target=self._run, daemon=True)
        self.done = 0

    def _run(self) -> None:
        try:
            due = time.monotonic()
            while not self._stop.is_set():
                self._work()
                self.done += 1
                self._started.set()
                if self._interval_s:
                    # Late ones are not made up for: that would be a burst, not a steady rate.
                    due = max(due + self._interval_s, time.monotonic())
                    self._stop.wait(due - time.monotonic())
        except Exception as error:  # noqa: BLE001 - carried over to the thread that waits for it
            self._error = error
        finally:
            self._started.set()

    def __enter__(self) -> Self:
        self._thread.start()
        self._started.wait()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._stop.set()
        self._thread.join()
        if self._error is not None and error is None:
            raise self._error


@dataclass(slots=True)
class Stored:
    """A server of its own that holds one shape, for lines about size."""

    server: Server
    data: Path
    shape: Shape | None
    target: Target
    relationships: int
    seconds: float
    next_document: int = 0


class Bench:
    """Servers and loaded shapes, started when first needed. Use as a context manager."""

    def __init__(self, plan: Plan, directory: Path) -> None:
        self.plan = plan
        self.directory = directory
        self._stack = contextlib.ExitStack()
        self._servers: dict[str, Server] = {}
        self._loaded: dict[str, Target] = {}
        self._stored: dict[int, Stored] = {}
        self.finished: dict[str, list[Row]] = {}
        """Rows of the lines that ran before, for lines that show them in another light."""

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *details: object) -> None:
        self._stack.close()

    def _server(self, name: str, start: Callable[[], Server]) -> Server:
        found = self._servers.get(name)
        if found is None:
            found = self._servers[name] = self._stack.enter_context(start())
        return found

    def start(self, name: str, start: Callable[[], Server]) -> Server:
        """A server of a line's own, stopped with all others."""
        return self._server(name, start)

    def main(self) -> Server:
        """The server that most lines ask; each shape in an application of its own."""
        return self._server("main", lambda: zeratul(self.main_data))

    @property
    def main_data(self) -> Path:
        """The main server's data directory."""
        return self.directory / "main"

    def http_floors(self) -> dict[str, Target]:
        """The fair floor, and bare ones on asyncio's own loop and on uvloop."""
        starts: dict[str, Callable[[], Server]] = {
            "fair": lambda: floors.fair(self.directory / "floor"),
            "bare": lambda: floors.bare(self.directory / "bare.log"),
            "bare uvloop": lambda: floors.bare(self.directory / "uvloop.log", fast_loop=True),
        }
        started = {name: self._server(name, start) for name, start in starts.items()}
        return {name: Target(server.port, server.key) for name, server in started.items()}

    def loaded(self, name: str, shape: Shape) -> Target:
        """An application of the main server that holds the shape, imported once."""
        if name not in self._loaded:
            server = self.main()
            with Client(Target(server.port, server.key)) as client:
                application = client.create_application(name)
            target = Target(server.port, server.key, application)
            load_shape(target, shape)
            self._loaded[name] = target
        return self._loaded[name]

    def stored(self, relationships: int, make: Callable[[int], Shape]) -> Stored:
        """A server of its own holding about so many relationships, imported once."""
        if relationships not in self._stored:
            data = self.directory / f"stored-{relationships}"
            server = self._server(f"stored {relationships}", lambda: zeratul(data))
            target = Target(server.port, server.key)
            shape = make(relationships) if relationships else None
            made, seconds = 0, 0.0
            if shape is not None:
                made, seconds = load_shape(target, shape)
            self._stored[relationships] = Stored(server, data, shape, target, made, seconds)
        return self._stored[relationships]

    def server_of(self, target: Target) -> Server:
        """The server that listens on the target's port."""
        return next(each for each in self._servers.values() if each.port == target.port)

    def started(self) -> dict[str, Server]:
        """Every server that was started, by name."""
        return dict(self._servers)


def load_shape(target: Target, shape: Shape) -> tuple[int, float]:
    """Give the application the shape's model and import it; relationships made, and seconds.

    Raises:
        ServerFaultError: a line was rejected, or the counts are not the shape's.
    """
    with Client(target) as client:
        client.put_model(shape.model)
        with timed() as seconds:
            answer = client.import_chunks(shape.chunks())
    if answer["lines"] != shape.size or answer["created"] != shape.size:
        raise ServerFaultError(
            f"imported {shape.size:,} relationships: {json.dumps(answer)[:500]}"
        )
    return shape.size, seconds[0]


def check_load(
    bench: Bench, target: Target, questions: Sequence[Question], **changes: Any
) -> Callable[[], Measured]:
    """Checks over HTTP; all questions must have the same answer, which every answer is held to."""
    answers = {each.allowed for each in questions}
    if len(answers) != 1:
        raise ValueError("questions of one load have one answer")
    load = Load(
        target=target,
        path=CHECK,
        bodies=[check_body(each) for each in questions],
        expect=changes.pop("expect", expected(allowed=answers.pop())),
        connections=changes.pop("connections", bench.plan.connections),
        seconds=changes.pop("seconds", bench.plan.seconds),
        **changes,
    )
    return lambda: run(load)


def rows_of(name: str, rows: Iterator[Row]) -> list[Row]:
    """All rows of a line.

    Raises:
        ValueError: a row belongs to another line.
    """
    found = list(rows)
    if any(row.line != name for row in found):
        raise ValueError(f"a row of another line in {name}")
    return found

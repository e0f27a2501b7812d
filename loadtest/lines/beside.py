"""Checks while something heavy runs beside them on the same server."""

from __future__ import annotations

import json
from contextlib import nullcontext
from itertools import count
from typing import TYPE_CHECKING

from loadtest.bench import Background, Row, check_load, median, ratio
from loadtest.client import RELATIONSHIPS, WHAT_CAN, Client, bulk_body, write_body
from loadtest.extremes import Library
from loadtest.lines.lists import query_of
from loadtest.shapes import Peers, Sharing

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from contextlib import AbstractContextManager

    from loadtest.bench import Bench
    from loadtest.http_load import Measured

UPLOAD_DOCUMENTS = 1_250  # 5,000 writes
MEMBERSHIPS_PER_S = 100
P99_TIMES = 3.0
P99_MS = 1.5
RATE = 0.8


def uploading(client: Client, shape: Sharing) -> Callable[[], None]:
    """One bulk call of new relationships at each call."""
    first = count(shape.documents, UPLOAD_DOCUMENTS)

    def work() -> None:
        start = next(first)
        client.bulk(bulk_body(shape.documents_between(start, start + UPLOAD_DOCUMENTS)))

    return work


def listing(client: Client, subject: str) -> Callable[[], None]:
    """One whole list at each call, read and dropped."""

    def work() -> None:
        for _ in client.stream(WHAT_CAN, query_of(subject)):
            pass

    return work


def joining(client: Client, shape: Peers) -> Callable[[], None]:
    """One user joins one more group at each call: one that changes no known answer."""
    numbers = count()

    def work() -> None:
        number = next(numbers)
        user = number % shape.users
        # Groups under the same top group as the user's own: memos die, answers stay.
        group = number * 7 % (shape.LEVELS[3] // shape.TOPS) * shape.TOPS + user % shape.TOPS
        body = write_body((f"group:3-{group}", "member", f"user:u{user}"))
        client.send("POST", RELATIONSHIPS, json.dumps(body).encode()).read()

    return work


def beside(bench: Bench) -> Iterator[Row]:
    """The same checks alone, and beside an upload, a long list and membership writes."""
    plan = bench.plan
    shape = Peers(plan.peers_scale)
    target = bench.loaded("peers", shape)
    library = Library(plan.list_answers)
    sharing = Sharing(20_000)
    questions = [
        asked
        for kind in ("direct", "nested", "inherited")
        for asked in shape.questions(kind, plan.distinct_questions)
    ]
    checks = check_load(bench, target, questions, connections=4)
    with (
        Client(bench.loaded("writes", sharing)) as uploader,
        Client(bench.loaded("library", library)) as lister,
        Client(target) as joiner,
    ):
        backgrounds: dict[str, tuple[Callable[[], None], float]] = {
            "a bulk upload": (uploading(uploader, sharing), 0.0),
            f"a list of {library.answers:,} answers": (listing(lister, library.READER), 0.0),
            f"{MEMBERSHIPS_PER_S} membership writes a second": (
                joining(joiner, shape),
                1 / MEMBERSHIPS_PER_S,
            ),
        }
        checks()  # A first turn warms what the quiet ones would otherwise pay for.
        for name, (work, interval_s) in backgrounds.items():
            quiet: list[Measured] = []
            loaded: list[Measured] = []
            beside_rates: list[float] = []
            for number in range(plan.rounds):
                # Both orders, so that neither always profits from the other.
                for is_quiet in (True, False) if number % 2 == 0 else (False, True):
                    background: AbstractContextManager[Background | None] = (
                        nullcontext() if is_quiet else Background(work, interval_s=interval_s)
                    )
                    with background as running:
                        measured = checks()
                        if running is not None:
                            beside_rates.append(running.done / measured.seconds)
                    (quiet if is_quiet else loaded).append(measured)
            yield _row(name, quiet, loaded, median(beside_rates))


def _row(name: str, quiet: list[Measured], loaded: list[Measured], beside_rate: float) -> Row:
    p99_ms = median([each.p99_ms for each in loaded])
    times = ratio([each.p99_ms for each in loaded], [each.p99_ms for each in quiet])
    rate = ratio([each.rate for each in loaded], [each.rate for each in quiet])
    met = times <= P99_TIMES or p99_ms <= P99_MS
    aim = f"p99 ≤ {P99_TIMES:g} × or ≤ {P99_MS} ms"
    if "membership" in name:
        met = met and rate >= RATE
        aim += f", rate ≥ {RATE}"
    p50s = [median([each.p50_ms for each in runs]) for runs in (quiet, loaded)]
    return Row(
        line="beside",
        work=f"checks beside {name}, p99",
        value=p99_ms,
        unit="ms",
        floors={
            "quiet p99": median([each.p99_ms for each in quiet]),
            "quiet rate": median([each.rate for each in quiet]),
        },
        ratios={"quiet p99": times, "quiet rate": rate},
        aim=aim,
        met=met,
        note=f"p50 {p50s[1]:.2f} ms (quiet {p50s[0]:.2f} ms); beside: {beside_rate:,.1f} a second",
    )

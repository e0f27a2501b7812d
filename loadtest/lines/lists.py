"""Everything a user can read: a million answers as one stream, as pages, and its first page."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from pyroaring import BitMap

from loadtest import floors
from loadtest.bench import Row, median, ratio, turns
from loadtest.client import WHAT_CAN, Client, WrongAnswerError
from loadtest.extremes import Library
from loadtest.processes import ServerFaultError, timed

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from loadtest.bench import Bench

PAGE = 1_000


def query_of(subject: str) -> dict[str, str]:
    """The query of everything a subject can read."""
    return {"subject": subject, "resource": "document", "action": "read"}


def stream_all(client: Client, subject: str) -> tuple[list[bytes], float]:
    """All lines of the NDJSON answer, and the seconds until the last one came."""
    with timed() as seconds:
        pieces = list(client.stream(WHAT_CAN, query_of(subject)))
    return b"".join(pieces).splitlines(), seconds[0]


def compare_list(rows: Iterable[dict[str, Any]], expected: set[str], what: str) -> None:
    """Hold a list to the right one: each once, none missing, none too many.

    Raises:
        WrongAnswerError: it differs.
    """
    left = set(expected)
    for row in rows:
        name = row["resourceId"]
        if name not in left:
            raise WrongAnswerError(f"{what}: `{name}` is wrong or came twice")
        left.discard(name)
    if left:
        raise WrongAnswerError(f"{what}: {len(left):,} missing, such as `{min(left)}`")


def compare_stream(lines: list[bytes], expected: set[str], what: str) -> None:
    """Hold a stream and its closing line to the right answer.

    Raises:
        WrongAnswerError: rows or total differ.
        ServerFaultError: the stream did not end with its closing line.
    """
    *rows, last = lines
    closing = json.loads(last)
    if closing.get("complete") is not True:
        raise ServerFaultError(f"{what}: the stream ended with {last[:200]!r}")
    compare_list((json.loads(row) for row in rows), expected, what)
    if closing["total"] != len(expected):
        raise WrongAnswerError(f"{what}: total {closing['total']:,}, not {len(expected):,}")


def read_pages(client: Client, subject: str) -> tuple[list[dict[str, Any]], float]:
    """All pages one after the other: their rows, and the seconds of the requests."""
    rows: list[dict[str, Any]] = []
    spent = 0.0
    query = query_of(subject) | {"pageSize": str(PAGE)}
    while True:
        page, taken = client.page(WHAT_CAN, query)
        spent += taken
        rows += page["data"]
        if not page["nextCursor"]:
            if page.get("complete") is not True:
                raise ServerFaultError("the last page does not say that it is complete")
            return rows, spent
        query["cursor"] = page["nextCursor"]


def _first_page(client: Client, shape: Library) -> float:
    page, taken = client.page(
        WHAT_CAN, query_of(shape.READER) | {"pageSize": "50", "total": "true"}
    )
    if page["total"] != shape.answers or len(page["data"]) != min(50, shape.answers):
        raise WrongAnswerError(f"first page: total {page['total']:,}, not {shape.answers:,}")
    return taken * 1e3


def what_can(bench: Bench) -> Iterator[Row]:
    """One user who can read very many documents."""
    shape = Library(bench.plan.list_answers)
    target = bench.loaded("library", shape)
    expected = {f"book{number}" for number in range(shape.answers)}
    what = "everything the reader can read"
    with Client(target) as client, floors.RawTables(bench.directory / "raw-list") as raw:
        raw.put_names(b"\0\0\0\1\0\0\0\2book%d" % number for number in range(shape.answers))
        nodes = BitMap(range(shape.answers))

        def floor() -> float:
            found, seconds = raw.read_names(nodes)
            return found / seconds

        def json_floor() -> float:
            found, seconds = raw.read_names(nodes, as_json=True)
            return found / seconds

        def stream() -> float:
            lines, seconds = stream_all(client, shape.READER)
            compare_stream(lines, expected, what)
            return shape.answers / seconds

        def pages() -> float:
            rows, seconds = read_pages(client, shape.READER)
            compare_list(rows, expected, what + ", in pages")
            return shape.answers / seconds

        cold_ms = _first_page(client, shape)
        works = {
            "floor": floor,
            "JSON floor": json_floor,
            "stream": stream,
            "pages": pages,
            "first": lambda: _first_page(client, shape),
        }
        figures = turns(max(2, bench.plan.rounds // 2), works)
    yield from _rows(shape, figures, cold_ms)


def _rows(shape: Library, figures: dict[str, list[float]], cold_ms: float) -> Iterator[Row]:
    times = ratio(figures["stream"], figures["floor"])
    yield Row(
        line="list",
        work=f"what-can of {shape.answers:,} answers, one stream",
        value=median(figures["stream"]),
        unit="answers/s",
        floors={
            "bitmap and names": median(figures["floor"]),
            "… and JSON lines": median(figures["JSON floor"]),
        },
        ratios={
            "bitmap and names": times,
            "… and JSON lines": ratio(figures["stream"], figures["JSON floor"]),
        },
        aim="≥ 0.5 of bitmap and names",
        met=times >= 0.5,
    )
    first_ms = median(figures["first"])
    yield Row(
        line="list",
        work=f"first page and total of {shape.answers:,} answers",
        value=first_ms,
        unit="ms",
        aim="milliseconds: ≤ 100 ms",
        met=first_ms <= 100,
        note=f"the very first one: {cold_ms:.1f} ms",
    )
    slower = ratio(figures["stream"], figures["pages"])
    yield Row(
        line="list",
        work=f"all pages of {PAGE:,} together",
        value=median(figures["pages"]),
        unit="answers/s",
        floors={"one stream": median(figures["stream"])},
        ratios={"one stream": 1 / slower},
        aim="≤ 3 × one full list",
        met=slower <= 3,
        note=f"{slower:.2f} × the time of one stream",
    )

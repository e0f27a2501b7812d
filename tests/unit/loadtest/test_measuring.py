"""The load maker, the turns and the report: figures are right, wrong answers never pass."""

from __future__ import annotations

import asyncio
import json
import threading
from collections import Counter
from contextlib import suppress
from typing import TYPE_CHECKING, Self

import pytest
from pyroaring import BitMap

from loadtest import bench, client, floors, http_load, peers, report
from loadtest.__main__ import main
from loadtest.lines import LINES
from loadtest.lines.checks import compare_batch
from loadtest.lines.lists import compare_list, compare_stream
from loadtest.processes import ServerFaultError
from loadtest.shapes import Sharing, question

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

MAKERS = ["asyncio", *(["wrk"] if http_load.wrk_installed() else [])]


class Answering:
    """A tiny server in a thread: answers yes, except for documents whose id begins with ``no``."""

    def __init__(self) -> None:
        self.bodies: Counter[bytes] = Counter()
        self.port = 0
        self._ready = threading.Event()
        self._loop = asyncio.new_event_loop()
        self._stop: asyncio.Event | None = None
        self._open: set[asyncio.Task[object]] = set()
        self._thread = threading.Thread(
            target=self._loop.run_until_complete, args=(self._serve(),)
        )

    def __enter__(self) -> Self:
        self._thread.start()
        self._ready.wait()
        return self

    def __exit__(self, *details: object) -> None:
        assert self._stop is not None
        self._loop.call_soon_threadsafe(self._stop.set)
        self._thread.join()
        self._loop.close()

    async def _serve(self) -> None:
        self._stop = asyncio.Event()
        server = await asyncio.start_server(self._answer, "127.0.0.1", 0)
        self.port = server.sockets[0].getsockname()[1]
        self._ready.set()
        await self._stop.wait()
        server.close()
        if self._open:  # the load has ended, and so do these
            await asyncio.wait(self._open)

    async def _answer(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._open.add(task)
        try:
            while True:
                head = await reader.readuntil(b"\r\n\r\n")
                length = int(head.lower().split(b"content-length:")[1].split(b"\r\n")[0])
                body = await reader.readexactly(length)
                self.bodies[body] += 1
                denied = json.loads(body)["resourceId"].startswith("no")
                answer = b'{"allowed":%s}' % (b"false" if denied else b"true")
                writer.write(
                    b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%b" % (len(answer), answer)
                )
        except (asyncio.IncompleteReadError, ConnectionError):
            writer.close()
            with suppress(ConnectionError):
                await writer.wait_closed()
        finally:
            self._open.discard(task)


@pytest.fixture(params=MAKERS)
def maker(request, monkeypatch) -> str:
    monkeypatch.setattr(http_load, "wrk_installed", lambda: request.param == "wrk")
    return str(request.param)


@pytest.fixture
def answering() -> Iterator[Answering]:
    with Answering() as server:
        yield server


def load_of(server: Answering, documents: list[str], **changes: object) -> http_load.Load:
    target = client.Target(server.port, "key")
    bodies = [client.check_body(question("u", document, allowed=True)) for document in documents]
    values: dict[str, object] = {
        "target": target,
        "path": client.CHECK,
        "bodies": bodies,
        "expect": client.expected(allowed=True),
        "connections": 3,
        "seconds": 1.0,
    }
    return http_load.Load(**(values | changes))  # type: ignore[arg-type]


@pytest.mark.slow
def test_load_sends_every_body_in_turns(maker: str, answering: Answering) -> None:
    """All distinct bodies are sent about equally often, and the rate is what was counted."""
    measured = http_load.run(load_of(answering, [f"d{number}" for number in range(20)]))

    assert len(answering.bodies) == 20
    assert max(answering.bodies.values()) - min(answering.bodies.values()) <= 1
    assert 0 <= sum(answering.bodies.values()) - measured.requests <= 3
    assert measured.rate == measured.requests / measured.seconds
    assert 0 < measured.p50_ms <= measured.p99_ms <= measured.max_ms


@pytest.mark.slow
def test_load_numbers_each_body(maker: str, answering: Answering) -> None:
    """With a prefix and a suffix no body is sent twice."""
    load = load_of(
        answering,
        [],
        bodies=None,
        prefix='{"resourceId":"w-',
        suffix='","subject":"user:u"}',
    )
    http_load.run(load)

    assert len(answering.bodies) > 1
    assert set(answering.bodies.values()) == {1}


@pytest.mark.slow
def test_one_wrong_answer_among_many_fails_the_load(maker: str, answering: Answering) -> None:
    """A wrong answer is an error that shows it, however many right ones there are."""
    documents = [f"d{number}" for number in range(50)] + ["no"]

    with pytest.raises(client.WrongAnswerError, match='"allowed":false'):
        http_load.run(load_of(answering, documents))


@pytest.mark.slow
def test_nobody_listening_is_a_fault(maker: str) -> None:
    """Load on a port where no server is does not count as anything measured."""
    with Answering() as server:
        load = load_of(server, ["d"])

    with pytest.raises(ServerFaultError):
        http_load.run(load)


def test_unbounded_load_is_refused(answering: Answering) -> None:
    """A run has a longest time, a number of connections, and something to send."""
    refused: list[dict[str, object]] = [
        {"seconds": 1e6},
        {"seconds": 0},
        {"connections": 10_000},
        {"bodies": []},
    ]
    for changes in refused:
        with pytest.raises(ValueError):
            load_of(answering, ["d"], **changes)


def test_wire_compares_answers(answering: Answering) -> None:
    """A single check on a raw socket returns its time, and refuses a wrong answer."""
    with client.Wire(client.Target(answering.port, "key")) as wire:
        assert wire.check(question("u", "d", allowed=True)) > 0
        assert wire.check(question("u", "no", allowed=False)) > 0
        with pytest.raises(client.WrongAnswerError):
            wire.check(question("u", "no", allowed=True))


def test_batch_answers_are_compared_in_order() -> None:
    """Two answers exchanged are two wrong answers."""
    asked = [question("u", "a", allowed=True), question("u", "b", allowed=False)]
    right = [{"allowed": True}, {"allowed": False}]
    head = b"HTTP/1.1 200 OK\r\n\r\n"

    compare_batch(head + json.dumps({"results": right}).encode(), asked)
    with pytest.raises(client.WrongAnswerError):
        compare_batch(head + json.dumps({"results": right[::-1]}).encode(), asked)
    with pytest.raises(ServerFaultError):
        compare_batch(b"HTTP/1.1 500 Oops\r\n\r\n{}", asked)


def test_lists_are_compared_exactly() -> None:
    """A missing row, a doubled one, a foreign one and a cut stream are each refused."""
    rows = [{"resourceId": "a"}, {"resourceId": "b"}]
    compare_list(rows, {"a", "b"}, "list")
    for wrong in (rows[:1], [*rows, rows[0]], [*rows, {"resourceId": "c"}]):
        with pytest.raises(client.WrongAnswerError):
            compare_list(wrong, {"a", "b"}, "list")

    lines = [json.dumps(row).encode() for row in rows]
    compare_stream([*lines, b'{"complete":true,"total":2}'], {"a", "b"}, "stream")
    with pytest.raises(client.WrongAnswerError):
        compare_stream([*lines, b'{"complete":true,"total":3}'], {"a", "b"}, "stream")
    with pytest.raises(ServerFaultError):
        compare_stream(lines, {"a", "b"}, "stream")


def test_turns_interleave_and_alternate() -> None:
    """Every round runs all works; each second one backwards; figures come in order of rounds."""
    order: list[str] = []

    def work(name: str) -> float:
        order.append(name)
        return float(len(order))

    figures = bench.turns(3, {"a": lambda: work("a"), "b": lambda: work("b")})

    assert order == ["a", "b", "b", "a", "a", "b"]
    assert figures == {"a": [1.0, 4.0, 5.0], "b": [2.0, 3.0, 6.0]}
    assert bench.ratio([2.0, 30.0, 4.0], [1.0, 10.0, 4.0]) == 2.0


def test_background_repeats_until_the_block_ends() -> None:
    """The work runs at least once before the block, and what it raises is raised by the block."""
    calls: list[int] = []
    with bench.Background(lambda: calls.append(1)) as running:
        assert calls
    assert running.done == len(calls)

    def fail() -> None:
        raise ServerFaultError("gone")

    with pytest.raises(ServerFaultError, match="gone"), bench.Background(fail):
        pass


def test_raw_tables_hold_every_row_both_ways(tmp_path: Path) -> None:
    """Appended and uploaded rows are all there, and take pages."""
    sharing = Sharing(2_000)
    rows = sharing.numbers_between(0, sharing.documents)
    with floors.RawTables(tmp_path / "raw") as raw:
        assert raw.append(rows) > 0
        assert raw.upload(sharing.numbers_between(sharing.documents, sharing.documents + 10)) > 0
        raw.put_names(b"name%d" % number for number in range(3_000))
        found, seconds = raw.read_names(BitMap(range(500, 2_600)))
        assert found == 2_100
        assert seconds > 0
        with raw._environment.begin() as transaction:
            for table in raw._tables:
                assert transaction.stat(table)["entries"] == len(rows) + 40
    sizes = floors.table_bytes(tmp_path)
    assert set(sizes) == {"forward", "reverse", "nodes"}
    assert all(sizes.values())


def test_append_and_sync_counts(tmp_path: Path) -> None:
    """Each write is in the file when the rate is told."""
    assert floors.append_and_sync(tmp_path / "log", 5) > 0
    assert (tmp_path / "log").stat().st_size == 500


def test_peers_table_is_whole() -> None:
    """Every column has a heading and a best peer; better is higher, for a list lower."""
    assert len(peers.COLUMNS) == len(peers.HEADINGS)
    assert peers.best("direct") == 2_800
    assert peers.best("list_ms") == 131
    assert peers.best("writes") == 690
    assert peers.times_better("direct", 28_000) == 10
    assert peers.times_better("list_ms", 13.1) == pytest.approx(10)


def test_report_shows_short_lines_and_failures(tmp_path: Path, capsys) -> None:
    """What falls short and what failed is named; the JSON file holds every row."""
    row = bench.Row(
        line="check",
        work="check, direct",
        value=12_345.6,
        unit="requests/s",
        floors={"fair": 20_000.0},
        ratios={"fair": 0.617},
        aim="fair ≥ 0.8",
        met=False,
    )
    report.print_line("check", [row])
    report.print_all([row], {"list": "WrongAnswerError: one missing"}, "quick run")
    printed = capsys.readouterr().out

    assert "12,346 requests/s" in printed
    assert "short: check, direct" in printed
    assert "FAILED list: WrongAnswerError" in printed
    assert "0 of 1 aims met" in printed

    out = tmp_path / "deep" / "result.json"
    report.write(out, report.summary([row], {}, "quick", 1.0))
    written = json.loads(out.read_text())
    assert written["rows"][0]["ratios"] == {"fair": 0.617}
    assert written["failures"] == {}


def test_list_option_names_every_line(capsys) -> None:
    """``--list`` shows each line with its first sentence."""
    assert main(["--list"]) == 0
    printed = capsys.readouterr().out

    assert all(name in printed for name in LINES)
    assert len(printed.splitlines()) == len(LINES)


def test_chunked_answers_are_whole_and_joined() -> None:
    """A chunked response ends with its last chunk; its body is the chunks' content."""
    head = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
    response = head + b'a\r\n{"results"\r\n4\r\n:[]}\r\n0\r\n\r\n'

    assert client.response_size(response) == len(response)
    assert client.response_size(response[:-1]) is None
    assert client.response_size(head[:-1]) is None
    assert client.body_of(response) == b'{"results":[]}'
    with pytest.raises(ServerFaultError):
        client.response_size(b"HTTP/1.1 200 OK\r\n\r\nwhat")

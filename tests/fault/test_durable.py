"""Durable over HTTP: the disk sync ends before the first byte of a write's answer goes out.

Shown by the system calls of a running server (strace), for a write that a worker commits itself
and for a bulk call that goes to the process for heavy calls and back.
"""

from __future__ import annotations

import re
import shutil
from pathlib import Path
from typing import NamedTuple

import pytest

from tests.api.client import FACTS, MODEL, fact
from tests.running import DEFAULT_MODEL, ServerProcess

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(shutil.which("strace") is None, reason="needs strace"),
]

CALLS = (
    "fdatasync,fsync,msync,pwrite64,pwritev,write,writev,sendto,sendmsg,read,recvfrom,recvmsg,"
    "openat"
)
# Process, time, then a call that is whole, begins, or ends.
_LINE = re.compile(r"(?P<pid>\d+) +(?P<time>[\d.]+) (?P<call>.*)")
_RESUMED = re.compile(r"<\.\.\. (\w+) resumed>(.*)")


class Call(NamedTuple):
    """A system call: when it began and ended, as positions in the trace."""

    pid: int
    began: int
    ended: int
    text: str

    def writes(self, body: str) -> bool:
        """Whether it sends something of this text."""
        return re.match(r"(write|writev|sendto|sendmsg)\(", self.text) is not None and (
            body in self.text
        )

    @property
    def succeeded(self) -> bool:
        return re.search(r"= \d+$", self.text) is not None


def calls(log: Path) -> list[Call]:
    """All calls of a trace, by their beginnings; those cut in two are put together."""
    found: list[Call] = []
    begun: dict[int, tuple[int, str]] = {}
    for number, line in enumerate(log.read_text(errors="replace").splitlines()):
        match = _LINE.fullmatch(line)
        if match is None:
            continue
        pid, text = int(match["pid"]), match["call"]
        if text.endswith("<unfinished ...>"):
            begun[pid] = (number, text.removesuffix("<unfinished ...>"))
        elif resumed := _RESUMED.match(text):
            began, head = begun.pop(pid)
            found.append(Call(pid, began, number, head + resumed[2]))
        else:
            found.append(Call(pid, number, number, text))
    return sorted(found, key=lambda call: call.began)


def only(found: list[Call], why: str) -> Call:
    """The one call there must be."""
    assert len(found) == 1, (why, found)
    return found[0]


async def test_the_disk_is_synced_before_a_write_is_answered(tmp_path: Path) -> None:
    """Request read, pages written, synced, meta page written through O_DSYNC; then the answer."""
    log = tmp_path / "trace"
    prefix = ("strace", "-f", "-qq", "-ttt", "-s", "512", "-o", str(log), "-e", f"trace={CALLS}")
    with ServerProcess(tmp_path / "data", prefix=prefix) as server:
        async with server.client() as client:
            await client.ask("PUT", DEFAULT_MODEL, MODEL)
            made = await client.call(
                "POST",
                FACTS,
                fact("document:traced#viewer@user:single"),
                headers={"X-Request-Id": "traced-single"},
            )
            bulk = await client.call(
                "POST",
                f"{FACTS}/bulk",
                {"writes": [fact("document:traced#viewer@user:bulk")]},
                headers={"X-Request-Id": "traced-bulk"},
            )
        assert (made.status, bulk.status) == (201, 200)
        threads = {slot: threads_of(pid) for slot, pid in server.pids().items()}

    trace = calls(log)
    synced_between(trace, "traced-single", "HTTP/1.1 201", threads["web-0"])
    synced_between(trace, "traced-bulk", "HTTP/1.1 200", threads["heavy"])


def synced_between(trace: list[Call], mark: str, status: str, threads: set[int]) -> None:
    """Between reading a request and writing its answer everything is on the disk."""
    read = [call for call in trace if call.text.startswith(("read", "recv")) and mark in call.text]
    answers = [call for call in trace if call.writes(mark) and status in call.text]
    assert read, "the request was not traced"
    assert answers, "the answer was not traced"
    # Where a call passes through two processes: before even the first of them writes an answer.
    answer = answers[0]
    between = [call for call in trace if read[0].ended < call.began and call.pid in threads]
    between = [call for call in between if call.began < answer.began]
    sync = only([call for call in between if re.match(r"f(data)?sync\(", call.text)], "a sync")
    [data_file] = re.findall(r"sync\((\d+)\)", sync.text)
    [meta_file] = {
        match[1]
        for call in trace
        if call.pid in threads
        and (match := re.search(r"data\.mdb.*O_DSYNC.* = (\d+)$", call.text)) is not None
    }
    pages = [call for call in between if re.match(rf"p?write(v|64)?\({data_file},", call.text)]
    written = [call for call in between if re.match(rf"p?write(v|64)?\({meta_file},", call.text)]
    meta = only(written, "a meta page")
    assert pages, "no page was written"
    assert {call.pid for call in (*pages, sync, meta)} == {sync.pid}
    assert all(call.succeeded for call in (*pages, sync, meta))
    assert max(call.ended for call in pages) < sync.began
    assert sync.ended < meta.began
    assert meta.ended < answer.began


def threads_of(process: int) -> set[int]:
    """The numbers under which its calls are traced."""
    return {int(task.name) for task in Path(f"/proc/{process}/task").iterdir()}

"""What the lines are compared with: two HTTP floors, and LMDB without anything around it.

*bare* is an aiohttp application that answers a constant. *fair* is the server itself with its
middlewares, key check, metrics, event loop and body decoding, whose check then answers a constant
(``serve --floor``). The raw floors write and read rows of the same layout and size as a store's,
in two tables (both directions), with the library alone.
"""

from __future__ import annotations

import os
import sys
import time
from typing import TYPE_CHECKING, Any, Self

import lmdb
import numpy as np
import orjson

from loadtest.client import CHECK, CHECK_MANY
from loadtest.processes import HOST, Server, zeratul

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from numpy.typing import NDArray
    from pyroaring import BitMap

MAP_BYTES = 1 << 37  # Sparse: address space, not disk.
FILL_ROWS = 100_000
ZOOKIE = "AAAAAAAAAAAAAAAA"
ANSWER = {"allowed": True, "viaRole": False, "viaDirectGrant": True}
CONSTANT = orjson.dumps({**ANSWER, "zookie": ZOOKIE})

# Resource u32, slot u32, subject slot u32 -> subject u32, created u48: as wide as a store's rows.
KEY_BYTES = 12
VALUE_BYTES = 10
_ROW = np.dtype([("key", ">u4", 3), ("other", ">u4"), ("high", ">u2"), ("low", ">u4")])


# A name behind its application and type, and the line of a list that is made of it.
NAME_HEAD = 8
NAME_LINE = b'{"resource":"document","resourceId":"%b","via":["group"]}\n'


# --- HTTP ------------------------------------------------------------------------------------


def serve_bare(port: int, *, fast_loop: bool) -> None:
    """Serve a constant until the process is stopped."""
    # Imported here: the load test itself needs no server library.
    from aiohttp import web  # noqa: PLC0415

    async def constant(request: web.Request) -> web.Response:
        del request
        return web.Response(body=CONSTANT, content_type="application/json")

    application = web.Application()
    application.router.add_post(CHECK, constant)
    application.router.add_post(CHECK_MANY, constant)
    application.router.add_get("/readyz", constant)
    if fast_loop:
        import uvloop  # noqa: PLC0415

        uvloop.install()
    web.run_app(application, host=HOST, port=port, print=None, access_log=None)


def bare(log: Path, *, fast_loop: bool = False) -> Server:
    """The bare floor, started; with uvloop if asked.

    Raises:
        ServerFaultError: it is not ready in time.
    """
    return Server(["-m", "loadtest.floors", "{port}", "uvloop" if fast_loop else "asyncio"], log)


def fair(data: Path) -> Server:
    """The fair floor, started.

    Raises:
        ServerFaultError: it is not ready in time.
    """
    return zeratul(data, options=["--floor"])


# --- LMDB ------------------------------------------------------------------------------------


def packed(rows: NDArray[np.uint32], *, reverse: bool) -> NDArray[np.void]:
    """Rows (resource, slot, subject slot, subject) as key and value bytes, unsorted."""
    made = np.empty(len(rows), dtype=_ROW)
    near, far = (3, 0) if reverse else (0, 3)
    made["key"][:, 0] = rows[:, near]
    made["key"][:, 1:] = rows[:, 1:3]
    made["other"] = rows[:, far]
    made["high"] = 0
    made["low"] = 1
    return made


def _pairs(made: NDArray[np.void]) -> list[tuple[bytes, bytes]]:
    """What ``putmulti`` takes."""
    text = made.tobytes()
    width = KEY_BYTES + VALUE_BYTES
    middle = KEY_BYTES
    return [
        (text[at : at + middle], text[at + middle : at + width])
        for at in range(0, len(text), width)
    ]


class RawTables:
    """Two DUPSORT, DUPFIXED tables in an environment of their own. Use as a context manager."""

    def __init__(self, path: Path) -> None:
        self._environment: Any = lmdb.open(str(path), map_size=MAP_BYTES, max_dbs=4)
        self._tables = [
            self._environment.open_db(name, dupsort=True, dupfixed=True)
            for name in (b"forward", b"reverse")
        ]
        self._names = self._environment.open_db(b"nodes")

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *details: object) -> None:
        self._environment.close()

    def append(self, rows: NDArray[np.uint32]) -> float:
        """Sort all rows both ways and append them in one durable commit, the tables being empty.

        Returns:
            Seconds, the sorting and packing included.
        """
        started = time.perf_counter()
        with self._environment.begin(write=True) as transaction:
            for table, is_reverse in zip(self._tables, (False, True), strict=True):
                near, far = (3, 0) if is_reverse else (0, 3)
                order = np.lexsort((rows[:, far], rows[:, 2], rows[:, 1], rows[:, near]))
                with transaction.cursor(table) as cursor:
                    for start in range(0, len(rows), FILL_ROWS):
                        chosen = rows[order[start : start + FILL_ROWS]]
                        pairs = _pairs(packed(chosen, reverse=is_reverse))
                        cursor.putmulti(pairs, dupdata=True, append=True)
        return time.perf_counter() - started

    def upload(self, rows: NDArray[np.uint32]) -> float:
        """``putmulti`` the rows as they come into both tables and commit durably; seconds."""
        started = time.perf_counter()
        with self._environment.begin(write=True) as transaction:
            for table, is_reverse in zip(self._tables, (False, True), strict=True):
                with transaction.cursor(table) as cursor:
                    cursor.putmulti(_pairs(packed(rows, reverse=is_reverse)), dupdata=True)
        return time.perf_counter() - started

    def single(self, number: int) -> None:
        """One row in both tables, committed durably."""
        row = np.array([[number + (1 << 31), 1, 8, number]], dtype=np.uint32)
        self.upload(row)

    def put_names(self, names: Iterator[bytes]) -> None:
        """Names by ascending node, from 0."""
        with self._environment.begin(write=True) as transaction:
            for node, name in enumerate(names):
                transaction.put(node.to_bytes(4, "big"), name, db=self._names, append=True)

    def read_names(self, nodes: BitMap, *, as_json: bool = False) -> tuple[int, float]:
        """Iterate a bitmap and read every name, and make JSON lines of them if asked.

        Returns:
            How many came, and the seconds it took.
        """
        started = time.perf_counter()
        found = 0
        with self._environment.begin() as transaction, transaction.cursor(self._names) as cursor:
            wanted = np.frombuffer(nodes.to_array(), dtype=np.uint32)
            for start in range(0, len(wanted), 1_000):
                keys = wanted[start : start + 1_000].astype(">u4").tobytes()
                pairs = cursor.getmulti([keys[at : at + 4] for at in range(0, len(keys), 4)])
                names = [name for _, name in pairs]
                found += len(names)
                if as_json:
                    b"".join([NAME_LINE % name[NAME_HEAD:] for name in names])
        return found, time.perf_counter() - started


def _pages(statistics: dict[str, int]) -> int:
    pages = ("branch_pages", "leaf_pages", "overflow_pages")
    return statistics["psize"] * sum(statistics[name] for name in pages)


def table_bytes(data: Path) -> dict[str, int]:
    """Bytes of the pages of each table of a store's environment, read beside its server."""
    sizes: dict[str, int] = {}
    path = next(iter(sorted(data.rglob("data.mdb")))).parent
    environment: Any = lmdb.open(str(path), readonly=True, max_dbs=64, map_size=0)
    try:
        with environment.begin() as transaction:
            for name, _ in list(transaction.cursor()):
                table = environment.open_db(name, transaction, create=False)
                sizes[name.decode()] = _pages(transaction.stat(table))
    finally:
        environment.close()
    return sizes


def append_and_sync(path: Path, count: int) -> float:
    """Append 100 bytes and ``fdatasync``, ``count`` times; how many a second."""
    descriptor = os.open(path, os.O_CREAT | os.O_WRONLY | os.O_APPEND, 0o600)
    try:
        started = time.perf_counter()
        for _ in range(count):
            os.write(descriptor, b"x" * 100)
            os.fdatasync(descriptor)
        return count / (time.perf_counter() - started)
    finally:
        os.close(descriptor)


# --- Bodies ----------------------------------------------------------------------------------


def recode(bodies: Sequence[bytes], items: int, *, seconds: float) -> float:
    """Decode bulk check bodies of ``items`` questions, encode as many answers; items a second."""
    done = 0
    started = time.perf_counter()
    while (taken := time.perf_counter() - started) < seconds:
        questions = orjson.loads(bodies[done % len(bodies)])["checks"]
        orjson.dumps({"results": [ANSWER for _ in questions], "zookie": ZOOKIE})
        done += 1
    return done * items / taken


if __name__ == "__main__":
    serve_bare(int(sys.argv[1]), fast_loop=sys.argv[2] == "uvloop")

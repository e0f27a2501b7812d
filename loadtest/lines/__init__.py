"""The lines of the table of design §8 and of the native contract, one function each, in order.

A line runs its work and what it is compared with in turns, and yields rows. It raises
``WrongAnswerError`` or ``ServerFaultError`` for an answer that is wrong or missing, never for a
slow one.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from loadtest.lines.beside import beside
from loadtest.lines.checks import batch, check, depth
from loadtest.lines.heavy import heavy
from loadtest.lines.lists import what_can
from loadtest.lines.native import edits, paths, roles
from loadtest.lines.peers import peers
from loadtest.lines.sizes import disk, growth, memory
from loadtest.lines.spot import spot
from loadtest.lines.writes import bulk, offline_import, writes

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from loadtest.bench import Bench, Row

LINES: dict[str, Callable[[Bench], Iterator[Row]]] = {
    "check": check,
    "batch": batch,
    "peers": peers,
    "writes": writes,
    "list": what_can,
    "heavy": heavy,
    "depth": depth,
    "beside": beside,
    "import": offline_import,
    "bulk": bulk,
    "growth": growth,
    "disk": disk,
    "spot": spot,
    "paths": paths,
    "roles": roles,
    "edits": edits,
    "memory": memory,
}
"""Every line by the name that ``--only`` takes; memory comes last, after all work."""

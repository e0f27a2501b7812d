"""What the best peers did with the same shape of data (design §8).

Measured once, on another day, each alone on one core over HTTP with its database on the same core:
244,000 relationships, groups nested four deep, folders six to a folder; medians. So they are a
landmark, not a floor: nothing here was run beside ours.
"""

from __future__ import annotations

from dataclasses import dataclass

MEASURED = "measured elsewhere, in one run on another day, each alone on one core"
COLUMNS = ("direct", "nested", "inherited", "denied", "list_ms", "uploads", "writes")
HEADINGS = (
    "direct check/s",
    "through nested groups",
    "inherited from folder",
    "denied",
    "21,662 answers, ms",
    "uploads/s",
    "single durable writes/s",
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Peer:
    """One system's figures: checks, uploads and writes a second, milliseconds of the list."""

    name: str
    direct: float
    nested: float
    inherited: float
    denied: float
    list_ms: float
    uploads: float
    writes: float | None
    note: str = ""


PEERS = (
    Peer(
        name="SpiceDB 2026-08, PostgreSQL",
        direct=1_350,
        nested=240,
        inherited=200,
        denied=133,
        list_ms=560,
        uploads=23_000,
        writes=480,
        note="gRPC 2,390 direct; cached and stale 6,070; lists 560–960 ms",
    ),
    Peer(
        name="OpenFGA 1.9.5+, PostgreSQL",
        direct=2_800,
        nested=115,
        inherited=62,
        denied=37,
        list_ms=131,
        uploads=6_400,
        writes=690,
        note="cached: 3,450 direct, 158 nested",
    ),
    Peer(
        name="OpenFGA, SQLite",
        direct=2_510,
        nested=133,
        inherited=62,
        denied=43,
        list_ms=1_740,
        uploads=6_300,
        writes=614,
    ),
    Peer(
        name="SpiceDB, in memory",
        direct=103,
        nested=16,
        inherited=14,
        denied=14,
        list_ms=470,
        uploads=32_000,
        writes=None,
        note="not durable",
    ),
)

AIMS = {
    "direct": 2.5,
    "nested": 40.0,
    "inherited": 40.0,
    "denied": 40.0,
    "list_ms": 8.0,
    "uploads": 2.0,
}
"""How many times better than the best peer in each column (design §8)."""


def best(column: str) -> float:
    """The best peer's figure of a column."""
    values = [value for peer in PEERS if (value := getattr(peer, column)) is not None]
    return float(min(values) if column == "list_ms" else max(values))


def times_better(column: str, value: float) -> float:
    """How many times better ``value`` is than the best peer's."""
    return best(column) / value if column == "list_ms" else value / best(column)

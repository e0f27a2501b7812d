"""Prints the rows as a table of ratios, and writes them as JSON."""

from __future__ import annotations

import json
import os
import platform
import time
from typing import TYPE_CHECKING, Any

from rich.console import Console
from rich.table import Table

from loadtest import http_load, peers

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from loadtest.bench import Row

SIGNS = {True: "met", False: "short", None: ""}


def number(value: float) -> str:
    """Three or more digits that mean something."""
    if value >= 1_000:
        return f"{value:,.0f}"
    return f"{value:.1f}" if value >= 100 else f"{value:.2f}" if value >= 1 else f"{value:.3f}"


def pairs(values: Mapping[str, float], *, suffix: str = "") -> str:
    """Named figures, one below the other."""
    return "\n".join(f"{name} {number(value)}{suffix}" for name, value in values.items())


def table_of(rows: Sequence[Row], title: str) -> Table:
    """The table that is printed."""
    table = Table(title=title, title_justify="left", show_lines=True)
    for heading in ("work", "figure", "compared with", "ratio", "aim", ""):
        table.add_column(heading, overflow="fold")
    for row in rows:
        table.add_row(
            f"{row.work}\n[dim]{row.note}[/dim]" if row.note else row.work,
            f"{number(row.value)} {row.unit}",
            pairs(row.floors),
            pairs(row.ratios, suffix=" ×"),
            row.aim,
            SIGNS[row.met],
        )
    return table


def peers_table() -> Table:
    """What was measured of the peers."""
    table = Table(title=f"Peers: {peers.MEASURED}", title_justify="left")
    table.add_column("system", overflow="fold")
    for heading in peers.HEADINGS:
        table.add_column(heading, overflow="fold", justify="right")
    for peer in peers.PEERS:
        name = f"{peer.name}\n[dim]{peer.note}[/dim]" if peer.note else peer.name
        cells = [getattr(peer, column) for column in peers.COLUMNS]
        table.add_row(name, *("–" if cell is None else f"{cell:,.0f}" for cell in cells))
    return table


def console() -> Console:
    """The standard output; wide enough for the table where it is no terminal."""
    made = Console(highlight=False)
    return made if made.is_terminal else Console(highlight=False, width=150)


def print_line(name: str, rows: Sequence[Row]) -> None:
    """One line's rows, as soon as it ended."""
    console().print(table_of(rows, name))


def print_all(rows: Sequence[Row], failures: Mapping[str, str], title: str) -> None:
    """Everything at the end: the peers, what falls short, what failed."""
    out = console()
    if any(row.line == "peers" for row in rows):
        out.print(peers_table())
    judged = [row for row in rows if row.met is not None]
    met = sum(bool(row.met) for row in judged)
    out.print(f"{title}: {met} of {len(judged)} aims met, {len(rows)} figures")
    for row in judged:
        if not row.met:
            shown = ", ".join(f"{name} {number(value)} ×" for name, value in row.ratios.items())
            figure = f"{number(row.value)} {row.unit}"
            out.print(f"  short: {row.work}: {figure}{'; ' + shown if shown else ''} ({row.aim})")
    for name, reason in failures.items():
        out.print(f"FAILED {name}: {reason}", markup=False)


def summary(
    rows: Sequence[Row], failures: Mapping[str, str], plan: str, seconds: float
) -> dict[str, Any]:
    """What is written as JSON."""
    return {
        "plan": plan,
        "time": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
        "seconds": round(seconds, 1),
        "machine": {
            "processors": os.cpu_count(),
            "python": platform.python_version(),
            "system": platform.system(),
            "load": os.getloadavg(),
        },
        "loadMaker": "wrk" if http_load.wrk_installed() else "asyncio",
        "rows": [row.to_json() for row in rows],
        "failures": dict(failures),
    }


def write(path: Path, content: Mapping[str, Any]) -> None:
    """Write the JSON file, its directory made if need be."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(content, indent=2, ensure_ascii=False) + "\n")

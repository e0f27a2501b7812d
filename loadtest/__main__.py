"""``python -m loadtest``: run all lines, or some, and print ratios.

Exit code 0 whatever the ratios are; 1 when an answer was wrong or a server failed.
"""

from __future__ import annotations

import argparse
import shutil
import signal
import sys
import tempfile
import time
import traceback
from pathlib import Path
from typing import TYPE_CHECKING, NoReturn

from loadtest import report
from loadtest.bench import FULL, QUICK, Bench, rows_of
from loadtest.client import WrongAnswerError
from loadtest.lines import LINES
from loadtest.processes import ROOT, ServerFaultError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from loadtest.bench import Plan, Row


def parser() -> argparse.ArgumentParser:
    """The options."""
    made = argparse.ArgumentParser(prog="python -m loadtest", description=__doc__)
    made.add_argument(
        "--quick", action="store_true", help="small data, short turns: under two minutes in all"
    )
    made.add_argument(
        "--only", action="append", choices=list(LINES), metavar="LINE", help="may come repeatedly"
    )
    made.add_argument("--list", action="store_true", help="name the lines and stop")
    made.add_argument("--out", type=Path, help="JSON file (default: loadtest-results/<time>.json)")
    made.add_argument("--keep", action="store_true", help="keep data and logs")
    made.add_argument("--directory", type=Path, help="where data and logs go (default: temporary)")
    return made


def run_lines(
    plan: Plan, directory: Path, names: Sequence[str]
) -> tuple[list[Row], dict[str, str]]:
    """Run the lines; their rows, and why some failed. A failed one does not stop the others."""
    rows: list[Row] = []
    failures: dict[str, str] = {}
    with Bench(plan, directory) as bench:
        for name in names:
            started = time.monotonic()
            try:
                found = rows_of(name, LINES[name](bench))
            except Exception as error:  # noqa: BLE001 - it fails the run; the other lines go on
                failures[name] = f"{type(error).__name__}: {error}"
                print(f"FAILED {name}: {failures[name]}", flush=True)
                if not isinstance(error, (WrongAnswerError, ServerFaultError)):
                    traceback.print_exc()
                continue
            rows += found
            bench.finished[name] = found
            report.print_line(f"{name} ({time.monotonic() - started:.0f} s)", found)
        for name, server in bench.started().items():
            if not server.alive():
                failures[f"server {name}"] = f"it ended by itself: {server.log_end()}"
    return rows, failures


def _terminated(number: int, frame: object) -> NoReturn:
    """Leave by an exception, so that the servers of the run are stopped."""
    del frame
    raise SystemExit(128 + number)


def main(arguments: Sequence[str] | None = None) -> int:
    """The exit code."""
    options = parser().parse_args(arguments)
    if options.list:
        for name, function in LINES.items():
            print(f"{name:8} {(function.__doc__ or '').splitlines()[0]}")
        return 0
    plan = QUICK if options.quick else FULL
    names = [name for name in LINES if not options.only or name in options.only]
    directory = options.directory or Path(tempfile.mkdtemp(prefix="zeratul-loadtest-"))
    directory.mkdir(parents=True, exist_ok=True)
    started = time.monotonic()
    signal.signal(signal.SIGTERM, _terminated)
    try:
        rows, failures = run_lines(plan, directory, names)
    finally:
        if not (options.keep or options.directory):
            shutil.rmtree(directory, ignore_errors=True)
    seconds = time.monotonic() - started
    title = f"{plan.name} run, {seconds:.0f} s"
    report.print_all(rows, failures, title)
    stamp = time.strftime("%Y%m%d-%H%M%S", time.gmtime())
    out = options.out or ROOT / "loadtest-results" / f"{stamp}-{plan.name}.json"
    report.write(out, report.summary(rows, failures, plan.name, seconds))
    print(f"written: {out}")
    return 1 if failures else 0


if __name__ == "__main__":
    sys.exit(main())

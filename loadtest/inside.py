"""Asks without HTTP: a process of its own that opens a data directory through ``zeratul.open``.

Run as ``python -m loadtest.inside DATA APPLICATION QUESTIONS SECONDS``; prints its figures as
JSON. The file of questions holds a list of [subject, resource, action, allowed].
"""

from __future__ import annotations

import json
import subprocess
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING

from loadtest.client import WrongAnswerError
from loadtest.processes import ROOT, ServerFaultError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from loadtest.shapes import Question

BATCH = 1_000
WRONG = 3


def ask_inside(
    data: Path, application: str, questions: Sequence[Question], seconds: float
) -> dict[str, float]:
    """Checks a second without HTTP: ``batch`` and ``single``.

    Raises:
        WrongAnswerError: an answer was wrong.
        ServerFaultError: the process failed.
    """
    file = data.with_suffix(".questions.json")
    file.write_text(
        json.dumps(
            [
                [
                    asked.subject,
                    f"{asked.resource}:{asked.resource_id}",
                    asked.action,
                    asked.allowed,
                ]
                for asked in questions
            ]
        )
    )
    finished = subprocess.run(
        [sys.executable, "-m", "loadtest.inside", str(data), application, str(file), str(seconds)],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
        timeout=600,
    )
    if finished.returncode == WRONG:
        raise WrongAnswerError(f"in-process: {finished.stdout}")
    if finished.returncode:
        raise ServerFaultError(f"in-process: {finished.stderr[-1_000:]}")
    figures: dict[str, float] = json.loads(finished.stdout)
    return figures


def main(arguments: Sequence[str]) -> int:
    """The exit code: 3 for a wrong answer."""
    data, application, file, length = arguments
    seconds = float(length)
    # The public door; imported here because only this process asks without HTTP.
    import zeratul  # noqa: PLC0415

    rows = [(tuple(row[:3]), row[3]) for row in json.loads(Path(file).read_text())]
    batches = [rows[start : start + BATCH] for start in range(0, len(rows), BATCH)]
    with zeratul.open(data, application=application) as door:
        # The server it is compared with has seen these questions before.
        door.check_many(row[0] for row in rows)
        done = number = 0
        spent = 0.0
        while spent < seconds:
            batch = batches[number % len(batches)]
            number += 1
            asked = [row[0] for row in batch]
            started = time.perf_counter()
            answers = door.check_many(asked)
            spent += time.perf_counter() - started
            if answers != [row[1] for row in batch]:
                print("a batch was answered wrongly")
                return WRONG
            done += len(batch)
        figures = {"batch": done / spent}
        done = 0
        started = time.perf_counter()
        while (spent := time.perf_counter() - started) < seconds:
            row, allowed = rows[done % len(rows)]
            if door.check(*row) != allowed:
                print(f"{row} was answered {not allowed}")
                return WRONG
            done += 1
        figures["single"] = done / spent
    print(json.dumps(figures))
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

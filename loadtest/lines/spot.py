"""The spot check as a line: it has no aim but to be right."""

from __future__ import annotations

from typing import TYPE_CHECKING

from loadtest.bench import Row
from loadtest.spotcheck import spot_check

if TYPE_CHECKING:
    from collections.abc import Iterator

    from loadtest.bench import Bench


def spot(bench: Bench) -> Iterator[Row]:
    """Import over HTTP, then compare answers with the reference's."""
    plan = bench.plan
    result = spot_check(
        bench.directory / "spot", relationships=plan.spot_rows, questions=plan.spot_questions
    )
    yield Row(
        line="spot",
        work=f"{result.questions:,} answers equal the reference's",
        value=result.questions / result.check_seconds,
        unit="checks/s",
        note=f"{result.relationships:,} relationships imported over HTTP, "
        f"{result.relationships / result.import_seconds:,.0f} a second; "
        f"{result.allowed:,} allowed",
    )

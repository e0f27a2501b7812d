"""Progress of long transfers: a bar on standard error where somebody watches, else nothing."""

from __future__ import annotations

from typing import TYPE_CHECKING, Self

from rich.progress import (
    BarColumn,
    DownloadColumn,
    Progress,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)

from zeratul.cli.console import errors

if TYPE_CHECKING:
    from types import TracebackType


class TransferBar:
    """Bytes moved and rows done. Use as a context manager."""

    def __init__(self, name: str, total_bytes: int | None) -> None:
        """Ready to show; ``total_bytes`` None where nobody knows (a pipe, an export)."""
        console = errors()
        self._progress = Progress(
            TextColumn("{task.description}"),
            BarColumn(),
            DownloadColumn(),
            TextColumn("{task.fields[rows]}"),
            TimeElapsedColumn(),
            TimeRemainingColumn(),
            console=console,
            transient=True,
            disable=not console.is_terminal,
        )
        self._task = self._progress.add_task(name, total=total_bytes, rows="")
        self._rows = 0

    def __enter__(self) -> Self:
        self._progress.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._progress.stop()

    def moved(self, count: int) -> None:
        """So many more bytes."""
        self._progress.advance(self._task, count)

    def done(self, rows: int) -> None:
        """So many rows altogether."""
        if rows != self._rows:
            self._rows = rows
            self._progress.update(self._task, rows=f"{rows:,} relationships")

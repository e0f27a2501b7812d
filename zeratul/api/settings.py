"""What the API is told by whoever builds it; no contract reads a configuration itself."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path  # noqa: TC003 - dataclass fields are read at run time by tools

from zeratul.domain.limits import Limits


@dataclass(frozen=True, slots=True, kw_only=True)
class ApiSettings:
    """How one process serves.

    Attributes:
        limits: every number that bounds a request.
        slot: which process this is (``web-0``, ``heavy``); a restarted one has the same slot.
        heavy_socket: Unix socket of the process for heavy calls; None answers them here.
        metrics_directory: where the processes of one server share their counters; None keeps them
            in this process.
        access_log: one log line for each request.
        floor: answer checks with a constant; what is left is the floor a check is measured with.
    """

    limits: Limits = field(default_factory=Limits)
    slot: str = "web-0"
    heavy_socket: Path | None = None
    metrics_directory: Path | None = None
    access_log: bool = False
    floor: bool = False

"""What the supervisor tells a process on its standard input: one line of JSON."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import orjson

from zeratul.config import Config

Role = Literal["web", "heavy"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Task:
    """One process's part.

    Attributes:
        config: the server's configuration.
        role: answer on the port, or on the Unix socket.
        slot: its name in logs and metrics; a restarted process has the same.
        leader: opens the store first, makes what is missing in it, does background work.
        address, port: where the server listens.
        directory: private to this server while it runs.
    """

    config: Config
    role: Role
    slot: str
    leader: bool
    address: str
    port: int
    directory: Path

    @property
    def heavy_socket(self) -> Path:
        """Where the process for heavy calls listens."""
        return self.directory / "heavy.sock"

    def encode(self) -> bytes:
        """The line; holds the root key, if there is one."""
        values: dict[str, Any] = {
            "config": self.config.to_json(),
            "role": self.role,
            "slot": self.slot,
            "leader": self.leader,
            "address": self.address,
            "port": self.port,
            "directory": str(self.directory),
        }
        return orjson.dumps(values) + b"\n"

    @classmethod
    def decode(cls, line: bytes) -> Task:
        """What ``encode`` made."""
        values = orjson.loads(line)
        return cls(
            **values
            | {
                "config": Config.from_json(values["config"]),
                "directory": Path(values["directory"]),
            }
        )

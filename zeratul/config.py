"""What a server is told at its start: parsed once, frozen; nothing below reads the environment.

The command line and the environment both end here (`from_environment` takes what the command line
gave and fills in the rest). Names of variables are ``ZERATUL_`` and the field in capitals.
"""

from __future__ import annotations

import re
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, cast

from zeratul.errors import InputError, MalformedError, nearest

if TYPE_CHECKING:
    from collections.abc import Mapping

PREFIX = "ZERATUL_"
PORT_MAX = 65_535
# LIMIT: a process has an interpreter of its own, about 60 MB; more than this is a typing mistake.
WORKERS_MAX = 256
GIB = 1024**3
# LIMIT: longer than anybody is asked to keep an audit log; more is a typing mistake.
RETENTION_S_MAX = 10 * 365 * 24 * 3600
# Fields whose variables are called like their options.
_VARIABLES = {"retention_s": "retention"}
_UNIT_S = {"s": 1, "m": 60, "h": 3600, "d": 24 * 3600}
_DURATION = re.compile(r"(\d{1,12})([smhd]?)", re.ASCII)

Heavy = Literal["process", "inline"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Config:
    """Everything a server needs to know.

    Attributes:
        data: directory of the LMDB environment; made when it is absent.
        host: address to bind.
        port: port to bind; 0 takes a free one, which the ready line names.
        workers: processes that answer on the port.
        heavy: where uploads, exports and lists run: in a process of their own, or in the workers.
        root_key: replaces the stored root key at each start; None keeps it, or makes one.
        map_bytes: largest size of the store's file (address space, not disk).
        access_log: one log line for each request.
        floor: for load tests only: checks are answered with a constant.
        retention_s: how long history, tombstones, audit events and cursors last; None takes the
            default. Its variable is ``ZERATUL_RETENTION`` and takes durations.
        collect_interval_s: pause between rounds of collection.
        shutdown_timeout_s: how long requests in flight may take to end on SIGTERM.
    """

    data: Path
    host: str = "127.0.0.1"
    port: int = 8080
    workers: int = 1
    heavy: Heavy = "process"
    root_key: str | None = None
    # LIMIT: design §4: large and sparse from the start, it never grows while serving.
    map_bytes: int = 256 * GIB
    access_log: bool = False
    floor: bool = False
    # LIMIT: see `RETENTION_S_MAX`; 0 keeps nothing that is over.
    retention_s: int | None = None
    collect_interval_s: float = 5.0
    shutdown_timeout_s: float = 20.0

    def __post_init__(self) -> None:
        """Refuse what cannot work.

        Raises:
            InputError: a value out of its range; ``field`` names it.
        """
        if not 0 <= self.port <= PORT_MAX:
            raise InputError(f"the port must be 0 to {PORT_MAX}", field="port")
        if not 1 <= self.workers <= WORKERS_MAX:
            raise InputError(f"the workers must be 1 to {WORKERS_MAX}", field="workers")
        if self.heavy not in ("process", "inline"):
            raise InputError("must be `process` or `inline`", field="heavy")
        if self.map_bytes < 1024 * 1024:
            raise InputError("the map must have at least 1 MiB", field="map_bytes")
        if self.retention_s is not None and not 0 <= self.retention_s <= RETENTION_S_MAX:
            years = RETENTION_S_MAX // (365 * 24 * 3600)
            raise InputError(f"the retention must be 0 to {years} years", field="retention")
        if self.collect_interval_s <= 0:
            raise InputError("must be more than 0", field="collect_interval_s")
        if self.shutdown_timeout_s < 0:
            raise InputError("must be 0 or more", field="shutdown_timeout_s")
        if self.root_key is not None and not self.root_key:
            raise InputError("the root key must not be empty", field="root_key")

    def __repr__(self) -> str:
        """All fields, with the secret hidden."""
        shown = (
            f"{each.name}={'…' if each.name == 'root_key' else repr(getattr(self, each.name))}"
            for each in fields(self)
        )
        return f"Config({', '.join(shown)})"

    def to_json(self) -> dict[str, Any]:
        """Plain values for a child process; holds the secret, so never for a command line."""
        return asdict(self) | {"data": str(self.data)}

    @classmethod
    def from_json(cls, values: Mapping[str, Any]) -> Config:
        """What ``to_json`` made."""
        return cls(**{**values, "data": Path(values["data"])})


def from_environment(environment: Mapping[str, str], **given: object) -> Config:
    """The configuration of a start: what was given wins, then the environment, then the defaults.

    Args:
        environment: usually ``os.environ``; other variables are ignored.
        given: fields from the command line; None counts as not given.

    Raises:
        InputError: a value that does not parse or is out of its range.
    """
    values: dict[str, object] = {"data": Path("data")}
    for each in fields(Config):
        name = _VARIABLES.get(each.name, each.name)
        text = environment.get(PREFIX + name.upper())
        if text:
            values[each.name] = _parse(name, text)
    unknown = given.keys() - {each.name for each in fields(Config)}
    if unknown:
        name = min(unknown)
        raise InputError(
            f"unknown setting `{name}`",
            help=f"nearest is `{nearest(name, (each.name for each in fields(Config)))}`",
        )
    values.update({name: value for name, value in given.items() if value is not None})
    values["data"] = Path(cast("str", values["data"]))
    return Config(**cast("dict[str, Any]", values))


def _parse(name: str, text: str) -> object:
    try:
        if name in ("port", "workers", "map_bytes"):
            return int(text)
        if name == "retention":
            return parse_duration(text)
        if name in ("collect_interval_s", "shutdown_timeout_s"):
            return float(text)
        if name in ("access_log", "floor"):
            return {"1": True, "true": True, "0": False, "false": False}[text.lower()]
    except (ValueError, KeyError) as error:
        raise MalformedError(f"cannot read {PREFIX}{name.upper()}", field=name) from error
    except MalformedError as error:
        message = f"cannot read {PREFIX}{name.upper()}: {error.message}"
        raise MalformedError(message, field=name, help=error.help) from error
    return text


def parse_duration(text: str) -> int:
    """Seconds of a duration: a whole number, and ``s``, ``m``, ``h`` or ``d`` behind it.

    >>> parse_duration("7d"), parse_duration("90m"), parse_duration("30")
    (604800, 5400, 30)

    Raises:
        MalformedError: it is none.
    """
    found = _DURATION.fullmatch(text.strip())
    if found is None:
        raise MalformedError(
            f"not a duration: `{text[:40]}`", help="write it like `7d`, `24h`, `90m` or `30s`"
        )
    return int(found[1]) * _UNIT_S[found[2] or "s"]

"""`zeratul serve`: the server."""

from __future__ import annotations

import os
from pathlib import Path

import click

from zeratul.cli.console import note

GIB = 1024**3


@click.command(epilog="Example: zeratul serve --demo")
@click.option(
    "--data",
    type=click.Path(file_okay=False, path_type=Path),
    help="Directory of the data; made when it is absent.  [default: data]",
)
@click.option("--host", help="Address to bind.  [default: 127.0.0.1]")
@click.option("--port", type=int, help="Port to bind; 0 takes a free one.  [default: 8080]")
@click.option("--workers", type=int, help="Processes that answer on the port.  [default: 1]")
@click.option("--demo", is_flag=True, help="Load a sample into an empty store and show it.")
@click.option(
    "--map-size",
    type=click.FloatRange(min=0, min_open=True),
    help="Largest size of the data in GiB: address space, not disk.  [default: 256]",
)
@click.option(
    "--retention",
    help="How long history and audit are kept: 7d, 24h, 90m or seconds.  [default: 7d]",
)
@click.option("--access-log/--no-access-log", default=None, help="Log each request.")
@click.option(
    "--heavy",
    type=click.Choice(["process", "inline"]),
    help="Where uploads, exports and lists run.  [default: process]",
)
@click.option("--floor", is_flag=True, hidden=True, help="Answer constants (load test's floor).")
def command(
    data: Path | None,
    host: str | None,
    port: int | None,
    workers: int | None,
    demo: bool,
    map_size: float | None,
    retention: str | None,
    access_log: bool | None,
    heavy: str | None,
    floor: bool,
) -> int:
    """Run the server until SIGTERM or Ctrl-C.

    The first start makes application `default` and prints its root key, once; or takes it from
    ZERATUL_ROOT_KEY. Each option can also be set as ZERATUL_<OPTION>.
    """
    from zeratul.config import from_environment, parse_duration
    from zeratul.server import run

    given: dict[str, object] = {
        "data": data,
        "host": host,
        "port": port,
        "workers": workers,
        "access_log": access_log,
        "heavy": heavy,
        "map_bytes": None if map_size is None else int(map_size * GIB),
        "retention_s": None if retention is None else parse_duration(retention),
    }
    if floor:
        given["floor"] = True
    config = from_environment(os.environ, **given)
    if not demo:
        return run(config)
    from zeratul.cli.demo import prepare

    sample = prepare(config)
    if sample is None:
        note(f"`{config.data}` holds other data already: the sample was not loaded")
    return run(config, on_ready=sample.show if sample else None)

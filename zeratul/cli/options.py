"""Options that name what a command talks to; the command gets it opened."""

from __future__ import annotations

from functools import wraps
from pathlib import Path
from typing import TYPE_CHECKING, Any, Concatenate, ParamSpec, TypeVar

import click
from click.core import ParameterSource

from zeratul.cli.console import CommandError

if TYPE_CHECKING:
    from collections.abc import Callable

    from zeratul.cli.target import Target

P = ParamSpec("P")
T = TypeVar("T")


def data_option(command: Callable[P, T]) -> Callable[P, T]:
    """The option ``--data``."""
    return click.option(
        "--data",
        type=click.Path(file_okay=False, path_type=Path),
        envvar="ZERATUL_DATA",
        default=Path("data"),
        show_default=True,
        help="Directory of the data.",
    )(command)


def json_option(command: Callable[P, T]) -> Callable[P, T]:
    """The option ``--json``."""
    return click.option("--json", "as_json", is_flag=True, help="Answer as JSON.")(command)


def target_options(
    *, create: bool = False
) -> Callable[[Callable[Concatenate[Target, P], T]], Callable[P, T]]:
    """The options that name a target; the command gets it opened, as its first argument.

    Args:
        create: whether the command may begin a data directory.
    """

    def decorate(command: Callable[Concatenate[Target, P], T]) -> Callable[P, T]:
        return _with_target(command, create=create)

    return decorate


def _with_target(command: Callable[Concatenate[Target, P], T], *, create: bool) -> Callable[P, T]:
    @data_option
    @click.option(
        "--url", envvar="ZERATUL_URL", help="Ask the server at this address instead of --data."
    )
    @click.option("--key", envvar="ZERATUL_KEY", help="API key for --url.")
    @click.option(
        "--application",
        envvar="ZERATUL_APPLICATION",
        help="Application to act in.  [default: default, or the key's own]",
    )
    @click.pass_context
    @wraps(command)
    def run(context: click.Context, /, *arguments: Any, **options: Any) -> T:
        data, url = options.pop("data"), options.pop("url")
        key, application = options.pop("key"), options.pop("application")
        # What is typed wins over what the environment says.
        typed_data = context.get_parameter_source("data") is ParameterSource.COMMANDLINE
        typed_url = context.get_parameter_source("url") is ParameterSource.COMMANDLINE
        if typed_data and typed_url:
            raise click.UsageError("give --data or --url, not both")
        if url and not typed_data:
            target = open_remote(url, key, application)
        else:
            target = open_local(data, application, create=create)
        try:
            return command(target, *arguments, **options)
        finally:
            target.close()

    return run


def open_local(data: Path, application: str | None, *, create: bool = False) -> Target:
    """The services on an existing data directory; a server may run on it at the same time.

    Raises:
        CommandError: there is no data at this place.
        NotFoundError: no such application.
    """
    if not create and not holds_data(data):
        raise no_data(data)
    from zeratul.cli.local import Local

    return Local(data, application or "default")


def holds_data(directory: Path) -> bool:
    """Whether a store was ever opened in the directory."""
    from zeratul.store.lmdb.environment import DATA_FILE

    return (directory / DATA_FILE).is_file()


def no_data(directory: Path) -> CommandError:
    """The error for a directory that holds no data."""
    return CommandError(
        f"there is no data at `{directory}`",
        help="name its directory with --data, or start one: zeratul serve --demo",
    )


def open_remote(url: str, key: str | None, application: str | None) -> Target:
    """The services of a server.

    Raises:
        CommandError: no key, or not an address.
    """
    from zeratul.cli.remote import Remote

    if not key:
        raise CommandError("a server wants an API key", help="give --key, or set ZERATUL_KEY")
    return Remote(url, key, application)

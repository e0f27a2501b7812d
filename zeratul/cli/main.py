"""The group of all verbs; the one door where errors become text and exit codes."""

from __future__ import annotations

import os
import sys
from importlib import import_module, metadata
from typing import Any

import click

from zeratul.cli.console import ERROR, print_error
from zeratul.errors import (
    InternalError,
    SchemaError,
    SchemaInUseError,
    ValidationError,
    ZeratulError,
)

# Verb -> module of `zeratul.cli.commands` and its command. Imported when used: half of what the
# server needs is never loaded to print a help text.
COMMANDS = {
    "serve": "serve",
    "check": "check",
    "explain": "explain",
    "who-can": "who_can",
    "what-can": "what_can",
    "import": "import_",
    "export": "export",
    "model": "model",
    "applications": "applications",
    "keys": "keys",
    "backup": "backup",
    "restore": "restore",
}

DETAILS_MAX = 50
"""LIMIT: findings shown on a terminal; the rest are counted (`--json` forms hold them all)."""


# What shells say of a process that SIGPIPE or SIGINT ended.
READER_GONE = 128 + 13
INTERRUPTED = 128 + 2


class ReaderGoneError(Exception):
    """Whoever read standard output (`| head`) has seen enough."""


class Verbs(click.Group):
    """A group that imports a command when it is asked for."""

    def invoke(self, ctx: click.Context) -> Any:
        """Run the command; a closed pipe gets past click, which would exit with our "no"."""
        try:
            return super().invoke(ctx)
        except BrokenPipeError as error:
            raise ReaderGoneError from error

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Names in the order a newcomer meets them."""
        del ctx
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """The command of a name, or None."""
        del ctx
        if cmd_name not in COMMANDS:
            return None
        module = import_module(f"zeratul.cli.commands.{COMMANDS[cmd_name]}")
        command: click.Command = module.command
        return command


def _version() -> str:
    try:
        return metadata.version("zeratul")
    except metadata.PackageNotFoundError:  # Run from a source tree that nobody installed.
        return "(not installed)"


@click.group(cls=Verbs, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(_version(), prog_name="zeratul")
def verbs() -> None:
    """Who may do what, and why: a relationship graph server and its tools.

    Exit code 0 means yes (or done), 1 means no, 2 means an error.
    """


def details_of(error: ZeratulError) -> list[str]:
    """The findings an error carries, a line each."""
    if isinstance(error, (SchemaError, ValidationError)):
        return [
            f"{where}: {message}" if where else message
            for where, messages in error.findings.items()
            for message in messages
        ]
    if isinstance(error, SchemaInUseError):
        return [f"{what}: {count:,}" for what, count in sorted(error.orphans.items())]
    return []


def show(error: ZeratulError) -> None:
    """Print an error of the services as people read it."""
    details = details_of(error)
    shown = details[:DETAILS_MAX]
    if len(details) > len(shown):
        shown.append(f"… and {len(details) - len(shown):,} more")
    message = error.message
    if isinstance(error, InternalError):
        message = f"internal error, a defect of Zeratul: {message}"
    print_error(message, error.help, shown)


def main(arguments: list[str] | None = None) -> None:
    """Run one command and exit with its code."""
    sys.exit(run(arguments))


def run(arguments: list[str] | None = None, **extra: Any) -> int:
    """Run one command.

    Returns:
        The exit code: 0 yes or done, 1 no, 2 error.
    """
    try:
        code = verbs.main(arguments, prog_name="zeratul", standalone_mode=False, **extra)
        sys.stdout.flush()  # Here, where a reader that went away is no surprise.
    except click.exceptions.NoArgsIsHelpError as error:
        error.show()
        return ERROR
    except click.ClickException as error:
        error.show()
        return ERROR
    except (click.Abort, KeyboardInterrupt):
        print_error("interrupted")
        return INTERRUPTED
    except ZeratulError as error:
        show(error)
        return ERROR
    except (ReaderGoneError, BrokenPipeError):
        # Point standard output elsewhere, or the interpreter reports the same pipe again when it
        # flushes at exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return READER_GONE
    except OSError as error:
        print_error(
            f"{error.strerror or error}" + (f": `{error.filename}`" if error.filename else "")
        )
        return ERROR
    return code if isinstance(code, int) else 0

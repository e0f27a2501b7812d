"""What is printed where: answers to standard output, everything else to standard error."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any

import click
import orjson
from rich.console import Console
from rich.text import Text

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

YES, NO, ERROR = 0, 1, 2
"""Exit codes of every command."""


class CommandError(click.ClickException):
    """A command cannot be carried out; not a fault of the services below it."""

    exit_code = ERROR

    def __init__(
        self,
        message: str,
        *,
        help: str | None = None,  # noqa: A002 - the word of zeratul.errors
        details: Sequence[str] = (),
    ) -> None:
        super().__init__(message)
        self.help = help
        self.details = details

    def show(self, file: Any = None) -> None:
        """Print as every other error is printed."""
        del file
        print_error(self.message, self.help, self.details)


def errors() -> Console:
    """Standard error, for progress and for people."""
    return Console(stderr=True, highlight=False, soft_wrap=True)


def print_error(message: str, help_text: str | None = None, details: Iterable[str] = ()) -> None:
    """An error, its details, then what to do about it; on standard error."""
    console = errors()
    console.print(Text.assemble(("error: ", "bold red"), message))
    for detail in details:
        console.print(Text("  " + detail))
    if help_text:
        console.print(Text.assemble(("help: ", "bold cyan"), help_text))


def note(message: str) -> None:
    """Something worth knowing beside the answer; on standard error."""
    errors().print(Text(message, style="dim"))


def out() -> Console:
    """Standard output; never wrapped, never marked up by what it prints."""
    return Console(highlight=False, soft_wrap=True)


def answer(text: str | Text) -> None:
    """One line (or block) of the answer; on standard output."""
    out().print(Text(text) if isinstance(text, str) else text)


def answer_json(value: object) -> None:
    """The answer as one JSON document on one line; on standard output."""
    sys.stdout.write(orjson.dumps(value).decode() + "\n")


def verdict(allowed: bool) -> Text:
    """A decision as a word."""
    return Text("yes", style="bold green") if allowed else Text("no", style="bold red")


class Listing:
    """Rows of a list: coloured on a terminal, plain and quick elsewhere."""

    def __init__(self) -> None:
        self._console = out()

    def row(self, name: str, beside: str = "", exceptions: str = "") -> None:
        """One row: its name, what to know beside it, and what is taken out of it."""
        if not self._console.is_terminal:
            columns = [name, beside, f"except {exceptions}"]
            shown = columns[: 3 if exceptions else 2 if beside else 1]
            sys.stdout.write("\t".join(shown) + "\n")
            return
        line = Text(name)
        if beside:
            line.append(f"  {beside}", "dim")
        if exceptions:
            line.append(f"  except {exceptions}", "red")
        self._console.print(line)

"""Findings of a compilation: every one under the JSON path of what it is about."""

from __future__ import annotations

from typing import TYPE_CHECKING

from zeratul.domain.relationship import name_is_valid
from zeratul.errors import SchemaError, nearest

if TYPE_CHECKING:
    from collections.abc import Iterable

# LIMIT: a 1 MB model of nothing but mistakes must not answer with 50 MB; the rest is counted.
FINDINGS_LISTED_MAX = 1_000
# LIMIT: a suggestion compares the name with every known one; fifty help a person.
SUGGESTIONS_MAX = 50
SHOWN_LENGTH_MAX = 64


class Place:
    """A JSON path into the model: its parent and one step, so that deep ones cost nothing."""

    __slots__ = ("parent", "step")

    def __init__(self, parent: Place | None = None, step: str | int = "") -> None:
        self.parent = parent
        self.step = step

    def __truediv__(self, step: str | int) -> Place:
        """The place of a field (text) or item (number) inside this one."""
        return Place(self, step)

    def __str__(self) -> str:
        steps: list[str | int] = []
        place = self
        while place.parent is not None:
            steps.append(place.step)
            place = place.parent
        text = ""
        for step in reversed(steps):
            if isinstance(step, int):
                text += f"[{step}]"
            elif name_is_valid(step):
                text += f".{step}" if text else step
            else:
                text += f'["{shown(step)}"]'
        return text or "$"


def shown(text: str) -> str:
    """``text`` fit for a message: printable, encodable, not longer than a line."""
    cut = text if len(text) <= SHOWN_LENGTH_MAX else text[:SHOWN_LENGTH_MAX] + "…"
    return cut if cut.isprintable() else cut.encode("ascii", "backslashreplace").decode("ascii")


class Findings:
    """Collects findings; nothing is raised before the end, so that a person sees them all."""

    def __init__(self) -> None:
        self._listed: dict[str, list[str]] = {}
        self._count = 0
        self._suggestions = 0
        self.stopped = False
        """A limit was passed: what follows would only be noise."""

    def add(self, place: Place, message: str) -> None:
        """Note one finding."""
        self._count += 1
        if self._count > FINDINGS_LISTED_MAX:
            return
        messages = self._listed.setdefault(str(place), [])
        if message not in messages:
            messages.append(message)

    def stop(self, place: Place, message: str) -> None:
        """Note a limit that was passed; the rules that need the whole model are not tried."""
        self.add(place, message)
        self.stopped = True

    def unknown(
        self, place: Place, kind: str, name: str, known: Iterable[str], where: str = ""
    ) -> None:
        """Note a name nobody declared, with the nearest known one."""
        suggestion = None
        if self._suggestions < SUGGESTIONS_MAX:
            self._suggestions += 1
            suggestion = nearest(name, known)
        hint = f"; did you mean `{shown(suggestion)}`?" if suggestion is not None else ""
        self.add(place, f"unknown {kind} `{shown(name)}`{where}{hint}")

    def __bool__(self) -> bool:
        """Whether there is anything to tell."""
        return self._count > 0

    def listed(self) -> dict[str, list[str]]:
        """Every finding under its place; of very many the first, and how many more there are."""
        listed = {place: list(messages) for place, messages in self._listed.items()}
        more = self._count - FINDINGS_LISTED_MAX
        if more > 0:
            listed.setdefault("$", []).append(
                f"{more} more finding{'s' if more > 1 else ''}; only the first"
                f" {FINDINGS_LISTED_MAX:,} are listed"
            )
        return listed

    def raise_if_any(self) -> None:
        """End the compilation if there is anything to tell.

        Raises:
            SchemaError: there is; it carries every finding.
        """
        if self:
            raise SchemaError(self.listed())

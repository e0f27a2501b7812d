"""Streaming import and export (contract authaz §5)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from zeratul.service.exporting import Export, export
from zeratul.service.importing import Importer

if TYPE_CHECKING:
    from zeratul.service.caller import Caller
    from zeratul.service.foundation import Foundation


class Transfers:
    """Use cases that move whole applications."""

    def __init__(self, foundation: Foundation) -> None:
        self._base = foundation

    def importer(self, caller: Caller, *, dry_run: bool = False) -> Importer:
        """Begin an import; feed it bytes, then finish it.

        A dry run knows what is stored and what is in the same few thousand lines, not what lines
        further up would have stored.

        Raises:
            ForbiddenError: the caller lacks ``relationships:import``.
        """
        caller.require("relationships:import")
        return Importer(self._base, caller, dry_run=dry_run)

    def export(self, caller: Caller) -> Export:
        """Everything stored, at the newest revision; importable again.

        While it is iterated: RevisionError, when it takes longer than history is kept.

        Raises:
            ForbiddenError: the caller lacks ``relationships:export``.
        """
        caller.require("relationships:export")
        return export(self._base, caller)

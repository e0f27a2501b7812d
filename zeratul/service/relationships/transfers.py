"""Streaming import and export (contract authaz §5)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from zeratul.service.ground.validation import DIRECT_GRANTS
from zeratul.service.relationships.exporting import Export, export
from zeratul.service.relationships.importing import Importer

if TYPE_CHECKING:
    from zeratul.service.ground.caller import Caller
    from zeratul.service.ground.foundation import Foundation


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
            TenantScopeError: the caller acts in one tenant only.
        """
        caller.require("relationships:import")
        caller.require_whole_application(DIRECT_GRANTS)
        return Importer(self._base, caller, dry_run=dry_run)

    def export(self, caller: Caller) -> Export:
        """Everything stored, at the newest revision; importable again.

        While it is iterated: RevisionError, when it takes longer than history is kept.

        Raises:
            ForbiddenError: the caller lacks ``relationships:export``.
            TenantScopeError: the caller acts in one tenant only.
        """
        caller.require("relationships:export")
        caller.require_whole_application(DIRECT_GRANTS)
        return export(self._base, caller)

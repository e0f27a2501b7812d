"""What an application is set to: which decisions are recorded (contract authaz §7)."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from zeratul.errors import InputError
from zeratul.service.ground.audit import record
from zeratul.service.ground.etags import require_match
from zeratul.service.ground.setting_documents import (
    DECISION_MODES,
    ApplicationSettings,
    pack_settings,
    put_settings,
    read_settings,
    settings_json,
)

if TYPE_CHECKING:
    from concurrent.futures import Future

    from zeratul.service.ground.caller import Caller
    from zeratul.service.ground.foundation import Foundation
    from zeratul.store.interface import WriteTransaction


class SettingsPut(NamedTuple):
    """What putting settings came to."""

    settings: ApplicationSettings
    zookie: str


class Settings:
    """Use cases around an application's settings."""

    def __init__(self, foundation: Foundation) -> None:
        self._base = foundation

    def get(self, caller: Caller) -> ApplicationSettings:
        """The settings of the application the caller acts in.

        Raises:
            ForbiddenError: the caller is not the root key.
        """
        caller.require_root("applications:read")
        with self._base.snapshot(caller) as snapshot:
            return read_settings(snapshot, caller.application)

    def put(
        self, caller: Caller, settings: ApplicationSettings, *, if_match: str | None = None
    ) -> Future[SettingsPut]:
        """Replace the settings; every process goes by them from its next call on.

        Raises:
            ForbiddenError: the caller is not the root key.
            InputError: a mode that is none, or a sample outside 0 to 1.
            PreconditionError: (from the future) other settings are there.
        """
        caller.require_root("applications:write")
        mode, sample = settings.decision_log
        if mode not in DECISION_MODES:
            shown = ", ".join(f"`{each}`" for each in DECISION_MODES)
            raise InputError("unknown mode", field="decisionLog.mode", help=f"one of {shown}")
        if not 0 <= sample <= 1:
            raise InputError("must be 0 to 1", field="decisionLog.sample")
        base = self._base
        base.snapshot(caller).close()

        def job(tx: WriteTransaction) -> SettingsPut:
            before = read_settings(tx.snapshot, caller.application)
            require_match(if_match, pack_settings(before))
            if before != settings:
                put_settings(tx, caller.application, settings)
                record(
                    tx, caller, "settings.updated", "application", caller.application_id,
                    before=settings_json(before), after=settings_json(settings),
                )  # fmt: skip
            zookie = base.zookie(caller.application, tx.effective_revision, 0)
            return SettingsPut(settings, zookie)

        return base.store.write(job)

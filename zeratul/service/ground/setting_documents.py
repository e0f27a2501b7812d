"""How an application's settings are stored: documents of the server's own.

They are there and not in the application so that a process finds all that differ from the built-in
ones at once, and not by asking every application.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal, NamedTuple, cast, get_args

import orjson

from zeratul.service.ground.directory import SERVER

if TYPE_CHECKING:
    from collections.abc import Iterator

    from zeratul.store.interface import Snapshot, WriteTransaction

SETTINGS_KIND = "settings"
# LIMIT: documents read at a time.
_ROWS = 1_000

DecisionMode = Literal["off", "denials", "all"]
DECISION_MODES: tuple[DecisionMode, ...] = get_args(DecisionMode)


class DecisionLog(NamedTuple):
    """Which decisions are recorded.

    Attributes:
        mode: none, those that deny, or all.
        sample: which part of those, from 0 to 1.
    """

    mode: DecisionMode = "off"
    sample: float = 1.0


class ApplicationSettings(NamedTuple):
    """What an application can be set to."""

    decision_log: DecisionLog = DecisionLog()


def settings_json(settings: ApplicationSettings) -> dict[str, object]:
    """The form that is stored and shown."""
    return {"decisionLog": settings.decision_log._asdict()}


def pack_settings(settings: ApplicationSettings) -> bytes:
    """The document; an entity tag is made of it."""
    return orjson.dumps(settings_json(settings))


def read_settings(snapshot: Snapshot, application: int) -> ApplicationSettings:
    """The application's settings; the built-in ones where none were put."""
    body = snapshot.document(SERVER, SETTINGS_KIND, str(application))
    return ApplicationSettings() if body is None else _settings(body)


def all_settings(snapshot: Snapshot) -> Iterator[tuple[int, ApplicationSettings]]:
    """(application, settings) of every application for which any were put."""
    after = ""
    while rows := snapshot.documents(SERVER, SETTINGS_KIND, after=after, limit=_ROWS):
        after = rows[-1][0]
        for number, body in rows:
            yield int(number), _settings(body)


def put_settings(tx: WriteTransaction, application: int, settings: ApplicationSettings) -> None:
    """Store an application's settings."""
    tx.put_document(SERVER, SETTINGS_KIND, str(application), pack_settings(settings))


def delete_settings(tx: WriteTransaction, application: int) -> None:
    """Leave nothing of an application's settings."""
    tx.delete_document(SERVER, SETTINGS_KIND, str(application))


def _settings(body: bytes) -> ApplicationSettings:
    log = orjson.loads(body)["decisionLog"]
    return ApplicationSettings(DecisionLog(cast("DecisionMode", log["mode"]), log["sample"]))

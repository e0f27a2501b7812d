"""Bodies of the calls around applications and keys."""

from __future__ import annotations

from zeratul.api.authaz.structures import Body


class RotateBody(Body):
    """A new secret for a key: at once, or with a grace for the old one."""

    grace_seconds: int = 0


class DecisionLogBody(Body):
    """Which decisions are recorded."""

    mode: str
    sample: float = 1.0


class SettingsBody(Body):
    """An application's settings; what is left out is as it was built in."""

    decision_log: DecisionLogBody | None = None

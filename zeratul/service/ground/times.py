"""Times as text: RFC 3339 with an offset outside, milliseconds since 1970 inside."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta

from zeratul.errors import MalformedError

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MILLISECOND = timedelta(milliseconds=1)

# LIMIT: the end of the year 9999 in UTC. An offset can name a later moment, which has no text.
TIME_MAX_MS = (datetime.max.replace(tzinfo=UTC) - _EPOCH) // _MILLISECOND
TOO_LATE = "a time must not be after the year 9999 (UTC)"
_RFC3339 = re.compile(
    r"\d{4}-\d\d-\d\d[Tt ]\d\d:\d\d:\d\d(\.\d{1,9})?([Zz]|[+-]\d\d:\d\d)", re.ASCII
)


def parse_time(text: str, *, field: str | None = None) -> int:
    """Milliseconds of an RFC 3339 time.

    >>> parse_time("1970-01-01T00:00:01.5Z")
    1500

    Raises:
        MalformedError: it is none, has no offset, or could not be shown in UTC.
    """
    try:
        # `fromisoformat` alone also takes dates, week dates and times without an offset.
        if _RFC3339.fullmatch(text) is None:
            raise ValueError(text[:40])
        found = (datetime.fromisoformat(text.upper()) - _EPOCH) // _MILLISECOND
    except (ValueError, OverflowError) as error:
        raise MalformedError(
            "not a time with an offset",
            field=field,
            help="write it like `2030-01-31T12:00:00Z`",
        ) from error
    if found > TIME_MAX_MS:
        raise MalformedError(TOO_LATE, field=field)
    return found


def format_time(time_ms: int) -> str:
    """RFC 3339 in UTC with milliseconds.

    >>> format_time(1500)
    '1970-01-01T00:00:01.500Z'
    """
    moment = _EPOCH + time_ms * _MILLISECOND
    return moment.isoformat(timespec="milliseconds").replace("+00:00", "Z")

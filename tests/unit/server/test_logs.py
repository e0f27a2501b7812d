"""What processes log, and what they never do."""

from __future__ import annotations

import json
import subprocess
import sys

PROGRAM = """
import logging, structlog
from zeratul.server import logs

logs.configure("web-0")

def judge(token):
    password = token.upper()
    raise ValueError("something broke")

try:
    judge("a-bearer-token")
except ValueError as error:
    structlog.get_logger("zeratul.api").error("request failed", exc_info=error)
    logging.getLogger("aiohttp").error("a library failed", exc_info=error)
"""


def test_an_error_is_logged_with_its_cause_but_without_the_values_of_variables():
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM], capture_output=True, text=True, check=True
    )
    events = [json.loads(line) for line in done.stderr.splitlines()]
    assert [event["event"] for event in events] == ["request failed", "a library failed"]
    for event in events:
        [cause] = event["exception"]
        assert (cause["exc_type"], cause["exc_value"]) == ("ValueError", "something broke")
        assert [frame["name"] for frame in cause["frames"]][-1] == "judge"
    assert "bearer-token" not in done.stderr.lower()

"""What processes log, and what they never do."""

from __future__ import annotations

import json
import subprocess
import sys

SERVER = """
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


SERVICE = """
from zeratul.errors import StoreError
from zeratul.service.ground.later import Later

def work():
    raise StoreError("no room", reason="full")

later = Later("decisions", work, wait_s=0)
later.soon()
later.close()
"""


def run(program):
    return subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True
    )


def test_what_fails_behind_an_answer_is_one_event_of_the_server():
    """It is logged by a floor that knows nothing of the server's logs."""
    done = run('from zeratul.server import logs; logs.configure("web-0")' + SERVICE)
    [event] = map(json.loads, done.stderr.splitlines())
    assert event.pop("time")
    assert event.pop("pid")
    assert {
        "event": "deferred work failed",
        "detail": "no room",
        "level": "warning",
        "process": "web-0",
        "reason": "full",
        "work": "decisions",
    } == event


def test_without_a_server_nothing_of_it_gets_among_the_answers():
    """Standard output of the command line is data: what `export` prints is imported again."""
    done = run(SERVICE)
    assert ("", "deferred work failed\n") == (done.stdout, done.stderr)


def test_an_error_is_logged_with_its_cause_but_without_the_values_of_variables():
    done = run(SERVER)
    events = [json.loads(line) for line in done.stderr.splitlines()]
    assert [event["event"] for event in events] == ["request failed", "a library failed"]
    for event in events:
        [cause] = event["exception"]
        assert (cause["exc_type"], cause["exc_value"]) == ("ValueError", "something broke")
        assert [frame["name"] for frame in cause["frames"]][-1] == "judge"
    assert "bearer-token" not in done.stderr.lower()

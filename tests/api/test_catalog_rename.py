"""Renames while checks run in every process: no wrong answer at any moment."""

from __future__ import annotations

import threading
import time
from typing import NamedTuple

import pytest

from tests.api.client import FACTS, A, Client

GRANTS = 100_000
PART = 5_000
APP = "/api/v1/applications/default"
DRIVE = {
    "resources": [
        {
            "resource": "documents",
            "actions": ["read", "update", "approve"],
            "relations": {"approver": {"actions": ["read", "approve"]}},
        },
        {"resource": "reports", "actions": ["read"]},
    ]
}


class Seen(NamedTuple):
    """An answer, with the times between which it was given."""

    began: float
    ended: float
    question: tuple[str, str]
    granted: bool
    status: int
    allowed: bool | None


class Asker(threading.Thread):
    """Asks the same questions by old and new names, over and over, until it is told to stop.

    Each question is asked of a document the user holds and of one nobody does.
    """

    def __init__(self, client: Client, questions: list[tuple[str, str]], number: int) -> None:
        super().__init__()
        self._client = client
        self._questions = questions
        self._number = number
        self.stopping = threading.Event()
        self.rounds = threading.Semaphore(0)
        self.seen: list[Seen] = []

    def go_on(self) -> None:
        """Return after a whole round that began after now."""
        while self.rounds.acquire(blocking=False):
            pass
        for _ in range(2):  # The first of them may be under way.
            assert self.rounds.acquire(timeout=60)

    def run(self) -> None:
        turn = self._number
        while not self.stopping.is_set():
            turn += 7_919
            held = turn % GRANTS
            for kind, action in self._questions:
                for granted, resource in ((True, f"d{held}"), (False, f"other{held}")):
                    body = {
                        "userId": f"u{held % 1_000}",
                        "resource": kind,
                        "resourceId": resource,
                        "action": action,
                    }
                    began = time.monotonic()
                    answer = self._client.post(f"{A}/check", body)
                    ended = time.monotonic()
                    allowed = answer.json.get("allowed") if answer.status == 200 else None
                    self.seen.append(
                        Seen(began, ended, (kind, action), granted, answer.status, allowed)
                    )
            self.rounds.release()


def judge(seen: list[Seen], old: tuple[str, str], new: tuple[str, str], began, ended) -> None:
    """Never a wrong yes or no; before the rename only the old name is known, after it the new."""
    for each in seen:
        if each.status == 200:
            assert each.allowed is each.granted, each
        else:
            assert each.status == 400, each
        if each.ended < began:
            assert (each.status == 200) is (each.question == old), each
        elif each.began > ended:
            assert (each.status == 200) is (each.question == new), each
    assert any(each.ended < began for each in seen)
    assert any(each.began > ended for each in seen)


@pytest.fixture
def shared(start):
    """Two workers over one store, with a hundred thousand live grants."""
    server = start("--workers", "2")
    root = server.client()
    assert root.call("PUT", f"{APP}/resources", DRIVE).status == 200
    for first in range(0, GRANTS, PART):
        writes = [
            {
                "userId": f"u{number % 1_000}",
                "resource": "documents",
                "resourceId": f"d{number}",
                "relation": "approver",
            }
            for number in range(first, first + PART)
        ]
        answer = root.post(f"{FACTS}/bulk", {"writes": writes}, results="errors")
        assert (answer.status, answer.json["created"]) == (200, PART)
    return root


@pytest.mark.slow
def test_renames_of_a_hundred_thousand_live_grants_while_checks_run(shared):
    renames = [
        ("rename", "files", ("documents", "approve"), ("files", "approve")),
        ("relations/approver/rename", "signer", ("files", "approver"), ("files", "signer")),
        ("actions/approve/rename", "sign", ("files", "approve"), ("files", "sign")),
    ]
    for path, to, old, new in renames:
        askers = [Asker(shared, [old, new], number) for number in range(3)]
        for asker in askers:
            asker.start()
        try:
            for asker in askers:
                assert asker.rounds.acquire(timeout=60)
            began = time.monotonic()
            answer = shared.post(f"{APP}/resources/{old[0]}/{path}", {"to": to})
            ended = time.monotonic()
            for asker in askers:
                asker.go_on()
        finally:
            for asker in askers:
                asker.stopping.set()
            for asker in askers:
                asker.join()
        assert answer.status == 200, answer.body
        judge([each for asker in askers for each in asker.seen], old, new, began, ended)
    listed = shared.get(FACTS, userId="u1", resource="files", pageSize=1_000)
    assert {row["relation"] for row in listed.json["data"]} == {"signer"}
    usage = shared.get(f"{APP}/resources/files/usage")
    assert usage.json["relationships"] == {"files#signer@user": GRANTS}
    refused = shared.call("DELETE", f"{APP}/resources/files")
    assert (refused.status, refused.json["references"]) == (
        409,
        {"relationships": {"files#signer@user": GRANTS}},
    )

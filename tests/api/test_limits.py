"""Limits of a server that has small ones: slow bodies, a full map, work without end."""

import socket

import pytest

from tests.api.client import FACTS, NDJSON, PROBLEM, A, fact
from tests.api.servers import new_application, serving
from zeratul.domain.limits import Limits

CHECK = {"userId": "u1", "resource": "document", "resourceId": "d1", "action": "read"}


@pytest.fixture(scope="module")
def small(tmp_path_factory):
    """A server with little patience, little room for work and little space."""
    limits = Limits(body_timeout_s=0.05, check_reads_max=200, lookup_reads_max=200)
    with serving(
        tmp_path_factory.mktemp("small") / "data", limits=limits, map_bytes=8 << 20, linger_s=0.05
    ) as client:
        yield client


def conversation(port, sent):
    with socket.create_connection(("127.0.0.1", port), timeout=30) as connection:
        connection.sendall(sent)
        answer = b""
        while part := connection.recv(65_536):
            answer += part
    return answer


@pytest.mark.parametrize(
    ("method", "path", "kind"),
    [
        ("POST", f"{A}/check", "application/json"),
        ("POST", FACTS, "application/json"),
        ("POST", f"{FACTS}/bulk", "application/json"),
        ("POST", f"{FACTS}/import", NDJSON),
        ("PUT", "/api/v1/applications/default/model", "application/json"),
    ],
)
@pytest.mark.parametrize("framing", ["Content-Length: 100", "Transfer-Encoding: chunked"])
def test_a_slow_body_is_a_408(small, method, path, kind, framing):
    lines = (f"{method} {path} HTTP/1.1", "Host: x", f"X-API-Key: {small.key}",
             f"Content-Type: {kind}", framing, "", "")  # fmt: skip
    head = "\r\n".join(lines)
    answer = conversation(small.port, head.encode())
    assert answer.startswith(b"HTTP/1.1 408"), answer
    assert PROBLEM.encode() in answer
    assert b"body_timeout_s" in answer


def test_a_question_that_takes_too_much_work_is_not_decided(small):
    api = new_application(small)
    chain = [fact(f"folder:f{n}#viewer@group:g{n}#member") for n in range(300)]
    parents = [fact(f"document:d1#parent@folder:f{n}") for n in range(300)]
    for part in (chain, parents):
        assert api.post(f"{FACTS}/bulk?results=errors", {"writes": part}).status == 200
    answer = api.post(f"{A}/check", CHECK)
    if answer.status == 200:
        # Cheaper than its budget: then it was decided, and rightly.
        assert answer.json["allowed"] is False
    else:
        assert (answer.status, answer.json["limit"]) == (422, "check_reads_max")


def test_a_full_map_is_an_answered_error_and_reading_goes_on(small):
    api = new_application(small)
    kept = fact("document:kept#viewer@user:u1")
    assert api.post(FACTS, kept).status == 201
    answer, batch = None, 0
    while answer is None or answer.status == 200:
        assert batch < 100, "8 MiB never filled up"
        writes = [fact(f"document:{batch}-{n}-{'x' * 300}#viewer@user:u{n}") for n in range(1_000)]
        answer = api.post(f"{FACTS}/bulk?results=errors", {"writes": writes})
        batch += 1
    assert (answer.status, answer.json["reason"]) == (507, "full")
    assert answer.headers["Content-Type"] == PROBLEM
    assert api.check("user:u1", "document:kept", "read")
    # Not half of the refused call is there.
    assert not api.get(FACTS, resource="document", resourceId=f"{batch - 1}-0-{'x' * 300}").json[
        "data"
    ]

"""Whole servers: several workers, one of them killed, restarts, an orderly stop."""

import http.client
import os
import resource
import select
import signal
import time
from pathlib import Path

import pytest

from tests.api.client import FACTS, MODEL, NDJSON, A, Client, fact

pytestmark = pytest.mark.slow

GOOD = fact("document:d1#viewer@user:u1")
MODEL_PATH = "/api/v1/applications/default/model"
PATIENCE_S = 60  # for a process that was killed to be back, on a busy machine


def workers(server):
    """Process ids by slot, the newest start of each."""
    return {row["slot"]: row["child"] for row in server.events("process ready")}


def one_of_each(client, count=40):
    """Answers of many connections: with two workers, some of each (seen by their request ids)."""
    answers = [client.get("/healthz") for _ in range(count)]
    return {answer.headers["X-Request-Id"].partition("-")[0] for answer in answers}


def until(ask, wanted):
    """Ask until the answer is the wanted one; each question waits for its own answer."""
    deadline = time.monotonic() + PATIENCE_S
    while time.monotonic() < deadline:
        try:
            found = ask()
        except (ConnectionError, http.client.HTTPException):
            continue
        if wanted(found):
            return found
    raise AssertionError("it never came")


def test_two_workers_one_killed(start):
    server = start("--workers", "2")
    client = server.client()
    assert client.call("PUT", MODEL_PATH, MODEL).status == 200
    assert client.get("/readyz").status == 200
    assert len(one_of_each(client)) == 2

    # Written through one, asked through the other: whichever takes the connection sees it.
    for n in range(20):
        zookie = client.post(FACTS, fact(f"document:d{n}#viewer@user:u1")).json["zookie"]
        answer = client.post(
            f"{A}/check",
            {"userId": "u1", "permission": "document:read", "resourceId": f"d{n}"},
            headers={"X-Zeratul-Zookie": zookie},
        )
        assert answer.json["allowed"] is True

    os.kill(workers(server)["web-0"], signal.SIGKILL)
    for n in range(20):
        assert until(
            lambda n=n: client.post(
                f"{A}/check",
                {"userId": "u1", "permission": "document:read", "resourceId": f"d{n}"},
            ),
            lambda answer: answer.status == 200,
        ).json["allowed"]
    until(lambda: one_of_each(client), lambda found: len(found) == 2)
    assert [row["slot"] for row in server.events("process ended")] == ["web-0"]
    assert server.stop() == 0


def test_heavy_calls_wait_for_their_process_and_checks_go_on(start):
    server = start()
    client = server.client()
    client.call("PUT", MODEL_PATH, MODEL)
    client.post(FACTS, GOOD)
    os.kill(workers(server)["heavy"], signal.SIGSTOP)
    try:
        assert client.check("user:u1", "document:d1", "read")
    finally:
        os.kill(workers(server)["heavy"], signal.SIGKILL)
    gone = until(lambda: client.get(f"{FACTS}/export"), lambda answer: answer.status == 503)
    assert gone.json["code"] == "heavy_unavailable"
    assert gone.headers["Retry-After"]
    assert client.check("user:u1", "document:d1", "read")
    until(lambda: client.get("/readyz"), lambda answer: answer.status == 200)
    assert len(client.everything()) == 1


def test_a_retry_is_answered_the_same_by_another_worker_and_after_a_restart(start, tmp_path):
    server = start("--workers", "2")
    client = server.client()
    client.call("PUT", MODEL_PATH, MODEL)
    header = {"Idempotency-Key": "once"}
    answers = [client.post(FACTS, GOOD, headers=header) for _ in range(20)]
    bulk = [
        client.post(f"{FACTS}/bulk", {"writes": [GOOD]}, headers={"Idempotency-Key": "b"})
        for _ in range(2)
    ]
    assert {(answer.status, answer.body) for answer in answers} == {(201, answers[0].body)}
    assert bulk[0].body == bulk[1].body
    server.stop()
    again = start("--workers", "2", data=server.data).client()
    answer = again.post(FACTS, GOOD, headers=header)
    assert (answer.status, answer.body) == (201, answers[0].body)
    assert again.post(FACTS, GOOD | {"resourceId": "other"}, headers=header).status == 409
    assert len(again.everything()) == 1


def test_the_first_start_shows_its_root_key_once(start):
    server = start(key=None)
    shown = [line for line in server.said if "root key" in line]
    assert len(shown) == 1
    key = shown[0].split()[-1]
    assert Client(server.port, key).get("/api/v1/applications").status == 200
    assert key not in server.log.read_text()
    server.stop()
    again = start(data=server.data, key=None)
    assert not [line for line in again.said if "root key" in line]
    assert Client(again.port, key).get("/api/v1/applications").status == 200
    again.stop()
    replaced = start(data=server.data, key="another-root-key")
    assert replaced.client("another-root-key").get("/api/v1/applications").status == 200
    assert Client(replaced.port, key).get("/api/v1/applications").status == 401


def test_a_key_deleted_through_one_worker_is_refused_by_all(start):
    client = start("--workers", "2").client()
    client.call("PUT", MODEL_PATH, MODEL)
    made = client.post("/api/v1/api-keys", {"name": "n", "permissions": ["checks:create"]}).json
    key = Client(client.port, made["secret"])
    question = {"userId": "u", "permission": "document:read", "resourceId": "d"}
    assert {key.post(f"{A}/check", question).status for _ in range(20)} == {200}
    assert client.call("DELETE", f"/api/v1/api-keys/{made['id']}").status == 204
    assert {key.post(f"{A}/check", question).status for _ in range(20)} == {401}


def test_heavy_calls_pass_through_whole(start):
    client = start().client()
    client.call("PUT", MODEL_PATH, MODEL)
    text = b"".join(
        b'{"resource":"document:d%d","relation":"viewer","subject":"user:u"}\n' % n
        for n in range(30_000)
    )
    pieces = (text[at : at + 50_000] for at in range(0, len(text), 50_000))
    answer = client.call(
        "POST", f"{FACTS}/import", raw=pieces, headers={"Content-Type": NDJSON, "Accept": NDJSON}
    )
    assert answer.lines[-1]["created"] == 30_000
    listed = client.call(
        "GET", f"{A}/what-can", headers={"Accept": NDJSON}, userId="u", permission="document:read"
    )
    assert len(listed.lines) == 30_001
    assert listed.lines[-1]["complete"] is True
    rows, cursor = [], {}
    while cursor is not None:
        page = client.get(
            f"{A}/what-can", userId="u", permission="document:read", pageSize=1_000, **cursor
        ).json
        rows += page["data"]
        cursor = {"cursor": page["nextCursor"]} if page["nextCursor"] else None
    assert rows == listed.lines[:-1]
    assert len(client.everything()) == 30_000
    checks = [{"permission": "document:read", "resourceId": f"d{n * 10}"} for n in range(5_000)]
    results = client.post(f"{A}/check/bulk", {"userId": "u", "checks": checks}).json["results"]
    assert [result["allowed"] for result in results] == [n * 10 < 30_000 for n in range(5_000)]
    refused = client.post(f"{FACTS}/bulk", {"writes": [GOOD, GOOD | {"relation": "x"}]})
    assert (refused.status, list(refused.json["errors"])) == (400, ["writes[1].relation"])
    assert refused.json["requestId"] == refused.headers["X-Request-Id"]
    gone = client.call("DELETE", FACTS, {"userId": "u"})
    assert gone.json["deleted"] == 30_000


def test_metrics_are_those_of_all_processes(start):
    client = start("--workers", "2").client()
    for _ in range(40):
        client.post(f"{A}/check", {})
    text = client.get("/metrics").body.decode()
    rows = [
        row
        for row in text.splitlines()
        if row.startswith("zeratul_requests_total") and '/check"' in row
    ]
    assert {row.partition('process="')[2].partition('"')[0] for row in rows} == {"web-0", "web-1"}
    assert sum(float(row.rpartition(" ")[2]) for row in rows) == 40


def test_two_servers_never_share_a_port_unnoticed(start, tmp_path):
    server = start()
    with pytest.raises(AssertionError, match="cannot listen"):
        start("--port", str(server.port), data=tmp_path / "other")


def test_a_supervisor_killed_takes_its_processes_along(start):
    server = start("--workers", "2")
    children = workers(server)
    server.process.kill()
    server.process.wait(30)
    for child in children.values():
        # A process that is gone already has no handle; the others are waited for.
        if Path(f"/proc/{child}").exists():
            handle = os.pidfd_open(child)
            assert select.select([handle], [], [], PATIENCE_S)[0], "it did not end"
            os.close(handle)
    server.process.stdout.close()


def limit_files(server, size):
    """No file of the server's processes may grow beyond this; what is more is refused (EFBIG)."""
    for child in workers(server).values():
        _, hard = resource.prlimit(child, resource.RLIMIT_FSIZE)
        resource.prlimit(child, resource.RLIMIT_FSIZE, (size, hard))


def test_a_full_disk_is_an_answered_error_and_with_room_again_writing_goes_on(start):
    server = start()
    client = server.client()
    client.call("PUT", MODEL_PATH, MODEL)
    client.post(FACTS, GOOD)
    limit_files(server, (server.data / "data.mdb").stat().st_size + 2_000_000)
    batch, answer = 0, None
    while answer is None or answer.status == 200:
        assert batch < 100, "the disk never filled up"
        writes = [fact(f"document:{batch}-{n}-{'x' * 300}#viewer@user:u") for n in range(1_000)]
        answer = client.post(f"{FACTS}/bulk?results=errors", {"writes": writes})
        batch += 1
    assert answer.status == 507, answer.body
    assert answer.json["code"] == "store_unavailable"
    assert client.check("user:u1", "document:d1", "read")
    assert not client.check(
        "user:u", writes[0]["resource"] + ":" + writes[0]["resourceId"], "read"
    )

    limit_files(server, resource.RLIM_INFINITY)
    again = client.post(f"{FACTS}/bulk?results=errors", {"writes": writes})
    assert (again.status, again.json["created"]) == (200, 1_000)
    assert client.post(FACTS, fact("document:more#viewer@user:u1")).status == 201
    assert len(client.everything()) == 1_000 * batch + 2


def test_a_client_gone_half_way_through_a_forwarded_call_harms_nothing(start):
    server = start()
    client = server.client()
    client.call("PUT", MODEL_PATH, MODEL)
    line = b'{"relationship":"document:d%d#viewer@user:u"}\n'
    body = b"".join(line % n for n in range(20_000))
    for sent in (b"", body[:100_000], body):
        connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=30)
        connection.putrequest("POST", f"{FACTS}/import")
        for name, value in {
            "X-API-Key": client.key,
            "Content-Type": NDJSON,
            "Content-Length": str(len(body) + 1),
        }.items():
            connection.putheader(name, value)
        connection.endheaders()
        connection.send(sent)
        connection.close()
    done = client.call("POST", f"{FACTS}/import", raw=body, headers={"Content-Type": NDJSON}).json
    assert done["created"] + done["existing"] == 20_000
    # Lists nobody reads to their end.
    for path in (f"{FACTS}/export", f"{A}/what-can?userId=u&permission=document:read"):
        connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=30)
        connection.request("GET", path, headers={"X-API-Key": client.key, "Accept": NDJSON})
        assert connection.getresponse().read(10)
        connection.close()
    assert len(client.everything()) == 20_000
    assert not server.events("request failed")
    assert not server.events("process ended")

"""Import and export over HTTP: streams that never hold the whole."""

import http.client
import json
import time
from dataclasses import replace

import pytest

from tests.api.client import FACTS, NDJSON, fact
from tests.api.servers import new_application

LINES = {"Content-Type": NDJSON}


def lines(count, start=0):
    for n in range(start, start + count):
        yield (
            json.dumps(
                {"resource": f"document:d{n}", "relation": "viewer", "subject": f"user:u{n % 97}"}
            ).encode()
            + b"\n"
        )


# More than one commit's lines, and more than the importer is fed at a time.
BATCH_AND_MORE = b"".join(lines(12_000))


def load(api, pieces, *, path=f"{FACTS}/import", **headers):
    return api.call("POST", path, raw=pieces, headers=LINES | headers)


def test_what_is_exported_can_be_imported_again(api, root):
    writes = [
        fact("document:a#viewer@user:u1"),
        fact("document:a/b c#viewer@group:gé#member"),
        fact("document:a#viewer@user:*"),
        fact("group:g#member@user:u", expiresAt="2090-01-01T00:00:00Z"),
    ]
    assert api.post(f"{FACTS}/bulk", {"writes": writes}).status == 200
    exported = api.get(f"{FACTS}/export")
    assert exported.headers["Content-Type"] == NDJSON
    other = new_application(root)
    answer = load(other, exported.body).json
    assert (answer["created"], answer["rejected"], answer["complete"]) == (4, 0, True)
    assert other.everything() == api.everything()
    again = load(other, exported.body).json
    assert (again["created"], again["existing"]) == (0, 4)


def test_lines_come_in_three_forms_and_cut_anywhere(api):
    text = b"\n".join([
        b'{"resource":"document:a","relation":"viewer","subject":"user:u"}', b"",
        b'{"relationship":"document:b#viewer@user:u"}',
        b'{"userId":"u","resource":"document","resourceId":"c","relation":"viewer"}',
    ])  # fmt: skip
    answer = load(api, (text[at : at + 3] for at in range(0, len(text), 3))).json
    assert (answer["lines"], answer["created"], answer["rejected"]) == (3, 3, 0)
    assert len(api.everything()) == 3


def test_a_dry_run_writes_nothing(api):
    answer = load(api, b"".join(lines(3)), path=f"{FACTS}/import?dryRun=true").json
    assert (answer["created"], answer["dryRun"]) == (3, True)
    assert api.everything() == []


def test_progress_is_streamed_and_ends_with_the_answer(api):
    answer = load(api, lines(45_000), Accept=NDJSON)
    assert answer.headers["Content-Type"] == NDJSON
    *progress, last = answer.lines
    assert progress
    assert all(row["complete"] is False for row in progress)
    counts = [row["lines"] for row in progress]
    assert counts == sorted(counts)
    assert (last["complete"], last["created"], last["rejects"]) == (True, 45_000, [])


def test_an_empty_import_is_an_import_of_nothing(api):
    assert load(api, b"").json["lines"] == 0
    assert load(api, b"\n\n").json["lines"] == 0


def begin_load(api, body):
    """An import of which ``body`` was sent and more is to come."""
    connection = http.client.HTTPConnection("127.0.0.1", api.port, timeout=30)
    connection.putrequest("POST", f"{FACTS}/import")
    headers = {"X-API-Key": api.key, "Transfer-Encoding": "chunked", **api.headers, **LINES}
    for name, value in headers.items():
        connection.putheader(name, value)
    connection.endheaders()
    connection.send(b"%x\r\n%b\r\n" % (len(body), body))
    return connection


def told(api, action):
    """The one event of this kind, once it is there."""
    until_s = time.monotonic() + 10
    while not (found := api.get("/api/v1/audit", action=action).json["data"]):
        assert time.monotonic() < until_s, f"no {action}"
        time.sleep(0.01)
    assert len(found) == 1
    return found[0]


@pytest.mark.parametrize("accept", ["application/json", NDJSON])
def test_an_import_that_breaks_off_tells_what_it_did(api, accept):
    """Its begin alone would leave open whether it did one line or a million."""
    connection = begin_load(
        replace(api, headers={**api.headers, "Accept": accept}), BATCH_AND_MORE
    )
    started = told(api, "relationships.import_started")
    connection.sock.close()
    connection.close()
    ended = told(api, "relationships.import_broken_off")
    assert ended["batchId"] == started["batchId"]
    assert ended["after"]["created"] == len(api.everything()) == 10_000
    assert api.get("/api/v1/audit", action="relationships.imported").json["data"] == []


def test_an_import_whose_key_goes_tells_what_it_did(api):
    """Refused in the middle: the answer says why, the event how far it came."""
    made = api.post("/api/v1/api-keys", {"name": "k", "permissions": ["relationships:import"]})
    connection = begin_load(replace(api, key=made.json["secret"]), BATCH_AND_MORE)
    told(api, "relationships.import_started")
    assert api.call("DELETE", f"/api/v1/api-keys/{made.json['id']}").status == 204
    connection.send(b"%x\r\n%b\r\n0\r\n\r\n" % (len(BATCH_AND_MORE), BATCH_AND_MORE))
    answer = connection.getresponse()
    assert answer.status == 401
    answer.read()
    connection.close()
    ended = told(api, "relationships.import_broken_off")
    assert ended["after"]["created"] == len(api.everything()) == 10_000


def test_a_client_gone_half_way_leaves_what_was_committed_and_harms_nothing(api):
    body = BATCH_AND_MORE
    connection = begin_load(api, body)
    connection.sock.close()
    connection.close()
    # The same once more: all of it is there then, whatever came of the first.
    answer = load(api, body).json
    assert answer["created"] + answer["existing"] == 12_000
    assert answer["rejected"] == 0
    assert len(api.everything()) == 12_000


def test_a_line_too_long_is_rejected_alone(api):
    long = b'{"relationship":"' + b"x" * 100_000 + b'"}\n'
    answer = load(api, long + b"".join(lines(2))).json
    assert (answer["created"], answer["rejected"]) == (2, 1)
    assert answer["rejects"][0]["line"] == 1
    assert answer["rejects"][0]["error"]["limit"] == "import_line_bytes_max"


def test_an_export_is_of_one_revision(api):
    """Written while it streams: not in it."""
    load(api, lines(20_000))
    connection = http.client.HTTPConnection("127.0.0.1", api.port, timeout=30)
    connection.request("GET", f"{FACTS}/export", headers={"X-API-Key": api.key, **api.headers})
    answer = connection.getresponse()
    first = answer.read(100)
    load(api, lines(100, start=50_000))
    rest = answer.read()
    connection.close()
    found = (first + rest).splitlines()
    assert len(found) == 20_000
    assert not any(b'"document:d50001"' in line for line in found)

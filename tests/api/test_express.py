"""The express lane answers as the ordinary way does, and takes nothing else."""

from __future__ import annotations

import json
import re
import socket
import threading
from contextlib import suppress
from typing import TYPE_CHECKING

import pytest

from tests.api.client import FACTS, A, Client, fact
from zeratul.api.express import EXPRESS_BYTES_MAX, Express

if TYPE_CHECKING:
    from collections.abc import Iterator

CHECK = f"{A}/check"
AUDIT = "/api/v1/audit"
KEYS = "/api/v1/api-keys"
LIST = f"GET {A}/what-can?userId=u1&resource=document&action=read HTTP/1.1"
QUESTION = {"userId": "u1", "resource": "document", "resourceId": "d1", "action": "read"}


class Lane:
    """What the express lane was asked, and what it said."""

    def __init__(self) -> None:
        self.answers: list[bytes | None] = []

    @property
    def taken(self) -> int:
        return sum(answer is not None for answer in self.answers)


@pytest.fixture
def lane(monkeypatch: pytest.MonkeyPatch) -> Lane:
    """Notes every answer of the lane."""
    seen = Lane()
    ordinary = Express.answer

    def answer(self: Express, *arguments: object) -> bytes | None:
        # Passed on as they came, whatever they are.
        seen.answers.append(ordinary(self, *arguments))  # type: ignore[arg-type]
        return seen.answers[-1]

    monkeypatch.setattr(Express, "answer", answer)
    return seen


@pytest.fixture
def wire(api: Client) -> Iterator[socket.socket]:
    with socket.create_connection(("127.0.0.1", api.port), timeout=30) as connection:
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        yield connection


def request(
    api: Client,
    body: bytes | dict[str, object] = QUESTION,
    headers: dict[str, str] | None = None,
    line: str = f"POST {CHECK} HTTP/1.1",
) -> bytes:
    """Head and body as one piece of bytes."""
    raw = body if isinstance(body, bytes) else json.dumps(body).encode()
    sent = {
        "Host": "zeratul",
        "X-API-Key": api.key or "",
        "Content-Type": "application/json",
        "Content-Length": str(len(raw)),
        **api.headers,
        **(headers or {}),
    }
    head = "".join(f"{name}: {value}\r\n" for name, value in sent.items())
    return f"{line}\r\n{head}\r\n".encode("latin-1") + raw


def read(wire: socket.socket, count: int = 1) -> list[tuple[str, dict[str, str], bytes]]:
    """So many answers: status line, headers, body."""
    found = []
    received = b""
    while len(found) < count:
        while b"\r\n\r\n" not in received:
            received += receive(wire)
        head, _, received = received.partition(b"\r\n\r\n")
        status, *lines = head.decode("latin-1").split("\r\n")
        headers = dict(line.split(": ", 1) for line in lines)
        size = int(headers["Content-Length"])
        while len(received) < size:
            received += receive(wire)
        found.append((status, headers, received[:size]))
        received = received[size:]
    assert not received
    return found


def receive(wire: socket.socket) -> bytes:
    piece = wire.recv(65_536)
    assert piece, "the connection was closed"
    return piece


def ask(wire: socket.socket, sent: bytes) -> tuple[str, dict[str, str], bytes]:
    wire.sendall(sent)
    return read(wire)[0]


def granted(api: Client) -> None:
    made = api.post(FACTS, fact("document:d1#viewer@user:u1"))
    assert made.status in (200, 201), made.body


@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"userId": "nobody"},
        {"userId": None, "subject": "user:u1"},
        {"resource": None, "action": None, "permission": "document:read"},
        {"userId": "ü-“1”"},
        {"consistency": {}},
        {"contextualRelationships": [fact("document:d1#viewer@user:u2")], "userId": "u2"},
    ],
)
def test_both_ways_send_the_same(api, wire, lane, changes):
    granted(api)
    body = {name: value for name, value in {**QUESTION, **changes}.items() if value is not None}
    quick = ask(wire, request(api, body, {"X-Request-Id": "mine"}))
    assert lane.taken == 1
    # A charset is unusual enough.
    slow = ask(
        wire,
        request(
            api,
            body,
            {"X-Request-Id": "mine", "Content-Type": "application/json; charset=utf-8"},
        ),
    )
    assert len(lane.answers) == 1
    for status, headers, _ in (quick, slow):
        assert status == "HTTP/1.1 200 OK"
        assert re.fullmatch(r"\w{3}, \d\d \w{3} \d{4} \d\d:\d\d:\d\d GMT", headers.pop("Date"))
    assert quick == slow
    assert json.loads(quick[2])["allowed"] is (
        changes.get("userId") != "nobody" and changes.get("userId") != "ü-“1”"
    )


def test_a_request_without_an_id_gets_one_of_its_own(api, wire, lane):
    first = ask(wire, request(api))[1]["X-Request-Id"]
    second = ask(wire, request(api, headers={"X-Request-Id": "not fit"}))[1]["X-Request-Id"]
    third = ask(wire, request(api, headers={"Expect": ""}))[1]["X-Request-Id"]
    assert lane.taken == 2
    assert len({first, second, third}) == 3


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({"X-API-Key": "wrong"}, 401),
        ({"X-API-Key": ""}, 401),
        ({"X-Zeratul-Application": "nowhere"}, 404),
        ({"X-Zeratul-Zookie": "garbage"}, 400),
        ({"Content-Type": "text/plain"}, 415),
        ({"Content-Encoding": "gzip"}, 415),
        ({"Authorization": "Bearer nonsense"}, 401),
    ],
)
def test_what_is_refused_is_refused_by_the_ordinary_way(api, wire, lane, headers, status):
    found, answered, body = ask(wire, request(api, headers=headers))
    assert found.split()[1] == str(status)
    assert answered["Content-Type"] == "application/problem+json"
    assert json.loads(body)["requestId"] == answered["X-Request-Id"]
    assert lane.taken == 0


@pytest.mark.parametrize(
    ("body", "status"),
    [
        (b"", 400),
        (b"{", 400),
        (b"null", 400),
        (b'{"userId":"\xff"}', 400),
        (json.dumps({**QUESTION, "resource_id": "d1"}).encode(), 400),
        (json.dumps({**QUESTION, "resource": "documnet"}).encode(), 400),
        (json.dumps({**QUESTION, "userId": "a#b"}).encode(), 400),
        (json.dumps({**QUESTION, "userId": "*"}).encode(), 400),
    ],
)
def test_bad_bodies_are_refused_by_the_ordinary_way(api, wire, lane, body, status):
    found, answered, told = ask(wire, request(api, body))
    assert found.split()[1] == str(status)
    assert answered["Content-Type"] == "application/problem+json"
    assert json.loads(told)["status"] == status
    assert lane.taken == 0
    # The connection is as good as before.
    assert ask(wire, request(api))[0] == "HTTP/1.1 200 OK"
    assert lane.taken == 1


def test_a_revoked_key_is_refused_at_once(api, wire, lane):
    made = api.post(KEYS, {"name": "short", "permissions": ["checks:create"]})
    assert made.status == 201, made.body
    own = Client(api.port, made.json["secret"])
    assert ask(wire, request(own))[0] == "HTTP/1.1 200 OK"
    assert lane.taken == 1
    assert api.call("DELETE", f"{KEYS}/{made.json['id']}").status in (200, 204)
    assert ask(wire, request(own))[0].split()[1] == "401"
    assert lane.taken == 1


def test_requests_sent_without_waiting_are_answered_in_their_order(api, wire, lane):
    granted(api)
    others = [
        request(api, headers={"X-Request-Id": "check-1"}),
        request(api, b"{", {"X-Request-Id": "bad"}),
        request(api, b"", {"X-Request-Id": "list"}, LIST),
        request(api, headers={"X-Request-Id": "check-2"}),
    ]
    wire.sendall(b"".join(others))
    found = read(wire, len(others))
    assert [headers["X-Request-Id"] for _, headers, _ in found] == [
        "check-1", "bad", "list", "check-2",
    ]  # fmt: skip
    assert [status.split()[1] for status, _, _ in found] == ["200", "400", "200", "200"]
    assert lane.taken == 0


def test_a_check_does_not_overtake_an_answer_that_is_being_made(api, wire, lane):
    for number in range(3):
        wire.sendall(request(api, b"", {"X-Request-Id": f"list-{number}"}, LIST))
        wire.sendall(request(api, headers={"X-Request-Id": f"check-{number}"}))
    names = [headers["X-Request-Id"] for _, headers, _ in read(wire, 6)]
    assert names == [f"{what}-{number}" for number in range(3) for what in ("list", "check")]


@pytest.mark.parametrize("at", ["head", "body"])
def test_a_request_may_come_in_pieces(api, wire, lane, at):
    granted(api)
    whole = request(api)
    middle = whole.index(b"\r\n\r\n") + (4 if at == "head" else 10)
    for _ in range(3):
        wire.sendall(whole[:middle])
        wire.sendall(whole[middle:])
        status, _, body = read(wire)[0]
        assert status == "HTTP/1.1 200 OK"
        assert json.loads(body)["allowed"] is True


def test_a_body_that_stays_away_is_read_by_the_ordinary_way(api, wire, lane):
    granted(api)
    whole = request(api)
    head, body = whole[: whole.index(b"\r\n\r\n") + 4], whole[whole.index(b"\r\n\r\n") + 4 :]
    wire.sendall(head)
    # Answers of another connection show that the server went on meanwhile.
    other = api.check("user:u1", "document:d1", "read")
    gone = threading.Event()
    gone.wait(0.05)  # longer than the lane's patience: nothing tells when that is over
    wire.sendall(body)
    status, _, answer = read(wire)[0]
    assert (status, json.loads(answer)["allowed"], other) == ("HTTP/1.1 200 OK", True, True)


def test_large_and_chunked_requests_go_the_ordinary_way(api, wire, lane):
    granted(api)
    wide = {**QUESTION, "context": {"filler": "x" * EXPRESS_BYTES_MAX}}
    assert ask(wire, request(api, wide))[0].split()[1] in ("200", "400")
    assert lane.taken == 0
    raw = json.dumps(QUESTION).encode()
    chunked = b"%x\r\n%b\r\n0\r\n\r\n" % (len(raw), raw)
    head = request(api, b"", {"Transfer-Encoding": "chunked"}).replace(
        b"Content-Length: 0\r\n", b""
    )
    status, _, body = ask(wire, head + chunked)
    assert status == "HTTP/1.1 200 OK"
    assert json.loads(body)["allowed"] is True


def test_old_clients_and_those_that_leave_are_served_and_closed(api, lane):
    for line, headers in (
        (f"POST {CHECK} HTTP/1.0", None),
        (f"POST {CHECK} HTTP/1.1", {"Connection": "close"}),
    ):
        with socket.create_connection(("127.0.0.1", api.port), timeout=30) as wire:
            status, _, _ = ask(wire, request(api, headers=headers, line=line))
            assert status.split()[1] == "200"
            assert wire.recv(1) == b""
    assert lane.taken == 0


def test_a_client_that_does_not_read_is_not_answered_without_end(api, lane):
    """What cannot be sent is bounded: the lane stops, and the ordinary way waits."""
    whole = request(api)
    with socket.create_connection(("127.0.0.1", api.port), timeout=30) as wire:
        wire.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4_096)
        wire.settimeout(0.5)
        sent = 0
        with suppress(TimeoutError):
            while sent < 200_000_000:
                sent += wire.send(whole)
    assert sent < 200_000_000
    # The server is well.
    assert api.check("user:u1", "document:d1", "read") in (True, False)


def test_the_first_decision_recorded_is_told_with_its_request(api, root, wire, lane):
    """The process learns that the log is on while it decides."""
    granted(api)
    settings = f"/api/v1/applications/{api.headers['X-Zeratul-Application']}/settings"
    ask(wire, request(api))
    assert root.call("PUT", settings, {"decisionLog": {"mode": "all"}}).status == 200
    for name in ("first", "second"):
        status, _, body = ask(wire, request(api, headers={"X-Request-Id": name}))
        assert (status, json.loads(body)["allowed"]) == ("HTTP/1.1 200 OK", True)
    while len(found := api.get(AUDIT, action="decision.allowed").json["data"]) < 2:
        pass  # recorded behind the request
    assert sorted(each["requestId"] for each in found) == ["first", "second"]
    assert {each["ip"] for each in found} == {"127.0.0.1"}


def test_express_checks_are_counted_and_recorded(api, root, wire, lane):
    granted(api)
    settings = f"/api/v1/applications/{api.headers['X-Zeratul-Application']}/settings"
    assert root.call("PUT", settings, {"decisionLog": {"mode": "all"}}).status == 200
    name = f'route="POST {CHECK}",status="200"'

    def counted() -> float:
        lines = root.get("/metrics").body.decode().splitlines()
        return sum(
            float(line.rsplit(" ", 1)[1])
            for line in lines
            if line.startswith("zeratul_requests_total") and name in line
        )

    before = counted()
    assert ask(wire, request(api, headers={"X-Request-Id": "told"}))[0] == "HTTP/1.1 200 OK"
    assert lane.taken == 1
    assert counted() == before + 1
    assert root.call("PUT", settings, {"decisionLog": {"mode": "off"}}).status == 200
    while not (found := api.get(AUDIT, action="decision.allowed").json["data"]):
        pass  # recorded behind the request
    assert [(each["requestId"], each["ip"]) for each in found] == [("told", "127.0.0.1")]

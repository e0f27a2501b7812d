"""A plain client of the native contract: enough to load data, ask, and check every answer."""

from __future__ import annotations

import http.client
import json
import socket
import time
from typing import TYPE_CHECKING, Any, NamedTuple, Self
from urllib.parse import urlencode

from loadtest.processes import HOST, ServerFaultError

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from loadtest.shapes import Question, Triple

API = "/api/v1"
CHECK = f"{API}/authorization/check"
CHECK_MANY = f"{API}/authorization/check/bulk"
RELATIONSHIPS = f"{API}/authorization/relationships"
BULK = f"{RELATIONSHIPS}/bulk?results=errors"
IMPORT = f"{RELATIONSHIPS}/import"
WHAT_CAN = f"{API}/authorization/what-can"
# LIMIT: an import or a list of ten million rows on a busy machine.
TIMEOUT_S = 900.0


class WrongAnswerError(Exception):
    """The server answered, and the answer is wrong: the one thing that must not happen."""


class Target(NamedTuple):
    """Where requests go: a server of ours, and one of its applications."""

    port: int
    key: str
    application: str = "default"

    @property
    def headers(self) -> dict[str, str]:
        """Headers of every JSON request."""
        return {
            "X-API-Key": self.key,
            "X-Zeratul-Application": self.application,
            "Content-Type": "application/json",
        }


def write_body(triple: Triple) -> dict[str, str]:
    """A relationship in the form of the bulk endpoint."""
    resource, relation, subject = triple
    name, _, resource_id = resource.partition(":")
    return {"resource": name, "resourceId": resource_id, "relation": relation, "subject": subject}


def bulk_body(triples: Iterable[Triple]) -> bytes:
    """A bulk upload."""
    return json.dumps({"writes": [write_body(triple) for triple in triples]}).encode()


def check_fields(asked: Question) -> dict[str, str]:
    """A question in the form of the check endpoint."""
    return {
        "subject": asked.subject,
        "resource": asked.resource,
        "resourceId": asked.resource_id,
        "action": asked.action,
    }


def check_body(asked: Question) -> bytes:
    """A check."""
    return json.dumps(check_fields(asked), separators=(",", ":")).encode()


def check_many_body(asked: Sequence[Question]) -> bytes:
    """A bulk check."""
    return json.dumps({"checks": [check_fields(each) for each in asked]}).encode()


class Client:
    """One connection that is kept open; not for use by two threads at once."""

    def __init__(self, target: Target) -> None:
        self.target = target
        self._connection = http.client.HTTPConnection(HOST, target.port, timeout=TIMEOUT_S)

    def close(self) -> None:
        """Close the connection."""
        self._connection.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *details: object) -> None:
        self.close()

    def send(
        self,
        method: str,
        path: str,
        body: bytes | Iterable[bytes] | None = None,
        **headers: str,
    ) -> http.client.HTTPResponse:
        """The response, its body still unread.

        Raises:
            ServerFaultError: the status is no success, or the connection broke.
        """
        chunked = body is not None and not isinstance(body, bytes)
        extra = {name.replace("_", "-"): value for name, value in headers.items()}
        if chunked:
            extra["Transfer-Encoding"] = "chunked"
        try:
            self._connection.request(
                method, path, body, {**self.target.headers, **extra}, encode_chunked=chunked
            )
            response = self._connection.getresponse()
        except (OSError, http.client.HTTPException) as error:
            self._connection.close()
            raise ServerFaultError(f"{method} {path}: {error!r}") from error
        if not 200 <= response.status < 300:
            text = response.read(2_000).decode(errors="replace")
            raise ServerFaultError(f"{method} {path}: {response.status} {text}")
        return response

    def ask(
        self, method: str, path: str, body: bytes | Iterable[bytes] | None = None, **headers: str
    ) -> Any:
        """The decoded JSON answer.

        Raises:
            ServerFaultError: no success, or no JSON.
        """
        return _decoded(f"{method} {path}", self.send(method, path, body, **headers).read())

    def create_application(self, name: str) -> str:
        """The id of a new application."""
        body = json.dumps({"name": name}).encode()
        return str(self.ask("POST", f"{API}/applications", body)["id"])

    def put_model(self, model: dict[str, Any]) -> None:
        """Give the application its model."""
        path = f"{API}/applications/{self.target.application}/model"
        self.send("PUT", path, json.dumps(model).encode()).read()

    def import_chunks(self, chunks: Iterable[bytes]) -> dict[str, Any]:
        """Stream NDJSON into the import endpoint; its final counts.

        Raises:
            ServerFaultError: a line was rejected, or the import failed.
        """
        response = self.send("POST", IMPORT, chunks, Content_Type="application/x-ndjson")
        # Progress may come before the counts, a line each; the last line is the answer.
        text = response.read().strip()
        try:
            answer: dict[str, Any] = json.loads(text)
        except ValueError:
            answer = json.loads(text.rsplit(b"\n", 1)[-1])
        if answer.get("rejected", 0) or answer.get("error"):
            raise ServerFaultError(f"import: {json.dumps(answer)[:500]}")
        return answer

    def bulk(self, body: bytes) -> dict[str, Any]:
        """Upload one bulk body.

        Raises:
            ServerFaultError: an item failed.
        """
        answer: dict[str, Any] = self.ask("POST", BULK, body)
        if answer["failed"]:
            raise ServerFaultError(f"bulk: {json.dumps(answer)[:500]}")
        return answer

    def check(self, asked: Question) -> bool:
        """The server's answer."""
        return bool(self.ask("POST", CHECK, check_body(asked))["allowed"])

    def check_many(self, asked: Sequence[Question]) -> list[bool]:
        """The server's answers, in order.

        Raises:
            ServerFaultError: an item has an error instead of an answer.
        """
        results = self.ask("POST", CHECK_MANY, check_many_body(asked))["results"]
        if len(results) != len(asked) or any("allowed" not in each for each in results):
            raise ServerFaultError(f"bulk check: {json.dumps(results)[:500]}")
        return [bool(each["allowed"]) for each in results]

    def verify(self, asked: Sequence[Question], *, batch_size: int = 1_000) -> int:
        """Ask all and compare; how many were asked.

        Raises:
            WrongAnswerError: one answer is wrong.
        """
        for start in range(0, len(asked), batch_size):
            batch = asked[start : start + batch_size]
            for each, answer in zip(batch, self.check_many(batch), strict=True):
                if answer != each.allowed:
                    raise WrongAnswerError(f"{each} was answered {answer}")
        return len(asked)

    def page(self, path: str, query: dict[str, str]) -> tuple[dict[str, Any], float]:
        """One page of a list, and the seconds until its last byte came, as for a stream.

        Decoding it is this client's own time, more than half of all.
        """
        target = f"{path}?{urlencode(query)}"
        started = time.perf_counter()
        text = self.send("GET", target).read()
        seconds = time.perf_counter() - started
        return _decoded(f"GET {target}", text), seconds

    def stream(self, path: str, query: dict[str, str]) -> Iterator[bytes]:
        """The pieces of an NDJSON answer, as they come; not cut at lines."""
        response = self.send("GET", f"{path}?{urlencode(query)}", Accept="application/x-ndjson")
        while piece := response.read1(1 << 18):
            yield piece


def _decoded(request: str, text: bytes) -> Any:
    try:
        return json.loads(text)
    except ValueError as error:
        raise ServerFaultError(f"{request}: no JSON: {text[:200]!r}") from error


def body_of(response: bytes) -> bytes:
    """The body of a whole response, its chunks joined."""
    head, _, body = response.partition(b"\r\n\r\n")
    if b"\r\ntransfer-encoding: chunked" not in head.lower():
        return body
    joined = b""
    while body and body != LAST_CHUNK:
        size, _, rest = body.partition(b"\r\n")
        length = int(size, 16)
        joined += rest[:length]
        body = rest[length + 2 :]
    return joined


class Wire:
    """One socket and nothing around it, for latencies: a client's own time is about 20 µs."""

    def __init__(self, target: Target) -> None:
        self._socket = socket.create_connection((HOST, target.port), timeout=TIMEOUT_S)
        self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.target = target

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *details: object) -> None:
        self._socket.close()

    def request(self, method: str, path: str, body: bytes) -> bytes:
        """The bytes of a request, to be made before the clock runs."""
        return http_request(self.target, method, path, body)

    def ask(self, request: bytes) -> tuple[bytes, float]:
        """The answer with its head, and the seconds it took.

        Raises:
            ServerFaultError: the connection ended, or the answer has no length.
        """
        started = time.perf_counter()
        self._socket.sendall(request)
        received = b""
        while (size := response_size(received)) is None or len(received) < size:
            chunk = self._socket.recv(1 << 16)
            if not chunk:
                raise ServerFaultError("the server closed the connection")
            received += chunk
        return received, time.perf_counter() - started

    def check(self, asked: Question) -> float:
        """Ask one check and compare its answer; the seconds it took.

        Raises:
            WrongAnswerError: the answer is wrong.
        """
        answer, seconds = self.ask(self.request("POST", CHECK, check_body(asked)))
        if not answer.startswith(b"HTTP/1.1 200"):
            raise ServerFaultError(f"{asked}: {answer[:500]!r}")
        if expected(allowed=asked.allowed) not in answer:
            raise WrongAnswerError(f"{asked} was answered {answer[-200:]!r}")
        return seconds


def expected(*, allowed: bool) -> bytes:
    """What stands in the body of a right answer."""
    return b'"allowed":true' if allowed else b'"allowed":false'


def http_request(target: Target, method: str, path: str, body: bytes) -> bytes:
    """An HTTP/1.1 request as bytes."""
    head = [f"{method} {path} HTTP/1.1", f"Host: {HOST}:{target.port}"]
    head += [f"{name}: {value}" for name, value in target.headers.items()]
    head += [f"Content-Length: {len(body)}", "", ""]
    return "\r\n".join(head).encode() + body


LAST_CHUNK = b"0\r\n\r\n"


def response_size(received: bytes) -> int | None:
    """Length of a whole response, or None while that cannot be told yet.

    Raises:
        ServerFaultError: the head names no length.
    """
    end = received.find(b"\r\n\r\n")
    if end < 0:
        return None
    head = received[:end].lower()
    start = head.find(b"\r\ncontent-length:")
    if start < 0:
        if b"\r\ntransfer-encoding: chunked" in head:
            # One request at a time: nothing comes behind the last chunk.
            return len(received) if received.endswith(b"\r\n" + LAST_CHUNK) else None
        raise ServerFaultError(f"an answer without length: {head[:200]!r}")
    value = head[start + 17 :].split(b"\r\n", 1)[0]
    return end + 4 + int(value)

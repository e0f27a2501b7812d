"""The services through a server's native HTTP contract.

One connection pool and one event loop for the life of the command; each method runs the loop until
its answer is there. Streams are pulled piece by piece, so nothing is ever held whole.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any, TypeVar
from urllib.parse import quote, urlsplit

import aiohttp
import orjson

from zeratul.cli.console import CommandError

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, AsyncIterator, Coroutine, Iterator, Sequence

    from zeratul.cli.target import Json, Rows
    from zeratul.domain.relationship import ObjectRef, SubjectRef

T = TypeVar("T")

API = "/api/v1"
NDJSON = "application/x-ndjson"
# LIMIT: time for a connection and for silence in an answer; a whole export may take hours.
TIMEOUT = aiohttp.ClientTimeout(total=None, sock_connect=10, sock_read=120)
LAST_WORDS = b'{"error":'
# LIMIT: details of a problem document shown on a terminal.
PROBLEMS_MAX = 50


class ServerError(CommandError):
    """What a server answered instead of an answer, with its own words."""

    def __init__(self, status: int, problem: Json) -> None:
        message = str(problem.get("detail") or problem.get("title") or f"status {status}")
        lines = [
            f"{where}: {text}"
            for where, texts in (problem.get("errors") or {}).items()
            for text in texts
            if text != message
        ]
        if len(lines) > PROBLEMS_MAX:
            lines = [*lines[:PROBLEMS_MAX], f"… and {len(lines) - PROBLEMS_MAX:,} more"]
        super().__init__(f"{message} ({status})", help=problem.get("help"), details=lines)
        self.status = status


class Remote:
    """A `Target` behind a server's address."""

    def __init__(self, url: str, key: str, application: str | None) -> None:
        parts = urlsplit(url if "//" in url else f"http://{url}")
        if parts.scheme not in ("http", "https") or not parts.netloc:
            raise CommandError(f"not a server's address: `{url}`", help="http://HOST:PORT")
        self._base = f"{parts.scheme}://{parts.netloc}{parts.path.rstrip('/')}"
        self._application = application
        headers = {"X-API-Key": key}
        if application:
            headers["X-Zeratul-Application"] = application
        self._runner = asyncio.Runner()
        self._session = self._runner.run(_session(headers))

    def close(self) -> None:
        """Close the connections."""
        self._runner.run(self._session.close())
        self._runner.close()

    # --- Questions.

    def check(self, subject: SubjectRef, resource: ObjectRef, relation: str) -> Json:
        """See `Target`."""
        return self._call("POST", "/authorization/check", _question(subject, resource, relation))

    def explain(self, subject: SubjectRef, resource: ObjectRef, relation: str) -> Json:
        """See `Target`."""
        return self._call("POST", "/authorization/explain", _question(subject, resource, relation))

    def who_can(
        self, resource: ObjectRef, relation: str, subject_type: str, subject_relation: str
    ) -> Rows:
        """See `Target`."""
        query = {"resource": resource.type, "resourceId": resource.id, "action": relation}
        query["subjectType"] = subject_type
        if subject_relation:
            query["subjectRelation"] = subject_relation
        return _Rows(self._pieces("GET", "/authorization/who-can", query=query))

    def what_can(self, subject: SubjectRef, resource_type: str, relation: str) -> Rows:
        """See `Target`."""
        query = {"subject": str(subject), "resource": resource_type, "action": relation}
        return _Rows(self._pieces("GET", "/authorization/what-can", query=query))

    # --- Model, applications, keys.

    def model(self) -> Json:
        """See `Target`."""
        document: Json = self._call("GET", self._configuration("/model"))["model"]
        return document

    def put_model(self, document: object, *, force: bool, dry_run: bool) -> Json:
        """See `Target`."""
        query = {"force": "true"} if force else {}
        if dry_run:
            query["dryRun"] = "true"
        return self._call("PUT", self._configuration("/model"), document, query=query)

    def create_application(self, name: str) -> Json:
        """See `Target`."""
        return self._call("POST", "/applications", {"name": name})

    def applications(self) -> list[Json]:
        """See `Target`."""
        return self._all("/applications")

    def delete_application(self, application_id: str, confirm: str) -> None:
        """See `Target`."""
        path = f"/applications/{quote(application_id, safe='')}"
        self._call("DELETE", path, query={"confirm": confirm})

    def create_key(
        self,
        name: str,
        permissions: Sequence[str] | None,
        expires_at: str | None,
        tenant_id: str | None,
    ) -> Json:
        """See `Target`."""
        body: Json = {"name": name}
        if permissions:
            body["permissions"] = list(permissions)
        if expires_at:
            body["expiresAt"] = expires_at
        if tenant_id:
            body["tenantId"] = tenant_id
        return self._call("POST", "/api-keys", body)

    def api_keys(self) -> list[Json]:
        """See `Target`."""
        return self._all("/api-keys")

    def rotate_key(self, key_id: str, grace_s: int) -> Json:
        """See `Target`."""
        path = f"/api-keys/{quote(key_id, safe='')}/rotate"
        return self._call("POST", path, {"graceSeconds": grace_s})

    def delete_key(self, key_id: str) -> None:
        """See `Target`."""
        self._call("DELETE", f"/api-keys/{quote(key_id, safe='')}")

    def _all(self, path: str) -> list[Json]:
        """The rows of all pages of a list."""
        rows: list[Json] = []
        query: dict[str, str] = {}
        while True:
            page = self._call("GET", path, query=query)
            rows += page["data"]
            if not page.get("nextCursor"):
                return rows
            query = {"cursor": page["nextCursor"]}

    # --- Streams.

    def load(self, chunks: Iterator[bytes], *, dry_run: bool) -> Iterator[Json]:
        """See `Target`."""
        query = {"dryRun": "true"} if dry_run else {}
        path = "/authorization/relationships/import"
        # aiohttp sends the body in a task of its own and reads the answer beside it: a server may
        # tell its progress while it still takes lines.
        for line in _lines(self._pieces("POST", path, query=query, chunks=chunks)):
            counts: Json = orjson.loads(line)
            if "error" in counts:
                raise _broken_off(counts)
            yield counts

    def export(self) -> Iterator[bytes]:
        """See `Target`."""
        held = b""
        for piece in self._pieces("GET", "/authorization/relationships/export"):
            held += piece
            # The last line stays back: only the end of the stream shows what it is.
            cut = held.rfind(b"\n", 0, len(held) - 1) + 1
            if cut:
                yield held[:cut]
                held = held[cut:]
        if held.startswith(LAST_WORDS):
            raise _broken_off(orjson.loads(held))
        yield held

    # --- HTTP.

    def _configuration(self, path: str) -> str:
        return f"/applications/{quote(self._application or 'default', safe='')}{path}"

    def _call(
        self, method: str, path: str, body: object = None, *, query: dict[str, str] | None = None
    ) -> Json:
        answer: Json = self._run(self._answer(method, path, body, query))
        return answer

    async def _answer(
        self, method: str, path: str, body: object, query: dict[str, str] | None
    ) -> Any:
        data = None if body is None else orjson.dumps(body)
        headers = {"Content-Type": "application/json"} if data is not None else {}
        async with self._session.request(
            method, self._base + API + path, params=query, data=data, headers=headers
        ) as response:
            raw = await response.read()
            if response.status >= 400:
                raise ServerError(response.status, _problem(raw))
            return orjson.loads(raw) if raw else {}

    def _pieces(
        self,
        method: str,
        path: str,
        *,
        query: dict[str, str] | None = None,
        chunks: Iterator[bytes] | None = None,
    ) -> Iterator[bytes]:
        stream = self._stream(method, path, query, chunks)
        try:
            while True:
                piece = self._run(anext(stream, None))
                if piece is None:
                    return
                yield piece
        finally:
            self._run(stream.aclose())

    async def _stream(
        self,
        method: str,
        path: str,
        query: dict[str, str] | None,
        chunks: Iterator[bytes] | None,
    ) -> AsyncGenerator[bytes]:
        headers = {"Accept": NDJSON}
        if chunks is not None:
            headers["Content-Type"] = NDJSON
        async with self._session.request(
            method,
            self._base + API + path,
            params=query,
            data=None if chunks is None else _sent(chunks),
            headers=headers,
        ) as response:
            if response.status >= 400:
                raise ServerError(response.status, _problem(await response.read()))
            async for piece in response.content.iter_any():
                yield piece

    def _run(self, work: Coroutine[Any, Any, T]) -> T:
        try:
            return self._runner.run(work)
        except aiohttp.ClientPayloadError as error:
            raise CommandError("the server broke off its answer") from error
        except aiohttp.ClientConnectorError as error:
            raise CommandError(
                f"cannot reach `{self._base}`: {error.os_error.strerror or error}",
                help="is the server running? start it with: zeratul serve",
            ) from error
        except (aiohttp.ClientError, TimeoutError) as error:
            raise CommandError(
                f"no answer from `{self._base}`: {str(error) or 'too slow'}"
            ) from error
        except orjson.JSONDecodeError as error:
            raise CommandError(f"`{self._base}` does not answer as Zeratul does") from error


class _Rows:
    """Rows of a streamed list; the last line must say that the list is complete."""

    def __init__(self, pieces: Iterator[bytes]) -> None:
        self._lines = _lines(pieces)
        self.total: int | None = None

    def __iter__(self) -> Iterator[Json]:
        for line in self._lines:
            row = orjson.loads(line)
            if "error" in row:
                raise _broken_off(row)
            if "complete" in row:
                self.total = row["total"]
                return
            yield row
        # INVARIANT: a list that ends without its last line was cut; it is never shown as whole.
        raise CommandError("the list broke off before its end")


async def _session(headers: dict[str, str]) -> aiohttp.ClientSession:
    return aiohttp.ClientSession(headers=headers, timeout=TIMEOUT)


async def _sent(chunks: Iterator[bytes]) -> AsyncIterator[bytes]:
    for chunk in chunks:
        yield chunk


def _lines(pieces: Iterator[bytes]) -> Iterator[bytes]:
    rest = b""
    for piece in pieces:
        *lines, rest = (rest + piece).split(b"\n")
        for line in lines:
            if line:
                yield line
    if rest:
        yield rest


def _question(subject: SubjectRef, resource: ObjectRef, relation: str) -> Json:
    return {
        "subject": str(subject),
        "resource": resource.type,
        "resourceId": resource.id,
        "action": relation,
    }


def _broken_off(line: Json) -> CommandError:
    """The error a stream ended with instead of its last line."""
    return CommandError(f"the server broke off its answer: {line['error'].get('detail')}")


def _problem(raw: bytes) -> Json:
    try:
        problem = orjson.loads(raw)
    except orjson.JSONDecodeError:
        return {}
    return problem if isinstance(problem, dict) else {}

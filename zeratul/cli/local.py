"""The services in-process, on a data directory; a server may run on it at the same time."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Generic, Protocol, TypeVar

import orjson

from zeratul.api.authaz import encoding, list_encoding
from zeratul.api.authaz.explaining import explanation
from zeratul.door import open_services
from zeratul.errors import InternalError
from zeratul.graph.answers import CheckQuestion
from zeratul.service.ground.answers import Page
from zeratul.service.ground.idempotency import Replay
from zeratul.service.ground.times import parse_time

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from concurrent.futures import Future
    from pathlib import Path

    from zeratul.cli.target import Json, Rows
    from zeratul.domain.relationship import ObjectRef, SubjectRef
    from zeratul.service.questions.list_answers import RowStream


Answer = TypeVar("Answer")
Row = TypeVar("Row")
Each_co = TypeVar("Each_co", covariant=True)


class Local:
    """A `Target` on a data directory, acting as nobody but the owner of its files."""

    def __init__(self, directory: Path, application: str) -> None:
        self.services = open_services(directory)
        try:
            self.caller = self.services.local_caller(application)
        except BaseException:
            self.services.close()
            raise

    def close(self) -> None:
        """Close the store."""
        self.services.close()

    # --- Questions.

    def check(self, subject: SubjectRef, resource: ObjectRef, relation: str) -> Json:
        """See `Target`."""
        question = CheckQuestion(subject, resource, relation)
        answer = self.services.access.check(self.caller, question)
        decision: Json = orjson.loads(encoding.check(answer))
        return decision

    def explain(self, subject: SubjectRef, resource: ObjectRef, relation: str) -> Json:
        """See `Target`."""
        question = CheckQuestion(subject, resource, relation)
        answer = self.services.access.explain(self.caller, question)
        return explanation(answer)

    def who_can(
        self, resource: ObjectRef, relation: str, subject_type: str, subject_relation: str
    ) -> Rows:
        """See `Target`."""
        stream = self.services.access.stream_who_can(
            self.caller,
            resource,
            relation,
            subject_type=subject_type,
            subject_relation=subject_relation,
        )
        return _Rows(stream, list_encoding.subject_row)

    def what_can(self, subject: SubjectRef, resource_type: str, relation: str) -> Rows:
        """See `Target`."""
        stream = self.services.access.stream_what_can(
            self.caller, subject, resource_type, relation
        )
        return _Rows(stream, list_encoding.resource_row)

    # --- Model, applications, keys.

    def model(self) -> Json:
        """See `Target`."""
        return self.services.models.get(self.caller).model

    def put_model(self, document: object, *, force: bool, dry_run: bool) -> Json:
        """See `Target`."""
        answer = self.services.models.put(
            self.caller, document, force=force, dry_run=dry_run
        ).result()
        return encoding.model_put(answer)

    def create_application(self, name: str) -> Json:
        """See `Target`."""
        return encoding.application(_first(self.services.applications.create(self.caller, name)))

    def applications(self) -> list[Json]:
        """See `Target`."""
        list_page = self.services.applications.list
        return [encoding.application(each) for each in _all(partial(list_page, self.caller))]

    def delete_application(self, application_id: str, confirm: str) -> None:
        """See `Target`."""
        self.services.applications.delete(self.caller, application_id, confirm).result()
        while self.services.applications.sweep_step() or self.services.store.sweep():
            pass

    def create_key(
        self,
        name: str,
        permissions: Sequence[str] | None,
        expires_at: str | None,
        tenant_id: str | None,
    ) -> Json:
        """See `Target`."""
        made = _first(
            self.services.keys.create(
                self.caller,
                name,
                permissions=list(permissions) if permissions else None,
                expires_at_ms=parse_time(expires_at, field="expires") if expires_at else None,
                tenant_id=tenant_id,
            )
        )
        return encoding.new_key(made)

    def api_keys(self) -> list[Json]:
        """See `Target`."""
        return [encoding.key(each) for each in _all(partial(self.services.keys.list, self.caller))]

    def rotate_key(self, key_id: str, grace_s: int) -> Json:
        """See `Target`."""
        return encoding.new_key(_first(self.services.keys.rotate(self.caller, key_id, grace_s)))

    def delete_key(self, key_id: str) -> None:
        """See `Target`."""
        self.services.keys.delete(self.caller, key_id).result()

    # --- Streams.

    def load(self, chunks: Iterator[bytes], *, dry_run: bool) -> Iterator[Json]:
        """See `Target`."""
        importer = self.services.transfers.importer(self.caller, dry_run=dry_run)
        try:
            for chunk in chunks:
                under_way = importer.feed(chunk)
                if under_way is not None:
                    under_way.result()
                    yield encoding.imported(importer.progress(), complete=False)
            yield encoding.imported(importer.finish().result(), complete=True)
        finally:
            importer.break_off().result()

    def export(self) -> Iterator[bytes]:
        """See `Target`."""
        return iter(self.services.transfers.export(self.caller))


class _Page(Protocol[Each_co]):
    @property
    def rows(self) -> Sequence[Each_co]: ...

    @property
    def next_cursor(self) -> str | None: ...


class _Pages(Protocol[Each_co]):
    def __call__(self, *, page: Page) -> _Page[Each_co]: ...


def _all(pages: _Pages[Each_co]) -> list[Each_co]:
    """The rows of all pages of a list."""
    rows: list[Each_co] = []
    cursor: str | None = None
    while True:
        found = pages(page=Page(cursor=cursor))
        rows += found.rows
        cursor = found.next_cursor
        if cursor is None:
            return rows


def _first(future: Future[Answer | Replay]) -> Answer:
    answer = future.result()
    if isinstance(answer, Replay):
        raise InternalError("a replay without an idempotency key")
    return answer


class _Rows(Generic[Row]):
    def __init__(self, stream: RowStream[Row], encode: Callable[[Row], Json]) -> None:
        self.total: int | None = stream.total
        self._chunks = stream.chunks
        self._encode = encode

    def __iter__(self) -> Iterator[Json]:
        for rows in self._chunks:
            for row in rows:
                yield self._encode(row)

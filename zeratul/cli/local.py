"""The services in-process, on a data directory; a server may run on it at the same time."""

from __future__ import annotations

from typing import TYPE_CHECKING, Generic, TypeVar

import orjson

from zeratul.api.authaz import encoding
from zeratul.door import open_services
from zeratul.errors import InternalError
from zeratul.graph.answers import CheckQuestion
from zeratul.service.idempotency import Replay
from zeratul.service.times import parse_time

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from concurrent.futures import Future
    from pathlib import Path

    from zeratul.cli.target import Json, Rows
    from zeratul.domain.relationship import ObjectRef, SubjectRef
    from zeratul.service.answers import RowStream


Answer = TypeVar("Answer")
Row = TypeVar("Row")


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
        return encoding.explanation(answer, tenant_id=None)

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
        return _Rows(stream, encoding.subject_row)

    def what_can(self, subject: SubjectRef, resource_type: str, relation: str) -> Rows:
        """See `Target`."""
        stream = self.services.access.stream_what_can(
            self.caller, subject, resource_type, relation
        )
        return _Rows(stream, encoding.resource_row)

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
        return [
            encoding.application(each) for each in self.services.applications.list(self.caller)
        ]

    def create_key(
        self, name: str, permissions: Sequence[str] | None, expires_at: str | None
    ) -> Json:
        """See `Target`."""
        made = _first(
            self.services.keys.create(
                self.caller,
                name,
                permissions=list(permissions) if permissions else None,
                expires_at_ms=parse_time(expires_at, field="expires") if expires_at else None,
            )
        )
        return encoding.new_key(made)

    # --- Streams.

    def load(self, chunks: Iterator[bytes], *, dry_run: bool) -> Iterator[Json]:
        """See `Target`."""
        importer = self.services.transfers.importer(self.caller, dry_run=dry_run)
        for chunk in chunks:
            under_way = importer.feed(chunk)
            if under_way is not None:
                under_way.result()
                yield encoding.imported(importer.progress(), complete=False)
        yield encoding.imported(importer.finish().result(), complete=True)

    def export(self) -> Iterator[bytes]:
        """See `Target`."""
        return iter(self.services.transfers.export(self.caller))


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

"""The way in: composes a store with the services, and ``zeratul.open`` for scripts.

>>> import tempfile, zeratul
>>> with tempfile.TemporaryDirectory() as path, zeratul.open(path) as door:
...     door.write("group:eng#member@user:ann")
...     door.check("user:ann", "group:eng", "member")
True
True
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from zeratul.domain.relationship import ObjectRef, Relationship, SubjectRef
from zeratul.errors import InternalError
from zeratul.graph.answers import CheckQuestion
from zeratul.service.ground.answers import Page
from zeratul.service.ground.idempotency import Replay
from zeratul.service.relationships.importing import feed_all
from zeratul.service.relationships.relationship_answers import RelationshipFilter
from zeratul.service.services import Services, system_clock_ms
from zeratul.store.lmdb import open_store
from zeratul.store.lmdb.environment import MAP_BYTES_DEFAULT

if TYPE_CHECKING:
    import os
    from collections.abc import Callable, Iterable, Iterator, Sequence
    from concurrent.futures import Future
    from types import TracebackType
    from typing import Self, TypeVar

    from zeratul.domain.limits import Limits
    from zeratul.service.ground.answers import BulkAnswer, StoredRelationship
    from zeratul.service.ground.caller import Caller
    from zeratul.service.questions.access_answers import ExplainAnswer
    from zeratul.service.relationships.relationship_answers import ImportAnswer
    from zeratul.service.rules.model_answers import ModelAnswer

    Answer = TypeVar("Answer")

_PAGE_ROWS = 1_000


def open_services(
    path: str | os.PathLike[str],
    *,
    limits: Limits | None = None,
    map_bytes: int = MAP_BYTES_DEFAULT,
    create: bool = True,
    clock_ms: Callable[[], int] = system_clock_ms,
) -> Services:
    """The services over the store in a directory, made unless it is there.

    Args:
        path: the data directory; other processes may have it open too.
        limits: bounds; the built-in ones without.
        map_bytes: the most the store can grow to; address space, not disk.
        create: make directory and store where they are missing.
        clock_ms: the time, in milliseconds since 1970.

    Raises:
        StoreError: it can not be opened, or is not a store of this version.
    """
    store = open_store(path, limits=limits, map_bytes=map_bytes, create=create, clock_ms=clock_ms)
    try:
        return Services.build(store, limits=limits, clock_ms=clock_ms)
    except BaseException:
        store.close()
        raise


def open(  # noqa: A001 - `zeratul.open` is what it is called
    path: str | os.PathLike[str],
    *,
    application: str = "default",
    limits: Limits | None = None,
    map_bytes: int = MAP_BYTES_DEFAULT,
    create: bool = True,
) -> Door:
    """The services in-process, on a data directory a server may be running on too.

    Raises:
        StoreError: it can not be opened.
        NotFoundError: there is no such application.
    """
    services = open_services(path, limits=limits, map_bytes=map_bytes, create=create)
    try:
        return Door(services, services.local_caller(application))
    except BaseException:
        services.close()
        raise


class Door:
    """One application in-process; relationships, subjects and resources as text.

    Every method raises what the services raise: ``zeratul.errors``. Writes return once durable.

    Attributes:
        services: everything else there is to call.
        caller: who the calls are made as.
    """

    def __init__(self, services: Services, caller: Caller) -> None:
        self.services = services
        self.caller = caller

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def close(self) -> None:
        """Answer what waits, then release the store."""
        self.services.close()

    def model(self) -> dict[str, Any]:
        """The application's model."""
        return self.services.models.get(self.caller).model

    def put_model(self, document: object, *, force: bool = False) -> ModelAnswer:
        """Replace the model; ``force`` deletes relationships that it has no place for."""
        return self.services.models.put(self.caller, document, force=force).result()

    def write(self, relationship: str, *, expires_at_ms: int | None = None) -> bool:
        """Make sure a relationship is there; whether it was not before."""
        wanted = Relationship.parse(relationship)._replace(expires_at_ms=expires_at_ms)
        return _first(self.services.relationships.write(self.caller, wanted)).created

    def delete(self, relationship: str) -> bool:
        """Make sure a relationship is not there; whether it was before."""
        wanted = Relationship.parse(relationship)
        return self.services.relationships.delete(self.caller, wanted).result().deleted > 0

    def delete_subject(self, subject: str) -> int:
        """Delete everything that names a subject; how many relationships that were."""
        return self._delete_all(RelationshipFilter(subject=SubjectRef.parse(subject)))

    def delete_resource(self, resource: str) -> int:
        """Delete everything on a resource; how many relationships that were."""
        return self._delete_all(RelationshipFilter(None, *ObjectRef.parse(resource)))

    def _delete_all(self, wanted: RelationshipFilter) -> int:
        deleted, complete = 0, False
        while not complete:
            answer = self.services.relationships.delete_by_filter(self.caller, wanted).result()
            deleted, complete = deleted + answer.deleted, answer.complete
        return deleted

    def bulk(
        self, writes: Iterable[str] = (), deletes: Iterable[str] = (), *, dry_run: bool = False
    ) -> BulkAnswer:
        """Write and delete many in one transaction, all or nothing."""
        return _first(
            self.services.relationships.bulk(
                self.caller,
                _parsed(writes, "writes"),
                _parsed(deletes, "deletes"),
                dry_run=dry_run,
            )
        )

    def read(
        self,
        *,
        subject: str | None = None,
        resource: str | None = None,
        relation: str | None = None,
    ) -> list[StoredRelationship]:
        """What is stored on a resource, or names a subject, or both."""
        wanted = RelationshipFilter(relation=relation)
        if subject is not None:
            wanted = wanted._replace(subject=SubjectRef.parse(subject))
        if resource is not None:
            type_name, resource_id = ObjectRef.parse(resource)
            wanted = wanted._replace(resource_type=type_name, resource_id=resource_id)
        found: list[StoredRelationship] = []
        cursor: str | None = None
        while True:
            page = self.services.relationships.read(
                self.caller, wanted, page=Page(_PAGE_ROWS, cursor)
            )
            found += page.rows
            cursor = page.next_cursor
            if cursor is None:
                return found

    def check(self, subject: str, resource: str, relation: str) -> bool:
        """Whether the subject has the relation (or permission) to the resource."""
        question = _question(subject, resource, relation)
        return self.services.access.check(self.caller, question).allowed

    def check_many(self, questions: Iterable[tuple[str, str, str]]) -> list[bool]:
        """Many checks at one revision; raises the first error among them."""
        asked = [_question(*question) for question in questions]
        most = self.services.limits.bulk_checks_max
        decisions: list[bool] = []
        for start in range(0, len(asked), most):
            part: Sequence[CheckQuestion] = asked[start : start + most]
            for answer in self.services.access.check_many(self.caller, part).results:
                if isinstance(answer, Exception):
                    raise answer
                decisions.append(answer.allowed)
        return decisions

    def explain(self, subject: str, resource: str, relation: str) -> ExplainAnswer:
        """Why, or why not; ``.text`` is a readable tree."""
        return self.services.access.explain(self.caller, _question(subject, resource, relation))

    def who_can(
        self,
        resource: str,
        relation: str,
        *,
        subject_type: str = "user",
        subject_relation: str = "",
    ) -> list[str]:
        """Everyone of a form who has the relation to the resource, as text."""
        stream = self.services.access.stream_who_can(
            self.caller,
            ObjectRef.parse(resource),
            relation,
            subject_type=subject_type,
            subject_relation=subject_relation,
        )
        return [row.subject for chunk in stream.chunks for row in chunk]

    def what_can(self, subject: str, type_name: str, relation: str) -> list[str]:
        """Every resource of the type the subject has the relation to, as text."""
        stream = self.services.access.stream_what_can(
            self.caller, SubjectRef.parse(subject), type_name, relation
        )
        return [f"{row.resource}:{row.resource_id}" for chunk in stream.chunks for row in chunk]

    def import_lines(self, lines: Iterable[bytes | str], *, dry_run: bool = False) -> ImportAnswer:
        """Write NDJSON lines, with or without their line ends; bad ones are counted and listed."""
        importer = self.services.transfers.importer(self.caller, dry_run=dry_run)
        encoded = (line.encode() if isinstance(line, str) else line for line in lines)
        return feed_all(importer, (line.removesuffix(b"\n") + b"\n" for line in encoded))

    def export(self) -> Iterator[bytes]:
        """NDJSON lines of everything, at one revision, with their line ends."""
        for chunk in self.services.transfers.export(self.caller):
            yield from chunk.splitlines(keepends=True)


def _parsed(texts: Iterable[str], name: str) -> list[Relationship]:
    return [Relationship.parse(text, field=f"{name}[{index}]") for index, text in enumerate(texts)]


def _question(subject: str, resource: str, relation: str) -> CheckQuestion:
    return CheckQuestion(
        SubjectRef.parse(subject, field="subject"),
        ObjectRef.parse(resource, field="resource"),
        relation,
    )


def _first(future: Future[Answer | Replay]) -> Answer:
    answer = future.result()
    if isinstance(answer, Replay):
        raise InternalError("a replay without an idempotency key")
    return answer

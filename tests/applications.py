"""Applications for tests: one environment, many small applications, written below the services.

``Installation`` is one process's store and engine; ``Peer`` is the same in a second, spawned
process on the same environment. Both take the same calls and answer in names (no node numbers), so
that a test can ask either.
"""

from __future__ import annotations

import importlib
import multiprocessing
import traceback
from typing import TYPE_CHECKING, Any, NamedTuple

import orjson

from tests import roles
from zeratul.dispatch.engine import Engine
from zeratul.dispatch.state import MODEL_ID, MODEL_KIND
from zeratul.domain.limits import Limits
from zeratul.domain.vocabulary import SELF, WILDCARD_SLOT
from zeratul.errors import ZeratulError
from zeratul.language.openfga import compile_model
from zeratul.store.interface import Row
from zeratul.store.lmdb import open_store

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence
    from multiprocessing.connection import Connection
    from pathlib import Path

    from zeratul.dispatch.view import View
    from zeratul.domain.catalog import Catalog
    from zeratul.domain.relationship import ObjectRef, Relationship, SubjectRef
    from zeratul.domain.schema import Schema
    from zeratul.domain.vocabulary import Vocabulary
    from zeratul.graph.answers import CheckQuestion, Decision, ExpandNode, Explanation
    from zeratul.store.interface import Store, WriteTransaction

SUBJECTS_MAX = 1_000


class Resources(NamedTuple):
    """A lookup of resources, in names."""

    ids: frozenset[str]
    via: dict[str, frozenset[str]]
    scopes: tuple[str, ...] = ()


class Subjects(NamedTuple):
    """A lookup of subjects, in names."""

    explicit: frozenset[str]
    wildcard: bool
    exceptions: frozenset[str]
    via: dict[str, frozenset[str]]
    wildcard_via: tuple[str, ...]

    def holds(self, subject_id: str) -> bool:
        """Whether the answer means that this subject is a member."""
        return subject_id in self.explicit or (self.wildcard and subject_id not in self.exceptions)


class Answers:
    """Every question to one application as of one revision and time, over one view."""

    def __init__(self, view: View) -> None:
        self.view = view

    def check(self, question: CheckQuestion, contextual: Sequence[Relationship] = ()) -> int:
        """The membership's number."""
        return int(self.view.check(question, contextual))

    def check_many(
        self, questions: Sequence[CheckQuestion], contextual: Sequence[Relationship] = ()
    ) -> list[int]:
        """The memberships' numbers; an item's error is raised."""
        answers = []
        for answer in self.view.check_many(questions, contextual):
            if isinstance(answer, ZeratulError):
                raise answer
            answers.append(int(answer))
        return answers

    def decide(self, question: CheckQuestion, contextual: Sequence[Relationship] = ()) -> Decision:
        """The decision with its ways."""
        return self.view.decide(question, contextual)

    def decide_many(
        self,
        questions: Sequence[CheckQuestion],
        contextual: Sequence[Relationship] = (),
        deletes: Sequence[Relationship] = (),
    ) -> list[Decision]:
        """The decisions with their ways; an item's error is raised."""
        answers = []
        for answer in self.view.decide_many(questions, contextual, deletes):
            if isinstance(answer, ZeratulError):
                raise answer
            answers.append(answer)
        return answers

    def permissions_on_types(
        self, subject: SubjectRef, type_names: Sequence[str], tenant: str | None = None
    ) -> list[frozenset[str]]:
        """What roles give on whole types."""
        return self.view.permissions_on_types(subject, type_names, tenant)

    def explain(
        self,
        question: CheckQuestion,
        contextual: Sequence[Relationship] = (),
        deletes: Sequence[Relationship] = (),
    ) -> Explanation:
        """Why or why not."""
        return self.view.explain(question, contextual, deletes)

    def expand(self, resource: ObjectRef, relation: str) -> ExpandNode:
        """The userset's tree."""
        return self.view.expand(resource, relation, subjects_max=SUBJECTS_MAX)

    def lookup_resources(
        self, subject: SubjectRef, type_name: str, relation: str, tenant: str | None = None
    ) -> Resources:
        """Ids of the resources; the subject's own where the store has never seen its name."""
        answer = self.view.lookup_resources(subject, type_name, relation, tenant)
        return Resources(
            self._ids(answer.nodes),
            {way: self._ids(part) for way, part in answer.via.items()},
            answer.scopes,
        )

    def lookup_subjects(
        self,
        resource: ObjectRef,
        relation: str,
        subject_type: str,
        subject_relation: str = "",
        tenant: str | None = None,
    ) -> Subjects:
        """Ids of the subjects."""
        answer = self.view.lookup_subjects(
            resource, relation, subject_type, subject_relation, tenant
        )
        return Subjects(
            self._ids(answer.nodes),
            answer.wildcard,
            self._ids(answer.exceptions),
            {way: self._ids(part) for way, part in answer.via.items()},
            tuple(answer.wildcard_via),
        )

    def knows(self, type_name: str, object_id: str) -> bool:
        """Whether a commit has interned the name."""
        type_slot = self.view.vocabulary.slots[type_name, SELF]
        return self.view.snapshot.node(type_slot, object_id) is not None

    def _ids(self, nodes: Iterable[int]) -> frozenset[str]:
        return frozenset(self.view.snapshot.ids(list(nodes)))


class Installation:
    """One process's door to an environment."""

    def __init__(self, path: Path) -> None:
        self.store: Store = open_store(path)
        self.engine = Engine(self.store, Limits())
        self._held: View | None = None

    def close(self) -> None:
        """Release the environment."""
        self.release()
        self.store.close()

    def forget(self, memo_bytes_max: int = Limits().memo_bytes_max) -> None:
        """Start over without any memo or compiled schema, with so much room for memos."""
        self.engine = Engine(self.store, Limits(memo_bytes_max=memo_bytes_max))

    def create(self, model: dict[str, Any], relationships: Sequence[Relationship] = ()) -> int:
        """A new application with a model and relationships; its number."""
        schema = compile_model(model)

        def job(tx: WriteTransaction) -> int:
            application = tx.new_application()
            self._put(tx, application, schema, model)
            return application

        application = self.store.write(job).result()
        self.write(application, relationships)
        return application

    def put_model(self, application: int, model: dict[str, Any]) -> int:
        """Replace the model, whatever is stored; the revision."""
        schema = compile_model(model)

        def job(tx: WriteTransaction) -> int:
            self._put(tx, application, schema, model)
            return tx.revision

        return self.store.write(job).result()

    def put_rules(
        self, application: int | None, model: dict[str, Any], catalog: Catalog
    ) -> tuple[int, int]:
        """Set model and catalog of an application with roles; see ``tests.roles``."""
        return roles.put_rules(self.store, application, model, catalog)

    def put_documents(self, application: int, **changes: Any) -> int:
        """Write policies and roles; see ``tests.roles``."""
        return roles.put_documents(self.store, application, **changes)

    def assign(self, application: int, *changes: Any) -> int:
        """Add and remove assignments of roles; see ``tests.roles``."""
        return roles.assign(self.store, application, *changes)

    def write(
        self,
        application: int,
        writes: Sequence[Relationship],
        deletes: Sequence[Relationship] = (),
    ) -> int:
        """Write and delete relationships in one commit; the revision."""
        with self.store.snapshot() as snapshot:
            vocabulary = snapshot.vocabulary(application)
        prepared = self.store.prepare(
            application,
            [_row(vocabulary, relationship) for relationship in writes],
            [_row(vocabulary, relationship) for relationship in deletes],
        )

        def job(tx: WriteTransaction) -> int:
            tx.apply(prepared)
            return tx.effective_revision

        return self.store.write(job).result()

    def ask(
        self,
        application: int,
        asked: Sequence[tuple[str, tuple[Any, ...]]],
        *,
        revision: int | None = None,
        now_ms: int | None = None,
    ) -> list[Any]:
        """Answers of (method of ``Answers``, arguments) over one view.

        What is answered without a view has to be the same: as the process is, and once it knows
        of the newest commit, as it does when a view was opened on any other question.
        """
        recalled = self._recalled(application, asked, now_ms) if revision is None else []
        self.engine.follow()
        if revision is None:
            recalled += self._recalled(application, asked, now_ms)
        answers = self._ask(application, asked, revision, now_ms)
        for index, known in recalled:
            assert known is None or known.membership == answers[index], asked[index]
        return answers

    def _recalled(
        self, application: int, asked: Sequence[tuple[str, tuple[Any, ...]]], now_ms: int | None
    ) -> list[tuple[int, Decision | None]]:
        """What is answered without a view, by the question's place."""
        found = []
        for index, (method, arguments) in enumerate(asked):
            if method == "check" and len(arguments) == 1:
                known = self.engine.recall(application, *arguments, now_ms=now_ms)
                found.append((index, None if known is None else known[1]))
        return found

    def _ask(
        self,
        application: int,
        asked: Sequence[tuple[str, tuple[Any, ...]]],
        revision: int | None,
        now_ms: int | None,
    ) -> list[Any]:
        with self.engine.view(application, revision=revision, now_ms=now_ms) as view:
            answers = Answers(view)
            return [getattr(answers, method)(*arguments) for method, arguments in asked]

    def hold(
        self, application: int, *, revision: int | None = None, now_ms: int | None = None
    ) -> int:
        """Keep a view open, for ``ask_held``; its revision."""
        self.release()
        self._held = self.engine.view(application, revision=revision, now_ms=now_ms)
        return self._held.revision

    def ask_held(self, asked: Sequence[tuple[str, tuple[Any, ...]]]) -> list[Any]:
        """Answers over the view that is kept open, whatever happened since."""
        if self._held is None:
            raise RuntimeError("no view is held")
        answers = Answers(self._held)
        return [getattr(answers, method)(*arguments) for method, arguments in asked]

    def release(self) -> None:
        """Close the view that is kept open, if there is one."""
        if self._held is not None:
            self._held.close()
            self._held = None

    def tune(self, thresholds: Mapping[tuple[str, str], int]) -> dict[tuple[str, str], int]:
        """Set constants by (module, name) in this process; what they were before."""
        before: dict[tuple[str, str], int] = {}
        for (module_name, name), value in thresholds.items():
            module = importlib.import_module(module_name)
            before[module_name, name] = getattr(module, name)
            setattr(module, name, value)
        return before

    def collect(self) -> None:
        """Forget all history: tombstones, changes, revision times."""
        while self.store.collect(retention_s=0, steps=100):
            pass

    def _put(
        self, tx: WriteTransaction, application: int, schema: Schema, model: dict[str, Any]
    ) -> None:
        names = [
            (name, part)
            for name, definition in schema.types.items()
            for part in (SELF, WILDCARD_SLOT, *definition.relations)
        ]
        tx.intern_slots(application, names)
        document = {"revision": tx.revision, "model": model}
        tx.put_document(application, MODEL_KIND, MODEL_ID, orjson.dumps(document))


def _row(vocabulary: Vocabulary, relationship: Relationship) -> Row:
    slots = vocabulary.slots
    subject = relationship.subject
    return Row(
        resource_type=slots[relationship.resource_type, SELF],
        resource_id=relationship.resource_id,
        slot=slots[relationship.resource_type, relationship.relation],
        subject_slot=slots[
            subject.type, WILDCARD_SLOT if subject.is_wildcard else subject.relation
        ],
        subject_type=slots[subject.type, SELF],
        subject_id=subject.id,
        expires_at_ms=relationship.expires_at_ms,
    )


class Peer:
    """An ``Installation`` in a process of its own, asked over a pipe."""

    def __init__(self, path: Path) -> None:
        context = multiprocessing.get_context("spawn")
        self._pipe, theirs = context.Pipe()
        self._process = context.Process(target=_serve, args=(theirs, path), daemon=True)
        self._process.start()
        theirs.close()

    def __getattr__(self, method: str) -> Any:
        def call(*arguments: Any, **named: Any) -> Any:
            self._pipe.send((method, arguments, named))
            answer = self._pipe.recv()
            if isinstance(answer, BaseException):
                raise answer
            return answer

        return call

    def stop(self) -> None:
        """End the process."""
        self._pipe.send(None)
        self._process.join(timeout=10)
        self._pipe.close()


def _serve(pipe: Connection, path: Path) -> None:
    installation = Installation(path)
    while (call := pipe.recv()) is not None:
        method, arguments, named = call
        try:
            answer = getattr(installation, method)(*arguments, **named)
        except Exception:  # noqa: BLE001 - the asking process is where it counts
            # Not every error can be pickled with its fields; its text always can.
            answer = RuntimeError(f"in the second process: {traceback.format_exc()}")
        pipe.send(answer)
    installation.close()

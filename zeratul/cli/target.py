"""What a command talks to: a data directory (`local.py`) or a server (`remote.py`), as one port.

Answers are plain JSON values in the native contract's field names, whichever target gave them, so
that a command renders one form and `--json` prints it as it is.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from zeratul.domain.relationship import ObjectRef, SubjectRef

Json = dict[str, Any]


class Rows(Protocol):
    """All rows of one list; single use.

    Attributes:
        total: how many there are; None until the last row was read (a server says it at the end).
    """

    total: int | None

    def __iter__(self) -> Iterator[Json]: ...


class Target(Protocol):
    """The services as commands use them.

    Every method raises a ``ZeratulError`` or a ``CommandError``, and nothing else on purpose.
    """

    def check(self, subject: SubjectRef, resource: ObjectRef, relation: str) -> Json:
        """The decision: ``allowed``, ``zookie``."""

    def explain(self, subject: SubjectRef, resource: ObjectRef, relation: str) -> Json:
        """Why, or why not: ``allowed``, ``text``, ``revision`` and more."""

    def who_can(
        self, resource: ObjectRef, relation: str, subject_type: str, subject_relation: str
    ) -> Rows:
        """Everyone who can: rows of ``subject``, ``via``, ``except``."""

    def what_can(self, subject: SubjectRef, resource_type: str, relation: str) -> Rows:
        """Everything the subject can: rows of ``resource``, ``resourceId``, ``via``."""

    def model(self) -> Json:
        """The application's model document."""

    def put_model(self, document: object, *, force: bool, dry_run: bool) -> Json:
        """Replace the model: ``schemaRevision``, ``changed``, ``deleted``, ``orphans``."""

    def load(self, chunks: Iterator[bytes], *, dry_run: bool) -> Iterator[Json]:
        """Import NDJSON; yields the counts so far, in the end those of the whole import."""

    def export(self) -> Iterator[bytes]:
        """Everything stored as NDJSON, at one revision."""

    def create_application(self, name: str) -> Json:
        """A new application: ``id``, ``name``."""

    def applications(self) -> list[Json]:
        """All applications."""

    def delete_application(self, application_id: str, confirm: str) -> None:
        """Delete an application and everything in it; ``confirm`` is its name."""

    def create_key(
        self,
        name: str,
        permissions: Sequence[str] | None,
        expires_at: str | None,
        tenant_id: str | None,
    ) -> Json:
        """A new API key; ``secret`` is seen only here."""

    def api_keys(self) -> list[Json]:
        """The application's keys, without secrets."""

    def rotate_key(self, key_id: str, grace_s: int) -> Json:
        """Give a key a new ``secret``, seen only here; the old one goes on for the grace."""

    def delete_key(self, key_id: str) -> None:
        """Take a key away."""

    def close(self) -> None:
        """Release what it holds."""

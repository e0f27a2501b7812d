"""What policies and roles share: a label, a document each, and names that are theirs alone."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import msgspec

from zeratul.errors import AlreadyExistsError, UnknownNameError
from zeratul.service.ground.labels import label_digest, require_description, require_name

if TYPE_CHECKING:
    from collections.abc import Iterable
    from typing import Self

    from zeratul.service.roles.role_answers import Labelled
    from zeratul.store.interface import Snapshot, WriteTransaction


def require_labels(given: Labelled) -> None:
    """Whether what is given of a label is one.

    Raises:
        MalformedError: a name or description that is none.
    """
    if given.name is not None:
        require_name(given.name)
    if given.description is not None:
        require_description(given.description)


class LabelledDocument(msgspec.Struct, frozen=True, rename="camel"):
    """Something with a label, as its document says."""

    id: str
    name: str
    description: str

    def pack(self) -> bytes:
        """The document."""
        return msgspec.json.encode(self)

    def relabelled(self, given: Labelled) -> Self:
        """The same with another label; what is None stays."""
        return msgspec.structs.replace(
            self,
            name=self.name if given.name is None else given.name,
            description=self.description if given.description is None else given.description,
        )


class NameIndex(NamedTuple):
    """Names of one kind of thing, unique in a tenant or (None) among those of no tenant.

    Attributes:
        noun: what has these names.
        kind: of the documents that lead from a name to an id.
    """

    noun: str
    kind: str

    def claim(
        self,
        tx: WriteTransaction,
        application: int,
        tenant_id: str | None,
        after: LabelledDocument,
        before: LabelledDocument | None = None,
    ) -> None:
        """Make a name its owner's, and let others have the one it had before.

        Raises:
            AlreadyExistsError: it is another one's.
        """
        if before is not None and before.name == after.name:
            return
        name_id = label_digest(tenant_id, after.name)
        if tx.snapshot.document(application, self.kind, name_id) is not None:
            where = "" if tenant_id is None else f" in tenant `{tenant_id[:128]}`"
            raise AlreadyExistsError(
                f"there is a {self.noun} called `{after.name}`{where} already"
            )
        if before is not None:
            self.free(tx, application, tenant_id, before)
        tx.put_document(application, self.kind, name_id, after.id.encode())

    def free(
        self,
        tx: WriteTransaction,
        application: int,
        tenant_id: str | None,
        owner: LabelledDocument,
    ) -> None:
        """Let others have a name."""
        tx.delete_document(application, self.kind, label_digest(tenant_id, owner.name))

    def unknown(
        self,
        snapshot: Snapshot,
        application: int,
        tenant_ids: Iterable[str | None],
        text: str,
        field: str,
    ) -> UnknownNameError:
        """The error for an id that there is none of; it helps whoever sent a name instead."""
        error = UnknownNameError(self.noun, text, field=field)
        for tenant_id in tenant_ids:
            found = snapshot.document(application, self.kind, label_digest(tenant_id, text))
            if found is not None:
                error.suggestion = found.decode()
                error.help = f"`{error.suggestion}` is the id of the {self.noun} of this name"
                break
        return error

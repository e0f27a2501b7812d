"""What every write of a transaction rests on: the job's state, the commit's record, who is there.

A transaction runs many jobs; each is undone alone if it fails. So it is noted when a job first
puts something, and a job that swallows a failure half-way is doomed.
"""

from __future__ import annotations

from functools import wraps
from typing import TYPE_CHECKING, Concatenate, ParamSpec, TypeVar

from zeratul.errors import NotFoundError, StoreError
from zeratul.store.lmdb.codec import REVISION_MAX
from zeratul.store.lmdb.environment import dropped_key, read_counters, read_marks
from zeratul.store.lmdb.snapshot import LmdbSnapshot

if TYPE_CHECKING:
    from collections.abc import Callable

    import lmdb

    from zeratul.domain.limits import Limits
    from zeratul.store.interface import Snapshot
    from zeratul.store.lmdb.environment import Tables

P = ParamSpec("P")
T = TypeVar("T")
W = TypeVar("W", bound="Writing")


def atomic(method: Callable[Concatenate[W, P], T]) -> Callable[Concatenate[W, P], T]:
    """The method, which dooms the job if it fails half-way: swallowing the error does not help."""

    @wraps(method)
    def wrapper(self: W, /, *args: P.args, **kwargs: P.kwargs) -> T:
        try:
            return method(self, *args, **kwargs)
        except BaseException as error:
            if self.touched:
                self.doomed = error
            raise

    return wrapper


class Writing:
    """The part of a write transaction that its other parts share.

    Attributes:
        transaction, tables: the LMDB transaction and its tables.
        counters: the store's counters as this transaction leaves them.
        revision: the revision this commit will have if it changes anything.
        job: how many jobs the transaction began so far, the running one included.
        now_ms: its time.
        snapshot: reads that see what the transaction wrote so far.
        touched: whether the running job put anything.
        changed: whether the running job changed what readers of the newest revision see.
        advanced: whether any job of the transaction did.
        doomed: the failure that left the running job half done, or None.
    """

    def __init__(
        self,
        transaction: lmdb.Transaction[bytes],
        tables: Tables,
        limits: Limits,
        *,
        now_ms: int,
    ) -> None:
        self.transaction = transaction
        self.tables = tables
        self.counters = read_counters(transaction, tables)
        self.revision = self.counters.head + 1
        if self.revision > REVISION_MAX:
            raise StoreError("the store has no revision number left", reason="exhausted")
        self.job = 0
        self.now_ms = now_ms
        self.touched = False
        self.changed = False
        self.advanced = False
        self.doomed: BaseException | None = None
        self._limits = limits
        self._marks = set(read_marks(transaction, tables)) if self.counters.marks else set()
        self._there: set[int] = set()  # applications that were not dropped
        self._change_rows = bytearray()
        self._change_documents: list[tuple[int, str, str]] = []
        self._recorded: dict[int, int] = {}  # application -> audit events of this commit
        self._reads = LmdbSnapshot(
            transaction,
            tables,
            self._marks,
            revision=self.revision,
            head=self.revision,
            oldest=self.counters.oldest,
            now_ms=now_ms,
            vocabularies=None,
        )
        self.snapshot: Snapshot = self._reads

    def start_job(self) -> None:
        """Forget what the job before did."""
        self.job += 1
        self.touched = False
        self.changed = False
        self.doomed = None

    def touch(self, *, change: bool = True) -> None:
        """Note that the job is about to put something, and whether that is a change to readers."""
        self.touched = True
        if change:
            self.changed = True
            self.advanced = True

    def require_there(self, application: int) -> None:
        """Whether an application may be written to: what nobody can read must not grow.

        Raises:
            NotFoundError: it was dropped.
        """
        if application in self._there:
            return
        if self.transaction.get(dropped_key(application), db=self.tables.meta) is not None:
            raise NotFoundError("the application was deleted")
        self._there.add(application)

"""The only place that knows LMDB's exceptions: each becomes a ``StoreError`` with a reason."""

from __future__ import annotations

import errno
from functools import wraps
from typing import TYPE_CHECKING, ParamSpec, TypeVar

import lmdb

from zeratul.errors import StoreError

if TYPE_CHECKING:
    from collections.abc import Callable

P = ParamSpec("P")
T = TypeVar("T")

# Reason and sentence by exception class, nearest class first in a subclass's order.
MAPPING: dict[type[lmdb.Error], tuple[str, str]] = {
    lmdb.MapFullError: ("full", "the store's map is full"),
    lmdb.DiskError: ("full", "the disk is full"),
    lmdb.TxnFullError: ("full", "the transaction changes too many pages"),
    lmdb.DbsFullError: ("full", "the environment has no room for another table"),
    lmdb.ReadersFullError: ("busy", "all reader slots of the store are taken"),
    lmdb.TlsFullError: ("busy", "the process has too many environments open"),
    lmdb.LockError: ("busy", "the store is locked by another process"),
    lmdb.BadRslotError: ("busy", "a reader slot of the store was lost"),
    lmdb.VersionMismatchError: ("format", "the store was written by another LMDB version"),
    lmdb.InvalidError: ("format", "the file is not an LMDB store"),
    lmdb.IncompatibleError: ("format", "a table of the store has other properties"),
    lmdb.EnvEncryptionError: ("format", "the store is encrypted"),
    lmdb.CorruptedError: ("corrupted", "the store has a page of the wrong kind"),
    lmdb.PageNotFoundError: ("corrupted", "the store lacks a page"),
    lmdb.PageFullError: ("corrupted", "a page of the store has no room it should have"),
    lmdb.CursorFullError: ("corrupted", "a table of the store is deeper than it can be"),
    lmdb.BadChecksumError: ("corrupted", "a page of the store has a wrong checksum"),
    lmdb.CryptoFailError: ("corrupted", "a page of the store could not be decrypted"),
    lmdb.ProblemError: ("corrupted", "the store's transaction met an unexpected state"),
    lmdb.PanicError: ("io", "the store could not write its meta page and must be reopened"),
    lmdb.MapResizedError: ("io", "another process changed the size of the store's map"),
    lmdb.MemoryError: ("io", "the system did not give the store its address space"),
    lmdb.ReadonlyError: ("io", "the store cannot be written by this process"),
    lmdb.InvalidParameterError: ("io", "the system refused a parameter of the store"),
    # Calls the engine itself got wrong, or that an earlier failure of the transaction explains.
    lmdb.BadTxnError: ("io", "the transaction failed earlier and cannot go on"),
    lmdb.BadDbiError: ("corrupted", "a table of the store was changed unexpectedly"),
    lmdb.BadValsizeError: ("corrupted", "a key or value has a size its table does not take"),
    lmdb.KeyExistsError: ("corrupted", "the store holds an entry it should not"),
    lmdb.NotFoundError: ("corrupted", "the store lacks an entry it should hold"),
}

# What py-lmdb raises as a plain ``lmdb.Error``, by errno.
_FULL_CODES = {errno.ENOSPC, errno.EFBIG, errno.EDQUOT}

_HELP = {
    "full": "make room on the disk or give the store a larger map (`map_bytes`), then try again",
    # A write cut short by a full disk or a size limit comes as an input/output error, too.
    "io": "look at the disk, its free space and the file's size limit, then try again",
    "busy": "try again; if it persists, fewer processes or readers must share the store",
}
_MEMORY_HELP = (
    "the map is address space, not memory: allow it (`ulimit -v unlimited`) or choose a smaller "
    "map with the map option (`map_bytes`)"
)


def translate(error: lmdb.Error) -> StoreError:
    """The ``StoreError`` that stands for an exception of LMDB."""
    code = getattr(error, "code", 0)
    for kind in type(error).__mro__:
        if kind in MAPPING:
            reason, message = MAPPING[kind]
            break
    else:
        if code in _FULL_CODES:
            reason, message = "full", "the disk or the store's file may not grow"
        elif "already open" in str(error):
            reason, message = "busy", "the store is already open in this process"
        elif code:
            reason, message = "io", f"the store's file could not be read or written: {error}"
        else:
            # Without a code py-lmdb speaks for itself: an object used after its end.
            reason, message = "closed", "the store or the snapshot is closed"
    help_text = _MEMORY_HELP if isinstance(error, lmdb.MemoryError) else _HELP.get(reason)
    return StoreError(message, reason=reason, help=help_text)


def translated(function: Callable[P, T]) -> Callable[P, T]:
    """The function with LMDB's exceptions translated."""

    @wraps(function)
    def wrapper(*args: P.args, **kwargs: P.kwargs) -> T:
        try:
            return function(*args, **kwargs)
        except lmdb.Error as error:
            raise translate(error) from error

    return wrapper

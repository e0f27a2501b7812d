"""Opening: what is a store, what is not, and every failure of LMDB by a name of ours."""

from __future__ import annotations

import errno
import re
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING
from unittest.mock import patch

import lmdb
import pytest

from zeratul.errors import StoreError
from zeratul.store.lmdb import environment, open_store
from zeratul.store.lmdb.failures import MAPPING, translate

if TYPE_CHECKING:
    from collections.abc import Iterator

REASONS = set(re.findall(r"``(\w+)``", (StoreError.__doc__ or "").partition("reason:")[2]))
SMALL = 1 << 26


def subclasses(kind: type[lmdb.Error]) -> Iterator[type[lmdb.Error]]:
    """All of them, however deep."""
    for child in kind.__subclasses__():
        yield child
        yield from subclasses(child)


@pytest.mark.parametrize("kind", sorted(subclasses(lmdb.Error), key=lambda kind: kind.__name__))
def test_every_exception_of_lmdb_has_a_reason(kind: type[lmdb.Error]) -> None:
    """One that ``StoreError`` documents."""
    assert kind in MAPPING
    assert MAPPING[kind][0] in REASONS


@pytest.mark.parametrize(
    ("code", "reason"),
    [(errno.EFBIG, "full"), (errno.EDQUOT, "full"), (errno.EIO, "io"), (0, "closed")],
)
def test_what_lmdb_has_no_class_for_goes_by_its_code(code: int, reason: str) -> None:
    """py-lmdb raises its base class for the system's rarer refusals."""
    error = lmdb.Error("mdb_txn_commit")
    error.code = code  # type: ignore[misc]  # As the library's C code sets it.
    assert reason == translate(error).reason


def refused(path: Path, **options: object) -> StoreError:
    """Why it does not open."""
    with pytest.raises(StoreError) as caught:
        open_store(path, **options)  # type: ignore[arg-type]
    return caught.value


def test_another_format_is_refused(tmp_path: Path) -> None:
    """By number, before anything is read."""
    with patch.object(environment, "FORMAT_VERSION", 99):
        open_store(tmp_path, map_bytes=SMALL).close()
    error = refused(tmp_path, map_bytes=SMALL)
    assert "format" == error.reason
    assert "99" in error.message


def test_an_environment_of_something_else_is_refused(tmp_path: Path) -> None:
    """And left as it is."""
    other = lmdb.open(str(tmp_path), max_dbs=1)
    table = other.open_db(b"theirs")
    other.close()
    assert table
    assert "format" == refused(tmp_path, map_bytes=SMALL).reason
    other = lmdb.open(str(tmp_path), max_dbs=9)
    with other.begin() as transaction:
        assert 1 == transaction.stat()["entries"]
    other.close()


def test_a_file_that_is_no_environment_is_refused(tmp_path: Path) -> None:
    """Not overwritten."""
    (tmp_path / "data.mdb").write_bytes(b"hello" * 4_000)
    assert "format" == refused(tmp_path, map_bytes=SMALL).reason
    assert (tmp_path / "data.mdb").read_bytes().startswith(b"hello")


def test_a_missing_store_is_not_made_unless_asked(tmp_path: Path) -> None:
    """Reading and ``create=False`` want one that is there."""
    assert "io" == refused(tmp_path / "none", create=False).reason
    assert "io" == refused(tmp_path / "none", readonly=True).reason
    assert not (tmp_path / "none").exists()


def test_a_path_that_cannot_be_a_directory_is_named(tmp_path: Path) -> None:
    """With the system's words."""
    (tmp_path / "file").write_text("")
    error = refused(tmp_path / "file" / "store")
    assert "io" == error.reason
    assert str(tmp_path / "file") in error.message


def test_a_readonly_store_reads_and_refuses_to_write(tmp_path: Path) -> None:
    """Also to collect."""
    store = open_store(tmp_path, map_bytes=SMALL)
    store.write(lambda tx: tx.put_document(1, "k", "a", b"body")).result()
    store.close()
    store = open_store(tmp_path, readonly=True)
    with store.snapshot() as snapshot:
        assert b"body" == snapshot.document(1, "k", "a")
    with pytest.raises(StoreError):
        store.write(lambda _tx: None)
    store.close()


def test_a_second_time_in_one_process_is_refused(tmp_path: Path) -> None:
    """LMDB's locks would not hold; the first one goes on."""
    store = open_store(tmp_path, map_bytes=SMALL)
    error = refused(tmp_path, map_bytes=SMALL)
    assert ("busy", True) == (error.reason, "already open" in error.message)
    assert store.write(lambda tx: tx.revision).result() == 1
    store.close()


def test_the_first_opener_sizes_the_map(tmp_path: Path) -> None:
    """Also when it was smaller before."""
    open_store(tmp_path, map_bytes=SMALL).close()
    store = open_store(tmp_path, map_bytes=2 * SMALL)
    assert 2 * SMALL == store.statistics()["map_bytes"]
    store.close()


TOO_LARGE = """
import resource, sys
from zeratul.errors import StoreError
from zeratul.store.lmdb import open_store
resource.setrlimit(resource.RLIMIT_AS, (4 << 30, 4 << 30))
try:
    open_store(sys.argv[1], map_bytes=64 << 30)
except StoreError as error:
    print(error.reason, error.help)
"""


@pytest.mark.slow
def test_too_little_address_space_names_the_option(tmp_path: Path) -> None:
    """Under ``ulimit -v``."""
    done = subprocess.run(
        [sys.executable, "-c", TOO_LARGE, str(tmp_path)],
        check=True,
        capture_output=True,
        text=True,
        cwd=Path(__file__).parents[3],
    )
    assert "io" == done.stdout.split()[0]
    assert "ulimit -v" in done.stdout
    assert "map_bytes" in done.stdout

"""Group commit: jobs that wait together commit together, and fail alone."""

from __future__ import annotations

from contextlib import suppress
from threading import Event
from typing import TYPE_CHECKING
from unittest.mock import patch

import pytest

from zeratul.errors import StoreError
from zeratul.store.lmdb.rows import RowWriter

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from concurrent.futures import Future

    from tests.unit.store.world import World
    from zeratul.store.interface import Store, WriteTransaction


class Refused(Exception):  # noqa: N818 - what a job raises
    """A job's own error."""


def together(store: Store, jobs: Sequence[Callable[[WriteTransaction], object]]) -> list[Future]:  # type: ignore[type-arg]
    """Submit the jobs while the writer is busy, so that they form one group."""
    go_on = Event()
    first = store.write(lambda _tx: go_on.wait())
    futures = [store.write(job) for job in jobs]
    go_on.set()
    first.result()
    return futures


def put(name: str) -> Callable[[WriteTransaction], int]:
    """A job that writes a document and tells its revision."""

    def job(tx: WriteTransaction) -> int:
        tx.put_document(1, "k", name, b"")
        return tx.revision

    return job


def put_then_fail(tx: WriteTransaction) -> None:
    """A job that must leave nothing behind."""
    tx.put_document(1, "k", "half", b"")
    raise Refused


def refuse(_tx: WriteTransaction) -> None:
    """A job that fails before it wrote anything."""
    raise Refused


def names(store: Store) -> list[str]:
    """Ids of the documents that are there."""
    with store.snapshot() as snapshot:
        return [name for name, _ in snapshot.documents(1, "k")]


def test_jobs_that_wait_together_share_a_revision(store: Store) -> None:
    """One commit, one sync."""
    before = store.statistics()["commits"]
    futures = together(store, [put(name) for name in "abc"])
    assert 1 == len({future.result() for future in futures})
    assert before + 1 == store.statistics()["commits"]


def test_a_job_that_fails_before_writing_is_answered_alone(store: Store) -> None:
    """The others still share one revision."""
    first, failed, last = together(store, [put("a"), refuse, put("b")])
    with pytest.raises(Refused):
        failed.result()
    assert first.result() == last.result()
    assert ["a", "b"] == names(store)


def test_a_job_that_fails_after_writing_is_undone_alone(store: Store) -> None:
    """What was in front of it and behind it is there."""
    first, failed, last = together(store, [put("a"), put_then_fail, put("b")])
    with pytest.raises(Refused):
        failed.result()
    assert first.result() < last.result()
    assert ["a", "b"] == names(store)


def test_a_job_that_fails_only_when_run_again_is_undone_alone(store: Store) -> None:
    """Jobs are run again after another was undone; those behind it must not be forgotten."""
    runs = []

    def fail_again(tx: WriteTransaction) -> None:
        runs.append(tx.revision)
        tx.put_document(1, "k", "again", b"")
        if len(runs) > 1:
            raise Refused

    jobs = [put("a"), fail_again, put("b"), put_then_fail, put("c")]
    first, again, second, failed, third = together(store, jobs)
    for future in (again, failed):
        with pytest.raises(Refused):
            future.result()
    assert first.result() < second.result() < third.result()
    assert ["a", "b", "c"] == names(store)


def test_a_job_sees_the_jobs_before_it(store: Store) -> None:
    """As if they ran one after the other, also when one in front of it is undone."""

    def look(tx: WriteTransaction) -> list[str]:
        return [name for name, _ in tx.snapshot.documents(1, "k")]

    _, seen, _, later = together(store, [put("a"), look, put_then_fail, look])
    assert ["a"] == seen.result()
    assert ["a"] == later.result()


def test_a_job_that_swallows_a_half_done_write_is_undone_all_the_same(world: World) -> None:
    """Half a batch must never be committed."""
    prepared = world.prepare(["doc:a#viewer@user:u"])

    def job(tx: WriteTransaction) -> None:
        with suppress(Refused):  # The mistake under test.
            tx.apply(prepared)

    with (
        patch.object(RowWriter, "put_tombstones", side_effect=Refused),
        pytest.raises(Refused),
    ):
        world.store.write(job).result()
    with world.store.snapshot() as snapshot:
        assert [] == world.everything(snapshot)


def test_a_cancelled_job_does_not_run(store: Store) -> None:
    """Until it started it can be taken back."""
    ran = Event()
    go_on = Event()
    first = store.write(lambda _tx: go_on.wait())
    future = store.write(lambda _tx: ran.set())
    assert future.cancel()
    go_on.set()
    first.result()
    store.write(put("a")).result()
    assert not ran.is_set()


def test_even_an_exit_in_a_job_does_not_end_the_writer(store: Store) -> None:
    """The caller gets it; the next job is served."""

    def leave(_tx: WriteTransaction) -> None:
        raise SystemExit(3)

    with pytest.raises(SystemExit):
        store.write(leave).result()
    assert store.write(put("a")).result() > 0


def test_a_snapshot_kept_from_a_transaction_is_closed_after_it(store: Store) -> None:
    """Reading through it is an error, never an old answer."""
    kept = store.write(lambda tx: tx.snapshot).result()
    with pytest.raises(StoreError):
        kept.has([(1, 1, 1, 1)])

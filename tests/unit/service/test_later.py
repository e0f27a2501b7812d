"""Work that may wait is done a while after it was asked for, by itself, and at the end."""

from __future__ import annotations

from threading import Event

from zeratul.errors import StoreError
from zeratul.service.ground.later import Later


def test_what_was_asked_for_is_done_by_itself():
    done = Event()
    later = Later("test", done.set, wait_s=0)
    later.soon()
    assert done.wait(30)
    later.close()


def test_closing_does_not_wait_and_leaves_nothing_undone():
    done = []
    later = Later("test", lambda: done.append(1), wait_s=3_600)
    later.soon()
    later.soon()  # Asked for already.
    later.close()
    assert [1] == done
    later.soon()  # Nobody is there any more.
    assert not later.asked


def test_nothing_is_begun_that_nobody_asked_for():
    done = []
    Later("test", lambda: done.append(1), wait_s=0).close()
    assert [] == done


def test_what_comes_during_the_work_is_done_too():
    begun, go_on, done = Event(), Event(), Event()
    runs = []

    def work():
        runs.append(1)
        if len(runs) == 1:
            begun.set()
            assert go_on.wait(30)
        else:
            done.set()

    later = Later("test", work, wait_s=0)
    later.soon()
    assert begun.wait(30)
    assert not later.asked  # So that whoever notes something now asks again.
    later.soon()
    go_on.set()
    assert done.wait(30)
    later.close()


def test_work_that_failed_is_done_again_when_it_is_asked_for():
    failed, done = Event(), Event()

    def work():
        if failed.is_set():
            done.set()
            return
        failed.set()
        raise StoreError("full", reason="full")

    later = Later("test", work, wait_s=0)
    later.soon()
    assert failed.wait(30)
    later.soon()
    assert done.wait(30)
    later.close()

"""Work that may wait: done a while after it was asked for, in a thread of its own.

Whoever answers a request only notes something in memory and says ``soon``; what it comes to in the
store is done behind its back, many notes at once. One thread for each kind of work, begun when it
is first asked for, so a process that never notes anything has none.
"""

from __future__ import annotations

import logging
from threading import Event, Lock, Thread
from typing import TYPE_CHECKING

from zeratul.errors import StoreError

if TYPE_CHECKING:
    from collections.abc import Callable

log = logging.getLogger("zeratul.service")


class Later:
    """Does one kind of work, at most once in a while.

    Attributes:
        asked: whether it is going to be done; notes made before that run are in it.
    """

    def __init__(self, name: str, work: Callable[[], None], *, wait_s: float) -> None:
        """Do nothing yet.

        Args:
            name: of the thread.
            work: what to do; a ``StoreError`` is logged and the next run goes on.
            wait_s: how long notes are gathered.
        """
        self.asked = False
        self._name = name
        self._work = work
        self._wait_s = wait_s
        self._lock = Lock()
        self._wake = Event()
        self._closing = Event()
        self._thread: Thread | None = None

    def soon(self) -> None:
        """Have the work done after the pause, unless it is going to be anyway."""
        if self.asked:
            return
        with self._lock:
            if self._closing.is_set():
                return
            self.asked = True
            if self._thread is None:
                self._thread = Thread(target=self._serve, name=self._name, daemon=True)
                self._thread.start()
            self._wake.set()

    def close(self) -> None:
        """Do what was asked for without waiting, then end."""
        with self._lock:
            self._closing.set()
            self._wake.set()
            thread = self._thread
        if thread is not None:
            thread.join()

    def _serve(self) -> None:
        ending = False
        while not ending:
            self._wake.wait()
            self._closing.wait(self._wait_s)
            self._wake.clear()
            ending = self._closing.is_set()
            # INVARIANT: before the work begins, so that whoever notes something during it, and
            # finds nobody asked, asks again.
            self.asked = False
            try:
                self._work()
            except StoreError as error:
                log.warning(
                    "deferred work failed",
                    extra={
                        "work": self._name,
                        "reason": error.reason,
                        "detail": error.message,
                    },
                )

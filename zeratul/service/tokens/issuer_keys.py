"""The keys of one trusted issuer in this process: fetched when needed, kept, never hammered for.

Theory of operation: keys are fetched by whoever first needs them and kept. They are fetched anew
when they get old, beside the calls that use them, and when a token names a key that is not among
them, since issuers change their keys. Between two fetches of one issuer there is a pause, and only
one runs at a time: a stranger who sends tokens with invented key ids costs the issuer one request
in a while, not one each. When a fetch fails, the keys from before go on to be used, for a limited
time.

Everything here runs on the event loop; a fetch is a task, so that a caller who goes away does not
take it along.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING

import orjson

from zeratul.service.tokens.jwks import IssuerKeys, KeySetError, read_keys

if TYPE_CHECKING:
    from zeratul.domain.limits import Limits
    from zeratul.service.tokens.issuers import Issuer

log = logging.getLogger("zeratul.service")

Fetch = Callable[[str], Awaitable[bytes]]
"""Brings what is at a URI; raises ``FetchError``."""


class FetchError(Exception):
    """Nothing could be fetched; the text says why, without a secret."""


class KeySource:
    """Where the keys of one issuer come from.

    Attributes:
        issuer: as its document says.
    """

    def __init__(
        self,
        application: int,
        issuer: Issuer,
        limits: Limits,
        clock_ms: Callable[[], int],
        running: set[asyncio.Task[None]],
    ) -> None:
        """Have the keys that are in the document; fetch nothing yet.

        Args:
            application: whose issuer it is, for the log.
            issuer: as its document says.
            limits: how often keys are fetched, how long they are used.
            clock_ms: the time.
            running: where fetches are, as long as they run.
        """
        self.issuer = issuer
        self._application = application
        self._limits = limits
        self._clock_ms = clock_ms
        self._running = running
        self._fixed = issuer.jwks is not None
        self._keys = self._in_document()
        self._fetched_ms = 0
        self._tried_ms: int | None = None
        self._failed = False
        self._task: asyncio.Task[None] | None = None

    def _in_document(self) -> IssuerKeys | None:
        if not self._fixed:
            return None
        try:
            return read_keys(self.issuer.jwks)
        except KeySetError as error:
            # Checked when it was put, by rules that may have become stricter since.
            self._tell(error)
            return None

    @property
    def keys(self) -> IssuerKeys | None:
        """The keys to judge by; None if there are none, or only such as are too old."""
        if self._fixed or self._age_s() < self._limits.issuer_keys_stale_s:
            return self._keys
        return None

    async def ready(self, fetch: Fetch) -> bool:
        """Return when there are keys to judge by, or can be none for now.

        Returns:
            Whether it took waiting.
        """
        if self._fixed:
            return False
        age_s, refresh_s = self._age_s(), self._limits.issuer_keys_refresh_s
        # Unused for long, they may well be others by now; after a failure there is no waiting.
        if self.keys is None or (age_s >= 2 * refresh_s and not self._failed):
            return await self.renewed(fetch)
        if age_s >= refresh_s:
            self._begin(fetch)
        return False

    async def renewed(self, fetch: Fetch) -> bool:
        """Return after a fetch that runs or may begin now; at once if none may.

        Returns:
            Whether there was one.
        """
        task = self._begin(fetch)
        if task is None:
            return False
        # Not by awaiting the task: a caller who goes away would cancel it for all others.
        await asyncio.wait((task,))
        return True

    def _begin(self, fetch: Fetch) -> asyncio.Task[None] | None:
        if self._task is not None and not self._task.done():
            return self._task
        if self._fixed or not self._rested():
            return None
        self._tried_ms = self._clock_ms()
        self._task = asyncio.get_running_loop().create_task(self._refresh(fetch), name="jwks")
        self._running.add(self._task)
        self._task.add_done_callback(self._running.discard)
        return self._task

    async def _refresh(self, fetch: Fetch) -> None:
        uri = self.issuer.jwks_uri
        if uri is None:
            raise RuntimeError("keys in the document are not fetched")
        try:
            keys = _parsed(await fetch(uri))
        except (FetchError, KeySetError) as error:
            self._failed = True
            self._tell(error)
            return
        self._failed = False
        self._fetched_ms = self._clock_ms()
        if self._keys is None or keys.jwks != self._keys.jwks:
            # The same keys stay the same object, and what was verified with them stays verified.
            self._keys = keys

    def _tell(self, error: Exception) -> None:
        log.warning(
            "no keys of an issuer",
            extra={
                "application": self._application,
                "issuer": self.issuer.id,
                "reason": str(error),
            },
        )

    def _age_s(self) -> float:
        # A clock that was put back makes nothing young again.
        return abs(self._clock_ms() - self._fetched_ms) / 1_000

    def _rested(self) -> bool:
        if self._tried_ms is None:
            return True
        passed_s = abs(self._clock_ms() - self._tried_ms) / 1_000
        return passed_s >= self._limits.issuer_keys_cooldown_s


def _parsed(body: bytes) -> IssuerKeys:
    try:
        document = orjson.loads(body)
    except orjson.JSONDecodeError:
        raise KeySetError("", "is not JSON") from None
    return read_keys(document)

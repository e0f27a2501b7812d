"""Fetches the public keys of trusted issuers: bounded in bytes and time, from where it was told.

An administrator of one application chose the URI, so an answer is trusted with nothing: no
redirect is followed, no cookie kept, no proxy or password of this machine's environment used,
nothing decompressed, and nothing of the answer is shown to anybody.
"""

from __future__ import annotations

import aiohttp
from aiohttp.hdrs import ACCEPT, ACCEPT_ENCODING, CONTENT_ENCODING, USER_AGENT

from zeratul.api.responses import SERVER
from zeratul.service.tokens.issuer_keys import FetchError

# LIMIT: two or three keys have 2 KiB, with certificate chains 20.
KEY_SET_BYTES_MAX = 256 * 1024
# LIMIT: the first token of an issuer waits for this; a service that answers does so at once.
FETCH_TIMEOUT_S = 5.0
# LIMIT: fetches at a time, one for each issuer: those of some applications may hang (20 each at
# most) without the others' waiting for their turn.
CONNECTIONS_MAX = 100
_PIECE_BYTES = 16 * 1024


class KeySetFetcher:
    """One session for all issuers of this process."""

    def __init__(self) -> None:
        self._session: aiohttp.ClientSession | None = None

    async def start(self) -> None:
        """Make the session; needs a running event loop."""
        self._session = aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(limit=CONNECTIONS_MAX, force_close=True),
            timeout=aiohttp.ClientTimeout(total=FETCH_TIMEOUT_S),
            auto_decompress=False,
            cookie_jar=aiohttp.DummyCookieJar(),
            headers={
                USER_AGENT: SERVER,
                ACCEPT: "application/jwk-set+json, application/json",
                ACCEPT_ENCODING: "identity",
            },
        )

    async def close(self) -> None:
        """Let go of the connections."""
        if self._session is not None:
            await self._session.close()

    async def fetch(self, uri: str) -> bytes:
        """What is at the URI.

        Raises:
            FetchError: nothing came in time, or what came is not the plain document.
        """
        if self._session is None:
            raise RuntimeError("the fetcher was not started")
        try:
            async with self._session.get(uri, allow_redirects=False) as response:
                if response.status != 200:
                    raise FetchError(f"it answered with status {response.status}")
                if response.headers.get(CONTENT_ENCODING, "identity").lower() != "identity":
                    raise FetchError("it answered with a Content-Encoding nobody asked for")
                body = bytearray()
                async for piece in response.content.iter_chunked(_PIECE_BYTES):
                    body += piece
                    if len(body) > KEY_SET_BYTES_MAX:
                        raise FetchError(f"it answered with more than {KEY_SET_BYTES_MAX:,} bytes")
                return bytes(body)
        except TimeoutError:
            raise FetchError(f"no whole answer within {FETCH_TIMEOUT_S:g} s") from None
        except (aiohttp.ClientError, OSError) as error:
            # Its kind is enough: the text may repeat what a stranger answered.
            raise FetchError(f"no connection ({type(error).__name__})") from error

"""The header ``Authorization`` beside a key: a token narrows whom the key's caller speaks for.

HTTP basic is the pages' own way in and says nothing beside a key. Any other scheme is refused, and
so is a second header: a caller that believes to be narrowed must never be answered as if it were
not.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from aiohttp.hdrs import AUTHORIZATION

from zeratul.errors import TokenError

if TYPE_CHECKING:
    from aiohttp import web

    from zeratul.api.key_sets import KeySetFetcher
    from zeratul.service.ground.caller import Caller
    from zeratul.service.tokens.tokens import Tokens


class Bearer:
    """Reads the header and has its token verified."""

    def __init__(self, tokens: Tokens, fetcher: KeySetFetcher) -> None:
        self._tokens = tokens
        self._fetcher = fetcher

    async def start(self) -> None:
        """Be ready to fetch keys; needs a running event loop."""
        await self._fetcher.start()

    async def close(self) -> None:
        """End what is being fetched."""
        await self._tokens.close()
        await self._fetcher.close()

    async def narrow(self, request: web.Request, caller: Caller) -> Caller:
        """The caller as the header leaves it.

        Raises:
            TokenError: the header is none, or the token is not valid.
            NotFoundError: the token names another tenant than the key's own.
            IssuerUnavailableError: the token cannot be judged now.
        """
        given = request.headers.getall(AUTHORIZATION)
        if len(given) != 1:
            raise TokenError("there is more than one header `Authorization`", reason="malformed")
        scheme, _, credentials = given[0].strip().partition(" ")
        if scheme.lower() == "basic":
            return caller
        if scheme.lower() != "bearer":
            raise TokenError(
                "the header `Authorization` has an unknown scheme",
                reason="unsupported",
                help="send `Bearer` and a token, or leave the header out",
            )
        return await self._tokens.narrow(caller, credentials.strip(), self._fetcher.fetch)

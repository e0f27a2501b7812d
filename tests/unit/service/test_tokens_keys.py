"""Keys of issuers: fetched when needed, seldom, once at a time, and used on while it is away."""

from __future__ import annotations

import asyncio

import pytest

from tests.token_makers import AUDIENCE, ISSUER, JWKS_URI, Signer, Site, claims
from zeratul.domain.limits import Limits
from zeratul.errors import IssuerUnavailableError, TokenError
from zeratul.service.tokens import tokens as tokens_module
from zeratul.service.tokens.issuers import Issuer

LIMITS = Limits()
COOLDOWN_MS = LIMITS.issuer_keys_cooldown_s * 1_000
REFRESH_MS = LIMITS.issuer_keys_refresh_s * 1_000
STALE_MS = LIMITS.issuer_keys_stale_s * 1_000


class World:
    """An application that trusts one issuer, whose keys have to be fetched."""

    def __init__(self, services, caller, clock):
        self.services = services
        self.caller = caller
        self.clock = clock
        self.signer = Signer()
        self.site = Site(self.signer)
        self.trust()

    def trust(self, **more):
        given = {"id": "main", "issuer": ISSUER, "audience": AUDIENCE, "jwks_uri": JWKS_URI}
        return self.services.issuers.put(self.caller, Issuer(**given | more)).result()

    def token(self, signer=None, header=None, **more):
        return (signer or self.signer).token(claims(self.clock.now_ms, **more), header)

    def narrow(self, token):
        return self.services.tokens.narrow(self.caller, token, self.site.fetch)

    async def user(self, token):
        return (await self.narrow(token)).user_id

    async def reason(self, token):
        with pytest.raises(TokenError) as caught:
            await self.narrow(token)
        return caught.value.reason

    async def settled(self):
        """Once no fetch runs."""
        while self.services.tokens._fetches:
            await asyncio.wait(self.services.tokens._fetches)

    @property
    def fetches(self):
        return len(self.site.fetched)


@pytest.fixture
def world(services, empty, clock):
    return World(services, empty, clock)


async def test_keys_are_fetched_with_the_first_token_and_kept(world):
    assert world.fetches == 0
    for n in range(5):
        assert await world.user(world.token(sub=f"u{n}")) == f"u{n}"
    assert world.site.fetched == [JWKS_URI]


async def test_a_thousand_first_tokens_at_once_are_one_fetch(world):
    world.site.hold()
    calls = [asyncio.create_task(world.user(world.token(sub=f"u{n}"))) for n in range(1_000)]
    await world.site.asked.wait()
    world.site.gate.set()
    assert await asyncio.gather(*calls) == [f"u{n}" for n in range(1_000)]
    assert world.fetches == 1


async def test_a_caller_that_goes_away_takes_the_fetch_from_nobody(world):
    world.site.hold()
    gone = asyncio.create_task(world.user(world.token(sub="gone")))
    stays = asyncio.create_task(world.user(world.token(sub="stays")))
    await world.site.asked.wait()
    gone.cancel()
    with pytest.raises(asyncio.CancelledError):
        await gone
    world.site.gate.set()
    assert await stays == "stays"
    assert world.fetches == 1


async def test_a_new_key_is_found_when_a_token_names_it(world):
    await world.narrow(world.token())
    fresh = Signer(key_id="k1", number=1)
    world.site.publish(world.signer, fresh)
    world.clock.now_ms += COOLDOWN_MS
    assert await world.user(world.token(fresh)) == "ann"
    assert world.fetches == 2
    assert await world.user(world.token()) == "ann"


async def test_invented_key_ids_cost_the_issuer_one_fetch_in_a_while(world):
    await world.narrow(world.token())
    for round_ in range(3):
        world.clock.now_ms += COOLDOWN_MS
        for n in range(200):
            made = world.token(header={"kid": f"no-{round_}-{n}"})
            assert await world.reason(made) == "unknown_key"
        assert world.fetches == 2 + round_
    # Right away there is none, and known keys are not disturbed.
    assert await world.user(world.token(sub="bob")) == "bob"


async def test_invented_key_ids_all_at_once_share_one_fetch(world):
    await world.narrow(world.token())
    world.clock.now_ms += COOLDOWN_MS
    world.site.hold()
    calls = [
        asyncio.create_task(world.reason(world.token(header={"kid": f"no-{n}"})))
        for n in range(500)
    ]
    await world.site.asked.wait()
    # A good token does not wait for what strangers ask.
    assert await world.user(world.token(sub="bob")) == "bob"
    world.site.gate.set()
    assert set(await asyncio.gather(*calls)) == {"unknown_key"}
    assert world.fetches == 2


async def test_wrong_signatures_cost_no_fetch(world):
    await world.narrow(world.token())
    world.clock.now_ms += COOLDOWN_MS
    forger = Signer(number=1)
    for n in range(20):
        assert await world.reason(world.token(forger, sub=f"u{n}")) == "bad_signature"
    assert world.fetches == 1


async def test_without_key_ids_the_signature_tells_that_there_is_a_new_key(world):
    old, new = Signer(key_id=None), Signer(key_id=None, number=1)
    world.site.publish(old)
    assert await world.user(world.token(old)) == "ann"
    world.site.publish(new)
    assert await world.reason(world.token(new)) == "bad_signature"  # too soon to ask again
    world.clock.now_ms += COOLDOWN_MS
    assert await world.user(world.token(new)) == "ann"
    assert await world.reason(world.token(old, sub="bob")) == "bad_signature"
    assert world.fetches == 2


async def test_without_a_key_id_several_keys_are_not_guessed_among(world):
    world.site.publish(Signer(key_id=None), Signer(key_id=None, number=1))
    assert await world.reason(world.token(Signer(key_id=None))) == "unknown_key"


async def test_an_issuer_that_is_away_is_not_the_token_s_fault(world):
    world.site.body = None
    for _ in range(50):
        with pytest.raises(IssuerUnavailableError):
            await world.narrow(world.token())
    assert world.fetches == 1
    world.clock.now_ms += COOLDOWN_MS
    world.site.publish(world.signer)
    assert await world.user(world.token()) == "ann"


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"<html>",
        b"[]",
        b"{}",
        b'{"keys": {}}',
        b'{"keys": []}',
        b'{"keys": [7]}',
        b'{"keys": [{"kty": "oct", "k": "AAAA"}]}',
        b"\xff",
        b"[" * 5_000,
    ],
)
async def test_what_is_no_key_set_is_taken_like_an_issuer_that_is_away(world, body):
    world.site.body = body
    with pytest.raises(IssuerUnavailableError):
        await world.narrow(world.token())


async def test_keys_are_used_on_while_the_issuer_is_away_but_not_for_ever(world):
    await world.narrow(world.token())
    fetched_ms = world.clock.now_ms
    world.site.body = None
    for at_ms in (REFRESH_MS, 5 * REFRESH_MS, STALE_MS - 1):
        world.clock.now_ms = fetched_ms + at_ms
        assert await world.user(world.token()) == "ann"
        await world.settled()
    world.clock.now_ms = fetched_ms + STALE_MS
    with pytest.raises(IssuerUnavailableError):
        await world.narrow(world.token())
    world.clock.now_ms += COOLDOWN_MS
    world.site.publish(world.signer)
    assert await world.user(world.token()) == "ann"


async def test_an_issuer_that_hangs_holds_nobody_up_who_has_keys(world):
    await world.narrow(world.token())
    world.clock.now_ms += REFRESH_MS
    world.site.hold()
    for n in range(10):
        assert await world.user(world.token(sub=f"u{n}")) == f"u{n}"
    await world.site.asked.wait()
    assert world.fetches == 2
    world.site.gate.set()
    await world.settled()


async def test_a_key_that_was_taken_away_ends_with_the_next_refresh(world, monkeypatch):
    made = world.token(exp=claims(world.clock.now_ms)["exp"] + 10_000)
    assert await world.user(made) == "ann"
    world.site.publish(Signer(key_id="k1", number=1))
    world.clock.now_ms += REFRESH_MS
    # This one only starts the refresh.
    assert await world.user(made) == "ann"
    await world.settled()
    assert await world.reason(made) == "unknown_key"


async def test_keys_nobody_asked_for_in_a_while_are_asked_for_before_they_are_used(world):
    made = world.token(exp=claims(world.clock.now_ms)["exp"] + 10_000)
    assert await world.user(made) == "ann"
    world.site.publish(Signer(key_id="k1", number=1))
    world.clock.now_ms += 2 * REFRESH_MS
    assert await world.reason(made) == "unknown_key"


async def test_the_same_keys_again_leave_known_tokens_known(world, monkeypatch):
    made = world.token(exp=claims(world.clock.now_ms)["exp"] + 10_000)
    await world.narrow(made)
    world.clock.now_ms += REFRESH_MS
    await world.narrow(made)
    await world.settled()
    assert world.fetches == 2
    monkeypatch.setattr(tokens_module, "verifies", None)
    assert await world.user(made) == "ann"


async def test_a_clock_that_is_put_back_neither_stops_nor_hurries_anything(world):
    await world.narrow(world.token())
    world.clock.now_ms -= 100 * REFRESH_MS
    fresh = Signer(key_id="k1", number=1)
    world.site.publish(fresh)
    assert await world.user(world.token(fresh)) == "ann"


async def test_an_issuer_removed_while_its_keys_are_fetched_is_not_trusted(services, world):
    world.site.hold()
    call = asyncio.create_task(world.reason(world.token()))
    await world.site.asked.wait()
    services.issuers.delete(world.caller, "main").result()
    world.site.gate.set()
    assert await call == "untrusted_issuer"


async def test_each_issuer_has_its_own_pause(services, world):
    other = Signer(number=1)
    world.trust(id="other", issuer="https://other.test/", jwks_uri="https://other.test/jwks")
    await world.narrow(world.token())
    world.site.publish(other)
    assert await world.user(world.token(other, iss="https://other.test/")) == "ann"
    assert world.site.fetched == [JWKS_URI, "https://other.test/jwks"]
    # Keys of one issuer are no keys of another.
    assert await world.reason(world.token(other)) == "bad_signature"


async def test_a_change_elsewhere_does_not_shorten_the_pause(services, world):
    await world.narrow(world.token())
    for n in range(5):
        world.trust(id="other", issuer=f"https://other-{n}.test/")
        assert await world.reason(world.token(header={"kid": "no"})) == "unknown_key"
    assert world.fetches == 1


async def test_closing_ends_what_is_being_fetched(services, world):
    world.site.hold()
    call = asyncio.create_task(world.narrow(world.token()))
    await world.site.asked.wait()
    await services.tokens.close()
    with pytest.raises(IssuerUnavailableError):
        await call

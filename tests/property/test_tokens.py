"""Nothing but the very tokens an issuer made is accepted: every change of one is refused."""

from __future__ import annotations

import hmac
import json
import unicodedata
from typing import TYPE_CHECKING

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from tests.token_makers import AUDIENCE, ISSUER, Signer, at_once, claims, decoded, encoded, key_set
from zeratul.errors import TokenError
from zeratul.service.services import Services
from zeratul.service.tokens.issuers import Issuer
from zeratul.store.lmdb import open_store

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

NOW_MS = 1_900_000_000_000
SIGNERS = [Signer("ES256", "k0"), Signer("EdDSA", "k1"), Signer("RS256", "k2")]
TOKENS = [signer.token(claims(NOW_MS, sub=name)) for signer in SIGNERS for name in ("ann", "bob")]
BASE64 = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"

tokens = st.sampled_from(TOKENS)
parts = st.integers(0, 2)


async def nothing(uri: str) -> bytes:
    raise AssertionError(f"fetched {uri}")


@pytest.fixture(scope="module")
def accepts(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Callable[[str], bool]]:
    """Whether a text is accepted as a token; all the real ones are known already."""
    clock = lambda: NOW_MS  # noqa: E731 - shorter than a name for it
    store = open_store(tmp_path_factory.mktemp("tokens") / "data", clock_ms=clock)
    services = Services.build(store, clock_ms=clock)
    caller = services.local_caller()
    issuer = Issuer(id="main", issuer=ISSUER, audience=AUDIENCE, jwks=key_set(*SIGNERS))
    services.issuers.put(caller, issuer).result()

    def ask(text: str) -> bool:
        try:
            at_once(services.tokens.narrow(caller, text, nothing))
        except TokenError:
            return False
        return True

    assert all(ask(token) for token in TOKENS)
    yield ask
    services.close()


@given(token=tokens, part=parts, data=st.data())
def test_a_byte_of_any_part_changed(accepts, token, part, data):
    split = token.split(".")
    content = bytearray(decoded(split[part]))
    at = data.draw(st.integers(0, len(content) - 1))
    content[at] ^= data.draw(st.integers(1, 255))
    split[part] = encoded(bytes(content))
    assert not accepts(".".join(split))


@given(token=tokens, data=st.data())
def test_a_character_changed_added_or_left_out(accepts, token, data):
    at = data.draw(st.integers(0, len(token) - 1))
    put = data.draw(st.sampled_from(BASE64) | st.characters(max_codepoint=255) | st.just(""))
    changed = token[:at] + put + token[at + data.draw(st.integers(0, 1)) :]
    assume(changed != token)
    assert not accepts(changed)


@given(token=tokens, part=parts, content=st.binary(max_size=100))
def test_a_part_replaced(accepts, token, part, content):
    split = token.split(".")
    split[part] = encoded(content)
    assert not accepts(".".join(split))


@given(chosen=st.tuples(tokens, tokens, tokens))
def test_parts_of_different_tokens_put_together(accepts, chosen):
    text = ".".join(token.split(".")[part] for part, token in enumerate(chosen))
    assert accepts(text) is (text in TOKENS)


HEADER = st.sampled_from(["alg", "kid", "typ", "crit", "b64", "x"])
CLAIMS = st.sampled_from(["iss", "aud", "sub", "exp", "nbf", "tenant_id"])
json_values = st.none() | st.booleans() | st.integers() | st.text(max_size=20)


@given(
    token=tokens,
    header=st.dictionaries(HEADER, json_values),
    more=st.dictionaries(CLAIMS, json_values),
)
def test_a_header_or_claims_changed_under_the_old_signature(accepts, token, header, more):
    head, body, signature = token.split(".")
    said = json.loads(decoded(head)) | header, json.loads(decoded(body)) | more
    text = ".".join(encoded(part) for part in said)
    assume(f"{text}.{signature}" != token)
    assert not accepts(f"{text}.{signature}")


@given(
    signer=st.sampled_from(SIGNERS),
    hashed=st.sampled_from(["256", "384", "512"]),
    algorithm=st.sampled_from(["HS256", "HS384", "HS512", "none", "ES256", "RS256", "EdDSA"]),
    key_id=st.sampled_from(["k0", "k1", "k2", None]),
)
def test_signed_with_what_everybody_knows(accepts, signer, hashed, algorithm, key_id):
    header = {"alg": algorithm} | ({} if key_id is None else {"kid": key_id})
    text = f"{encoded(header)}.{encoded(claims(NOW_MS))}"
    for secret in (
        b"",
        signer.key.as_pem(private=False),
        signer.key.as_der(private=False),
        json.dumps(signer.public).encode(),
    ):
        digest = hmac.new(secret, text.encode(), f"sha{hashed}").digest()
        assert not accepts(f"{text}.{encoded(digest)}")


@given(text=st.text(max_size=200) | st.lists(st.binary(max_size=50).map(encoded)).map(".".join))
def test_anything_at_all(accepts, text):
    assert not accepts(text)


deep = st.recursive(
    st.none()
    | st.booleans()
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.integers()
    | st.text(max_size=10),
    lambda children: (
        st.lists(children, max_size=3) | st.dictionaries(st.text(max_size=5), children, max_size=3)
    ),
    max_leaves=5,
)


near = st.integers(-40, 40).map(lambda shift: NOW_MS // 1_000 + shift)
likely = near | st.sampled_from(
    [ISSUER, AUDIENCE, [AUDIENCE, 7], "acme", "*", "a#b", 0, 253_402_300_800]
)


@given(said=st.dictionaries(CLAIMS | st.just("iat"), likely | deep, max_size=3))
def test_whatever_an_issuer_signs_is_accepted_only_as_it_should_be(accepts, said):
    """Claims of any type and value: refused in words, accepted only if all of them are right."""
    whole = {**claims(NOW_MS), **said}
    now_s = NOW_MS / 1_000

    def is_time(value: object) -> bool:
        return isinstance(value, int | float) and not isinstance(value, bool)

    def is_id(value: object) -> bool:
        return (
            isinstance(value, str)
            and value not in ("", "*")
            and "#" not in value
            and value == value.strip()
            and all(unicodedata.category(each) not in ("Cc", "Cs") for each in value)
        )

    right = (
        whole["iss"] == ISSUER
        and (
            whole["aud"] == AUDIENCE
            or (isinstance(whole["aud"], list) and AUDIENCE in whole["aud"])
        )
        and is_id(whole["sub"])
        and (whole.get("tenant_id") is None or is_id(whole["tenant_id"]))
        and is_time(whole["exp"])
        and now_s - 30 < whole["exp"] < 253_402_300_800
        and all(
            whole.get(name) is None or (is_time(whole[name]) and 0 <= whole[name] <= now_s + 30)
            for name in ("nbf", "iat")
        )
    )
    assert accepts(SIGNERS[1].token(whole)) is bool(right)

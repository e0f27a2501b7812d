"""Which tokens are accepted, whom they name, and what such a caller may do."""

from __future__ import annotations

import hashlib
import hmac
import json
from dataclasses import replace

import pytest

from tests.builders import question
from tests.token_makers import (
    AUDIENCE,
    ISSUER,
    LIFETIME_S,
    Signer,
    at_once,
    claims,
    encoded,
    key_set,
)
from zeratul.domain.relationship import ObjectRef, SubjectRef
from zeratul.errors import (
    ForbiddenError,
    NotFoundError,
    TokenError,
    UserScopeError,
    ValidationError,
)
from zeratul.graph.answers import CheckQuestion
from zeratul.service.ground.caller import Caller
from zeratul.service.tokens import tokens as tokens_module
from zeratul.service.tokens.issuers import Issuer
from zeratul.service.tokens.jwks import ALGORITHMS

ANN = SubjectRef("user", "ann")
BOB = SubjectRef("user", "bob")
NOT_A_TIME = b'{"exp": NaN}'


async def nothing(uri):
    raise AssertionError(f"fetched {uri}")


class World:
    """An application that trusts one issuer, whose keys stand in its document."""

    def __init__(self, services, caller, clock):
        self.services = services
        self.caller = caller
        self.clock = clock
        self.signer = Signer()

    def trust(self, *signers, caller=None, **more):
        given = {
            "id": "main",
            "issuer": ISSUER,
            "audience": AUDIENCE,
            "jwks": key_set(*(signers or (self.signer,))),
        }
        issuer = Issuer(**given | more)
        return self.services.issuers.put(caller or self.caller, issuer).result()

    def narrow(self, token, caller=None):
        return at_once(self.services.tokens.narrow(caller or self.caller, token, nothing))

    def claims(self, **more):
        return claims(self.clock.now_ms, **more)

    def token(self, header=None, **more):
        return self.signer.token(self.claims(**more), header)

    def reason(self, token, caller=None):
        with pytest.raises(TokenError) as caught:
            self.narrow(token, caller)
        return caught.value.reason


@pytest.fixture
def world(services, empty, clock):
    made = World(services, empty, clock)
    made.trust()
    return made


@pytest.mark.parametrize("algorithm", ALGORITHMS)
def test_a_token_of_each_algorithm_names_its_user(world, algorithm):
    world.trust(signer := Signer(algorithm))
    narrowed = world.narrow(signer.token(world.claims()))
    assert narrowed == replace(world.caller, user_id="ann", tenant_id=None)


@pytest.mark.parametrize("kind", ["at+jwt", "JOSE", "anything", 7])
def test_the_type_of_a_token_does_not_matter(world, kind):
    assert world.narrow(world.token({"typ": kind})).user_id == "ann"


def test_an_audience_may_be_one_of_several(world):
    assert world.narrow(world.token(aud=["https://other.test", AUDIENCE])).user_id == "ann"


@pytest.mark.parametrize(
    ("reason", "more"),
    [
        ("untrusted_issuer", {"iss": "https://evil.test/"}),
        ("untrusted_issuer", {"iss": ISSUER.rstrip("/")}),
        ("untrusted_issuer", {"iss": ISSUER.upper()}),
        ("invalid_claim", {"iss": None}),
        ("invalid_claim", {"iss": [ISSUER]}),
        ("wrong_audience", {"aud": "https://other.test"}),
        ("wrong_audience", {"aud": None}),
        ("wrong_audience", {"aud": []}),
        ("wrong_audience", {"aud": {AUDIENCE: True}}),
        ("wrong_audience", {"aud": AUDIENCE + "/more"}),
        ("invalid_claim", {"exp": None}),
        ("invalid_claim", {"exp": "2090-01-01T00:00:00Z"}),
        ("invalid_claim", {"exp": True}),
        ("invalid_claim", {"exp": 1_900_000_600_000}),  # in milliseconds it would never come
        ("invalid_claim", {"exp": -1}),
        ("expired", {"exp": 0}),
        ("not_yet_valid", {"nbf": 1_900_000_000 + 31}),
        ("not_yet_valid", {"iat": 1_900_000_000 + 31}),
        ("invalid_claim", {"nbf": "soon"}),
        ("invalid_claim", {"iat": "now"}),
        ("invalid_claim", {"sub": None}),
        ("invalid_claim", {"sub": ""}),
        ("invalid_claim", {"sub": 7}),
        ("invalid_claim", {"sub": "*"}),  # would be everybody
        ("invalid_claim", {"sub": "ann#member"}),
        ("invalid_claim", {"sub": " ann"}),
        ("invalid_claim", {"sub": "x" * 1_025}),
        ("invalid_claim", {"tenant_id": ""}),
        ("invalid_claim", {"tenant_id": 7}),
        ("invalid_claim", {"tenant_id": "*"}),
        ("invalid_claim", {"tenant_id": ["acme"]}),
    ],
)
def test_a_token_with_a_wrong_claim_is_refused(world, reason, more):
    assert world.reason(world.token(**more)) == reason


@pytest.mark.parametrize(
    ("reason", "header"),
    [
        ("algorithm_not_allowed", {"alg": "none"}),
        ("algorithm_not_allowed", {"alg": "None"}),
        ("algorithm_not_allowed", {"alg": "HS256"}),
        ("algorithm_not_allowed", {"alg": "es256"}),
        ("algorithm_not_allowed", {"alg": "ES256K"}),
        ("algorithm_not_allowed", {"alg": None}),
        ("algorithm_not_allowed", {"alg": ["ES256"]}),
        ("unknown_key", {"alg": "RS256"}),  # the key is another kind
        ("unknown_key", {"alg": "ES384"}),
        ("unknown_key", {"kid": "k1"}),
        ("unknown_key", {"kid": ""}),
        ("malformed", {"kid": 7}),
        ("malformed", {"kid": "k" * 257}),
        ("unsupported", {"crit": ["exp"], "exp": 1}),
        ("unsupported", {"crit": []}),
        ("unsupported", {"b64": False}),
    ],
)
def test_a_token_with_a_wrong_header_is_refused(world, reason, header):
    whole = {"alg": "ES256", "kid": "k0", **header}
    whole = {name: value for name, value in whole.items() if value is not None}
    assert world.reason(world.signer.signed(whole, world.claims())) == reason


def test_a_key_in_the_header_is_never_used(world):
    stranger = Signer(number=1)
    for header in ({"jwk": stranger.public}, {"jku": "https://evil.test", "x5u": "https://e.x"}):
        assert world.reason(stranger.token(world.claims(), header)) == "bad_signature"


def test_a_token_without_a_signature_is_refused_whatever_it_is_called(world):
    for header in ({"alg": "none"}, {"alg": "none", "kid": "k0"}):
        unsigned = f"{encoded(header)}.{encoded(world.claims())}."
        assert world.reason(unsigned) == "algorithm_not_allowed"
    head, body, _ = world.token().split(".")
    assert world.reason(f"{head}.{body}.") == "bad_signature"


@pytest.mark.parametrize("algorithm", ["RS256", "ES256", "EdDSA"])
def test_a_public_key_is_no_secret_to_sign_with(world, algorithm):
    """The classic confusion: HMAC, with what everybody can read as its secret."""
    world.trust(signer := Signer(algorithm))
    secrets = [
        signer.key.as_pem(private=False),
        signer.key.as_der(private=False),
        json.dumps(signer.public).encode(),
        signer.public.get("n", signer.public.get("x")).encode(),
    ]
    for hashed in ("256", "384", "512"):
        header = {"alg": f"HS{hashed}", "kid": "k0"}
        text = f"{encoded(header)}.{encoded(world.claims())}"
        for secret in secrets:
            digest = getattr(hashlib, f"sha{hashed}")
            forged = f"{text}.{encoded(hmac.new(secret, text.encode(), digest).digest())}"
            assert world.reason(forged) == "algorithm_not_allowed"


def test_a_signature_of_one_algorithm_does_not_count_for_another(world):
    world.trust(Signer("RS256"))
    other = Signer("PS256")
    other.key = Signer("RS256").key
    text = other.token(world.claims(), {"alg": "RS256"})
    assert world.reason(text) == "bad_signature"
    assert world.narrow(other.token(world.claims())).user_id == "ann"


def test_a_key_that_says_its_algorithm_verifies_no_other(world):
    signer = Signer("RS256")
    world.trust(jwks={"keys": [{**signer.public, "alg": "RS256"}]})
    other = Signer("PS256")
    other.key = signer.key
    assert world.reason(other.token(world.claims())) == "unknown_key"
    assert world.narrow(signer.token(world.claims())).user_id == "ann"


def test_an_issuer_is_held_to_its_algorithms(world):
    world.trust(Signer("RS256"), algorithms=("ES256",))
    assert world.reason(Signer("RS256").token(world.claims())) == "algorithm_not_allowed"


@pytest.mark.parametrize(
    "text",
    [
        "",
        ".",
        "..",
        "a.b",
        "a.b.c.d",
        "a.b.c.d.e",
        "é.b.c",
        f"{encoded(b'[]')}.{encoded({})}.AA",
        f"{encoded(b'{')}.{encoded({})}.AA",
        f"{encoded(b'[' * 2_000)}.{encoded({})}.AA",
        f"{encoded({'alg': 'ES256'})}.{encoded(b'null')}.AA",
        f"{encoded({'alg': 'ES256'})}.{encoded(NOT_A_TIME)}.AA",
        "x" * 9_000,
    ],
)
def test_what_is_no_token_is_refused(world, text):
    assert world.reason(text) == "malformed"


def test_a_token_has_one_spelling_only(world):
    head, body, signature = world.token().split(".")
    for text in (
        f"{head}=.{body}.{signature}",
        f"{head}.{body}.{signature}==",
        f"{head}.{body}.{signature}!",
        f"{head}.{body}. {signature}",
        f"{head}.{body}.{signature}\n",
        # The last character of 64 bytes holds four bits of nothing.
        f"{head}.{body}.{signature[:-1]}{chr(ord(signature[-1]) + 1)}",
    ):
        assert world.reason(text) in ("malformed", "bad_signature"), text


def test_clocks_may_be_apart_by_the_skew_and_not_more(world):
    begins_s = world.clock.now_ms // 1_000
    made = world.token(nbf=begins_s)
    for shift_ms, reason in (
        (-30_000, None),
        (-30_001, "not_yet_valid"),
        ((LIFETIME_S + 30) * 1_000 - 1, None),
        ((LIFETIME_S + 30) * 1_000, "expired"),
    ):
        world.clock.now_ms = begins_s * 1_000 + shift_ms
        # Also where the token is known already.
        for _ in range(2):
            if reason is None:
                assert world.narrow(made).user_id == "ann"
            else:
                assert world.reason(made) == reason
    world.clock.now_ms = begins_s * 1_000
    world.trust(clock_skew_s=0)
    world.clock.now_ms -= 1
    assert world.reason(made) == "not_yet_valid"


def test_a_known_token_ends_with_its_time(world):
    made = world.token()
    assert world.narrow(made).user_id == "ann"
    world.clock.now_ms += (LIFETIME_S + 30) * 1_000
    assert world.reason(made) == "expired"


def test_a_signature_is_verified_once(world, monkeypatch):
    asked = []
    monkeypatch.setattr(
        tokens_module,
        "verifies",
        lambda key, signed, verifies=tokens_module.verifies: (
            asked.append(1) or verifies(key, signed)
        ),
    )
    made = world.token()
    for _ in range(5):
        assert world.narrow(made).user_id == "ann"
    assert len(asked) == 1


def test_known_tokens_are_few(world, monkeypatch):
    monkeypatch.setattr(tokens_module, "VERIFIED_MAX", 3)
    made = [world.token(sub=f"u{n}") for n in range(10)]
    for _ in range(2):
        assert [world.narrow(each).user_id for each in made] == [f"u{n}" for n in range(10)]
    assert len(world.services.tokens._verified) == 3


def test_other_claims_can_be_chosen(world):
    world.trust(user_claim="https://test/uid", tenant_claim="org")
    narrowed = world.narrow(world.token(**{"https://test/uid": "u7", "org": "acme"}))
    assert (narrowed.user_id, narrowed.tenant_id) == ("u7", "acme")
    assert world.reason(world.token(org="acme")) == "invalid_claim"


def test_a_tenant_claim_narrows_and_never_widens(world):
    tenant = replace(world.caller, tenant_id="acme")
    for caller, claim, expected in (
        (world.caller, None, None),
        (world.caller, "acme", "acme"),
        (tenant, None, "acme"),
        (tenant, "acme", "acme"),
    ):
        assert world.narrow(world.token(tenant_id=claim), caller).tenant_id == expected
    for _ in range(2):
        with pytest.raises(NotFoundError):
            world.narrow(world.token(tenant_id="globex"), tenant)


def test_claims_grant_nothing(world):
    weak = replace(world.caller, permissions=frozenset({"checks:create"}), is_root=False)
    made = world.token(permissions=["*"], scope="relationships:write", roles=["owner"])
    narrowed = world.narrow(made, weak)
    assert narrowed.permissions == weak.permissions
    on_type = CheckQuestion(ANN, ObjectRef("group", ""), "member")
    assert not world.services.access.check(world.caller, on_type).allowed


def test_an_issuer_of_one_application_is_none_of_another(services, world):
    second = services.applications.create(world.caller, "second").result()
    there = services.applications.enter(world.caller, second.id)
    assert world.reason(world.token(), there) == "untrusted_issuer"
    other = Signer(number=1)
    world.trust(other, caller=there)
    assert world.narrow(other.token(world.claims()), there).user_id == "ann"
    # The same names, other keys: each application's token is the other's forgery.
    assert world.reason(other.token(world.claims())) == "bad_signature"
    assert world.reason(world.token(), there) == "bad_signature"


def test_a_change_of_the_issuer_holds_at_once_for_known_tokens_too(services, world):
    made = world.token()
    assert world.narrow(made).user_id == "ann"
    world.trust(audience="https://new.test")
    assert world.reason(made) == "wrong_audience"
    world.trust(Signer(number=1))
    assert world.reason(made) == "bad_signature"
    world.trust()
    assert world.narrow(made).user_id == "ann"
    services.issuers.delete(world.caller, "main").result()
    assert world.reason(made) == "untrusted_issuer"


def test_what_one_issuer_verified_stays_when_another_changes(services, world, monkeypatch):
    made = world.token()
    world.narrow(made)
    world.trust(Signer(number=1), id="other", issuer="https://other.test/")
    monkeypatch.setattr(tokens_module, "verifies", None)
    assert world.narrow(made).user_id == "ann"


def test_a_user_holds_no_management_permission():
    user = Caller("default", 1, "root", is_root=True, user_id="ann")
    for permission in ("relationships:read", "keys:write", "checks:explain", "checks:create"):
        with pytest.raises(ForbiddenError) as caught:
            user.require(permission)
        assert caught.value.permission == permission
        with pytest.raises(ForbiddenError):
            user.require_root(permission)
    with pytest.raises(ForbiddenError):
        user.require_question("checks:create")


def test_a_user_asks_about_itself_only():
    anyone = Caller("default", 1, "key", frozenset({"checks:create"}))
    user = replace(anyone, user_id="ann")
    assert user.question_subject(None) == ANN
    assert user.question_subject(ANN) == ANN
    user.require_question("checks:create", ANN)
    for other in (
        BOB,
        SubjectRef("user", "*"),
        SubjectRef("client", "ann"),
        SubjectRef("group", "ann", "member"),
        SubjectRef("user", "ann", "friend"),
        SubjectRef("user", "Ann"),
    ):
        with pytest.raises(UserScopeError):
            user.question_subject(other)
        with pytest.raises(UserScopeError):
            user.require_question("checks:create", ANN, other)
        anyone.require_question("checks:create", other)
        assert anyone.question_subject(other) == other
    assert anyone.question_subject(None) is None
    for caller in (anyone, user):
        with pytest.raises(ForbiddenError):
            caller.require_question("checks:explain", ANN)


def test_services_refuse_a_user_what_is_not_its_own(services, caller, world):
    user = world.narrow(world.token(), caller)
    with pytest.raises(ForbiddenError):
        services.models.get(user)
    with pytest.raises(ForbiddenError):
        services.issuers.put(user, Issuer(id="x", issuer="x", audience="x"))
    with pytest.raises(ForbiddenError):
        services.issuers.list(user)
    with pytest.raises(ForbiddenError):
        services.access.who_can(user, question("document:d#reader@user:ann").resource, "reader")


def test_an_event_names_the_user(world):
    narrowed = world.narrow(world.token())
    assert (narrowed.actor_type, narrowed.actor_id) == ("user", "ann")


def test_findings_of_an_issuer_come_together(services, empty):
    with pytest.raises(ValidationError) as caught:
        services.issuers.put(empty, Issuer(id="x", issuer="", audience=" a", user_claim="iss"))
    assert set(caught.value.findings) == {"issuer", "audience", "userClaim", "jwksUri"}

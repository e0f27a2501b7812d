"""Which issuers an application may trust, and which keys it takes from them."""

from __future__ import annotations

import json
import warnings
from dataclasses import replace

import pytest
from joserfc.errors import SecurityWarning
from joserfc.jwk import ECKey, OctKey, OKPKey, RSAKey
from joserfc.jws import CompactSignature

from tests.token_makers import AUDIENCE, ISSUER, JWKS_URI, Signer, decoded, key_set
from zeratul.errors import (
    AlreadyExistsError,
    ForbiddenError,
    LimitError,
    MalformedError,
    NotFoundError,
    PreconditionError,
    TenantScopeError,
    ValidationError,
)
from zeratul.service.ground.answers import Page
from zeratul.service.tokens.issuers import Issuer
from zeratul.service.tokens.jwks import KEYS_MAX, KeySetError, read_keys, verifies

MAIN = Issuer(id="main", issuer=ISSUER, audience=AUDIENCE, jwks_uri=JWKS_URI)


def put(services, caller, *, if_match=None, **more):
    return services.issuers.put(caller, replace(MAIN, **more), if_match=if_match).result()


def fields(services, caller, **more):
    with pytest.raises(ValidationError) as caught:
        put(services, caller, **more)
    return caught.value.findings


def ids(page):
    return [each.id for each in page.rows]


def test_issuers_are_listed_in_pages(services, empty):
    for n in range(5):
        put(services, empty, id=f"i{n}", issuer=f"https://{n}.test/")
    cursor, found = None, []
    while True:
        page = services.issuers.list(empty, page=Page(2, cursor))
        found.append(ids(page))
        cursor = page.next_cursor
        if cursor is None:
            break
    assert found == [["i0", "i1"], ["i2", "i3"], ["i4"]]
    other = services.applications.create(empty, "second").result()
    first = services.issuers.list(empty, page=Page(2))
    with pytest.raises(MalformedError):
        services.issuers.list(
            services.applications.enter(empty, other.id), page=Page(2, first.next_cursor)
        )


def test_an_issuer_is_put_read_changed_and_removed(services, empty, clock):
    made = put(services, empty)
    assert made.created
    assert services.issuers.get(empty, "main") == made.issuer
    clock.now_ms += 5
    changed = put(services, empty, audience="https://new.test")
    assert not changed.created
    assert changed.issuer.created_at_ms == made.issuer.created_at_ms
    assert changed.issuer.updated_at_ms == clock.now_ms
    assert changed.issuer.etag != made.issuer.etag
    put(services, empty, id="a", issuer="https://a.test/")
    assert ids(services.issuers.list(empty)) == ["a", "main"]
    assert services.issuers.delete(empty, "main").result()
    with pytest.raises(NotFoundError):
        services.issuers.get(empty, "main")
    with pytest.raises(NotFoundError):
        services.issuers.delete(empty, "main").result()


def test_changes_are_audited_with_both_states_and_what_changes_nothing_is_not(services, empty):
    put(services, empty)
    again = put(services, empty)
    assert not again.created
    put(services, empty, audience="https://new.test")
    services.issuers.delete(empty, "main").result()
    with services.store.snapshot() as snapshot:
        events = [
            json.loads(event.body) for event in snapshot.events(empty.application, limit=100)
        ]
    mine = [event for event in events if event["target"] == {"type": "issuer", "id": "main"}]
    assert [(e["action"], e["before"] is None, e["after"] is None) for e in reversed(mine)] == [
        ("issuer.created", True, False),
        ("issuer.updated", False, False),
        ("issuer.deleted", False, True),
    ]
    assert mine[1]["before"]["audience"] == AUDIENCE
    assert mine[1]["after"]["audience"] == "https://new.test"


def test_a_change_may_depend_on_what_was_seen(services, empty):
    made = put(services, empty)
    with pytest.raises(PreconditionError):
        put(services, empty, id="new", issuer="https://new.test/", if_match="*")
    with pytest.raises(PreconditionError):
        put(services, empty, audience="x", if_match='"0"')
    with pytest.raises(PreconditionError):
        services.issuers.delete(empty, "main", if_match='"0"').result()
    changed = put(services, empty, audience="x", if_match=made.issuer.etag)
    services.issuers.delete(empty, "main", if_match=changed.issuer.etag).result()


def test_two_issuers_of_one_application_are_never_the_same_one(services, empty):
    put(services, empty)
    with pytest.raises(AlreadyExistsError):
        put(services, empty, id="second")
    other = services.applications.create(empty, "second").result()
    put(services, services.applications.enter(empty, other.id))


def test_an_application_has_few_issuers(services, empty):
    most = services.limits.issuers_max
    for n in range(most):
        put(services, empty, id=f"i{n}", issuer=f"https://{n}.test/")
    with pytest.raises(LimitError) as caught:
        put(services, empty, id="more", issuer="https://more.test/")
    assert (caught.value.limit, caught.value.value) == ("issuers_max", most)
    put(services, empty, id="i0", issuer="https://changed.test/")


def test_only_who_may_change_keys_of_the_whole_application_sets_issuers(services, empty):
    reader = replace(empty, permissions=frozenset({"keys:read"}), is_root=False)
    with pytest.raises(ForbiddenError) as caught:
        put(services, reader)
    assert caught.value.permission == "keys:write"
    assert ids(services.issuers.list(reader)) == []
    with pytest.raises(ForbiddenError):
        services.issuers.list(replace(reader, permissions=frozenset({"keys:write"})))
    tenant = replace(empty, tenant_id="acme")
    for call in (
        lambda: put(services, tenant),
        lambda: services.issuers.list(tenant),
        lambda: services.issuers.get(tenant, "main"),
        lambda: services.issuers.delete(tenant, "main"),
    ):
        with pytest.raises(TenantScopeError):
            call()


@pytest.mark.parametrize("issuer_id", ["", "a b", "a/b", ".", "é", "x" * 65, "-a", "a\n"])
def test_an_issuer_has_a_plain_id(services, empty, issuer_id):
    with pytest.raises(MalformedError) as caught:
        put(services, empty, id=issuer_id)
    assert caught.value.field == "issuerId"


@pytest.mark.parametrize(
    "uri",
    [
        "https://login.test/jwks.json",
        "https://login.test",
        "https://login.test:8443/a/b?c=d&e=f",
        "https://[2001:db8::1]/jwks",
        "http://localhost:8080/jwks",
        "http://127.0.0.1:8080/jwks",
        "http://127.9.9.9/jwks",
        "http://[::1]:8080/jwks",
    ],
)
def test_keys_may_be_at(services, empty, uri):
    assert put(services, empty, jwks_uri=uri).issuer.jwks_uri == uri


@pytest.mark.parametrize(
    "uri",
    [
        "",
        "login.test/jwks",
        "//login.test/jwks",
        "ftp://login.test/jwks",
        "file:///etc/passwd",
        "data:application/json,{}",
        "HTTPS://login.test/jwks",
        "http://login.test/jwks",
        "http://localhost.evil.test/jwks",
        "http://localhost./jwks",
        "http://127.0.0.1.evil.test/jwks",
        "http://0.0.0.0/jwks",
        "http://10.0.0.1/jwks",
        "http://169.254.169.254/latest/meta-data",
        "http://0177.0.0.1/jwks",
        "http://2130706433/jwks",
        "http://[::ffff:10.0.0.1]/jwks",
        "https://user:secret@login.test/jwks",
        "http://127.0.0.1@login.test/jwks",
        "http://127.0.0.1\\@login.test/jwks",
        "https://login.test/jwks#keys",
        "https://login.test/a b",
        "https://login.test/\u00e9",
        "https://login.test/jwks\n",
        "https://login.test:0/jwks",
        "https://login.test:65536/jwks",
        "https://login.test:/jwks",
        "https:///jwks",
        "https://login.test/" + "x" * 2_048,
    ],
)
def test_keys_may_not_be_at(services, empty, uri):
    assert list(fields(services, empty, jwks_uri=uri)) == ["jwksUri"]


@pytest.mark.parametrize(
    ("field", "more"),
    [
        ("issuer", {"issuer": ""}),
        ("issuer", {"issuer": "x" * 1_025}),
        ("issuer", {"issuer": "https://a.test/\n"}),
        ("audience", {"audience": ""}),
        ("audience", {"audience": " x"}),
        ("algorithms", {"algorithms": ()}),
        ("algorithms[1]", {"algorithms": ("ES256", "none")}),
        ("algorithms[0]", {"algorithms": ("HS256",)}),
        ("algorithms[0]", {"algorithms": ("ES265",)}),
        ("clockSkewSeconds", {"clock_skew_s": -1}),
        ("clockSkewSeconds", {"clock_skew_s": 301}),
        ("userClaim", {"user_claim": ""}),
        ("userClaim", {"user_claim": "aud"}),
        ("tenantClaim", {"tenant_claim": "exp"}),
        ("tenantClaim", {"tenant_claim": "sub"}),
        ("jwksUri", {"jwks_uri": None}),
        ("jwksUri", {"jwks": {"keys": []}}),
        ("jwks", {"jwks_uri": None, "jwks": {}}),
    ],
)
def test_a_wrong_field_is_named(services, empty, field, more):
    assert list(fields(services, empty, **more)) == [field]
    assert ids(services.issuers.list(empty)) == []


def test_a_misspelt_algorithm_is_answered_with_the_nearest(services, empty):
    found = fields(services, empty, algorithms=("ES265",))
    assert "`ES256`" in found["algorithms[0]"][0]


def weak_rsa():
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", SecurityWarning)
        return dict(RSAKey.generate_key(1024).as_dict(private=False))


def long_exponent():
    return {**Signer("RS256").public, "e": "AQAAAAAB"}


@pytest.mark.parametrize(
    ("path", "bad"),
    [
        ("keys[1]", lambda: dict(OctKey.generate_key(256).as_dict(private=True))),
        ("keys[1]", lambda: {"kty": "oct"}),
        ("keys[1]", lambda: dict(Signer("ES256").key.as_dict(private=True))),
        ("keys[1]", lambda: dict(Signer("RS256").key.as_dict(private=True))),
        ("keys[1]", lambda: dict(OKPKey.generate_key("X25519").as_dict(private=True))),
        ("keys[1]", lambda: {"kty": "AKP", "priv": "AAAA"}),
        ("keys[1].n", weak_rsa),
        ("keys[1].e", long_exponent),
        ("keys[1].n", lambda: {"kty": "RSA", "e": "AQAB"}),
        ("keys[1].n", lambda: {"kty": "RSA", "e": "AQAB", "n": 7}),
        ("keys[1]", lambda: {"kty": "RSA", "e": "AQAB", "n": "!"}),
        ("keys[1]", lambda: {**Signer("ES256").public, "x": "AAAA"}),  # not on the curve
        ("keys[1]", lambda: {**Signer("EdDSA").public, "x": "AAAA"}),
        ("keys[1].kid", lambda: {**Signer("EdDSA").public, "kid": 7}),
        ("keys[1].kid", lambda: {**Signer("EdDSA").public, "kid": "k" * 257}),
        ("keys[1]", lambda: 7),
        ("keys[1]", dict),
        ("keys[1]", lambda: {"kty": ["RSA"]}),
    ],
)
def test_a_key_that_must_not_be_there_spoils_the_set(services, empty, path, bad):
    jwks = {"keys": [Signer().public, bad()]}
    with pytest.raises(KeySetError) as caught:
        read_keys(jwks)
    assert caught.value.path == path
    assert list(fields(services, empty, jwks_uri=None, jwks=jwks)) == [f"jwks.{path}"]


@pytest.mark.parametrize(
    "other",
    [
        lambda: {**Signer("RS256").public, "use": "enc"},
        lambda: {**Signer("RS256").public, "alg": "RSA-OAEP"},
        lambda: {**Signer("RS256").public, "key_ops": ["encrypt"]},
        lambda: {"kty": "AKP", "alg": "ML-DSA-44", "pub": "AAAA"},
        lambda: dict(OKPKey.generate_key("X25519").as_dict(private=False)),
        lambda: dict(ECKey.generate_key("secp256k1").as_dict(private=False)),
        lambda: {"kty": "EC", "crv": ["P-256"]},
    ],
)
def test_keys_for_other_purposes_are_passed_over(other):
    assert len(read_keys({"keys": [other(), Signer().public]}).keys) == 1
    with pytest.raises(KeySetError) as caught:
        read_keys({"keys": [other()]})
    assert caught.value.path == "keys"


def test_of_a_key_only_what_makes_it_one_is_kept(services, empty):
    jwk = {**Signer().public, "x5c": ["AAAA"], "note": "x", "use": "sig", "key_ops": ["verify"]}
    stored = put(services, empty, jwks_uri=None, jwks={"keys": [jwk], "more": 1}).issuer.jwks
    assert stored == {"keys": [{**Signer().public, "use": "sig"}]}


def test_a_set_has_a_bounded_number_of_keys():
    jwk = Signer().public
    assert len(read_keys({"keys": [jwk] * KEYS_MAX}).keys) == KEYS_MAX
    with pytest.raises(KeySetError):
        read_keys({"keys": [jwk] * (KEYS_MAX + 1)})


def test_keys_are_chosen_by_id_and_kind():
    elliptic, rsa, edwards = Signer("ES256"), Signer("RS256"), Signer("EdDSA", key_id="k1")
    keys = read_keys(key_set(elliptic, rsa, edwards))
    assert keys.fitting("ES256", "k0").kid == "k0"
    assert keys.fitting("RS256", "k0").key_type == "RSA"
    assert keys.fitting("PS512", None).key_type == "RSA"
    assert keys.fitting("EdDSA", None).kid == "k1"
    assert keys.fitting("EdDSA", "k0") is None
    assert keys.fitting("ES384", "k0") is None
    assert keys.fitting("HS256", None) is None
    assert keys.fitting("none", None) is None
    assert read_keys(key_set(elliptic, elliptic)).fitting("ES256", "k0") is None


# RFC 7515 appendix A.3 and RFC 8037 appendix A.4: keys and signatures of somebody else's making.
VECTORS = [
    (
        "ES256",
        {
            "kty": "EC",
            "crv": "P-256",
            "x": "f83OJ3D2xF1Bg8vub9tLe1gHMzV76e8Tus9uPHvRVEU",
            "y": "x_FEzRu9m36HLN_tue659LNpXW6pCyStikYjKIWI5a0",
        },
        (
            "eyJhbGciOiJFUzI1NiJ9."
            "eyJpc3MiOiJqb2UiLA0KICJleHAiOjEzMDA4MTkzODAsDQogImh0dHA6Ly9leGFt"
            "cGxlLmNvbS9pc19yb290Ijp0cnVlfQ."
            "DtEhU3ljbEg8L38VWAfUAqOyKAM6-Xx-F4GawxaepmXFCgfTjDxw5djxLa8ISlSA"
            "pmWQxfKTUJqPP3-Kg6NU1Q"
        ),
    ),
    (
        "EdDSA",
        {"kty": "OKP", "crv": "Ed25519", "x": "11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"},
        (
            "eyJhbGciOiJFZERTQSJ9."
            "RXhhbXBsZSBvZiBFZDI1NTE5IHNpZ25pbmc."
            "hgyY0il_MGCjP0JzlnLWG1PPOt7-09PGcvMg3AIbQR6dWbhijcNR4ki4iylGjg5B"
            "hVsPt9g7sVvpAr_MuM0KAg"
        ),
    ),
]


@pytest.mark.parametrize(("algorithm", "jwk", "text"), VECTORS)
def test_signatures_of_the_standards_are_verified(algorithm, jwk, text):
    head, body, signature = text.split(".")
    key = read_keys({"keys": [jwk]}).fitting(algorithm, None)

    def signed(given: str) -> CompactSignature:
        made = CompactSignature({"alg": algorithm}, decoded(body))
        made.segments.update(
            {"header": head.encode(), "payload": body.encode(), "signature": given.encode()}
        )
        return made

    assert verifies(key, signed(signature))
    assert not verifies(key, signed("A" + signature[1:]))
    assert not verifies(key, signed(""))

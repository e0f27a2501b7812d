"""Bearer tokens over HTTP: issuers on sockets, right and wrong tokens, what a user may ask."""

from __future__ import annotations

import gzip
import hashlib
import hmac
import json
import socket
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import pytest

from tests.api.client import FACTS, A, Client, fact
from tests.api.issuers import bearer, issuing
from tests.api.servers import new_application, serving
from tests.token_makers import AUDIENCE, Signer, claims, encoded
from zeratul.domain.limits import Limits

CHECK = {"resource": "document", "resourceId": "d1", "action": "read"}
OWN = {"userId": "ann", **CHECK}


@pytest.fixture(scope="module")
def quick(tmp_path_factory):
    """A server that asks issuers as often as it likes."""
    limits = Limits(issuer_keys_cooldown_s=0)
    with serving(tmp_path_factory.mktemp("tokens") / "data", limits=limits) as client:
        yield client


@pytest.fixture
def issuer():
    with issuing("https://login.test/") as found:
        yield found


@pytest.fixture
def trusting(api, issuer):
    """An application that trusts the issuer; ann may read d1, bob may not."""
    issuer.trusted_by(api)
    api.post(FACTS, fact("document:d1#viewer@user:ann"))
    return api


def path(client, issuer_id="main"):
    app = client.headers["X-Zeratul-Application"]
    return f"/api/v1/applications/{app}/issuers/{issuer_id}"


def refused(client, token):
    """The reason a token is refused for."""
    answer = client.post(f"{A}/check", OWN, **bearer(token))
    assert (answer.status, answer.json["code"]) == (401, "invalid_token"), answer.body
    assert answer.headers["WWW-Authenticate"] == 'Bearer realm="zeratul", error="invalid_token"'
    for part in token.split("."):
        assert len(part) < 8 or part not in answer.body.decode()
    return answer.json["reason"]


def test_a_token_without_a_key_is_nobody(trusting, issuer):
    stranger = Client(trusting.port, None, trusting.headers)
    for call in (
        stranger.post(f"{A}/check", OWN, **bearer(issuer.token())),
        replace(stranger, key="wrong").post(f"{A}/check", OWN, **bearer(issuer.token())),
    ):
        assert (call.status, call.json["code"]) == (401, "unauthenticated")
    assert issuer.asked == 0


def test_a_user_asks_about_itself(trusting, issuer):
    for body, allowed in ((OWN, True), (CHECK, True), ({"subject": "user:ann", **CHECK}, True)):
        answer = trusting.post(f"{A}/check", body, **bearer(issuer.token()))
        assert answer.status == 200, answer.body
        assert answer.json["allowed"] is allowed
    answer = trusting.post(f"{A}/check", CHECK, **bearer(issuer.token(sub="bob")))
    assert answer.json["allowed"] is False
    assert issuer.asked == 1


def test_a_user_asks_about_nobody_else(trusting, issuer):
    who = bearer(issuer.token())
    for other in ({"userId": "bob"}, {"subject": "user:*"}, {"subject": "group:eng#member"}):
        for part in ("check", "explain"):
            answer = trusting.post(f"{A}/{part}", {**CHECK, **other}, **who)
            assert (answer.status, answer.json["code"]) == (403, "user_scope"), (part, other)
            assert "ann" not in answer.body.decode()
        query = {"subject": f"user:{other['userId']}"} if "userId" in other else other
        listed = trusting.call(
            "GET", f"{A}/what-can", resource="document", action="read", **query, **who
        )
        assert (listed.status, listed.json["code"]) == (403, "user_scope"), other
        # Items of a bulk call fail alone.
        for body in ({**other, "checks": [CHECK]}, {"checks": [{**CHECK, **other}, CHECK]}):
            bulk = trusting.post(f"{A}/check/bulk", body, **who)
            first, *rest = bulk.json["results"]
            assert first["error"]["code"] == "user_scope", other
            assert "allowed" not in first
            assert [each["allowed"] for each in rest] == [True] * len(rest)


def test_a_user_may_ask_why_and_what_for_itself(trusting, issuer):
    who = bearer(issuer.token())
    for body in (OWN, CHECK):
        assert trusting.post(f"{A}/explain", body, **who).json["allowed"] is True
    for query in ({}, {"userId": "ann"}):
        rows = trusting.call(
            "GET", f"{A}/what-can", resource="document", action="read", **query, **who
        )
        assert [row["resourceId"] for row in rows.json["data"]] == ["d1"]
    for body in ({"checks": [OWN]}, {"userId": "ann", "checks": [CHECK]}, {"checks": [CHECK]}):
        answer = trusting.post(f"{A}/check/bulk", body, **who)
        assert answer.status == 200, answer.body
        assert [each["allowed"] for each in answer.json["results"]] == [True]


def test_both_must_allow(trusting, issuer):
    made = trusting.post("/api/v1/api-keys", {"name": "n", "permissions": ["model:read"]}).json
    weak = Client(trusting.port, made["secret"])
    answer = weak.post(f"{A}/check", OWN, **bearer(issuer.token(permissions=["*"])))
    assert (answer.status, answer.json["permission"]) == (403, "checks:create")
    app = trusting.headers["X-Zeratul-Application"]
    model = weak.call("GET", f"/api/v1/applications/{app}/model", **bearer(issuer.token()))
    assert (model.status, model.json["permission"]) == (403, "model:read")


def test_every_class_of_wrong_token_is_told_apart(trusting, issuer):
    forger = Signer(number=1)
    now_s = claims(0)["exp"]  # long ago
    for token, reason in (
        (issuer.token(exp=now_s), "expired"),
        (issuer.token(nbf=4_000_000_000), "not_yet_valid"),
        (issuer.token(aud="https://other.test"), "wrong_audience"),
        (issuer.token(iss="https://evil.test/"), "untrusted_issuer"),
        (issuer.token(signer=forger), "bad_signature"),
        (issuer.token(signer=Signer(key_id="other")), "unknown_key"),
        (issuer.token(sub=None), "invalid_claim"),
        (issuer.token(signer=Signer("RS256")), "unknown_key"),
        ("nonsense", "malformed"),
    ):
        assert refused(trusting, token) == reason


def test_no_algorithm_and_a_public_key_as_secret_are_refused(api):
    with issuing("https://login.test/", Signer("RS256")) as issuer:
        issuer.trusted_by(api)
        _, body, _ = issuer.token().split(".")
        assert refused(api, f"{encoded({'alg': 'none'})}.{body}.") == "algorithm_not_allowed"
        text = f"{encoded({'alg': 'HS256', 'kid': 'k0'})}.{body}"
        for secret in (issuer.signer.key.as_pem(private=False), issuer.body):
            digest = hmac.new(secret, text.encode(), hashlib.sha256).digest()
            assert refused(api, f"{text}.{encoded(digest)}") == "algorithm_not_allowed"
        assert api.post(f"{A}/check", OWN, **bearer(issuer.token())).status == 200


@pytest.mark.parametrize(
    "value",
    [
        "Bearer",
        "Bearer ",
        "bearer  ",
        "Token abc",
        "Digest x",
        "",
        " ",
        "Bearera.b.c",
        "Bearer\ta",
    ],
)
def test_a_header_nobody_understands_is_not_overlooked(trusting, value):
    answer = trusting.post(f"{A}/check", OWN, headers={"Authorization": value})
    assert (answer.status, answer.json["code"]) == (401, "invalid_token")


def test_the_scheme_has_no_case_and_basic_says_nothing_beside_a_key(trusting, issuer):
    for scheme in ("bearer", "BEARER"):
        header = {"Authorization": f"{scheme}  {issuer.token()}"}
        answer = trusting.post(f"{A}/check", {**CHECK, "userId": "bob"}, headers=header)
        assert answer.json["code"] == "user_scope"
    basic = {"Authorization": "Basic eDp5"}
    assert trusting.post(f"{A}/check", OWN, headers=basic).status == 200


def test_a_second_header_is_not_overlooked(trusting, issuer):
    lines = [
        f"POST {A}/check HTTP/1.1",
        "Host: x",
        f"X-API-Key: {trusting.key}",
        f"X-Zeratul-Application: {trusting.headers['X-Zeratul-Application']}",
        "Authorization: Basic eDp5",
        f"Authorization: Bearer {issuer.token()}",
        "Content-Type: application/json",
        "Content-Length: 2",
        "Connection: close",
        "",
        "{}",
    ]
    with socket.create_connection(("127.0.0.1", trusting.port)) as connection:
        connection.sendall("\r\n".join(lines).encode())
        answer = connection.makefile("rb").read()
    assert answer.startswith((b"HTTP/1.1 401", b"HTTP/1.1 400"))
    assert b"allowed" not in answer


def test_pages_are_not_for_users(trusting, issuer):
    for page in ("/metrics", "/openapi.json", "/docs"):
        assert trusting.get(page).status == 200
        answer = trusting.call("GET", page, **bearer(issuer.token()))
        assert (answer.status, answer.json["code"]) == (403, "user_scope")
        assert trusting.call("GET", page, **bearer("nonsense")).status == 401
        assert Client(trusting.port, None).call("GET", page, **bearer("x")).status == 401
    # What needs no key looks at no token.
    assert trusting.call("GET", "/healthz", **bearer("nonsense")).status == 200


def test_an_issuer_of_another_application_is_not_trusted(root, trusting, issuer):
    other = new_application(root)
    assert refused(other, issuer.token()) == "untrusted_issuer"
    with issuing("https://login.test/", Signer(number=1)) as second:
        second.trusted_by(other)
        assert other.post(f"{A}/check", OWN, **bearer(second.token())).status == 200
        assert refused(other, issuer.token()) == "bad_signature"
        assert refused(trusting, second.token()) == "bad_signature"


def test_a_removed_issuer_is_not_trusted_from_the_next_call_on(trusting, issuer):
    token = issuer.token()
    assert trusting.post(f"{A}/check", OWN, **bearer(token)).status == 200
    gone = trusting.call("DELETE", path(trusting))
    assert (gone.status, gone.body) == (204, b"")
    assert gone.headers["X-Zeratul-Zookie"]
    assert refused(trusting, token) == "untrusted_issuer"


def test_an_issuer_is_put_read_and_listed(api, issuer):
    made = issuer.trusted_by(api, algorithms=["ES256"], clockSkewSeconds=5)
    assert made.status == 201
    shown = made.json
    assert (shown.pop("created"), bool(shown.pop("zookie"))) == (True, True)
    assert shown["jwksUri"] == issuer.uri
    assert shown["createdAt"].endswith("Z")
    got = api.get(path(api))
    assert (got.json, got.headers["ETag"]) == (shown, shown["etag"])
    assert made.headers["ETag"] == shown["etag"]
    assert api.get(path(api).removesuffix("/main")).json["data"] == [shown]
    lost = api.call("PUT", path(api), {}, headers={"If-Match": '"0"'})
    assert lost.status == 400
    body = {"issuer": issuer.name, "audience": AUDIENCE, "jwksUri": issuer.uri}
    lost = api.call("PUT", path(api), body, headers={"If-Match": '"0"'})
    assert (lost.status, lost.json["code"]) == (412, "precondition_failed")
    won = api.call("PUT", path(api), body, headers={"If-Match": shown["etag"]})
    assert (won.status, won.json["created"]) == (200, False)
    assert api.call("DELETE", path(api), headers={"If-Match": shown["etag"]}).status == 412
    # Nothing was fetched for all that.
    assert issuer.asked == 0


def test_a_wrong_issuer_is_refused_by_field(api):
    good = {"issuer": "https://a.test/", "audience": "x", "jwksUri": "https://a.test/jwks"}
    secret = {"kty": "oct", "k": "c2VjcmV0LXNlY3JldC1zZWNyZXQtc2VjcmV0"}
    for more, field in (
        ({"audience": None}, "audience"),
        ({"jwksUri": "http://a.test/jwks"}, "jwksUri"),
        ({"jwksUri": "ftp://a.test/jwks"}, "jwksUri"),
        ({"jwks": {"keys": []}}, "jwksUri"),
        ({"jwksUri": None, "jwks": {"keys": [secret]}}, "jwks.keys[0]"),
        ({"algorithms": ["HS256"]}, "algorithms[0]"),
        ({"algorithms": ["none"]}, "algorithms[0]"),
        ({"clockSkewSeconds": 301}, "clockSkewSeconds"),
        ({"userclaim": "uid"}, "userclaim"),
    ):
        answer = api.call("PUT", path(api), good | more)
        assert answer.status == 400, more
        assert list(answer.json["errors"]) == [field]
        assert secret["k"] not in answer.body.decode()
    without = {name: value for name, value in good.items() if name != "audience"}
    assert list(api.call("PUT", path(api), without).json["errors"]) == ["audience"]
    assert api.call("PUT", path(api, "a%20b"), good).status == 400
    assert api.get(path(api)).status == 404
    assert api.call("DELETE", path(api)).status == 404
    assert api.call("PUT", path(api), good).status == 201
    twice = api.call("PUT", path(api, "second"), good)
    assert (twice.status, twice.json["code"]) == (409, "already_exists")


def test_issuers_need_the_permission_for_keys(api):
    made = api.post("/api/v1/api-keys", {"name": "n", "permissions": ["keys:read"]}).json
    reader = Client(api.port, made["secret"], api.headers)
    assert reader.get(path(api).removesuffix("/main")).status == 200
    good = {"issuer": "https://a.test/", "audience": "x", "jwksUri": "https://a.test/jwks"}
    for answer in (reader.call("PUT", path(api), good), reader.call("DELETE", path(api))):
        assert (answer.status, answer.json["permission"]) == (403, "keys:write")
    elsewhere = new_application(api)
    assert reader.get(path(elsewhere)).status == 404


def test_a_tenant_claim_and_the_tenant_of_a_key(trusting, issuer):
    made = trusting.post(
        "/api/v1/api-keys", {"name": "t", "permissions": ["checks:create"], "tenantId": "acme"}
    )
    assert made.status == 201, made.body
    tenant = Client(trusting.port, made.json["secret"])
    for claim, status in ((None, 200), ("acme", 200), ("globex", 404)):
        answer = tenant.post(f"{A}/check", OWN, **bearer(issuer.token(tenant_id=claim)))
        assert answer.status == status, answer.body
    # A key of the whole application is narrowed to the token's tenant.
    who = bearer(issuer.token(tenant_id="acme"))
    for asked, status in ((None, 200), ("acme", 200), ("globex", 404)):
        body = OWN if asked is None else {**OWN, "tenantId": asked}
        assert trusting.post(f"{A}/check", body, **who).status == status, asked


def test_a_tenant_key_sets_no_issuers(trusting):
    made = trusting.post(
        "/api/v1/api-keys", {"name": "t", "permissions": ["keys:write"], "tenantId": "acme"}
    )
    tenant = Client(trusting.port, made.json["secret"])
    good = {"issuer": "https://a.test/", "audience": "x", "jwksUri": "https://a.test/jwks"}
    answer = tenant.call("PUT", path(trusting), good)
    assert (answer.status, answer.json["code"]) == (403, "tenant_scope")


def test_keys_are_rotated_without_a_refusal(quick, issuer):
    app = new_application(quick)
    issuer.trusted_by(app)
    old, new = issuer.signer, Signer(key_id="k1", number=1)
    assert app.post(f"{A}/check", OWN, **bearer(issuer.token())).status == 200
    issuer.publish(old, new)
    for signer in (new, old):
        token = issuer.token(signer=signer)
        assert app.post(f"{A}/check", OWN, **bearer(token)).status == 200
    assert issuer.asked == 2
    issuer.publish(new)
    assert app.post(f"{A}/check", OWN, **bearer(issuer.token(signer=new))).status == 200
    assert refused(app, issuer.token(signer=Signer(key_id="k2"))) == "unknown_key"
    # By then the old key is known to be gone; tokens it signed before are refused as well.
    assert refused(app, issuer.token(signer=old)) == "unknown_key"


def test_a_storm_of_invented_keys_is_one_request_to_the_issuer(trusting, issuer):
    assert trusting.post(f"{A}/check", OWN, **bearer(issuer.token())).status == 200

    def ask(n):
        return refused(trusting, issuer.token(signer=Signer(key_id=f"no-{n}")))

    with ThreadPoolExecutor(8) as threads:
        assert set(threads.map(ask, range(200))) == {"unknown_key"}
    # One with the first token; and one more only if the storm took longer than the pause.
    assert issuer.asked <= 2


def test_many_first_tokens_at_once_are_one_request_to_the_issuer(trusting, issuer):
    issuer.open.clear()

    def ask(n):
        return trusting.post(f"{A}/check", CHECK, **bearer(issuer.token(sub=f"u{n}"))).status

    with ThreadPoolExecutor(16) as threads:
        answers = [threads.submit(ask, n) for n in range(16)]
        # Others are answered meanwhile.
        assert trusting.post(f"{A}/check", OWN).status == 200
        issuer.open.set()
        assert {each.result() for each in answers} == {200}
    assert issuer.asked == 1


def test_an_issuer_that_is_away_is_asked_again_later(quick):
    with issuing("https://login.test/") as issuer:
        app = new_application(quick)
        issuer.trusted_by(app)
        issuer.status = 500
        answer = app.post(f"{A}/check", OWN, **bearer(issuer.token()))
        assert (answer.status, answer.json["code"]) == (503, "issuer_unavailable")
        assert answer.headers["Retry-After"]
        assert str(issuer.port) not in answer.body.decode()
        # Without a token everything goes on.
        assert app.post(f"{A}/check", OWN).status == 200
        issuer.publish(issuer.signer)
        assert app.post(f"{A}/check", OWN, **bearer(issuer.token())).status == 200
    # It is gone altogether: what it published goes on, and only that.
    assert app.post(f"{A}/check", OWN, **bearer(issuer.token(fresh=True))).status == 200
    assert refused(app, issuer.token(signer=Signer(key_id="k1"))) == "unknown_key"


def test_answers_of_an_issuer_are_not_trusted(quick):
    with issuing("https://login.test/") as issuer:
        good = issuer.body
        for number, (status, headers, body) in enumerate(
            (
                (200, {}, b"not json"),
                (200, {}, b'{"keys": []}'),
                (200, {}, json.dumps({"keys": [{"kty": "oct", "k": "AAAA"}]}).encode()),
                (200, {}, good + b" " * 300_000),
                (200, {"Content-Encoding": "gzip"}, gzip.compress(good)),
                (204, {}, b""),
                (404, {}, good),
                (302, {"Location": "/jwks2.json"}, good),
                (307, {"Location": "file:///etc/passwd"}, good),
            )
        ):
            app = new_application(quick)
            issuer.trusted_by(app)
            issuer.status, issuer.headers, issuer.body = status, headers, body
            asked = issuer.asked
            answer = app.post(f"{A}/check", OWN, **bearer(issuer.token()))
            assert (answer.status, answer.json["code"]) == (503, "issuer_unavailable"), number
            assert issuer.asked == asked + 1, "a redirect was followed"


def test_a_user_holds_no_permission_on_any_route(trusting, issuer):
    """Every operation of the document, called as its examples say: refused before anything."""
    document = trusting.get("/openapi.json").json
    app = trusting.headers["X-Zeratul-Application"]
    own = {"check", "check/bulk", "check-bulk", "explain", "what-can", "permissions"}
    before, who = trusting.everything(), bearer(issuer.token())["headers"]
    for route, item in document["paths"].items():
        if not route.startswith("/api/") or route.removeprefix(f"{A}/") in own:
            continue
        for method, operation in item.items():
            path_, query = route.replace("{appId}", app), {}
            for parameter in operation["parameters"]:
                name = parameter.get("$ref", "").rpartition("/")[2]
                whole = document["components"]["parameters"][name] if name else parameter
                if whole["in"] == "path":
                    path_ = path_.replace(f"{{{whole['name']}}}", "x1")
                elif whole["name"] in ("resource", "action", "relation"):
                    query[whole["name"]] = {"resource": "document"}.get(whole["name"], "read")
                elif whole["name"] == "resourceId":
                    query["resourceId"] = "d1"
            content = operation.get("requestBody", {}).get("content", {})
            media = next(iter(content), None)
            raw = None
            if media is not None:
                example = content[media].get("example", {})
                raw = (
                    example.encode() if isinstance(example, str) else json.dumps(example).encode()
                )
            headers = who | ({"Content-Type": media} if media else {})
            answer = trusting.call(method.upper(), path_, raw=raw, headers=headers, **query)
            assert answer.status == 403, (method, path_, answer.status, answer.body[:300])
            assert answer.json["code"] in ("forbidden", "user_scope"), (method, path_)
    assert trusting.everything() == before

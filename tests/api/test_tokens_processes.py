"""Bearer tokens in whole servers: all workers and the heavy process judge alike, none tells."""

import pytest

from tests.api.client import FACTS, MODEL, A, fact
from tests.api.issuers import bearer, issuing

pytestmark = pytest.mark.slow

ISSUERS = "/api/v1/applications/default/issuers/main"
CHECK = {"resource": "document", "resourceId": "d1", "action": "read"}
LIST = f"{A}/what-can?resource=document&action=read"
# Calls, each on a connection of its own: with two workers, some of each.
CALLS = 20


@pytest.fixture
def issuer():
    with issuing("https://login.test/") as found:
        yield found


def statuses(client, token, path=f"{A}/check", body=CHECK):
    """What many connections answer, and how many processes that were."""
    method = "GET" if body is None else "POST"
    answers = [client.call(method, path, body, **bearer(token)) for _ in range(CALLS)]
    workers = {answer.headers["X-Request-Id"].partition("-")[0] for answer in answers}
    return {answer.status for answer in answers}, len(workers)


def test_every_process_follows_the_issuer_at_once(start, issuer):
    server = start("--workers", "2")
    client = server.client()
    client.call("PUT", "/api/v1/applications/default/model", MODEL)
    client.post(FACTS, fact("document:d1#viewer@user:ann"))
    token = issuer.token()
    assert statuses(client, token) == ({401}, 2)
    for _ in range(3):
        issuer.trusted_by(client)
        assert statuses(client, token) == ({200}, 2)
        assert statuses(client, token, LIST, None)[0] == {200}
        issuer.trusted_by(client, audience="https://other.test")
        assert statuses(client, token) == ({401}, 2)
        assert client.call("DELETE", ISSUERS).status == 204
        assert statuses(client, token) == ({401}, 2)
        assert statuses(client, token, LIST, None)[0] == {401}
    # Two workers and the heavy process, once for each version of the document they met.
    assert issuer.asked <= 3 * 6


def test_the_heavy_process_sees_the_same_user(start, issuer):
    client = start().client()
    client.call("PUT", "/api/v1/applications/default/model", MODEL)
    for who in ("ann", "bob"):
        client.post(FACTS, fact(f"document:{who}#viewer@user:{who}"))
    issuer.trusted_by(client)
    who = bearer(issuer.token())
    rows = client.call("GET", LIST, **who).json["data"]
    assert [row["resourceId"] for row in rows] == ["ann"]
    assert client.call("GET", f"{LIST}&userId=bob", **who).status == 403
    written = fact("document:x#viewer@user:x")
    heavy = {
        "who-can": client.call("GET", f"{A}/who-can", resource="document", resourceId="ann",
                               action="read", **who),
        "export": client.call("GET", f"{FACTS}/export", **who),
        "bulk": client.post(f"{FACTS}/bulk", {"writes": [written]}, **who),
    }  # fmt: skip
    for name, answer in heavy.items():
        assert (answer.status, answer.json["code"]) == (403, "forbidden"), name
    explained = client.post(f"{A}/explain", {**CHECK, "resourceId": "bob"}, **who)
    assert (explained.status, explained.json["allowed"]) == (200, False)


def test_nothing_of_a_token_is_logged(start, issuer):
    server = start("--access-log")
    client = server.client()
    issuer.trusted_by(client)
    tokens = [
        issuer.token(),
        issuer.token(sub="somebody-secret", exp=1),
        issuer.token(tenant_id="tenant-secret"),
        issuer.token(aud="audience-secret"),
    ]
    issuer.status, answered = 500, issuer.body
    client.post(f"{A}/check", CHECK, **bearer(tokens[0]))
    issuer.status, issuer.body = 200, answered
    for token in tokens:
        client.post(f"{A}/check", CHECK, **bearer(token))
        client.call("GET", LIST, **bearer(token))
    assert server.stop() == 0
    log = server.log.read_text()
    assert server.events("no keys of an issuer")
    for secret in (
        *(part for token in tokens for part in token.split(".")),
        *("somebody-secret", "tenant-secret", "audience-secret", client.key),
    ):
        assert secret not in log

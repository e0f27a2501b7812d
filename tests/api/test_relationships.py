"""Relationships over HTTP: write, delete, bulk, both views, retries."""

import pytest

from tests.api.client import FACTS, A, fact

GOOD = fact("document:d1#viewer@user:u1")


def test_a_relationship_is_new_once_and_then_there(api):
    first = api.post(
        FACTS, {"userId": "u1", "resource": "document", "resourceId": "d1", "relation": "viewer"}
    )
    again = api.post(FACTS, GOOD)
    assert (first.status, again.status) == (201, 200)
    assert first.json["created"] is True
    assert again.json["created"] is False
    assert again.json["createdAt"] == first.json["createdAt"]
    for answer in (first, again):
        assert answer.json["userId"] == "u1"
        assert answer.json["subject"] == "user:u1"
        assert answer.json["zookie"]
    assert api.check("user:u1", "document:d1", "read")


def test_the_same_relationship_twice_in_one_call_is_a_success(api):
    answer = api.post(f"{FACTS}/bulk", {"writes": [GOOD, GOOD]})
    assert answer.status == 200
    assert (answer.json["created"], answer.json["existing"]) == (1, 1)


def test_ids_are_compared_byte_for_byte(api):
    for text in ("document:A#viewer@user:u", "document:a#viewer@user:v"):
        assert api.post(FACTS, fact(text)).status == 201
    assert api.check("user:u", "document:A", "read")
    assert not api.check("user:u", "document:a", "read")
    assert api.post(FACTS, fact("document:x/#viewer@user:u")).status == 201
    assert not api.check("user:u", "document:x", "read")


def test_cycles_of_groups_are_harmless(api):
    ring = [f"group:g{n}#member@group:g{(n + 1) % 5}#member" for n in range(5)]
    writes = [
        fact(text)
        for text in (*ring, "group:g3#member@user:u", "document:d#viewer@group:g0#member")
    ]
    assert api.post(f"{FACTS}/bulk", {"writes": writes}).status == 200
    assert api.check("user:u", "document:d", "read")
    assert not api.check("user:v", "document:d", "read")


def test_chains_of_5_000_groups_are_no_special_case(api):
    depth = 5_000
    chain = [f"group:g{n}#member@group:g{n + 1}#member" for n in range(depth - 1)]
    for part in (
        chain,
        [f"group:g{depth - 1}#member@user:deep", "document:d#viewer@group:g0#member"],
    ):
        answer = api.post(
            f"{FACTS}/bulk?results=errors", {"writes": [fact(text) for text in part]}
        )
        assert answer.status == 200, answer.body
    assert api.check("user:deep", "document:d", "read")
    assert not api.check("user:else", "document:d", "read")
    why = api.post(
        f"{A}/explain", {"userId": "deep", "permission": "document:read", "resourceId": "d"}
    )
    assert why.status == 200, why.body
    assert why.json["allowed"] is True
    assert len(why.json["proof"]) == depth + 1


def test_an_expiry_is_shown_and_replaced_by_writing_again(api):
    first = api.post(FACTS, GOOD | {"expiresAt": "2090-01-01T00:00:00+01:00"})
    assert first.json["expiresAt"] == "2089-12-31T23:00:00.000Z"
    bulk = api.post(
        f"{FACTS}/bulk", {"writes": [GOOD | {"expiresAt": "2091-01-01T00:00:00Z"}]}
    ).json
    assert (bulk["existing"], bulk["replaced"]) == (1, 1)
    assert api.get(FACTS, userId="u1").json["data"][0]["expiresAt"] == "2091-01-01T00:00:00.000Z"


def test_deleting_counts_and_absent_is_no_error(api):
    api.post(FACTS, GOOD)
    counted = api.call("DELETE", f"{FACTS}?dryRun=true", GOOD)
    assert (counted.json["deleted"], counted.json["dryRun"]) == (1, True)
    assert api.check("user:u1", "document:d1", "read")
    assert api.call("DELETE", FACTS, GOOD).json["deleted"] == 1
    assert api.call("DELETE", FACTS, GOOD).json["deleted"] == 0
    assert not api.check("user:u1", "document:d1", "read")


@pytest.mark.parametrize(
    ("wanted", "left"),
    [
        ({"userId": "u1"}, ["document:a#viewer@user:u2", "folder:a#viewer@user:u2"]),
        ({"subject": "user:u1", "resource": "document"}, 3),
        ({"userId": "u1", "resource": "document", "relation": "owner"}, 4),
        ({"resource": "document", "resourceId": "a"}, 2),
        ({"resource": "document", "resourceId": "a", "relation": "viewer"}, 3),
    ],
    ids=str,
)
def test_deleting_by_filter(api, wanted, left):
    texts = ["document:a#viewer@user:u1", "document:a#viewer@user:u2", "document:a#owner@user:u1",
             "folder:a#viewer@user:u1", "folder:a#viewer@user:u2"]  # fmt: skip
    api.post(f"{FACTS}/bulk", {"writes": [fact(text) for text in texts]})
    before = api.everything()
    counted = api.call("DELETE", f"{FACTS}?dryRun=true", wanted).json
    assert api.everything() == before
    done = api.call("DELETE", FACTS, wanted).json
    assert (
        done["deleted"]
        == counted["deleted"]
        == len(texts) - (left if isinstance(left, int) else len(left))
    )
    assert done["complete"] is True
    assert len(api.everything()) == len(texts) - done["deleted"]


def test_a_bulk_call_goes_on_past_errors_when_asked(api):
    writes = [GOOD, GOOD | {"relation": "x"}, fact("document:d2#viewer@user:u1"), {"resource": 1}]
    answer = api.post(
        f"{FACTS}/bulk?onError=continue",
        {"writes": writes, "deletes": [fact("document:no#viewer@user:u")]},
    )
    assert answer.status == 200, answer.body
    found = answer.json
    assert (found["created"], found["existing"], found["deleted"], found["failed"]) == (2, 0, 0, 2)
    assert [(row["index"], row["status"]) for row in found["results"]] == [
        (0, "created"), (1, "failed"), (2, "created"), (3, "failed"), (0, "absent"),
    ]  # fmt: skip
    assert found["results"][1]["error"]["code"] == "unknown_name"
    assert found["results"][3]["error"]["code"] == "validation_failed"
    errors = api.post(f"{FACTS}/bulk?onError=continue&results=errors", {"writes": writes}).json
    assert [row["index"] for row in errors["results"]] == [1, 3]


def test_a_dry_run_says_what_would_happen_and_writes_nothing(api):
    api.post(FACTS, GOOD)
    before = api.everything()
    answer = api.post(
        f"{FACTS}/bulk?dryRun=true", {"writes": [GOOD, fact("document:d2#viewer@user:u1")]}
    ).json
    assert (answer["created"], answer["existing"], answer["dryRun"]) == (1, 1, True)
    assert api.everything() == before


def test_preconditions_hold_or_nothing_is_written(api):
    api.post(FACTS, GOOD)
    new = fact("document:d2#viewer@user:u1")
    for condition, status in (
        ({"mustExist": new}, 412),
        ({"mustNotExist": GOOD}, 412),
        ({"mustExist": GOOD}, 200),
        ({"mustNotExist": fact("document:d9#viewer@user:u1")}, 200),
    ):
        before = api.everything()
        answer = api.post(f"{FACTS}/bulk", {"writes": [new], "preconditions": [condition]})
        assert answer.status == status, answer.body
        if status == 412:
            assert answer.json["code"] == "precondition_failed"
            assert "document:d" in answer.json["detail"]
            assert api.everything() == before


def test_both_views_and_their_pages(api):
    writes = [fact(f"document:d{n}#viewer@user:u1") for n in range(7)]
    writes += [fact("document:d1#owner@user:u2"), fact("document:d1#viewer@group:g#member")]
    api.post(f"{FACTS}/bulk", {"writes": writes})
    on = api.get(FACTS, resource="document", resourceId="d1").json["data"]
    assert sorted(row["subject"] for row in on) == ["group:g#member", "user:u1", "user:u2"]
    assert all(row["createdAt"] for row in on)
    assert (
        len(api.get(FACTS, resource="document", resourceId="d1", relation="owner").json["data"])
        == 1
    )
    both = api.get(FACTS, resource="document", resourceId="d1", userId="u1").json["data"]
    assert [row["relation"] for row in both] == ["viewer"]
    assert api.get(FACTS, subject="group:g#member").json["data"][0]["resourceId"] == "d1"
    assert "userId" not in api.get(FACTS, subject="group:g#member").json["data"][0]

    seen, cursor = [], None
    while True:
        page = api.get(
            FACTS,
            userId="u1",
            resource="document",
            pageSize=3,
            **({"cursor": cursor} if cursor else {}),
        ).json
        assert page["pageSize"] == 3
        assert page["next"] == page["nextCursor"]
        seen += [row["resourceId"] for row in page["data"]]
        cursor = page["nextCursor"]
        # What is written between two pages is not in them.
        api.post(FACTS, fact(f"document:later{len(seen)}#viewer@user:u1"))
        if cursor is None:
            break
    assert sorted(seen) == [f"d{n}" for n in range(7)]


def test_a_retry_gets_the_first_answer(api):
    header = {"Idempotency-Key": "once"}
    first = api.post(FACTS, GOOD, headers=header)
    again = api.post(FACTS, GOOD, headers=header)
    assert (again.status, again.body) == (first.status, first.body) == (201, first.body)
    other = api.post(FACTS, GOOD | {"resourceId": "d2"}, headers=header)
    assert (other.status, other.json["code"]) == (409, "idempotency_key_reused")
    elsewhere = api.post(f"{FACTS}/bulk", {"writes": [GOOD]}, headers=header)
    assert elsewhere.status == 409
    assert api.post(FACTS, GOOD, headers={"Idempotency-Key": "x" * 256}).status == 400
    assert api.post(FACTS, GOOD, headers={"Idempotency-Key": ""}).status == 400


def test_retries_of_bulk_calls_applications_and_keys(api, root):
    calls = [
        (api, f"{FACTS}/bulk", {"writes": [GOOD]}),
        (api, "/api/v1/api-keys", {"name": "backend"}),
        (root, "/api/v1/applications", {"name": f"retried {api.headers}"}),
    ]
    for client, path, body in calls:
        header = {"Idempotency-Key": f"key of {path}"}
        first, again = (client.post(path, body, headers=header) for _ in range(2))
        assert again.body == first.body
        assert again.status == first.status
        assert client.post(path, body | {"unknown": 1}, headers=header).status in (400, 409)


def _forty(**more: object) -> list[dict[str, object]]:
    """Enough to be taken as columns: users by id and as subjects, a group, one that expires."""
    writes = [
        {"userId": f"u{n}", "resource": "document", "resourceId": "many", "relation": "viewer"}
        for n in range(20)
    ]
    writes += [fact(f"document:many{n}#viewer@user:u{n}") for n in range(18)]
    writes.append(fact("document:many#viewer@group:g#member"))
    return [*writes, fact("document:many#viewer@user:late", **more)]


def test_many_writes_in_one_call_come_to_the_same_as_each_alone(api):
    writes = _forty(expiresAt="2999-01-01T00:00:00Z")
    dry = api.post(f"{FACTS}/bulk?dryRun=true", {"writes": writes})
    first = api.post(f"{FACTS}/bulk", {"writes": writes})
    again = api.post(f"{FACTS}/bulk", {"writes": writes})
    assert (dry.json["created"], first.json["created"]) == (40, 40)
    assert (again.json["created"], again.json["existing"], again.json["replaced"]) == (0, 40, 0)
    changed = api.post(f"{FACTS}/bulk", {"writes": _forty(expiresAt="2999-01-02T00:00:00Z")})
    assert (changed.json["existing"], changed.json["replaced"]) == (40, 1)
    for write in writes:
        assert api.post(FACTS, write).json["created"] is False
    assert api.check("user:u3", "document:many3", "read")
    assert api.check("user:late", "document:many", "read")


def test_a_bad_write_among_many_is_named_and_stops_all_or_only_itself(api):
    writes = [*_forty(), fact("document:bad#viewer@nobody:u")]
    refused = api.post(f"{FACTS}/bulk", {"writes": writes})
    assert refused.status == 400
    assert "writes[40].subject" in str(refused.json)
    answer = api.post(f"{FACTS}/bulk?onError=continue&results=errors", {"writes": writes})
    assert (answer.json["created"], answer.json["failed"]) == (40, 1)
    assert [40] == [item["index"] for item in answer.json["results"]]

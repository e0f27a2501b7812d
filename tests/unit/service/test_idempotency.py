"""The same key and request are answered like the first time, by any services on the store."""

from __future__ import annotations

from dataclasses import replace

import pytest

from tests.builders import rel, rels
from tests.unit.service.conftest import MODEL, held_writer
from tests.unit.service.test_models import SMALLER
from zeratul.errors import IdempotencyError, LimitError, MalformedError, ValidationError
from zeratul.service.ground.idempotency import Idempotent, Replay

ANN = rel("document:a#viewer@user:ann")


def once(key="k1", fingerprint=b"POST /x {}"):
    return Idempotent(key, fingerprint, lambda answer: (201, repr(answer).encode()))


def test_a_repeated_write_gets_the_first_answer_and_changes_nothing(services, caller):
    first = services.relationships.write(caller, ANN, idempotency=once()).result()
    services.relationships.delete(caller, ANN).result()
    again = services.relationships.write(caller, ANN, idempotency=once()).result()
    assert Replay(201, repr(first).encode()) == again
    assert b"" == b"".join(services.transfers.export(caller))


def test_another_process_knows_the_first_answer(services, other, caller):
    first = services.relationships.write(caller, ANN, idempotency=once()).result()
    again = other.relationships.write(caller, ANN, idempotency=once()).result()
    assert Replay(201, repr(first).encode()) == again


def test_the_same_key_with_another_request_is_a_conflict(services, caller):
    services.relationships.write(caller, ANN, idempotency=once()).result()
    with pytest.raises(IdempotencyError):
        services.relationships.write(caller, ANN, idempotency=once(fingerprint=b"other"))


def test_two_at_once_are_one(services, caller):
    with held_writer(services.store):
        futures = [services.relationships.write(caller, ANN, idempotency=once()) for _ in range(2)]
        other = services.relationships.write(caller, ANN, idempotency=once(fingerprint=b"other"))
    first, second = (future.result() for future in futures)
    assert first.created
    assert Replay(201, repr(first).encode()) == second
    with pytest.raises(IdempotencyError):
        other.result()


def test_a_refused_request_is_not_remembered(services, caller):
    bad = ANN._replace(relation="viewr")
    with pytest.raises(ValidationError):
        services.relationships.bulk(caller, [bad], idempotency=once())
    assert 1 == services.relationships.bulk(caller, [ANN], idempotency=once()).result().created


def test_a_replay_does_not_ask_whether_the_request_would_be_valid_now(services, caller):
    writes = rels("document:a#owner@user:ann")
    first = services.relationships.bulk(caller, writes, idempotency=once()).result()
    services.models.put(caller, SMALLER, force=True).result()
    again = services.relationships.bulk(caller, writes, idempotency=once()).result()
    assert Replay(201, repr(first).encode()) == again


def test_it_is_forgotten_after_a_day(services, caller, clock):
    services.relationships.write(caller, ANN, idempotency=once()).result()
    clock.now_ms += services.limits.idempotency_ttl_s * 1_000
    again = services.relationships.write(caller, ANN, idempotency=once()).result()
    assert not again.created


def test_keys_of_other_callers_and_applications_are_other_keys(services, caller):
    services.relationships.write(caller, ANN, idempotency=once()).result()
    colleague = replace(caller, key_id="key_other")
    made = services.applications.create(caller, "Acme").result()
    elsewhere = services.applications.enter(caller, made.id)
    services.models.put(elsewhere, MODEL).result()
    for other, created in ((colleague, False), (elsewhere, True)):
        answer = services.relationships.write(
            other, ANN, idempotency=once(fingerprint=b"o")
        ).result()
        assert created == answer.created


def test_applications_and_keys_are_made_once(services, empty):
    first = services.applications.create(empty, "Acme", idempotency=once()).result()
    again = services.applications.create(empty, "Acme", idempotency=once()).result()
    assert Replay(201, repr(first).encode()) == again
    key = services.keys.create(empty, "ci", idempotency=once("k2")).result()
    same = services.keys.create(empty, "ci", idempotency=once("k2")).result()
    assert Replay(201, repr(key).encode()) == same
    assert 1 == len(services.keys.list(empty).rows)


def test_a_remembered_secret_cannot_be_read_from_the_store(services, empty, tmp_path):
    key = services.keys.create(empty, "ci", idempotency=once()).result()
    services.relationships.write(empty, rel("group:canary#member@user:u")).result()
    data = (tmp_path / "data" / "data.mdb").read_bytes()
    assert b"canary" in data
    assert key.secret.encode() not in data
    assert key.secret.split("_", 2)[2].encode() not in data


def test_a_bad_key_is_refused(services, caller):
    with pytest.raises(MalformedError):
        services.relationships.write(caller, ANN, idempotency=once(""))
    with pytest.raises(LimitError):
        services.relationships.write(caller, ANN, idempotency=once("k" * 256))

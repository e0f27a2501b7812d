"""A rotated key has a new secret; the old one ends at once, or when its grace is over."""

from __future__ import annotations

import pytest

from tests.builders import question
from tests.unit.service.conftest import held_writer
from zeratul.domain.limits import Limits
from zeratul.errors import (
    ConflictError,
    ForbiddenError,
    InputError,
    LimitError,
    NotFoundError,
    StrongerKeyError,
    UnauthenticatedError,
)
from zeratul.service.ground.directory import KEY_KIND, SERVER
from zeratul.service.ground.idempotency import Idempotent, Replay

ASKED = question("group:eng#member@user:ann")


def rotated(services, caller, made, grace_s=0):
    return services.keys.rotate(caller, made.key.id, grace_s).result()


def test_the_old_secret_ends_at_once(services, empty):
    made = services.keys.create(empty, "ci", ["checks:create"]).result()
    before = services.keys.authenticate(made.secret)
    fresh = rotated(services, empty, made)
    assert fresh.secret != made.secret
    assert (made.key.id, ("checks:create",)) == (fresh.key.id, fresh.key.permissions)
    assert fresh.key.last_four == fresh.secret[-4:]
    assert services.now_ms() == fresh.key.rotated_at_ms
    assert None is fresh.key.old_secret_until_ms
    assert not services.access.check(services.keys.authenticate(fresh.secret), ASKED).allowed
    for call in (
        lambda: services.keys.authenticate(made.secret),
        lambda: services.access.check(before, ASKED),  # authenticated before, answered after
    ):
        with pytest.raises(UnauthenticatedError):
            call()


def test_the_old_secret_goes_on_for_its_grace(services, empty, clock):
    made = services.keys.create(empty, "ci").result()
    before = services.keys.authenticate(made.secret)
    fresh = rotated(services, empty, made, 60)
    until_ms = clock.now_ms + 60_000
    assert until_ms == fresh.key.old_secret_until_ms
    for caller in (
        before,
        services.keys.authenticate(made.secret),
        services.keys.authenticate(fresh.secret),
    ):
        assert not services.access.check(caller, ASKED).allowed
        assert made.key.id == caller.key_id
    clock.now_ms = until_ms
    for deferred in (True, False):
        with pytest.raises(UnauthenticatedError):
            services.keys.authenticate(made.secret, deferred=deferred)
    assert services.keys.authenticate(fresh.secret).key_id == made.key.id
    assert None is services.keys.get(empty, made.key.id).old_secret_until_ms


def test_only_one_old_secret_goes_on(services, empty):
    made = services.keys.create(empty, "ci").result()
    second = rotated(services, empty, made, 60)
    third = rotated(services, empty, made, 60)
    with pytest.raises(UnauthenticatedError):
        services.keys.authenticate(made.secret)
    for secret in (second.secret, third.secret):
        assert made.key.id == services.keys.authenticate(secret).key_id


def test_a_grace_outlasts_no_key(services, empty, clock):
    made = services.keys.create(empty, "ci", expires_at_ms=clock.now_ms + 10_000).result()
    rotated(services, empty, made, 60)
    clock.now_ms += 10_000
    with pytest.raises(UnauthenticatedError):
        services.keys.authenticate(made.secret)


def test_who_holds_only_the_old_secret_cannot_make_it_last(services, empty):
    made = services.keys.create(empty, "ci").result()
    rotated(services, empty, made, 60)
    old = services.keys.authenticate(made.secret)
    with pytest.raises(StrongerKeyError):
        services.keys.rotate(old, made.key.id)
    with pytest.raises(StrongerKeyError):
        services.keys.create(old, "n", expires_at_ms=services.now_ms() + 60_001)
    ends = services.keys.create(old, "n").result().key.expires_at_ms
    assert services.now_ms() + 60_000 == ends


def test_a_key_rotates_itself_and_no_stronger_one(services, empty, clock):
    weak = services.keys.create(empty, "weak", ["keys:write", "checks:create"]).result()
    strong = services.keys.create(empty, "strong", ["keys:write", "model:read"]).result()
    brief = services.keys.create(
        empty, "brief", ["keys:write"], expires_at_ms=clock.now_ms + 1_000
    ).result()
    caller = services.keys.authenticate(weak.secret)
    with pytest.raises(ForbiddenError) as caught:
        services.keys.rotate(caller, strong.key.id)
    assert "model:read" == caught.value.permission
    with pytest.raises(ForbiddenError):
        services.keys.rotate(services.keys.authenticate(brief.secret), weak.key.id)
    itself = services.keys.rotate(caller, weak.key.id).result()
    assert weak.key.id == services.keys.authenticate(itself.secret).key_id
    again = services.keys.rotate(services.keys.authenticate(brief.secret), brief.key.id).result()
    assert brief.key.expires_at_ms == again.key.expires_at_ms


def test_a_key_that_outlives_the_caller_is_not_rotated(services, empty, clock):
    brief = services.keys.create(empty, "brief", expires_at_ms=clock.now_ms + 1_000).result()
    lasting = services.keys.create(empty, "lasting").result()
    with pytest.raises(StrongerKeyError):
        services.keys.rotate(services.keys.authenticate(brief.secret), lasting.key.id)
    assert lasting.key.id == services.keys.authenticate(lasting.secret).key_id


def test_what_cannot_be_rotated_is_told(services, empty, clock):
    services.keys.ensure_root()
    made = services.keys.create(empty, "ci", expires_at_ms=clock.now_ms + 1_000).result()
    other = services.applications.create(empty, "Acme").result()
    inside = services.applications.enter(empty, other.id)
    for caller, key_id in (
        (empty, "key_nope"),
        (empty, "root"),
        (empty, "\udcff"),
        (inside, made.key.id),
    ):
        with pytest.raises(NotFoundError):
            services.keys.rotate(caller, key_id)
    with pytest.raises(InputError) as caught:
        services.keys.rotate(empty, made.key.id, -1)
    assert "graceSeconds" == caught.value.field
    with pytest.raises(LimitError) as limited:
        services.keys.rotate(empty, made.key.id, Limits().key_grace_s_max + 1)
    assert ("key_grace_s_max", "graceSeconds") == (limited.value.limit, limited.value.field)
    clock.now_ms += 1_000
    with pytest.raises(ConflictError):
        services.keys.rotate(empty, made.key.id)


def test_a_key_deleted_before_the_commit_is_not_brought_back(services, empty):
    made = services.keys.create(empty, "ci").result()
    with held_writer(services.store):
        deleted = services.keys.delete(empty, made.key.id)
        rotation = services.keys.rotate(empty, made.key.id)
    deleted.result()
    with pytest.raises(NotFoundError):
        rotation.result()
    with services.store.snapshot() as snapshot:
        assert [] == snapshot.documents(SERVER, KEY_KIND)


def test_a_key_taken_away_before_the_commit_hands_out_nothing(services, empty):
    made = services.keys.create(empty, "ci").result()
    other = services.keys.create(empty, "other").result()
    caller = services.keys.authenticate(made.secret)
    with held_writer(services.store):
        services.keys.delete(empty, made.key.id)
        late = [
            services.keys.create(caller, "late"),
            services.keys.rotate(caller, other.key.id),
        ]
    for each in late:
        with pytest.raises(UnauthenticatedError):
            each.result()
    assert ["other"] == [each.name for each in services.keys.list(empty).rows]
    assert other.key.id == services.keys.authenticate(other.secret).key_id


def test_a_repeated_rotation_is_answered_like_the_first_time(services, empty):
    made = services.keys.create(empty, "ci").result()
    once = Idempotent("k1", b"POST rotate", lambda answer: (200, answer.secret.encode()))
    first = services.keys.rotate(empty, made.key.id, idempotency=once).result()
    again = services.keys.rotate(empty, made.key.id, idempotency=once).result()
    assert Replay(200, first.secret.encode()) == again
    assert made.key.id == services.keys.authenticate(first.secret).key_id

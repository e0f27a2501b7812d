"""Keys are shown once, stored hashed, and refused by the next call after they are deleted."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from tests.builders import question
from zeratul.errors import (
    ForbiddenError,
    InputError,
    MalformedError,
    NotFoundError,
    UnauthenticatedError,
    UnknownNameError,
)
from zeratul.service.ground.directory import KEY_KIND, SERVER
from zeratul.service.services import Services
from zeratul.store.lmdb import open_store

ASKED = question("group:eng#member@user:ann")


def test_the_first_root_key_is_told_once_and_opens_every_application(services, empty):
    secret = services.keys.ensure_root()
    assert secret is not None
    assert services.keys.ensure_root() is None
    made = services.applications.create(empty, "Acme").result()
    root = services.keys.authenticate(secret)
    assert (True, "default", "root") == (root.is_root, root.application_id, root.key_id)
    assert made.number == services.keys.authenticate(secret, made.id).application
    with pytest.raises(NotFoundError):
        services.keys.authenticate(secret, "nope")


def test_a_given_root_key_replaces_the_stored_one(services):
    first = services.keys.ensure_root()
    assert services.keys.authenticate(first).is_root
    assert services.keys.ensure_root("chosen-by-the-operator") is None
    assert services.keys.authenticate("chosen-by-the-operator").is_root
    with pytest.raises(UnauthenticatedError):
        services.keys.authenticate(first)


@pytest.mark.parametrize("secret", ["", "two words", "tab\t", "é", "x" * 1_025])
def test_a_root_key_no_header_can_carry_is_refused(services, secret):
    with pytest.raises(MalformedError):
        services.keys.ensure_root(secret)


@pytest.mark.parametrize("secret", ["", "x", "zrt_root_x", "zrt_a_b", "\udcff", "x" * 100_000])
def test_a_wrong_secret_is_refused(services, secret):
    services.keys.ensure_root()
    with pytest.raises(UnauthenticatedError):
        services.keys.authenticate(secret)


def test_no_secret_is_stored(services, empty):
    root = services.keys.ensure_root()
    made = services.keys.create(empty, "ci").result()
    with services.store.snapshot() as snapshot:
        bodies = [body.decode() for _, body in snapshot.documents(SERVER, KEY_KIND)]
    assert 2 == len(bodies)
    for secret in (root, made.secret):
        assert not any(secret in body or secret.split("_", 2)[2] in body for body in bodies)


def test_a_key_acts_in_its_own_application_with_its_permissions(services, empty):
    made = services.keys.create(empty, "ci", ["checks:create"]).result()
    assert made.secret.startswith(made.key.prefix)
    assert made.secret.endswith(made.key.last_four)
    caller = services.keys.authenticate(made.secret, "default", "request-1")
    assert (False, "request-1") == (caller.is_root, caller.request_id)
    assert not services.access.check(caller, ASKED).allowed
    with pytest.raises(ForbiddenError) as caught:
        services.models.get(caller)
    assert "model:read" == caught.value.permission
    other = services.applications.create(empty, "Acme").result()
    with pytest.raises(NotFoundError):
        services.keys.authenticate(made.secret, other.id)


def test_a_key_cannot_make_a_stronger_one(services, empty):
    weak = services.keys.create(empty, "weak", ["keys:write", "checks:create"]).result()
    caller = services.keys.authenticate(weak.secret)
    assert ("checks:create", "keys:write") == services.keys.create(
        caller, "same"
    ).result().key.permissions
    for permission in ("model:write", "checks:*", "*"):
        with pytest.raises(ForbiddenError):
            services.keys.create(caller, "strong", [permission])


def test_what_a_key_may_do_is_named_right(services, empty):
    with pytest.raises(UnknownNameError) as caught:
        services.keys.create(empty, "ci", ["checks:create", "check:create"])
    assert ("permissions[1]", "checks:create") == (caught.value.field, caught.value.suggestion)
    with pytest.raises(UnknownNameError):
        services.keys.create(empty, "ci", ["applications:write"])
    with pytest.raises(MalformedError):
        services.keys.create(empty, "")


def test_an_expired_key_is_refused(services, empty, clock):
    made = services.keys.create(empty, "brief", expires_at_ms=clock.now_ms + 1_000).result()
    assert services.keys.authenticate(made.secret).key_id == made.key.id
    clock.now_ms += 1_000
    with pytest.raises(UnauthenticatedError):
        services.keys.authenticate(made.secret, deferred=True)
    with pytest.raises(InputError):
        services.keys.create(empty, "late", expires_at_ms=clock.now_ms)


def test_keys_are_listed_by_application_without_the_root_key(services, empty):
    services.keys.ensure_root()
    made = services.keys.create(empty, "ci").result()
    other = services.applications.create(empty, "Acme").result()
    inside = services.applications.enter(empty, other.id)
    assert [made.key] == services.keys.list(empty).rows
    assert [] == services.keys.list(inside).rows
    with pytest.raises(NotFoundError):
        services.keys.delete(inside, made.key.id).result()


def test_a_deleted_key_is_refused_by_the_next_call(services, empty):
    made = services.keys.create(empty, "ci").result()
    kept = services.keys.create(empty, "kept").result()
    caller = services.keys.authenticate(made.secret)
    services.keys.delete(empty, made.key.id).result()
    # Authenticated before, answered after: whatever opens a view finds out.
    for call in (
        lambda: services.access.check(caller, ASKED),
        lambda: services.keys.list(caller),
        lambda: services.models.get(caller),
        lambda: services.keys.authenticate(made.secret),
        lambda: services.access.check(
            services.keys.authenticate(made.secret, deferred=True), ASKED
        ),
    ):
        with pytest.raises(UnauthenticatedError):
            call()
    assert services.keys.authenticate(kept.secret).key_id == kept.key.id


def test_a_key_met_before_is_not_read_again(services, empty):
    made = services.keys.create(empty, "ci").result()
    first = services.keys.authenticate(made.secret, deferred=True)
    assert first is services.keys.authenticate(made.secret, deferred=True)
    services.applications.create(empty, "Acme").result()  # May mean that it moved: read again.
    services.access.check(empty, ASKED)
    again = services.keys.authenticate(made.secret, deferred=True)
    assert again is not first
    assert again == first


def test_a_key_deleted_by_another_process_is_refused(tmp_path):
    path = tmp_path / "data"
    services = Services.build(open_store(path))
    try:
        made = services.keys.create(services.local_caller(), "ci").result()
        caller = services.keys.authenticate(made.secret)
        assert not services.access.check(caller, ASKED).allowed
        script = (
            "import sys, zeratul\n"
            "with zeratul.open(sys.argv[1]) as door:\n"
            "    door.services.keys.delete(door.caller, sys.argv[2]).result()\n"
        )
        root = Path(__file__).parents[3]
        subprocess.run(
            [sys.executable, "-c", script, str(path), made.key.id],
            check=True,
            cwd=root,
            timeout=60,
        )
        with pytest.raises(UnauthenticatedError):
            services.access.check(services.keys.authenticate(made.secret, deferred=True), ASKED)
        with pytest.raises(UnauthenticatedError):
            services.access.check(caller, ASKED)
    finally:
        services.close()

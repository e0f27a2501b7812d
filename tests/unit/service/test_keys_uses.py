"""When a key was last used is stored once in a while, and disturbs nobody."""

from __future__ import annotations

import pytest

from tests.builders import question
from zeratul.errors import StoreError
from zeratul.service.keys.key_uses import KeyUses
from zeratul.service.services import Services

ASKED = question("group:eng#member@user:ann")


def stored_uses(services, empty, key_id):
    """What a process that noted nothing itself knows."""
    fresh = Services.build(services.store, clock_ms=services.now_ms)
    return fresh.keys.get(empty, key_id).last_used_at_ms


def test_a_key_says_when_it_was_last_used(services, empty, clock):
    made = services.keys.create(empty, "ci").result()
    assert None is services.keys.get(empty, made.key.id).last_used_at_ms
    used_ms = clock.now_ms = clock.now_ms + 5_000
    services.keys.authenticate(made.secret)
    assert used_ms == services.keys.get(empty, made.key.id).last_used_at_ms
    assert None is stored_uses(services, empty, made.key.id)
    services.keys.flush_uses()
    assert used_ms == stored_uses(services, empty, made.key.id)
    assert used_ms == services.keys.list(empty).rows[0].last_used_at_ms


def test_a_request_notes_a_use_once_in_a_while(services, empty, clock):
    made = services.keys.create(empty, "ci").result()
    first_ms = clock.now_ms
    services.keys.authenticate(made.secret)
    clock.now_ms += 30_000
    services.keys.authenticate(made.secret)  # Noted already.
    services.keys.flush_uses()
    assert first_ms == stored_uses(services, empty, made.key.id)
    services.keys.authenticate(made.secret)
    services.keys.flush_uses()
    assert first_ms + 30_000 == stored_uses(services, empty, made.key.id)


def test_the_root_key_is_not_noted(services):
    """It is shown nowhere, so using it writes nothing."""
    assert services.keys.authenticate(services.keys.ensure_root()).is_root
    before = services.store.statistics()
    services.keys.flush_uses()
    assert before == services.store.statistics()


def test_the_later_use_stays_whoever_stores_it_last(services, other, empty, clock):
    made = services.keys.create(empty, "ci").result()
    other.keys.authenticate(made.secret)
    clock.now_ms += 5_000
    services.keys.authenticate(made.secret)
    services.keys.flush_uses()
    other.keys.flush_uses()
    assert clock.now_ms == stored_uses(services, empty, made.key.id)


def test_storing_uses_makes_no_revision_and_kills_no_cache(services, empty):
    made = services.keys.create(empty, "ci").result()
    caller = services.keys.authenticate(made.secret)
    services.access.check(caller, ASKED)
    with services.store.snapshot() as snapshot:
        revision = snapshot.revision
    known = caller.known_key
    services.keys.flush_uses()
    with services.store.snapshot() as snapshot:
        assert revision == snapshot.revision
    services.access.check(caller, ASKED)
    assert known.alive
    assert services.keys.authenticate(made.secret, deferred=True) is caller


def test_a_deleted_key_leaves_no_uses(services, empty):
    made = services.keys.create(empty, "ci").result()
    services.keys.authenticate(made.secret)
    services.keys.flush_uses()
    services.keys.authenticate(made.secret)
    services.keys.delete(empty, made.key.id).result()
    services.keys.flush_uses()  # What was noted before the deletion.
    with services.store.snapshot() as snapshot:
        assert None is KeyUses(services.store, services.now_ms).last_ms(snapshot, made.key.id)


def test_uses_are_stored_by_themselves_and_at_the_end(services, empty, clock):
    made = services.keys.create(empty, "ci").result()
    uses = KeyUses(services.store, clock, flush_interval_s=3_600)
    uses.note(services.keys.authenticate(made.secret).known_key)
    uses.close()  # Does not wait for the hour to end.
    assert clock.now_ms == stored_uses(services, empty, made.key.id)


def test_a_store_that_takes_nothing_stops_no_use_to_come(services, empty, clock):
    made = services.keys.create(empty, "ci").result()
    known = services.keys.authenticate(made.secret).known_key

    class Full:
        def write(self, job):
            raise StoreError("full", reason="full")

    uses = KeyUses(Full(), clock, flush_interval_s=3_600)
    for _ in range(2):
        uses.note(known)
        with pytest.raises(StoreError):
            uses.flush()
        assert not known.noted
    uses.close()

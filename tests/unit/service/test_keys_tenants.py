"""A key of one tenant sees, makes and takes away keys of that tenant only; lists have pages."""

from __future__ import annotations

import pytest

from zeratul.errors import (
    InputError,
    MalformedError,
    NotFoundError,
    StrongerKeyError,
    TenantScopeError,
)
from zeratul.service.ground.answers import Page
from zeratul.service.ground.directory import KEY_KIND, SERVER


@pytest.fixture
def acme(services, empty):
    made = services.keys.create(empty, "acme", tenant_id="acme").result()
    return services.keys.authenticate(made.secret)


def names(services, caller):
    return {each.name for each in services.keys.list(caller).rows}


def test_a_tenants_key_acts_in_its_tenant(services, empty, acme):
    assert ("acme", "acme") == (acme.tenant_id, acme.key_name)
    assert "acme" == services.keys.get(empty, acme.key_id).tenant_id
    with pytest.raises(TenantScopeError):
        acme.require_whole_application("direct grants")


def test_a_tenants_key_makes_keys_of_its_tenant_only(services, acme):
    assert "acme" == services.keys.create(acme, "n").result().key.tenant_id
    assert "acme" == services.keys.create(acme, "n", tenant_id="acme").result().key.tenant_id
    with pytest.raises(NotFoundError):
        services.keys.create(acme, "n", tenant_id="globex")


def test_a_tenants_key_sees_no_other_keys(services, empty, acme):
    whole = services.keys.create(empty, "whole").result().key
    globex = services.keys.create(empty, "globex", tenant_id="globex").result().key
    assert {"acme"} == names(services, acme)
    assert {"acme", "whole", "globex"} == names(services, empty)
    for key in (whole, globex):
        for call in (
            lambda key=key: services.keys.get(acme, key.id),
            lambda key=key: services.keys.delete(acme, key.id).result(),
            lambda key=key: services.keys.rotate(acme, key.id),
        ):
            with pytest.raises(NotFoundError):
                call()
    services.keys.delete(acme, acme.key_id).result()
    assert {"whole", "globex"} == names(services, empty)


@pytest.mark.parametrize("tenant", ["", "*", " x", "a#b", "x" * 1_025])
def test_a_bad_tenant_is_refused(services, empty, tenant):
    with pytest.raises(MalformedError) as caught:
        services.keys.create(empty, "n", tenant_id=tenant)
    assert "tenantId" == caught.value.field


def test_a_key_that_ends_makes_none_that_outlives_it(services, empty, clock):
    ends_ms = clock.now_ms + 10_000
    made = services.keys.create(empty, "brief", expires_at_ms=ends_ms).result()
    brief = services.keys.authenticate(made.secret)
    assert ends_ms == services.keys.create(brief, "n").result().key.expires_at_ms
    same = services.keys.create(brief, "n", expires_at_ms=ends_ms).result()
    assert ends_ms == same.key.expires_at_ms
    with pytest.raises(StrongerKeyError):
        services.keys.create(brief, "n", expires_at_ms=ends_ms + 1)


def test_keys_are_listed_in_pages(services, empty):
    made = sorted(services.keys.create(empty, f"k{n}").result().key.id for n in range(5))
    other = services.applications.create(empty, "Acme").result()
    services.keys.create(services.applications.enter(empty, other.id), "elsewhere").result()
    first = services.keys.list(empty, page=Page(2))
    assert (made[:2], 2) == ([each.id for each in first.rows], first.page_size)
    services.keys.delete(empty, made[1]).result()  # Where the next page begins.
    second = services.keys.list(empty, page=Page(2, first.next_cursor))
    last = services.keys.list(empty, page=Page(2, second.next_cursor))
    assert made[2:] == [each.id for each in (*second.rows, *last.rows)]
    assert None is last.next_cursor
    with pytest.raises(InputError):
        services.keys.list(empty, page=Page(2, "x"))
    with pytest.raises(InputError):
        services.keys.list(empty, page=Page(0))


def test_a_cursor_of_keys_is_bound_to_who_lists(services, empty, acme):
    for _ in range(3):
        services.keys.create(acme, "n").result()
    cursor = services.keys.list(acme, page=Page(1)).next_cursor
    with pytest.raises(MalformedError):
        services.keys.list(empty, page=Page(1, cursor))


def test_nothing_is_left_of_a_deleted_key(services, empty):
    def stored():
        with services.store.snapshot() as snapshot:
            return {
                kind: snapshot.documents(SERVER, kind)
                for kind in (KEY_KIND, "key-of", "key-of-tenant")
            }

    before = stored()
    key = services.keys.create(empty, "n", tenant_id="acme").result().key
    assert {kind: len(found) + 1 for kind, found in before.items()} == {
        kind: len(found) for kind, found in stored().items()
    }
    services.keys.delete(empty, key.id).result()
    assert before == stored()


def test_keys_of_an_earlier_version_are_found(services, empty):
    """They had no index documents; opening the store makes them."""
    key = services.keys.create(empty, "old", tenant_id="acme").result().key

    def without_index(tx):
        for kind in ("key-of", "key-of-tenant"):
            for index_id, _ in tx.snapshot.documents(SERVER, kind):
                tx.delete_document(SERVER, kind, index_id)
        tx.delete_document(SERVER, "server", "keys-indexed")

    services.store.write(without_index).result()
    assert [] == services.keys.list(empty).rows
    services.keys.ensure_index()
    assert [key] == services.keys.list(empty).rows
    with services.store.snapshot() as snapshot:
        revision = snapshot.revision
    services.keys.ensure_index()  # A second time changes nothing.
    with services.store.snapshot() as snapshot:
        assert revision == snapshot.revision

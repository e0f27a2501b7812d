"""A round of housekeeping removes what nobody can ask for any more, and counts it."""

from __future__ import annotations

import pytest

from tests.builders import rel
from tests.unit.service.conftest import MODEL, Clock
from zeratul.domain.limits import Limits
from zeratul.errors import RevisionError, StoreError
from zeratul.server.housekeeping import round_of_work
from zeratul.service.administration.audit_log import AuditFilter
from zeratul.service.ground.directory import KEY_KIND, SERVER
from zeratul.service.services import Services
from zeratul.store.lmdb import open_store

FACT = rel("document:a#viewer@user:ann")


@pytest.fixture
def clock():
    return Clock()


@pytest.fixture
def services(tmp_path, clock):
    limits = Limits(application_keys_step=2)
    store = open_store(tmp_path / "data", limits=limits, clock_ms=clock)
    opened = Services.build(store, limits=limits, clock_ms=clock)
    yield opened
    opened.close()


class Counts(dict):
    def __call__(self, name, number):
        self[name] = self.get(name, 0) + number


async def work(services, retention_s=3_600):
    counts = Counts()
    await round_of_work(services, retention_s=retention_s, count=counts)
    return counts


async def test_history_and_audit_go_when_their_time_is_over(services, clock):
    caller = services.local_caller()
    services.models.put(caller, MODEL).result()
    services.relationships.write(caller, FACT).result()
    services.relationships.delete(caller, FACT).result()
    assert {} == await work(services)  # Nothing is old yet.
    assert 3 == len(services.audit.find(caller, AuditFilter()).rows)
    clock.now_ms += 3_600_001
    counts = await work(services)
    assert {"collected"} == set(counts)
    assert counts["collected"] > 3
    assert [] == services.audit.find(caller, AuditFilter()).rows
    with services.store.snapshot() as snapshot, pytest.raises(RevisionError):
        list(snapshot.changes(1, snapshot.revision))
    assert {} == await work(services)


async def test_what_deleted_applications_left_goes(services):
    root = services.local_caller()
    made = services.applications.create(root, "Acme").result()
    inside = services.applications.enter(root, made.id)
    services.models.put(inside, MODEL).result()
    services.relationships.write(inside, FACT).result()
    for number in range(5):
        services.keys.create(inside, f"k{number}").result()
    services.applications.delete(root, made.id, "Acme").result()
    before = services.store.statistics()
    counts = await work(services)
    assert {"swept"} == set(counts)
    after = services.store.statistics()
    assert after["entries_forward"] < before["entries_forward"]
    assert after["entries_nodes"] <= before["entries_nodes"]
    with services.store.snapshot() as snapshot:
        assert [] == snapshot.documents(SERVER, KEY_KIND)
    assert {} == await work(services)


async def test_a_store_that_takes_nothing_does_not_end_it(services, monkeypatch):
    def full(*_, **__):
        raise StoreError("full", reason="full")

    root = services.local_caller()
    made = services.applications.create(root, "Acme").result()
    services.applications.delete(root, made.id, "Acme").result()
    monkeypatch.setattr(type(services.store), "collect", full)
    assert {"swept"} == set(await work(services))

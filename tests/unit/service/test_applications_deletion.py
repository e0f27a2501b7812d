"""A deleted application is gone with everything in it; the others do not notice."""

from __future__ import annotations

from dataclasses import replace

import pytest

from tests.builders import question, rel
from tests.unit.service.conftest import MODEL, held_writer
from zeratul.domain.limits import Limits
from zeratul.errors import (
    ConflictError,
    ForbiddenError,
    InputError,
    NotFoundError,
    UnauthenticatedError,
)
from zeratul.service.administration.audit_log import AuditFilter
from zeratul.service.ground.answers import Page
from zeratul.service.ground.directory import KEY_KIND, SERVER
from zeratul.service.ground.setting_documents import ApplicationSettings, DecisionLog
from zeratul.service.services import Services
from zeratul.store.lmdb import open_store

FACT = rel("group:eng#member@user:ann")
ASKED = question("group:eng#member@user:ann")


@pytest.fixture
def acme(services, empty):
    """An application with a model, a relationship, settings and a key."""
    made = services.applications.create(empty, "Acme").result()
    inside = services.applications.enter(empty, made.id)
    services.models.put(inside, MODEL).result()
    services.relationships.write(inside, FACT).result()
    services.settings.put(inside, ApplicationSettings(DecisionLog("all"))).result()
    return inside


def server_documents(services):
    """The server's own documents, but for the audit log's."""
    kinds = (
        KEY_KIND, "key-of", "key-of-tenant", "application", "application-name", "settings",
        "application-left",
    )  # fmt: skip
    with services.store.snapshot() as snapshot:
        return {kind: snapshot.documents(SERVER, kind) for kind in kinds}


def test_no_answer_to_its_checks_is_remembered(services, empty):
    """Whoever makes and deletes applications again and again does not fill the memory."""
    for number in range(3):
        made = services.applications.create(empty, f"Acme {number}").result()
        inside = services.applications.enter(empty, made.id)
        assert not services.access.check(inside, ASKED).allowed
        assert len(services.access._answers) == 1
        services.applications.delete(empty, made.id, f"Acme {number}").result()
    services.access.check(empty, ASKED)
    assert list(services.access._answers) == [empty.application]


def test_nothing_is_left_of_it(services, empty):
    before = server_documents(services)
    made = services.applications.create(empty, "Acme").result()
    inside = services.applications.enter(empty, made.id)
    services.models.put(inside, MODEL).result()
    services.relationships.write(inside, FACT).result()
    services.settings.put(inside, ApplicationSettings(DecisionLog("all"))).result()
    services.keys.create(inside, "ci", tenant_id="t").result()
    services.applications.delete(empty, made.id, "Acme").result()
    assert before == server_documents(services)
    assert 0 == services.applications.sweep_step()
    with services.store.snapshot() as snapshot:
        assert {} == dict(snapshot.vocabulary(made.number).slots)
        assert [] == snapshot.events(made.number, limit=1)
    for call in (
        lambda: services.applications.get(empty, made.id),
        lambda: services.applications.number(made.id),
        lambda: services.applications.enter(empty, made.id),
        lambda: services.applications.delete(empty, made.id, "Acme"),
    ):
        with pytest.raises(NotFoundError):
            call()


def test_its_keys_open_nothing_at_once_in_every_process(services, other, empty, acme):
    made = services.keys.create(acme, "ci").result()
    callers = [each.keys.authenticate(made.secret) for each in (services, other)]
    for process, caller in zip((services, other), callers, strict=True):
        assert process.access.check(caller, ASKED).allowed
    services.applications.delete(empty, acme.application_id, "Acme").result()
    for process, caller in zip((other, services), callers[::-1], strict=True):
        for call in (
            lambda process=process, caller=caller: process.access.check(caller, ASKED),
            lambda process=process: process.keys.authenticate(made.secret, deferred=True),
        ):
            with pytest.raises(UnauthenticatedError):
                call()


def test_a_key_whose_document_is_still_there_opens_nothing(tmp_path, clock):
    """Many keys go in steps; all of them are refused from the first on."""
    limits = Limits(application_keys_step=2)
    store = open_store(tmp_path / "data", limits=limits, clock_ms=clock)
    services = Services.build(store, limits=limits, clock_ms=clock)
    try:
        root = services.local_caller()
        made = services.applications.create(root, "Acme").result()
        inside = services.applications.enter(root, made.id)
        secrets = [services.keys.create(inside, f"k{n}").result().secret for n in range(5)]
        services.applications.delete(root, made.id, "Acme").result()
        with store.snapshot() as snapshot:
            assert 3 == len(snapshot.documents(SERVER, KEY_KIND))
        for secret in secrets:
            with pytest.raises(UnauthenticatedError):
                services.keys.authenticate(secret)
        steps = []
        while step := services.applications.sweep_step():
            steps.append(step)
        assert [2, 2] == steps  # two keys; one key and the note that keys are left
        with store.snapshot() as snapshot:
            assert [] == snapshot.documents(SERVER, KEY_KIND)
            assert [] == snapshot.documents(SERVER, "application-left")
    finally:
        services.close()


def test_other_applications_are_untouched(services, empty, acme):
    services.models.put(empty, MODEL).result()
    services.relationships.write(empty, FACT).result()
    kept = services.keys.create(empty, "kept").result()
    caller = services.keys.authenticate(kept.secret)
    services.applications.delete(empty, acme.application_id, "Acme").result()
    while services.store.sweep():
        pass
    assert services.access.check(caller, ASKED).allowed
    assert [FACT] == [
        row.relationship for row in services.relationships.by_subject(empty, FACT.subject).rows
    ]


def test_its_number_is_never_used_again_and_its_name_is_free(services, empty, acme):
    services.applications.delete(empty, acme.application_id, "Acme").result()
    again = services.applications.create(empty, "Acme").result()
    assert again.number > acme.application
    assert again.id != acme.application_id
    inside = services.applications.enter(empty, again.id)
    assert not services.access.check(inside, ASKED).allowed
    assert [] == services.keys.list(inside).rows


@pytest.mark.parametrize("confirm", [None, "", "acme", "Acme ", "app_1"])
def test_it_has_to_be_confirmed_by_its_name(services, empty, acme, confirm):
    with pytest.raises(InputError) as caught:
        services.applications.delete(empty, acme.application_id, confirm)
    assert "confirm" == caught.value.field
    assert services.access.check(acme, ASKED).allowed


def test_only_the_root_key_deletes(services, empty, acme):
    with pytest.raises(ForbiddenError) as caught:
        services.applications.delete(replace(acme, is_root=False), acme.application_id, "Acme")
    assert "applications:delete" == caught.value.permission


def test_a_write_under_way_is_refused_and_writes_nothing(services, empty, acme):
    made = services.keys.create(acme, "ci").result()
    caller = services.keys.authenticate(made.secret)
    with held_writer(services.store):
        deletion = services.applications.delete(empty, acme.application_id, "Acme")
        writes = [
            services.relationships.write(caller, rel("group:eng#member@user:bob")),
            services.relationships.bulk(caller, [rel("group:eng#member@user:bob")]),
            services.models.put(caller, {**MODEL, "type_definitions": [{"type": "user"}]}),
            services.keys.create(caller, "late"),
        ]
    deletion.result()
    for write in writes:
        # For whoever holds a model to be replaced, it changed; to read it is refused.
        with pytest.raises((NotFoundError, UnauthenticatedError, ConflictError)):
            write.result()
    with services.store.snapshot() as snapshot:
        assert [] == snapshot.documents(SERVER, KEY_KIND)
        assert [] == snapshot.documents(acme.application, "model")


def test_the_root_key_in_a_deleted_application_is_told_so(services, empty, acme):
    secret = services.keys.ensure_root()
    inside = services.keys.authenticate(secret, acme.application_id)
    services.applications.delete(empty, acme.application_id, "Acme").result()
    for call in (
        lambda: services.access.check(inside, ASKED),
        lambda: services.relationships.write(inside, FACT),
        lambda: services.keys.authenticate(secret, acme.application_id),
    ):
        with pytest.raises(NotFoundError):
            call()
    assert services.keys.authenticate(secret).is_root


def test_the_default_application_is_empty_afterwards(services, caller):
    services.relationships.write(caller, FACT).result()
    made = services.keys.create(caller, "ci").result()
    services.applications.delete(caller, "default", "default").result()
    with pytest.raises(UnauthenticatedError):
        services.keys.authenticate(made.secret)
    fresh = services.local_caller()
    assert fresh.application > caller.application
    assert not services.access.check(fresh, ASKED).allowed
    assert [] == services.models.get(fresh).model["type_definitions"]
    assert [] == services.keys.list(fresh).rows
    assert [] == services.audit.find(fresh, AuditFilter()).rows


def test_the_servers_own_log_tells_of_it(services, empty, acme):
    services.applications.delete(empty, acme.application_id, "Acme").result()
    events = services.audit.find(empty, AuditFilter(server=True)).rows
    assert ["application.deleted", "application.created"] == [
        each["action"] for each in events if each["target"]["id"] == acme.application_id
    ]
    assert "Acme" == events[0]["before"]["name"]
    with pytest.raises(ForbiddenError):
        services.audit.find(replace(empty, is_root=False), AuditFilter(server=True))


def test_applications_are_listed_in_pages(services, empty):
    made = sorted(services.applications.create(empty, f"a{n}").result().id for n in range(4))
    expected = [*made, "default"]
    seen, cursor = [], None
    while True:
        page = services.applications.list(empty, page=Page(2, cursor))
        seen += [each.id for each in page.rows]
        cursor = page.next_cursor
        if cursor is None:
            break
    assert expected == seen
    with pytest.raises(InputError):
        services.applications.list(empty, page=Page(2, "x"))

"""Decisions are recorded where an application wants it; a check never waits or fails by it."""

from __future__ import annotations

from dataclasses import replace

import pytest

from tests.builders import question, rel
from zeratul.domain.limits import Limits
from zeratul.errors import ForbiddenError, InputError, StoreError, UnknownNameError
from zeratul.service.administration.audit_log import AuditFilter
from zeratul.service.ground.later import Later
from zeratul.service.ground.setting_documents import ApplicationSettings, DecisionLog
from zeratul.service.services import Services
from zeratul.store.lmdb import open_store

YES = question("document:a#viewer@user:ann")
NO = question("document:a#viewer@user:bob")


def patient(services):
    """Record only when the test says so, not a second later."""
    services.decisions._later = Later("decisions", services.decisions.flush, wait_s=3_600)
    return services


@pytest.fixture
def asked(services, caller):
    """A caller whose application has one document that ann views."""
    patient(services)
    services.relationships.write(caller, rel("document:a#viewer@user:ann")).result()
    return caller


def switch(services, caller, mode, sample=1.0):
    settings = ApplicationSettings(DecisionLog(mode, sample))
    return services.settings.put(caller, settings).result()


def ask(services, caller):
    for each in (YES, NO):
        services.access.check(caller, each)


def recorded(services, caller):
    services.decisions.flush()
    rows = services.audit.find(caller, AuditFilter()).rows
    return [each for each in rows if each["action"].startswith("decision.")]


def actions(services, caller):
    return [each["action"] for each in recorded(services, caller)]


def test_the_log_is_off_until_it_is_switched_on(services, asked):
    ask(services, asked)
    assert [] == recorded(services, asked)
    assert not services.decisions.active
    assert ApplicationSettings() == services.settings.get(asked)


def test_denials_or_all_are_recorded(services, asked):
    switch(services, asked, "denials")
    ask(services, asked)
    assert ["decision.denied"] == actions(services, asked)
    switch(services, asked, "all")
    ask(services, asked)
    assert ["decision.denied", "decision.allowed", "decision.denied"] == actions(services, asked)
    switch(services, asked, "off")
    ask(services, asked)
    assert 3 == len(recorded(services, asked))
    assert not services.decisions.active


def test_an_event_says_what_was_asked_and_answered(services, asked, clock):
    switch(services, asked, "denials")
    services.access.check(replace(asked, request_id="r1", ip="203.0.113.9"), NO)
    clock.now_ms += 800
    event = recorded(services, asked)[0]
    assert ({"type": "document", "id": "a"}, "document:viewer", "bob") == (
        event["target"],
        event["permission"],
        event["userId"],
    )
    assert ("r1", "203.0.113.9") == (event["requestId"], event["ip"])
    assert "2030-03-17T17:46:40.800Z" == event["time"]
    after = event["after"]
    assert ("2030-03-17T17:46:40.000Z", False, "user:bob") == (
        after["decidedAt"],
        after["allowed"],
        after["subject"],
    )


def test_bulk_checks_are_recorded_but_errors_are_none(services, asked):
    switch(services, asked, "all")
    unknown = question("document:a#viewr@user:bob")
    found = services.access.check_many(asked, [YES, unknown, InputError("x"), NO]).results
    assert 2 == sum(isinstance(each, (UnknownNameError, InputError)) for each in found)
    assert ["decision.denied", "decision.allowed"] == actions(services, asked)


def test_a_sample_of_none_and_of_some(services, asked):
    switch(services, asked, "all", 0)
    for _ in range(50):
        ask(services, asked)
    assert [] == recorded(services, asked)
    switch(services, asked, "all", 0.5)
    for _ in range(200):
        ask(services, asked)
    assert 0 < len(recorded(services, asked)) < 400


def test_every_process_goes_by_the_settings_at_once(services, other, asked):
    patient(other)
    ask(other, asked)
    assert not other.decisions.active
    switch(services, asked, "all")
    ask(other, asked)
    assert 2 == len(recorded(other, asked))
    switch(services, asked, "off")
    ask(other, asked)
    assert 2 == len(recorded(other, asked))
    assert not other.decisions.active


def test_applications_have_settings_of_their_own(services, asked):
    made = services.applications.create(asked, "Acme").result()
    inside = services.applications.enter(asked, made.id)
    switch(services, inside, "all")
    ask(services, asked)
    assert [] == recorded(services, asked)
    assert services.decisions.active
    services.access.check(inside, question("group:g#member@user:ann"))
    assert 1 == len(recorded(services, inside))


def test_what_is_too_much_is_dropped_counted_and_told(tmp_path, clock):
    limits = Limits(decision_log_batch_max=5)
    store = open_store(tmp_path / "data", limits=limits, clock_ms=clock)
    services = patient(Services.build(store, limits=limits, clock_ms=clock))
    counted = {}
    services.decisions.on_count = lambda name, number: counted.update(
        {name: counted.get(name, 0) + number}
    )
    try:
        caller = services.local_caller()
        switch(services, caller, "all")
        asked = [question("group:g#member@user:ann")] * 8
        assert 8 == len(services.access.check_many(caller, asked).results)
        for each in asked[:3]:
            assert not services.access.check(caller, each).allowed
        found = recorded(services, caller)
        assert ["decision.dropped", *["decision.denied"] * 5] == [each["action"] for each in found]
        assert {"dropped": 6} == found[0]["after"]
        assert {"decisions_recorded": 5, "decisions_dropped": 6} == counted
        services.access.check(caller, asked[0])  # There is room again.
        assert 7 == len(recorded(services, caller))
    finally:
        services.close()


def test_a_store_that_takes_nothing_fails_no_check(services, asked, monkeypatch):
    switch(services, asked, "all")
    counted = []
    services.decisions.on_count = lambda name, number: counted.append((name, number))
    ask(services, asked)

    class Full:
        def write(self, job):
            raise StoreError("full", reason="full")

    monkeypatch.setattr(services.decisions, "_store", Full())
    with pytest.raises(StoreError):
        services.decisions.flush()
    assert [("decisions_dropped", 2)] == counted
    assert services.access.check(asked, YES).allowed


def test_settings_that_cannot_be_read_fail_no_check(services, asked, monkeypatch):
    switch(services, asked, "all")

    class Busy:
        def snapshot(self):
            raise StoreError("no reader slot", reason="busy")

    ours = services.decisions._store
    monkeypatch.setattr(services.decisions, "_store", Busy())
    assert services.access.check(asked, YES).allowed
    monkeypatch.setattr(services.decisions, "_store", ours)
    ask(services, asked)
    assert 2 == len(recorded(services, asked))


def test_what_was_noted_for_a_deleted_application_is_left_out(services, asked):
    made = services.applications.create(asked, "Acme").result()
    inside = services.applications.enter(asked, made.id)
    for each in (asked, inside):
        switch(services, each, "all")
    services.access.check(inside, question("group:g#member@user:ann"))
    services.access.check(asked, YES)
    services.applications.delete(asked, made.id, "Acme").result()
    assert ["decision.allowed"] == actions(services, asked)


def test_what_is_noted_at_the_end_is_recorded(tmp_path, clock):
    path = tmp_path / "data"
    services = patient(Services.build(open_store(path, clock_ms=clock), clock_ms=clock))
    caller = services.local_caller()
    switch(services, caller, "all")
    services.access.check(caller, question("group:g#member@user:ann"))
    services.close()
    again = Services.build(open_store(path, clock_ms=clock), clock_ms=clock)
    try:
        assert ["decision.denied"] == actions(again, caller)
    finally:
        again.close()


def test_settings_are_the_root_keys_business(services, caller):
    made = services.keys.create(caller, "n").result()
    strong = services.keys.authenticate(made.secret)
    for call, permission in (
        (lambda: services.settings.get(strong), "applications:read"),
        (lambda: services.settings.put(strong, ApplicationSettings()), "applications:write"),
    ):
        with pytest.raises(ForbiddenError) as caught:
            call()
        assert permission == caught.value.permission


@pytest.mark.parametrize(
    ("log", "field"),
    [
        (DecisionLog("some"), "decisionLog.mode"),
        (DecisionLog("all", -0.1), "decisionLog.sample"),
        (DecisionLog("all", 1.1), "decisionLog.sample"),
        (DecisionLog("all", float("nan")), "decisionLog.sample"),
    ],
)
def test_settings_that_are_none_are_refused(services, caller, log, field):
    with pytest.raises(InputError) as caught:
        services.settings.put(caller, ApplicationSettings(log))
    assert field == caught.value.field

"""Every change leaves an event, in its own commit; what changes nothing leaves none."""

from __future__ import annotations

from concurrent.futures import Future
from dataclasses import replace

import pytest

from tests.builders import rel, rels
from tests.unit.service.conftest import MODEL, held_writer
from zeratul.errors import PreconditionError, StoreError, ValidationError
from zeratul.service.administration.audit_log import AuditFilter
from zeratul.service.ground.audit import record, server_caller
from zeratul.service.ground.setting_documents import ApplicationSettings, DecisionLog
from zeratul.service.relationships.importing import Committed, feed_all
from zeratul.service.relationships.relationship_answers import Precondition, RelationshipFilter

ANN = rel("document:a#viewer@user:ann")


def events(services, caller, **wanted):
    return services.audit.find(caller, AuditFilter(**wanted)).rows


def last(services, caller):
    return events(services, caller)[0]


@pytest.fixture
def quiet(services, caller):
    """How many events there are before the test."""
    return len(events(services, caller))


def test_an_event_says_who_did_what_to_what(services, caller, clock):
    asked = replace(caller, request_id="req-1", ip="203.0.113.9", key_name="Ops")
    services.relationships.write(asked, ANN).result()
    event = last(services, caller)
    assert event.pop("id").startswith("evt_")
    assert {
        "time": "2030-03-17T17:46:40.000Z",
        "actor": {"type": "system", "id": "local", "name": "Ops"},
        "action": "relationship.created",
        "target": {"type": "document", "id": "a"},
        "permission": None,
        "tenantId": None,
        "userId": "ann",
        "before": None,
        "after": {
            "subject": "user:ann",
            "resource": "document",
            "resourceId": "a",
            "relation": "viewer",
        },
        "requestId": "req-1",
        "ip": "203.0.113.9",
        "batchId": None,
    } == event


def test_the_actor_is_the_key_by_its_name(services, caller):
    made = services.keys.create(caller, "Backend").result()
    key = services.keys.authenticate(made.secret, None, "req-2", ip="203.0.113.9")
    services.relationships.write(key, ANN).result()
    event = last(services, caller)
    assert {"type": "api_key", "id": made.key.id, "name": "Backend"} == event["actor"]
    assert ("req-2", "203.0.113.9") == (event["requestId"], event["ip"])


def test_what_a_tenants_key_does_is_in_its_tenant(services, caller):
    made = services.keys.create(caller, "acme", tenant_id="acme").result()
    acme = services.keys.authenticate(made.secret)
    services.keys.create(acme, "n").result()
    assert {"acme"} == {each["tenantId"] for each in events(services, caller)[:2]}


def test_one_relationship_is_created_updated_and_deleted(services, caller, clock, quiet):
    ends = rel(str(ANN), expires_at_ms=clock.now_ms + 60_000)
    services.relationships.write(caller, ANN).result()
    services.relationships.write(caller, ANN).result()  # Changes nothing.
    services.relationships.write(caller, ends).result()
    services.relationships.delete(caller, ANN).result()
    services.relationships.delete(caller, ANN).result()  # Likewise.
    found = events(services, caller)
    assert quiet + 3 == len(found)
    deleted, updated, created = found[:3]
    assert ["relationship.deleted", "relationship.updated", "relationship.created"] == [
        each["action"] for each in (deleted, updated, created)
    ]
    assert "expiresAt" not in updated["before"]
    assert "2030-03-17T17:47:40.000Z" == updated["after"]["expiresAt"]
    assert updated["after"] == deleted["before"]
    assert None is deleted["after"]
    assert None is created["before"]


def test_a_group_or_everyone_is_no_user(services, caller):
    for text in ("document:a#viewer@user:*", "document:a#viewer@group:eng#member"):
        services.relationships.write(caller, rel(text)).result()
        assert None is last(services, caller)["userId"]


def test_a_bulk_call_is_one_summary(services, caller, quiet):
    facts = rels("document:a#viewer@user:ann", "document:b#viewer@user:bob")
    services.relationships.bulk(caller, facts).result()
    event = last(services, caller)
    assert "relationships.written" == event["action"]
    assert {"created": 2, "replaced": 0, "deleted": 0} == event["after"]
    assert {"type": "relationships", "id": event["batchId"]} == event["target"]
    with services.store.snapshot() as snapshot:
        assert event["batchId"].startswith(f"bat_{snapshot.revision}_")
        assert [2] == [
            len(change.rows) // 18
            for change in snapshot.changes(snapshot.revision - 1, snapshot.revision)
        ]
    services.relationships.bulk(caller, facts).result()  # Changes nothing.
    assert quiet + 1 == len(events(services, caller))


def test_calls_of_one_commit_have_batches_of_their_own(services, caller):
    """Callers that happened to share a commit are not to be taken for one call."""
    with held_writer(services.store):
        futures = [
            services.relationships.bulk(caller, rels(f"document:{name}#viewer@user:ann"))
            for name in "ab"
        ]
    assert 1 == len({future.result().zookie for future in futures})
    assert 2 == len({each["batchId"] for each in events(services, caller)[:2]})


def test_what_is_refused_or_only_tried_leaves_nothing(services, caller, quiet):
    services.relationships.bulk(caller, [ANN], dry_run=True).result()
    services.relationships.delete(caller, ANN, dry_run=True).result()
    wanted = RelationshipFilter(resource_type="document", resource_id="a")
    services.relationships.delete_by_filter(caller, wanted, dry_run=True).result()
    services.relationships.delete_by_filter(caller, wanted).result()  # Finds nothing.
    feed_all(services.transfers.importer(caller, dry_run=True), [line(ANN)])
    with pytest.raises(ValidationError):
        services.relationships.bulk(caller, [ANN, ANN._replace(relation="nope")])
    with pytest.raises(PreconditionError):
        services.relationships.bulk(
            caller, [ANN], preconditions=[Precondition(ANN, must_exist=True)]
        ).result()
    services.models.put(caller, MODEL).result()  # The same.
    services.models.put(caller, {"schema_version": "1.1"} | MODEL, dry_run=True).result()
    assert quiet == len(events(services, caller))


def test_a_deletion_by_filter_is_one_summary(services, caller):
    services.relationships.bulk(caller, [ANN, *rels("document:b#viewer@user:ann")]).result()
    services.relationships.delete_by_filter(caller, RelationshipFilter(ANN.subject)).result()
    event = last(services, caller)
    assert "relationships.deleted" == event["action"]
    assert {"deleted": 2, "complete": True} == event["after"]
    assert {"subject": "user:ann"} == event["before"]
    assert ("ann", event["target"]["id"]) == (event["userId"], event["batchId"])


def line(fact):
    return b'{"relationship": "%b"}\n' % str(fact).encode()


def test_an_import_tells_its_begin_and_its_end(services, caller, quiet):
    done = feed_all(services.transfers.importer(caller), [line(ANN), b"{}\n"])
    assert (1, 1) == (done.created, done.rejected)
    ended, started = events(services, caller)[:2]
    assert ["relationships.import_started", "relationships.imported"] == [
        started["action"],
        ended["action"],
    ]
    assert started["batchId"] == ended["batchId"]
    assert (2, 1, 1) == tuple(ended["after"][name] for name in ("lines", "created", "rejected"))
    assert quiet + 2 == len(events(services, caller))


def test_an_import_that_nobody_ends_has_left_its_event(services, caller):
    importer = services.transfers.importer(caller)
    importer.feed(line(ANN))
    importer._commit()
    importer._under_way[0].result()
    assert "relationships.import_started" == last(services, caller)["action"]


def test_an_import_that_breaks_off_tells_what_was_done(services, caller, quiet):
    """What was committed counts; a line that was only read is in no count but that of lines."""
    importer = services.transfers.importer(caller)

    def chunks():
        yield line(ANN) + b"{}\n"
        importer._commit()
        yield line(rel("document:b#viewer@user:ann"))
        raise ConnectionResetError

    with pytest.raises(ConnectionResetError):
        feed_all(importer, chunks())
    ended, started = events(services, caller)[:2]
    assert ["relationships.import_started", "relationships.import_broken_off"] == [
        started["action"],
        ended["action"],
    ]
    assert started["batchId"] == ended["batchId"]
    counts = {"lines": 3, "created": 1, "existing": 0, "replaced": 0, "rejected": 1}
    assert counts == {name: ended["after"][name] for name in counts}
    importer.break_off().result()
    assert quiet + 2 == len(events(services, caller))


def test_batches_behind_one_that_failed_are_counted(services, caller):
    importer = services.transfers.importer(caller)
    importer.feed(line(ANN))
    importer._commit()
    failed: Future[Committed] = Future()
    failed.set_exception(StoreError("full", reason="full"))
    importer._under_way.append(failed)
    importer.feed(line(rel("document:b#viewer@user:ann")))
    importer._commit()
    assert 2 == importer.break_off().result().created
    assert 2 == last(services, caller)["after"]["created"]


def test_an_import_that_breaks_off_before_its_first_commit_leaves_nothing(services, caller, quiet):
    importer = services.transfers.importer(caller)
    importer.feed(line(ANN))
    importer.break_off().result()
    assert quiet == len(events(services, caller))


def test_an_import_of_nothing_leaves_nothing(services, caller, quiet):
    feed_all(services.transfers.importer(caller), [b"\n", b"{}\n"])
    assert quiet == len(events(services, caller))


def test_a_model_is_shown_before_and_after(services, caller):
    smaller = {**MODEL, "type_definitions": [{"type": "user"}]}
    services.models.put(caller, smaller, force=True).result()
    event = last(services, caller)
    assert ("model.updated", MODEL, smaller) == (event["action"], event["before"], event["after"])


def test_keys_are_told_without_their_secrets(services, caller):
    made = services.keys.create(caller, "ci", ["checks:create"], tenant_id="t").result()
    fresh = services.keys.rotate(caller, made.key.id, 60).result()
    services.keys.delete(caller, made.key.id).result()
    found = events(services, caller, target_type="api_key")
    assert ["api_key.deleted", "api_key.rotated", "api_key.created"] == [
        each["action"] for each in found
    ]
    assert {
        "id": made.key.id,
        "name": "ci",
        "permissions": ["checks:create"],
        "tenantId": "t",
        "expiresAt": None,
    } == found[2]["after"]
    assert 60 == found[1]["after"]["graceSeconds"]
    with services.store.snapshot() as snapshot:
        bodies = b"".join(
            each.body
            for application in (0, caller.application)
            for each in snapshot.events(application, limit=1_000)
        )
    for secret in (made.secret, fresh.secret):
        assert secret.encode() not in bodies
        assert secret[-4:].encode() not in bodies.replace(made.key.id.encode(), b"")


def test_settings_and_applications_are_told(services, caller):
    services.settings.put(caller, ApplicationSettings(DecisionLog("denials", 0.5))).result()
    event = last(services, caller)
    assert "settings.updated" == event["action"]
    assert {"decisionLog": {"mode": "denials", "sample": 0.5}} == event["after"]
    made = services.applications.create(caller, "Acme").result()
    inside = services.applications.enter(caller, made.id)
    assert ["application.created"] == [each["action"] for each in events(services, inside)]


def test_the_root_key_is_told_in_the_servers_log(services, caller):
    services.keys.ensure_root()
    services.keys.ensure_root("chosen-by-the-operator")
    services.keys.ensure_root("chosen-by-the-operator")  # The same.
    assert ["root_key.replaced", "root_key.created"] == [
        each["action"] for each in events(services, caller, server=True)
    ]


def test_an_event_is_there_exactly_if_its_change_is(services, caller, quiet):
    """A job that fails after it recorded is undone with its event."""

    def job(tx):
        record(tx, caller, "policy.updated", "policy", "pol_1")
        raise PreconditionError("no")

    with pytest.raises(PreconditionError):
        services.store.write(job).result()
    assert quiet == len(events(services, caller))


def test_the_server_itself_acts_as_the_system():
    assert ("system", "server") == (server_caller().actor_type, server_caller().actor_id)

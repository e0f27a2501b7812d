"""A model is replaced only if no stored relationship loses its place, unless forced."""

from __future__ import annotations

import pytest

from tests.builders import model, question, rel, rels
from tests.unit.service.conftest import MODEL, held_writer
from zeratul.domain.zookie import Zookie
from zeratul.errors import (
    ConflictError,
    SchemaError,
    SchemaInUseError,
    UnknownNameError,
    ValidationError,
)
from zeratul.language.openfga import compile_model
from zeratul.service.ground.stored_model import Rules
from zeratul.service.ground.stored_rows import delete_stored
from zeratul.service.roles.role_answers import Labelled
from zeratul.service.rules.catalog_answers import ResourceRequest
from zeratul.service.rules.orphans import Orphans

STORED = rels(
    "document:a#viewer@user:*",
    "document:a#viewer@group:eng#member",
    "document:a#viewer@user:ann",
    "document:b#viewer@user:bob",
    "document:b#owner@user:bob",
    "group:eng#member@user:ann",
)
LARGER = {**MODEL, "type_definitions": [*MODEL["type_definitions"], {"type": "robot"}]}
SMALLER = model({"user": {}, "document": {"viewer": "[user]"}})


def test_an_application_begins_without_a_model(services, empty):
    answer = services.models.get(empty)
    assert (0, []) == (answer.schema_revision, answer.model["type_definitions"])
    assert (
        services.relationships.write(empty, rel("group:a#member@group:b#member")).result().created
    )


def test_a_model_is_given_back_as_it_was_put(services, empty):
    put = services.models.put(empty, MODEL).result()
    got = services.models.get(empty)
    assert (True, {}, 0) == (put.changed, put.orphans, put.deleted)
    assert MODEL == got.model
    assert put.schema_revision == got.schema_revision == put.revision


def test_the_same_model_again_changes_nothing(services, caller):
    before = services.models.get(caller)
    again = services.models.put(caller, dict(MODEL)).result()
    assert (False, False) == (again.changed, again.dry_run)
    assert before.schema_revision == again.schema_revision
    assert before.revision == services.models.get(caller).revision


@pytest.mark.parametrize(
    "document", [None, [], "x", {}, {"schema_version": "1.1"}, {"schema_version": 9}]
)
def test_what_is_no_model_is_refused(services, empty, document):
    with pytest.raises(SchemaError):
        services.models.put(empty, document)
    assert 0 == services.models.get(empty).schema_revision


def test_a_model_that_would_orphan_relationships_is_refused_with_counts(services, caller):
    services.relationships.bulk(caller, STORED).result()
    with pytest.raises(SchemaInUseError) as caught:
        services.models.put(caller, SMALLER).result()
    expected = {
        "document#viewer@user:*": 1,
        "document#viewer@group#member": 1,
        "document#owner@user": 1,
    }
    assert expected == caught.value.orphans
    assert MODEL == services.models.get(caller).model
    assert services.access.check(caller, question("document:b#owner@user:bob")).allowed


def test_a_dry_run_counts_and_changes_nothing(services, caller):
    services.relationships.bulk(caller, STORED).result()
    answer = services.models.put(caller, SMALLER, dry_run=True, force=True).result()
    assert (True, True, 3) == (answer.dry_run, answer.changed, answer.deleted)
    assert MODEL == services.models.get(caller).model
    assert len(STORED) == len(b"".join(services.transfers.export(caller)).splitlines())


def test_forced_it_deletes_exactly_the_orphans_in_the_same_commit(services, caller):
    services.relationships.bulk(caller, STORED).result()
    answer = services.models.put(caller, SMALLER, force=True).result()
    assert (3, True) == (answer.deleted, answer.changed)
    left = b"".join(services.transfers.export(caller)).decode()
    assert 3 == len(left.splitlines())
    assert all(subject in left for subject in ("user:ann", "user:bob"))
    # Brought back, the old forms come back empty.
    services.models.put(caller, MODEL).result()
    assert not services.access.check(caller, question("document:a#viewer@user:zoe")).allowed
    assert not services.access.check(caller, question("document:b#owner@user:bob")).allowed


def test_adding_to_a_model_keeps_everything(services, caller):
    services.relationships.bulk(caller, STORED).result()
    assert {} == services.models.put(caller, LARGER).result().orphans
    assert services.access.check(caller, question("document:b#viewer@user:bob")).allowed


def test_a_write_validated_against_the_model_before_is_validated_again(services, caller):
    with held_writer(services.store):
        put = services.models.put(caller, SMALLER)
        # Nothing is committed yet: these are validated against the old model.
        fine = services.relationships.write(caller, rel("document:a#viewer@user:ann"))
        gone = services.relationships.write(caller, rel("document:a#owner@user:ann"))
        form = services.relationships.bulk(caller, rels("document:a#viewer@user:*"))
    schema_revision = put.result().schema_revision
    assert fine.result().created
    assert schema_revision == Zookie.decode(fine.result().zookie).schema_revision
    with pytest.raises(UnknownNameError):
        gone.result()
    with pytest.raises(ValidationError) as caught:
        form.result()
    assert ["writes[0].subject"] == list(caught.value.findings)
    assert 1 == len(b"".join(services.transfers.export(caller)).splitlines())


def test_writes_and_a_model_in_one_commit_leave_no_orphan(services, caller):
    with held_writer(services.store):
        kept = services.relationships.write(caller, rel("document:a#viewer@user:ann"))
        orphaned = services.relationships.write(caller, rel("document:a#viewer@user:*"))
        put = services.models.put(caller, SMALLER, force=True)
    assert kept.result().created
    assert orphaned.result().created
    assert (1, {"document#viewer@user:*": 1}) == (put.result().deleted, put.result().orphans)
    left = b"".join(services.transfers.export(caller)).splitlines()
    assert 1 == len(left)
    assert b"user:ann" in left[0]


def test_of_two_models_at_once_the_second_is_a_conflict(services, caller):
    with held_writer(services.store):
        larger = services.models.put(caller, LARGER)
        smaller = services.models.put(caller, SMALLER)
    assert larger.result().changed
    with pytest.raises(ConflictError):
        smaller.result()
    assert LARGER == services.models.get(caller).model


def test_a_catalog_put_at_the_same_time_is_no_conflict(services, caller):
    declared = ResourceRequest("reports", actions=("read",))
    wanted = MODEL | {"type_definitions": [*MODEL["type_definitions"], {"type": "extra"}]}
    with held_writer(services.store):
        catalog = services.catalog.put_all(caller, [declared])
        put = services.models.put(caller, wanted)
        role = services.roles.create(caller, Labelled("reader"))
    assert list(catalog.result().catalog.resources) == ["reports"]
    assert put.result().changed
    assert role.result().name == "reader"
    assert services.models.get(caller).model == wanted


@pytest.mark.parametrize("alone", [True, False], ids=["in a commit before", "in the same commit"])
def test_an_orphan_written_after_the_count_is_met_in_the_transaction(services, caller, alone):
    put = None
    with held_writer(services.store):
        late = services.relationships.write(caller, rel("document:a#owner@user:ann"))
        fine = services.relationships.write(caller, rel("document:a#viewer@user:ann"))
        if not alone:
            put = services.models.put(caller, SMALLER)
    assert late.result().created
    assert fine.result().created
    if put is None:
        # The count of a view before those writes, the transaction behind them.
        put = services.store.write(lambda tx: late_put(services, caller, tx))
    with pytest.raises(SchemaInUseError) as caught:
        put.result()
    assert {"document#owner@user": 1} == caught.value.orphans
    assert MODEL == services.models.get(caller).model
    # What the refused transaction had begun to delete is there.
    assert 2 == len(b"".join(services.transfers.export(caller)).splitlines())


def late_put(services, caller, tx):
    rules = Rules(services.models.get(caller).schema_revision, SMALLER)
    schema = compile_model(SMALLER)
    orphans = Orphans(compile_model(MODEL), schema, caller.application)
    return services.models._put(caller, tx, rules, schema, orphans, tx.revision - 2, force=False)


def test_rows_written_by_the_same_transaction_can_be_deleted_in_it(services, caller):
    with services.engine.view(caller.application) as view:
        row = services.relationships._base.table(view).row(
            rel("document:new#viewer@user:new"), now_ms=0
        )
    store = services.store
    prepared = store.prepare(caller.application, [row])

    def job(tx):
        tx.apply(prepared)
        node = tx.snapshot.node(row.resource_type, "new")
        rows = tx.snapshot.scan_resource(node, limit=10)
        return delete_stored(tx, store, tx.snapshot.vocabulary(caller.application), rows)

    assert 1 == store.write(job).result()
    assert b"" == b"".join(services.transfers.export(caller))

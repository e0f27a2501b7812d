"""Applications are made by the root key and found by id."""

from __future__ import annotations

from dataclasses import replace

import pytest

from tests.builders import question, rel
from zeratul.errors import (
    AlreadyExistsError,
    ForbiddenError,
    InputError,
    MalformedError,
    NotFoundError,
)


def test_a_first_start_makes_the_default_application(services, empty):
    services.applications.ensure_default()  # A second time changes nothing.
    listed = services.applications.list(empty).rows
    assert [("default", "default", "single")] == [(a.id, a.name, a.tenancy_type) for a in listed]


def test_a_new_application_is_listed_found_and_entered(services, empty):
    made = services.applications.create(empty, "Acme", "multi_tenant").result()
    assert made.id.startswith("app_")
    assert made.zookie is not None
    assert made == replace(services.applications.get(empty, made.id), zookie=made.zookie)
    assert {"default", made.id} == {a.id for a in services.applications.list(empty).rows}
    inside = services.applications.enter(empty, made.id)
    assert (made.id, made.number) == (inside.application_id, inside.application)


def test_applications_share_nothing(services, caller):
    made = services.applications.create(caller, "Acme").result()
    other = services.applications.enter(caller, made.id)
    services.relationships.write(other, rel("group:eng#member@user:ann")).result()
    asked = question("group:eng#member@user:ann")
    assert services.access.check(other, asked).allowed
    assert not services.access.check(caller, asked).allowed


def test_a_name_is_taken_once(services, empty):
    services.applications.create(empty, "Acme").result()
    with pytest.raises(AlreadyExistsError):
        services.applications.create(empty, "Acme").result()


@pytest.mark.parametrize("name", ["", " x", "x" * 201, "a\x00b"])
def test_a_bad_name_is_refused(services, empty, name):
    with pytest.raises(MalformedError) as caught:
        services.applications.create(empty, name)
    assert "name" == caught.value.field


def test_an_unknown_tenancy_type_is_refused(services, empty):
    with pytest.raises(InputError) as caught:
        services.applications.create(empty, "Acme", "dual")
    assert "tenancyType" == caught.value.field


def test_only_the_root_key_makes_and_lists_applications(services, empty):
    ordinary = replace(empty, is_root=False)
    for call in (
        lambda: services.applications.create(ordinary, "Acme"),
        lambda: services.applications.list(ordinary),
        lambda: services.applications.get(ordinary, "default"),
    ):
        with pytest.raises(ForbiddenError):
            call()


def test_an_unknown_application_is_not_found(services, empty):
    with pytest.raises(NotFoundError):
        services.applications.number("nope")
    with pytest.raises(NotFoundError):
        services.applications.get(empty, "nope")


def test_another_application_is_not_there_for_an_ordinary_key(services, empty):
    made = services.applications.create(empty, "Acme").result()
    ordinary = replace(empty, is_root=False)
    assert ordinary is services.applications.enter(ordinary, "default")
    with pytest.raises(NotFoundError):
        services.applications.enter(ordinary, made.id)

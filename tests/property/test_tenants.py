"""No answer for one tenant changes when roles or assignments of another one do."""

from __future__ import annotations

from contextlib import suppress
from itertools import count
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.unit.service.role_world import RoleWorld, wish_of
from zeratul.errors import ZeratulError
from zeratul.service.roles.role_answers import Labelled
from zeratul.service.services import Services
from zeratul.store.lmdb import open_store

if TYPE_CHECKING:
    from collections.abc import Callable

OWN, OTHER = "t1", "t2"
USERS = ["user:ann", "user:bob"]
HOLDERS = [*USERS, "group:eng#member"]
PERMISSIONS = [
    f"{kind}:{action}" for kind in ("documents", "reports") for action in ("read", "export")
]
CATALOG = {"documents": ("read", "export"), "reports": ("read", "export")}
NAMES = ["Manager", "Clerk", "Guest"]

indexes = st.integers(0, 9)
# What may happen in the other tenant: by a key of that tenant, or by the application in it.
step = st.one_of(
    st.tuples(st.just("role"), st.sampled_from(NAMES), st.lists(indexes, max_size=2)),
    st.tuples(st.just("rename"), indexes, st.sampled_from(NAMES)),
    st.tuples(st.just("policies"), indexes, st.lists(indexes, max_size=2)),
    st.tuples(st.just("delete"), indexes, st.booleans()),
    st.tuples(st.just("assign"), st.sampled_from(HOLDERS), indexes),
    st.tuples(st.just("unassign"), st.sampled_from(HOLDERS), indexes),
    st.tuples(st.just("bulk"), st.sampled_from(HOLDERS), indexes),
    st.tuples(st.just("member"), st.sampled_from(USERS), indexes),
)


class _Town:
    """An application in which two tenants have roles of the same names."""

    def __init__(self, world: RoleWorld) -> None:
        self.world = world
        world.declare(CATALOG)
        self.policies = [
            world.policy("reading", "documents:read"),
            world.policy("all", "documents:*", "reports:*"),
            world.policy("exporting", "reports:export"),
        ]
        self.everywhere = [world.role(name, self.policies[0]) for name in NAMES[:2]]
        self.own = [world.role(name, self.policies[2], tenant=OWN) for name in NAMES[:2]]
        world.join("group:eng#member@user:bob", "documents:d1#viewer@user:ann")
        world.assign("user:ann", self.everywhere[0], OWN)
        world.assign("group:eng#member", self.own[0], OWN)
        world.assign("user:bob", self.everywhere[1], path="documents/d2")

    def answers(self, tenant: str | None) -> list[Any]:
        """All that a tenant's key and a question in the tenant can be told."""
        world = self.world
        found: list[Any] = []
        for who in USERS:
            found.append(world.held(who, tenant))
            found += [
                world.held(who, tenant, resource=kind, resource_id=name)
                for kind in CATALOG
                for name in ("d1", "d2")
            ]
            found += [
                world.can(who, permission, name, tenant)
                for permission in PERMISSIONS
                for name in ("", "d1", "d2")
            ]
        if tenant is None:
            return found
        inside = world.in_tenant(tenant)
        tenants = world.services.tenants
        found += [inside.roles(), inside.policies(), inside.assignments()]
        found += [tenants.members(inside.caller, tenant).rows, world.assignments(tenant)]
        found.append(tenants.members(world.caller, tenant).rows)
        return found

    def take(self, actor: RoleWorld, what: tuple[Any, ...]) -> None:
        """One step in the other tenant; whether it is refused makes no difference here."""
        kind, first, second = what
        roles = [each for each in self.world.roles(OTHER) if each.tenant_id == OTHER]
        anything = [*roles, *self.everywhere, *self.own]
        services, caller = actor.services, actor.caller

        def pick(number: int) -> Any:
            return anything[number % len(anything)]

        def ids(numbers: list[int]) -> list[str]:
            return [self.policies[number % len(self.policies)].id for number in numbers]

        def change(number: int, given: Labelled) -> Any:
            return services.roles.update(caller, pick(number).id, given, OTHER).result()

        calls: dict[str, Callable[[], Any]] = {
            "role": lambda: services.roles.create(
                caller, Labelled(first, "", ids(second)), OTHER
            ).result(),
            "rename": lambda: change(first, Labelled(name=second)),
            "policies": lambda: change(first, Labelled(content=ids(second))),
            "delete": lambda: services.roles.delete(
                caller, pick(first).id, OTHER, force=second
            ).result(),
            "assign": lambda: actor.assign(first, pick(second), OTHER),
            "unassign": lambda: actor.unassign(first, pick(second), OTHER),
            "bulk": lambda: actor.bulk(
                [wish_of(first, each, OTHER) for each in anything],
                [wish_of(first, pick(second), OTHER)],
                on_error="continue",
            ),
            "member": lambda: services.tenants.remove_member(
                caller, OTHER, first.removeprefix("user:")
            ).result(),
        }
        with suppress(ZeratulError):
            calls[kind]()


@pytest.fixture(scope="module")
def services(tmp_path_factory):
    opened = Services.build(open_store(tmp_path_factory.mktemp("tenants") / "data"))
    yield opened
    opened.close()


_numbers = count()


@given(steps=st.lists(st.tuples(st.booleans(), step), min_size=1, max_size=12))
def test_nothing_in_one_tenant_moves_an_answer_in_another(services, steps):
    root = services.local_caller()
    made = services.applications.create(root, f"town {next(_numbers)}").result()
    world = RoleWorld(services, services.local_caller(made.id))
    town = _Town(world)
    before = [town.answers(OWN), town.answers(None)]
    for by_key, what in steps:
        town.take(world.in_tenant(OTHER) if by_key else world, what)
    assert before == [town.answers(OWN), town.answers(None)]

"""Roles in a view: what is kept of documents, what is said of ways, what nobody can name."""

from __future__ import annotations

from typing import TYPE_CHECKING

import orjson
import pytest

from tests.builders import model, question, rels
from tests.property.role_worlds import World, install
from tests.reference.roles import Assignment, Role, Rules
from tests.strategies import NOW_MS
from zeratul.dispatch import explaining_roles
from zeratul.dispatch.engine import Engine
from zeratul.dispatch.roles import POLICY_KIND, ROLE_KIND
from zeratul.domain.catalog import Catalog, CatalogResource
from zeratul.domain.limits import Limits
from zeratul.domain.membership import Membership
from zeratul.domain.relationship import ObjectRef, SubjectRef
from zeratul.domain.scopes import GRANT_TYPE, HOLDER, RESERVED_TYPES
from zeratul.errors import LimitError, RevisionError, UnknownNameError
from zeratul.graph.answers import CheckQuestion, Decision

if TYPE_CHECKING:
    from tests.applications import Installation

ANN, BOB = SubjectRef("user", "ann"), SubjectRef("user", "bob")
GROUP = SubjectRef("group", "b", "member")
CATALOG = Catalog({"documents": CatalogResource("documents", actions=("read", "update"))})
READ = question("documents:1#read@user:ann")
UPDATE = question("documents:1#update@user:ann")
YES_BY_ROLE = Decision(Membership.MEMBER, via_relationships=False, via_role=True)
NO = Decision(Membership.NOT_MEMBER, via_relationships=False, via_role=False)


def world(*assignments: Assignment, **roles: Role) -> World:
    """A world in which ``reader`` reads and ``writer`` updates."""
    return World(
        model({}),
        rels("group:b#member@group:a#member", "group:a#member@user:ann"),
        Rules(
            CATALOG,
            {"pol_r": frozenset({"documents:read"}), "pol_w": frozenset({"documents:update"})},
            {"reader": Role(("pol_r",)), "writer": Role(("pol_w",)), **roles},
            dict.fromkeys(assignments),
        ),
    )


def test_ways_are_told_where_they_were_looked_at(installation: Installation) -> None:
    """A relationship that says yes leaves the role unasked; a type is asked of roles alone."""
    application = install(installation, world(Assignment("reader", None, (), ANN)))
    installation.write(
        application, rels("documents:1#viewer@user:ann", "documents:2#owner@user:c")
    )
    on_type = READ._replace(resource=ObjectRef("documents", ""))
    asked = [
        READ,
        READ._replace(resource=ObjectRef("documents", "2")),
        UPDATE,
        on_type,
        on_type._replace(relation="update"),
        on_type._replace(relation="viewer"),
        CheckQuestion(ANN, ObjectRef("documents", "1"), "viewer"),
    ]
    expected = [
        Decision(Membership.MEMBER, via_relationships=True, via_role=None),
        YES_BY_ROLE,
        NO,
        Decision(Membership.MEMBER, via_relationships=None, via_role=True),
        Decision(Membership.NOT_MEMBER, via_relationships=None, via_role=False),
        Decision(Membership.NOT_MEMBER, via_relationships=None, via_role=False),
        Decision(Membership.MEMBER, via_relationships=True, via_role=False),
    ]
    with installation.engine.view(application) as view:
        assert [view.decide(each) for each in asked] == expected
    installation.forget()
    with installation.engine.view(application) as view:
        assert view.decide_many(asked) == expected


def test_an_application_without_roles(installation: Installation) -> None:
    """Roles say no, for free, and a type as a whole is nobody's."""
    application = installation.create(model({"documents": {"viewer": "[user]"}}))
    asked = question("documents:1#viewer@user:ann")
    on_type = asked._replace(resource=ObjectRef("documents", ""))
    with installation.engine.view(application) as view:
        assert view.decide_many([asked, on_type]) == [
            NO,
            Decision(Membership.NOT_MEMBER, via_relationships=None, via_role=False),
        ]
        assert view.decide(on_type) == view.decide_many([on_type])[0]
        told = view.explain(on_type)
        assert (told.membership, told.via_relationships, told.via_role) == (0, None, False)
        told = view.explain(asked)
        assert (told.membership, told.via_relationships, told.via_role) == (0, False, False)
        assert not view.roles_moved()
        with pytest.raises(UnknownNameError):
            view.decide(on_type._replace(relation="nothing"))
        with pytest.raises(UnknownNameError):
            view.decide(on_type._replace(subject=SubjectRef("nobody", "1")))


def test_nobody_can_name_the_types_of_roles(installation: Installation) -> None:
    """Neither as a resource nor as a subject, stored or supposed, nor are they suggested."""
    application = install(installation, world(Assignment("reader", None, (), ANN)))
    holder = CheckQuestion(ANN, ObjectRef(GRANT_TYPE, "reader@root"), HOLDER)
    userset = CheckQuestion(SubjectRef(GRANT_TYPE, "reader@root", HOLDER), *READ[1:])
    with installation.engine.view(application) as view:
        for asked in (holder, userset):
            with pytest.raises(UnknownNameError):
                view.decide(asked)
            (answer,) = view.decide_many([asked])
            assert isinstance(answer, UnknownNameError)
            with pytest.raises(UnknownNameError):
                view.explain(asked)
        with pytest.raises(UnknownNameError):
            view.lookup_subjects(ObjectRef(GRANT_TYPE, "reader@root"), HOLDER, "user")
        with pytest.raises(UnknownNameError):
            view.lookup_subjects(READ.resource, "read", GRANT_TYPE)
        with pytest.raises(UnknownNameError):
            view.lookup_resources(ANN, GRANT_TYPE, HOLDER)
        with pytest.raises(UnknownNameError):
            view.expand(ObjectRef(GRANT_TYPE, "reader@root"), HOLDER, subjects_max=1)
        for name in RESERVED_TYPES:
            with pytest.raises(UnknownNameError) as raised:
                view.schema.type(name.strip("⟨⟩"))
            assert "⟨" not in (raised.value.suggestion or "")


def test_an_older_view_answers_by_older_roles(installation: Installation) -> None:
    """One that was opened before the change and asked after a newer one has answered."""
    application = install(installation, world(Assignment("reader", None, (), ANN)))
    engine = installation.engine
    older = engine.view(application)
    unasked = engine.view(application)
    assert older.decide(READ) == YES_BY_ROLE
    installation.put_documents(application, policies={"pol_r": []})
    with engine.view(application) as newer:
        assert newer.decide(READ) == NO
        assert older.decide(READ) == YES_BY_ROLE
        assert unasked.decide(READ) == YES_BY_ROLE
    with engine.view(application) as newest:
        assert newest.decide(READ) == NO
    older.close()
    unasked.close()


def test_a_snapshot_that_lags_fills_no_newer_cache(
    installation: Installation, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A thread that took its snapshot before the change and opens its view after it."""
    application = install(installation, world(Assignment("reader", None, (), ANN)))
    engine = Engine(installation.store, Limits())
    lagging = installation.store.snapshot()
    installation.put_documents(application, policies={"pol_r": []})
    with engine.view(application):
        pass
    with monkeypatch.context() as patched:
        patched.setattr(installation.store, "snapshot", lambda **_: lagging)
        with engine.view(application) as late:
            assert late.decide(READ) == YES_BY_ROLE
    with engine.view(application) as view:
        assert view.decide(READ) == NO


def test_what_is_kept_is_shared_until_a_role_changes(installation: Installation) -> None:
    """Other commits leave it alone; each kind of document ends it."""
    application = install(installation, world(Assignment("reader", None, (), ANN)))
    engine = Engine(installation.store, Limits())

    def cache() -> object:
        with engine.view(application):
            return engine._roles[application]

    first = cache()
    installation.write(application, rels("documents:9#viewer@user:ann"))
    assert cache() is first
    installation.put_documents(application, policies={"pol_r": ["documents:update"]})
    second = cache()
    assert second is not first
    installation.put_documents(application, roles={"reader": None})
    assert cache() is not second


def test_an_assignment_ends_in_time(installation: Installation) -> None:
    """Also for a question answered by what is remembered of the subject, without a commit."""
    application = install(installation, world())
    assigned = Assignment("reader", None, (), GROUP)
    installation.assign(application, {assigned: NOW_MS + 10})
    other = READ._replace(resource=ObjectRef("documents", "2"))
    for now_ms, expected in ((NOW_MS, YES_BY_ROLE), (NOW_MS + 10, NO)):
        for asked in (READ, other):
            with installation.engine.view(application, now_ms=now_ms) as view:
                assert view.decide(asked) == expected, (asked, now_ms)
                assert view.decide_many([asked]) == [expected]


def test_a_broken_document_is_no_decision(installation: Installation) -> None:
    """What can not be read is an error, never a no."""
    for kind, name in ((ROLE_KIND, "reader"), (POLICY_KIND, "pol_r")):
        application = install(installation, world(Assignment("reader", None, (), ANN)))
        installation.store.write(
            lambda tx, at=(application, kind, name): tx.put_document(*at, b"{")
        ).result()
        with installation.engine.view(application) as view:
            for ask in (view.decide, view.explain):
                with pytest.raises(orjson.JSONDecodeError):
                    ask(READ)
            with pytest.raises(orjson.JSONDecodeError):
                view.decide_many([READ])


def test_too_many_reads_are_no_decision(installation: Installation) -> None:
    """Alone it is raised, among many it stands in the place of the answer."""
    grants = [Assignment("reader", None, ("documents", f"x{n}"), ANN) for n in range(200)]
    application = install(installation, world(*grants))
    engine = Engine(installation.store, Limits(check_reads_max=100))
    with engine.view(application) as view:
        with pytest.raises(LimitError) as raised:
            view.decide(READ)
        assert raised.value.limit == "check_reads_max"
        bob = READ._replace(subject=BOB)
        answers = view.decide_many([READ, bob])
        assert isinstance(answers[0], LimitError)
        assert answers[1] == NO


def test_roles_moved(installation: Installation) -> None:
    """A view of the past tells whether roles are what they were then."""
    application = install(installation, world(Assignment("reader", None, (), ANN)))
    with installation.engine.view(application) as view:
        before = view.revision
        assert not view.roles_moved()
    installation.write(application, rels("documents:1#viewer@user:bob"))
    with installation.engine.view(application, revision=before) as view:
        assert not view.roles_moved()
    installation.put_documents(application, policies={"pol_r": ["documents:update"]})
    with installation.engine.view(application) as view:
        changed = view.revision
        assert not view.roles_moved()
    installation.write(application, rels("documents:2#viewer@user:bob"))
    for engine in (installation.engine, Engine(installation.store, Limits())):
        with engine.view(application, revision=before) as view:
            assert view.roles_moved()
        with engine.view(application, revision=changed) as view:
            assert not view.roles_moved()
    installation.collect()
    with pytest.raises(RevisionError):
        installation.engine.view(application, revision=before)


def test_an_explanation_says_how_a_role_is_held(installation: Installation) -> None:
    """Through groups in groups; what decides comes first."""
    application = install(
        installation,
        world(
            Assignment("writer", "t", (), GROUP),
            Assignment("reader", None, ("documents", "7"), ANN),
            Assignment("reader", "u", (), ANN),
            Assignment("reader", None, ("documents",), ANN),
            Assignment("theirs", None, (), ANN),
            Assignment("gone", None, (), ANN),
            theirs=Role(("pol_w",), "t"),
        ),
    )
    with installation.engine.view(application) as view:
        told = view.explain(UPDATE._replace(tenant="t"))
        assert told.membership is Membership.MEMBER
        assert (told.via_relationships, told.via_role) == (False, True)
        assert (told.proof, told.suggestions) == ((), ())
        shown = [
            (each.role_id, each.scope, each.reason, each.considered, each.carries, each.held)
            for each in told.roles
        ]
        assert shown == [
            ("writer", "tenant/t", "decides", True, True, True),
            ("reader", "path/documents", "does_not_carry", True, False, True),
            ("reader", "path/documents/7", "does_not_cover", True, False, False),
            ("reader", "tenant/u", "other_tenant", False, False, False),
            ("theirs", "root", "not_of_this_tenant", False, True, False),
            ("gone", "root", "no_role", False, False, False),
        ]
        assert told.roles[0].holder == GROUP
        assert list(told.roles[0].relationships) == rels(
            "group:b#member@group:a#member", "group:a#member@user:ann"
        )
        assert told.roles[1].holder == ANN
        assert told.roles[1].relationships == ()
        taken = view.explain(UPDATE._replace(tenant="t"), (), rels("group:a#member@user:ann"))
        assert taken.membership is Membership.NOT_MEMBER
        assert "writer" not in {each.role_id for each in taken.roles}
        assert taken.suggestions


def test_an_explanation_of_many_roles_is_cut(
    installation: Installation, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The decision is not: what decides is listed, however many there are."""
    monkeypatch.setattr(explaining_roles, "ROLES_TRACED_MAX", 2)
    paths = [Assignment("writer", None, ("documents", f"a{n}"), ANN) for n in range(5)]
    application = install(
        installation, world(*paths, Assignment("reader", None, ("documents", "*"), ANN))
    )
    with installation.engine.view(application) as view:
        told = view.explain(READ)
    assert told.membership is Membership.MEMBER
    assert [each.reason for each in told.roles] == ["decides", "does_not_cover"]
    assert told.roles_total == 6
    assert told.cut


def test_an_explanation_too_large_is_no_decision(installation: Installation) -> None:
    """Finding the roles counts its reads."""
    paths = [Assignment("writer", None, ("documents", f"a{n}"), ANN) for n in range(50)]
    application = install(installation, world(*paths))
    engine = Engine(installation.store, Limits(explain_reads_max=40))
    with engine.view(application) as view, pytest.raises(LimitError) as raised:
        view.explain(READ)
    assert raised.value.limit == "explain_reads_max"


def test_a_renamed_resource_keeps_its_paths(installation: Installation) -> None:
    """What was granted below the old name holds under the new one, and not under the old."""
    files = CatalogResource("files", actions=("read", "update"))
    fresh = CatalogResource("documents", actions=("read",))
    made = world(
        Assignment("reader", None, ("documents", "1"), ANN),
        Assignment("reader", None, ("*", "2"), ANN),
    )
    application = install(installation, made)
    renamed = Catalog(
        {"files": files, "documents": fresh}, {"files": "documents", "documents": "documents#1"}
    )
    installation.put_rules(application, made.model, renamed)
    everything = ["files:read", "documents:read"]
    installation.put_documents(application, policies={"pol_r": everything})
    asked = [
        question(f"{name}:{number}#read@user:ann")
        for name in ("files", "documents")
        for number in (1, 2, 3)
    ]
    with installation.engine.view(application) as view:
        said = [view.decide(each).via_role for each in asked]
        assert said == [True, True, False, False, True, False]
        scopes = [
            view.lookup_resources(ANN, name, "read").scopes for name in ("files", "documents")
        ]
    assert scopes == [("path/*/2", "path/documents/1"), ("path/*/2",)]

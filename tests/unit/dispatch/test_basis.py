"""What an answer rests on: a commit that touches it ends the answer, and no other does."""

from __future__ import annotations

from types import SimpleNamespace
from typing import TYPE_CHECKING, cast

import pytest

from tests.builders import model, question
from zeratul.dispatch import basis
from zeratul.dispatch.basis import KEYS_MAX, NOBODY, RESOURCES_MAX, ROUNDS_MAX, Touched, basis_of
from zeratul.dispatch.engine import Engine
from zeratul.dispatch.memos import Memos
from zeratul.dispatch.naming import Naming
from zeratul.domain.limits import Limits
from zeratul.domain.membership import Membership
from zeratul.domain.relationship import Relationship
from zeratul.graph.requests import (
    CLOSURE,
    CLOSURES,
    GRANTS_ON,
    HAS,
    MEETS,
    RESOURCES,
    RESOURCES_OF_ALL,
    SCOPES,
    SUBJECTS_OF_ALL,
    Subject,
)
from zeratul.store.interface import ChangeSet

if TYPE_CHECKING:
    from zeratul.door import Door
    from zeratul.graph.answers import CheckQuestion, Decision
    from zeratul.store.interface import Snapshot

TYPES = {
    "group": {"member": "[user, user:*, group#member]"},
    "folder": {"parent": "[folder]", "viewer": "[user, group#member] or viewer from parent"},
    "document": {
        "parent": "[folder]",
        "banned": "[user, group#member]",
        "viewer": "[user, user:*] or viewer from parent",
        "reader": "viewer but not banned",
    },
}
ORGANISATION = model(TYPES)
WITHOUT_FOLDERS = model({**TYPES, "document": {**TYPES["document"], "viewer": "[user, user:*]"}})
STORED = [
    "document:a#parent@folder:inner",
    "folder:inner#parent@folder:outer",
    "folder:outer#viewer@group:eng#member",
    "group:eng#member@group:core#member",
    "group:core#member@user:ann",
    "document:b#viewer@user:bob",
    "document:b#banned@group:out#member",
    "group:out#member@user:carl",
    "group:guests#member@user:bob",
    "folder:other#viewer@group:guests#member",
]
ANN, BOB = (question(f"document:a#reader@user:{user}") for user in ("ann", "bob"))


@pytest.fixture
def organisation(two: tuple[Door, Door]) -> tuple[Door, Door]:
    """The two of them, with folders, groups and somebody who is banned."""
    two[0].put_model(ORGANISATION)
    for text in STORED:
        two[0].write(text)
    return two


@pytest.mark.parametrize(
    ("change", "ended"),
    [
        ("+document:b#viewer@user:ann", set()),
        ("+document:c#parent@folder:inner", set()),
        ("+group:guests#member@user:carl", set()),
        ("-document:b#banned@group:out#member", set()),
        ("+folder:other#viewer@user:carl", set()),
        ("+document:a#viewer@user:bob", {ANN, BOB}),
        ("+document:a#viewer@user:*", {ANN, BOB}),
        ("+document:a#banned@user:carl", {ANN, BOB}),
        ("-document:a#parent@folder:inner", {ANN, BOB}),
        ("+document:a#parent@folder:other", {ANN, BOB}),
        ("+folder:inner#viewer@user:carl", {ANN, BOB}),
        ("-folder:inner#parent@folder:outer", {ANN, BOB}),
        ("-folder:outer#viewer@group:eng#member", {ANN, BOB}),
        ("-group:core#member@user:ann", {ANN}),
        ("+group:guests#member@user:ann", {ANN}),
        ("-group:eng#member@group:core#member", {ANN}),
        ("+group:core#member@user:bob", {BOB}),
        ("+group:core#member@group:guests#member", {BOB}),
        ("+group:core#member@user:*", {ANN, BOB}),
    ],
)
def test_a_commit_ends_what_rests_on_what_it_touches(
    organisation: tuple[Door, Door], change: str, ended: set[CheckQuestion]
) -> None:
    """And nothing else; what goes on is an answer of the newest revision."""
    first, second = organisation
    engine, application = first.services.engine, first.caller.application
    with engine.view(application) as view:
        assert view.check(ANN) is Membership.MEMBER
        assert view.check(BOB) is Membership.NOT_MEMBER
    (second.write if change[0] == "+" else second.delete)(change[1:])
    assert engine.recall(application, ANN) is None, "nobody has heard of the commit"
    engine.follow()
    recalled = {each: engine.recall(application, each) for each in (ANN, BOB)}
    assert ended == {each for each, answer in recalled.items() if answer is None}
    with engine.view(application) as view:
        for each, answer in recalled.items():
            # The other process remembers nothing.
            told = decided(second, each)
            assert answer in (None, (view.revision, told))
            assert view.decide(each) == told


def decided(door: Door, asked: CheckQuestion) -> Decision:
    with door.services.engine.view(door.caller.application) as view:
        return view.decide(asked)


def test_a_document_ends_all_answers_of_its_application(organisation: tuple[Door, Door]) -> None:
    first, second = organisation
    engine, application = first.services.engine, first.caller.application
    with engine.view(application) as view:
        view.check(ANN)
    second.services.models.put(second.caller, WITHOUT_FOLDERS).result()
    engine.follow()
    assert engine.recall(application, ANN) is None
    with engine.view(application) as view:
        assert view.check(ANN) is Membership.NOT_MEMBER


def test_a_narrow_closure_does_not_speak_for_a_wide_one(organisation: tuple[Door, Door]) -> None:
    """It may come in its place at the same revision, when memory is short: it holds no folders."""
    first, second = organisation
    first.write("document:d#parent@folder:inner")
    for number in range(10):
        first.write(f"group:team{number}#member@user:other{number}")
    application = first.caller.application
    engine = Engine(first.services.store, Limits(memo_bytes_max=2_500))
    asked = question("document:d#viewer@user:ann")

    def ask(*texts: str) -> list[Membership]:
        found = []
        for text in texts:
            with engine.view(application) as view:
                found.append(view.check(question(text)))
        return found

    def is_wide() -> bool:
        with engine.view(application) as view:
            naming = Naming(view.snapshot, view._state)
            node, slot, _, _ = naming.subject(asked.subject)
            table = view._state.table
            memo = engine.memos.get(table, (node, slot), view.revision, view.snapshot.now_ms)
            assert memo is not None
            assert memo.first == view.revision
            return memo.closure.wide

    ask(*(f"document:{name}#viewer@user:ann" for name in ("a", "a2", "a3")))
    ask(*(f"folder:{name}#viewer@user:ann" for name in ("inner", "inner2", "outer")))
    assert ask("document:d#viewer@user:ann") == [Membership.MEMBER]
    assert is_wide()
    ask(*(f"document:d#viewer@user:other{number}" for number in range(10)))
    ask("document:b#viewer@user:ann")
    assert not is_wide()
    second.delete("folder:inner#parent@folder:outer")
    engine.follow()
    assert engine.recall(application, asked) is None
    assert ask("document:d#viewer@user:ann") == [Membership.NOT_MEMBER]


def test_a_view_that_widens_late_leaves_nothing_to_the_narrow_closure(
    organisation: tuple[Door, Door],
) -> None:
    """What it makes is not kept any more, and the narrow one goes on when folders change."""
    first, second = organisation
    first.write("document:d#parent@folder:inner")
    application = first.caller.application
    engine = Engine(first.services.store, Limits())
    asked = question("document:d#viewer@user:ann")
    with engine.view(application) as view:
        for name in ("a", "b"):
            view.check(question(f"document:{name}#viewer@user:ann"))
    with engine.view(application) as late:
        second.delete("folder:inner#parent@folder:outer")
        engine.follow()
        assert late.check(asked) is Membership.MEMBER
    assert engine.recall(application, asked) is None
    with engine.view(application) as view:
        assert view.check(asked) is Membership.NOT_MEMBER


def test_what_changed_too_long_ago_to_be_known_ends_all(organisation: tuple[Door, Door]) -> None:
    """History is collected while this process asks nothing."""
    first, second = organisation
    engine, application = first.services.engine, first.caller.application
    with engine.view(application) as view:
        view.check(ANN)
    second.write("document:b#viewer@user:ann")
    second.write("document:b#viewer@user:carl")
    while second.services.store.collect(retention_s=0, steps=100):
        pass
    engine.follow()
    assert engine.recall(application, ANN) is None


def test_answers_of_large_commits_end_too(organisation: tuple[Door, Door]) -> None:
    """Their rows are taken in as columns."""
    first, second = organisation
    engine, application = first.services.engine, first.caller.application
    for touched in (False, True):
        with engine.view(application) as view:
            view.check(ANN)
        texts = [f"document:many{touched}{number}#viewer@user:carl" for number in range(100)]
        if touched:
            texts.append("document:a#banned@user:ann")
        rows = [Relationship.parse(text) for text in texts]
        second.services.relationships.bulk(second.caller, rows).result()
        engine.follow()
        assert (engine.recall(application, ANN) is None) is touched


def test_what_is_followed_first_ends_what_was_said_before() -> None:
    """What led there was not looked at; an empty store has answers too."""
    memos = Memos(0, lambda _: None)
    memos.follow(cast("Snapshot", SimpleNamespace(head=3)))
    assert memos.touched.since(1, NOBODY, 2)
    assert not memos.touched.since(1, NOBODY, 3)


def test_of_very_many_applications_none_is_told_from_another(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """They come and go; what is known of them is bounded."""
    monkeypatch.setattr(basis, "APPLICATIONS_MAX", 2)
    touched = Touched()
    for application in (1, 2):
        touched.note(ChangeSet(application, b"", [(application, "model", "current")]))
    assert [touched.since(application, NOBODY, 1) for application in (1, 2, 3)] == [
        False,
        True,
        False,
    ]
    touched.note(ChangeSet(3, b"", [(3, "model", "current")]))
    assert all(touched.since(each, NOBODY, 2) for each in (1, 2, 3, 4))
    assert not any(touched.since(each, NOBODY, 3) for each in (1, 2, 3, 4))


def test_documents_are_not_lost_between_two_looks() -> None:
    """Another thread may end all answers while one reads what was touched."""

    class Meanwhile(int):
        def __gt__(self, other: int) -> bool:
            touched.note_all(9)
            return int(self) > other

    touched = Touched()
    touched.note(ChangeSet(3, b"", [(1, "model", "current")]))
    touched._all = Meanwhile(0)
    assert touched.since(1, NOBODY, 2)


def test_the_basis_of_much_is_not_kept() -> None:
    """Nor of what no commit touches by the resource it is of."""
    key = (1, 2, 3, 4)
    assert basis_of([(HAS, [key, (5, *key[1:])])]) == (*NOBODY, 1, 5)
    assert basis_of([]) == NOBODY
    subject = Subject(7, 8)
    assert basis_of([(CLOSURE, (subject, False)), (MEETS, [key])]) == (7, 8, 0, 1)
    assert basis_of([(CLOSURE, (subject, False)), (CLOSURE, (subject, True))]) == (7, 8, 1)
    assert basis_of([(CLOSURE, (subject, True)), (CLOSURE, (subject, False))]) == (7, 8, 1)
    assert basis_of([(CLOSURE, (subject, False)), (CLOSURE, (Subject(9, 8), True))]) is None
    for kind in (RESOURCES, SUBJECTS_OF_ALL, RESOURCES_OF_ALL, SCOPES, GRANTS_ON, CLOSURES):
        assert basis_of([(HAS, [key]), (kind, [key])]) is None
    assert basis_of([(HAS, [key])] * ROUNDS_MAX) == (*NOBODY, 1)
    assert basis_of([(HAS, [key])] * (ROUNDS_MAX + 1)) is None
    assert basis_of([(HAS, [key] * (KEYS_MAX + 1))]) is None
    many = [(number, 2, 3, 4) for number in range(RESOURCES_MAX + 1)]
    assert basis_of([(HAS, many)]) is None
    assert basis_of([(HAS, many[1:])]) is not None

"""Closures: what they are made of, when they become wide, when they end, how many stay."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.applications import Installation
from tests.builders import model, question, rel, rels
from zeratul.dispatch import closures
from zeratul.dispatch.engine import Engine
from zeratul.dispatch.recent import RecentAnswers
from zeratul.domain.limits import Limits
from zeratul.domain.membership import Membership
from zeratul.domain.vocabulary import SELF

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from zeratul.dispatch.memos import Memo

NOW_MS = 2_000_000_000_000
FOLDERS = model(
    {
        "user": {},
        "group": {"member": "[user, group#member]"},
        "folder": {
            "parent": "[folder]",
            "viewer": "[user, group#member]",
            "read": "viewer or read from parent",
        },
        "document": {
            "parent": "[folder]",
            "viewer": "[user, group#member]",
            "read": "viewer or read from parent",
        },
    }
)
STORED = rels(
    "group:all#member@group:staff#member",
    "group:staff#member@user:ann",
    "group:staff#member@user:bob",
    "folder:root#viewer@group:all#member",
    "folder:mid#parent@folder:root",
    "folder:own#viewer@user:bob",
    "folder:deep#parent@folder:own",
    "document:low#parent@folder:mid",
    "document:kept#parent@folder:deep",
    "document:shared#viewer@group:all#member",
)


@pytest.fixture
def installed(tmp_path: Path) -> Iterator[Installation]:
    """An installation of the test's own."""
    opened = Installation(tmp_path)
    yield opened
    opened.close()


def memo_of(installed: Installation, application: int, type_name: str, name: str) -> Memo | None:
    """The memo of a user, or of a group's members."""
    with installed.engine.view(application) as view:
        type_slot = view.vocabulary.slots[type_name, SELF]
        node = view.snapshot.node(type_slot, name)
        slot = view.vocabulary.slots["group", "member"] if type_name == "group" else type_slot
        assert node is not None
        return view._state.table.entries.get((node, slot))


def ask(installed: Installation, application: int, text: str, *, times: int = 1) -> bool:
    """A check, each time as if nothing had been answered yet at this revision."""
    for _ in range(times):
        installed.engine._recent = RecentAnswers(installed.engine.memos)
        with installed.engine.view(application, now_ms=NOW_MS) as view:
            answer = view.check(question(text)) is Membership.MEMBER
    return answer


def test_what_needs_no_walk_is_never_made_wide(installed: Installation) -> None:
    """However often it is asked: the wide form costs more, and would not be used."""
    application = installed.create(FOLDERS, STORED)
    assert ask(installed, application, "document:shared#read@user:ann", times=20)
    memo = memo_of(installed, application, "user", "ann")
    assert memo is not None
    assert not memo.closure.wide
    assert memo.walks == 0


def test_walks_make_a_closure_wide_and_its_fellows_at_once(
    installed: Installation, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The groups are made wide with the first member; the next one is wide from the start."""
    monkeypatch.setattr(closures, "_WALKS_BEFORE_WIDE", 2)
    application = installed.create(FOLDERS, STORED)
    assert ask(installed, application, "document:low#read@user:ann", times=2)
    narrow = memo_of(installed, application, "user", "ann")
    assert narrow is not None
    assert not narrow.closure.wide
    assert ask(installed, application, "document:low#read@user:ann")
    wide = memo_of(installed, application, "user", "ann")
    group = memo_of(installed, application, "group", "staff")
    assert wide is not None
    assert wide.closure.wide
    assert group is not None
    assert group.closure.wide
    assert ask(installed, application, "document:low#read@user:bob")
    bob = memo_of(installed, application, "user", "bob")
    assert bob is not None
    assert bob.closure.wide
    # What only the user's own rows lead to is in it as well.
    assert ask(installed, application, "document:kept#read@user:bob")
    assert not ask(installed, application, "document:kept#read@user:ann")


def test_a_bulk_call_counts_the_walks_of_those_who_walked(installed: Installation) -> None:
    """What a group's row decided is no reason to make the subject's closure wide."""
    application = installed.create(FOLDERS, STORED)
    asked = ["document:shared#read@user:ann", "document:low#read@user:bob"]
    with installed.engine.view(application, now_ms=NOW_MS) as view:
        assert view.check_many([question(text) for text in asked]) == [Membership.MEMBER] * 2
    ann, bob = (memo_of(installed, application, "user", name) for name in ("ann", "bob"))
    assert ann is not None
    assert ann.walks == 0
    assert bob is not None
    assert bob.walks == 1


def test_a_closure_that_would_be_too_wide_stays_narrow(
    installed: Installation, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is tried twice, for the user and for the group it is in; answers are the same."""
    monkeypatch.setattr(closures, "_WALKS_BEFORE_WIDE", 1)
    monkeypatch.setattr(closures, "_WIDE_READS_FEW", 1)
    monkeypatch.setattr(closures, "_WALKS_BEFORE_LAST", 3)
    monkeypatch.setattr(closures, "_WIDE_READS_MAX", 2)
    application = installed.create(FOLDERS, STORED)
    for times, tries in ((1, 0), (1, 1), (1, 1), (1, 2), (5, 2)):
        assert ask(installed, application, "document:low#read@user:ann", times=times)
        for type_name, name in (("user", "ann"), ("group", "staff")):
            memo = memo_of(installed, application, type_name, name)
            assert memo is not None
            assert not memo.closure.wide
            assert tries == memo.tries
            assert memo.may_widen == (tries < 2)


def test_what_is_not_worth_it_early_may_be_so_later(
    installed: Installation, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The group is made wide with the member that walked most."""
    monkeypatch.setattr(closures, "_WALKS_BEFORE_WIDE", 1)
    monkeypatch.setattr(closures, "_WIDE_READS_FEW", 2)
    monkeypatch.setattr(closures, "_WALKS_BEFORE_LAST", 3)
    application = installed.create(FOLDERS, STORED)
    assert ask(installed, application, "document:low#read@user:ann", times=4)
    for type_name, name in (("user", "ann"), ("group", "staff")):
        memo = memo_of(installed, application, type_name, name)
        assert memo is not None
        assert memo.closure.wide


def test_a_closure_ends_when_one_it_was_put_together_from_does(installed: Installation) -> None:
    """The row that expires was read for a fellow member, in an earlier view."""
    application = installed.create(
        FOLDERS,
        [
            rel("group:all#member@group:staff#member", expires_at_ms=NOW_MS + 1_000),
            *(fact for fact in STORED if str(fact) != "group:all#member@group:staff#member"),
        ],
    )
    assert ask(installed, application, "document:shared#read@user:ann")
    assert ask(installed, application, "document:shared#read@user:bob")
    with installed.engine.view(application, now_ms=NOW_MS + 1_000) as view:
        answer = view.check(question("document:shared#read@user:bob"))
    assert answer is Membership.NOT_MEMBER


def test_memos_of_all_applications_share_one_limit(installed: Installation) -> None:
    """The largest table gives its oldest; whatever was dropped is made again."""
    size = 1_000
    installed.engine = Engine(installed.store, Limits(memo_bytes_max=10 * size))
    users = [f"user:u{number}" for number in range(40)]
    members = rels(*(f"group:staff#member@{user}" for user in users))
    applications = [installed.create(FOLDERS, [*STORED, *members]) for _ in range(3)]
    for application in applications:
        for user in users:
            assert ask(installed, application, f"document:shared#read@{user}")
    tables = [installed.engine._states[each].table for each in applications]
    held = sum(memo.size for table in tables for memo in table.entries.values())
    assert 5 * size < held <= 10 * size
    assert held == sum(table.size for table in tables) == installed.engine.memos.bytes_held
    assert all(table.entries for table in tables)
    for application in applications:
        assert ask(installed, application, "document:shared#read@user:u0")
    installed.put_model(applications[0], FOLDERS)
    with installed.engine.view(applications[1]):
        left = sum(table.size for table in tables[1:])
        assert left == installed.engine.memos.bytes_held

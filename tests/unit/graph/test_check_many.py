"""Many questions at once share what they have in common: what is read, and what is told."""

from __future__ import annotations

from typing import Any

import pytest
from pyroaring import BitMap

from tests.builders import plan_of
from zeratul.domain.membership import Membership
from zeratul.domain.vocabulary import SELF
from zeratul.errors import LimitError
from zeratul.graph.check_many import check_many
from zeratul.graph.requests import (
    CLOSURES,
    HAS,
    MEETS,
    SUBJECTS,
    WALKED,
    Budget,
    Closure,
    Subject,
)

TYPES = {
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


PLAN = plan_of(TYPES, roles=False)
SLOTS = PLAN.vocabulary.slots
READ = SLOTS["document", "read"]
YES, NO = Membership.MEMBER, Membership.NOT_MEMBER


def user(node: int) -> Subject:
    """A plain subject."""
    return Subject(node, SLOTS["user", SELF])


class Stored:
    """Rows (node, relation of which type, subject's form, subject), and closures of groups."""

    def __init__(self) -> None:
        self.rows: set[tuple[int, int, int, int]] = set()
        self.groups: dict[int, BitMap] = {}
        self.declined: set[int] = set()
        self.asked: list[tuple[int, Any]] = []

    def row(self, node: int, slot: tuple[str, str], form: tuple[str, str], subject: int) -> None:
        """Store one."""
        self.rows.add((node, SLOTS[slot], SLOTS[form], subject))

    def answer(self, kind: int, keys: Any) -> Any:
        """One request's answers."""
        self.asked.append((kind, list(keys)))
        if kind == HAS:
            return [key in self.rows for key in keys]
        if kind == CLOSURES:
            member = SLOTS["group", "member"]
            return [
                None
                if each.node in self.declined
                else Closure(
                    {member: self.groups[each.node]} if each.node in self.groups else {},
                    wide=False,
                )
                for each in keys
            ]
        if kind == MEETS:
            return [
                next((n for n in inside if (*key, n) in self.rows), None) for *key, inside in keys
            ]
        if kind == SUBJECTS:
            return [BitMap(row[3] for row in self.rows if row[:3] == tuple(key)) for key in keys]
        assert kind == WALKED
        return []

    def keys(self, kind: int) -> list[Any]:
        """All keys that were asked for of a kind."""
        return [key for asked, keys in self.asked if asked == kind for key in keys]

    def run(self, questions: list[tuple[Subject, int, int]], reads: int = 10_000) -> Any:
        """What ``check_many`` comes to."""
        evaluation = check_many(PLAN, questions, Budget(reads, "check_reads_max"))
        answers = None
        while True:
            try:
                kind, keys = evaluation.send(answers)
            except StopIteration as stop:
                return stop.value
            answers = self.answer(kind, keys)


@pytest.fixture
def stored() -> Stored:
    """Documents 10 to 19 in folder 20, which is in 21, which is in 22 and 20: a circle."""
    made = Stored()
    for document in range(10, 20):
        made.row(document, ("document", "parent"), ("folder", SELF), 20)
    made.row(20, ("folder", "parent"), ("folder", SELF), 21)
    made.row(21, ("folder", "parent"), ("folder", SELF), 20)
    made.row(21, ("folder", "parent"), ("folder", SELF), 22)
    made.row(22, ("folder", "viewer"), ("user", SELF), 1)
    made.row(15, ("document", "viewer"), ("group", "member"), 30)
    made.groups[2] = BitMap([30])
    return made


def test_questions_of_one_subject_share_the_folders_above(stored: Stored) -> None:
    """Ten documents of one folder: each is looked at, and the folders above it once."""
    assert stored.run([(user(1), node, READ) for node in range(10, 20)]) == [YES] * 10
    viewer = SLOTS["folder", "viewer"]
    assert [key[0] for key in stored.keys(HAS) if key[1] == viewer] == [20, 21, 22]
    assert len(stored.keys(SUBJECTS)) == 10 + 2


def test_subjects_share_what_is_read_above(stored: Stored) -> None:
    """A folder's own folders are the same whoever asks; a circle ends."""
    asked = [(user(subject), 10, READ) for subject in (1, 3, 4)]
    assert stored.run(asked) == [YES, NO, NO]
    parents = [key[0] for key in stored.keys(SUBJECTS)]
    assert parents == [10, 20, 21, 22]


def test_reads_are_in_the_order_of_their_nodes(stored: Stored) -> None:
    """Whatever the order of the questions is; the answers keep theirs."""
    nodes = [14, 11, 15, 10]
    asked = [(user(2), node, READ) for node in nodes]
    assert stored.run(asked) == [NO, NO, YES, NO]
    kind, first = stored.asked[0]
    assert kind == HAS
    assert [key[0] for key in first] == sorted(nodes)


def test_the_same_question_is_decided_once(stored: Stored) -> None:
    """And answered each time."""
    asked = [(user(1), 10, READ), (user(2), 15, READ), (user(1), 10, READ)]
    assert stored.run(asked) == [YES, YES, YES]
    assert len([key for key in stored.keys(HAS) if key[0] == 10]) == 1


def test_only_who_walks_is_said_to(stored: Stored) -> None:
    """A closure that decided is not made wide for what another subject had to follow."""
    assert stored.run([(user(2), 15, READ), (user(1), 10, READ)]) == [YES, YES]
    assert stored.keys(WALKED) == [user(1)]
    assert 15 not in {key[0] for key in stored.keys(SUBJECTS)}


def test_a_declined_closure_gives_back_what_is_open(stored: Stored) -> None:
    """What a row decides is decided; the rest of that subject is to be asked alone."""
    stored.declined.add(1)
    stored.row(11, ("document", "viewer"), ("user", SELF), 1)
    asked = [(user(1), 10, READ), (user(1), 11, READ), (user(2), 15, READ)]
    assert stored.run(asked) == [None, YES, YES]


def test_a_userset_is_in_itself(stored: Stored) -> None:
    """Without a row of its own."""
    readers = Subject(10, READ)
    assert stored.run([(readers, 10, READ), (readers, 11, READ)]) == [YES, NO]


def test_a_question_by_two_ways_comes_to_a_goal_once(stored: Stored) -> None:
    """Ways that part and meet again would double what is carried with each step."""
    for level in range(40, 60, 3):
        for side in (level + 1, level + 2):
            stored.row(level, ("folder", "parent"), ("folder", SELF), side)
            stored.row(side, ("folder", "parent"), ("folder", SELF), level + 3)
    stored.row(12, ("document", "parent"), ("folder", SELF), 40)
    assert stored.run([(user(3), 12, READ)], reads=200) == [NO]


def test_too_many_reads_decide_nothing(stored: Stored) -> None:
    """The budget is of all questions together."""
    with pytest.raises(LimitError):
        stored.run([(user(1), node, READ) for node in range(10, 20)], reads=15)


def in_folder(stored: Stored, node: int, above: int, kind: str = "folder") -> None:
    """Put a folder, or a document, into a folder."""
    stored.row(node, (kind, "parent"), ("folder", SELF), above)


def test_a_folder_left_out_for_a_decided_question_is_looked_at_for_a_later_one() -> None:
    """62 says yes to document 10 while 61 waits; document 11 comes to 61 a round later."""
    stored = Stored()
    in_folder(stored, 10, 61, "document")
    in_folder(stored, 10, 62, "document")
    stored.row(62, ("folder", "viewer"), ("user", SELF), 1)
    in_folder(stored, 11, 63, "document")
    in_folder(stored, 63, 61)
    in_folder(stored, 61, 64)
    stored.row(64, ("folder", "viewer"), ("user", SELF), 1)
    assert stored.run([(user(1), 10, READ), (user(1), 11, READ)]) == [YES, YES]


@pytest.mark.parametrize("is_ring", [False, True])
def test_folders_above_one_another_are_walked_once_for_all(*, is_ring: bool) -> None:
    """A document in each folder of a deep tree: the questions come to a folder one after another.

    What they share is looked at once, so a call costs no more than its rows.
    """
    stored = Stored()
    depth = 400
    for level in range(depth):
        in_folder(stored, 1_000 + level, 2_000 + level, "document")
        if is_ring or level + 1 < depth:
            in_folder(stored, 2_000 + level, 2_000 + (level + 1) % depth)
    stored.row(2_000 + depth - 1, ("folder", "viewer"), ("user", SELF), 1)
    documents = range(1_000, 1_000 + depth)
    asked = [(user(subject), node, READ) for subject in (1, 2) for node in documents]
    assert stored.run(asked, reads=20 * depth) == [YES] * depth + [NO] * depth
    assert len(stored.keys(SUBJECTS)) <= 2 * 2 * depth

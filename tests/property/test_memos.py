"""Memos die precisely: never too late, whoever wrote and however many readers there are.

Method: one writer toggles relationships and remembers what held after which revision; readers note
the revision and the answers of each of their views. Afterwards every note is held against the
writer's book, so nothing depends on timing.
"""

from __future__ import annotations

import threading
from bisect import bisect_right
from typing import TYPE_CHECKING, Any

import pytest

from tests import builders
from zeratul.domain.membership import Membership

if TYPE_CHECKING:
    from tests.applications import Installation, Peer


def model(reader: str) -> dict[str, Any]:
    """The model with one rule or the other."""
    document = {"viewer": "[group#member]", "banned": "[group#member]", "reader": reader}
    member = "[user, user:*, group#member]"
    return builders.model({"user": {}, "group": {"member": member}, "document": document})


MODEL = model("viewer but not banned")
LENIENT = model("viewer")
STORED = builders.rels(
    "document:d#viewer@group:0#member",
    "group:0#member@group:1#member",
    "group:1#member@group:2#member",
    "group:2#member@user:u",
)
TOGGLED = builders.rels(
    "group:2#member@user:u",
    "group:1#member@group:2#member",
    "document:d#viewer@group:0#member",
    "document:d#banned@group:1#member",
    "group:0#member@user:*",
)
QUESTIONS = [
    builders.question("document:d#viewer@user:u"),
    builders.question("document:d#reader@user:u"),
    builders.question("group:0#member@user:v"),
    builders.question("document:d#viewer@group:2#member"),
]
TOGGLES = 400
READERS = 3


def holds(stored: set[Any], *, lenient: bool = False) -> list[bool]:
    """What the questions come to, worked out by hand for these very relationships."""
    direct, nested, viewed, banned, everybody = (row in stored for row in TOGGLED)
    inner = nested and direct
    viewer = viewed and (inner or everybody)
    is_banned = banned and inner
    return [viewer, viewer and (lenient or not is_banned), everybody, viewed and nested]


def toggle(process: Installation | Peer, application: int) -> list[tuple[int, list[bool]]]:
    """Write, delete and change the model in turn; (revision, what holds from then on)."""
    stored = set(STORED)
    lenient = False
    book: list[tuple[int, list[bool]]] = []
    for number in range(TOGGLES):
        row = TOGGLED[(number * number + number // 3) % len(TOGGLED)]
        if number % 7 == 0:
            lenient = not lenient
            revision = process.put_model(application, LENIENT if lenient else MODEL)
        elif row in stored:
            stored.remove(row)
            revision = process.write(application, [], [row])
        else:
            stored.add(row)
            revision = process.write(application, [row])
        book.append((revision, holds(stored, lenient=lenient)))
    return book


def read(
    installation: Installation, application: int, done: threading.Event
) -> list[tuple[int, list[bool]]]:
    """Ask until the writer is done; (revision, answers) of each view."""
    notes: list[tuple[int, list[bool]]] = []
    while not done.is_set():
        with installation.engine.view(application) as view:
            answers = [view.check(question) is Membership.MEMBER for question in QUESTIONS]
            notes.append((view.revision, answers))
    return notes


@pytest.mark.slow
@pytest.mark.parametrize("writer", ["this process", "the other process"])
def test_every_view_answers_as_of_its_revision(
    installation: Installation, peer: Peer, writer: str
) -> None:
    """Threads that share one engine, a writer beside them or in another process."""
    application = installation.create(MODEL, STORED)
    with installation.engine.view(application) as view:
        first = view.revision
    done = threading.Event()
    notes: list[tuple[int, list[bool]]] = []
    failures: list[BaseException] = []

    def reader() -> None:
        try:
            notes.extend(read(installation, application, done))
        except BaseException as error:  # noqa: BLE001 - shown by the assertion below
            failures.append(error)

    threads = [threading.Thread(target=reader) for _ in range(READERS)]
    for thread in threads:
        thread.start()
    try:
        process = installation if writer == "this process" else peer
        book = [(first, holds(set(STORED))), *toggle(process, application)]
    finally:
        done.set()
        for thread in threads:
            thread.join()
    assert not failures
    revisions = [revision for revision, _ in book]
    assert len({revision for revision, _ in notes}) > 1
    for revision, answers in notes:
        assert answers == book[bisect_right(revisions, revision) - 1][1], revision


@pytest.mark.parametrize("size", [10, 500])
def test_a_bulk_write_kills_what_it_touches(
    installation: Installation, peer: Peer, size: int
) -> None:
    """Few and many rows in one commit of another process, after answers that are remembered."""
    application = installation.create(MODEL, STORED)
    users = [f"user:x{number}" for number in range(size)]
    probes = [("check", (builders.question(f"document:d#viewer@{user}"),)) for user in users]
    rows = builders.rels(*(f"group:2#member@{user}" for user in users))
    assert installation.ask(application, probes) == [Membership.NOT_MEMBER] * size
    peer.write(application, rows)
    assert installation.ask(application, probes) == [Membership.MEMBER] * size
    peer.write(application, [], rows)
    assert installation.ask(application, probes) == [Membership.NOT_MEMBER] * size


def test_a_model_change_beside_a_bulk_write_leaves_other_applications_alone(
    installation: Installation,
) -> None:
    """Changes of an application that nobody here has open any more are passed over."""
    kept = installation.create(MODEL, STORED)
    changed = installation.create(MODEL, STORED)
    probes = [("check", (QUESTIONS[0],))]
    assert installation.ask(kept, probes) == installation.ask(changed, probes)
    installation.put_model(changed, MODEL)
    installation.write(changed, builders.rels(*(f"group:1#member@user:{n}" for n in range(200))))
    assert installation.ask(kept, probes) == [Membership.MEMBER]
    installation.write(changed, [], STORED)
    assert installation.ask(changed, probes) == [Membership.NOT_MEMBER]


def test_names_that_come_later_are_no_strangers(installation: Installation, peer: Peer) -> None:
    """What was answered about an unknown name does not stick to it once it is stored."""
    application = installation.create(MODEL, STORED)
    probes = [
        ("check", (builders.question("document:d#viewer@user:new"),)),
        ("check", (builders.question("document:d#viewer@group:new#member"),)),
        ("check", (builders.question("document:new#viewer@user:u"),)),
    ]
    assert installation.ask(application, probes) == [Membership.NOT_MEMBER] * 3
    peer.write(
        application,
        builders.rels(
            "group:2#member@group:new#member",
            "group:new#member@user:new",
            "document:new#viewer@group:1#member",
        ),
    )
    assert installation.ask(application, probes) == [Membership.MEMBER] * 3

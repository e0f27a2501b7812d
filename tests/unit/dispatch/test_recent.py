"""Answers of the newest revision: kept while nothing is committed, and no longer."""

from __future__ import annotations

from typing import TYPE_CHECKING

import zeratul
from tests.builders import model, question
from zeratul.dispatch import recent
from zeratul.dispatch.recent import RecentAnswers
from zeratul.domain.membership import Membership
from zeratul.graph.answers import Decision

if TYPE_CHECKING:
    from pathlib import Path

    import pytest

EITHER = model({"document": {"editor": "[user]", "viewer": "[user] or editor"}})
VIEWERS_ONLY = model({"document": {"editor": "[user]", "viewer": "[user]"}})
ASKED = question("document:a#viewer@user:u")
NO = Decision(Membership.NOT_MEMBER, via_relationships=False, via_role=False)
YES = Decision(Membership.MEMBER, via_relationships=True, via_role=None)


def test_a_past_revision_is_not_answered_by_what_an_older_model_said(tmp_path: Path) -> None:
    """The past is read under today's model, also right after the model changed."""
    with zeratul.open(tmp_path) as door:
        door.put_model(EITHER)
        door.write("document:a#editor@user:u")
        engine, application = door.services.engine, door.caller.application
        with engine.view(application) as view:
            revision = view.revision
            assert view.check(ASKED) is Membership.MEMBER
        door.put_model(VIEWERS_ONLY)
        with engine.view(application, revision=revision) as pinned:
            assert pinned.check(ASKED) is Membership.NOT_MEMBER


def test_earlier_times_are_not_answered() -> None:
    """A row that has expired was there before: answers hold from their time on."""
    answers = RecentAnswers(7)
    answers.put(1, ASKED, 100, NO)
    assert answers.get(1, ASKED, 100) is NO
    assert answers.get(1, ASKED, 101) is NO
    assert answers.get(1, ASKED, 99) is None
    assert answers.get(2, ASKED, 100) is None


def test_a_tenant_is_part_of_the_question() -> None:
    """What is asked in one tenant is not answered by what was asked in another, or in none."""
    answers = RecentAnswers(7)
    answers.put(1, ASKED._replace(tenant="t"), 100, YES)
    assert answers.get(1, ASKED._replace(tenant="t"), 100) is YES
    assert answers.get(1, ASKED._replace(tenant="u"), 100) is None
    assert answers.get(1, ASKED, 100) is None


def test_the_oldest_go_when_two_generations_are_full(monkeypatch: pytest.MonkeyPatch) -> None:
    """What is asked again stays, what is not goes; memory is bounded."""
    monkeypatch.setattr(recent, "GENERATION_MAX", 2)
    answers = RecentAnswers(7)
    asked = [question(f"document:{n}#viewer@user:u") for n in range(6)]
    for each in asked[:3]:
        answers.put(1, each, 1, YES)
    assert answers.get(1, asked[0], 1) is YES
    for each in asked[3:]:
        answers.put(1, each, 1, YES)
    assert answers.get(1, asked[1], 1) is None
    assert answers.get(1, asked[5], 1) is YES

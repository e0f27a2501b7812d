"""The permissions of a real organisation: every known answer, every member, as many denials.

Expected answers were computed by brute force elsewhere: 390 sets of who can do something to a
repository and 971 sets of what a person can do. A pair that is in no set is denied.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import orjson
import pytest

from tests.builders import resource, subject
from zeratul.domain.membership import Membership
from zeratul.domain.relationship import Relationship
from zeratul.graph.answers import CheckQuestion

if TYPE_CHECKING:
    from tests.applications import Installation

DATA = Path(__file__).parents[3] / "shared" / "data" / "github-org"

MEMBERS = 6_167

pytestmark = [
    pytest.mark.skipif(not DATA.exists(), reason="the organisation's data are not here"),
    pytest.mark.slow,
]


@pytest.fixture(scope="module")
def expected() -> dict[str, dict[str, list[str]]]:
    """Both directions of the known answers."""
    answers: dict[str, dict[str, list[str]]] = orjson.loads(
        (DATA / "kubernetes.expected.json").read_bytes()
    )
    assert (len(answers["who_can"]), len(answers["what_can"])) == (390, 971)
    return answers


@pytest.fixture(scope="module")
def organisation(installation: Installation) -> int:
    """An application that holds the organisation."""
    lines = (DATA / "kubernetes.ndjson").read_bytes().splitlines()
    rows = [relationship(orjson.loads(line)) for line in lines]
    return installation.create(orjson.loads((DATA / "model.json").read_bytes()), rows)


def relationship(row: dict[str, str]) -> Relationship:
    """One line of the data."""
    return Relationship(*resource(row["resource"]), row["relation"], *subject(row["subject"]))


def test_who_can(
    installation: Installation, organisation: int, expected: dict[str, dict[str, list[str]]]
) -> None:
    """Each of the 390 sets is listed exactly."""
    keys = list(expected["who_can"])
    asked = [key.rsplit("#", 1) for key in keys]
    answers = installation.ask(
        organisation,
        [("lookup_subjects", (resource(name), relation, "user")) for name, relation in asked],
    )
    for key, answer in zip(keys, answers, strict=True):
        assert not answer.wildcard
        found = {f"user:{subject_id}" for subject_id in answer.explicit}
        assert found == set(expected["who_can"][key]), key


def test_what_can(
    installation: Installation, organisation: int, expected: dict[str, dict[str, list[str]]]
) -> None:
    """Each of the 971 sets is listed exactly."""
    keys = list(expected["what_can"])
    asked = [key.rsplit("#", 1) for key in keys]
    answers = installation.ask(
        organisation,
        [("lookup_resources", (subject(name), "repo", relation)) for name, relation in asked],
    )
    for key, answer in zip(keys, answers, strict=True):
        found = {f"repo:{resource_id}" for resource_id in answer.ids}
        assert found == set(expected["what_can"][key]), key


@pytest.mark.parametrize("method", ["check", "check_many"])
def test_every_member_and_as_many_denied(
    installation: Installation,
    organisation: int,
    expected: dict[str, dict[str, list[str]]],
    method: str,
) -> None:
    """Each of the 6,167 members is allowed; beside each, somebody who is not is denied."""
    questions: list[CheckQuestion] = []
    answers: list[Membership] = []
    everybody = sorted({user for users in expected["who_can"].values() for user in users})
    everybody += [f"user:stranger-{number}" for number in range(len(everybody))]
    for key, users in expected["who_can"].items():
        name, relation = key.rsplit("#", 1)
        members = set(users)
        others = [user for user in everybody if user not in members][: len(members)]
        for user in [*users, *others]:
            questions.append(CheckQuestion(subject(user), resource(name), relation))
            answers.append(Membership.MEMBER if user in members else Membership.NOT_MEMBER)
    assert answers.count(Membership.MEMBER) == answers.count(Membership.NOT_MEMBER) == MEMBERS
    probes: list[tuple[str, Any]] = [("check", (question,)) for question in questions]
    if method == "check_many":
        probes = [("check_many", (questions,))]
    found = installation.ask(organisation, probes)
    assert (found[0] if method == "check_many" else found) == answers

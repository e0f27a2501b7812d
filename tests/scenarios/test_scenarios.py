"""One small file per situation: a model, relationships, and what has to be answered.

Each runs on the reference, on the engine with its relationships stored, and on the engine with
them sent along with every question. The form of a file:

    about               one sentence
    model               type -> relation -> rule, as ``tests.builders.model`` reads them
    now_ms              when it is asked (optional)
    relationships       texts, or {"relationship": text, "expires_at_ms": time}
    check               question as a relationship's text -> yes or no
    lookup_resources    "type#relation@subject" -> ids
    lookup_subjects     "type:id#relation@form" -> explicit ids, wildcard, exceptions
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import orjson
import pytest

from tests.builders import model, question, rel, resource, subject
from tests.reference.evaluator import Reference
from zeratul.domain.membership import Membership
from zeratul.language.openfga import compile_model

if TYPE_CHECKING:
    from tests.applications import Installation
    from zeratul.domain.relationship import Relationship

FILES = sorted(Path(__file__).parent.glob("*.json"))

Scenario = dict[str, Any]


@pytest.fixture(params=FILES, ids=lambda path: path.stem)
def scenario(request: pytest.FixtureRequest) -> Scenario:
    """One situation."""
    read: Scenario = orjson.loads(request.param.read_bytes())
    assert read["about"]
    assert read["check"]
    return read


def relationships(scenario: Scenario) -> list[Relationship]:
    """What is stored in it."""
    return [
        rel(row)
        if isinstance(row, str)
        else rel(row["relationship"], expires_at_ms=row["expires_at_ms"])
        for row in scenario["relationships"]
    ]


def resources_asked(text: str) -> tuple[Any, ...]:
    """Arguments of a lookup of resources."""
    goal, _, asking = text.partition("@")
    type_name, _, relation = goal.partition("#")
    return subject(asking), type_name, relation


def subjects_asked(text: str) -> tuple[Any, ...]:
    """Arguments of a lookup of subjects."""
    goal, _, form = text.rpartition("@")
    resource_text, _, relation = goal.partition("#")
    type_name, _, subject_relation = form.partition("#")
    return resource(resource_text), relation, type_name, subject_relation


def test_on_the_reference(scenario: Scenario) -> None:
    """The reference answers as the file says."""
    reference = Reference(
        compile_model(model(scenario["model"])), relationships(scenario), scenario.get("now_ms", 0)
    )
    for text, allowed in scenario["check"].items():
        assert (reference.check(*question(text)) is Membership.MEMBER) == allowed, text
    for text, ids in scenario["lookup_resources"].items():
        assert reference.lookup_resources(*resources_asked(text)) == set(ids), text
    for text, expected in scenario["lookup_subjects"].items():
        answer = reference.lookup_subjects(*subjects_asked(text))
        assert answer.wildcard == expected.get("wildcard", False), text
        if answer.wildcard:  # The reference lists every member, named or not.
            assert set(expected["explicit"]) <= answer.explicit, text
            assert set(expected["exceptions"]) <= answer.exceptions, text
            assert not set(expected["exceptions"]) & answer.explicit, text
        else:
            assert answer.explicit == set(expected["explicit"]), text


def test_stored(installation: Installation, scenario: Scenario) -> None:
    """The engine answers as the file says, and lists exactly what it lists; cold and warm."""
    application = installation.create(model(scenario["model"]), relationships(scenario))
    now_ms = scenario.get("now_ms")
    checks = {text: ("check", (question(text),)) for text in scenario["check"]}
    resources = {
        text: ("lookup_resources", resources_asked(text)) for text in scenario["lookup_resources"]
    }
    subjects = {
        text: ("lookup_subjects", subjects_asked(text)) for text in scenario["lookup_subjects"]
    }
    probes = [*checks.values(), *resources.values(), *subjects.values()]
    for _ in ("cold", "warm"):
        answers = iter(installation.ask(application, probes, now_ms=now_ms))
        for text, allowed in scenario["check"].items():
            assert (next(answers) == Membership.MEMBER) == allowed, text
        for text, ids in scenario["lookup_resources"].items():
            assert next(answers).ids == set(ids), text
        for text, expected in scenario["lookup_subjects"].items():
            answer = next(answers)
            assert answer.explicit == set(expected["explicit"]), text
            assert answer.wildcard == expected.get("wildcard", False), text
            assert answer.exceptions == set(expected.get("exceptions", ())), text


def test_many_at_once(installation: Installation, scenario: Scenario) -> None:
    """The engine answers all checks in one call as the file says."""
    application = installation.create(model(scenario["model"]), relationships(scenario))
    asked = [question(text) for text in scenario["check"]]
    [answers] = installation.ask(
        application, [("check_many", (asked,))], now_ms=scenario.get("now_ms")
    )
    for (text, allowed), answer in zip(scenario["check"].items(), answers, strict=True):
        assert (answer == Membership.MEMBER) == allowed, text


def test_sent_along(installation: Installation, scenario: Scenario) -> None:
    """With nothing stored and all of it sent with the question, the answers are the same."""
    application = installation.create(model(scenario["model"]))
    now_ms = scenario.get("now_ms", 0)
    rows = [
        row._replace(expires_at_ms=None)
        for row in relationships(scenario)
        if row.expires_at_ms is None or row.expires_at_ms > now_ms
    ]
    for text, allowed in scenario["check"].items():
        [one, [among_many]] = installation.ask(
            application,
            [("check", (question(text), rows)), ("check_many", ([question(text)], rows))],
        )
        assert (one == Membership.MEMBER) == allowed, text
        assert one == among_many, text

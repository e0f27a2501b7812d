"""The OpenFGA sample stores without conditions: every assertion, on the reference and the engine.

Each assertion was confirmed on OpenFGA itself, so this is where our reading of the language meets
theirs. A test's tuples are added to its store's.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import orjson
import pytest

from tests.builders import resource, subject
from tests.reference.evaluator import Reference, SubjectSet
from zeratul.domain.membership import Membership
from zeratul.domain.relationship import Relationship
from zeratul.graph.answers import CheckQuestion
from zeratul.language.openfga import compile_model

if TYPE_CHECKING:
    from tests.applications import Installation, Subjects
    from tests.property.agreement import Probe

DATA = Path(__file__).parents[3] / "shared" / "data" / "openfga-sample-stores" / "compiled.json"
ASSERTIONS = 179

pytestmark = pytest.mark.skipif(not DATA.exists(), reason="the sample stores are not here")


def stores() -> list[dict[str, Any]]:
    """The stores that need no conditions."""
    if not DATA.exists():
        return []
    return [store for store in orjson.loads(DATA.read_bytes()) if not store["conditions"]]


def situations() -> list[Any]:
    """One parameter per test of each store."""
    return [
        pytest.param(store, test, id=f"{store['name']}-{index}")
        for store in stores()
        for index, test in enumerate(store["tests"])
    ]


def relationship(row: dict[str, str]) -> Relationship:
    """A tuple in OpenFGA's words."""
    return Relationship(*resource(row["object"]), row["relation"], *subject(row["user"]))


def shown(answer: SubjectSet | Subjects, form: dict[str, str]) -> set[str]:
    """A lookup's answer in OpenFGA's words; the wildcard is one user called ``*``."""
    suffix = f"#{form['relation']}" if "relation" in form else ""
    users = {f"{form['type']}:{subject_id}{suffix}" for subject_id in answer.explicit}
    return users | ({f"{form['type']}:*"} if answer.wildcard else set())


def probes(test: dict[str, Any]) -> list[tuple[Probe, Any]]:
    """What a test asks, with what it expects."""
    found: list[tuple[Probe, Any]] = []
    for asked in test["check"]:
        question = CheckQuestion(
            subject(asked["user"]), resource(asked["object"]), asked["relation"]
        )
        expected = Membership.MEMBER if asked["allowed"] else Membership.NOT_MEMBER
        found.append((("check", (question,)), expected))
    for asked in test["list_objects"]:
        whose = (subject(asked["user"]), asked["type"], asked["relation"])
        found.append((("lookup_resources", whose), asked))
    for asked in test["list_users"]:
        [form] = asked["user_filter"]
        form_asked = (form["type"], form.get("relation", ""))
        whom = (resource(asked["object"]), asked["relation"], *form_asked)
        found.append((("lookup_subjects", whom), asked))
    return found


def test_no_assertion_is_left_out() -> None:
    """All of them are asked below."""
    asked = sum(len(probes(test)) for store in stores() for test in store["tests"])
    assert asked == ASSERTIONS


@pytest.mark.parametrize(("store", "test"), situations())
def test_the_engine_agrees(
    installation: Installation, store: dict[str, Any], test: dict[str, Any]
) -> None:
    """The engine answers every assertion as OpenFGA does, and lists exactly what it lists."""
    rows = [relationship(row) for row in store["tuples"] + test["tuples"]]
    application = installation.create(store["model"], rows)
    asked = probes(test)
    answers = installation.ask(application, [probe for probe, _ in asked])
    for ((method, arguments), expected), answer in zip(asked, answers, strict=True):
        if method == "check":
            assert answer == expected, arguments
        elif method == "lookup_resources":
            found = {f"{expected['type']}:{resource_id}" for resource_id in answer.ids}
            assert found == set(expected["objects"]), arguments
        else:
            [form] = expected["user_filter"]
            assert shown(answer, form) == set(expected["users"]), arguments


@pytest.mark.parametrize(("store", "test"), situations())
def test_the_reference_agrees(store: dict[str, Any], test: dict[str, Any]) -> None:
    """The reference answers every assertion as OpenFGA does."""
    rows = [relationship(row) for row in store["tuples"] + test["tuples"]]
    reference = Reference(compile_model(store["model"]), rows)
    for (method, arguments), expected in probes(test):
        if method == "check":
            [question] = arguments
            assert reference.check(*question) is expected, question
        elif method == "lookup_resources":
            ids = reference.lookup_resources(*arguments)
            found = {f"{expected['type']}:{resource_id}" for resource_id in ids}
            assert found == set(expected["objects"]), arguments
        else:
            [form] = expected["user_filter"]
            answer = reference.lookup_subjects(*arguments)
            if answer.wildcard:  # The reference lists every member, named or not.
                assert set(expected["users"]) <= shown(answer, form), arguments
                assert f"{form['type']}:*" in expected["users"], arguments
            else:
                assert shown(answer, form) == set(expected["users"]), arguments

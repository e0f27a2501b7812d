"""Limits of a model: named, with their value, and reached without a crash."""

import pytest

from tests.builders import model
from tests.unit.language.refused import VIEWER, findings_of, one_finding, with_rewrite
from zeratul.domain.limits import Limits
from zeratul.language.findings import FINDINGS_LISTED_MAX
from zeratul.language.openfga import compile_model


def nested(depth: int) -> dict[str, object]:
    rewrite: dict[str, object] = {"computedUserset": {"relation": "owner"}}
    for _ in range(depth - 1):
        rewrite = {"union": {"child": [rewrite]}}
    return rewrite


def test_more_types_than_allowed_are_refused():
    limits = Limits(model_types_max=2)
    compile_model(model({"a": {}, "b": {}}), limits=limits)

    assert ("type_definitions", "more than 2 types (model_types_max)") == one_finding(
        model({"a": {}, "b": {}, "c": {}}), limits
    )


def test_more_relations_than_allowed_are_refused():
    limits = Limits(model_relations_max=1)
    compile_model(model({"a": {"x": "[user]"}}), limits=limits)

    assert one_finding(model({"a": {"x": "[user]", "y": "[user]"}}), limits) == (
        "type_definitions[0].relations",
        "more than 1 relations (model_relations_max)",
    )


def test_more_rewrites_than_allowed_are_refused():
    limits = Limits(model_rewrite_nodes_max=3)
    compile_model(model({"a": {"x": "[user]", "y": "x", "z": "x"}}), limits=limits)

    assert one_finding(model({"a": {"x": "[user]", "y": "x or x", "z": "x"}}), limits) == (
        "type_definitions[0].relations.y.union.child[1]",
        "more than 3 rewrites in the model (model_rewrite_nodes_max)",
    )


def test_rewrites_nest_to_the_limit_and_no_deeper():
    compile_model(with_rewrite(nested(64)))

    place, message = one_finding(with_rewrite(nested(65)))

    assert VIEWER + ".union.child[0]" * 64 == place
    assert "rewrites nest deeper than 64 (model_rewrite_depth_max)" == message


@pytest.mark.parametrize("limit", [64, 100_000])
def test_nesting_is_no_recursion(limit):
    """Ten thousand levels: a finding, and with a generous limit only a matter of the rules."""
    document = with_rewrite({"intersection": {"child": [nested(10_000), {}]}})

    found = findings_of(document, Limits(model_rewrite_depth_max=limit))

    assert (limit == 64) == any("nest deeper" in text for (text, *_) in found.values())
    assert VIEWER + ".intersection.child[1]" in found


def test_findings_beyond_those_listed_are_counted():
    children = [{"computedUserset": {"relation": f"r{number}"}} for number in range(1_500)]

    found = findings_of(with_rewrite({"union": {"child": children}}))

    assert ["500 more findings; only the first 1,000 are listed"] == found.pop("$")
    assert FINDINGS_LISTED_MAX == sum(len(messages) for messages in found.values())

"""What the compiler says about a model it refuses."""

from __future__ import annotations

import pytest

from zeratul.domain.limits import Limits
from zeratul.errors import SchemaError
from zeratul.language.openfga import compile_model


def findings_of(document: object, limits: Limits | None = None) -> dict[str, list[str]]:
    """Its findings; fails the test if the model compiles."""
    with pytest.raises(SchemaError) as caught:
        compile_model(document, limits=limits or Limits())
    return {place: list(messages) for place, messages in caught.value.findings.items()}


def one_finding(document: object, limits: Limits | None = None) -> tuple[str, str]:
    """Its only finding: the place and the message."""
    found = findings_of(document, limits)
    assert 1 == len(found), found
    ((place, messages),) = found.items()
    assert 1 == len(messages), messages
    return place, messages[0]


def with_rewrite(rewrite: object) -> dict[str, object]:
    """A model whose ``document#viewer`` is ``rewrite``, beside stored ``owner`` and ``parent``."""
    users = {"directly_related_user_types": [{"type": "user"}]}
    parents = {"directly_related_user_types": [{"type": "document"}]}
    return {
        "schema_version": "1.1",
        "type_definitions": [
            {
                "type": "document",
                "relations": {"owner": {"this": {}}, "parent": {"this": {}}, "viewer": rewrite},
                "metadata": {"relations": {"owner": users, "parent": parents}},
            }
        ],
    }


VIEWER = "type_definitions[0].relations.viewer"

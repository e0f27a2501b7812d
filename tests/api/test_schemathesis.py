"""Requests made out of the OpenAPI document: no answer is one the document does not speak of."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest
import schemathesis
from hypothesis import HealthCheck, settings
from schemathesis.checks import (
    content_type_conformance,
    not_a_server_error,
    response_headers_conformance,
    response_schema_conformance,
    status_code_conformance,
)

from tests.api.servers import serving
from zeratul.api.resources import openapi_document
from zeratul.domain.limits import Limits

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.api.client import Client

CHECKS = [
    not_a_server_error,
    status_code_conformance,
    content_type_conformance,
    response_headers_conformance,
    response_schema_conformance,
]
RAW = json.loads(openapi_document())
# Every call has a key. Tokens made of chance would only be refused, one call in three.
RAW["security"] = [{"key": []}]
DOCUMENT = schemathesis.openapi.from_dict(RAW)


@schemathesis.serializer("application/x-ndjson")
def ndjson(_: schemathesis.SerializationContext, value: object) -> bytes:
    """An import of a few lines."""
    return b"".join(json.dumps(value).encode() + b"\n" for _ in range(3))


@pytest.fixture(scope="module")
def own(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Client]:
    """A server of this module's own: what is deleted here is missed by nobody."""
    with serving(tmp_path_factory.mktemp("schemathesis") / "data", limits=Limits()) as client:
        yield client


@DOCUMENT.parametrize()
@settings(
    max_examples=15, deadline=None, derandomize=True, suppress_health_check=list(HealthCheck)
)
def test_no_undocumented_answer(case: schemathesis.Case, own: Client) -> None:
    case.call_and_validate(
        base_url=f"http://127.0.0.1:{own.port}",
        headers={"X-API-Key": own.key},
        checks=CHECKS,
        timeout=30,
    )

"""A small client: one call, one answer, nothing hidden."""

from __future__ import annotations

import http.client
import json
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any
from urllib.parse import urlencode

if TYPE_CHECKING:
    from collections.abc import Iterable

A = "/api/v1/authorization"
FACTS = f"{A}/relationships"
NDJSON = "application/x-ndjson"
PROBLEM = "application/problem+json"


@dataclass(frozen=True)
class Answer:
    """What came back."""

    status: int
    headers: http.client.HTTPMessage
    body: bytes

    @property
    def json(self) -> Any:
        return json.loads(self.body)

    @property
    def lines(self) -> list[Any]:
        return [json.loads(line) for line in self.body.splitlines()]


@dataclass(frozen=True)
class Client:
    """Asks one server with one key; a new connection for each call."""

    port: int
    key: str | None
    headers: dict[str, str] = field(default_factory=dict)

    def within(self, application: str) -> Client:
        return replace(self, headers={**self.headers, "X-Zeratul-Application": application})

    def call(
        self,
        method: str,
        path: str,
        body: object = None,
        *,
        raw: bytes | Iterable[bytes] | None = None,
        headers: dict[str, str] | None = None,
        **query: object,
    ) -> Answer:
        sent = {"X-API-Key": self.key} if self.key is not None else {}
        if body is not None or raw is not None:
            sent["Content-Type"] = "application/json"
        sent |= self.headers | (headers or {})
        data = json.dumps(body).encode() if body is not None else raw
        if query:
            path += "?" + urlencode(query)
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=60)
        try:
            connection.request(method, path, body=data, headers=sent)
            found = connection.getresponse()
            return Answer(found.status, found.headers, found.read())
        finally:
            connection.close()

    def get(self, path: str, **query: object) -> Answer:
        return self.call("GET", path, **query)

    def post(self, path: str, body: object = None, **more: Any) -> Answer:
        return self.call("POST", path, body, **more)

    def check(self, who: str, resource: str, action: str) -> bool:
        kind, _, identity = resource.partition(":")
        answer = self.post(
            f"{A}/check",
            {"subject": who, "resource": kind, "resourceId": identity, "action": action},
        )
        assert answer.status == 200, answer.body
        return answer.json["allowed"]

    def everything(self) -> list[str]:
        """All that is stored, as sorted lines."""
        answer = self.get(f"{FACTS}/export")
        assert answer.status == 200, answer.body
        return sorted(answer.body.decode().splitlines())


def fact(text: str, **more: object) -> dict[str, object]:
    """A body out of ``type:id#relation@subject``."""
    resource, _, rest = text.partition("#")
    relation, _, subject = rest.partition("@")
    kind, _, identity = resource.partition(":")
    return {
        "subject": subject,
        "resource": kind,
        "resourceId": identity,
        "relation": relation,
        **more,
    }


def _stored(*subjects: str) -> dict[str, Any]:
    forms = []
    for text in subjects:
        kind, _, relation = text.partition("#")
        if kind.endswith(":*"):
            forms.append({"type": kind[:-2], "wildcard": {}})
        elif relation:
            forms.append({"type": kind, "relation": relation})
        else:
            forms.append({"type": kind})
    return {"directly_related_user_types": forms}


def _any(*children: dict[str, Any]) -> dict[str, Any]:
    return {"union": {"child": list(children)}}


_THIS = {"this": {}}


def _same(relation: str) -> dict[str, Any]:
    return {"computedUserset": {"relation": relation}}


MODEL: dict[str, Any] = {
    "schema_version": "1.1",
    "type_definitions": [
        {"type": "user"},
        {
            "type": "group",
            "relations": {"member": _THIS},
            "metadata": {"relations": {"member": _stored("user", "group#member")}},
        },
        {
            "type": "folder",
            "relations": {"viewer": _THIS},
            "metadata": {"relations": {"viewer": _stored("user", "group#member")}},
        },
        {
            "type": "document",
            "relations": {
                "parent": _THIS,
                "owner": _THIS,
                "editor": _any(_THIS, _same("owner")),
                "viewer": _any(
                    _THIS,
                    _same("editor"),
                    {
                        "tupleToUserset": {
                            "tupleset": {"relation": "parent"},
                            "computedUserset": {"relation": "viewer"},
                        }
                    },
                ),
                "banned": _THIS,
                "read": {"difference": {"base": _same("viewer"), "subtract": _same("banned")}},
            },
            "metadata": {
                "relations": {
                    "parent": _stored("folder"),
                    "owner": _stored("user"),
                    "editor": _stored("user", "group#member"),
                    "viewer": _stored("user", "user:*", "group#member"),
                    "banned": _stored("user"),
                    "read": _stored(),
                }
            },
        },
    ],
}

"""An application with a catalog over HTTP, and short ways to its policies, roles, assignments."""

from __future__ import annotations

from dataclasses import dataclass, replace
from itertools import count
from typing import TYPE_CHECKING, Any

from tests.api.client import A, Client

if TYPE_CHECKING:
    from tests.api.client import Answer

RESOURCES = [
    {"resource": "documents", "description": "", "actions": ["create", "read", "update"]},
    {"resource": "reports", "description": "", "actions": ["read", "export"]},
    {"resource": "offices", "description": "", "actions": ["read", "enter"]},
]

_numbers = count(1)


@dataclass(frozen=True)
class Town:
    """A client, and the application's path."""

    client: Client
    app: str

    @classmethod
    def new(cls, root: Client, tenancy: str = "single") -> Town:
        """A fresh application with a catalog."""
        body = {"name": f"town-{next(_numbers)}", "tenancyType": tenancy}
        answer = root.post("/api/v1/applications", body)
        assert answer.status == 201, answer.body
        return cls.over(root.within(answer.json["id"]), answer.json["id"])

    @classmethod
    def over(cls, client: Client, app: str) -> Town:
        """With a catalog in an application that is there."""
        town = cls(client, f"/api/v1/applications/{app}")
        put = client.call("PUT", f"{town.app}/resources", {"resources": RESOURCES})
        assert put.status == 200, put.body
        return town

    def keyed(self, *permissions: str, tenant: str | None = None) -> Town:
        """The same application, asked with a key of its own."""
        body: dict[str, Any] = {"name": "key", "permissions": list(permissions)}
        if tenant is not None:
            body["tenantId"] = tenant
        made = self.client.post("/api/v1/api-keys", body)
        assert made.status == 201, made.body
        return replace(self, client=Client(self.client.port, made.json["secret"]))

    def call(self, method: str, path: str, body: object = None, **more: Any) -> Answer:
        """A path below the application, or a whole one."""
        whole = path if path.startswith("/api") else f"{self.app}/{path}"
        return self.client.call(method, whole, body, **more)

    def policy(self, name: str, *permissions: str) -> dict[str, Any]:
        body = {"name": name, "description": "", "permissions": list(permissions)}
        return made(self.call("POST", "policies", body))

    def role(self, name: str, *policies: dict[str, Any], tenant: str | None = None) -> Any:
        path = "roles" if tenant is None else f"tenants/{tenant}/roles"
        body = {"name": name, "policyIds": [each["id"] for each in policies]}
        return made(self.call("POST", path, body))

    def reader(self, name: str = "Reader", tenant: str | None = None) -> Any:
        policy = self.policy(f"policy of {name} {tenant}", "documents:read")
        return self.role(name, policy, tenant=tenant)

    def assign(self, who: str, role: dict[str, Any], **where: str) -> Any:
        body = {"subject": who, "roleId": role["id"], **where}
        return made(self.call("POST", "role-assignments", body))

    def check(self, who: str, permission: str, tenant: str | None = None, id: str = "d1") -> bool:
        body = {"subject": who, "permission": permission}
        if id:
            body["resourceId"] = id
        if tenant is not None:
            body["tenantId"] = tenant
        answer = self.client.post(f"{A}/check", body)
        assert answer.status == 200, answer.body
        return answer.json["allowed"]

    def all(self, path: str, size: int = 2, **query: object) -> list[Any]:
        """All rows of a list."""
        rows: list[Any] = []
        while True:
            answer = self.call("GET", path, pageSize=size, **query)
            assert answer.status == 200, answer.body
            rows += answer.json["data"]
            assert answer.json["next"] == answer.json["nextCursor"]
            if answer.json["next"] is None:
                return rows
            query["cursor"] = answer.json["next"]


def made(answer: Answer) -> Any:
    """What a write answered."""
    assert answer.status in (200, 201), answer.body
    return answer.json


def refused(answer: Answer, status: int, code: str) -> Any:
    """The problem a call was refused with."""
    assert (answer.status, answer.json["code"]) == (status, code), answer.body
    return answer.json

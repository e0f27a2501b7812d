"""An application with a catalog, and short ways to fill and to ask it over HTTP."""

from __future__ import annotations

from itertools import count

from tests.api.client import FACTS, A, Client, fact

CATALOG = [
    {
        "resource": "documents",
        "actions": ["create", "read", "list", "update", "delete", "comment"],
        "relations": {"approver": {"actions": ["read", "update"]}},
    },
    {"resource": "reports", "actions": ["read", "export"]},
]
_numbers = count(1)


class World:
    """An application with a catalog, asked with its root key, and short ways to fill it."""

    def __init__(self, root):
        made = root.post("/api/v1/applications", {"name": f"explained {next(_numbers)}"})
        self.id = made.json["id"]
        self.api = root.within(self.id)
        self.path = f"/api/v1/applications/{self.id}"
        put = self.api.call("PUT", f"{self.path}/resources", {"resources": CATALOG})
        assert put.status == 200, put.body

    def _made(self, path, body):
        answer = self.api.post(path, body)
        assert answer.status in (200, 201), answer.body
        return answer.json

    def policy(self, name, *permissions):
        return self._made(
            f"{self.path}/policies", {"name": name, "permissions": list(permissions)}
        )["id"]

    def role(self, name, *policies, tenant=None):
        where = f"{self.path}/tenants/{tenant}/roles" if tenant else f"{self.path}/roles"
        return self._made(where, {"name": name, "policyIds": list(policies)})["id"]

    def reader(self, name="Reader", **more):
        return self.role(name, self.policy(f"Reading of {name}", "documents:read"), **more)

    def assign(self, who, role, **where):
        return self._made("/api/v1/role-assignments", {"subject": who, "roleId": role, **where})

    def join(self, *texts):
        for text in texts:
            self._made(FACTS, fact(text))

    def ask(self, path, who, permission, name="d1", client=None, **more):
        body = {"subject": who, "permission": permission, **more}
        if name is not None:
            body["resourceId"] = name
        return (client or self.api).post(f"{A}/{path}", body)

    def check(self, *args, **more):
        answer = self.ask("check", *args, **more)
        assert answer.status == 200, answer.body
        return {key: value for key, value in answer.json.items() if key != "zookie"}

    def explain(self, *args, **more):
        answer = self.ask("explain", *args, **more)
        assert answer.status == 200, answer.body
        return answer.json

    def key(self, **body):
        made = self.api.post("/api/v1/api-keys", {"name": "key", **body})
        assert made.status == 201, made.body
        return Client(self.api.port, made.json["secret"])

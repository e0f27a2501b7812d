"""The native contract: checks through paths and roles, explanations, edits and their effect.

Nothing here has an aim of its own in the design: each figure stands beside the fair floor, or
beside a plain check, in the same turn. *Cold* is the first question about a user, *warm* a further
one about the same user on another resource; both ask what was never asked before.
"""

from __future__ import annotations

import json
import time
from itertools import count
from typing import TYPE_CHECKING, Any, NamedTuple

from loadtest.bench import Row, median, ratio
from loadtest.client import API, CHECK, Client, Target, Wire, WrongAnswerError, check_body
from loadtest.processes import ServerFaultError, zeratul
from loadtest.shapes import line, question

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from loadtest.bench import Bench

ASKED = 200
DEPTHS = (2, 5, 15)
ROLE_COUNTS = (1, 10, 100)
POLICY_COUNTS = (1, 10, 50)
ASSIGN = f"{API}/role-assignments"
EXPLAIN = f"{API}/authorization/explain"
# LIMIT: contract authaz §3.
BULK_MAX = 5_000
# Edits whose effect is timed, and connections asked after each: enough to meet every worker.
EDITS = 20
CONNECTIONS = 16

_numbers = count(1)


class Native:
    """An application with a catalog, made for one line."""

    def __init__(self, target: Target, name: str) -> None:
        with Client(target) as client:
            application = client.create_application(f"{name} {next(_numbers)}")
        self.target = Target(target.port, target.key, application)
        self.home = f"{API}/applications/{application}"

    def call(self, method: str, path: str, body: dict[str, Any]) -> Any:
        """One request; its decoded answer."""
        with Client(self.target) as client:
            return client.ask(method, path, json.dumps(body).encode())

    def put_catalog(self, *actions: str, **relations: Sequence[str]) -> Any:
        """One resource, ``document``."""
        item: dict[str, Any] = {"resource": "document", "actions": actions}
        item["relations"] = {name: {"actions": allowed} for name, allowed in relations.items()}
        return self.call("PUT", f"{self.home}/resources", {"resources": [item]})

    def policy(self, *permissions: str) -> str:
        """A new policy's id."""
        body = {"name": f"policy {next(_numbers)}", "permissions": permissions}
        return str(self.call("POST", f"{self.home}/policies", body)["id"])

    def role(self, *policies: str) -> str:
        """A new role's id."""
        body = {"name": f"role {next(_numbers)}", "policyIds": policies}
        return str(self.call("POST", f"{self.home}/roles", body)["id"])

    def assign(self, assignments: Iterable[dict[str, str]]) -> None:
        """Assign all, in as few calls as the contract lets.

        Raises:
            ServerFaultError: one failed.
        """
        pending = list(assignments)
        for start in range(0, len(pending), BULK_MAX):
            body = {"assign": pending[start : start + BULK_MAX]}
            answer = self.call("POST", f"{ASSIGN}/bulk?results=errors", body)
            if answer["failed"]:
                raise ServerFaultError(f"assignments: {json.dumps(answer)[:500]}")

    def load(self, triples: Iterable[tuple[str, str, str]]) -> None:
        """Import relationships."""
        with Client(self.target) as client:
            client.import_chunks(line(triple) for triple in triples)


class Times(NamedTuple):
    """Milliseconds a question, medians of each turn."""

    cold: list[float]
    warm: list[float]
    fair: list[float]


def _users(native: Native, prefix: str, number: int) -> list[str]:
    """Members of a group, so that a role of the group is theirs."""
    users = [f"{prefix}{index}" for index in range(number)]
    native.load((f"group:{prefix}", "member", f"user:{user}") for user in users)
    return users


def _ask(target: Target, fair: Target, users: Sequence[str], resource: str, rounds: int) -> Times:
    """Each round asks about users of its own: once cold, once warm; the floor gets the same."""
    times = Times([], [], [])
    share = len(users) // rounds
    with Wire(target) as wire, Wire(fair) as floor:
        for number in range(rounds):
            taken = Times([], [], [])
            for user in users[number * share : (number + 1) * share]:
                first = question(user, f"{resource}-cold", allowed=True)
                further = question(user, f"{resource}-warm", allowed=True)
                taken.cold.append(wire.check(first) * 1e3)
                taken.warm.append(wire.check(further) * 1e3)
                request = floor.request("POST", CHECK, check_body(first))
                taken.fair.append(floor.ask(request)[1] * 1e3)
            for kept, values in zip(times, taken, strict=True):
                kept.append(median(values))
    return times


def _rows(line_name: str, times: Times, work: str) -> Iterator[Row]:
    for name, values in (("cold", times.cold), ("warm", times.warm)):
        yield Row(
            line=line_name,
            work=f"{work}, {name}",
            value=median(values),
            unit="ms",
            floors={"fair": median(times.fair)},
            ratios={"fair": ratio(values, times.fair)},
        )


def paths(bench: Bench) -> Iterator[Row]:
    """Checks through paths of 2, 5 and 15 segments, beside 1, 100 and many star patterns."""
    fair = bench.http_floors()["fair"]
    rounds = bench.plan.rounds
    main = bench.main()
    for stars in (1, 100, bench.plan.star_patterns):
        native = Native(Target(main.port, main.key), f"{stars} stars")
        native.put_catalog("read", "update")
        reader, other = native.role(native.policy("document:read")), native.role()
        users = _users(native, "readers", ASKED * len(DEPTHS))
        native.assign(
            [{"subject": "group:readers#member", "roleId": reader, "scope": "document/*"}]
        )
        # They share the beginning of every question's path, and a good part of its middle.
        native.assign(
            {"subject": "user:somebody", "roleId": other, "scope": f"document/*/p{number}/x"}
            for number in range(stars)
        )
        for number, depth in enumerate(DEPTHS):
            middle = [f"p{stars // 2}", *(f"s{level}" for level in range(depth))]
            resource = "/".join(["home", *middle][: depth - 1])
            asked = users[number * ASKED : (number + 1) * ASKED]
            times = _ask(native.target, fair, asked, resource, rounds)
            yield from _rows(
                "paths", times, f"check by a path of {depth} segments, {stars:,} star patterns"
            )


def roles(bench: Bench) -> Iterator[Row]:
    """Checks through 1 to 100 roles of a group, and a role of 1 to 50 policies."""
    fair = bench.http_floors()["fair"]
    main = bench.main()
    native = Native(Target(main.port, main.key), "roles")
    native.put_catalog("read", "update")
    reading, writing = native.policy("document:read"), native.policy("document:update")
    cases = {f"{number} role{'s' if number > 1 else ''}": (number, 1) for number in ROLE_COUNTS}
    cases |= {f"a role of {number} policies": (1, number) for number in POLICY_COUNTS[1:]}
    for number, (work, (held, policies)) in enumerate(cases.items()):
        prefix = f"case{number}-"
        users = _users(native, prefix, ASKED)
        # Only the last one of all carries what is asked.
        writers = [native.policy("document:update") for _ in range(policies - 1)]
        last = native.role(*writers, reading)
        ids = [native.role(writing) for _ in range(held - 1)] + [last]
        native.assign({"subject": f"group:{prefix}#member", "roleId": each} for each in ids)
        times = _ask(native.target, fair, users, prefix, bench.plan.rounds)
        yield from _rows("roles", times, f"check through {work}")
    explained = _users(native, "explained-", 50)
    native.assign([{"subject": "group:explained-#member", "roleId": native.role(reading)}])
    yield from _explained(bench, native, explained)


def _explained(bench: Bench, native: Native, users: Sequence[str]) -> Iterator[Row]:
    """Explanations beside checks of the same questions, none asked before."""
    explained: list[float] = []
    checked: list[float] = []
    with Wire(native.target) as wire:
        for number in range(bench.plan.rounds):
            taken: tuple[list[float], list[float]] = ([], [])
            for user in users:
                asked = question(user, f"why-{number}", allowed=True)
                taken[0].append(wire.check(asked) * 1e3)
                answer, seconds = wire.ask(wire.request("POST", EXPLAIN, check_body(asked)))
                if b'"allowed":true' not in answer:
                    raise WrongAnswerError(f"{asked} was explained as {answer[-300:]!r}")
                taken[1].append(seconds * 1e3)
            checked.append(median(taken[0]))
            explained.append(median(taken[1]))
    yield Row(
        line="roles",
        work="explain a yes by a role of a group",
        value=median(explained),
        unit="ms",
        floors={"check": median(checked)},
        ratios={"check": ratio(explained, checked)},
        note="answered by the process for heavy calls",
    )


def edits(bench: Bench) -> Iterator[Row]:
    """A policy edit until every worker answers by it; a catalog over many live grants."""
    server = bench.start("two workers", lambda: zeratul(bench.directory / "edits", workers=2))
    native = Native(Target(server.port, server.key), "edits")
    native.put_catalog("read", "update", "comment", reviewer=["read"], auditor=["read"])
    policy = native.policy("document:read")
    native.assign([{"userId": "ann", "roleId": native.role(policy)}])
    yield _edited(native, policy)
    grants = bench.plan.live_grants
    native.load((f"document:d{number}", "reviewer", f"user:u{number}") for number in range(grants))
    kept: dict[str, Sequence[str]] = {"reviewer": ["read"], "auditor": ["read"]}
    puts: dict[str, tuple[tuple[str, ...], dict[str, Sequence[str]]]] = {
        "unchanged": (("read", "update", "comment"), kept),
        "an action more": (("read", "update", "comment", "share"), kept),
        "a relation without grants less": (
            ("read", "update", "comment", "share"),
            {"reviewer": ["read"]},
        ),
    }
    for work, (actions, relations) in puts.items():
        started = time.perf_counter()
        native.put_catalog(*actions, **relations)
        yield Row(
            line="edits",
            work=f"PUT of the catalog over {grants:,} live grants, {work}",
            value=(time.perf_counter() - started) * 1e3,
            unit="ms",
        )


def _edited(native: Native, policy: str) -> Row:
    """The first answers of every worker behind an edit's own answer have to be by it."""
    path = f"{native.home}/policies/{policy}"
    edited: list[float] = []
    effective: list[float] = []
    wires = [Wire(native.target) for _ in range(CONNECTIONS)]
    try:
        for number in range(EDITS):
            allowed = number % 2 == 1
            permission = "document:read" if allowed else "document:update"
            started = time.perf_counter()
            native.call("PATCH", path, {"permissions": [permission]})
            answered = time.perf_counter()
            for wire in wires:
                wire.check(question("ann", "d1", allowed=allowed))
            edited.append((answered - started) * 1e3)
            effective.append((time.perf_counter() - answered) * 1e3)
    finally:
        for wire in wires:
            wire.__exit__()
    return Row(
        line="edits",
        work="a policy edit, from its request to its answer",
        value=median(edited),
        unit="ms",
        note=f"the next answer on each of {CONNECTIONS} connections to two workers was by it, "
        f"{EDITS} times; all of them took {median(effective):.2f} ms",
    )

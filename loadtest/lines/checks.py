"""Checks: single ones over HTTP, many in one call, and through chains of groups."""

from __future__ import annotations

import json
import time
from contextlib import ExitStack
from dataclasses import dataclass
from itertools import count
from typing import TYPE_CHECKING

from loadtest import floors
from loadtest.bench import Row, check_load, median, ratio, turns
from loadtest.client import (
    CHECK_MANY,
    Client,
    Wire,
    WrongAnswerError,
    body_of,
    bulk_body,
    check_many_body,
)
from loadtest.extremes import ArrowChains, DeepGroups
from loadtest.inside import ask_inside
from loadtest.processes import ServerFaultError
from loadtest.shapes import Peers, question

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from loadtest.bench import Bench
    from loadtest.client import Target
    from loadtest.http_load import Measured
    from loadtest.shapes import Question

BATCH = 1_000
WORDS = {
    "direct": "check, direct",
    "nested": "check, through nested groups",
    "inherited": "check, inherited from a folder",
    "denied": "check, denied",
}


NEW = ", no answer of them in memory"
# More than a server process remembers.
OTHERS = 70_000
# wrk counts in whole seconds; in one, no server here comes to the end of the new questions.
NEW_SECONDS = 1.0
_numbers = count(1)


@dataclass(frozen=True, slots=True)
class _Asked:
    """Questions of a kind, and how they are asked."""

    target: Target
    questions: Sequence[Question]
    is_new: bool = False


def check(bench: Bench) -> Iterator[Row]:
    """One check over HTTP: direct, nested group, inherited from a folder, denied.

    Each as a set of questions that come round, and (in a full run) as questions none of whose
    answers is in the server's memory.
    """
    shape = Peers(bench.plan.peers_scale)
    target = bench.loaded("peers", shape)
    asked = {
        WORDS[kind]: _Asked(target, shape.questions(kind, bench.plan.distinct_questions))
        for kind in shape.kinds
    }
    if bench.plan.new_questions:
        asked |= {
            WORDS[kind] + NEW: _Asked(target, _distinct(bench, shape, kind), is_new=True)
            for kind in shape.kinds
        }
    with Client(target) as client:
        for each in asked.values():
            client.verify(each.questions)
    some = asked[WORDS["direct"]].questions
    asked_floors = {name: _Asked(floor, some) for name, floor in bench.http_floors().items()}
    seen: dict[str, list[Measured]] = {}
    processor_us: dict[str, list[float]] = {}

    def noting(name: str, each: _Asked) -> Callable[[], float]:
        seconds = NEW_SECONDS if each.is_new else bench.plan.seconds
        load = check_load(bench, each.target, each.questions, seconds=seconds)
        server = bench.server_of(each.target)

        def work() -> float:
            if each.is_new:
                _ask_others(each.target)
            before = server.processor_seconds()
            measured = load()
            spent = server.processor_seconds() - before
            if each.is_new and measured.requests > len(each.questions):
                raise ValueError("some questions were asked twice")
            seen.setdefault(name, []).append(measured)
            processor_us.setdefault(name, []).append(spent / measured.requests * 1e6)
            return measured.rate

        return work

    works = {name: noting(name, each) for name, each in (asked_floors | asked).items()}
    figures = turns(bench.plan.rounds, works)
    for name, each in asked.items():
        ratios = {
            floor: ratio(figures[name], figures[floor])
            for floor in ("fair", "bare", "bare uvloop")
        }
        p50 = median([measured.p50_ms for measured in seen[name]])
        p99 = median([measured.p99_ms for measured in seen[name]])
        yield Row(
            line="check",
            work=name,
            value=median(figures[name]),
            unit="requests/s",
            floors={floor: median(figures[floor]) for floor in ratios},
            ratios=ratios,
            aim="fair ≥ 0.8, bare ≥ 0.6",
            met=ratios["fair"] >= 0.8 and ratios["bare"] >= 0.6,
            note=f"{len(each.questions):,} questions, {bench.plan.connections} connections, "
            f"p50 {p50:.2f} ms, p99 {p99:.2f} ms; processor time a request "
            f"{median(processor_us[name]):.0f} µs, fair {median(processor_us['fair']):.0f} µs, "
            f"bare {median(processor_us['bare']):.0f} µs",
        )


def _distinct(bench: Bench, shape: Peers, kind: str) -> list[Question]:
    """Questions of a kind of which none comes twice."""
    most = bench.plan.new_questions
    found = list(dict.fromkeys(shape.questions(kind, 4 * most)))[:most]
    if len(found) < most:
        raise ValueError(f"the shape has no {most:,} questions of the kind {kind}")
    return found


def _ask_others(target: Target) -> None:
    """Ask so much else that no answer given so far is remembered; closures of subjects are."""
    with Wire(target) as wire:
        for start in range(0, OTHERS, BATCH):
            others = [
                question("stranger", f"other{number}", allowed=False)
                for number in range(start, start + BATCH)
            ]
            compare_batch(
                wire.ask(wire.request("POST", CHECK_MANY, check_many_body(others)))[0], others
            )


def _commit(target: Target) -> None:
    """Commit something of no account: it ends the answers of all bulk checks given so far."""
    with Client(target) as client:
        client.bulk(bulk_body([(f"document:new{next(_numbers)}", "viewer", "user:nobody")]))


def _batches(shape: Peers, count: int) -> list[list[Question]]:
    """Bodies of 1,000 questions, a quarter of each kind, mixed."""
    pools = [shape.questions(kind, count * BATCH // 4) for kind in shape.kinds]
    mixed = [each for group in zip(*pools, strict=True) for each in group]
    return [mixed[start : start + BATCH] for start in range(0, len(mixed), BATCH)]


def compare_batch(answer: bytes, asked: Sequence[Question]) -> None:
    """Hold each answer of a bulk check to the right one.

    Raises:
        WrongAnswerError: one is wrong.
        ServerFaultError: the response is no success.
    """
    if not answer.startswith(b"HTTP/1.1 200"):
        raise ServerFaultError(f"bulk check: {answer[:500]!r}")
    for each, result in zip(asked, json.loads(body_of(answer))["results"], strict=True):
        if result.get("allowed") != each.allowed:
            raise WrongAnswerError(f"{each} was answered {result}")


def _ask_batches(
    target: Target, batches: Sequence[list[Question]], seconds: float, *, are_new: bool = False
) -> float:
    """Checks a second of one connection; comparing the answers is not on the clock.

    With ``are_new`` no answer is known: what was asked singly is displaced first, and something is
    committed before each call.
    """
    if are_new:
        _ask_others(target)
    spent = 0.0
    done = 0
    with Wire(target) as wire:
        requests = [wire.request("POST", CHECK_MANY, check_many_body(batch)) for batch in batches]
        while spent < seconds:
            number = done % len(batches)
            if are_new:
                _commit(target)
            answer, taken = wire.ask(requests[number])
            compare_batch(answer, batches[number])
            spent += taken
            done += 1
    return done * BATCH / spent


def _constant_batches(target: Target, batches: Sequence[list[Question]], seconds: float) -> float:
    """The same bodies to a server that answers a constant."""
    spent = 0.0
    done = 0
    with Wire(target) as wire:
        requests = [wire.request("POST", CHECK_MANY, check_many_body(batch)) for batch in batches]
        while spent < seconds:
            answer, taken = wire.ask(requests[done % len(batches)])
            if not answer.startswith(b"HTTP/1.1 200"):
                raise ServerFaultError(f"fair floor: {answer[:500]!r}")
            spent += taken
            done += 1
    return done * BATCH / spent


def batch(bench: Bench) -> Iterator[Row]:
    """Bulk checks of 1,000 questions a call, on one connection: one core of the server."""
    shape = Peers(bench.plan.peers_scale)
    target = bench.loaded("peers", shape)
    batches = _batches(shape, max(4, bench.plan.distinct_questions // BATCH))
    bodies = [check_many_body(each) for each in batches]
    fair = bench.http_floors()["fair"]
    seconds = bench.plan.seconds
    figures = turns(
        bench.plan.rounds,
        {
            "recode": lambda: floors.recode(bodies, BATCH, seconds=seconds),
            "fair": lambda: _constant_batches(fair, batches, seconds),
            "ours": lambda: _ask_batches(target, batches, seconds),
            "new": lambda: _ask_batches(target, batches, seconds, are_new=True),
        },
    )
    for name, words in (("ours", ""), ("new", NEW)):
        yield Row(
            line="batch",
            work=f"bulk check, {BATCH:,} questions a call{words}",
            value=median(figures[name]),
            unit="checks/s",
            floors={
                "decode and encode": median(figures["recode"]),
                "fair": median(figures["fair"]),
            },
            ratios={
                "decode and encode": ratio(figures[name], figures["recode"]),
                "fair": ratio(figures[name], figures["fair"]),
            },
            aim="≥ 100,000 checks/s",
            met=median(figures[name]) >= 100_000,
            note="direct, nested, inherited and denied in equal parts; one connection",
        )
    rate = median(figures["ours"])
    mixed = [asked for each in batches for asked in each]
    inside = ask_inside(bench.main_data, target.application, mixed, seconds)
    yield Row(
        line="batch",
        work=f"{BATCH:,} questions a call, in-process",
        value=inside["batch"],
        unit="checks/s",
        ratios={"over HTTP": inside["batch"] / rate},
        floors={"over HTTP": rate},
        note=f"one by one: {inside['single']:,.0f} checks/s",
    )


def depth(bench: Bench) -> Iterator[Row]:
    """Checks through chains of groups, and of folders: the first of each chain, and again."""
    plan = bench.plan
    groups = [DeepGroups(levels, plan.chains) for levels in plan.depths]
    folders = [ArrowChains(levels, plan.chains) for levels in plan.folder_depths]
    for what, shapes in (("nested groups", groups), ("folders in folders", folders)):
        cold, cached = _chains(bench, shapes)
        first = shapes[0].depth
        for shape in shapes:
            levels = shape.depth
            times = median(cached[levels]) / median(cached[first])
            # Memberships are kept once known; folders are walked for each question.
            is_judged = levels != first and isinstance(shape, DeepGroups)
            yield Row(
                line="depth",
                work=f"check through {levels:,} {what}, asked again",
                value=median(cached[levels]) * 1e3,
                unit="ms",
                floors={f"depth {first}": median(cached[first]) * 1e3},
                ratios={f"depth {first}": times},
                aim="≤ 2 × depth 1" if is_judged else "",
                met=times <= 2 if is_judged else None,
                note=f"the first time: {median(cold[levels]) * 1e3:.2f} ms, {plan.chains} chains",
            )


def _chains(
    bench: Bench, shapes: Sequence[DeepGroups | ArrowChains]
) -> tuple[dict[int, list[float]], dict[int, list[float]]]:
    """Seconds by depth: of the first question of each chain, and of the same again."""
    plan = bench.plan
    targets = [bench.loaded(f"{shape.name} {shape.depth}", shape) for shape in shapes]
    cold: dict[int, list[float]] = {shape.depth: [] for shape in shapes}
    cached: dict[int, list[float]] = {shape.depth: [] for shape in shapes}
    with ExitStack() as stack:
        wires = [stack.enter_context(Wire(target)) for target in targets]
        for wire in wires:
            # The connection, the key and the application are not what is cold.
            wire.check(question("stranger", "nothing", allowed=False))
        for chain in range(plan.chains):
            for shape, wire in zip(shapes, wires, strict=True):
                cold[shape.depth].append(wire.check(shape.of_chain(chain)))
        deadline = time.monotonic() + plan.seconds * plan.rounds / 2
        while time.monotonic() < deadline or not cached[shapes[0].depth]:
            for chain in range(plan.chains):
                for shape, wire in zip(shapes, wires, strict=True):
                    cached[shape.depth].append(wire.check(shape.of_chain(chain)))
    for target, shape in zip(targets, shapes, strict=True):
        with Client(target) as client:
            client.verify(shape.questions("denied", 2 * plan.chains))
    return cold, cached

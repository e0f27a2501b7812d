"""Heavy subjects: users in very many groups, documents with very many viewers, and both."""

from __future__ import annotations

from typing import TYPE_CHECKING

from loadtest.bench import Row, median, ratio
from loadtest.client import Client, Wire
from loadtest.extremes import HeavyUsers, Popular, WideGroups

if TYPE_CHECKING:
    from collections.abc import Iterator

    from loadtest.bench import Bench
    from loadtest.client import Target
    from loadtest.shapes import Question

ASKED = 200
WARM = 40
BOTH_WARM_MS = 1.0
BOTH_COLD_MS = 3.0


def _both(target: Target, shape: HeavyUsers) -> tuple[list[float], list[float]]:
    """Milliseconds of the first question of each pair, and of the same again."""
    pairs = [shape.both_of(pair) for pair in range(shape.pairs)]
    with Wire(target) as wire:
        # The connection, the key and the application are not what is cold.
        wire.check(shape.questions("ordinary", 1)[0])
        cold = [wire.check(asked) * 1e3 for asked in pairs]
        warm = [wire.check(asked) * 1e3 for _ in range(WARM) for asked in pairs]
    return cold, warm


def heavy(bench: Bench) -> Iterator[Row]:
    """Checks where one side is large, against an ordinary one; and where both are."""
    users = HeavyUsers(bench.plan.usersets, bench.plan.pairs)
    popular = Popular(bench.plan.subjects)
    users_target = bench.loaded("heavy users", users)
    popular_target = bench.loaded("popular", popular)
    cold, warm = _both(users_target, users)
    asked: dict[str, tuple[Target, list[Question]]] = {
        kind: (users_target, users.questions(kind, ASKED))
        for kind in ("ordinary", "small", "small_denied")
    }
    asked |= {
        f"popular {kind}": (popular_target, popular.questions(kind, ASKED))
        for kind in popular.kinds
    }
    wide = WideGroups(*bench.plan.wide_groups)
    wide_target = bench.loaded("wide groups", wide)
    asked |= {f"wide {kind}": (wide_target, wide.questions(kind, ASKED)) for kind in wide.kinds}
    figures = _latencies(bench, asked)
    in_groups = f"{wide.groups // wide.DOCUMENTS:,} groups of {wide.members:,} as viewers"
    words = {
        "small": f"user in {users.usersets:,} usersets, document of one: yes",
        "small_denied": f"user in {users.usersets:,} usersets, document of one: no",
        "popular direct": f"document with {popular.subjects:,} viewers: one of them",
        "popular nested": f"document with {popular.subjects:,} viewers: through a group",
        "popular denied": f"document with {popular.subjects:,} viewers: no",
        "wide nested": f"document with {in_groups}: a member",
        "wide denied": f"document with {in_groups}: no",
    }
    for kind, work in words.items():
        times = ratio(figures[kind], figures["ordinary"])
        yield Row(
            line="heavy",
            work=work,
            value=median(figures[kind]),
            unit="ms",
            floors={"ordinary check": median(figures["ordinary"])},
            ratios={"ordinary check": times},
            aim="≤ 2 × an ordinary check",
            met=times <= 2,
        )
    for name, values, bound in (("warm", warm, BOTH_WARM_MS), ("cold", cold, BOTH_COLD_MS)):
        yield Row(
            line="heavy",
            work=f"user in {users.usersets:,} usersets, document with as many, {name}",
            value=median(values),
            unit="ms",
            aim=f"≤ {bound:g} ms with 100,000",
            met=median(values) <= bound,
            note=f"{users.pairs} pairs, over HTTP",
        )


def _latencies(
    bench: Bench, asked: dict[str, tuple[Target, list[Question]]]
) -> dict[str, list[float]]:
    """Median milliseconds of each kind in each round; every question was asked once before."""
    figures: dict[str, list[float]] = {kind: [] for kind in asked}
    for target, questions in asked.values():
        with Client(target) as client:
            client.verify(questions)
    wires = {kind: Wire(target) for kind, (target, _) in asked.items()}
    try:
        for _ in range(bench.plan.rounds + 1):
            # One question of each kind in turn: they all meet the same disturbances.
            taken: dict[str, list[float]] = {kind: [] for kind in asked}
            for number in range(ASKED):
                for kind, (_, questions) in asked.items():
                    taken[kind].append(wires[kind].check(questions[number]) * 1e3)
            for kind, values in taken.items():
                figures[kind].append(median(values))
    finally:
        for wire in wires.values():
            wire.__exit__()
    # The first round warms what single checks use and bulk ones do not.
    return {kind: values[1:] for kind, values in figures.items()}

"""Imports relationships over HTTP, then compares answers with a slow, obvious evaluation."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from loadtest.bench import load_shape
from loadtest.client import Client, Target
from loadtest.processes import timed, zeratul
from loadtest.reference import Reference
from loadtest.shapes import Question, Sharing, hashed

if TYPE_CHECKING:
    from pathlib import Path


@dataclass(frozen=True, slots=True, kw_only=True)
class SpotCheck:
    """What was compared; all of it was equal."""

    relationships: int
    questions: int
    allowed: int
    import_seconds: float
    check_seconds: float


def questions_of(shape: Sharing, count: int) -> list[tuple[str, str]]:
    """(user, document) pairs: those with known answers, and as many taken at random."""
    known = count // 2
    pairs = [
        (asked.subject, asked.resource_id)
        for kind in shape.kinds
        for asked in shape.questions(kind, known // len(shape.kinds), seed=5)
    ]
    numbers = hashed(17, 1, np.arange(count - len(pairs), dtype=np.uint64)).tolist()
    for number in numbers:
        population = "u" if number & 1 else "v"
        user = (number >> 1) % shape.users
        pairs.append((f"user:{population}{user}", f"d{(number >> 30) % shape.documents}"))
    return pairs


def spot_check(data: Path, *, relationships: int, questions: int) -> SpotCheck:
    """Run it on a server of its own.

    Args:
        data: the server's data directory, made if need be.
        relationships: about how many are imported.
        questions: how many answers are compared.

    Raises:
        WrongAnswerError: an answer differs from the reference's.
        ServerFaultError: the import or a check failed.
    """
    shape = Sharing(relationships)
    reference = Reference(shape.model, shape.triples())
    asked = [
        Question(
            subject,
            "document",
            document,
            "read",
            reference.check(subject, f"document:{document}", "read"),
        )
        for subject, document in questions_of(shape, questions)
    ]
    with zeratul(data) as server:
        target = Target(server.port, server.key)
        made, seconds = load_shape(target, shape)
        with Client(target) as client, timed() as checking:
            client.verify(asked)
    return SpotCheck(
        relationships=made,
        questions=len(asked),
        allowed=sum(each.allowed for each in asked),
        import_seconds=seconds,
        check_seconds=checking[0],
    )

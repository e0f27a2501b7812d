"""Two processes on one store, as far as memory goes."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

import zeratul
from tests.builders import model
from zeratul.domain.limits import Limits
from zeratul.door import Door
from zeratul.service.services import Services, system_clock_ms

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

EITHER = model({"document": {"editor": "[user]", "viewer": "[user] or editor"}})


@pytest.fixture
def two(tmp_path: Path) -> Iterator[tuple[Door, Door]]:
    """Services of two processes, as far as memory goes, on one store with a model."""
    with zeratul.open(tmp_path) as first:
        first.put_model(EITHER)
        others = Services.build(first.services.store, limits=Limits(), clock_ms=system_clock_ms)
        yield first, Door(others, others.local_caller("default"))

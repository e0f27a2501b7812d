"""Fixtures and Hypothesis profiles: dev 50, ci 100 (always the same), night 20,000 examples."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import pytest
from hypothesis import HealthCheck, settings

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.applications import Installation, Peer

# A deadline per example would fail a slow machine, not a wrong answer. What lands is judged by
# examples that do not change from run to run; new ones are looked for at night.
for name, examples in (("dev", 50), ("ci", 100), ("night", 20_000)):
    settings.register_profile(
        name,
        max_examples=examples,
        deadline=None,
        derandomize=name == "ci",
        suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
    )
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "dev"))


@pytest.fixture(scope="session")
def environment_path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One environment for all tests that bring an application of their own."""
    return tmp_path_factory.mktemp("environment")


@pytest.fixture(scope="session")
def installation(environment_path: Path) -> Iterator[Installation]:
    """This process's store and engine."""
    from tests.applications import Installation  # Most tests need no engine.

    opened = Installation(environment_path)
    yield opened
    opened.close()


@pytest.fixture(scope="session")
def peer(environment_path: Path, installation: Installation) -> Iterator[Peer]:
    """A second process on the same environment."""
    from tests.applications import Peer

    assert installation is not None  # The first to open an environment sets its size.
    started = Peer(environment_path)
    yield started
    started.stop()

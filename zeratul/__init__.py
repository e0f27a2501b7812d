"""Zeratul: who may do what, and why.

``zeratul.open(path)`` gives the services in-process, for scripts and tests.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from zeratul.door import Door, open  # noqa: A004 - `zeratul.open` is what it is called

__all__ = ["Door", "open"]


def __getattr__(name: str) -> Any:
    # Late: the floors below must not pull in the store when they are imported.
    if name in __all__:
        from zeratul import door  # noqa: PLC0415

        return getattr(door, name)
    raise AttributeError(f"module `zeratul` has no attribute `{name}`")

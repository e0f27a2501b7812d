"""What a model has to obey, one rule a module; ``RULES`` in the order their findings are told.

A rule takes a draft and notes findings. It takes broken and unknown parts as right: those are some
other rule's finding.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from zeratul.language.rules.arrows import check_arrows
from zeratul.language.rules.conditions import check_conditions
from zeratul.language.rules.direct import check_direct
from zeratul.language.rules.members import check_members
from zeratul.language.rules.names import check_names
from zeratul.language.rules.recursion import check_recursion
from zeratul.language.rules.references import check_references

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from zeratul.language.draft import Draft
    from zeratul.language.findings import Findings

RULES: Sequence[Callable[[Draft, Findings], None]] = (
    check_names,
    check_conditions,
    check_references,
    check_direct,
    check_arrows,
    check_members,
    check_recursion,
)

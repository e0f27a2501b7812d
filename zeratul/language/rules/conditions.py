"""Conditions are not evaluated yet, so a model that relies on them is refused.

Taking it and leaving the condition out would turn "yes, if" into "yes". The draft keeps the places
of conditions; the issue that brings them replaces this rule by the compiler of their expressions.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from zeratul.language.findings import shown

if TYPE_CHECKING:
    from zeratul.language.draft import Draft
    from zeratul.language.findings import Findings

NOT_SUPPORTED = "conditions are not supported yet"


def check_conditions(draft: Draft, findings: Findings) -> None:
    """Note every declared condition and every subject type that needs one."""
    for place in draft.conditions.values():
        findings.add(place, NOT_SUPPORTED)
    for _, relation in draft.relations():
        for subject in relation.subjects:
            if subject.condition:
                findings.add(
                    subject.place / "condition",
                    f"{NOT_SUPPORTED}: `{shown(str(subject))}` with `{shown(subject.condition)}`",
                )

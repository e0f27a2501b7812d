"""A relation that is stored lists who may be stored; one that is computed lists nobody."""

from __future__ import annotations

from typing import TYPE_CHECKING

from zeratul.language.draft import nodes
from zeratul.language.findings import shown

if TYPE_CHECKING:
    from zeratul.language.draft import Draft
    from zeratul.language.findings import Findings


def check_direct(draft: Draft, findings: Findings) -> None:
    """Note ``this`` without subject types, and subject types without ``this``."""
    for _, relation in draft.relations():
        if relation.subjects_broken:
            continue
        kinds = {node.kind for node, _ in nodes(relation.rewrite)}
        if "direct" in kinds and not relation.subjects:
            findings.add(
                relation.place,
                f"`{shown(relation.name)}` is stored (`this`), but `metadata` lists no"
                " `directly_related_user_types` for it",
            )
        elif relation.subjects and not kinds & {"direct", "broken"}:
            findings.add(
                relation.subjects_place,
                f"`{shown(relation.name)}` is computed (it has no `this`), so no subject can be"
                " stored on it",
            )

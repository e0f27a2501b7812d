"""The slow, obvious evaluator that answers are compared with. It shares no code with Zeratul.

It knows unions of direct, computed and arrow rewrites: what the shapes' model is made of.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterable

    from loadtest.shapes import Triple

Rewrite = tuple[str, ...]  # ("this",), ("computed", relation) or ("arrow", tupleset, relation)


def _leaves(rewrite: dict[str, Any]) -> list[Rewrite]:
    if "this" in rewrite:
        return [("this",)]
    if "computedUserset" in rewrite:
        return [("computed", rewrite["computedUserset"]["relation"])]
    if "tupleToUserset" in rewrite:
        arrow = rewrite["tupleToUserset"]
        return [("arrow", arrow["tupleset"]["relation"], arrow["computedUserset"]["relation"])]
    if "union" in rewrite:
        return [leaf for child in rewrite["union"]["child"] for leaf in _leaves(child)]
    raise ValueError(f"the reference knows no rewrite `{', '.join(rewrite)}`")


class Reference:
    """Relationships in a dictionary, walked from the resource down to the subject."""

    def __init__(self, model: dict[str, Any], triples: Iterable[Triple]) -> None:
        """Keep every relationship.

        Raises:
            ValueError: the model needs more than unions.
        """
        self._rules = {
            (definition["type"], relation): _leaves(rewrite)
            for definition in model["type_definitions"]
            for relation, rewrite in definition.get("relations", {}).items()
        }
        self._subjects: dict[str, list[str]] = {}
        self.count = 0
        for resource, relation, subject in triples:
            self._subjects.setdefault(f"{resource}#{relation}", []).append(subject)
            self.count += 1

    def check(self, subject: str, resource: str, relation: str) -> bool:
        """Whether the subject is in ``resource#relation``.

        Raises:
            KeyError: the model has no such relation.
        """
        waiting = [(resource, relation)]
        seen = set(waiting)
        while waiting:
            here, wanted = waiting.pop()
            found: list[tuple[str, str]] = []
            for kind, *names in self._rules[here.partition(":")[0], wanted]:
                if kind == "computed":
                    found.append((here, names[0]))
                    continue
                stored = self._subjects.get(f"{here}#{names[0] if names else wanted}", ())
                if kind == "arrow":
                    found.extend((parent, names[1]) for parent in stored)
                    continue
                if subject in stored:
                    return True
                found.extend(
                    (userset, inner)
                    for userset, mark, inner in (text.partition("#") for text in stored)
                    if mark
                )
            for step in found:
                if step not in seen:
                    seen.add(step)
                    waiting.append(step)
        return False

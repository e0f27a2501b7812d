"""From the catalog that is there and what is asked for to the one that would be: no store, no I/O.

A request says what it wants of each resource; what it leaves out stays. Every finding is told at
once, under the place of the request that it is about.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, NamedTuple

from zeratul.domain.catalog import CatalogRelation, CatalogResource
from zeratul.errors import MalformedError, ValidationError
from zeratul.language.catalog_rules import (
    check_action,
    check_catalog,
    check_key,
    check_override,
    check_resource,
)
from zeratul.language.findings import Findings, Place, shown
from zeratul.service.ground.labels import require_description
from zeratul.service.rules.catalog_answers import Difference, RelationRequest, ResourceDiff

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from zeratul.domain.catalog import Catalog
    from zeratul.domain.limits import Limits
    from zeratul.domain.schema import Schema
    from zeratul.service.rules.catalog_answers import Mode, ResourceRequest

_ROOT = Place()
_RESOURCES = _ROOT / "resources"


class Edited(NamedTuple):
    """The catalog that would be.

    Attributes:
        catalog: itself.
        pruned: relations that were kept and lose actions that went: ``documents#approver`` -> how
            many.
    """

    catalog: Catalog
    pruned: dict[str, int]


class Editor:
    """Edits one catalog; each method gives what it would be, or raises with every finding.

    Args:
        current: the catalog that is there.
        model: the compiled model it is attached to, without any catalog.
        limits: bounds on resources, actions and relations.
    """

    def __init__(self, current: Catalog, model: Schema, limits: Limits) -> None:
        self._current = current
        self._model = model
        self._limits = limits
        self._findings = Findings()
        self._pruned: dict[str, int] = {}

    def put_all(self, requests: Sequence[ResourceRequest], mode: Mode) -> Edited:
        """Replace the catalog, or add to it and update.

        Raises:
            ValidationError: with every finding.
        """
        most = self._limits.catalog_resources_max
        if len(requests) > most:  # Not looked at one by one: that is what the limit is for.
            self._findings.stop(
                _RESOURCES,
                f"at most {most:,} resources (catalog_resources_max), these are {len(requests):,}",
            )
            raise self._refusal()
        current = self._current.resources
        found: dict[str, CatalogResource] = dict(current) if mode == "merge" else {}
        first: dict[str, Place] = {}
        for index, request in enumerate(requests):
            place = _RESOURCES / index
            before = first.setdefault(request.name, place)
            if before is not place:
                self._findings.add(
                    place / "resource",
                    f"`{shown(request.name)}` is declared twice, first at {before}",
                )
                continue
            found[request.name] = self._resource(request, place, merge=mode == "merge")
        return self._judged(found, _RESOURCES)

    def put_one(self, request: ResourceRequest, *, patch: bool) -> Edited:
        """Make, replace or change one resource.

        Raises:
            ValidationError: with every finding.
        """
        made = self._resource(request, _ROOT, merge=False, patch=patch)
        resources = {**self._current.resources, request.name: made}
        return self._judged(resources, _ROOT / "resource")

    def remove(self, name: str) -> Edited:
        """Take one resource out."""
        left = dict(self._current.resources)
        left.pop(name, None)
        return Edited(replace(self._current, resources=left), {})

    def judge(self, catalog: Catalog) -> Edited:
        """A catalog that is made already, judged as a whole.

        Raises:
            ValidationError: with every finding.
        """
        return self._judged(catalog.resources, _RESOURCES)

    def _judged(self, resources: Mapping[str, CatalogResource], place: Place) -> Edited:
        catalog = replace(self._current, resources=resources)
        check_catalog(catalog, place, self._model, self._limits, self._findings)
        if self._findings:
            raise self._refusal()
        return Edited(catalog, self._pruned)

    def _refusal(self) -> ValidationError:
        return ValidationError(self._findings.listed(), "the catalog is not valid")

    def _resource(
        self, request: ResourceRequest, place: Place, *, merge: bool, patch: bool = False
    ) -> CatalogResource:
        before = self._current.resources.get(request.name)
        kept = before or CatalogResource(request.name)
        if before is None:  # One that is there has a good name.
            check_key(request.name, place / "resource", self._findings)
        actions = self._actions(request, kept, place, merge=merge)
        made = CatalogResource(
            request.name,
            self._description(request.description, kept.description, place / "description"),
            actions,
            self._relations(request, kept, actions, place, keep=merge or patch),
        )
        check_resource(made, place, self._model, self._limits, self._findings)
        return made

    def _description(self, asked: str | None, kept: str, place: Place) -> str:
        if asked is None:
            return kept
        try:
            require_description(asked)
        except MalformedError as error:
            self._findings.add(place, error.message)
        return asked

    def _actions(
        self, request: ResourceRequest, kept: CatalogResource, place: Place, *, merge: bool
    ) -> tuple[str, ...]:
        if request.actions is None:
            return kept.actions
        asked = self._names(request.actions, place / "actions")
        if not merge:
            return asked
        return tuple(dict.fromkeys((*kept.actions, *asked)))

    def _names(self, names: Sequence[str], place: Place) -> tuple[str, ...]:
        """Actions without repetition; notes bad ones and repeated ones."""
        first: dict[str, int] = {}
        for index, name in enumerate(names):
            before = first.setdefault(name, index)
            if before == index:
                check_action(name, place / index, self._findings)
            else:
                self._findings.add(
                    place / index, f"`{shown(name)}` is listed twice, first at {place / before}"
                )
        return tuple(first)

    def _relations(
        self,
        request: ResourceRequest,
        kept: CatalogResource,
        actions: Sequence[str],
        place: Place,
        *,
        keep: bool,
    ) -> dict[str, CatalogRelation]:
        asked = request.relations
        found: dict[str, CatalogRelation] = {}
        if asked is None or keep:
            found = {
                name: self._still(kept.name, name, relation, actions)
                for name, relation in kept.relations.items()
                if asked is None or name not in asked
            }
        for name, relation in (asked or {}).items():
            if relation is not None:
                at = place / "relations" / name
                found[name] = self._relation(name, relation, kept, actions, at)
        return found

    def _still(
        self, resource: str, name: str, relation: CatalogRelation, actions: Sequence[str]
    ) -> CatalogRelation:
        """A relation that nobody spoke of, without the actions that go."""
        left = tuple(action for action in relation.actions if action in actions)
        if left == relation.actions:
            return relation
        self._pruned[f"{resource}#{name}"] = len(relation.actions) - len(left)
        return CatalogRelation(left, relation.description)

    def _relation(
        self,
        name: str,
        request: RelationRequest,
        kept: CatalogResource,
        actions: Sequence[str],
        place: Place,
    ) -> CatalogRelation:
        check_key(name, place, self._findings)
        check_override(name, place, self._findings)
        chosen: dict[str, int] = {}
        for index, action in enumerate(request.actions):
            if action not in actions:
                where = f" of `{shown(kept.name)}`"
                self._findings.unknown(place / "actions" / index, "action", action, actions, where)
            elif chosen.setdefault(action, index) != index:
                self._findings.add(place / "actions" / index, f"`{action}` is listed twice")
        before = kept.relations.get(name)
        description = self._description(
            request.description, before.description if before else "", place / "description"
        )
        return CatalogRelation(tuple(chosen), description)


def difference(before: Catalog, after: Catalog) -> Difference:
    """What changes from one catalog to another; a description alone is an update, too."""
    old, new = before.resources, after.resources
    updated = tuple(name for name in new if name in old and new[name] != old[name])
    return Difference(
        added=tuple(name for name in new if name not in old),
        updated=updated,
        removed=tuple(name for name in old if name not in new),
        unchanged=tuple(name for name in new if name in old and new[name] == old[name]),
        changes=tuple(_resource_diff(old[name], new[name]) for name in updated),
    )


def _resource_diff(before: CatalogResource, after: CatalogResource) -> ResourceDiff:
    old, new = before.relations, after.relations
    return ResourceDiff(
        resource=after.name,
        actions_added=tuple(each for each in after.actions if each not in before.actions),
        actions_removed=tuple(each for each in before.actions if each not in after.actions),
        relations_added=tuple(name for name in new if name not in old),
        relations_removed=tuple(name for name in old if name not in new),
        relations_changed=tuple(name for name in new if name in old and new[name] != old[name]),
    )

"""Which stored scopes cover a path, found without looking at all of them.

Theory of operation: the path is walked part by part (a segment's parts stand between ``:``). At
each step a stored path may go on with the very part or with ``*``; at the beginning of a segment
also with ``*`` for the whole of it. Both are asked for by name, and a walk goes on only from names
that are known: whoever stores a grant on a path makes every beginning of it known
(``domain.scopes.inner_scopes``). So a walk costs the depth of the path and what is stored with the
same beginning, never 2^depth and never all that is stored.

Many paths are walked together: one batch of names a level, each name asked once.

What is found is a superset in one respect: the name of a beginning may stand for no grant at all.
Reading its grants tells.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from pyroaring import BitMap

from zeratul.domain.paths import STAR, is_management
from zeratul.domain.scopes import ROOT, path_scope, tenant_scope
from zeratul.graph.requests import CARRYING, GRANTS_ON, SCOPES

if TYPE_CHECKING:
    from collections.abc import Sequence

    from zeratul.domain.paths import Path
    from zeratul.graph.requests import Budget, Evaluation

Place = tuple["Path", "str | None"]
"""What is asked about: a resource's path, and the tenant whose roles count as well."""

ByRole = tuple[str, Place]
"""What a role may give: a permission, and where."""

_BEGIN = path_scope(("",))


class _Step(NamedTuple):
    """A walk's position: ``known`` is the id of what was passed, up to and with a separator."""

    place: int
    segment: int
    part: int
    known: str


class _Found(NamedTuple):
    """A name that is asked for: where its walk goes on, and whether a path may end here."""

    step: _Step
    ends: bool


def covering_scopes(places: Sequence[Place], budget: Budget) -> Evaluation[list[list[int]]]:
    """Nodes of the stored scopes that cover each place: root, tenant, paths from short to long.

    Raises:
        LimitError: the read budget is used up; nothing was decided.
    """
    found: list[list[int]] = [[] for _ in places]
    wanted: list[tuple[str, _Found]] = []
    for index, (path, tenant) in enumerate(places):
        start = _Step(index, 0, 0, _BEGIN)
        end = _Found(start._replace(segment=len(path)), ends=True)
        if not is_management(path):
            wanted.append((ROOT, end))
            if tenant is not None:
                wanted.append((tenant_scope(tenant), end))
        if path:
            wanted += _candidates(path, start)
    while wanted:
        ids = list(dict.fromkeys(scope_id for scope_id, _ in wanted))
        budget.spend(len(ids))
        nodes = dict(zip(ids, (yield SCOPES, ids), strict=True))
        steps: list[_Step] = []
        for scope_id, (step, ends) in wanted:
            node = nodes[scope_id]
            if node is None:
                continue
            if ends:
                found[step.place].append(node)
            if step.segment < len(places[step.place][0]):
                steps.append(step)
        wanted = [pair for step in steps for pair in _candidates(places[step.place][0], step)]
    return found


def _candidates(path: Path, step: _Step) -> list[tuple[str, _Found]]:
    """Ids by which a stored path may go on from here."""
    place, segment, part, known = step
    parts = path[segment].split(":")
    # Nothing but its own literal name leads to the server's own resources.
    starred = not (segment == 0 and part == 0 and is_management(path))
    names = dict.fromkeys((parts[part], STAR) if starred else (parts[part],))
    found: list[tuple[str, _Found]] = []
    if part + 1 < len(parts):
        for name in names:
            text = f"{known}{name}:"
            found.append((text, _Found(_Step(place, segment, part + 1, text), ends=False)))
        if part == 0 and starred:
            text = known + STAR
            found.append((text, _Found(_Step(place, segment + 1, 0, text + "/"), ends=True)))
    else:
        for name in names:
            text = known + name
            found.append((text, _Found(_Step(place, segment + 1, 0, text + "/"), ends=True)))
    return found


def grants_on(places: Sequence[Place], budget: Budget) -> Evaluation[list[BitMap]]:
    """The grants on all scopes that cover each place.

    Raises:
        LimitError: the read budget is used up; nothing was decided.
    """
    covering = yield from covering_scopes(places, budget)
    scopes = list(dict.fromkeys(scope for found in covering for scope in found))
    if not scopes:
        return [BitMap() for _ in places]
    answers = yield GRANTS_ON, scopes
    budget.spend(len(scopes) + sum(len(found) for found in answers))
    grants: dict[int, BitMap] = dict(zip(scopes, answers, strict=True))
    return [BitMap.union(BitMap(), *(grants[scope] for scope in found)) for found in covering]


def carrying_grants(by_role: ByRole, budget: Budget) -> Evaluation[BitMap]:
    """Every grant that gives the permission there.

    Raises:
        LimitError: the read budget is used up; nothing was decided.
    """
    permission, place = by_role
    (here,) = yield from grants_on([place], budget)
    if not here:
        return here
    budget.spend(len(here))
    (carrying,) = yield CARRYING, [(permission, here)]
    found: BitMap = carrying
    return found

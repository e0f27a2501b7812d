"""Expand: the tree behind a userset (Zanzibar §2.4.5).

One level of stored subjects stays unexpanded in the leaves, as in the paper; computed usersets,
arrows and operations are shown down to their leaves. A subtree stands once; elsewhere it is
``seen``.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from zeratul.domain.rewrite import Arrow, Computed, Direct, Exclusion, Intersection, Rewrite, Union
from zeratul.domain.vocabulary import SELF, WILDCARD_SLOT
from zeratul.graph.requests import SUBJECTS

if TYPE_CHECKING:
    from collections.abc import Iterator

    from zeratul.graph.plan import Plan
    from zeratul.graph.requests import Budget, Evaluation


@dataclass(slots=True)
class Branch:
    """A node of the tree, still in numbers; the meaning is ``answers.ExpandNode``'s.

    ``subjects`` holds (subject slot, node), as many as were asked for.
    """

    kind: str
    node: int
    slot: int
    subjects: list[tuple[int, int]] = field(default_factory=list)
    subjects_total: int = 0
    children: list[Branch] = field(default_factory=list)


@dataclass(slots=True)
class _Leaf:
    branch: Branch
    type_name: str
    relation: str


def expand(
    plan: Plan, node: int, slot: int, *, subjects_max: int, nodes_max: int, budget: Budget
) -> Evaluation[Branch]:
    """The tree of ``node#slot``; objects behind arrows that exceed ``nodes_max`` are left ``cut``.

    Raises:
        LimitError: the read budget is used up.
    """
    root = Branch("union", node, slot)
    seen: set[tuple[int, int]] = set()
    goals: list[tuple[Branch, int, int]] = [(root, node, slot)]
    made = 1
    while goals:
        leaves: list[_Leaf] = []
        arrows: list[tuple[Branch, str, Arrow]] = []
        for holder, goal, goal_slot in goals:
            if (goal, goal_slot) in seen:
                holder.children.append(Branch("seen", goal, goal_slot))
                continue
            seen.add((goal, goal_slot))
            made += _lay_out(plan, holder, goal, goal_slot, leaves, arrows, seen)
        yield from _fill(plan, leaves, subjects_max, budget)
        goals = []
        for branch, goal, target in (yield from _follow(plan, arrows, budget)):
            made += 1
            if made > nodes_max:
                if not (branch.children and branch.children[-1].kind == "cut"):
                    branch.children.append(Branch("cut", goal, target))
                continue
            branch.children.append(Branch("computed", goal, target))
            goals.append((branch.children[-1], goal, target))
    return root.children[0] if len(root.children) == 1 else root


def _lay_out(
    plan: Plan,
    holder: Branch,
    node: int,
    slot: int,
    leaves: list[_Leaf],
    arrows: list[tuple[Branch, str, Arrow]],
    seen: set[tuple[int, int]],
) -> int:
    """Add the rewrite tree of (node, slot) below ``holder``; returns how many nodes that made."""
    type_name, relation = plan.vocabulary.names[slot]
    relations = plan.schema.types[type_name].relations
    stack: list[tuple[Branch, str, int, Rewrite]] = [
        (holder, relation, slot, relations[relation].rewrite)
    ]
    made = 0
    while stack:
        parent, owner, owner_slot, rewrite = stack.pop()
        made += 1
        branch = Branch("union", node, owner_slot)
        match rewrite:
            case Direct():
                branch = Branch("direct", node, owner_slot)
                leaves.append(_Leaf(branch, type_name, owner))
            case Computed(target):
                target_slot = plan.vocabulary.slots[type_name, target]
                branch = Branch("computed", node, target_slot)
                if (node, target_slot) in seen:
                    branch.kind = "seen"
                else:
                    seen.add((node, target_slot))
                    stack.append((branch, target, target_slot, relations[target].rewrite))
            case Arrow():
                branch = Branch("arrow", node, owner_slot)
                arrows.append((branch, type_name, rewrite))
            case Union(children):
                stack.extend((branch, owner, owner_slot, child) for child in reversed(children))
            case Intersection(children):
                branch = Branch("intersection", node, owner_slot)
                stack.extend((branch, owner, owner_slot, child) for child in reversed(children))
            case Exclusion(base, subtract):
                branch = Branch("exclusion", node, owner_slot)
                stack.append((branch, owner, owner_slot, subtract))
                stack.append((branch, owner, owner_slot, base))
        parent.children.append(branch)
    return made


def _fill(plan: Plan, leaves: list[_Leaf], subjects_max: int, budget: Budget) -> Evaluation[None]:
    keys: list[tuple[int, int, int]] = []
    owners: list[Branch] = []
    for leaf in leaves:
        for subject_slot in _subject_slots(plan, leaf.type_name, leaf.relation):
            keys.append((leaf.branch.node, leaf.branch.slot, subject_slot))
            owners.append(leaf.branch)
    if not keys:
        return
    answers = yield SUBJECTS, keys
    for (_, _, subject_slot), branch, nodes in zip(keys, owners, answers, strict=True):
        budget.spend(1 + len(nodes))
        branch.subjects_total += len(nodes)
        for node in nodes:
            if len(branch.subjects) >= subjects_max:
                break
            branch.subjects.append((subject_slot, node))


def _subject_slots(plan: Plan, type_name: str, relation: str) -> Iterator[int]:
    for allowed in plan.schema.types[type_name].relations[relation].subjects:
        part = WILDCARD_SLOT if allowed.wildcard else allowed.relation or SELF
        yield plan.vocabulary.slots[allowed.type, part]


def _follow(
    plan: Plan, arrows: list[tuple[Branch, str, Arrow]], budget: Budget
) -> Evaluation[list[tuple[Branch, int, int]]]:
    """Goals behind arrows: (branch, node, slot)."""
    keys: list[tuple[int, int, int]] = []
    owners: list[tuple[Branch, int]] = []
    for branch, type_name, arrow in arrows:
        tupleset_slot = plan.vocabulary.slots[type_name, arrow.tupleset]
        for allowed in plan.schema.types[type_name].relations[arrow.tupleset].subjects:
            target = plan.vocabulary.slots.get((allowed.type, arrow.relation))
            known = arrow.relation in plan.schema.types[allowed.type].relations
            if allowed.wildcard or allowed.relation or target is None or not known:
                continue
            keys.append((branch.node, tupleset_slot, plan.vocabulary.slots[allowed.type, SELF]))
            owners.append((branch, target))
    if not keys:
        return []
    goals: list[tuple[Branch, int, int]] = []
    for (branch, target), nodes in zip(owners, (yield SUBJECTS, keys), strict=True):
        budget.spend(1 + len(nodes))
        goals.extend((branch, node, target) for node in nodes)
    return goals

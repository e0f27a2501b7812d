"""What the answers are: the meaning of a schema over a list of relationships, slow and obvious.

A *goal* is (resource type, resource id, relation). For one subject every goal a question rests on
is collected, then their memberships are computed as a least fixpoint: all NOT_MEMBER at first,
then the rules applied until nothing changes. An exclusion is not monotone, so goals are computed
stratum by stratum: what is subtracted is complete before anything that subtracts it.

Rules:
- A plain subject matches a row that names it and a row that names the wildcard of its type.
- The wildcard as a subject matches only rows that name the wildcard.
- A userset subject ``o#r`` is in the goal ``o#r`` itself, and otherwise matches only rows that
  name exactly it.
- Every subject matches a row that names a userset it is a member of.
- An arrow follows plain objects stored on its tupleset, never wildcards or usersets, and of those
  only the ones whose type has the relation.
- A row whose expiry is not after ``now_ms`` is absent.

It imports values only: nothing here may share code, and therefore mistakes, with the evaluator.
"""

from __future__ import annotations

from collections import defaultdict
from functools import reduce
from typing import TYPE_CHECKING, NamedTuple

from zeratul.domain.membership import Membership, exclusion, intersection, union
from zeratul.domain.relationship import ObjectRef, Relationship, SubjectRef
from zeratul.domain.rewrite import Arrow, Computed, Direct, Exclusion, Intersection, Rewrite, Union

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from zeratul.domain.schema import Relation, Schema

FRESH_ID = "never-mentioned-anywhere"
"""An id that stands for all those no relationship names."""


class Goal(NamedTuple):
    """The userset that a rule is evaluated for."""

    type: str
    id: str
    relation: str


class SubjectSet(NamedTuple):
    """Subjects of one form: ``explicit``, and with ``wildcard`` all others but ``exceptions``."""

    explicit: frozenset[str]
    wildcard: bool
    exceptions: frozenset[str]


class Reference:
    """Answers questions about one schema and one list of relationships at one time."""

    def __init__(
        self, schema: Schema, relationships: Iterable[Relationship], now_ms: int = 0
    ) -> None:
        self.schema = schema
        self._rows: dict[Goal, list[SubjectRef]] = defaultdict(list)
        self.mentioned: dict[str, set[str]] = defaultdict(set)
        self.relationships = [row for row in relationships if _is_live(row, now_ms)]
        for row in self.relationships:
            goal = Goal(row.resource_type, row.resource_id, row.relation)
            self._rows[goal].append(row.subject)
            self.mentioned[row.resource_type].add(row.resource_id)
            if not row.subject.is_wildcard:
                self.mentioned[row.subject_type].add(row.subject_id)
        self._strata = _strata(schema)

    def check(
        self,
        subject: SubjectRef,
        resource: ObjectRef,
        relation: str,
        tenant: str | None = None,
    ) -> Membership:
        """Whether ``subject`` has ``relation`` to ``resource``.

        Raises:
            UnknownNameError: a type or relation the schema does not declare.
        """
        self.schema.type(subject.type)
        if subject.relation:
            self.schema.relation(subject.type, subject.relation)
        self.schema.relation(resource.type, relation)
        wanted = Goal(resource.type, resource.id, relation)
        known: dict[Goal, Membership] = {}
        by_stratum: dict[int, list[Goal]] = defaultdict(list)
        for goal in self._needed(wanted):
            by_stratum[self._strata[goal.type, goal.relation]].append(goal)
        for stratum in sorted(by_stratum):
            goals = by_stratum[stratum]
            known.update(dict.fromkeys(goals, Membership.NOT_MEMBER))
            changed = True
            while changed:
                changed = False
                for goal in reversed(goals):
                    itself = subject.relation and goal == Goal(*subject)
                    rule = self._apply(subject, goal, self._rule(goal), known)
                    value = Membership.MEMBER if itself else rule
                    if value != known[goal]:
                        known[goal] = value
                        changed = True
        return known[wanted]

    def lookup_resources(self, subject: SubjectRef, resource_type: str, relation: str) -> set[str]:
        """Ids of every resource of the type to which ``subject`` has ``relation``."""
        self.schema.relation(resource_type, relation)
        candidates = set(self.mentioned[resource_type])
        if subject.relation and subject.type == resource_type:
            candidates.add(subject.id)  # A userset is a member of itself, mentioned or not.
        return {
            resource_id
            for resource_id in candidates
            if self.check(subject, ObjectRef(resource_type, resource_id), relation)
            is Membership.MEMBER
        }

    def lookup_subjects(
        self, resource: ObjectRef, relation: str, subject_type: str, subject_relation: str = ""
    ) -> SubjectSet:
        """Every subject of one form that has ``relation`` to ``resource``.

        ``explicit`` holds all members that any relationship mentions (and the resource's own
        userset); ``exceptions`` the mentioned ids that are not members though the wildcard is.
        """
        candidates = set(self.mentioned[subject_type])
        if subject_type == resource.type:
            candidates.add(resource.id)

        def is_member(subject_id: str) -> bool:
            subject = SubjectRef(subject_type, subject_id, subject_relation)
            return self.check(subject, resource, relation) is Membership.MEMBER

        members = frozenset(filter(is_member, candidates))
        wildcard = is_member(FRESH_ID)
        return SubjectSet(members, wildcard, frozenset(candidates - members if wildcard else ()))

    def _needed(self, wanted: Goal) -> list[Goal]:
        """Every goal the wanted one depends on, itself first."""
        found = {wanted: None}
        queue = [wanted]
        for goal in queue:
            for needed in self._needs(goal, self._rule(goal)):
                if needed not in found:
                    found[needed] = None
                    queue.append(needed)
        return list(found)

    def _rule(self, goal: Goal) -> Rewrite:
        return self.schema.relation(goal.type, goal.relation).rewrite

    def _needs(self, goal: Goal, rewrite: Rewrite) -> Iterator[Goal]:
        match rewrite:
            case Direct():
                for row in self._rows.get(goal, ()):
                    if row.relation:
                        yield Goal(*row)
            case Computed(relation):
                yield goal._replace(relation=relation)
            case Arrow(tupleset, relation):
                yield from self._followed(goal, tupleset, relation)
            case Union(children) | Intersection(children):
                for child in children:
                    yield from self._needs(goal, child)
            case Exclusion(base, subtract):
                yield from self._needs(goal, base)
                yield from self._needs(goal, subtract)

    def _followed(self, goal: Goal, tupleset: str, relation: str) -> Iterator[Goal]:
        for row in self._rows.get(goal._replace(relation=tupleset), ()):
            plain = not row.relation and not row.is_wildcard
            if plain and relation in self.schema.type(row.type).relations:
                yield Goal(row.type, row.id, relation)

    def _apply(
        self, subject: SubjectRef, goal: Goal, rewrite: Rewrite, known: dict[Goal, Membership]
    ) -> Membership:
        match rewrite:
            case Direct():
                rows = self._rows.get(goal, ())
                return _any(_matches(subject, row, known) for row in rows)
            case Computed(relation):
                return known[goal._replace(relation=relation)]
            case Arrow(tupleset, relation):
                return _any(known[next_] for next_ in self._followed(goal, tupleset, relation))
            case Union(children):
                return _any(self._apply(subject, goal, child, known) for child in children)
            case Intersection(children):
                parts = (self._apply(subject, goal, child, known) for child in children)
                return reduce(intersection, parts, Membership.MEMBER)
            case Exclusion(base, subtract):
                return exclusion(
                    self._apply(subject, goal, base, known),
                    self._apply(subject, goal, subtract, known),
                )


def _is_live(row: Relationship, now_ms: int) -> bool:
    return row.expires_at_ms is None or row.expires_at_ms > now_ms


def _any(parts: Iterable[Membership]) -> Membership:
    return reduce(union, parts, Membership.NOT_MEMBER)


def _matches(subject: SubjectRef, row: SubjectRef, known: dict[Goal, Membership]) -> Membership:
    named = row == subject
    by_wildcard = row.is_wildcard and not subject.relation and row.type == subject.type
    if named or by_wildcard:
        return Membership.MEMBER
    return known[Goal(*row)] if row.relation else Membership.NOT_MEMBER


def _strata(schema: Schema) -> dict[tuple[str, str], int]:
    """Each (type, relation) above what it subtracts and no lower than what it otherwise uses."""
    level = {(kind, name): 0 for kind, of in schema.types.items() for name in of.relations}
    changed = True
    while changed:
        changed = False
        for (kind, name), old in list(level.items()):
            relation = schema.relation(kind, name)
            uses = _uses(schema, kind, relation, relation.rewrite, 0)
            new = max((level[used] + step for used, step in uses), default=0)
            if new > old:
                if new > len(level):
                    raise ValueError(f"{kind}#{name} recurses through an exclusion")
                level[kind, name] = new
                changed = True
    return level


def _uses(
    schema: Schema, kind: str, relation: Relation, rewrite: Rewrite, step: int
) -> Iterator[tuple[tuple[str, str], int]]:
    match rewrite:
        case Direct():
            yield from (((by.type, by.relation), step) for by in relation.subjects if by.relation)
        case Computed(name):
            yield (kind, name), step
        case Arrow(tupleset, name):
            stored = schema.relation(kind, tupleset).subjects
            plain = [by.type for by in stored if not by.relation and not by.wildcard]
            yield from (((to, name), step) for to in plain if name in schema.type(to).relations)
        case Union(children) | Intersection(children):
            for child in children:
                yield from _uses(schema, kind, relation, child, step)
        case Exclusion(base, subtract):
            yield from _uses(schema, kind, relation, base, step)
            yield from _uses(schema, kind, relation, subtract, 1)

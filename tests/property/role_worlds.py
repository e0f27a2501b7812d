"""Small worlds of roles: catalogs, policies, roles, assignments, groups; questions about them.

Everything comes from small pools, so that scopes cover each other, groups nest and tenants meet.
Models differ in what their ``group`` is: whether a closure can tell who is in it.
"""

from __future__ import annotations

from functools import lru_cache
from itertools import product
from typing import TYPE_CHECKING, Any, NamedTuple

from hypothesis import strategies as st

from tests.builders import model
from tests.reference.roles import Assignment, Role, RoleReference, Rules
from tests.strategies import EXPIRIES, NOW_MS
from zeratul.domain.catalog import Catalog, CatalogRelation, CatalogResource
from zeratul.domain.membership import Membership
from zeratul.domain.paths import covers
from zeratul.domain.relationship import WILDCARD, ObjectRef, Relationship, SubjectRef
from zeratul.domain.scopes import Scope, parse_scope
from zeratul.graph.answers import CheckQuestion
from zeratul.language.application import application_schema

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from tests.applications import Resources, Subjects
    from zeratul.domain.paths import Path
    from zeratul.domain.schema import Schema
    from zeratul.graph.answers import Decision, Explanation

MODELS: dict[str, dict[str, Any]] = {
    "built-in groups": model({}),
    "groups for everybody": model(
        {"user": {}, "group": {"member": "[user, user:*, group#member]"}}
    ),
    "groups that subtract": model(
        {
            "user": {},
            "group": {
                "listed": "[user, group#member]",
                "banned": "[user]",
                "member": "listed but not banned",
            },
        }
    ),
    "groups by inheritance": model(
        {
            "user": {},
            "group": {
                "parent": "[group]",
                "member": "[user, group#member] or member from parent",
            },
        }
    ),
    "actions of the model": model(
        {
            "folders": {"viewer": "[user, group#member]"},
            "documents": {
                "parent": "[folders]",
                "banned": "[user, group#member]",
                "read": "([user, group#member] or viewer from parent) but not banned",
            },
        }
    ),
}

_OFFICES = CatalogResource("offices", actions=("read",))
CATALOGS = (
    Catalog(
        {
            "documents": CatalogResource("documents", actions=("read", "update", "delete")),
            "offices": _OFFICES,
        }
    ),
    Catalog(
        {
            "documents": CatalogResource(
                "documents",
                actions=("read", "update"),
                relations={"reviewer": CatalogRelation(("update",))},
            ),
            "offices": _OFFICES,
        },
        {"documents": "papers", "papers": "papers#1"},
    ),
    # An action less: what names it still gives nothing, and every action is fewer.
    Catalog({"documents": CatalogResource("documents", actions=("update",)), "offices": _OFFICES}),
)

PERMISSIONS = ("documents:read", "documents:update", "documents:*", "offices:read", "offices:*")
POLICIES = ("pol_1", "pol_2", "pol_3")
ROLES = ("role_1", "role_2", "role_3", "role_4")
TENANTS = ("t", "u")
HOLDERS = tuple(
    SubjectRef.parse(text)
    for text in ("user:1", "user:2", "client:1", "group:1#member", "group:2#member")
)
SUBJECTS = (*HOLDERS, SubjectRef("user", "ghost"), SubjectRef("user", WILDCARD))
RESOURCE_IDS = ("1", "2", "1/1", "2/1", "a:1", "a:1/1", "a:2", "1/", "*")
PATHS: tuple[Path, ...] = tuple(
    tuple(part for part in parts if part)
    for parts in product(
        ("documents", "papers", "offices", "*"),
        ("", "1", "2", "*", "a:1", "a:*", "*:1"),
        ("", "1", "*"),
    )
    if parts[1] or (not parts[2] and parts[0] != "*")
)
SCOPES = (
    Scope(None, ()),
    *(Scope(tenant, ()) for tenant in TENANTS),
    *(Scope(None, path) for path in PATHS),
)


class World(NamedTuple):
    """An application: its model, what is stored, and everything about roles."""

    model: dict[str, Any]
    relationships: list[Relationship]
    rules: Rules

    @property
    def schema(self) -> Schema:
        """What callers know of the application."""
        return application_schema(self.model, self.rules.catalog, roles=False)

    def reference(self, now_ms: int = NOW_MS) -> RoleReference:
        """What the answers are."""
        return RoleReference(self.schema, self.relationships, self.rules, now_ms)


POLICY = st.frozensets(st.sampled_from(PERMISSIONS), min_size=1, max_size=3)
ROLE = st.builds(
    Role,
    st.lists(st.sampled_from(POLICIES), min_size=1, max_size=2, unique=True).map(tuple),
    st.sampled_from((None, None, None, *TENANTS)),
)
# One draw of bytes instead of lists: the generator likes its lists short, and short lists hold no
# groups in groups. Zero bytes drop an entry, so it shrinks all the same.
_ROWS = 14
_ASSIGNED = 10
_PICKS = st.binary(min_size=4 * (_ROWS + _ASSIGNED), max_size=4 * (_ROWS + _ASSIGNED))
_DROPPED_BELOW = 48
_ENDING_FROM = 216


@lru_cache(maxsize=64)
def _possible(names: tuple[tuple[str, str, tuple[Any, ...]], ...]) -> list[Relationship]:
    ids = {"documents": RESOURCE_IDS[:5], "offices": RESOURCE_IDS[:2]}
    return [
        Relationship(type_name, resource_id, relation, form.type, subject_id, form.relation)
        for type_name, relation, subjects in names
        for form in subjects
        for resource_id in ids.get(type_name, ("1", "2"))
        for subject_id in ((WILDCARD,) if form.wildcard else ("1", "2"))
    ]


def possible_relationships(schema: Schema) -> list[Relationship]:
    """Every relationship that the pools allow; rows of groups are as likely as all others."""
    names = tuple(
        (name, relation.name, relation.subjects)
        for name, definition in schema.types.items()
        for relation in definition.relations.values()
    )
    groups = _possible(tuple(each for each in names if each[0] == "group"))
    others = _possible(tuple(each for each in names if each[0] != "group"))
    return others + groups * (len(others) // max(1, len(groups)) + 1)


def picked_assignment(role: int, where: int, who: int) -> Assignment:
    """An assignment by numbers; half of them are on no path."""
    wide = where < len(SCOPES[:3]) * 42
    scope = SCOPES[where % 3] if wide else SCOPES[where % len(SCOPES)]
    return Assignment(ROLES[role % len(ROLES)], *scope, HOLDERS[who % len(HOLDERS)])


def _ends(byte: int) -> int | None:
    return EXPIRIES[byte % len(EXPIRIES)] if byte >= _ENDING_FROM else None


@st.composite
def worlds(draw: Any) -> World:
    """An application with everything in it."""
    picks = draw(_PICKS)
    entries = [picks[start : start + 4] for start in range(0, len(picks), 4)]
    catalog = draw(st.sampled_from(CATALOGS))
    chosen = MODELS[draw(st.sampled_from(sorted(MODELS)))]
    possible = possible_relationships(application_schema(chosen, catalog, roles=False))
    rows: dict[Relationship, int | None] = {}
    assignments: dict[Assignment, int | None] = {}
    for keep, high, low, last in entries[:_ROWS]:
        if keep >= _DROPPED_BELOW:
            rows.setdefault(possible[(high << 8 | low) % len(possible)], _ends(last))
    for keep, where, who, last in entries[_ROWS:]:
        if keep >= _DROPPED_BELOW:
            assignments.setdefault(picked_assignment(keep, where, who), _ends(last))
    rules = Rules(
        catalog,
        dict(zip(POLICIES, draw(st.tuples(*[POLICY] * len(POLICIES))), strict=True)),
        # One role is assigned and does not exist.
        dict(zip(ROLES, draw(st.tuples(*[ROLE] * (len(ROLES) - 1))), strict=False)),
        assignments,
    )
    relationships = [row._replace(expires_at_ms=ends) for row, ends in rows.items()]
    return World(chosen, relationships, rules)


def install(installation: Any, world: World) -> int:
    """The world as a new application of an installation; its number."""
    rules = world.rules
    application, _ = installation.put_rules(None, world.model, rules.catalog)
    installation.write(application, world.relationships)
    installation.put_documents(application, policies=rules.policies, roles=rules.roles)
    installation.assign(application, rules.assignments)
    return int(application)


def goals(schema: Schema) -> list[tuple[str, str]]:
    """What is asked for: actions of both resources, and relations that are no action."""
    return [
        (type_name, name)
        for type_name, names in (
            ("documents", ("read", "update", "viewer")),
            ("offices", ("read",)),
        )
        for name in names
        if name in schema.types[type_name].relations
    ]


def all_questions(
    schema: Schema, tenants: Sequence[str | None] = (None, *TENANTS)
) -> list[CheckQuestion]:
    """Everybody about everything, types as a whole included."""
    return [
        CheckQuestion(subject, ObjectRef(type_name, resource_id), relation, tenant)
        for type_name, relation in goals(schema)
        for resource_id in ("", *(RESOURCE_IDS if type_name == "documents" else ("1", "a:1")))
        for subject in SUBJECTS
        for tenant in tenants
    ]


def judge_decision(reference: RoleReference, question: CheckQuestion, decision: Decision) -> None:
    """The decision is the reference's; a way that is told is told rightly."""
    subject, resource, relation, tenant = question
    where = f"{question}: {decision}"
    assert decision.membership is reference.check(*question), where
    by_role = reference.by_role(subject, resource, relation, tenant)
    related = reference.by_relationships(subject, resource, relation) is Membership.MEMBER
    if decision.via_role is not None:
        assert decision.via_role == by_role, where
    if decision.via_relationships is not None:
        assert resource.id, where
        assert decision.via_relationships == related, where
    said = decision.via_role or decision.via_relationships or False
    assert said == (decision.membership is Membership.MEMBER), where


def judge_resources(
    reference: RoleReference,
    answer: Resources,
    subject: SubjectRef,
    type_name: str,
    relation: str,
    tenant: str | None,
) -> None:
    """Enumerated ids and whatever the scopes cover: together exactly what is allowed."""
    where = f"{type_name}#{relation} of {subject} in {tenant}: {answer}"
    assert list(answer.scopes) == sorted(reference.scopes(subject, type_name, relation, tenant)), (
        where
    )
    scopes = [parse_scope(scope) for scope in answer.scopes]
    for resource_id in RESOURCE_IDS:
        resource = ObjectRef(type_name, resource_id)
        path = reference.path(resource)
        by_role = any(covers(scope.path, path) for scope in scopes)
        assert by_role == reference.by_role(subject, resource, relation, tenant), where
        related = reference.by_relationships(subject, resource, relation) is Membership.MEMBER
        assert (resource_id in answer.ids) == related, where


def judge_subjects(
    reference: RoleReference,
    answer: Subjects,
    resource: ObjectRef,
    relation: str,
    subject_type: str,
    subject_relation: str,
    tenant: str | None,
) -> None:
    """Exactly those whose check says yes; ``role`` is the way of exactly the holders of roles."""
    where = f"{subject_type}#{subject_relation} of {resource}#{relation} in {tenant}: {answer}"
    by_role = answer.via.get("role", frozenset())
    assert by_role <= answer.explicit, where
    assert frozenset().union(*answer.via.values()) == answer.explicit, where
    for subject_id in ("1", "2", "ghost"):
        subject = SubjectRef(subject_type, subject_id, subject_relation)
        allowed = reference.check(subject, resource, relation, tenant) is Membership.MEMBER
        assert answer.holds(subject_id) == allowed, f"{where}: {subject}"
        if subject_id in by_role or not answer.wildcard:
            said = reference.by_role(subject, resource, relation, tenant)
            assert (subject_id in by_role) == said, where
    everybody = SubjectRef(subject_type, WILDCARD)
    if not subject_relation:
        said = reference.by_role(everybody, resource, relation, tenant)
        assert ("role" in answer.wildcard_via) == said, where


def judge_explanation(
    reference: RoleReference, question: CheckQuestion, told: Explanation
) -> None:
    """Both ways are told, every role that is held is listed, and each with the right reason."""
    subject, resource, relation, tenant = question
    where = f"{question}: {told.roles}"
    by_role = reference.by_role(subject, resource, relation, tenant)
    assert told.membership is reference.check(*question), where
    assert told.via_role == by_role, where
    if resource.id:
        related = reference.by_relationships(subject, resource, relation) is Membership.MEMBER
        assert told.via_relationships == related, where
        assert bool(told.proof) <= related, where
    else:
        assert told.via_relationships is None, where
    assert not (told.suggestions and told.membership is Membership.MEMBER), where
    held: dict[tuple[str, str], Assignment] = {
        (each.role, Scope(each.tenant, each.path).id): each
        for each in reference.assignments
        if reference.holds(subject, each.holder)
    }
    assert sorted((each.role_id, each.scope) for each in told.roles) == sorted(held), where
    assert told.roles_total == len(held), where
    path = reference.path(resource)
    for each in told.roles:
        assignment = held[each.role_id, each.scope]
        role = reference.rules.roles.get(each.role_id)
        covered = covers(assignment.path, path)
        carries = reference.gives(assignment, resource.type, relation)
        expected = (
            "no_role"
            if role is None
            else "not_of_this_tenant"
            if role.tenant not in (None, assignment.tenant)
            else "other_tenant"
            if assignment.tenant not in (None, tenant)
            else "does_not_cover"
            if not covered
            else "decides"
            if carries
            else "does_not_carry"
        )
        assert each.reason == expected, where
        assert each.considered == (expected in ("decides", "does_not_carry", "does_not_cover")), (
            where
        )
        assert each.held == (expected in ("decides", "does_not_carry")), where
        assert each.carries or not carries, where
        _judge_holder(reference, subject, each.holder, each.relationships)


def _judge_holder(
    reference: RoleReference,
    subject: SubjectRef,
    holder: SubjectRef | None,
    relationships: Iterable[Relationship],
) -> None:
    """The relationships alone put the subject into the holder."""
    assert holder is not None
    rows = list(relationships)
    assert {row._replace(expires_at_ms=None) for row in rows} <= {
        row._replace(expires_at_ms=None) for row in reference.related.relationships
    }
    alone = RoleReference(reference.related.schema, rows, Rules(reference.rules.catalog))
    assert alone.holds(subject, holder)
    for row in rows:
        rest = [other for other in rows if other != row]
        without = RoleReference(reference.related.schema, rest, Rules(reference.rules.catalog))
        assert not without.holds(subject, holder)

"""Paths: their canonical form, what covers what, and the walk that finds covering scopes."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from zeratul.domain.paths import (
    SEGMENTS_MAX,
    Path,
    canonical,
    covers,
    path_text,
    resource_path,
)
from zeratul.domain.scopes import (
    Grant,
    Scope,
    grant_id,
    inner_scopes,
    parse_grant,
    parse_scope,
    path_scope,
)
from zeratul.errors import LimitError, MalformedError
from zeratul.graph.requests import SCOPES, Budget
from zeratul.graph.scopes import covering_scopes

if TYPE_CHECKING:
    from collections.abc import Sequence

    from zeratul.graph.scopes import Place

PARTS = ("a", "b", "*", "Authress", "")
SEGMENTS = [first for first in PARTS if first] + [
    f"{first}:{second}" for first in PARTS for second in PARTS
]
PATHS = st.lists(st.sampled_from(SEGMENTS), max_size=4).map(tuple).filter(lambda p: p != ("*",))
# A resource's id may hold anything between its slashes, a star that means nothing included.
RESOURCES = st.lists(st.sampled_from([*SEGMENTS, "", "a*", "a:b:c"]), max_size=5).map(tuple)
TENANTS = st.sampled_from([None, "t", "u"])


@st.composite
def patterns(draw: Any, resource: Path) -> Path:
    """A path that covers the resource, or nearly: parts and segments of it starred or replaced."""
    length = draw(st.integers(0, len(resource)))
    segments = []
    for segment in resource[:length]:
        kind = draw(st.sampled_from(["same", "same", "star", "parts", "other"]))
        if kind == "star" or not segment or "a*" in segment:
            segments.append("*")
        elif kind == "parts":
            starred = [draw(st.sampled_from([part, "*"])) for part in segment.split(":")]
            segments.append(":".join(starred))
        else:
            segments.append(segment if kind == "same" else draw(st.sampled_from(SEGMENTS)))
    return tuple(segments) if segments != ["*"] else ()


@st.composite
def forests(draw: Any) -> tuple[list[Path], list[Place]]:
    """Stored paths, and places that some of them cover."""
    resources = draw(st.lists(RESOURCES, min_size=1, max_size=3))
    stored = [draw(patterns(draw(st.sampled_from(resources)))) for _ in range(8)]
    return stored, [(resource, draw(TENANTS)) for resource in resources]


@pytest.mark.parametrize(
    ("text", "path"),
    [
        ("", ()),
        ("*", ()),
        ("/", ()),
        ("/*", ()),
        ("*/", ()),
        ("*/*", ()),
        ("documents", ("documents",)),
        ("/documents", ("documents",)),
        ("documents/", ("documents",)),
        ("documents/*", ("documents",)),
        ("/documents/*", ("documents",)),
        ("documents/*/*", ("documents", "*")),
        ("*/*/*", ("*", "*")),
        ("offices/✶/manufacturing", ("offices", "*", "manufacturing")),
        ("✶", ()),
        (
            "namespace:*/resources/lower:*/nested",
            ("namespace:*", "resources", "lower:*", "nested"),
        ),
        ("accounts:1", ("accounts:1",)),
        ("a:/b", ("a:", "b")),
        ("Authress:*", ("Authress:*",)),
        ("/".join("x" * SEGMENTS_MAX), tuple("x" * SEGMENTS_MAX)),
        ("/".join("x" * SEGMENTS_MAX) + "/*", tuple("x" * SEGMENTS_MAX)),
    ],
)
def test_the_canonical_form(text: str, path: Path) -> None:
    """What says nothing is dropped; everything else stays as it is."""
    assert canonical(text) == path


@pytest.mark.parametrize(
    ("text", "part"),
    [
        ("//", "empty segment"),
        ("//*", "empty segment"),
        ("a//b", "empty segment"),
        ("a//", "empty segment"),
        ("a//*", "empty segment"),
        ("doc*", "inside `doc*`"),
        ("a/b:c*", "inside `b:c*`"),
        ("a/**", "inside `**`"),
        ("a b", "white space"),
        ("a\u00a0b", "white space"),
        (" a", "white space"),
        ("a#b", "`#`"),
        ("a\x00", "control"),
        ("a\x85b", "white space"),
        ("a\ud800", "control"),
        ("/".join("x" * (SEGMENTS_MAX + 1)), "at most 15 segments, this one has 16"),
        ("x" * 1_025, "at most 1,024 characters, this one has 1,025"),
    ],
)
def test_what_is_no_path(text: str, part: str) -> None:
    """Named with its field; nothing is guessed."""
    with pytest.raises(MalformedError) as raised:
        canonical(text, field="scope")
    assert raised.value.field == "scope"
    assert part in raised.value.message


@given(text=st.text(alphabet="ab*:/✶ #A", max_size=12) | st.text(max_size=12))
def test_any_text_is_a_path_or_refused(text: str) -> None:
    """A path's text means the same path again, however it was spelled first."""
    try:
        path = canonical(text)
    except MalformedError:
        return
    assert canonical(path_text(path)) == path
    assert canonical("/" + path_text(path)) == path


@given(path=PATHS)
def test_every_path_has_a_text(path: Path) -> None:
    """Also those that end in a star."""
    assert canonical(path_text(path)) == path


@pytest.mark.parametrize(
    ("grant", "resource", "expected"),
    [
        ("*", "documents", True),
        ("*", "documents/1/2", True),
        ("documents", "documents", True),
        ("documents", "documents/1/2", True),
        ("documents/1", "documents", False),
        ("documents/1", "documents/11", False),
        ("documents/1", "documents/1/2", True),
        ("offices/*/manufacturing", "offices/7/manufacturing/3", True),
        ("offices/*/manufacturing", "offices/7/sales", False),
        ("offices/*/manufacturing", "offices/manufacturing", False),
        ("documents/*/*", "documents", False),
        ("documents/*/*", "documents/1", True),
        # A star in the question means all of them: a literal is not all.
        ("documents/1", "documents/*/*", False),
        ("documents/*/*", "documents/*/*", True),
        # Parts.
        ("accounts:*", "accounts:1/x", True),
        ("accounts:*", "accounts:1:2", False),
        ("accounts:*", "accounts", False),
        ("accounts", "accounts:1", False),
        ("*/x", "accounts:1/x", True),
        ("*:1/x", "accounts:1/x", True),
        ("*:1/x", "accounts:2/x", False),
        ("accounts/1", "accounts:1", False),
        # The server's own.
        ("*", "Authress:Roles", False),
        ("*/x", "Authress:Roles/x", False),
        ("*:*", "Authress:Roles", False),
        ("*:Roles", "Authress:Roles", False),
        ("Authress:*", "Authress:Roles/1", True),
        ("Authress:Roles", "Authress:Roles/1", True),
        ("Authress:Roles", "Authress:Groups", False),
        ("*", "Authress", True),
        ("*", "authress:Roles", True),
        ("x/*/Authress:Roles", "x/1/Authress:Roles", True),
    ],
)
def test_what_covers_what(grant: str, resource: str, expected: bool) -> None:
    """The rule, one line for each of its parts."""
    assert covers(canonical(grant), canonical(resource)) is expected


@given(resource=RESOURCES, data=st.data())
def test_covering_is_transitive(resource: Path, data: st.DataObject) -> None:
    """Whoever covers a grant covers what it covers; every path covers itself."""
    lower = data.draw(patterns(resource))
    upper = data.draw(patterns(lower))
    assert covers(upper, upper)
    if covers(upper, lower) and covers(lower, resource):
        assert covers(upper, resource)


def test_a_resource_has_a_path() -> None:
    """Its type, then its id byte for byte, as deep as a grant may reach."""
    assert resource_path("documents", "") == ("documents",)
    assert resource_path("documents", "a/b") == ("documents", "a", "b")
    assert resource_path("documents", "a/") == ("documents", "a", "")
    assert resource_path("files", "a", {"files": "documents"}) == ("documents", "a")
    assert resource_path("documents", "/".join("x" * 99)) == ("documents", *"x" * 14)


@given(path=PATHS, tenant=TENANTS, role=st.sampled_from(["role_1", "a@b", "a@root", "@"]))
def test_ids_can_be_read_back(path: Path, tenant: str | None, role: str) -> None:
    """Of scopes and of grants, whatever a role's id holds."""
    scope = Scope(tenant, () if tenant is not None else path)
    assert parse_scope(scope.id) == scope
    assert parse_grant(grant_id(role, scope.id)) == Grant(role, scope)


def walk(
    stored: Sequence[Path],
    places: Sequence[Place],
    tenants: Sequence[str] = (),
    reads: int = 10**6,
) -> tuple[list[list[str]], list[list[str]]]:
    """Run the walk over names that are stored as they are by assignments.

    Returns:
        Ids of the scopes found for each place, and the ids asked for in each round.
    """
    known = {"root": None, **{f"tenant/{tenant}": None for tenant in tenants}}
    for path in stored:
        known |= dict.fromkeys((*inner_scopes(path), path_scope(path)))
    names = list(known)
    numbers = {name: number for number, name in enumerate(names)}
    rounds: list[list[str]] = []
    evaluation = covering_scopes(places, Budget(reads, "check_reads_max"))
    answers: Any = None
    while True:
        try:
            kind, asked = evaluation.send(answers)
        except StopIteration as stop:
            return [[names[node] for node in found] for found in stop.value], rounds
        assert kind == SCOPES
        assert len(set(asked)) == len(asked)
        rounds.append(asked)
        answers = [numbers.get(name) for name in asked]


@given(forest=forests())
def test_the_walk_finds_what_covers(forest: tuple[list[Path], list[Place]]) -> None:
    """All stored scopes that cover, each once; what else it finds is the beginning of a path."""
    stored, places = forest
    found, _ = walk(stored, places, tenants=["t"])
    candidates = {path_scope(path): path for path in (*stored, ())}
    beginnings = {scope for path in stored for scope in inner_scopes(path)}
    for (resource, tenant), scopes in zip(places, found, strict=True):
        expected = {scope for scope, path in candidates.items() if covers(path, resource)}
        if tenant == "t" and covers((), resource):
            expected.add("tenant/t")
        assert len(set(scopes)) == len(scopes)
        assert expected <= set(scopes)
        for more in set(scopes) - expected:
            assert more in beginnings
            assert covers(parse_scope(more).path, resource)


@given(forest=forests())
def test_the_walk_asks_for_what_shares_the_beginning(
    forest: tuple[list[Path], list[Place]],
) -> None:
    """A few names more for each name that is known, however many others are stored."""
    stored, ((resource, _), *_) = forest
    _, rounds = walk(stored, [(resource, None)])
    asked = [name for names in rounds for name in names]
    known = {scope for path in stored for scope in (*inner_scopes(path), path_scope(path))}
    # ``a:`` may be a path and the beginning of another at once: two steps of three names.
    assert len(asked) <= 4 + 6 * len(known & set(asked))


@pytest.mark.parametrize("resource", [("a",) * SEGMENTS_MAX, (":".join("a" * 500),)])
def test_nothing_stored_costs_nothing(resource: Path) -> None:
    """Depth and parts alone make no work."""
    _, rounds = walk([], [(resource, None)])
    assert len(rounds) == 1
    assert len(rounds[0]) <= 4


def test_a_walk_past_the_budget_is_a_named_error() -> None:
    """Every pattern of ten levels: two to the tenth of them cover, and none may be left out."""
    stored: list[Path] = [()]
    for _ in range(10):
        stored = [(*path, part) for path in stored for part in ("a", "*")]
    found, rounds = walk(stored, [(("a",) * 10, None)])
    assert set(found[0]) >= {path_scope(path) for path in stored}
    assert len(rounds) == 10
    with pytest.raises(LimitError) as raised:
        walk(stored, [(("a",) * 10, None)], reads=1_000)
    assert raised.value.limit == "check_reads_max"

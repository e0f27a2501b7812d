"""Relationships of any size, made the same way each time, with questions whose answers are known.

A shape is arithmetic: which groups hold a user and which folders hold a document follows from
their numbers and a seeded hash of them. So relationships stream without being kept, any of them
can be made again alone, and the right answer of a question is known without evaluating anything.

All shapes share one model: users, nested groups, nested folders, documents. ``read`` of a document
is its owner, its viewers, and whoever may read the folder it is in.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from itertools import islice
from typing import TYPE_CHECKING, Any, ClassVar, NamedTuple

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from numpy.typing import NDArray

Triple = tuple[str, str, str]
"""Resource, relation, subject, each as text: ``("document:d1", "viewer", "group:g1#member")``."""


def _relation(*subjects: str) -> dict[str, Any]:
    """Metadata of a stored relation, from texts such as ``user`` and ``group#member``."""
    forms = []
    for subject in subjects:
        name, _, relation = subject.partition("#")
        forms.append({"type": name, "relation": relation} if relation else {"type": name})
    return {"directly_related_user_types": forms}


def _computed(name: str) -> dict[str, Any]:
    return {"computedUserset": {"relation": name}}


_FROM_PARENT = {
    "tupleToUserset": {
        "tupleset": {"relation": "parent"},
        "computedUserset": {"relation": "read"},
    }
}

MODEL: dict[str, Any] = {
    "schema_version": "1.1",
    "type_definitions": [
        {"type": "user"},
        {
            "type": "group",
            "relations": {"member": {"this": {}}},
            "metadata": {"relations": {"member": _relation("user", "group#member")}},
        },
        {
            "type": "folder",
            "relations": {
                "parent": {"this": {}},
                "viewer": {"this": {}},
                "read": {"union": {"child": [_computed("viewer"), _FROM_PARENT]}},
            },
            "metadata": {
                "relations": {
                    "parent": _relation("folder"),
                    "viewer": _relation("user", "group#member"),
                }
            },
        },
        {
            "type": "document",
            "relations": {
                "parent": {"this": {}},
                "owner": {"this": {}},
                "viewer": {"this": {}},
                "read": {
                    "union": {"child": [_computed("owner"), _computed("viewer"), _FROM_PARENT]}
                },
            },
            "metadata": {
                "relations": {
                    "parent": _relation("folder"),
                    "owner": _relation("user"),
                    "viewer": _relation("user", "group#member"),
                }
            },
        },
    ],
}
"""The model of every shape, in OpenFGA's JSON form."""


class Question(NamedTuple):
    """A check and its right answer."""

    subject: str
    resource: str
    resource_id: str
    action: str
    allowed: bool


def question(user: str, document: str, *, allowed: bool) -> Question:
    """May this user read this document?"""
    return Question(f"user:{user}", "document", document, "read", allowed)


def line(triple: Triple) -> bytes:
    """One NDJSON line; the ids of shapes need no escapes."""
    return b'{"resource":"%b","relation":"%b","subject":"%b"}\n' % tuple(
        part.encode() for part in triple
    )


def lines(triples: Iterable[Triple], *, per_chunk: int = 1_000) -> Iterator[bytes]:
    """NDJSON in chunks of whole lines, streaming."""
    pending = iter(triples)
    while batch := list(islice(pending, per_chunk)):
        yield "".join(
            f'{{"resource":"{resource}","relation":"{relation}","subject":"{subject}"}}\n'
            for resource, relation, subject in batch
        ).encode()


def hashed(seed: int, stream: int, index: NDArray[np.uint64]) -> NDArray[np.uint64]:
    """Splitmix64 of (seed, stream, index): random access where a generator only goes forward."""
    start = (seed * 0x9E3779B97F4A7C15 + stream * 0xD1342543DE82EF95) & 0xFFFF_FFFF_FFFF_FFFF
    with np.errstate(over="ignore"):
        x = (index + np.uint64(1)) * np.uint64(0x9E3779B97F4A7C15) + np.uint64(start)
        x = (x ^ (x >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
        x = (x ^ (x >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
        return np.asarray(x ^ (x >> np.uint64(31)), dtype=np.uint64)


def zipf(seed: int, stream: int, index: NDArray[np.uint64], users: int) -> NDArray[np.int64]:
    """Ranks below ``users`` by Zipf's law with exponent 1 (its continuous form: log-uniform)."""
    uniform = (hashed(seed, stream, index) >> np.uint64(11)).astype(np.float64) / float(1 << 53)
    return np.asarray(np.minimum(users**uniform, users) - 1, dtype=np.int64)


def _ancestors(node: int, fan: int) -> list[int]:
    """The node and every node above it in a tree numbered level by level, the root (0) last."""
    chain = [node]
    while node > 0:
        node = (node - 1) // fan
        chain.append(node)
    return chain


class Shape(ABC):
    """Some relationships, and questions about them."""

    name: ClassVar[str]
    model: ClassVar[dict[str, Any]] = MODEL
    kinds: ClassVar[tuple[str, ...]]
    size: int
    """How many relationships ``triples`` yields."""

    @abstractmethod
    def triples(self) -> Iterator[Triple]:
        """Every relationship once, in the same order each time, lazily."""

    def questions(self, kind: str, count: int, *, seed: int = 1) -> list[Question]:
        """``count`` questions of a kind with their right answers; they may repeat.

        Raises:
            ValueError: the shape has no such kind.
        """
        if kind not in self.kinds:
            raise ValueError(f"{self.name} has questions {', '.join(self.kinds)}, not {kind}")
        make: Callable[[int], Question] = getattr(self, f"_{kind}")
        stream = 100 + self.kinds.index(kind)
        numbers = hashed(seed, stream, np.arange(count, dtype=np.uint64)) >> np.uint64(1)
        return [make(int(number)) for number in numbers]

    def chunks(self) -> Iterator[bytes]:
        """The relationships as NDJSON, in chunks of whole lines."""
        return lines(self.triples())


class Sharing(Shape):
    """Documents in folders, shared with Zipf-distributed users and with nested groups.

    Four relationships a document: its folder, its owner, two viewers (one in eight has a group for
    the second). Folders nest six to a folder, groups four to a group. Guests and their documents
    are a world apart: a guest has groups and documents, yet reads no ordinary document.
    """

    name = "sharing"
    kinds = ("direct", "nested", "inherited", "denied")
    FOLDER_FAN: ClassVar[int] = 6
    GROUP_FAN: ClassVar[int] = 4
    ROWS_PER_DOCUMENT: ClassVar[int] = 4

    def __init__(self, relationships: int, *, seed: int = 7) -> None:
        """About ``relationships`` of them; ``size`` is the exact number."""
        self.seed = seed
        # A hundredth for the rest: members, folders, groups and guests.
        self.documents = max(64, relationships * 97 // 100 // self.ROWS_PER_DOCUMENT)
        self.users = max(64, self.documents // 16)
        self.folders = max(16, self.documents // 100)
        self.groups = max(8, self.documents // 1_000)
        self.guests = max(8, self.users // 50)
        self.size = (
            self.documents * self.ROWS_PER_DOCUMENT
            + 2 * (self.folders - 1)
            + (self.groups - 1)
            + self.users
            + 3 * self.guests
            + 1
        )

    def triples(self) -> Iterator[Triple]:
        """Groups, folders and guests first, then documents."""
        yield from self._scaffold()
        yield from self.documents_between(0, self.documents)

    def _scaffold(self) -> Iterator[Triple]:
        for group in range(1, self.groups):
            above = (group - 1) // self.GROUP_FAN
            yield f"group:g{above}", "member", f"group:g{group}#member"
        for user in range(self.users):
            yield f"group:g{user % self.groups}", "member", f"user:u{user}"
        for folder in range(1, self.folders):
            yield f"folder:f{folder}", "parent", f"folder:f{(folder - 1) // self.FOLDER_FAN}"
            yield f"folder:f{folder}", "viewer", f"group:g{folder % self.groups}#member"
        yield "group:guests", "member", "group:visitors#member"
        for guest in range(self.guests):
            yield "group:visitors", "member", f"user:guest{guest}"
            yield f"document:archived{guest}", "owner", f"user:guest{guest}"
            yield f"document:archived{guest}", "viewer", "group:guests#member"

    def documents_between(self, first: int, last: int) -> Iterator[Triple]:
        """Those of documents ``first`` up to ``last``; beyond ``documents`` they are new ones."""
        for start in range(first, last, 10_000):
            numbers = np.arange(start, min(start + 10_000, last), dtype=np.uint64)
            columns = zip(
                numbers.tolist(),
                zipf(self.seed, 1, numbers, self.users).tolist(),
                zipf(self.seed, 2, numbers, self.users).tolist(),
                self._second_viewers(numbers).tolist(),
                strict=True,
            )
            for document, owner, viewer, second in columns:
                name = f"document:d{document}"
                yield name, "parent", f"folder:f{document % self.folders}"
                yield name, "owner", f"user:u{owner}"
                yield name, "viewer", f"user:u{viewer}"
                if document % 8:
                    yield name, "viewer", f"user:v{second}"
                else:
                    yield name, "viewer", f"group:g{second}#member"

    def _second_viewers(self, numbers: NDArray[np.uint64]) -> NDArray[np.int64]:
        # `v` users are a second population, so the two viewers of a document never coincide.
        users = zipf(self.seed, 3, numbers, self.users)
        groups = (hashed(self.seed, 4, numbers) % np.uint64(self.groups)).astype(np.int64)
        return np.where(numbers % np.uint64(8) == 0, groups, users)

    def numbers_between(self, first: int, last: int) -> NDArray[np.uint32]:
        """The same as rows of numbers: resource, slot, subject slot, subject."""
        documents = np.arange(first, last, dtype=np.uint64)
        rows = np.empty((len(documents), self.ROWS_PER_DOCUMENT, 4), dtype=np.uint32)
        rows[:, :, 0] = documents[:, None] + np.uint64(3 * self.users + self.folders)
        rows[:, :, 1] = (1, 2, 3, 3)
        rows[:, :, 2] = (9, 8, 8, 8)
        rows[:, 0, 3] = documents % np.uint64(self.folders) + np.uint64(2 * self.users)
        rows[:, 1, 3] = zipf(self.seed, 1, documents, self.users)
        rows[:, 2, 3] = zipf(self.seed, 2, documents, self.users)
        rows[:, 3, 3] = self._second_viewers(documents) + self.users
        return rows.reshape(-1, 4)

    def _direct(self, number: int) -> Question:
        document = np.array([number % self.documents], dtype=np.uint64)
        stream = 1 + (number >> 32) % 2
        user = int(zipf(self.seed, stream, document, self.users)[0])
        return question(f"u{user}", f"d{int(document[0])}", allowed=True)

    def _nested(self, number: int) -> Question:
        document = number % self.documents // 8 * 8
        group = int(self._second_viewers(np.array([document], dtype=np.uint64))[0])
        choice = number >> 32
        while (below := group * self.GROUP_FAN + 1 + choice % self.GROUP_FAN) < self.groups:
            group, choice = below, choice // self.GROUP_FAN
        user = group + self.groups * (choice % (self.users // self.groups))
        return question(f"u{user}", f"d{document}", allowed=True)

    def _inherited(self, number: int) -> Question:
        document = number % self.documents
        chain = _ancestors(document % self.folders, self.FOLDER_FAN)
        # The folder below the root is as far up as a viewer stands; the root folder has none.
        folder = chain[-2] if len(chain) > 1 else None
        if folder is None:
            return self._inherited(number + 1)
        group = folder % self.groups
        user = group + self.groups * ((number >> 32) % (self.users // self.groups))
        return question(f"u{user}", f"d{document}", allowed=True)

    def _denied(self, number: int) -> Question:
        if number >> 60 & 1:
            archived = f"archived{number % self.guests}"
            return question(f"u{(number >> 32) % self.users}", archived, allowed=False)
        guest = f"guest{(number >> 32) % self.guests}"
        return question(guest, f"d{number % self.documents}", allowed=False)


class Peers(Shape):
    """The shape the peers were measured with: 244,000 relationships at scale 1 (design §8).

    Six top folders of 21,662 documents each, folders six to a folder, groups nested four deep. A
    user is in two groups under one of eight top groups; six of these read one top folder each.
    """

    name = "peers"
    kinds = ("direct", "nested", "inherited", "denied")
    TOPS: ClassVar[int] = 8
    FAN: ClassVar[int] = 6
    LEVELS: ClassVar[tuple[int, ...]] = (8, 40, 200, 1_000)

    def __init__(self, scale: float = 1.0, *, seed: int = 11) -> None:
        self.seed = seed
        self.answers = max(60, round(21_662 * scale))
        self.documents = self.answers * self.FAN
        self.users = max(200, round(20_000 * scale)) // self.TOPS * self.TOPS
        self.levels = 5 if scale >= 1 else 4 if scale >= 0.05 else 3
        self.shared = self.documents // 20  # documents that a top group views directly
        self.folder_viewers = self.FAN**2
        self.folders = sum(self.FAN**level for level in range(1, self.levels + 1))
        nests = sum(self.LEVELS[1:])
        rest = self.folders - self.FAN + self.documents + nests + 2 * self.users
        rest += self.FAN + self.shared + self.folder_viewers
        self.viewers = max(self.documents // 10, round(244_000 * scale) - rest)
        self.size = rest + self.viewers

    def triples(self) -> Iterator[Triple]:
        """Groups, folders, then documents; no relationship comes twice."""
        for level in range(1, 4):
            for group in range(self.LEVELS[level]):
                above = group % self.LEVELS[level - 1]
                yield f"group:{level - 1}-{above}", "member", f"group:{level}-{group}#member"
        for user in range(self.users):
            for group in self._leaves(user):
                yield f"group:3-{group}", "member", f"user:u{user}"
        for level in range(2, self.levels + 1):
            for folder in range(self.FAN**level):
                above = folder % self.FAN ** (level - 1)
                yield f"folder:{level}-{folder}", "parent", f"folder:{level - 1}-{above}"
        for top in range(self.FAN):
            yield f"folder:1-{top}", "viewer", f"group:0-{top}#member"
        for folder in range(self.folder_viewers):
            yield f"folder:2-{folder}", "viewer", f"user:auditor{folder}"
        yield from self._contents()

    def _contents(self) -> Iterator[Triple]:
        bottom = self.FAN**self.levels
        for document in range(self.documents):
            yield f"document:d{document}", "parent", f"folder:{self.levels}-{document % bottom}"
        for number in range(self.shared):
            document, top = self._shared(number)
            yield f"document:d{document}", "viewer", f"group:0-{top}#member"
        for number in range(self.viewers):
            user, document = self._viewer(number)
            yield f"document:d{document}", "viewer", f"user:{user}"

    def _leaves(self, user: int) -> tuple[int, int]:
        """Two groups of the fourth level below the user's top group."""
        below = self.LEVELS[3] // self.TOPS
        first = user // self.TOPS % below
        return first * self.TOPS + user % self.TOPS, (first + 1) % below * self.TOPS + (
            user % self.TOPS
        )

    def _shared(self, number: int) -> tuple[int, int]:
        """A document of the first top folder, and another top group that views it directly."""
        return number * self.FAN, 1 + number % (self.FAN - 1)

    def _viewer(self, number: int) -> tuple[str, int]:
        """Zipf-distributed users of their own, so that the lists of others stay as known."""
        rank = int(zipf(self.seed, 1, np.array([number], dtype=np.uint64), self.users)[0])
        # Each round over the documents has its own users: no pair repeats.
        return f"w{rank}-{number // self.documents}", number % self.documents

    def listing(self) -> tuple[str, int]:
        """A subject and how many documents it reads, all through nested groups and folders."""
        # Members of the first top group read the first top folder; no document is shared with it.
        return "user:u0", self.answers

    def _direct(self, number: int) -> Question:
        user, document = self._viewer(number % self.viewers)
        return question(user, f"d{document}", allowed=True)

    def _nested(self, number: int) -> Question:
        document, top = self._shared(number % self.shared)
        user = (number >> 32) % (self.users // self.TOPS) * self.TOPS + top
        return question(f"u{user}", f"d{document}", allowed=True)

    def _inherited(self, number: int) -> Question:
        document = number % self.documents
        return question(f"auditor{document % self.FAN**2}", f"d{document}", allowed=True)

    def _denied(self, number: int) -> Question:
        # Members of the last two top groups read nothing.
        top = self.FAN + (number >> 60) % (self.TOPS - self.FAN)
        user = (number >> 32) % (self.users // self.TOPS) * self.TOPS + top
        return question(f"u{user}", f"d{number % self.documents}", allowed=False)

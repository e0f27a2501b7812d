"""Shapes that stretch one dimension: depth, width, heavy users, popular documents, long lists."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from loadtest.shapes import Question, Shape, Triple, question

if TYPE_CHECKING:
    from collections.abc import Iterator


class DeepGroups(Shape):
    """Chains of groups: the document's viewer is the first, the user is in the last one.

    Depth 1 is one group between document and user.
    """

    name = "deep groups"
    kinds = ("nested", "denied")

    def __init__(self, depth: int, chains: int) -> None:
        self.depth = depth
        self.chains = chains
        self.size = chains * (depth + 1)

    def triples(self) -> Iterator[Triple]:
        """Chain after chain, from the document down to the user."""
        for chain in range(self.chains):
            stem = f"{self.depth}-{chain}"
            yield f"document:deep{stem}", "viewer", f"group:deep{stem}-0#member"
            for level in range(1, self.depth):
                above = f"group:deep{stem}-{level - 1}"
                yield above, "member", f"group:deep{stem}-{level}#member"
            yield f"group:deep{stem}-{self.depth - 1}", "member", f"user:deep{stem}"

    def of_chain(self, chain: int) -> Question:
        """The chain's own user asks for its document."""
        stem = f"deep{self.depth}-{chain}"
        return question(stem, stem, allowed=True)

    def _nested(self, number: int) -> Question:
        return self.of_chain(number % self.chains)

    def _denied(self, number: int) -> Question:
        chain = number % self.chains
        other = (chain + 1) % self.chains
        user, document = f"deep{self.depth}-{chain}", f"deep{self.depth}-{other}"
        return question(user, document, allowed=chain == other)


class WideGroups(Shape):
    """Documents viewed by many groups, each group with many members; every user in one group."""

    name = "wide groups"
    kinds = ("nested", "denied")
    DOCUMENTS: ClassVar[int] = 8

    def __init__(self, groups: int, members: int) -> None:
        self.groups = groups
        self.members = members
        self.size = groups * members + groups

    def triples(self) -> Iterator[Triple]:
        """Members first, then who views what: group g views document g modulo 8."""
        for group in range(self.groups):
            for member in range(self.members):
                yield f"group:wide{group}", "member", f"user:wide{group}-{member}"
        for group in range(self.groups):
            document = f"document:wide{group % self.DOCUMENTS}"
            yield document, "viewer", f"group:wide{group}#member"

    def _ask(self, number: int, *, allowed: bool) -> Question:
        group = number % self.groups
        document = group % self.DOCUMENTS if allowed else (group + 1) % self.DOCUMENTS
        user = f"wide{group}-{(number >> 32) % self.members}"
        return question(user, f"wide{document}", allowed=allowed)

    def _nested(self, number: int) -> Question:
        return self._ask(number, allowed=True)

    def _denied(self, number: int) -> Question:
        return self._ask(number, allowed=False)


class ArrowChains(Shape):
    """Folders in folders: the user views the topmost, the document is in the lowest one."""

    name = "arrow chains"
    kinds = ("inherited", "denied")

    def __init__(self, depth: int, chains: int) -> None:
        self.depth = depth
        self.chains = chains
        self.size = chains * (depth + 1)

    def triples(self) -> Iterator[Triple]:
        """Chain after chain, from the document up to the user."""
        for chain in range(self.chains):
            stem = f"{self.depth}-{chain}"
            yield f"document:arrow{stem}", "parent", f"folder:arrow{stem}-0"
            for level in range(1, self.depth):
                below = f"folder:arrow{stem}-{level - 1}"
                yield below, "parent", f"folder:arrow{stem}-{level}"
            yield f"folder:arrow{stem}-{self.depth - 1}", "viewer", f"user:arrow{stem}"

    def of_chain(self, chain: int) -> Question:
        """The chain's own user asks for its document."""
        stem = f"arrow{self.depth}-{chain}"
        return question(stem, stem, allowed=True)

    def _inherited(self, number: int) -> Question:
        return self.of_chain(number % self.chains)

    def _denied(self, number: int) -> Question:
        chain = number % self.chains
        other = (chain + 1) % self.chains
        user, document = f"arrow{self.depth}-{chain}", f"arrow{self.depth}-{other}"
        return question(user, document, allowed=chain == other)


class HeavyUsers(Shape):
    """Users in very many groups, documents with very many groups as viewers, ordinary ones beside.

    User ``heavy<p>`` is in ``usersets`` groups. Document ``wide<p>`` is viewed by as many other
    groups; of an odd p also by one of the user's. Documents ``narrow<p>-<i>`` have one group each.
    """

    name = "heavy users"
    kinds = ("ordinary", "small", "small_denied", "both")
    NARROW: ClassVar[int] = 100
    PLAIN: ClassVar[int] = 1_000

    def __init__(self, usersets: int, pairs: int) -> None:
        self.usersets = usersets
        self.pairs = pairs
        self.narrow = min(self.NARROW, usersets)
        self.size = pairs * (2 * usersets + self.narrow) + pairs // 2 + 2 * self.PLAIN

    def triples(self) -> Iterator[Triple]:
        """Pair after pair, then the ordinary users."""
        for pair in range(self.pairs):
            for number in range(self.usersets):
                yield f"group:h{pair}-{number}", "member", f"user:heavy{pair}"
            for number in range(self.usersets):
                yield f"document:wide{pair}", "viewer", f"group:x{pair}-{number}#member"
            if pair % 2:
                middle = self.usersets // 2
                yield f"document:wide{pair}", "viewer", f"group:h{pair}-{middle}#member"
            for number in range(self.narrow):
                yield f"document:narrow{pair}-{number}", "viewer", f"group:h{pair}-{number}#member"
        for number in range(self.PLAIN):
            yield f"group:team{number}", "member", f"user:plain{number}"
            yield f"document:plain{number}", "viewer", f"group:team{number}#member"

    def both_of(self, pair: int) -> Question:
        """A pair's user asks for its wide document: both sides have ``usersets`` rows."""
        return question(f"heavy{pair}", f"wide{pair}", allowed=bool(pair % 2))

    def _ordinary(self, number: int) -> Question:
        plain = number % self.PLAIN
        return question(f"plain{plain}", f"plain{plain}", allowed=True)

    def _small(self, number: int) -> Question:
        pair = number % self.pairs
        narrow = f"narrow{pair}-{(number >> 32) % self.narrow}"
        return question(f"heavy{pair}", narrow, allowed=True)

    def _small_denied(self, number: int) -> Question:
        plain = f"plain{(number >> 32) % self.PLAIN}"
        return question(f"heavy{number % self.pairs}", plain, allowed=False)

    def _both(self, number: int) -> Question:
        return self.both_of(number % self.pairs)


class Popular(Shape):
    """One document with very many viewers of its own, and three groups among them."""

    name = "popular document"
    kinds = ("direct", "nested", "denied")
    GROUPS: ClassVar[int] = 3
    MEMBERS: ClassVar[int] = 500

    def __init__(self, subjects: int) -> None:
        self.subjects = subjects
        self.size = subjects + self.GROUPS * (2 * self.MEMBERS + 1)

    def triples(self) -> Iterator[Triple]:
        """The viewers, then the groups that view it, and as many that do not."""
        for number in range(self.subjects):
            yield "document:popular", "viewer", f"user:fan{number}"
        for group in range(self.GROUPS):
            yield "document:popular", "viewer", f"group:staff{group}#member"
            for member in range(self.MEMBERS):
                yield f"group:staff{group}", "member", f"user:staff{group}-{member}"
                yield f"group:public{group}", "member", f"user:public{group}-{member}"

    def _ask(self, number: int, group: str, *, allowed: bool) -> Question:
        user = f"{group}{number % self.GROUPS}-{(number >> 32) % self.MEMBERS}"
        return question(user, "popular", allowed=allowed)

    def _direct(self, number: int) -> Question:
        return question(f"fan{number % self.subjects}", "popular", allowed=True)

    def _nested(self, number: int) -> Question:
        return self._ask(number, "staff", allowed=True)

    def _denied(self, number: int) -> Question:
        return self._ask(number, "public", allowed=False)


class Library(Shape):
    """A user who reads very many documents, through a nested group and folders of 1,000 documents.

    A tenth as many documents stand in a closed folder beside it, so a list of all would be wrong.
    """

    name = "library"
    kinds = ("inherited", "denied")
    READER: ClassVar[str] = "user:reader"
    SHELF: ClassVar[int] = 1_000

    def __init__(self, answers: int) -> None:
        self.answers = answers
        self.closed = max(1, answers // 10)
        self.shelves = -(-answers // self.SHELF)
        self.size = answers + self.closed + self.shelves + 3

    def triples(self) -> Iterator[Triple]:
        """Who may read, the shelves, then the documents."""
        yield "folder:library", "viewer", "group:readers#member"
        yield "group:readers", "member", "group:club#member"
        yield "group:club", "member", self.READER
        for shelf in range(self.shelves):
            yield f"folder:shelf{shelf}", "parent", "folder:library"
        for number in range(self.answers):
            yield f"document:book{number}", "parent", f"folder:shelf{number // self.SHELF}"
        for number in range(self.closed):
            yield f"document:closed{number}", "parent", "folder:closed"

    def _inherited(self, number: int) -> Question:
        return question("reader", f"book{number % self.answers}", allowed=True)

    def _denied(self, number: int) -> Question:
        return question("reader", f"closed{number % self.closed}", allowed=False)

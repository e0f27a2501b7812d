"""The slow, obvious store: every version of every relationship in a dict, by names."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import NamedTuple

from zeratul.store.interface import Outcome


class Fact(NamedTuple):
    """A relationship by its names: ids in their type's slot."""

    resource: str
    slot: int
    subject_slot: int
    subject: str


@dataclass
class Version:
    """One life of a fact: revisions [created, deleted)."""

    created: int
    expires_at_ms: int | None
    deleted: int | None = None

    def there(self, revision: int) -> bool:
        """Whether it was there at a revision, expired or not."""
        return self.created <= revision and (self.deleted is None or self.deleted > revision)

    def live(self, revision: int, now_ms: int) -> bool:
        """Whether it is there for a reader of a revision and a time."""
        return self.there(revision) and not self.expired(now_ms)

    def expired(self, now_ms: int) -> bool:
        """Whether its time is over."""
        return self.expires_at_ms is not None and self.expires_at_ms <= now_ms


@dataclass
class StoreModel:
    """What a store has to answer."""

    versions: dict[Fact, list[Version]] = field(default_factory=dict)
    events: list[tuple[int, bytes]] = field(default_factory=list)  # revision, body
    names: dict[int, tuple[str, str]] = field(default_factory=dict)
    times: dict[int, int] = field(default_factory=dict)
    oldest: int = 0

    @property
    def head(self) -> int:
        """The newest revision."""
        return max(self.times, default=0)

    def live(self, revision: int, now_ms: int) -> dict[Fact, Version]:
        """The relationships of a revision at a time."""
        return {
            fact: version
            for fact, versions in self.versions.items()
            for version in versions
            if version.live(revision, now_ms)
        }

    def stored(self, revision: int) -> set[Fact]:
        """The relationships of a revision, expired ones included."""
        return {
            fact
            for fact, versions in self.versions.items()
            if any(version.there(revision) for version in versions)
        }

    def write(self, fact: Fact, expires_at_ms: int | None, revision: int, now_ms: int) -> Outcome:
        """Write at a revision not yet committed."""
        current = self._current(fact)
        outcome = Outcome.CREATED
        if current is not None:
            if not current.expired(now_ms):
                if current.expires_at_ms == expires_at_ms:
                    return Outcome.EXISTING
                outcome = Outcome.REPLACED
            self._end(fact, current, revision)
        self.versions.setdefault(fact, []).append(Version(revision, expires_at_ms))
        return outcome

    def delete(self, fact: Fact, revision: int, now_ms: int) -> Outcome:
        """Delete at a revision not yet committed."""
        current = self._current(fact)
        if current is None or current.expired(now_ms):
            return Outcome.ABSENT
        self._end(fact, current, revision)
        return Outcome.DELETED

    def expire(self, revision: int, now_ms: int) -> bool:
        """Delete what has expired; whether there was any."""
        due = [
            (fact, current)
            for fact in self.versions
            if (current := self._current(fact)) is not None and current.expired(now_ms)
        ]
        for fact, current in due:
            self._end(fact, current, revision)
        return bool(due)

    def rename(
        self, mapping: dict[tuple[str, str], tuple[str, str]], revision: int
    ) -> dict[int, tuple[str, str]]:
        """The names after relations were renamed, those of others moved aside."""
        renamed = {slot: mapping.get(name, name) for slot, name in self.names.items()}
        for slot, name in self.names.items():
            if name not in mapping and name in mapping.values():
                renamed[slot] = (name[0], f"⟨gone {revision}⟩{name[1]}")
        return renamed

    def collect(self, cutoff_ms: int) -> None:
        """Forget the states that ended by ``cutoff_ms``."""
        for revision in range(self.oldest + 1, self.head + 1):
            if self.times[revision] > cutoff_ms:
                break
            self.oldest = revision
        self.events = [event for event in self.events if event[0] > self.oldest]
        for fact, versions in self.versions.items():
            self.versions[fact] = [
                version
                for version in versions
                if version.deleted is None or version.deleted > self.oldest
            ]

    def _current(self, fact: Fact) -> Version | None:
        return next((v for v in self.versions.get(fact, ()) if v.deleted is None), None)

    def _end(self, fact: Fact, version: Version, revision: int) -> None:
        if version.created == revision:
            self.versions[fact].remove(version)  # Nobody can have seen it.
        else:
            version.deleted = revision

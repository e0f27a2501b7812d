"""Streaming import of NDJSON: any length, bounded memory, safe to run again.

Bytes come in as they arrive; complete lines are decoded and validated at once, and every few
thousand rows are committed on their own, so single writes get between and a client that goes away
leaves what was committed. A rejected line never stops the rest. At most two batches are under way:
one being committed, one being filled.
"""

from __future__ import annotations

from collections import deque
from contextlib import suppress
from typing import TYPE_CHECKING, NamedTuple

from zeratul.errors import LimitError, SubjectNotAllowedError, ZeratulError
from zeratul.service.ground.audit import batch_of, record_many
from zeratul.service.ground.columns import joined, storable
from zeratul.service.ground.futures import all_of, ended, followed, resolved, retrying
from zeratul.service.ground.stored_model import require_model
from zeratul.service.relationships.bulk import foresee
from zeratul.service.relationships.lines import (
    UNDECODABLE,
    PlainLine,
    candidates_of,
    decode,
    decode_plain,
    relationship_of,
)
from zeratul.service.relationships.relationship_answers import ImportAnswer, Reject
from zeratul.store.interface import Outcome

if TYPE_CHECKING:
    from collections.abc import Iterable
    from concurrent.futures import Future

    from zeratul.dispatch.view import View
    from zeratul.service.ground.caller import Caller
    from zeratul.service.ground.foundation import Foundation
    from zeratul.service.ground.validation import WriteTable
    from zeratul.store.interface import Row, RowColumns, WriteTransaction

_BYTE_ORDER_MARK = b"\xef\xbb\xbf"


class Committed(NamedTuple):
    """What became of one batch."""

    created: int
    existing: int
    replaced: int
    rejects: list[Reject]
    revision: int
    batch_id: str | None  # of the import, where this batch began it


class Batch(NamedTuple):
    """Rows of consecutive lines, validated against one schema."""

    rows: RowColumns
    lines: list[int]
    schema_revision: int
    is_first: bool


class Importer:
    """One import; used by one thread at a time."""

    def __init__(self, foundation: Foundation, caller: Caller, *, dry_run: bool) -> None:
        self._base = foundation
        self._caller = caller
        self._dry_run = dry_run
        self._tail = b""
        self._skipping = False  # inside a line that is too long
        self._line = 0
        self._parts: list[RowColumns] = []
        self._row_lines: list[int] = []
        self._schema_revision = 0
        self._under_way: deque[Future[Committed]] = deque()
        self._lines = self._created = self._existing = self._replaced = self._rejected = 0
        self._rejects: list[Reject] = []
        self._revision = 0
        self._has_begun = False
        self._batch_id: str | None = None
        self._is_told = False

    def feed(self, data: bytes) -> Future[list[Committed]] | None:
        """Take the next bytes, cut anywhere.

        Returns:
            None, or a future to wait for before feeding more: the disk is behind.

        Raises:
            StoreError: an earlier batch could not be committed; what was before it is.
            UnauthenticatedError: the key was deleted meanwhile.
        """
        self._reap()
        lines = (self._tail + data).split(b"\n")
        self._tail = lines.pop()
        self._take(lines)
        if len(self._tail) > self._base.limits.import_line_bytes_max:
            # Nobody reads the rest of it; the line is rejected at its end.
            self._tail = b""
            self._skipping = True
        if len(self._under_way) > 1:
            return all_of(list(self._under_way)[:-1])
        return None

    def finish(self) -> Future[ImportAnswer]:
        """Take the last line, commit the rest; the future has the final counts.

        Raises:
            StoreError: like ``feed``, or from the future.
        """
        if self._tail or self._skipping:
            self._take([self._tail])
            self._tail = b""
        if self._row_lines or not self._revision:
            with self._base.view(self._caller) as view:
                self._begin_with(view)
        if self._row_lines:  # behind a change of the model they are on their way already
            self._commit()
        return followed(all_of(list(self._under_way)), self._end)

    def break_off(self) -> Future[ImportAnswer]:
        """Go no further: the audit log tells what was committed until then.

        To be called whatever came of the import; behind the answer of ``finish`` it does nothing.

        Returns:
            The counts so far, once the event is durable; lines that were fed and not committed
            are not in the store and never will be.
        """
        return followed(ended(all_of(list(self._under_way))), self._broken_off)

    def _broken_off(self, _: None) -> Future[ImportAnswer]:
        while self._under_way:
            with suppress(ZeratulError):  # That one is not there; those behind it may be.
                self._reap()
        return self._tell("relationships.import_broken_off")

    def _end(self, _: list[Committed]) -> Future[ImportAnswer]:
        self._reap()
        return self._tell("relationships.imported")

    def _tell(self, action: str) -> Future[ImportAnswer]:
        """The answer, once the event that tells what the import came to is durable."""
        done = self.progress()
        batch_id, caller = self._batch_id, self._caller
        if batch_id is None or self._is_told:  # None: a dry run, or not one good line
            return resolved(done)
        self._is_told = True
        counts = {
            "lines": done.lines,
            "created": done.created,
            "existing": done.existing,
            "replaced": done.replaced,
            "rejected": done.rejected,
            "revision": self._revision,
        }

        def job(tx: WriteTransaction) -> ImportAnswer:
            record_many(tx, caller, action, counts, batch_id=batch_id)
            return done

        return self._base.store.write(job)

    def progress(self) -> ImportAnswer:
        """The counts so far; rows under way are not yet among created and existing."""
        revision = self._revision
        return ImportAnswer(
            lines=self._lines,
            created=self._created,
            existing=self._existing,
            replaced=self._replaced,
            rejected=self._rejected,
            rejects=tuple(sorted(self._rejects, key=_line_of)),
            dry_run=self._dry_run,
            zookie=self._base.zookie(self._caller.application, revision, self._schema_revision),
        )

    def _take(self, lines: list[bytes]) -> None:
        if not lines:
            return
        with self._base.view(self._caller) as view:
            table = self._begin_with(view)
            now_ms = view.snapshot.now_ms
        if self._line == 0:
            lines[0] = lines[0].lstrip().removeprefix(_BYTE_ORDER_MARK)
        most = self._base.limits.import_commit_rows
        start = 0
        while start < len(lines):
            end = start + most - len(self._row_lines)
            self._take_some(table, lines[start:end], now_ms)
            start = end
            if len(self._row_lines) >= most:
                self._commit()

    def _take_some(self, table: WriteTable, lines: list[bytes], now_ms: int) -> None:
        """Add the rows of consecutive lines, and reject those that are none."""
        most = self._base.limits.import_line_bytes_max
        bad: list[Reject] = []
        found: list[PlainLine] = []
        numbers: list[int] = []
        for number, text in enumerate(lines, self._line + 1):
            line: PlainLine | None = None
            if len(text) <= most and not self._skipping:
                try:
                    line = decode_plain(text)
                except UNDECODABLE:
                    line = self._odd(table, number, text, now_ms, bad)
            else:
                line = self._odd(table, number, text, now_ms, bad)
            if line is not None:
                found.append(line)
                numbers.append(number)
        self._line += len(lines)
        self._lines += len(found)
        if found:
            columns, others = storable(table, candidates_of(found), now_ms=now_ms)
            if others:
                bad += (
                    Reject(numbers[index], _refusal(table, found[index], now_ms))
                    for index in others[: self._rejects_room()]
                )
                refused = set(others)
                numbers = [each for index, each in enumerate(numbers) if index not in refused]
                self._rejected += len(others)
            if numbers:
                self._parts.append(columns)
                self._row_lines += numbers
        if bad:
            bad.sort(key=_line_of)
            self._rejects += bad[: self._rejects_room()]

    def _odd(
        self, table: WriteTable, number: int, text: bytes, now_ms: int, bad: list[Reject]
    ) -> PlainLine | None:
        """A line in another form, empty or bad: as a plain one, unless nothing is to be stored."""
        # By all of its bytes, spaces too: it must not matter in which pieces they come.
        is_long = self._skipping or len(text) > self._base.limits.import_line_bytes_max
        self._skipping = False
        text = text.strip()
        if not text and not is_long:
            return None
        try:
            if is_long:
                raise self._too_long()
            relationship, line = decode(text)
            table.row(relationship, now_ms=now_ms)
        except ZeratulError as error:
            self._lines += 1
            self._rejected += 1
            if len(bad) < self._rejects_room():
                bad.append(Reject(number, error))
            return None
        return line

    def _begin_with(self, view: View) -> WriteTable:
        """The table of the model as it is; rows of an older one go first."""
        if self._row_lines and view.schema_revision != self._schema_revision:
            self._commit()
        self._schema_revision = view.schema_revision
        self._revision = self._revision or view.revision
        return self._base.table(view)

    def _too_long(self) -> LimitError:
        most = self._base.limits.import_line_bytes_max
        return LimitError("import_line_bytes_max", most, f"the line has more than {most:,} bytes")

    def _rejects_room(self) -> int:
        """How many more rejects are listed."""
        return self._base.limits.import_rejects_listed_max - len(self._rejects)

    def _commit(self) -> None:
        batch = Batch(
            joined(self._parts), self._row_lines, self._schema_revision, not self._has_begun
        )
        self._parts, self._row_lines = [], []
        self._has_begun = True
        base, caller = self._base, self._caller
        if self._dry_run:
            self._under_way.append(resolved(_try(base, caller, batch)))
        else:
            self._under_way.append(retrying(lambda: _write(base, caller, batch)))

    def _reap(self) -> None:
        """Count the batches that are done, in order.

        Raises:
            StoreError: one could not be committed.
        """
        while self._under_way and self._under_way[0].done():
            done = self._under_way.popleft().result()
            self._created += done.created
            self._existing += done.existing
            self._replaced += done.replaced
            self._revision = max(self._revision, done.revision)
            self._batch_id = self._batch_id or done.batch_id
            self._rejected += len(done.rejects)
            self._rejects += done.rejects[: self._rejects_room()]


def _write(base: Foundation, caller: Caller, batch: Batch) -> Future[Committed]:
    with base.view(caller) as view:
        schema_revision = view.schema_revision
        rows: RowColumns | list[Row] = batch.rows
        rejects: list[Reject] = []
        if schema_revision != batch.schema_revision:
            rows, rejects = _still_allowed(base.table(view), batch)
    prepared = base.store.prepare(caller.application, rows)

    def job(tx: WriteTransaction) -> Committed:
        require_model(tx.snapshot, caller.application, schema_revision)
        outcomes = tx.apply(prepared).writes
        batch_id = None
        if batch.is_first:
            # So that one which nobody is left to break off (a killed process) has its event, too.
            batch_id = batch_of(tx)
            record_many(tx, caller, "relationships.import_started", {}, batch_id=batch_id)
        return _committed(outcomes, rejects, tx.effective_revision, batch_id)

    return base.store.write(job)


def _try(base: Foundation, caller: Caller, batch: Batch) -> Committed:
    with base.view(caller) as view:
        outcomes = foresee(view.snapshot, batch.rows.rows(), []).writes
        return _committed(outcomes, [], view.revision, None)


def _committed(
    outcomes: list[Outcome], rejects: list[Reject], revision: int, batch_id: str | None
) -> Committed:
    return Committed(
        outcomes.count(Outcome.CREATED),
        outcomes.count(Outcome.EXISTING),
        outcomes.count(Outcome.REPLACED),
        rejects,
        revision,
        batch_id,
    )


def _still_allowed(table: WriteTable, batch: Batch) -> tuple[list[Row], list[Reject]]:
    """The rows the model still has a place for, and a reject for each other."""
    rows: list[Row] = []
    rejects: list[Reject] = []
    for row, line in zip(batch.rows.rows(), batch.lines, strict=True):
        if (row.slot, row.subject_slot) in table.pairs:
            rows.append(row)
        else:
            message = "the model changed meanwhile and has no place for it"
            rejects.append(Reject(line, SubjectNotAllowedError(message)))
    return rows, rejects


def _line_of(reject: Reject) -> int:
    return reject.line


def _refusal(table: WriteTable, line: PlainLine, now_ms: int) -> ZeratulError:
    """What is wrong with a line that the table has no place for."""
    try:
        return table.problem(relationship_of(line), now_ms, "")
    except ZeratulError as error:
        return error


def feed_all(importer: Importer, chunks: Iterable[bytes]) -> ImportAnswer:
    """Feed everything, waiting for the disk where it is behind; for scripts.

    Raises:
        StoreError: a batch could not be committed; what was before it is.
    """
    try:
        for chunk in chunks:
            behind = importer.feed(chunk)
            if behind is not None:
                behind.result()
        return importer.finish().result()
    finally:
        importer.break_off().result()

"""Replays the spool: what waits goes into the database in order, and how far that is, in the same transaction.

Another process may have recorded later heartbeats of the same monitors meanwhile. The group commit sees to the order.
"""

import logging
from collections import Counter
from collections.abc import Iterable, Sequence
from typing import Any

from peewee import EXCLUDED

from exporter.core.clock import Clock
from exporter.core.errors import HeartbeatExporterError, StorageConflict, StorageUnavailable
from exporter.core.fleet import FleetMonitor
from exporter.core.telemetry import Telemetry
from exporter.core.trusted_clock import NOTABLE
from exporter.fleet.loader import load
from exporter.recording.group import GroupCommit
from exporter.recording.late import LatePending
from exporter.recording.spool.backlog import Backlog
from exporter.recording.spool.file import Piece, Record, SpoolFile
from exporter.recording.statements import Pending
from exporter.storage.database import MAX_TRANSACTION_SECONDS, Database, Prepared, Transaction, param
from exporter.storage.rows import CHUNK

log = logging.getLogger(__name__)

LINES = 1000
"""Heartbeats replayed in one transaction."""


class Unreadable(HeartbeatExporterError):
    """The disk does not give back what is in a spool file."""


class _Halve(Exception):
    """These lines cannot be recorded together."""


class Replay:
    """`some` and `mark` belong to the recorder's thread; `attempt` is for any other."""

    def __init__(
        self, database: Database, backlog: Backlog, group: GroupCommit, telemetry: Telemetry, clock: Clock
    ) -> None:
        self._db = database
        self._clock = clock
        self._backlog = backlog
        self._group = group
        self._telemetry = telemetry
        self.ready = True
        """Whether the last write of this object succeeded."""
        self._lines = LINES
        """How many lines are replayed at once; fewer after some that could not be."""
        self._poison: tuple[str, int] | None = None
        """File and offset of a line that could not be recorded even alone."""
        self._mark = Prepared(database, self._upsert("committed"))
        self._move = Prepared(database, self._upsert("position"))
        self._touch = Prepared(database, self._upsert())

    def attempt(self) -> None:
        """Checks whether the database accepts writes again, if that is in question. Raises StorageUnavailable."""
        finished = self._backlog.finished()
        waits = self._backlog.holding and not self.ready
        if not waits and not finished and self._db.trouble is None:
            return
        spools = self._db.tables.spools
        with self._db.write("try the database") as transaction:
            self._execute(transaction, self._touch, self._backlog.id)
            for path in finished:
                spools.delete().where(spools.id == path.stem).execute()
        for path in finished:
            path.unlink(missing_ok=True)
        self.ready = True

    def mark(self, transaction: Transaction, group: int) -> None:
        """Notes in a group's transaction that it was committed: if the answer is lost on its way, the group is spooled,
        and this shows that it needs no replay.
        """
        self._execute(transaction, self._mark, self._backlog.id, committed=group)

    def some(self) -> tuple[int, set[int]]:
        """Replays the next lines: how many, and which monitors they touched. Raises StorageUnavailable."""
        file = self._backlog.first()
        if file is None:
            return 0, set()
        try:
            with self._db.write("replay the spool", within=MAX_TRANSACTION_SECONDS) as transaction:
                # A group whose answer was lost may be on its way yet: this waits for it.
                self._execute(transaction, self._touch, file.id)
                position, committed = self._progress(file)
                file.skip_to(position)
                piece = self._read(file)
                records = [record for record in piece.records if not 0 < record.group <= committed]
                touched = self._write_or_put_aside(transaction, file, records)
                self._execute(transaction, self._move, file.id, position=piece.end)
        except StorageConflict:
            raise  # and tried again at once
        except StorageUnavailable:
            self.ready = False
            raise
        except Unreadable as error:
            log.error("cannot replay %d heartbeats, the spool file is left as it is: %s", file.waiting, error)
            self._backlog.give_up(file)
            return 0, set()
        except _Halve:
            return 0, set()
        self._lines = LINES if self._lines == 1 else self._lines
        file.replayed(piece)
        self._telemetry.replayed(len(piece.records))
        if file.position >= file.end:
            self._backlog.settle(file)
        return piece.lines, touched

    def _read(self, file: SpoolFile) -> Piece:
        try:
            piece = file.read(self._lines)
        except OSError as error:
            raise Unreadable(f"{file.path}: {error.strerror}") from error
        try:
            file.put_aside(piece.damaged)
        except OSError as error:
            raise StorageUnavailable(f"the spool file {file.path.name}: {error.strerror}") from error
        if piece.damaged:
            log.error(
                "cannot read %d lines of the spool file %s: they are put aside", len(piece.damaged), file.path.name
            )
        return piece

    def _write_or_put_aside(self, transaction: Transaction, file: SpoolFile, records: Sequence[Record]) -> set[int]:
        """What cannot be written although the database is there is looked for by halves, and put aside as a damaged
        line is: else the process, and each that follows it, would fail at it again and again.
        """
        if self._poison == (file.id, file.position):
            file.put_aside([(file.position, file.line_at(file.position))])
            return set()
        try:
            return self._write(transaction, records)
        except StorageUnavailable:
            raise
        except Exception as error:
            if not self._db.is_refusal(error):
                raise
            log.exception("the spool file %s holds a heartbeat that the database refuses", file.path.name)
            if self._lines == 1:
                self._poison = (file.id, file.position)
            self._lines = max(1, self._lines // 2)
            raise _Halve from error

    def _write(self, transaction: Transaction, records: Sequence[Record]) -> set[int]:
        watched = {monitor.monitor.tag: monitor for monitor in self._watched({record.tag for record in records})}
        gone = Counter(record.tag for record in records if record.tag not in watched)
        for tag, count in gone.items():
            log.warning("dropping %d heartbeats from the spool: the monitor %s was removed", count, tag)
        now = self._clock.now()
        batch = [_pending(watched[record.tag], record, now) for record in records if record.tag in watched]
        if batch:
            self._group.write(transaction, batch)
        return {monitor.id for monitor in watched.values()}

    def _watched(self, tags: Iterable[str]) -> list[FleetMonitor]:
        """The monitors of these tags that are watched."""
        monitors = self._db.tables.monitors
        ids: list[int] = []
        wanted = sorted(tags)
        for start in range(0, len(wanted), CHUNK):
            watched = monitors.tag.in_(wanted[start : start + CHUNK]) & monitors.removed_at.is_null()
            ids += [row[0] for row in monitors.select(monitors.id).where(watched).tuples()]
        return load(self._db, sorted(ids), histories=False)

    def _progress(self, file: SpoolFile) -> tuple[int, int]:
        """(position, the last group that is known to be committed)"""
        spools = self._db.tables.spools
        query = spools.select(spools.position, spools.committed).where(spools.id == file.id)
        return next(((int(row[0]), int(row[1])) for row in query.tuples()), (0, 0))

    def _upsert(self, *columns: str) -> Any:
        spools = self._db.tables.spools
        query = spools.insert(
            [[param("id"), param("position"), param("committed")]],
            columns=[spools.id, spools.position, spools.committed],
        )
        changed = {getattr(spools, name): getattr(EXCLUDED, name) for name in columns}
        return query.on_conflict(conflict_target=[spools.id], update=changed or {spools.position: spools.position})

    def _execute(
        self, transaction: Transaction, statement: Prepared, id: str, position: int = 0, committed: int = 0
    ) -> None:
        transaction.execute(statement, statement.row({"id": id, "position": position, "committed": committed}))


def _pending(watched: FleetMonitor, record: Record, now: int) -> Pending:
    """A moment in the future was stamped by a clock that was ahead and that is right again: it becomes now."""
    beat, claim = record.beat, record.claim
    if beat.received_at > now + NOTABLE:
        beat = beat._replace(received_at=now)
    if claim is None:
        return Pending(watched, beat)
    return LatePending(watched, beat, claim._replace(arrived_at=min(claim.arrived_at, max(now, beat.received_at))))

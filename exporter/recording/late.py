"""Late heartbeats: those that count at the moment that their senders gave. One that is sent again counts once."""

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any

from exporter.core.fleet import FleetMonitor
from exporter.core.heartbeat import Claim, Heartbeat, Kind
from exporter.recording.statements import BEAT_COLUMNS, KINDS, Pending, beat_values, insert
from exporter.storage.database import Bulk, Database, Transaction, param

if TYPE_CHECKING:
    from asyncio import Future

    from exporter.core.job_metrics.model import Push

ClaimKey = tuple[int, int, Kind, str]
"""The monitor's id, the moment that the sender gave, the kind and the rid: they identify a late heartbeat."""
_COLUMNS = (*BEAT_COLUMNS, "claimed_at", "arrived_at")


class LatePending(Pending):
    """A late heartbeat on its way to the disk."""

    __slots__ = ("claim", "repeated")

    def __init__(
        self,
        watched: FleetMonitor,
        beat: Heartbeat,
        claim: Claim,
        waiter: "Future[bool] | None" = None,
        push: "Push | None" = None,
    ) -> None:
        super().__init__(watched, beat, waiter, push)
        self.claim = claim
        self.repeated = False

    @property
    def arrived_at(self) -> int:
        return self.claim.arrived_at

    @property
    def key(self) -> ClaimKey:
        return self.watched.id, self.claim.claimed_at, self.beat.kind, self.beat.rid


class LateStatements:
    """What a group commit reads and writes of late heartbeats."""

    def __init__(self, database: Database) -> None:
        beats = database.tables.heartbeats
        self._insert = Bulk(database, lambda rows: insert(beats, _COLUMNS, rows))
        self._claimed = Bulk(
            database,
            lambda claims: beats.select(beats.monitor_id, beats.claimed_at, beats.kind, beats.rid).where(
                # An index holds late heartbeats alone; it serves only queries that exclude all others.
                beats.claimed_at.in_([param("claimed_at")] * claims) & beats.claimed_at.is_null(False)
            ),
        )

    def unkept(self, transaction: Transaction, late: Sequence[LatePending]) -> list[LatePending]:
        """Those that are not in the log yet, each once; the others are marked as repeated."""
        moments = sorted({pending.claim.claimed_at for pending in late})
        rows = self._claimed.read(transaction, moments)
        return mark_repeated(late, {(id, claimed_at, KINDS[kind], rid) for id, claimed_at, kind, rid in rows})

    def add(self, transaction: Transaction, late: Sequence[LatePending], replica: str) -> None:
        values: list[Any] = []
        for pending in late:
            values += beat_values(pending, replica)
            values += pending.claim
        self._insert.write(transaction, values, len(_COLUMNS))


def late_of(batch: Iterable[Pending]) -> list[LatePending]:
    return [pending for pending in batch if isinstance(pending, LatePending)]


def late_last(batch: Iterable[Pending]) -> list[Pending]:
    """In the order of moments; at the same millisecond late ones after all others, as they are numbered in the log."""
    return sorted(batch, key=lambda pending: (pending.beat.received_at, isinstance(pending, LatePending)))


def mark_repeated(late: Iterable[LatePending], kept: set[ClaimKey]) -> list[LatePending]:
    """Marks those that repeat one of `kept` or one before them, and returns the others; `kept` then has them, too."""
    new: list[LatePending] = []
    for pending in late:
        pending.repeated = pending.key in kept
        if not pending.repeated:
            kept.add(pending.key)
            new.append(pending)
    return new


def arrivals_of(late: Iterable[LatePending]) -> dict[int, int]:
    """When the last of these was received, by monitor."""
    arrivals: dict[int, int] = {}
    for pending in late:
        id = pending.watched.id
        arrivals[id] = max(arrivals.get(id, 0), pending.arrived_at)
    return arrivals

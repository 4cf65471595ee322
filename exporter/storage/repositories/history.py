"""What happened: transitions and the log of recent heartbeats."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from peewee import Tuple, fn

from exporter.core.heartbeat import Heartbeat, Kind
from exporter.core.order import in_order, without_strays
from exporter.core.status import Reason, Status
from exporter.storage.database import Database
from exporter.storage.rows import chunks


@dataclass(frozen=True, slots=True)
class Transition:
    """A change of status. Moments are Unix time in milliseconds."""

    at: int
    """When the status changed."""
    status: Status
    reason: Reason
    observed_at: int
    """When the change was noticed and written down."""


class History:
    """Queries; all methods block and raise StorageUnavailable."""

    def __init__(self, database: Database) -> None:
        self._db = database

    def transitions(self, monitor_ids: Sequence[int], since: int) -> Mapping[int, Sequence[Transition]]:
        """Per monitor, oldest first: all after `since`, and before them the last one that came earlier."""
        table = self._db.tables.transitions
        by_monitor: dict[int, list[Transition]] = {monitor_id: [] for monitor_id in monitor_ids}
        with self._db.read("read transitions"):
            for chunk in chunks(monitor_ids):
                earlier = (
                    table.select(fn.MAX(table.id))
                    .where(table.monitor_id.in_(chunk) & (table.at <= since))
                    .group_by(table.monitor_id)
                )
                query = (
                    table.select(table.monitor_id, table.at, table.status, table.reason, table.observed_at)
                    .where((table.monitor_id.in_(chunk) & (table.at > since)) | table.id.in_(earlier))
                    .order_by(table.id)
                )
                for monitor_id, at, status, reason, observed_at in query.tuples():
                    by_monitor[monitor_id].append(Transition(at, Status(status), Reason(reason), observed_at))
        return by_monitor

    def began(self, monitor_id: int, status: Status, at: int) -> int | None:
        """When the status began that the monitor had at the moment `at`; None if it was another, or is forgotten."""
        table = self._db.tables.transitions
        query = table.select(table.at, table.status).where((table.monitor_id == monitor_id) & (table.at <= at))
        with self._db.read("read transitions"):
            for began, value in query.order_by(table.at.desc(), table.id.desc()).limit(1).tuples():
                return int(began) if value == status.value else None
        return None

    def last_outputs(self, monitor_ids: Sequence[int]) -> Mapping[int, str]:
        """What each of these jobs put out last, of those that put out anything."""
        table = self._db.tables.heartbeats
        outputs: dict[int, str] = {}
        with self._db.read("read outputs"):
            for chunk in chunks(monitor_ids):
                newest = (
                    table.select(table.monitor_id, fn.MAX(table.received_at))
                    .where(table.monitor_id.in_(chunk) & (table.output != ""))
                    .group_by(table.monitor_id)
                )
                query = (
                    table.select(table.monitor_id, table.output)
                    .where(Tuple(table.monitor_id, table.received_at).in_(newest) & (table.output != ""))
                    .order_by(table.id)
                )
                outputs.update(query.tuples())
        return outputs

    def heartbeats(self, monitor_id: int, limit: int) -> Sequence[Heartbeat]:
        """The newest `limit` heartbeats in the log, the last one received first."""
        table = self._db.tables.heartbeats
        query = (
            table.select(table.kind, table.received_at, table.rid, table.exit_code, table.output, table.duration)
            .where(table.monitor_id == monitor_id)
            .order_by(table.id.desc())
            .limit(limit)
        )
        with self._db.read("read heartbeats"):
            numbered = [Heartbeat(Kind(kind), *rest) for kind, *rest in query.tuples()]
        return in_order(reversed(numbered))[::-1]

    def replayable(self, monitor_id: int, received: int, limit: int) -> Sequence[Heartbeat]:
        """The newest `limit` heartbeats of a monitor that has received so many, in the order of their moments, without
        outputs; and without late ones of a time of which the log has lost others.
        """
        table = self._db.tables.heartbeats
        query = (
            table.select(table.kind, table.received_at, table.rid, table.exit_code, table.duration, table.arrived_at)
            .where(table.monitor_id == monitor_id)
            .order_by(table.id.desc())
            .limit(limit)
        )
        with self._db.read("read heartbeats"):
            rows = list(query.tuples())[::-1]
        beats = [Heartbeat(Kind(kind), at, rid, code, "", took) for kind, at, rid, code, took, _ in rows]
        return without_strays(beats, received, [row[-1] for row in rows])

    def numbered(self, monitor_id: int, limit: int) -> Sequence[tuple[int, Heartbeat]]:
        """As `heartbeats`, each with its number: the first one that the monitor ever received has 1."""
        table, states = self._db.tables.heartbeats, self._db.tables.states
        query = (
            table.select(
                states.received, table.kind, table.received_at, table.rid, table.exit_code, table.output, table.duration
            )
            .join(states, on=(states.monitor_id == table.monitor_id))
            .where(table.monitor_id == monitor_id)
            .order_by(table.id.desc())
            .limit(limit)
        )
        with self._db.read("read heartbeats"):
            rows = list(query.tuples())
        received = rows[0][0] if rows else 0  # of one statement, so nothing was recorded between the two
        newest_first = in_order([Heartbeat(Kind(kind), *rest) for _, kind, *rest in reversed(rows)])[::-1]
        return [(received - index, beat) for index, beat in enumerate(newest_first)]

    def results(self, monitor_id: int, limit: int) -> Sequence[Heartbeat]:
        """As `heartbeats`, the first one received first, and without outputs, which take most of the reading."""
        table = self._db.tables.heartbeats
        query = (
            table.select(table.kind, table.received_at, table.rid, table.exit_code, table.duration)
            .where(table.monitor_id == monitor_id)
            .order_by(table.id.desc())
            .limit(limit)
        )
        with self._db.read("read heartbeats"):
            numbered = [Heartbeat(Kind(kind), at, rid, code, "", took) for kind, at, rid, code, took in query.tuples()]
        return in_order(reversed(numbered))

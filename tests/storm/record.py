"""What a storm left behind: the tables, what each replica shows, and what was delivered."""

from collections import defaultdict
from dataclasses import dataclass, field
from typing import NamedTuple

from exporter.core.exclusions import Calendar
from exporter.core.heartbeat import Heartbeat, HeartbeatState, Kind
from exporter.core.monitor import Monitor
from exporter.core.spans import Span, merged
from exporter.core.status import Reason, Status
from tests.storm.worlds import World


class Stored(NamedTuple):
    """A row of the log."""

    id: int
    beat: Heartbeat
    replica: str
    late: bool


class Change(NamedTuple):
    """A row of `transitions`."""

    status: Status
    reason: Reason
    at: int
    observed_at: int


class Alarm(NamedTuple):
    """A row of `alerts`."""

    uid: str
    triggered_at: int
    resolved_at: int | None


@dataclass
class Record:
    """One monitor."""

    monitor: Monitor
    created_at: int = 0
    log: list[Stored] = field(default_factory=list)
    """In the order in which they were stored."""
    changes: list[Change] = field(default_factory=list)
    alarms: list[Alarm] = field(default_factory=list)
    state: HeartbeatState = field(default_factory=HeartbeatState)
    runs: list[str] = field(default_factory=list)
    status: Status = Status.NO_DATA
    evaluated_at: int = 0

    @property
    def received(self) -> list[Heartbeat]:
        """In the order of receipt."""
        return [one.beat for one in sorted(self.log, key=lambda one: (one.beat.received_at, one.id))]

    @property
    def in_order(self) -> bool:
        """Whether they were stored in the order of receipt."""
        moments = [one.beat.received_at for one in self.log]
        return moments == sorted(moments) and not any(one.late for one in self.log)


def records(world: World) -> dict[str, Record]:
    """By tag, of the monitors of the plan."""
    by_tag = {one.tag: Record(one) for one in world.plan.monitors()}
    by_id: dict[int, Record] = {}
    for id, tag, created_at in world.rows("SELECT id, tag, created_at FROM monitors WHERE removed_at IS NULL"):
        if tag in by_tag:
            by_id[id] = by_tag[tag]
            by_tag[tag].created_at = created_at
    columns = "id, monitor_id, received_at, kind, rid, exit_code, replica, late"
    for id, monitor_id, at, kind, rid, exit_code, replica, late in world.rows(
        f"SELECT {columns} FROM heartbeats ORDER BY id"
    ):
        if monitor_id in by_id:
            by_id[monitor_id].log.append(Stored(id, Heartbeat(Kind(kind), at, rid, exit_code), replica, bool(late)))
    for monitor_id, status, reason, at, observed_at in world.rows(
        "SELECT monitor_id, status, reason, at, observed_at FROM transitions ORDER BY id"
    ):
        if monitor_id in by_id:
            by_id[monitor_id].changes.append(Change(Status(status), Reason(reason), at, observed_at))
    for monitor_id, uid, triggered_at, resolved_at in world.rows(
        "SELECT monitor_id, uid, triggered_at, resolved_at FROM alerts ORDER BY triggered_at, id"
    ):
        if monitor_id in by_id:
            by_id[monitor_id].alarms.append(Alarm(uid, triggered_at, resolved_at))
    for monitor_id, rid in world.rows("SELECT monitor_id, rid FROM runs ORDER BY id"):
        if monitor_id in by_id:
            by_id[monitor_id].runs.append(rid)
    columns = "received, failures, starts, last_received_at, last_success_at, last_failure_at, last_start_at"
    of_outcomes = "last_outcome, last_exit_code, consecutive_failures"
    for monitor_id, status, evaluated_at, outcome, exit_code, in_a_row, *numbers in world.rows(
        f"SELECT monitor_id, status, evaluated_at, {of_outcomes}, {columns} FROM states"
    ):
        if monitor_id in by_id:
            record = by_id[monitor_id]
            record.status, record.evaluated_at = Status(status), evaluated_at
            record.state = HeartbeatState(
                *numbers, Kind(outcome) if outcome else None, exit_code, consecutive_failures=in_a_row
            )
    return by_tag


def calendar(world: World) -> Calendar:
    spans = (Span(*row) for row in world.rows("SELECT started_at, ended_at FROM blackouts"))
    return Calendar(merged(spans), forgives=not world.plan.strict)


@dataclass
class Delivered:
    """What the webhook accepted of one alert: idempotency keys by event, as often as each came."""

    keys: defaultdict[str, list[str]] = field(default_factory=lambda: defaultdict(list))


def deliveries(world: World) -> dict[str, Delivered]:
    """By the alert's uid. Each request that was read counts, answered or not: a client cannot tell either."""
    by_alert: defaultdict[str, Delivered] = defaultdict(Delivered)
    for request in list(world.receiver.received):
        for alert in request.json["alerts"]:
            by_alert[alert["alert_id"]].keys[request.json["event"]].append(request.headers["idempotency-key"])
    return by_alert

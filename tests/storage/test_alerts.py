"""Alerts and the rules' progress are kept as they were given, and only once."""

import pytest

from exporter.core.alerts.alert import AlertState, Observation, ResolveReason, RuleState
from exporter.core.alerts.alert_rule import Severity
from exporter.core.status import Reason, Status
from exporter.storage.database import Database
from exporter.storage.repositories.alert_progress import AlertProgress, Tracked
from exporter.storage.repositories.alerts import Alerts, NewAlert
from tests.conftest import START
from tests.support.replica import Replica


@pytest.fixture
def alerts(replica: Replica) -> Alerts:
    return Alerts(replica.db)


@pytest.fixture
def progress(replica: Replica) -> AlertProgress:
    return AlertProgress(replica.db)


def new(uid: str, monitor_id: int = 1, **options: object) -> NewAlert:
    values: dict[str, object] = {
        "uid": uid,
        "rule": "missed",
        "monitor_id": monitor_id,
        "tag": f"job-{monitor_id}",
        "severity": Severity.CRITICAL,
        "notify": ("ops", "a b, c"),
        "status": Status.DOWN,
        "reason": Reason.MISSED,
        "triggered_at": START,
        "incident_id": None,
        "next_repeat_at": None,
    }
    return NewAlert(**{**values, **options})  # type: ignore[arg-type]


def opened(db: Database, alerts: Alerts, *some: NewAlert) -> list[int]:
    with db.write("test") as transaction:
        ids = alerts.open(transaction, some)
    return [ids[one.uid] for one in some]


def tracked(monitor_id: int, rule: str = "missed", next_at: int | None = None, alert_id: int | None = None) -> Tracked:
    progress = RuleState(alert_id is not None, 17, 3, Observation(START, Status.DOWN, Reason.FAILED))
    return Tracked(monitor_id, rule, "f" * 64, progress, next_at, alert_id)


def test_progress_is_kept_replaced_and_dropped(replica: Replica, progress: AlertProgress) -> None:
    one, other = tracked(1, next_at=START + 5), tracked(2, "never")
    with replica.db.write("test") as transaction:
        progress.keep(transaction, [one, other, tracked(1, "late")])
    assert sorted(progress.tracked([1]), key=lambda each: each.rule) == [tracked(1, "late"), one]
    again = tracked(1, next_at=None, alert_id=9)
    with replica.db.write("test") as transaction:
        progress.keep(transaction, [again])
        progress.drop(transaction, [(1, "late"), (2, "nothing")])
    assert progress.tracked([1]) == [again]
    assert sorted(one.monitor_id for one in progress.tracked()) == [1, 2]


def test_what_is_due(replica: Replica, progress: AlertProgress) -> None:
    for tag in ("a", "b", "c"):
        replica.add(tag)
    a, b, c = (watched.id for watched in replica.fleet.all())
    replica.beat("a")
    replica.evaluator.evaluate_due()
    assert progress.next_due() is None
    with replica.db.write("test") as transaction:
        progress.keep(transaction, [tracked(a, next_at=START + 20), tracked(b, next_at=START + 10), tracked(c)])
    assert progress.next_due() == START + 10
    assert progress.due(START + 9, 10) == []
    assert [one.monitor_id for one in progress.due(START + 20, 10)] == [b, a]
    assert [one.monitor_id for one in progress.due(START + 20, 1)] == [b]
    replica.monitors.set_paused("b", True)  # its own evaluation is due: that comes first
    assert [one.monitor_id for one in progress.due(START + 20, 10)] == [a]


def test_an_alert_from_beginning_to_end(replica: Replica, alerts: Alerts) -> None:
    (id,) = opened(replica.db, alerts, new("u", incident_id=7))
    found = alerts.find([id, 999])[id]
    assert (found.uid, found.tag, found.severity, found.notify) == ("u", "job-1", Severity.CRITICAL, ("ops", "a b, c"))
    assert (found.step, found.status, found.reason) == (AlertState.TRIGGERED, Status.DOWN, Reason.MISSED)
    assert (found.triggered_at, found.resolved_at, found.ending, found.incident_id) == (START, None, None, 7)
    assert alerts.open_of_incidents([7, 8]) == {7}
    with replica.db.write("test") as transaction:
        alerts.resolve(transaction, [(id, START + 60, ResolveReason.RECOVERED)])
    with replica.db.write("test") as transaction:
        alerts.resolve(transaction, [(id, START + 99, ResolveReason.RULE_REMOVED)])
    found = alerts.find([id])[id]
    assert (found.step, found.resolved_at, found.ending) == (AlertState.RESOLVED, START + 60, ResolveReason.RECOVERED)
    assert alerts.open_of_incidents([7]) == set()


def test_alerts_without_notifiers(replica: Replica, alerts: Alerts) -> None:
    (id,) = opened(replica.db, alerts, new("u", notify=()))
    assert alerts.find([id])[id].notify == ()


def test_lists(replica: Replica, alerts: Alerts) -> None:
    ids = opened(replica.db, alerts, *(new(f"u{n}", monitor_id=n % 3, incident_id=n % 2) for n in range(1200)))
    assert len(set(ids)) == 1200
    with replica.db.write("test") as transaction:
        alerts.resolve(transaction, [(id, START + 1, ResolveReason.RECOVERED) for id in ids[:1190]])
    assert [one.id for one in alerts.recent(step=AlertState.TRIGGERED)] == ids[:1189:-1]
    assert [one.id for one in alerts.recent(limit=2)] == [ids[-1], ids[-2]]
    assert [one.id for one in alerts.recent(limit=2, before_id=ids[-2])] == [ids[-3], ids[-4]]
    assert {one.incident_id for one in alerts.recent(incident_id=1)} == {1}
    assert [one.id for one in alerts.of_monitor(0, 2)] == [ids[1197], ids[1194]]
    firing = alerts.firing([0, 1, 77])
    assert {monitor: [one.id for one in some] for monitor, some in firing.items()} == {
        0: [ids[n] for n in (1197, 1194, 1191)],
        1: [ids[n] for n in (1198, 1195, 1192)],
    }
    assert len(alerts.find(ids)) == 1200


def test_the_same_alert_is_not_begun_twice(replica: Replica, alerts: Alerts) -> None:
    opened(replica.db, alerts, new("same"))
    with pytest.raises(Exception, match=r"(?i)unique"):
        opened(replica.db, alerts, new("same"))
    assert len(alerts.recent()) == 1


def test_what_changed_is_followed(replica: Replica, other: Replica, alerts: Alerts) -> None:
    followed = Alerts(other.db)
    assert followed.changed_since(0) == (0, ())
    old, on = opened(replica.db, alerts, new("a", incident_id=5), new("b", incident_id=6))
    with replica.db.write("test") as transaction:
        alerts.resolve(transaction, [(old, START + 1, ResolveReason.RECOVERED)])
    revision, found = followed.changed_since(0)
    assert [one.id for one in found] == [on]
    assert followed.changed_since(revision) == (revision, ())
    (third,) = opened(replica.db, alerts, new("c"))
    with replica.db.write("test") as transaction:
        alerts.resolve(transaction, [(on, START + 2, ResolveReason.MONITOR_REMOVED)])
    newest, found = followed.changed_since(revision)
    assert newest > revision
    assert {one.id: one.step for one in found} == {on: AlertState.RESOLVED, third: AlertState.TRIGGERED}
    with replica.db.write("test"):
        alerts.acknowledge(6, START + 3)
    _, found = followed.changed_since(newest)
    assert [(one.id, one.acknowledged_at) for one in found] == [(on, START + 3)]


def test_repeats_are_due_until_acknowledged_or_over(replica: Replica, alerts: Alerts) -> None:
    a, b, c = opened(
        replica.db,
        alerts,
        *(new(uid, incident_id=id, next_repeat_at=START + 10) for uid, id in (("a", 1), ("b", 2), ("c", None))),
    )
    assert alerts.next_repeat_at() == START + 10
    assert alerts.repeats_due(START + 9, 10) == []
    assert {one.id for one in alerts.repeats_due(START + 10, 10)} == {a, b, c}
    assert len(alerts.repeats_due(START + 10, 2)) == 2
    with replica.db.write("test") as transaction:
        alerts.acknowledge(1, START + 11)
        alerts.resolve(transaction, [(b, START + 11, ResolveReason.RECOVERED)])
        alerts.repeat_at([c], START + 20)
    assert alerts.repeats_due(START + 19, 10) == []
    assert [one.id for one in alerts.repeats_due(START + 20, 10)] == [c]
    with replica.db.write("test"):
        alerts.repeat_at([c], None)
    assert alerts.next_repeat_at() is None


def test_lists_of_what_is_on_need_no_scan(replica: Replica, url: str) -> None:
    """Pages ask for them every few seconds, and past alerts are kept for months."""
    explain = "EXPLAIN QUERY PLAN"
    if url.startswith("postgresql:"):
        replica.execute(f"ALTER DATABASE {url.rpartition('/')[2]} SET enable_seqscan = off")  # so small, it would
        replica.db.close()
        explain = "EXPLAIN"
    for query in (
        "SELECT id FROM alerts WHERE step = 'TRIGGERED' ORDER BY id DESC LIMIT 10",
        "SELECT id FROM alerts WHERE monitor_id = 1 AND step = 'TRIGGERED'",
        "SELECT MAX(revision) FROM alerts",
        "SELECT id FROM incidents WHERE resolved_at IS NULL ORDER BY id DESC",
        "SELECT notifier, COUNT(id) FROM notifications WHERE state IN ('pending', 'dead') GROUP BY notifier",
    ):
        plan = " ".join(str(row[-1]) for row in replica.execute(f"{explain} {query}"))
        assert "INDEX" in plan.upper(), (query, plan)
        assert "SEQ SCAN" not in plan.upper(), (query, plan)

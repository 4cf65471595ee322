"""One open incident per monitor, whose timeline tells all that happened and who did it."""

import peewee
import pytest

from exporter.core.alerts.alert_rule import Severity
from exporter.core.alerts.incident import IncidentState
from exporter.core.errors import Conflict, NotFound, StorageUnavailable
from exporter.storage.repositories.alerts import Alerts
from exporter.storage.repositories.incidents import EXPORTER, Incident, Incidents, NewIncident
from tests.conftest import START, ManualClock
from tests.storage.test_alerts import new as new_alert
from tests.storage.test_alerts import opened
from tests.support.replica import Replica, away


@pytest.fixture
def incidents(replica: Replica, clock: ManualClock) -> Incidents:
    return Incidents(replica.db, clock)


def new(
    monitor_id: int = 1, impact: Severity = Severity.WARNING, at: int = START, text: str = "It began."
) -> NewIncident:
    return NewIncident(monitor_id, f"job-{monitor_id}", f"Job {monitor_id} is DOWN", impact, at, text)


def joined(replica: Replica, incidents: Incidents, *some: NewIncident) -> list[int]:
    with replica.db.write("test"):
        found = incidents.join(some)
    return [found[one.monitor_id].id for one in some]


def timeline(incidents: Incidents, id: int) -> list[tuple[str, str, str]]:
    return [(update.state.value, update.text, update.author) for update in incidents.updates([id])[id]]


def test_an_incident_opens_and_closes_by_itself(replica: Replica, incidents: Incidents) -> None:
    (id,) = joined(replica, incidents, new())
    assert incidents.find(id) == Incident(
        id=id,
        monitor_id=1,
        tag="job-1",
        title="Job 1 is DOWN",
        impact=Severity.WARNING,
        state=IncidentState.INVESTIGATING,
        started_at=START,
        resolved_at=None,
        acknowledged_at=None,
        acknowledged_by=None,
        updated_at=START,
    )
    with replica.db.write("test"):
        incidents.close(id, START + 500, "All is well again.")
        incidents.close(id, START + 900, "Twice.")
    found = incidents.find(id)
    assert (found.state, found.resolved_at, found.updated_at) == (IncidentState.RESOLVED, START + 500, START + 500)
    assert timeline(incidents, id) == [
        ("INVESTIGATING", "It began.", EXPORTER),
        ("RESOLVED", "All is well again.", EXPORTER),
    ]


def test_later_alerts_join_and_the_most_severe_decides(replica: Replica, incidents: Incidents) -> None:
    (id,) = joined(replica, incidents, new(impact=Severity.INFO))
    incidents.update(id, IncidentState.IDENTIFIED, "Found it.", "anna")
    assert joined(replica, incidents, new(impact=Severity.CRITICAL), new(impact=Severity.WARNING)) == [id, id]
    assert incidents.find(id).impact is Severity.CRITICAL
    assert incidents.find(id).state is IncidentState.IDENTIFIED
    assert [state for state, _, _ in timeline(incidents, id)] == ["INVESTIGATING", *["IDENTIFIED"] * 3]
    assert joined(replica, incidents, new(impact=Severity.INFO)) == [id]
    assert incidents.find(id).impact is Severity.CRITICAL


def test_two_alerts_that_begin_together_open_one(replica: Replica, incidents: Incidents) -> None:
    one, same, other = joined(
        replica, incidents, new(impact=Severity.WARNING), new(impact=Severity.CRITICAL, text="Worse."), new(2)
    )
    assert one == same != other
    assert incidents.find(one).impact is Severity.CRITICAL
    assert [text for _, text, _ in timeline(incidents, one)] == ["It began.", "Worse."]
    assert incidents.count_open() == 2


def test_the_next_alert_opens_another_once_it_is_resolved(replica: Replica, incidents: Incidents) -> None:
    (first,) = joined(replica, incidents, new())
    incidents.update(first, IncidentState.RESOLVED, "Known; ignore.", "anna")
    (second,) = joined(replica, incidents, new())
    assert second != first
    assert incidents.find(first).state is IncidentState.RESOLVED
    with replica.db.write("test"):
        incidents.note(first, START + 9, "Its alert is over.")
    assert incidents.find(first).state is IncidentState.RESOLVED
    assert timeline(incidents, first)[-1] == ("RESOLVED", "Its alert is over.", EXPORTER)


def test_the_database_itself_keeps_it_to_one(replica: Replica, incidents: Incidents) -> None:
    joined(replica, incidents, new())
    with pytest.raises(peewee.IntegrityError):
        replica.execute(
            "INSERT INTO incidents (monitor_id, tag, title, impact, state, started_at, updated_at) "
            "VALUES (1, 'x', 'x', 'info', 'INVESTIGATING', 1, 1)"
        )


def test_people_update_acknowledge_and_resolve(replica: Replica, incidents: Incidents, clock: ManualClock) -> None:
    (id,) = joined(replica, incidents, new())
    clock.advance(1_000)
    incidents.update(id, None, "Looking.", "anna")
    assert incidents.find(id).state is IncidentState.INVESTIGATING
    incidents.acknowledge(id, "bert")
    found = incidents.find(id)
    assert (found.acknowledged_at, found.acknowledged_by) == (START + 1_000, "bert")
    with pytest.raises(Conflict, match=f"incident {id} is acknowledged already, by bert"):
        incidents.acknowledge(id, "anna")
    clock.advance(1_000)
    incidents.update(id, IncidentState.RESOLVED, "Done: <b>😀</b>\n" + "x" * 3000, "anna")
    assert incidents.find(id).resolved_at == START + 2_000
    assert timeline(incidents, id)[1:3] == [
        ("INVESTIGATING", "Looking.", "anna"),
        ("INVESTIGATING", "Acknowledged.", "bert"),
    ]
    for attempt in (lambda: incidents.update(id, None, "More.", "x"), lambda: incidents.acknowledge(id, "x")):
        with pytest.raises(Conflict, match=f"incident {id} is resolved already"):
            attempt()
    for attempt in (
        lambda: incidents.find(99),
        lambda: incidents.update(99, None, "x", "x"),
        lambda: incidents.acknowledge(99, "x"),
    ):
        with pytest.raises(NotFound, match="there is no incident 99"):
            attempt()
    assert len(timeline(incidents, id)) == 4


@pytest.mark.parametrize("resolve", [False, True])
def test_an_alert_whose_incident_somebody_took_on_stays_on_and_quiet(
    replica: Replica, incidents: Incidents, resolve: bool
) -> None:
    alerts = Alerts(replica.db)
    (id,) = joined(replica, incidents, new())
    (mine, _) = opened(
        replica.db,
        alerts,
        new_alert("a", incident_id=id, next_repeat_at=START),
        new_alert("b", incident_id=id + 1, next_repeat_at=None),
    )
    if resolve:
        incidents.update(id, IncidentState.RESOLVED, "Known.", "anna")
    else:
        incidents.acknowledge(id, "anna")
    assert alerts.repeats_due(START + 1_000_000, 10) == []
    assert [(one.id, one.step.value) for one in alerts.recent() if one.acknowledged_at is not None] == [
        (mine, "TRIGGERED")
    ]


def test_what_is_written_down_late_is_news_all_the_same(
    replica: Replica, incidents: Incidents, clock: ManualClock
) -> None:
    """After a stall an alert ends at its own moment, which lies before what people wrote meanwhile."""
    (id,) = joined(replica, incidents, new())
    clock.advance(60_000)
    incidents.update(id, None, "Looking.", "anna")
    before = incidents.find(id).updated_at
    with replica.db.write("test"):
        incidents.close(id, START + 5_000, "It was over by then.")
    assert incidents.find(id).resolved_at == START + 5_000
    assert incidents.find(id).updated_at > before


def test_lists_go_on_where_they_ended(replica: Replica, incidents: Incidents) -> None:
    ids = joined(replica, incidents, *(new(number) for number in range(1, 8)))
    with replica.db.write("test"):
        for id in ids[1:4]:
            incidents.close(id, START + 5, "Over.")
    assert [one.id for one in incidents.recent(open=True)] == [ids[6], ids[5], ids[4], ids[0]]
    assert [one.id for one in incidents.recent(open=False)] == [ids[3], ids[2], ids[1]]
    assert [one.id for one in incidents.recent(limit=2)] == [ids[6], ids[5]]
    assert [one.id for one in incidents.recent(limit=2, before_id=ids[5])] == [ids[4], ids[3]]
    assert [one.id for one in incidents.of_monitor(3, 5)] == [ids[2]]
    assert incidents.count_open() == 4
    assert incidents.updates([ids[0], 99])[99] == []


def test_a_database_that_is_away_says_so(url: str, replica: Replica, incidents: Incidents) -> None:
    joined(replica, incidents, new())
    with away(url), pytest.raises(StorageUnavailable):
        incidents.acknowledge(1, "anna")
    incidents.acknowledge(1, "anna")

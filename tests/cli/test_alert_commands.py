"""`incident` and `notification` on the command line, on a real database."""

import json
import re
import shlex
from collections.abc import Iterator
from pathlib import Path

import pytest
from click.testing import Result

from exporter.cli.alerts._person import person
from exporter.cli.alerts.incidents import GOES_ON
from exporter.cli.main import main
from exporter.core.alerts.alert import AlertState, ResolveReason
from exporter.core.alerts.alert_rule import Severity
from exporter.core.alerts.notification import Hold
from exporter.core.clock import HOUR, MINUTE, SystemClock
from exporter.core.status import Reason, Status
from exporter.presentation.moments import rfc3339
from exporter.resources.incidents import WholeIncidentAnswer
from exporter.resources.notifications import NotificationAnswer
from exporter.storage.database import Database
from exporter.storage.delivery.deliveries import Deliveries
from exporter.storage.delivery.notifications import ALARM, RECOVERY, Notifications
from exporter.storage.delivery.outbox import DeliveryPolicy, Outbox, OutboxItem
from exporter.storage.repositories.alerts import Alerts, NewAlert
from exporter.storage.repositories.incidents import Incidents, NewIncident
from exporter.storage.repositories.leases import Lease
from exporter.storage.schema import migrate
from tests.cli.test_main import commands, refused, run

ME = person()
FAR = 2**62


class Scene:
    """A database with alerts in it, made as the engine makes them."""

    def __init__(self, path: Path) -> None:
        self.url = f"sqlite:///{path}"
        self.db = Database(self.url)
        migrate(self.db)
        self.alerts, self.outbox = Alerts(self.db), Outbox(self.db)
        lease = Lease(self.db, SystemClock(), "evaluation", "test")
        lease.hold()
        self.deliveries, self.notifications = Deliveries(self.db, lease), Notifications(self.db)
        self.incidents = Incidents(self.db, SystemClock())
        self.now = SystemClock().now()

    def begin(self, number: int, impact: Severity = Severity.CRITICAL, notifier: str = "ops") -> int:
        """An alert with an incident and an alarm owed; the alert's id."""
        with self.db.write("test") as transaction:
            at = self.now - HOUR
            new = NewIncident(number, f"job-{number}", f"Job {number} is DOWN", impact, at, "It began.")
            incident = self.incidents.join([new])[number].id
            uid = f"alert-{number}-{incident}"
            alert = NewAlert(
                uid,
                "missed",
                number,
                f"job-{number}",
                impact,
                (notifier,),
                Status.DOWN,
                Reason.MISSED,
                at,
                incident,
                at,
            )
            id = self.alerts.open(transaction, [alert])[uid]
            self.outbox.enqueue(transaction, notifier, ALARM, [OutboxItem(id, "{}")], DeliveryPolicy(group_wait=0), at)
        return id

    def end(self, alert_id: int) -> None:
        with self.db.write("test") as transaction:
            self.alerts.resolve(transaction, [(alert_id, self.now, ResolveReason.RECOVERED)])
            self.outbox.recover(transaction, {alert_id: "{}"}, lambda notifier: DeliveryPolicy(), self.now)

    def fail(self, notifier: str = "ops", error: str = "hooks.example.org answered 404: no_team") -> int:
        found = self.deliveries.due(notifier, FAR)
        assert found is not None
        self.deliveries.seal(found.id)
        self.deliveries.give_up(found.id, self.now, "rejected", error)
        return found.id

    def __call__(self, *arguments: str) -> Result:
        return run(*arguments, "--storage.url", self.url)


@pytest.fixture
def scene(tmp_path: Path) -> Iterator[Scene]:
    scene = Scene(tmp_path / "cli.db")
    yield scene
    scene.db.close()


def test_an_incident_from_its_first_minute_to_its_last(scene: Scene) -> None:
    assert scene("incident", "list").stdout == "No open incidents. To include resolved ones: incident list --all\n"
    assert scene("incident", "list", "--all").stdout == "No incidents.\n"
    scene.begin(1)
    scene.begin(2, Severity.INFO)
    listed = scene("incident", "list").stdout.splitlines()
    assert listed == [
        "2  info      INVESTIGATING  Job 2 is DOWN  (open for 1 h)",
        "1  critical  INVESTIGATING  Job 1 is DOWN  (open for 1 h)",
    ]
    acknowledged = scene("incident", "ack", "1").stdout
    assert acknowledged == f"Acknowledged incident 1 as {ME}: its alerts send no more reminders.\n"
    assert [one.tag for one in scene.alerts.repeats_due(FAR, 10)] == ["job-2"]
    assert f"(open for 1 h, acknowledged by {ME})" in scene("incident", "list").output
    refused(scene("incident", "ack", "1"), f"incident 1 is acknowledged already, by {ME}")
    updated = scene(
        "incident", "update", "1", "--state", "identified", "--text", "The disk\nis full.", "--author", "anna"
    )
    assert updated.stdout == "Updated incident 1 as anna: its state is IDENTIFIED.\n"
    assert (
        scene("incident", "update", "1", "--text", "Hm.").stdout
        == f"Updated incident 1 as {ME}: its state is IDENTIFIED.\n"
    )
    resolved = scene("incident", "resolve", "1", "--text", "Known.").stdout
    assert resolved == f"Resolved incident 1 as {ME}: its state is RESOLVED.\n{GOES_ON}\n"
    shown = scene("incident", "show", "1").output
    assert shown.startswith("Incident 1: Job 1 is DOWN\nRESOLVED, critical, monitor job-1 (1 h ago, lasted 1 h)\n")
    assert "IDENTIFIED     anna\n    The disk\n    is full.\n" in shown
    assert "Alert missed (critical), DOWN 1 h ago: firing\n" in shown
    assert GOES_ON in shown
    facts = json.loads(scene("incident", "show", "1", "--json").output)
    assert facts.keys() == {*WholeIncidentAnswer.model_fields, "not_evaluated_since"}, "the API's shape"
    assert [one["text"] for one in facts["updates"]] == [
        "It began.",
        "Acknowledged.",
        "The disk\nis full.",
        "Hm.",
        "Known.",
    ]
    assert (facts["state"], facts["acknowledged_by"], facts["alerts"][0]["state"]) == ("RESOLVED", ME, "firing")
    assert len(scene("incident", "list").stdout.splitlines()) == 1
    both = json.loads(scene("incident", "list", "--all", "--json").output)
    assert [(one["id"], one["resolved_at"] is None) for one in both] == [(2, True), (1, False)]
    assert len(scene("incident", "list", "--all", "--limit", "1").stdout.splitlines()) == 1


def test_the_next_alert_opens_another_one(scene: Scene) -> None:
    alert = scene.begin(1)
    scene("incident", "resolve", "1")
    assert scene.alerts.find([alert])[alert].step is AlertState.TRIGGERED
    scene.begin(1)
    assert "2  critical  INVESTIGATING  Job 1 is DOWN" in scene("incident", "list").output
    scene.end(alert)
    assert GOES_ON not in scene("incident", "show", "1").output
    assert "resolved after 1 h" in scene("incident", "show", "1").output


def test_bad_input_is_named(scene: Scene) -> None:
    scene.begin(1)
    refused(scene("incident", "show", "7"), "Error: there is no incident 7")
    refused(scene("incident", "ack", "7"), "there is no incident 7")
    refused(scene("incident", "resolve", "7"), "there is no incident 7")
    refused(scene("incident", "update", "7", "--text", "x"), "there is no incident 7")
    refused(scene("incident", "update", "1", "--text", " \n"), "the text is empty")
    refused(scene("incident", "update", "1", "--text", "x" * 2001), "2,001 characters: at most 2,000")
    refused(scene("incident", "ack", "1", "--author", ""), "the author is empty")
    refused(scene("incident", "update", "1"), "Missing option '--text'", code=2)
    refused(scene("incident", "update", "1", "--text", "x", "--state", "DONE"), "is not one of", code=2)
    for id in ("0", "-1", "x", str(2**63)):
        refused(scene("incident", "show", "--", id), "ID", code=2)
    scene("incident", "resolve", "1")
    refused(scene("incident", "resolve", "1"), "incident 1 is resolved already")
    refused(scene("incident", "update", "1", "--text", "x"), "incident 1 is resolved already")


def test_bytes_that_are_no_text(scene: Scene) -> None:
    scene.begin(1)
    assert scene("incident", "update", "1", "--text", "caf\udce9 \x1b[31mred").exit_code == 0
    assert "caf [31mred" in scene("incident", "show", "1").output


def test_a_user_without_a_name(scene: Scene, monkeypatch: pytest.MonkeyPatch) -> None:
    scene.begin(1)
    monkeypatch.setattr("exporter.cli.alerts.incidents.person", lambda: "anna")
    assert "as anna" in scene("incident", "ack", "1").stdout


def test_a_hold_is_shown(scene: Scene) -> None:
    scene.begin(1)
    one = scene.deliveries.due("ops", FAR)
    assert one is not None
    now = SystemClock().now()
    hold = Hold("ops", now, now + 15 * MINUTE, "hooks.example.org answered 429")
    scene.deliveries.try_again(one.id, now, "rate_limited", hold.error, hold)
    first, listed = scene("notification", "list").stdout.splitlines()
    assert re.fullmatch(
        r"ops is paused for another 1[45] min at the request of its receiver: hooks\.example\.org answered 429", first
    )
    assert re.search(r", next in 1[45] min: hooks", listed)
    (shown,) = json.loads(scene("notification", "list", "--json").stdout)
    assert shown.keys() == NotificationAnswer.model_fields.keys(), "the API's shape"
    assert shown["held_until"] == shown["next_attempt_at"] == rfc3339(hold.until)
    scene.fail()
    assert "to be sent in 1" in scene("notification", "retry", str(one.id)).output


def test_notifications_are_listed_and_tried_again(scene: Scene) -> None:
    assert scene("notification", "list").stdout == "No notifications.\n"
    assert scene("notification", "list", "--state", "dead").stdout == "No dead notifications.\n"
    scene.begin(1)
    scene.begin(2, notifier="the boss")
    id = scene.fail()
    listed = scene("notification", "list").output
    assert "pending    the boss  TRIGGERED  1 h ago, 0 attempts" in listed
    assert (
        f"{id}  dead       ops       TRIGGERED  1 h ago, 1 attempt: hooks.example.org answered 404: no_team" in listed
    )
    (dead,) = json.loads(scene("notification", "list", "--state", "DEAD", "--json").output)
    assert (dead["id"], dead["failure"], dead["attempts"], dead["next_attempt_at"]) == (id, "rejected", 1, None)
    assert (
        scene("notification", "retry", str(id)).stdout == f"Notification {id} to ops is queued for another attempt.\n"
    )
    assert "No dead" in scene("notification", "list", "--state", "dead").output
    due = scene.deliveries.due("ops", SystemClock().now())
    assert due is not None
    assert due.id == id
    refused(scene("notification", "retry", str(id)), f"notification {id} is pending: only dead ones can be tried again")
    refused(scene("notification", "retry", "99"), "there is no notification 99")


def test_retry_wants_to_know_which(scene: Scene) -> None:
    refused(scene("notification", "retry"), "give either the ID", code=2)
    refused(scene("notification", "retry", "1", "--dead"), "give either the ID", code=2)
    refused(scene("notification", "retry", "x"), "ID", code=2)
    refused(scene("notification", "list", "--state", "gone"), "'dead'", code=2)


def test_alarms_that_are_over_are_not_raised_again(scene: Scene) -> None:
    over = scene.begin(1)
    scene.fail()
    on = scene.begin(2)
    second = scene.fail()
    scene.end(over)
    assert scene("notification", "retry", "--dead").stdout == (
        "1 queued for another attempt.\n1 skipped: all their alerts have already resolved.\n"
    )
    due = scene.deliveries.due("ops", FAR)
    assert due is not None
    assert due.id == second
    scene.end(on)
    third = scene.begin(3)
    id = scene.fail()
    scene.end(third)
    assert scene("notification", "retry", str(id)).stdout == (
        f"Notification {id} is skipped: all its alerts have already resolved.\n"
    )
    assert RECOVERY not in scene("notification", "list", "--state", "dead").output
    assert scene("notification", "retry", "--dead").stdout == "0 queued for another attempt.\n"


def test_many_dead_letters_are_all_tried(scene: Scene, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("exporter.cli.alerts.notifications._BATCH", 2)
    for number in range(5):
        scene.begin(number)
        scene.fail()
    assert scene("notification", "retry", "--dead").stdout == "5 queued for another attempt.\n"


def test_what_the_configuration_does_not_know_is_left(scene: Scene, tmp_path: Path) -> None:
    scene.begin(1)
    id = scene.fail()
    config = tmp_path / "c.yml"
    config.write_text("monitors: []\n")
    said = scene("notification", "retry", "--dead", "--config.file", str(config)).stdout
    assert said == "0 queued for another attempt.\n1 left unchanged: the configuration has no notifier 'ops'.\n"
    refused(
        scene("notification", "retry", str(id), "--config.file", str(config)),
        f"notification {id} is for 'ops', but the configuration has no notifier of that name",
    )


def test_a_database_that_cannot_be(tmp_path: Path) -> None:
    for command in (("incident", "list"), ("incident", "ack", "1"), ("notification", "list")):
        refused(run(*command, "--storage.url", f"sqlite:///{tmp_path}/none/x.db"), "there is no database")


def test_the_next_attempt_is_told(scene: Scene) -> None:
    """What waits for its next attempt says when that is."""
    scene.begin(1)
    found = scene.deliveries.due("ops", FAR)
    assert found is not None
    scene.deliveries.seal(found.id)
    scene.deliveries.try_again(found.id, scene.now + 5 * MINUTE + 30_000, "timeout", "ops did not answer in time")
    assert "1 attempt, next in 5 min: ops did not answer in time" in scene("notification", "list").output


def test_examples_in_help_are_good(tmp_path: Path) -> None:
    config = tmp_path / "heartbeats.yml"
    config.write_text("monitors: [{tag: a, secret: s}]\n")
    tried = 0
    for path, _ in commands(main, "heartbeat-exporter"):
        if path.split()[1] not in ("incident", "notification"):
            continue
        for line in re.findall(r"^    (heartbeat-exporter .*)$", run(*path.split()[1:], "--help").output, re.M):
            scene = Scene(tmp_path / f"{tried}.db")
            for number in range(17):
                scene.begin(number)
                scene.fail()
            arguments = [str(config) if part == config.name else part for part in shlex.split(line, comments=True)[1:]]
            result = scene(*arguments)
            assert result.exit_code == 0, (line, result.output)
            scene.db.close()
            tried += 1
    assert tried >= 12

"""A real Alertmanager: an alert appears there, goes on while it is told again, and ends."""

import json
import socket
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest

from exporter.core.clock import MINUTE, SECOND, SystemClock
from exporter.notify.notifier import DeliveryFailed, Failure
from exporter.notify.notifiers.alertmanager import AlertmanagerNotifier, AlertmanagerOptions, labels_of
from exporter.notify.samples import SAMPLE_SITE, nasty_samples, sample
from exporter.presentation.message import AlertSnapshot, Event, Message
from tests.conftest import ManualClock
from tests.live.conftest import eventually, fetch
from tests.support.ports import free_port
from tests.support.receivers import Receiver, answer
from tests.support.tools import need_tool, run_tool

pytestmark = pytest.mark.live
CONFIG = """
route: {receiver: nobody, group_wait: 0s, group_interval: 1s}
receivers: [{name: nobody}]
"""


@dataclass
class Alertmanager:
    url: str

    def alerts(self, *matchers: str) -> list[dict[str, Any]]:
        """What `amtool alert query` shows of those that fire."""
        found: list[dict[str, Any]] = json.loads(
            run_tool("amtool", f"--alertmanager.url={self.url}", "--output=json", "alert", "query", *matchers)
        )
        return found


@pytest.fixture
def alertmanager(tmp_path: Path) -> Iterator[Alertmanager]:
    (tmp_path / "alertmanager.yml").write_text(CONFIG)
    port = free_port()
    with (tmp_path / "log").open("wb") as log:
        process = subprocess.Popen(
            [
                need_tool("prometheus-alertmanager"),
                f"--config.file={tmp_path}/alertmanager.yml",
                f"--storage.path={tmp_path}/data",
                f"--web.listen-address=127.0.0.1:{port}",
                "--web.route-prefix=/behind/a/proxy",
                "--cluster.listen-address=",
            ],
            stdout=log,
            stderr=log,
        )
    url = f"http://127.0.0.1:{port}/behind/a/proxy"
    try:
        eventually(lambda: fetch(f"{url}/-/ready").status == 200)
        yield Alertmanager(url)
    finally:
        process.terminate()
        process.wait(20)


def notifier(*urls: str, clock: Any = None, **options: Any) -> AlertmanagerNotifier:
    given = {"name": "am", "type": "alertmanager", "urls": list(urls), "timeout": "2s", **options}
    return AlertmanagerNotifier(AlertmanagerOptions.model_validate(given), clock)


def alarm(count: int = 1) -> Message:
    """Half a minute old."""
    return sample(Event.TRIGGERED, at=SystemClock().now() - 30 * SECOND, count=count)


def over(facts: AlertSnapshot, after: int = 20 * SECOND) -> AlertSnapshot:
    return replace(facts, resolved_at=facts.triggered_at + after)


def recovery(message: Message) -> Message:
    return replace(message, event=Event.RESOLVED, alerts=tuple(map(over, message.alerts)))


def test_an_alert_appears_is_refreshed_and_resolves(alertmanager: Alertmanager) -> None:
    sender = notifier(alertmanager.url)
    message = alarm()
    assert sender.deliver(message) == "1 of 1 members accepted it"
    (alert,) = alertmanager.alerts("alertname=backup-missed", "tag=nightly-backup", "label_team=storage")
    assert alert["labels"] == {
        "alertname": "backup-missed",
        "tag": "nightly-backup",
        "group": "Storage",
        "severity": "critical",
        "status": "DOWN",
        "label_team": "storage",
        "label_host": "db1",
    }
    assert alert["annotations"]["summary"] == "DOWN: Nightly backup, missed, 12 min late"
    assert "Free some space on the archive disk" in alert["annotations"]["description"]
    assert "no space left on device" in alert["annotations"]["output"]
    assert alert["annotations"]["incident"] == "https://heartbeats.example.org/incidents/1"
    assert alert["generatorURL"] == "https://heartbeats.example.org/monitors/nightly-backup"
    first_end = alert["endsAt"]

    sender.refresh(message.alerts, (), SAMPLE_SITE)
    (refreshed,) = alertmanager.alerts()
    assert refreshed["fingerprint"] == alert["fingerprint"]
    assert refreshed["startsAt"] == alert["startsAt"]
    assert refreshed["endsAt"] > first_end

    sender.deliver(recovery(message))
    assert alertmanager.alerts() == []
    # Told again for a while, as somebody may have missed it.
    sender.refresh((), recovery(message).alerts, SAMPLE_SITE)
    assert alertmanager.alerts() == []


def test_a_renamed_monitor_is_still_the_same_alert(alertmanager: Alertmanager) -> None:
    sender = notifier(alertmanager.url)
    message = alarm()
    sender.deliver(message)
    new = {"name": "Other", "group": "Elsewhere", "labels": {"team": "nobody"}, "description": "new"}
    renamed = replace(message, event=Event.REPEATED, alerts=(replace(message.first, **new),))
    sender.deliver(renamed)
    sender.refresh(renamed.alerts, (), SAMPLE_SITE)
    (alert,) = alertmanager.alerts()
    assert alert["labels"] == labels_of(message.first)
    assert alert["annotations"]["name"] == "Other"
    sender.deliver(recovery(renamed))
    assert alertmanager.alerts() == []


def test_the_end_of_the_last_episode_does_not_end_the_next(alertmanager: Alertmanager) -> None:
    sender = notifier(alertmanager.url)
    message = alarm()
    sender.deliver(message)
    ended = recovery(message)
    sender.deliver(ended)
    later = replace(message.first, alert_id="next", triggered_at=message.first.triggered_at + 25_000)
    sender.deliver(replace(message, key="next", alerts=(later,)))
    sender.refresh((later,), ended.alerts, SAMPLE_SITE)
    assert len(alertmanager.alerts()) == 1
    # Delivered late, because it had to be tried again.
    assert sender.deliver(replace(ended, key="late")) == "nothing sent: the alert is firing again"
    assert len(alertmanager.alerts()) == 1
    sender.deliver(replace(ended, key="last", alerts=(over(later, after=4_000),)))
    assert alertmanager.alerts() == []


def test_it_takes_whatever_names_and_outputs_hold(alertmanager: Alertmanager) -> None:
    sender = notifier(alertmanager.url)
    for message in nasty_samples():
        now = SystemClock().now()
        facts = tuple(replace(one, triggered_at=now - MINUTE, rule=one.rule or "rule") for one in message.alerts)
        assert sender.deliver(replace(message, event=Event.TRIGGERED, alerts=facts)) == "1 of 1 members accepted it"
    assert any("🔥" in alert["labels"]["alertname"] for alert in alertmanager.alerts())


def test_many_alerts(alertmanager: Alertmanager) -> None:
    sender = notifier(alertmanager.url)
    message = alarm(1_201)
    sender.deliver(message)
    assert len(alertmanager.alerts()) == 1_201
    sender.deliver(recovery(message))
    assert alertmanager.alerts() == []


def test_one_member_is_enough(alertmanager: Alertmanager) -> None:
    nobody = f"http://127.0.0.1:{free_port()}"
    said = notifier(nobody, alertmanager.url).deliver(alarm())
    assert said == "1 of 2 members accepted it; no connection to 127.0.0.1: connection refused"
    assert len(alertmanager.alerts()) == 1


def test_a_member_that_hangs_delays_no_other(alertmanager: Alertmanager) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        url = f"http://127.0.0.1:{silent.getsockname()[1]}"
        said = notifier(url, url + "/too", alertmanager.url, timeout="700ms").deliver(alarm())
    assert said.startswith("1 of 3 members accepted it; 127.0.0.1 did not answer in time")


def test_when_none_takes_it_the_most_hopeful_failure_counts() -> None:
    with Receiver(answer(400, "SESAME-am-token")) as bad, Receiver(answer(503, "", Retry_After="7")) as busy:
        with pytest.raises(DeliveryFailed) as caught:
            notifier(bad.url, busy.url, token="SESAME-am-token").deliver(alarm())
        assert (caught.value.failure, caught.value.retry) == (Failure.SERVER_ERROR, True)
        assert caught.value.retry_after == 7
        assert str(caught.value) == "127.0.0.1 answered 400: <secret>; 127.0.0.1 answered 503"
        with pytest.raises(DeliveryFailed) as caught:
            notifier(bad.url).deliver(alarm())
        assert (caught.value.failure, caught.value.retry) == (Failure.REJECTED, False)


@pytest.mark.parametrize(
    ("options", "header"),
    [
        ({"token": "SESAME-am-token"}, "Bearer SESAME-am-token"),
        ({"username": "ops", "password": "SESAME-pw"}, "Basic b3BzOlNFU0FNRS1wdw=="),
        ({}, None),
    ],
)
def test_what_is_sent(clock: ManualClock, options: dict[str, Any], header: str | None) -> None:
    with Receiver() as member:
        sender = notifier(f"{member.url}/prefix/", clock=clock, **options)
        message = sample(Event.TRIGGERED, at=clock.now())
        sender.deliver(message)
        sender.refresh((), (), SAMPLE_SITE)
        (request,) = member.received
    assert (request.method, request.target) == ("POST", "/prefix/api/v2/alerts")
    assert request.headers.get("authorization") == header
    assert request.headers["idempotency-key"] == message.key
    (alert,) = request.json
    assert alert["startsAt"] == "2026-09-21T14:13:20.000Z"
    assert alert["endsAt"] == "2026-09-21T14:18:20.000Z", "five refreshes have to be missed before it ends by itself"
    for secret in ("SESAME", "b3Bz"):
        assert secret not in repr(sender) + repr(sender.options)


@pytest.mark.parametrize(
    "given",
    [
        {"urls": []},
        {"urls": ["ftp://x"]},
        {"urls": ["http://user:pw@x"]},
        {"username": "u"},
        {"password": "p"},
        {"token": "t", "username": "u", "password": "p"},
        {"ca_file": "/nowhere"},
    ],
)
def test_options_that_cannot_be(given: dict[str, Any]) -> None:
    with pytest.raises(ValueError):
        AlertmanagerOptions.model_validate(
            {"name": "am", "type": "alertmanager", "urls": "http://127.0.0.1:9093", **given}
        )

"""Opsgenie's Alert API v2, against a receiver of our own."""

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pytest

from exporter.notify.notifier import DeliveryFailed, Failure
from exporter.notify.notifiers.opsgenie import OpsgenieNotifier, OpsgenieOptions
from exporter.notify.samples import sample
from exporter.presentation.message import Event
from tests.support.receivers import Receiver, answer

KEY = "SESAME-genie-key"


@pytest.fixture
def service() -> Iterator[Receiver]:
    with Receiver(answer(202)) as made:
        yield made


def notifier(service: Receiver, **given: Any) -> OpsgenieNotifier:
    options = {"name": "og", "type": "opsgenie", "api_key": KEY, "url": f"{service.url}/jsm/", **given}
    return OpsgenieNotifier(OpsgenieOptions.model_validate(options))


def test_an_alarm_creates_and_its_end_closes(service: Receiver) -> None:
    sender = notifier(service, teams="Storage team")
    sender.deliver(sample(Event.TRIGGERED))
    sender.deliver(sample(Event.RESOLVED))
    create, close = service.received
    assert create.target == "/jsm/v2/alerts"
    assert create.headers["authorization"] == f"GenieKey {KEY}"
    alert = create.json
    assert alert["message"] == "DOWN: Nightly backup, missed, 12 min late"
    assert alert["alias"] == "sample-0"
    assert alert["entity"] == "nightly-backup"
    assert alert["priority"] == "P1"
    assert alert["tags"] == ["backup-missed", "critical", "Storage"]
    assert alert["responders"] == [{"type": "team", "name": "Storage team"}]
    assert alert["details"]["Last success"] == "Mon 23 Nov 2026, 04:00:00 Europe/Rome"
    for told in ("Free some space", "no space left on device", "https://heartbeats.example.org/incidents/1"):
        assert told in alert["description"]
    assert close.target == "/jsm/v2/alerts/sample-0/close?identifierType=alias"
    assert close.json["note"] == "Recovered: Nightly backup was DOWN for 49 min"
    assert close.json["source"] == "Heartbeat Exporter"


def test_priorities(service: Receiver) -> None:
    notifier(service).deliver(sample(Event.TRIGGERED, count=4))
    assert [body["priority"] for body in service.bodies] == ["P1", "P1", "P3", "P5"]


def test_an_end_that_overtakes_its_alarm_tells_both(service: Receiver) -> None:
    notifier(service).deliver(replace(sample(Event.RESOLVED), unannounced=frozenset(["sample-0"])))
    assert [got.target.partition("?")[0] for got in service.received] == [
        "/jsm/v2/alerts",
        "/jsm/v2/alerts/sample-0/close",
    ]


@pytest.mark.parametrize(
    ("status", "failure", "retry"),
    [(429, Failure.RATE_LIMITED, True), (503, Failure.SERVER_ERROR, True), (422, Failure.REJECTED, False)],
)
def test_failures(service: Receiver, status: int, failure: Failure, retry: bool) -> None:
    service.behave(answer(status, f'{{"message":"Key {KEY} is no good"}}'))
    with pytest.raises(DeliveryFailed) as caught:
        notifier(service).deliver(sample(Event.TRIGGERED))
    assert (caught.value.failure, caught.value.retry) == (failure, retry)
    assert "Key <secret> is no good" in str(caught.value)


def test_nothing_prints_the_key(service: Receiver) -> None:
    sender = notifier(service)
    assert "SESAME" not in repr(sender) + repr(sender.options) + sender.options.model_dump_json()

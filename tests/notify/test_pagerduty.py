"""PagerDuty's Events API v2, against a receiver of our own."""

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pytest
from pydantic import ValidationError

from exporter.notify.notifier import DeliveryFailed, Failure
from exporter.notify.notifiers.pagerduty import PagerDutyNotifier, PagerDutyOptions
from exporter.notify.samples import sample
from exporter.presentation.message import Event
from tests.support.receivers import Receiver, answer

KEY = "SESAMEroutingkey0123456789abcdef"
TAKEN = '{"status":"success","message":"Event processed","dedup_key":"x"}'


@pytest.fixture
def service() -> Iterator[Receiver]:
    with Receiver(answer(202)) as made:
        yield made


def notifier(service: Receiver, **given: Any) -> PagerDutyNotifier:
    url = f"{service.url}/v2/enqueue"
    options = {"name": "pd", "type": "pagerduty", "routing_key": KEY, "url": url, **given}
    return PagerDutyNotifier(PagerDutyOptions.model_validate(options))


def test_an_alarm_triggers_and_its_end_resolves(service: Receiver) -> None:
    sender = notifier(service)
    for event in Event:
        sender.deliver(sample(event))
    triggered, repeated, resolved = service.bodies
    assert service.received[0].target == "/v2/enqueue"
    assert triggered == {
        "routing_key": KEY,
        "event_action": "trigger",
        "dedup_key": "sample-0",
        "payload": {
            "summary": "DOWN: Nightly backup, missed, 12 min late",
            "source": "nightly-backup",
            "severity": "critical",
            "timestamp": "2026-11-24T03:12:00.000Z",
            "component": "Nightly backup",
            "group": "Storage",
            "class": "missed",
            "custom_details": triggered["payload"]["custom_details"],
        },
        "client": "Heartbeat Exporter",
        "client_url": "https://heartbeats.example.org/monitors/nightly-backup",
        "links": [
            {"href": "https://heartbeats.example.org/monitors/nightly-backup", "text": "Monitor"},
            {"href": "https://heartbeats.example.org/incidents/1", "text": "Incident"},
        ],
    }
    details = triggered["payload"]["custom_details"]
    assert details["What to do"].startswith("Free some space")
    assert "no space left on device" in details["Last output"]
    assert repeated["event_action"] == "trigger"
    assert resolved == {"routing_key": KEY, "event_action": "resolve", "dedup_key": "sample-0"}


def test_a_group_is_an_event_for_each_alert(service: Receiver) -> None:
    sender = notifier(service)
    said = sender.deliver(sample(Event.TRIGGERED, count=4))
    assert said == "4 alerts, the last: 202 ok"
    assert [body["dedup_key"] for body in service.bodies] == [f"sample-{index}" for index in range(4)]
    assert [body["payload"]["severity"] for body in service.bodies] == ["critical", "critical", "warning", "info"]
    assert service.bodies[1]["payload"]["summary"] == "DOWN: Job 001, failed, exit code 3"


def test_tried_again_it_goes_on_where_it_stopped(service: Receiver) -> None:
    sender = notifier(service)
    service.behave(answer(202, TAKEN), answer(429, "slow down", Retry_After="11"), answer(202, TAKEN))
    message = sample(Event.TRIGGERED, count=3)
    with pytest.raises(DeliveryFailed) as caught:
        sender.deliver(message)
    assert (caught.value.failure, caught.value.retry, caught.value.retry_after) == (Failure.RATE_LIMITED, True, 11)
    sender.deliver(message)
    assert [body["dedup_key"] for body in service.bodies] == ["sample-0", "sample-1", "sample-1", "sample-2"]
    first, again = service.received[1:3]
    assert first.body == again.body
    keys = [got.headers["idempotency-key"] for got in service.received]
    assert keys[1] == keys[2]
    assert len(set(keys)) == 3


def test_one_alert_refused_does_not_keep_back_the_others(service: Receiver) -> None:
    sender = notifier(service)
    wrong = f'{{"status":"invalid event","errors":["routing_key {KEY} is wrong"]}}'
    service.behave(answer(202, TAKEN), answer(400, wrong), answer(202, TAKEN))
    with pytest.raises(DeliveryFailed) as caught:
        sender.deliver(sample(Event.TRIGGERED, count=3))
    assert (caught.value.failure, caught.value.retry) == (Failure.REJECTED, False)
    assert str(caught.value).startswith("2 of 3 alerts were accepted; 127.0.0.1 answered 400: ")
    assert "routing_key <secret> is wrong" in str(caught.value)


def tried(service: Receiver) -> list[int]:
    return [int(body["dedup_key"].removeprefix("sample-")) for body in service.bodies]


def test_an_alert_that_is_always_answered_500_does_not_keep_back_the_others(service: Receiver) -> None:
    sender, message = notifier(service), sample(Event.TRIGGERED, count=4)
    service.behave(answer(500), answer(202, TAKEN), answer(400), answer(202, TAKEN), answer(500), answer(202, TAKEN))
    for taken in (2, 2):
        with pytest.raises(DeliveryFailed) as caught:
            sender.deliver(message)
        assert (caught.value.failure, caught.value.retry) == (Failure.SERVER_ERROR, True)
        assert str(caught.value).startswith(f"{taken} of 4 alerts were accepted; ")
    assert tried(service) == [0, 1, 2, 3, 0], "what was taken, or refused for good, was sent again"
    keys = [got.headers["idempotency-key"] for got in service.received]
    assert keys[0] == keys[4]
    assert len(set(keys)) == 4
    with pytest.raises(DeliveryFailed) as caught:
        sender.deliver(message)
    assert (caught.value.failure, caught.value.retry) == (Failure.REJECTED, False)
    assert str(caught.value).startswith("3 of 4 alerts were accepted; ")
    service.behave(answer(202, TAKEN))
    sender.deliver(message)
    assert tried(service)[5:] == [0, 2], "what is tried again by hand is only what was refused"


def test_alerts_that_fail_first_keep_back_the_others_for_one_attempt_at_most(service: Receiver) -> None:
    sender, message = notifier(service), sample(Event.TRIGGERED, count=8)
    service.behave(*[answer(500)] * 6, answer(202, TAKEN))
    for _ in range(2):
        with pytest.raises(DeliveryFailed):
            sender.deliver(message)
    assert sender.deliver(message).startswith("8 alerts")
    assert tried(service) == [*range(8), *range(6)]


def test_a_wrong_key_is_not_tried_for_every_alert(service: Receiver) -> None:
    service.behave(answer(400))
    with pytest.raises(DeliveryFailed):
        notifier(service).deliver(sample(Event.TRIGGERED, count=500))
    assert len(service.received) == 3


def test_an_end_that_overtakes_its_alarm_tells_both(service: Receiver) -> None:
    message = replace(sample(Event.RESOLVED), unannounced=frozenset(["sample-0"]))
    notifier(service).deliver(message)
    assert [body["event_action"] for body in service.bodies] == ["trigger", "resolve"]


def test_options(service: Receiver) -> None:
    sender = notifier(service)
    assert "SESAME" not in repr(sender) + repr(sender.options) + sender.options.model_dump_json()
    with pytest.raises(ValidationError):
        notifier(service, url="events.pagerduty.com")
    with pytest.raises(ValidationError):
        notifier(service, routing_key=" ")

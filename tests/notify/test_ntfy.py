"""ntfy's JSON publishing, against a receiver of our own."""

from dataclasses import replace
from typing import Any

import pytest
from pydantic import ValidationError

from exporter.notify.notifier import DeliveryFailed, Failure
from exporter.notify.notifiers.ntfy import NtfyNotifier, NtfyOptions
from exporter.notify.samples import sample
from exporter.presentation.message import Event, Message
from tests.support.receivers import Receiver, answer

TOPIC = "SESAME-topic"


def notifier(service: Receiver, **given: Any) -> NtfyNotifier:
    options = {"name": "push", "type": "ntfy", "topic": TOPIC, "server": service.url, **given}
    return NtfyNotifier(NtfyOptions.model_validate(options))


def test_what_is_sent(service: Receiver) -> None:
    assert notifier(service).deliver(sample(Event.TRIGGERED)) == "200 ok"
    (got,) = service.received
    assert (got.method, got.target) == ("POST", "/")
    assert "authorization" not in got.headers
    push = got.json
    message = push.pop("message")
    monitor = "https://heartbeats.example.org/monitors/nightly-backup"
    assert push == {
        "topic": TOPIC,
        "title": "DOWN: Nightly backup, missed, 12 min late",
        "priority": 5,
        "tags": ["red_circle"],
        "click": monitor,
        "actions": [
            {"action": "view", "label": "Monitor", "url": monitor},
            {"action": "view", "label": "Incident", "url": "https://heartbeats.example.org/incidents/1"},
        ],
    }
    assert message.startswith("Free some space on the archive disk")
    assert message.endswith("tar: archive.tar: no space left on device")


def test_good_news_wakes_nobody(service: Receiver) -> None:
    notifier(service).deliver(sample(Event.RESOLVED))
    (push,) = service.bodies
    assert (push["priority"], push["tags"]) == (3, ["green_circle"])


def test_a_group_is_one_push(service: Receiver) -> None:
    notifier(service).deliver(sample(Event.TRIGGERED, count=500))
    (push,) = service.bodies
    assert push["click"] == "https://heartbeats.example.org/"
    assert push["message"].startswith("Nightly backup: DOWN, missed, 12 min late\nJob 001: ")
    assert push["message"].endswith("… and 480 more")


def test_what_json_makes_longer_still_fits(service: Receiver) -> None:
    message = sample(Event.TRIGGERED)
    facts = replace(message.first, description='"\\' * 3000, output='"' * 9000)
    notifier(service).deliver(Message("k", Event.TRIGGERED, (facts,), message.site, message.enqueued_at))
    (got,) = service.received
    assert len(got.body) <= 8192


@pytest.mark.parametrize(
    ("given", "header"),
    [
        ({"token": "SESAME_tk"}, "Bearer SESAME_tk"),
        ({"username": "ops", "password": "SESAME-pw"}, "Basic b3BzOlNFU0FNRS1wdw=="),
    ],
)
def test_credentials(service: Receiver, given: dict[str, str], header: str) -> None:
    sender = notifier(service, **given)
    service.behave(answer(403, f"forbidden {header} {TOPIC} {' '.join(given.values())}"))
    with pytest.raises(DeliveryFailed) as caught:
        sender.deliver(sample(Event.TRIGGERED))
    assert service.received[0].headers["authorization"] == header
    assert (caught.value.failure, caught.value.retry) == (Failure.REJECTED, False)
    for text in (str(caught.value), repr(sender), repr(sender.options), sender.options.model_dump_json()):
        assert "SESAME" not in text
        assert "b3Bz" not in text


def test_templates_of_ones_own(service: Receiver) -> None:
    sender = notifier(service, title="{{ alert_name }}", message="{{ why }}")
    sender.deliver(sample(Event.TRIGGERED))
    (push,) = service.bodies
    assert (push["title"], push["message"]) == ("backup-missed: Nightly backup", "missed, 12 min late")


@pytest.mark.parametrize(
    "given",
    [
        {"topic": "SESAME/x"},
        {"topic": "S" * 65},
        {"server": "ntfy.sh"},
        {"username": "u"},
        {"token": "SESAME", "username": "u", "password": "SESAME"},
    ],
)
def test_options_that_cannot_be(service: Receiver, given: dict[str, Any]) -> None:
    with pytest.raises(ValidationError) as caught:
        notifier(service, **given)
    assert "SESAME" not in str(caught.value)

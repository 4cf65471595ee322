"""Telegram's Bot API, against a receiver of our own."""

import json
import logging
from dataclasses import replace
from typing import Any

import pytest
from pydantic import ValidationError

from exporter.app.log_setup import set_level
from exporter.notify.notifier import DeliveryFailed, Failure
from exporter.notify.notifiers.telegram import TelegramNotifier, TelegramOptions, text_of
from exporter.notify.samples import sample
from exporter.presentation.message import Event, Message
from tests.notify.entries.telegram import shown
from tests.support.receivers import Receiver, answer

TOKEN = "123456789:SESAME-bot-token_AAAAAAAAAAAAAAA"


def notifier(service: Receiver, **given: Any) -> TelegramNotifier:
    options = {"name": "tg", "type": "telegram", "token": TOKEN, "chat_id": -100123, "url": service.url, **given}
    return TelegramNotifier(TelegramOptions.model_validate(options))


def test_what_is_sent(service: Receiver) -> None:
    assert notifier(service, message_thread_id=7).deliver(sample(Event.TRIGGERED)) == "200 ok"
    (got,) = service.received
    assert got.target == f"/bot{TOKEN}/sendMessage"
    assert got.headers["idempotency-key"] == "sample-triggered"
    body = got.json
    text = body.pop("text")
    assert body == {
        "chat_id": "-100123",
        "message_thread_id": 7,
        "parse_mode": "HTML",
        "link_preview_options": {"is_disabled": True},
    }
    assert text.startswith("<b>🔴 DOWN: Nightly backup, missed, 12 min late</b>\n\nFree some space")
    assert "tar: archive.tar: no space left on device</pre>" in text
    assert '<a href="https://heartbeats.example.org/incidents/1">Incident</a>' in text


def test_an_output_as_long_as_it_gets_leaves_room_for_the_rest() -> None:
    message = sample(Event.TRIGGERED)
    long = {"output": "🔥<&>" * 3000, "description": "d<" * 5000, "name": "n&" * 200}
    facts = replace(message.first, **long)
    text = text_of(Message("k", Event.TRIGGERED, (facts,), message.site, message.enqueued_at))
    assert len(shown(text).encode("utf-16-le")) // 2 <= 4096
    assert "Incident</a>" in text


def test_the_wait_stands_in_the_body(service: Receiver) -> None:
    body = {"ok": False, "error_code": 429, "description": "Too Many Requests", "parameters": {"retry_after": 35}}
    service.behave(answer(429, json.dumps(body)))
    with pytest.raises(DeliveryFailed) as caught:
        notifier(service).deliver(sample(Event.TRIGGERED))
    assert (caught.value.failure, caught.value.retry, caught.value.retry_after) == (Failure.RATE_LIMITED, True, 35)


@pytest.mark.parametrize("status", [401, 404, 500, 301])
def test_the_token_shows_nowhere(service: Receiver, status: int, caplog: pytest.LogCaptureFixture) -> None:
    level = logging.getLogger().level
    try:
        set_level("debug")
        caplog.set_level(logging.DEBUG)
        echoed = f"no bot {TOKEN} SESAME-bot-token_AAAAAAAAAAAAAAA /bot{TOKEN}/sendMessage"
        service.behave(answer(status, echoed))
        sender = notifier(service)
        with pytest.raises(DeliveryFailed) as caught:
            sender.deliver(sample(Event.TRIGGERED))
        gone = notifier(service, url="http://127.0.0.1:1")
        with pytest.raises(DeliveryFailed) as refused:
            gone.deliver(sample(Event.TRIGGERED))
    finally:
        set_level(logging.getLevelName(level))
    texts = [str(caught.value), str(refused.value), repr(sender), repr(sender.options)]
    texts += [record.getMessage() for record in caplog.records]
    assert "SESAME" not in "\n".join(texts)


def test_a_template_of_ones_own(service: Receiver) -> None:
    sender = notifier(service, text="<i>{{ headline }}</i> {{ '<&>' }}")
    sender.deliver(sample(Event.TRIGGERED))
    assert service.bodies[0]["text"] == "<i>DOWN: Nightly backup, missed, 12 min late</i> &lt;&amp;&gt;"


def test_a_template_that_makes_too_much_gives_way(service: Receiver) -> None:
    sender = notifier(service, text="{% for i in range(500) %}{{ headline }}{% endfor %}")
    sender.deliver(sample(Event.TRIGGERED))
    assert service.bodies[0]["text"] == text_of(sample(Event.TRIGGERED))


@pytest.mark.parametrize(
    "given",
    [{"token": "SESAME"}, {"token": "1:a/b"}, {"chat_id": "x y"}, {"chat_id": True}, {"message_thread_id": 0}],
)
def test_options_that_cannot_be(service: Receiver, given: dict[str, Any]) -> None:
    with pytest.raises(ValidationError) as caught:
        notifier(service, **given)
    assert "SESAME" not in str(caught.value)

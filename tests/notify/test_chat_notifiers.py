"""What is particular to the webhook, Slack, Discord and Teams; what all share is in tests/storage."""

import hmac
import json
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pytest
from pydantic import ValidationError

from exporter.notify.context import variables
from exporter.notify.notifier import DeliveryFailed, Failure
from exporter.notify.notifiers.discord import DiscordNotifier, DiscordOptions, address
from exporter.notify.notifiers.msteams import TeamsNotifier, TeamsOptions
from exporter.notify.notifiers.slack import SlackNotifier, SlackOptions
from exporter.notify.notifiers.webhook import WebhookNotifier, WebhookOptions
from exporter.notify.samples import nasty_samples, sample
from exporter.plugins import AlertDetails, ChatNotifier, ChatOptions, headline
from exporter.presentation.message import Event, Message
from tests.conftest import ManualClock
from tests.support.receivers import Receiver, answer

TRIGGERED = sample(Event.TRIGGERED)
HTML = next(message for message in nasty_samples() if message.key == "nasty-3-triggered")
MARKDOWN = next(message for message in nasty_samples() if message.key == "nasty-4-triggered")


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    with Receiver() as receiver:
        yield receiver


def webhook(url: str, **more: Any) -> WebhookOptions:
    return WebhookOptions.model_validate({"name": "n", "type": "webhook", "url": url, **more})


def slack(message: Message, **more: Any) -> dict[str, Any]:
    options = SlackOptions.model_validate({"name": "n", "type": "slack", "url": "https://x/y", **more})
    return SlackNotifier(options).payload(message)


def discord(message: Message, **more: Any) -> dict[str, Any]:
    options = DiscordOptions.model_validate({"name": "n", "type": "discord", "url": "https://x/y", **more})
    return DiscordNotifier(options).payload(message)


def teams(message: Message, **more: Any) -> dict[str, Any]:
    options = TeamsOptions.model_validate({"name": "n", "type": "msteams", "url": "https://x/y", **more})
    return TeamsNotifier(options).payload(message)


# ── webhook ──────────────────────────────────────────────────────────────────────────────────────────────────


def test_the_default_body_is_flat_and_complete(receiver: Receiver) -> None:
    message = sample(Event.TRIGGERED, count=2)
    assert WebhookNotifier(webhook(receiver.url)).deliver(message) == "200 ok"
    body = receiver.received[0].json
    assert body == json.loads(json.dumps(variables(message)))
    flat = {name for name, value in body.items() if isinstance(value, dict | list)}
    assert flat == {"alerts", "dependent_names", "monitor_labels"}
    assert [alert["monitor_tag"] for alert in body["alerts"]] == ["nightly-backup", "job-001"]


def test_the_signature_is_over_time_and_body(receiver: Receiver, clock: ManualClock) -> None:
    notifier = WebhookNotifier(webhook(receiver.url, signing_secret="s3cret"), clock)
    notifier.deliver(TRIGGERED)
    clock.advance(60_000)
    notifier.deliver(TRIGGERED)
    for request, seconds in zip(receiver.received, (1_790_000_000, 1_790_000_060), strict=True):
        expected = hmac.new(b"s3cret", f"{seconds}.".encode() + request.body, "sha256").hexdigest()
        assert request.headers["x-heartbeat-signature"] == f"t={seconds},v1={expected}"
        assert request.headers["idempotency-key"] == TRIGGERED.key, "which stays the same"


def test_method_headers_and_authorization(receiver: Receiver) -> None:
    options = webhook(receiver.url, method="PUT", headers={"X-One": "1", "User-Agent": "me"}, authorization="Bearer b")
    WebhookNotifier(options).deliver(TRIGGERED)
    (request,) = receiver.received
    assert request.method == "PUT"
    assert request.headers["x-one"] == "1"
    assert request.headers["user-agent"] == "me"
    assert request.headers["authorization"] == "Bearer b"
    assert request.headers["content-type"] == "application/json"
    assert "x-heartbeat-signature" not in request.headers


def test_a_body_of_one_s_own(receiver: Receiver) -> None:
    options = webhook(receiver.url, body='{"t": "{{ headline }}", "r": {{ is_resolved }}}')
    WebhookNotifier(options).deliver(HTML)
    assert receiver.received[0].json == {"t": variables(HTML)["headline"], "r": False}


def test_a_body_that_is_not_json(receiver: Receiver) -> None:
    options = webhook(
        receiver.url, content_type="application/x-www-form-urlencoded", body="text={{ headline | urlencode }}"
    )
    WebhookNotifier(options).deliver(TRIGGERED)
    (request,) = receiver.received
    assert request.body == b"text=DOWN%3A%20Nightly%20backup%2C%20missed%2C%2012%20min%20late"
    assert request.headers["content-type"] == "application/x-www-form-urlencoded"


UNFORESEEN = Message(
    "k",
    Event.TRIGGERED,
    (replace(TRIGGERED.first, tag="unforeseen"),),
    TRIGGERED.site,
    0,
)
FAILING = '{% if monitor_tag == "unforeseen" %}{{ 1 / 0 }}{% endif %}'
GREEDY = (
    '{% if monitor_tag == "unforeseen" %}{% for a in range(1000) %}{% for b in range(1000) %}{% for c in range(1000) %}'
    "{% endfor %}{% endfor %}{% endfor %}{% endif %}"
)


@pytest.mark.parametrize(("source", "told"), [(FAILING, "line 1 of the template"), (GREEDY, "takes too long")])
def test_a_body_that_fails_after_all_gives_way_to_the_default_one(receiver: Receiver, source: str, told: str) -> None:
    sender = WebhookNotifier(webhook(receiver.url, body=f'{source}{{"a": 1}}', signing_secret="SESAME"))
    sender.deliver(TRIGGERED)
    assert sender.failed_templates() == {}
    sender.deliver(UNFORESEEN)
    assert [one.json for one in receiver.received] == [{"a": 1}, variables(UNFORESEEN)]
    failed = sender.failed_templates()
    assert list(failed) == ["body"]
    assert told in failed["body"]
    assert sender.failed_templates() == {}, "told twice"


@pytest.mark.parametrize(
    ("content_type", "sent_as"),
    [
        ("text/plain; charset=utf-8", "text/plain; charset=utf-8"),
        ("application/cloudevents+json", "application/cloudevents+json"),
        ("application/x-www-form-urlencoded", "application/json"),
    ],
)
def test_the_default_body_says_what_it_is(receiver: Receiver, content_type: str, sent_as: str) -> None:
    WebhookNotifier(webhook(receiver.url, content_type=content_type, body=f"{FAILING}1")).deliver(UNFORESEEN)
    (request,) = receiver.received
    assert request.headers["content-type"] == sent_as
    if sent_as.startswith("text/plain"):
        assert request.body.decode().startswith(f"{variables(UNFORESEEN)['headline']}\n\n")
    else:
        assert request.json == variables(UNFORESEEN)


def test_a_default_body_that_is_refused_does_not_end_the_message(receiver: Receiver) -> None:
    receiver.behave(answer(400))
    sender = WebhookNotifier(webhook(receiver.url, body=f"{FAILING}1"))
    for message, retry in ((UNFORESEEN, True), (TRIGGERED, False)):
        with pytest.raises(DeliveryFailed) as caught:
            sender.deliver(message)
        assert (caught.value.failure, caught.value.retry) == (Failure.REJECTED, retry)


@pytest.mark.parametrize(
    "wrong",
    [
        {"method": "GET"},
        {"headers": {"Bad Name": "x"}},
        {"headers": {"X-A": "two\nlines-secret"}},
        {"headers": {"X-A": "é-secret"}},
        {"headers": {"Content-Length": "1"}},
        {"headers": {"content-type": "text/plain"}},
        {"headers": {"idempotency-key": "mine"}},
        {"headers": {"X-Heartbeat-Signature": "mine"}},
        {"headers": {"X-A": "1", "x-a": "2"}},
        {"headers": {f"X-{number}": "1" for number in range(33)}},
        {"authorization": "two\nlines-secret"},
        {"content_type": "json"},
        {"content_type": "text/plain\r\nX: y"},
        {"content_type": "text/plain"},
        {"body": "{{ headline }}"},
        {"body": ""},
        {"body": {"a": 1}},
        {"signing_secret": ""},
        {"url": "example.org"},
        {"url": "ftp://example.org"},
        {"url": "https://example.org/a b"},
        {"url": "https://exämple.org/"},
        {"url": "http://[::1"},
        {"url": "https://example.org:0/"},
    ],
)
def test_options_of_a_webhook_that_cannot_be(wrong: dict[str, Any]) -> None:
    with pytest.raises(ValidationError) as caught:
        webhook(**{"url": "https://example.org/", **wrong})
    assert "secret" not in str(caught.value).replace("signing_secret", "")


# ── slack ────────────────────────────────────────────────────────────────────────────────────────────────────


def texts(body: dict[str, Any]) -> str:
    return "\n".join(
        text["text"]
        for attachment in body["attachments"]
        for block in attachment["blocks"]
        for text in (block.get("elements") or [block["text"]])
    )


def test_slack_says_it_all() -> None:
    body = slack(TRIGGERED)
    assert body["text"] == "🔴 *DOWN: Nightly backup, missed, 12 min late*"
    told = texts(body)
    assert "*Since:* Tue 24 Nov 2026, 04:10:00 Europe/Rome (2 min)" in told
    assert "```\ncopying /var/lib/postgresql\n98% of 412 GB\ntar: archive.tar: no space left on device\n```" in told
    assert "<https://heartbeats.example.org/monitors/nightly-backup|Monitor>" in told
    assert "<https://heartbeats.example.org/incidents/1|Incident>" in told
    assert [attachment["color"] for attachment in body["attachments"]] == ["#d1242f"]


def test_slack_shows_each_of_a_few_and_a_list_of_many() -> None:
    few = slack(sample(Event.TRIGGERED, count=3))
    assert [attachment["color"] for attachment in few["attachments"]] == ["#d1242f", "#d1242f", "#d4820a"]
    many = slack(sample(Event.RESOLVED, count=500))
    assert [attachment["color"] for attachment in many["attachments"]] == ["#2da44e"]
    assert "… and 480 more" in texts(many)
    assert "<https://heartbeats.example.org/monitors/job-001|Job 001>: was DOWN for 49 min" in texts(many)


def test_nobody_is_called_by_a_text_of_a_job() -> None:
    body = slack(HTML, title="{{ monitor_name }} <!here>", text="{{ output }}")
    assert body["text"].endswith("&lt;!channel&gt; &lt;@U123&gt; @everyone @here <!here>")
    assert "<" not in texts(body)


def test_nobody_leaves_the_code_block() -> None:
    told = texts(slack(MARKDOWN))
    assert told.count("```") == 2


# ── discord ──────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("url", "sent_to"),
    [
        ("https://discord.com/api/webhooks/1/t", "https://discord.com/api/v10/webhooks/1/t?wait=true"),
        ("https://discord.com/api/v9/webhooks/1/t", "https://discord.com/api/v9/webhooks/1/t?wait=true"),
        (
            "https://discordapp.com/api/webhooks/1/t?thread_id=5#x",
            "https://discordapp.com/api/v10/webhooks/1/t?thread_id=5&wait=true",
        ),
        ("http://127.0.0.1:1/x", "http://127.0.0.1:1/x?wait=true"),
    ],
)
def test_where_discord_is_sent_to(url: str, sent_to: str) -> None:
    assert address(url) == sent_to


def test_discord_says_it_all() -> None:
    body = discord(TRIGGERED, username="Beats")
    assert body["content"] == "🔴 **DOWN: Nightly backup, missed, 12 min late**"
    assert body["username"] == "Beats"
    assert "avatar_url" not in body
    (embed,) = body["embeds"]
    assert embed["color"] == 0xD1242F
    assert "**Last success:** Mon 23 Nov 2026, 04:00:00 Europe/Rome" in embed["description"]
    assert embed["description"].endswith(
        "[Monitor](https://heartbeats.example.org/monitors/nightly-backup)"
        " · [Incident](https://heartbeats.example.org/incidents/1)"
    )


def test_markdown_of_others_is_escaped() -> None:
    body = discord(MARKDOWN, text="{{ monitor_name }} [here]({{ monitor_url }})")
    assert r"\*bold\* \_italic\_ \~struck\~ \|\|spoiler\|\| \[link\](https://evil.example)" in body["content"]
    (embed,) = body["embeds"]
    assert embed["description"].startswith(r"\*bold\*")
    assert embed["description"].endswith("[here](https://heartbeats.example.org/monitors/nightly-backup)")
    assert discord(MARKDOWN)["embeds"][0]["description"].count("```") == 2


@pytest.mark.parametrize("name", ["", "my Discord bot", "clyde", "x" * 81, "a\nb"])
def test_names_that_discord_refuses(name: str) -> None:
    with pytest.raises(ValidationError):
        discord(TRIGGERED, username=name)


# ── msteams ──────────────────────────────────────────────────────────────────────────────────────────────────


def card_texts(body: dict[str, Any]) -> list[str]:
    found = []
    for element in body["attachments"][0]["content"]["body"]:
        for block in element.get("items", [element]):
            found.append("".join(run["text"] for run in block["inlines"]))
    return found


def test_teams_says_it_all() -> None:
    told = card_texts(teams(TRIGGERED))
    assert told[0] == "🔴 DOWN: Nightly backup, missed, 12 min late"
    assert told[1] == "Free some space on the archive disk, then start backup.sh by hand."
    assert "Due: Tue 24 Nov 2026, 04:00:00 Europe/Rome" in told
    assert told[-1] == "tar: archive.tar: no space left on device"
    actions = teams(TRIGGERED)["attachments"][0]["content"]["actions"]
    assert [action["title"] for action in actions] == ["Monitor", "Incident"]


def test_teams_keeps_the_shape_of_an_output() -> None:
    facts = replace(TRIGGERED.first, output="a\n\n    indented\n\ttab")
    told = card_texts(teams(Message("k", Event.TRIGGERED, (facts,), TRIGGERED.site, 0)))
    nbsp = "\u00a0"
    assert told[-4:] == ["a", nbsp, f"{nbsp * 4}indented", f"{nbsp * 4}tab"]


def test_templates_of_teams() -> None:
    told = card_texts(teams(TRIGGERED, title="{{ rule }}", text="{{ why }}\nsecond"))
    assert told == ["backup-missed", "missed, 12 min late", "second"]


# ── the base ─────────────────────────────────────────────────────────────────────────────────────────────────


class PlainNotifier(ChatNotifier):
    """A chat without markup, as another package would write it."""

    def title(self, message: Message) -> str:
        return headline(message)

    def custom(self, text: str, message: Message) -> list[dict[str, Any]]:
        return [{"own": text}]

    def detail(self, details: AlertDetails, message: Message) -> list[dict[str, Any]]:
        return [{"heading": details.heading, "lines": [line.label for line in details.lines], "end": details.output}]

    def listing(self, message: Message) -> list[dict[str, Any]]:
        return [{"count": len(message.alerts)}]

    def compose(self, title: str, sections: list[dict[str, Any]], message: Message) -> dict[str, Any]:
        return {"title": title, "sections": sections}


def test_the_base_decides_what_a_chat_shows(receiver: Receiver) -> None:
    def send(message: Message, **more: Any) -> dict[str, Any]:
        options = {"name": "n", "type": "plain", "url": receiver.url, **more}
        assert PlainNotifier(ChatOptions.model_validate(options)).deliver(message) == "200 ok"
        body: dict[str, Any] = receiver.received[-1].json
        return body

    alone = send(TRIGGERED)
    assert alone["title"] == "DOWN: Nightly backup, missed, 12 min late"
    (section,) = alone["sections"]
    assert section["heading"] == "", "the title names the monitor"
    assert "Status" not in section["lines"], "the title says it"
    assert section["end"].endswith("no space left on device")
    few = send(sample(Event.TRIGGERED, count=3))["sections"]
    assert [section["heading"] for section in few] == ["Nightly backup", "Job 001", "Job 002"]
    assert all(section["lines"][0] == "Status" for section in few)
    assert send(sample(Event.TRIGGERED, count=4))["sections"] == [{"count": 4}]
    own = send(TRIGGERED, title="{{ rule }}", text="{{ why }}")
    assert own == {"title": "backup-missed", "sections": [{"own": "missed, 12 min late"}]}


# ── all ──────────────────────────────────────────────────────────────────────────────────────────────────────


def test_what_nobody_uses_costs_nothing() -> None:
    """The registry imports a notifier, with urllib3 and the sandbox, only when a configuration names it."""
    code = (
        "import sys, exporter.notify.notifiers as n, exporter.config.load\n"
        "n.notifier_types()\n"
        "found = [m for m in ('urllib3', 'jinja2.sandbox', 'exporter.notify.transport.http') if m in sys.modules]\n"
        "sys.exit(str(found) if found else 0)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr

"""Uptime Kuma: push monitors keep their tokens, and notifications that we know become notifiers."""

import json
from pathlib import Path
from typing import Any

from exporter.core.clock import MINUTE, SECOND
from tests.importing.conftest import Takes, command, write

TOKEN = "Zq8vT2m4Xc7Rb1Nk"


def monitor(id: int, name: str, **values: Any) -> dict[str, Any]:
    return {
        "id": id,
        "name": name,
        "active": 1,
        "interval": 60,
        "type": "push",
        "maxretries": 0,
        "retry_interval": 60,
        "resend_interval": 0,
        "upside_down": 0,
        "push_token": f"{TOKEN}{id:04}",
        "parent": None,
        **values,
    }


def notification(id: int, name: str, **config: Any) -> dict[str, Any]:
    return {"id": id, "name": name, "active": 1, "config": json.dumps({"name": name, **config})}


TABLES = {
    "monitor": [
        monitor(1, "Backups", type="group", push_token=None),
        monitor(2, "Nächtliche Sicherung / db", parent=1, interval=3600, maxretries=3, retry_interval=120),
        monitor(3, "web", type="http", push_token=None),
        monitor(4, "Paused", active=0, resend_interval=5),
        monitor(5, "Nächtliche Sicherung / db"),
        monitor(6, "upside", upside_down=1),
        monitor(7, "short", push_token="short"),
    ],
    "notification": [
        notification(
            1,
            "Hook",
            type="webhook",
            webhookURL="https://example.org/h",
            webhookAdditionalHeaders='{"Authorization": "Bearer a$b", "X-A": "1", "Content-Type": "text/plain"}',
        ),
        notification(2, "Chat", type="slack", slackwebhookURL="https://hooks.slack.com/services/x", slackTemplate="x"),
        notification(
            3,
            "Bot",
            type="telegram",
            telegramBotToken="123456:ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghi",
            telegramChatID="-100123",
        ),
        notification(
            4,
            "Topic",
            type="ntfy",
            ntfyserverurl="https://ntfy.example.org/",
            ntfytopic="beats",
            ntfyAuthenticationMethod="usernamePassword",
            ntfyusername="u",
            ntfypassword="p",
        ),
        notification(
            5,
            "Mail",
            type="smtp",
            smtpHost="mail.example.org",
            smtpPort=465,
            smtpSecure=True,
            smtpFrom="K <k@example.org>",
            smtpTo="a@example.org, b@example.org",
            smtpUsername="k",
            smtpPassword="p",
        ),
        notification(6, "Odd", type="gotify"),
        {"id": 7, "name": "Torn", "active": 1, "config": "{"},
        notification(8, "Disc", type="discord", discordWebhookUrl="https://discord.com/api/webhooks/1/x"),
        notification(9, "Teams", type="teams", webhookUrl="https://x.logic.azure.com/workflows/1"),
        notification(10, "PD", type="pagerduty", pagerdutyIntegrationKey="0123456789abcdef0123456789abcdef"),
        notification(11, "OG", type="opsgenie", opsgenieApiKey="key-of-opsgenie", opsgenieRegion="eu"),
    ],
    "monitor_notification": [
        {"id": 1, "monitor_id": 2, "notification_id": 1},
        {"id": 2, "monitor_id": 4, "notification_id": 1},
        {"id": 3, "monitor_id": 3, "notification_id": 2},
    ],
    "maintenance": [{"id": 1, "title": "Patch day"}],
}


def test_its_database(take: Takes, tmp_path: Path) -> None:
    settings, remarks = take("uptime-kuma", write(tmp_path / "kuma.db", TABLES))
    first, paused, second = (entry.monitor for entry in settings.monitors)
    assert [first.tag, second.tag] == ["Nachtliche-Sicherung-db", "Nachtliche-Sicherung-db-2"]
    assert (first.name, first.group) == ("Nächtliche Sicherung / db", "Backups")
    assert (first.every, first.degraded_after, first.down_after) == (60 * MINUTE, 0, 6 * MINUTE)
    assert (second.every, second.down_after, second.paused) == (MINUTE, SECOND, False)
    assert (paused.tag, paused.paused) == ("Paused", True)
    assert [entry.tokens[0].reveal() for entry in settings.monitors] == [f"{TOKEN}000{id}" for id in (2, 4, 5)]
    options: dict[str, Any] = {notifier.name: notifier.options for notifier in settings.notifiers}
    assert list(options) == ["Hook", "Chat", "Bot", "Topic", "Mail", "Disc", "Teams", "PD", "OG"]
    assert options["Hook"].authorization.reveal() == "Bearer a$b"
    assert list(options["Hook"].headers) == ["X-A"]
    assert (options["Topic"].server, options["Topic"].username) == ("https://ntfy.example.org", "u")
    assert (options["Mail"].security, options["Mail"].port, len(options["Mail"].to)) == ("tls", 465, 2)
    assert options["OG"].url == "https://api.eu.opsgenie.com"
    (rule,) = settings.alerts
    assert (rule.name, rule.selector.tags, rule.notify) == ("Hook", (first.tag, "Paused"), ("Hook",))
    for line in (
        "monitor web: not taken over: its type is http, not push",
        "monitor upside: not taken over",
        "monitor short: not taken over: its token is shorter than 10 characters",
        "monitor Paused: its resend interval was not taken over",
        "notification Chat: its own texts were not taken over",
        "notification Chat: no push monitor uses it",
        "notification Odd: not taken over: there is no notifier for its type 'gotify'",
        "notification Torn: not taken over: its settings cannot be read",
        "maintenance Patch day: not taken over",
    ):
        assert line in remarks
    assert TOKEN not in remarks


def test_files_that_are_no_database_of_it(tmp_path: Path) -> None:
    whole = write(tmp_path / "kuma.db", TABLES).read_bytes()
    for name, content, text in (
        ("empty.db", b"", "is empty"),
        ("text.db", b"hello\n", "has no rows that can be read"),
        ("cut.db", whole[: len(whole) // 2 + 7], "cannot be read as an SQLite database"),
        ("json.db", b"{}", "is no SQLite database"),
        ("torn.db", b'{"a": ', "is no JSON that can be read"),
    ):
        source = tmp_path / name
        source.write_bytes(content)
        result = command("uptime-kuma", source)
        assert result.exit_code == 1, name
        assert text in result.stderr
        assert not result.stdout
    foreign = write(tmp_path / "foreign.db", {"users": [{"id": 1}]})
    assert "no database of Uptime Kuma: it has no table monitor, notification" in command("uptime-kuma", foreign).stderr
    assert (tmp_path / "kuma.db").read_bytes() == whole, "the source is only read"

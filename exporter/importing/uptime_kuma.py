"""Uptime Kuma 2: its database file, `kuma.db`."""

import json
from collections import defaultdict
from collections.abc import Callable, Mapping
from typing import Any

from exporter.config.fields import MAX_DESCRIPTION
from exporter.importing.tables import ForeignTables, Row, integer, need, true
from exporter.importing.takeover import Entry, Takeover, duration, monitor, secret_of

_MIN_TOKEN = 10
_NTFY = "https://ntfy.sh"


def from_database(tables: ForeignTables, takeover: Takeover) -> None:
    """Push monitors with their tokens, and the notifications that we know. Raises ImportFailed."""
    need(tables, "Uptime Kuma", "monitor", "notification")
    rows = tables.rows("monitor")
    names = {row["id"]: str(row.get("name") or "") for row in rows}
    tags = {}
    for row in rows:
        tag = _monitor(row, names, takeover)
        if tag is not None:
            tags[row["id"]] = tag
    monitors = defaultdict(list)
    for row in tables.rows("monitor_notification"):
        if row["monitor_id"] in tags:
            monitors[row["notification_id"]].append(tags[row["monitor_id"]])
    for row in tables.rows("notification"):
        _notification(row, monitors[row["id"]], takeover)
    for row in tables.rows("maintenance"):
        takeover.remark(f"maintenance {row.get('title')}", "not taken over: add it under maintenances")


def _monitor(row: Row, names: Mapping[Any, str], takeover: Takeover) -> str | None:
    """The tag; None for what was not taken over."""
    name = str(row.get("name") or "")
    subject = f"monitor {name or row['id']}"
    token = str(row.get("push_token") or "")
    if row.get("type") != "push":
        takeover.remark(subject, f"not taken over: its type is {row.get('type')}, not push")
        return None
    if len(token) < _MIN_TOKEN:
        takeover.remark(subject, f"not taken over: its token is shorter than {_MIN_TOKEN} characters")
        return None
    if true(row.get("upside_down")):
        takeover.remark(subject, "not taken over: upside down monitors have no counterpart")
        return None
    interval = max(1, integer(row.get("interval"), 60))
    retries = integer(row.get("maxretries"), 0) * integer(row.get("retry_interval"), interval)
    tag = takeover.tag(name, f"push-{row['id']}")
    if integer(row.get("resend_interval"), 0):
        takeover.remark(subject, "its resend interval was not taken over: set repeat_every in the alert rule")
    entry = monitor(
        tag,
        secret_of(token),
        name=name if name != tag else "",
        group=names.get(row.get("parent"), ""),
        description=str(row.get("description") or "")[:MAX_DESCRIPTION],
        every=duration(interval),
        # There it is DOWN an interval after the last beat, and the retries after that.
        degraded_after="0s",
        down_after=duration(retries),
        paused=not true(row.get("active")),
        tokens=[token],
    )
    return tag if takeover.add_monitor(entry, subject) else None


def _notification(row: Row, tags: list[str], takeover: Takeover) -> None:
    subject = f"notification {row.get('name')}"
    try:
        config = json.loads(str(row.get("config") or ""))
    except ValueError:
        config = None
    if not isinstance(config, dict):
        takeover.remark(subject, "not taken over: its settings cannot be read")
        return
    kind = str(config.get("type") or "")
    make = _NOTIFIERS.get(kind)
    if make is None:
        takeover.remark(subject, f"not taken over: there is no notifier for its type {kind!r}")
        return
    name = takeover.name("notifier", row.get("name"), kind)
    entry = {"name": name, **{key: value for key, value in make(config).items() if value not in (None, "", {}, [])}}
    if any("template" in key.lower() and value for key, value in config.items()) or config.get("customBody"):
        takeover.remark(subject, "its own texts were not taken over: the notifier writes its own")
    if not takeover.add_notifier(entry, subject):
        return
    if not tags:
        takeover.remark(subject, "no push monitor uses it: no alert rule was made")
        return
    rule: Entry = {"name": takeover.name("alert", name, kind), "monitors": tags, "when": ["DOWN"], "notify": [name]}
    takeover.add_alert(rule, subject)


def _webhook(config: Mapping[str, Any]) -> Entry:
    try:
        headers = json.loads(config.get("webhookAdditionalHeaders") or "{}")
    except ValueError:
        headers = {}
    headers = {str(name): str(value) for name, value in headers.items()} if isinstance(headers, dict) else {}
    authorization = next((headers.pop(name) for name in list(headers) if name.lower() == "authorization"), None)
    for name in [name for name in headers if name.lower() == "content-type"]:
        del headers[name]
    return {
        "type": "webhook",
        "url": config.get("webhookURL"),
        "headers": headers,
        "authorization": authorization,
    }


def _ntfy(config: Mapping[str, Any]) -> Entry:
    server = str(config.get("ntfyserverurl") or _NTFY).rstrip("/")
    entry = {"type": "ntfy", "topic": config.get("ntfytopic"), "server": server if server != _NTFY else None}
    method = config.get("ntfyAuthenticationMethod")
    if method == "accessToken":
        return {**entry, "token": config.get("ntfyaccesstoken")}
    if method == "usernamePassword":
        return {**entry, "username": config.get("ntfyusername"), "password": config.get("ntfypassword")}
    return entry


def _email(config: Mapping[str, Any]) -> Entry:
    secure = true(config.get("smtpSecure"))
    security = "tls" if secure else "none" if true(config.get("smtpIgnoreSTARTTLS")) else "starttls"
    return {
        "type": "email",
        "host": config.get("smtpHost"),
        "port": integer(config.get("smtpPort"), 0) or None,
        "security": security if security != "starttls" else None,
        "from": config.get("smtpFrom"),
        "to": _addresses(config.get("smtpTo")),
        "cc": _addresses(config.get("smtpCC")),
        "username": config.get("smtpUsername"),
        "password": config.get("smtpPassword"),
    }


def _addresses(text: object) -> list[str]:
    return [address.strip() for address in str(text or "").split(",") if address.strip()]


def _telegram(config: Mapping[str, Any]) -> Entry:
    thread = integer(config.get("telegramMessageThreadID"), 0)
    return {
        "type": "telegram",
        "token": config.get("telegramBotToken"),
        "chat_id": config.get("telegramChatID"),
        "message_thread_id": thread or None,
    }


def _opsgenie(config: Mapping[str, Any]) -> Entry:
    europe = config.get("opsgenieRegion") == "eu"
    return {
        "type": "opsgenie",
        "api_key": config.get("opsgenieApiKey"),
        "url": "https://api.eu.opsgenie.com" if europe else None,
    }


_NOTIFIERS: Mapping[str, Callable[[Mapping[str, Any]], Entry]] = {
    "webhook": _webhook,
    "discord": lambda config: {"type": "discord", "url": config.get("discordWebhookUrl")},
    "slack": lambda config: {"type": "slack", "url": config.get("slackwebhookURL")},
    "teams": lambda config: {"type": "msteams", "url": config.get("webhookUrl")},
    "telegram": _telegram,
    "ntfy": _ntfy,
    "smtp": _email,
    "pagerduty": lambda config: {"type": "pagerduty", "routing_key": config.get("pagerdutyIntegrationKey")},
    "opsgenie": _opsgenie,
    "apprise": lambda config: {"type": "apprise", "urls": [config.get("appriseURL")]},
}
"""By Uptime Kuma's type."""

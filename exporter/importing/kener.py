"""Kener 4: its database (SQLite file or plain dump of PostgreSQL), or what its API answers."""

import json
import re
from collections import defaultdict
from collections.abc import Mapping, Sequence
from typing import Any

from exporter.config.fields import MAX_DESCRIPTION
from exporter.core.durations import format_duration
from exporter.core.errors import InvalidValue
from exporter.importing.mustache import jinja_of
from exporter.importing.tables import ForeignTables, Row, integer, need, true
from exporter.importing.takeover import Entry, FromEnvironment, ImportFailed, Takeover, monitor
from exporter.presentation.moments import rfc3339

_DEGRADED, _DOWN = 5, 10
"""Minutes that Kener takes where a monitor says nothing."""
_EVERY_MINUTE = "* * * * *"
_VARIABLE = re.compile(r"\$(?!\{)([A-Z_][A-Z0-9_]*)")
_TYPES = ("webhook", "discord", "slack")
"""Triggers that are a URL and perhaps a body."""


def from_database(tables: ForeignTables, takeover: Takeover) -> None:
    """Monitors with their secrets, alert configurations, triggers and maintenances. Raises ImportFailed."""
    need(tables, "Kener 4", "monitors", "triggers")
    if not tables.has("monitor_alerts_config"):
        raise ImportFailed("this is a database of an older Kener: let Kener 4 upgrade it first")
    _monitors(tables.rows("monitors"), takeover)
    triggers = _triggers(tables.rows("triggers"), takeover)
    _alerts(tables, triggers, takeover)
    _maintenances(tables, takeover)


def from_api(answer: Any, takeover: Takeover) -> None:
    """What `GET /api/v4/monitors` answers, which has no alerts and triggers. Raises ImportFailed."""
    monitors = answer.get("monitors") if isinstance(answer, Mapping) else None
    if not isinstance(monitors, list) or not all(isinstance(row, Mapping) for row in monitors):
        raise ImportFailed("this is no answer of Kener's GET /api/v4/monitors: it has no list `monitors`")
    _monitors(monitors, takeover)
    takeover.remark(
        "alerts and triggers", "not taken over: Kener's API does not give them; import its database instead"
    )


def _monitors(rows: Sequence[Row], takeover: Takeover) -> None:
    for row in rows:
        tag = str(row.get("tag") or "")
        subject = f"monitor {tag or row.get('name') or row.get('id')}"
        if row.get("monitor_type") != "HEARTBEAT":
            kind = row.get("monitor_type") or "without a type"
            takeover.remark(subject, f"not taken over: it is no heartbeat monitor ({kind})")
            continue
        options = _json(row.get("type_data"))
        secret = options.get("secretString")
        if not isinstance(secret, str) or not secret:
            takeover.remark(subject, "not taken over: it has no secret")
            continue
        cron = str(row.get("cron") or _EVERY_MINUTE)
        threshold = integer(row.get("confirmation_threshold"), 1)
        if threshold > 1:
            takeover.remark(subject, f"confirmation_threshold {threshold} has no counterpart: raise down_after instead")
        takeover.add_monitor(
            monitor(
                tag,
                secret,
                name=str(row.get("name") or ""),
                group=str(row.get("category_name") or ""),
                description=str(row.get("description") or "")[:MAX_DESCRIPTION],
                # In Kener 4 it says when the status is worked out, and plays no part in lateness.
                evaluation_cron=cron if " ".join(cron.split()) != _EVERY_MINUTE else None,
                degraded_after=_minutes(options.get("degradedRemainingMinutes"), _DEGRADED),
                down_after=_minutes(options.get("downRemainingMinutes"), _DOWN),
                paused=row.get("status") != "ACTIVE",
            ),
            subject,
        )


def _triggers(rows: Sequence[Row], takeover: Takeover) -> dict[str, str]:
    """Names of the notifiers that were taken over, by the trigger's id."""
    names: dict[str, str] = {}
    for row in rows:
        subject = f"trigger {row.get('name')}"
        kind, meta = str(row.get("trigger_type") or ""), _json(row.get("trigger_meta"))
        if kind == "email":
            to, sender = meta.get("to"), meta.get("from")
            takeover.remark(
                subject,
                "not taken over: Kener keeps the mail server in its environment. Add a notifier of the type email with "
                f"from: {sender!r} and to: {to!r}",
            )
            continue
        if kind not in _TYPES:
            takeover.remark(subject, f"not taken over: there is no notifier for the type {kind!r}")
            continue
        name = takeover.name("notifier", row.get("name"), kind)
        entry: Entry = {"name": name, "type": kind, "url": _variables(str(meta.get("url") or ""))}
        if kind == "webhook":
            _webhook(entry, meta, subject, takeover)
        elif meta.get(f"{kind}_body"):
            takeover.remark(subject, "its own body was not taken over: the notifier writes its own text")
        if takeover.add_notifier(entry, subject):
            names[str(row.get("id"))] = name
            if row.get("trigger_status") not in (None, "ACTIVE"):
                takeover.remark(subject, "is INACTIVE, and sends all the same in Kener, as it does here")
    return names


def _webhook(entry: Entry, meta: Mapping[str, Any], subject: str, takeover: Takeover) -> None:
    headers = {
        str(header["key"]): _variables(str(header.get("value") or ""))
        for header in meta.get("headers") or ()
        if isinstance(header, Mapping) and header.get("key")
    }
    authorization = next((name for name in headers if name.lower() == "authorization"), None)
    if authorization is not None:
        entry["authorization"] = headers.pop(authorization)
    content_type = next((name for name in headers if name.lower() == "content-type"), None)
    if content_type is not None:
        entry["content_type"] = headers.pop(content_type)
    if headers:
        entry["headers"] = headers
    body = meta.get("webhook_body")
    if isinstance(body, str) and body.strip():
        try:
            entry["body"] = _variables(jinja_of(body))
        except InvalidValue as error:
            takeover.remark(subject, f"its body was not taken over ({error}): the default body is sent")


def _alerts(tables: ForeignTables, triggers: Mapping[str, str], takeover: Takeover) -> None:
    monitors, notify = defaultdict(list), defaultdict(list)
    for row in tables.rows("monitor_alerts_config_monitors"):
        monitors[str(row["monitor_alerts_id"])].append(str(row["monitor_tag"]))
    for row in tables.rows("monitor_alerts_config_triggers"):
        name = triggers.get(str(row["trigger_id"]))
        if name is not None:
            notify[str(row["monitor_alerts_id"])].append(name)
    ours = {entry["tag"] for entry in takeover.monitors}
    for row in tables.rows("monitor_alerts_config"):
        id = str(row["id"])
        subject = f"alert configuration {id}"
        tags = sorted({*monitors[id], *([str(row["monitor_tag"])] if row.get("monitor_tag") else [])})
        watched = [tag for tag in tags if tag in ours]
        if row["alert_for"] != "STATUS":
            takeover.remark(subject, f"not taken over: it watches {row['alert_for']}, which heartbeats do not have")
            continue
        if not watched:
            takeover.remark(subject, "not taken over: none of its monitors was")
            continue
        status = str(row["alert_value"])
        entry: Entry = {
            "name": takeover.name("alert", f"{', '.join(watched)} {status}", f"alert {id}"),
            "enabled": true(row["is_active"]),
            "monitors": watched,
            "when": [status],
            "failure_threshold": integer(row["failure_threshold"], 1),
            "success_threshold": integer(row["success_threshold"], 1),
            "severity": str(row["severity"] or "WARNING").lower(),
            "description": str(row["alert_description"] or ""),
            "create_incident": true(row["create_incident"]),
            "notify": notify[id],
        }
        takeover.add_alert({name: value for name, value in entry.items() if value != ""}, subject)


def _maintenances(tables: ForeignTables, takeover: Takeover) -> None:
    monitors = defaultdict(list)
    for row in tables.rows("maintenance_monitors"):
        monitors[str(row["maintenance_id"])].append(str(row["monitor_tag"]))
    ours = {entry["tag"] for entry in takeover.monitors}
    for row in tables.rows("maintenances"):
        subject = f"maintenance {row['title']}"
        tags = [tag for tag in monitors[str(row["id"])] if tag in ours]
        everywhere = row.get("is_global") == "YES" and not monitors[str(row["id"])]
        if row["status"] != "ACTIVE" or not (tags or everywhere):
            takeover.remark(subject, "not taken over: it is inactive, or for none of the monitors")
            continue
        rule = str(row["rrule"] or "")
        once = "COUNT=1" in rule.split(";")
        entry: Entry = {
            "name": takeover.name("maintenance", row["title"], "maintenance"),
            "monitors": sorted(tags),
            "starts_at": rfc3339(integer(row["start_date_time"], 0) * 1000),
            "duration": format_duration(integer(row["duration_seconds"], 0) * 1000),
            "rrule": None if once or not rule else rule.removeprefix("RRULE:"),
            "description": str(row.get("description") or ""),
        }
        takeover.add_maintenance({name: value for name, value in entry.items() if value not in (None, "", [])}, subject)


def _json(value: object) -> Mapping[str, Any]:
    """Of a column that holds JSON, or of the API, where it is read already."""
    if isinstance(value, str):
        try:
            value = json.loads(value)
        except ValueError:
            return {}
    return value if isinstance(value, Mapping) else {}


def _minutes(value: object, otherwise: int) -> str:
    return format_duration(integer(value, otherwise) * 60_000)


def _variables(text: str) -> str:
    """Kener's `$NAME` is a variable of its environment; ours is written `${NAME}`."""
    parts = _VARIABLE.split(text)  # texts and names by turns
    if len(parts) == 1:
        return text
    written = [f"${{{part}}}" if index % 2 else part.replace("$", "$$") for index, part in enumerate(parts)]
    return FromEnvironment("".join(written))

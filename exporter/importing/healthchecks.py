"""Healthchecks: its API's list of checks, or its database (SQLite file, plain dump of PostgreSQL, dumpdata as JSON)."""

import json
import re
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from hashlib import blake2b
from typing import Any
from uuid import UUID

from exporter.config.fields import MAX_DESCRIPTION
from exporter.importing.tables import ForeignTables, Row, integer, need, true
from exporter.importing.takeover import Entry, ImportFailed, Takeover, duration, monitor, secret_of

_HOUR, _DAY = 3600, 86_400
_LONGEST_TAGS = 200
_ISO = re.compile(r"P(?:(\d+)D)?T?(?:(\d+)H)?(?:(\d+)M)?(?:(\d+)(?:\.\d+)?S)?")
_CLOCK = re.compile(r"(?:(\d+)(?: days?)?,? ?)?(?:(\d+):(\d+):(\d+)(?:\.\d+)?)?")
_OPSGENIE_EU = "https://api.eu.opsgenie.com"


def from_api(answer: Any, takeover: Takeover) -> None:
    """What `GET /api/v3/checks/` answers to a key that may write. Raises ImportFailed."""
    checks = answer.get("checks") if isinstance(answer, Mapping) else None
    if not isinstance(checks, list) or not all(isinstance(check, Mapping) for check in checks):
        raise ImportFailed("this is no answer of Healthchecks' GET /api/v3/checks/: it has no list `checks`")
    if any("ping_url" not in check for check in checks):
        raise ImportFailed("the answer has no UUIDs: use an API key that may read and write, not a read-only one")
    for check in checks:
        code = str(check.get("uuid") or str(check["ping_url"]).rstrip("/").rpartition("/")[2])
        kind = "simple" if check.get("timeout") is not None else "cron"
        values = {**check, "code": code, "kind": kind}
        _check(values, check.get("timeout"), check.get("grace"), takeover)
    if checks:
        takeover.remark(
            "integrations and ping keys", "not taken over: the API does not give them; import the database instead"
        )


def from_database(tables: ForeignTables, takeover: Takeover) -> None:
    """Checks with their UUIDs, ping keys of the projects, and the integrations. Raises ImportFailed."""
    need(tables, "Healthchecks", "api_check", "api_channel")
    projects = defaultdict(list)
    tags = {}
    for row in tables.rows("api_check"):
        tag = _check(row, _seconds(row.get("timeout"), _DAY), _seconds(row.get("grace"), _HOUR), takeover)
        if tag is not None:
            tags[str(row["id"])] = tag
            projects[str(row.get("project_id"))].append((tag, str(row.get("slug") or "")))
    for project in tables.rows("accounts_project"):
        _ping_key(project, projects[str(project["id"])], takeover)
    monitors = defaultdict(list)
    for row in tables.rows("api_channel_checks"):
        if str(row["check_id"]) in tags:
            monitors[str(row["channel_id"])].append(tags[str(row["check_id"])])
    for row in tables.rows("api_channel"):
        _channel(row, monitors[str(row["id"])], takeover)


def _check(check: Row, timeout: Any, grace: Any, takeover: Takeover) -> str | None:
    """The tag; None for what was not taken over. `timeout` and `grace` are seconds."""
    name, slug = str(check.get("name") or ""), str(check.get("slug") or "")
    try:
        code = str(UUID(str(check["code"])))
    except ValueError:
        takeover.remark(f"check {name or slug}", "not taken over: it has no UUID")
        return None
    subject = f"check {name or slug or code}"
    if check.get("kind") == "oncalendar":
        takeover.remark(
            subject, "not taken over: its schedule is an OnCalendar expression; write it as a cron expression"
        )
        return None
    # Not the UUID, which is as good as a password: tags are shown to all who may look.
    tag = takeover.tag(slug or name, f"check-{blake2b(code.encode(), digest_size=4).hexdigest()}")
    if slug and tag != slug:
        takeover.remark(subject, f"its tag is {tag!r}, because another check has the slug {slug!r}: change the URLs")
    for field, text in (
        ("manual_resume", "a paused monitor stays paused here until somebody resumes it"),
        ("methods", "all methods are taken here, not only POST"),
        ("filter_body", "its filters by content were not taken over"),
        ("filter_subject", "its filters by content were not taken over"),
        ("filter_http_body", "its filters by content were not taken over"),
    ):
        if check.get(field) not in (None, "", 0, False, "f", "false"):
            takeover.remark(subject, text)
    labels = {"tags": " ".join(str(check.get("tags") or "").split())[:_LONGEST_TAGS]}
    simple = check.get("kind") != "cron"
    entry = monitor(
        tag,
        secret_of(code),
        name=name if name != tag else "",
        every=duration(integer(timeout, _DAY)) if simple else None,
        schedule=None if simple else str(check.get("schedule") or ""),
        timezone=None if simple else str(check.get("tz") or "UTC"),
        degraded_after="0s",
        down_after=duration(integer(grace, _HOUR)),
        description=str(check.get("desc") or "")[:MAX_DESCRIPTION],
        labels=labels if labels["tags"] else None,
        paused=check.get("status") == "paused",
        tokens=[code],
    )
    return tag if takeover.add_monitor(entry, subject) else None


def _ping_key(project: Row, checks: Sequence[tuple[str, str]], takeover: Takeover) -> None:
    """Of a project whose senders may use `{ping key}/{slug}`."""
    key = str(project.get("ping_key") or "")
    tags = sorted(tag for tag, slug in checks if slug)
    if key and tags:
        name = takeover.name("ping key", project.get("name"), f"project {project['id']}")
        takeover.add_ping_key({"name": name, "key": key, "monitors": tags}, f"ping key of the project {name}")


def _channel(row: Row, tags: Sequence[str], takeover: Takeover) -> None:
    kind, value = str(row.get("kind") or ""), str(row.get("value") or "")
    subject = f"integration {row.get('name') or kind}"
    if true(row.get("disabled")):
        takeover.remark(subject, "not taken over: it is disabled")
        return
    make = _CHANNELS.get(kind)
    if make is None:
        takeover.remark(subject, f"not taken over: {_WHY_NOT.get(kind, f'there is no notifier for its kind {kind!r}')}")
        return
    try:
        settings = make(json.loads(value) if value.startswith("{") else {"value": value})
    except (ValueError, KeyError, TypeError, AttributeError):
        takeover.remark(subject, "not taken over: its settings cannot be read")
        return
    if kind == "webhook":
        if "$" in str(settings["url"]):
            takeover.remark(subject, "not taken over: its URL holds placeholders; a webhook's URL is fixed here")
            return
        takeover.remark(subject, "sends our JSON by POST, on recovery too: bodies, methods and the second URL are gone")
    name = takeover.name("notifier", row.get("name"), kind)
    entry = {"name": name, **{key: value for key, value in settings.items() if value not in (None, "", {}, [])}}
    if not takeover.add_notifier(entry, subject):
        return
    if not tags:
        takeover.remark(subject, "no check uses it: no alert rule was made")
        return
    rule: Entry = {
        "name": takeover.name("alert", name, kind),
        "monitors": list(tags),
        "when": ["DOWN"],
        "notify": [name],
    }
    takeover.add_alert(rule, subject)


def _webhook(value: Mapping[str, Any]) -> Entry:
    headers = {str(name): str(text) for name, text in (value.get("headers_down") or {}).items()}
    authorization = next((headers.pop(name) for name in list(headers) if name.lower() == "authorization"), None)
    for name in [name for name in headers if name.lower() == "content-type"]:
        del headers[name]
    return {"type": "webhook", "url": value["url_down"], "headers": headers, "authorization": authorization}


def _slack(value: Mapping[str, Any]) -> Entry:
    return {"type": "slack", "url": value.get("value") or value["incoming_webhook"]["url"]}


def _ntfy(value: Mapping[str, Any]) -> Entry:
    server = str(value.get("url") or "").rstrip("/")
    return {
        "type": "ntfy",
        "topic": value["topic"],
        "server": server if server != "https://ntfy.sh" else None,
        "token": value.get("token"),
    }


_CHANNELS: Mapping[str, Callable[[Mapping[str, Any]], Entry]] = {
    "webhook": _webhook,
    "slack": _slack,
    "discord": lambda value: {"type": "discord", "url": value["webhook"]["url"]},
    "msteamsw": lambda value: {"type": "msteams", "url": value["value"]},
    "pd": lambda value: {"type": "pagerduty", "routing_key": value.get("service_key") or value["value"]},
    "opsgenie": lambda value: {
        "type": "opsgenie",
        "api_key": value["key"],
        "url": _OPSGENIE_EU if value.get("region") == "eu" else None,
    },
    "ntfy": _ntfy,
    "apprise": lambda value: {"type": "apprise", "urls": [value["value"]]},
}
"""By Healthchecks' kind, from its value: JSON, or a text under `value`."""
_WHY_NOT: Mapping[str, str] = {
    "email": "its mail server is not in the database. Add a notifier of the type email",
    "telegram": "its bot's token is not in the database. Add a notifier of the type telegram with a bot of your own",
}


def _seconds(value: object, otherwise: int) -> int:
    """Of a duration as a database has it: microseconds, PostgreSQL's text, Django's text, ISO 8601."""
    if isinstance(value, int):
        return value // 1_000_000
    text = str(value or "").strip()
    if text.isdecimal():
        return int(text) // 1_000_000
    match = (_ISO if text.startswith("P") else _CLOCK).fullmatch(text)
    if match is None or not any(match.groups()):
        return otherwise
    days, hours, minutes, seconds = (int(part or 0) for part in match.groups())
    return ((days * 24 + hours) * 60 + minutes) * 60 + seconds

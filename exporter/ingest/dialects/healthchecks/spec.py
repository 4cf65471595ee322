"""What clients of the management API send, checked as Healthchecks checks it, and the monitor that comes of it.

`null` is the same as nothing, and what is not known here is ignored: Ansible sends every parameter of its module.
"""

import json
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from secrets import token_hex
from typing import Any

from exporter.core.calendar.schedule import check_cron, check_timezone
from exporter.core.clock import SECOND
from exporter.core.errors import InvalidValue
from exporter.core.monitor import Monitor
from exporter.ingest.dialects.healthchecks.check import (
    CHANNELS,
    DETAILS,
    MAX_LABEL,
    NAMELESS,
    TAGS,
    channel_names,
    details_of,
    expectation,
    label_of,
    name_of,
    slug_of,
)
from exporter.ingest.errors import IngestError

MAX_BODY = 64 * 1024
_DAY, _HOUR = 86_400, 3_600
_MIN_SECONDS, _MAX_SECONDS = 60, 31_536_000
_MAX_NAME, _MAX_KEYWORDS, _MAX_DESCRIPTION = 100, 200, 5_000
_SLUG = re.compile(r"[a-z0-9_-]*")
_UNIQUE = ("name", "slug", "tags", "timeout", "grace")

Spec = Mapping[str, Any]
"""Members of the body that are known and not null, each of the right type."""


def bad(text: str) -> IngestError:
    return IngestError(None, "a body that cannot be used", text, 400)


def read_spec(body: Mapping[str, Any]) -> Spec:
    """Raises IngestError that says what is wrong with the first member, as Healthchecks orders and words it."""
    spec: dict[str, Any] = {}
    for name, check in _MEMBERS.items():
        value = body.get(name)
        if value is not None:
            problem = check(value)
            if problem is not None:
                subject = f"an item in '{name}'" if name == "unique" and problem == _UNEXPECTED else name
                raise bad(f"json validation error: {subject} {problem}")
            spec[name] = value
    return spec


def fits(spec: Spec, monitor: Monitor) -> bool:
    """Whether the monitor is the one that `unique` asks for."""
    timeout, grace = expectation(monitor)
    own: Mapping[str, Callable[[], Any]] = {
        "name": lambda: name_of(monitor),
        "slug": lambda: slug_of(monitor),
        "tags": lambda: label_of(monitor, TAGS),
        "timeout": lambda: timeout,
        "grace": lambda: grace,
    }
    return all(own[name]() == _wanted(spec, name) for name in spec["unique"])


def is_unique(spec: Spec) -> bool:
    """Whether an existing check may be meant: by members that are all there, as there must be one at least."""
    return bool(spec.get("unique")) and all(name in spec for name in spec["unique"])


def monitor_from(
    spec: Spec, before: Monitor | None, free_tag: Callable[[str], str], channels: Sequence[tuple[str, str]]
) -> Monitor:
    """`before` as the client wants it, or a new one. `channels` are (id, name). Raises IngestError."""
    monitor = _identified(spec, free_tag) if before is None else before
    details = details_of(monitor)
    if "name" in spec:
        monitor = replace(monitor, name=spec["name"])
        details.pop(NAMELESS, None)
        if not spec["name"]:
            details[NAMELESS] = True
    if "slug" in spec:
        details.pop("slug", None)
        if spec["slug"] != monitor.tag:
            details["slug"] = spec["slug"]
    for name, default in DETAILS.items():
        if name in spec:
            details.pop(name, None)
            if spec[name] != default:
                details[name] = spec[name]
    for subject, keywords in (("subject", "success_kw"), ("subject_fail", "failure_kw")):  # of before its version 2
        if subject in spec:
            details[keywords] = spec[subject]
            details["filter_subject"] = bool(details.get("success_kw") or details.get("failure_kw"))
    labels = dict(monitor.labels)
    if "tags" in spec:
        labels[TAGS] = " ".join(spec["tags"].split())
    if "channels" in spec:
        labels[CHANNELS] = channel_names(spec["channels"], channels)
    for name in (TAGS, CHANNELS):
        if len(labels.get(name, "")) > MAX_LABEL:
            raise bad(f"json validation error: {name} is too long")
    return replace(
        _scheduled(spec, monitor),
        description=spec.get("desc", monitor.description),
        labels=tuple(sorted((key, value) for key, value in labels.items() if value or key not in (TAGS, CHANNELS))),
        details=json.dumps(details, separators=(",", ":"), sort_keys=True) if details else "",
    )


def _identified(spec: Spec, free_tag: Callable[[str], str]) -> Monitor:
    """A new monitor with the defaults of Healthchecks. Its tag is the slug, where that is free."""
    wanted = spec.get("slug") or slugify(spec.get("name", ""))
    tag = free_tag(wanted or f"check-{token_hex(4)}")
    details: dict[str, Any] = {} if spec.get("name") else {NAMELESS: True}
    if not wanted:
        details["slug"] = ""
    return Monitor(
        tag=tag,
        every=_DAY * SECOND,
        degraded_after=0,
        down_after=_HOUR * SECOND,
        details=json.dumps(details) if details else "",
    )


def _scheduled(spec: Spec, monitor: Monitor) -> Monitor:
    """With a schedule, or an interval, and a grace time, as far as they are given."""
    if "tz" in spec:
        monitor = replace(monitor, timezone=spec["tz"])
    timeout, grace = expectation(monitor)
    if not spec.keys() & {"schedule", "timeout", "grace"}:
        return monitor
    monitor = replace(monitor, degraded_after=0, down_after=spec.get("grace", grace) * SECOND)
    if "schedule" in spec:
        return replace(monitor, schedule=" ".join(spec["schedule"].split()), every=None)
    if "timeout" in spec or monitor.schedule is None:
        return replace(monitor, schedule=None, every=spec.get("timeout", timeout) * SECOND)
    return monitor


def slugify(name: str) -> str:
    """As Django makes a slug of a name."""
    import unicodedata  # a megabyte that few services need

    text = unicodedata.normalize("NFKD", name).encode("ascii", "ignore").decode().lower()
    return re.sub(r"[-\s]+", "-", re.sub(r"[^\w\s-]", "", text)).strip("-_")


def _wanted(spec: Spec, name: str) -> Any:
    return " ".join(spec[name].split()) if name == "tags" else spec[name]


# ── the members of a body ────────────────────────────────────────────────────────────────────────────────────────────

_UNEXPECTED = "has unexpected value"
Problem = str | None


def _text(most: int, lines: bool = False) -> Callable[[Any], Problem]:
    def check(value: Any) -> Problem:
        if not isinstance(value, str):
            return "is not a string"
        if len(value) > most:
            return "is too long"
        shown = re.sub(r"[\t\r\n]", "", value) if lines else value
        return None if shown.isprintable() else "has characters that cannot be shown"

    return check


def _seconds(value: Any) -> Problem:
    if not isinstance(value, int) or isinstance(value, bool):
        return "is not a number"
    if value < _MIN_SECONDS:
        return "is too small"
    return "is too large" if value > _MAX_SECONDS else None


def _boolean(value: Any) -> Problem:
    return None if isinstance(value, bool) else "is not a boolean"


def _methods(value: Any) -> Problem:
    return None if value in ("", "POST") else _UNEXPECTED


def _slug(value: Any) -> Problem:
    problem = _text(_MAX_NAME)(value)
    if problem is None and not _SLUG.fullmatch(value):
        return "does not match pattern"
    return problem


def _schedule(value: Any) -> Problem:
    problem = _text(_MAX_NAME)(value)
    if problem is None:
        try:
            check_cron(" ".join(value.split()))
        except InvalidValue:
            return "is not a valid cron or OnCalendar expression"
    return problem


def _timezone(value: Any) -> Problem:
    problem = _text(_MAX_NAME)(value)
    if problem is None:
        try:
            check_timezone(value)
        except InvalidValue:
            return "is not a valid timezone"
    return problem


def _unique(value: Any) -> Problem:
    if not isinstance(value, list):
        return "is not an array"
    return None if all(isinstance(item, str) and item in _UNIQUE for item in value) else _UNEXPECTED


_keywords = _text(_MAX_KEYWORDS)
_MEMBERS: Mapping[str, Callable[[Any], Problem]] = {
    "channels": _text(10_000),
    "desc": _text(_MAX_DESCRIPTION, lines=True),
    "failure_kw": _keywords,
    "filter_subject": _boolean,
    "filter_body": _boolean,
    "filter_http_body": _boolean,
    "filter_default_fail": _boolean,
    "grace": _seconds,
    "manual_resume": _boolean,
    "methods": _methods,
    "name": _text(_MAX_NAME),
    "schedule": _schedule,
    "slug": _slug,
    "start_kw": _keywords,
    "subject": _keywords,
    "subject_fail": _keywords,
    "success_kw": _keywords,
    "tags": _text(500),
    "timeout": _seconds,
    "tz": _timezone,
    "unique": _unique,
}
"""Returns what is wrong with a value. In the order in which Healthchecks looks at them."""

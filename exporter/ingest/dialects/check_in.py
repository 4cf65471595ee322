"""A check-in of Sentry's: what it says of a run, and the settings of the monitor that it may bring."""

from collections.abc import Mapping
from typing import Any, NamedTuple

from exporter.core.heartbeat import Kind
from exporter.core.telemetry import RejectReason
from exporter.ingest.dialects.run_details import lines_of, milliseconds_of, number_of, run_id
from exporter.ingest.errors import IngestError

KINDS = {"ok": Kind.SUCCESS, "error": Kind.FAILURE, "in_progress": Kind.START}
_LATEST = "0" * 32
"""The check-in id that stands for the latest open run."""
_MINUTES = {"minute": 1, "hour": 60, "day": 1440, "week": 7 * 1440, "month": 30 * 1440, "year": 365 * 1440}
_MAX_COUNT = 10_000_000
_MAX_TOLERANCE = 50


class CheckIn(NamedTuple):
    slug: str
    kind: Kind
    rid: str = ""
    duration: int | None = None
    output: str = ""
    settings: Mapping[str, Any] | None = None
    """Of the monitor, as the configuration writes them; None without a `monitor_config`."""


def check_in_of(slug: object, content: Mapping[str, Any]) -> CheckIn:
    """Raises IngestError for what lacks a slug or a status, and for settings that cannot be read."""
    status = content.get("status")
    if not isinstance(slug, str) or not slug:
        raise _invalid("monitor_slug is missing")
    if not isinstance(status, str) or not status:
        raise _invalid("status is missing: use in_progress, ok or error")
    kind = KINDS.get(status, Kind.LOG)  # as there: accepted, and no outcome
    environment, duration, config = map(content.get, ("environment", "duration", "monitor_config"))
    output = f"environment: {environment}" if isinstance(environment, str) and environment else ""
    unknown = f"unknown status: {status[:100]}" if kind is Kind.LOG else ""
    return CheckIn(
        slug,
        kind,
        _rid(content["check_in_id"]) if "check_in_id" in content else "",
        None if duration is None else milliseconds_of(duration),
        lines_of(output, unknown) if output or unknown else "",
        None if config is None else _settings(config),
    )


def _rid(given: object) -> str:
    if not isinstance(given, str):
        return ""
    plain = given.replace("-", "").lower()
    if plain == _LATEST:
        return ""
    return plain if len(plain) == 32 and plain.isalnum() and plain.isascii() else run_id(given)


def _settings(config: object) -> Mapping[str, Any]:
    if not isinstance(config, dict):
        raise _invalid("monitor_config is no object")
    settings: dict[str, Any] = {}
    schedule = config.get("schedule")
    if schedule is not None:
        if not isinstance(schedule, dict):
            raise _invalid("monitor_config.schedule is no object")
        settings.update(_expectation(schedule, config.get("timezone")))
    margin = _whole(config, "checkin_margin")
    if margin is not None:
        settings.update({"degraded_after": "0s", "down_after": f"{margin}m" if margin else "1s"})
    runtime = _whole(config, "max_runtime")
    if runtime:
        settings["max_runtime"] = f"{runtime}m"
    threshold = _whole(config, "failure_issue_threshold")
    if threshold is not None:
        settings["failure_tolerance"] = min(max(threshold - 1, 0), _MAX_TOLERANCE)
    return settings


def _expectation(schedule: Mapping[str, Any], timezone: object) -> Mapping[str, Any]:
    value = schedule.get("value")
    if schedule.get("type") == "crontab":
        if not isinstance(value, str):
            raise _invalid("monitor_config.schedule.value is no text")
        return {"schedule": value} if not timezone else {"schedule": value, "timezone": timezone}
    if schedule.get("type") == "interval":
        unit = schedule.get("unit")
        minutes = _MINUTES.get(unit) if isinstance(unit, str) else None
        number = _whole(schedule, "value")
        if minutes is None or not number:
            raise _invalid("monitor_config.schedule: an interval has a value and a unit, such as minute or hour")
        return {"every": f"{number * minutes}m"}
    raise _invalid("monitor_config.schedule.type is neither crontab nor interval")


def _whole(config: Mapping[str, Any], name: str) -> int | None:
    """A number that may be written as a text; null is absent."""
    given = config.get(name)
    if given is None:
        return None
    number = number_of(given)
    if number is None or number != int(number) or number > _MAX_COUNT:
        raise _invalid(f"monitor_config: {name} is no whole number of at least 0")
    return int(number)


def _invalid(hint: str) -> IngestError:
    return IngestError(RejectReason.INVALID, "a check-in that cannot be", hint, 400)

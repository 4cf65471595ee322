"""A monitor as Healthchecks shows a check.

Texts are put together by hand: a list of a hundred thousand checks is 90 MB of JSON, and has to be there in a moment.
"""

import hashlib
import json
from collections.abc import Sequence
from datetime import UTC, datetime
from json.encoder import encode_basestring_ascii as quoted
from typing import Any
from uuid import UUID, uuid5

from exporter.core.clock import SECOND
from exporter.core.fleet import FleetMonitor
from exporter.core.heartbeat import Heartbeat, HeartbeatState, Kind, apply, outcome_at
from exporter.core.monitor import Monitor
from exporter.core.status import Reason, Status
from exporter.ingest.errors import IngestError

TAGS, CHANNELS = "tags", "channels"
"""The labels that hold the tags and the names of the channels of a check."""
NAMELESS = "nameless"
"""Among the details: the name is empty, and is not the tag."""
MAX_LABEL = 200
"""Characters of a label's value, as in the configuration file."""
DETAILS: dict[str, Any] = {
    "manual_resume": False,
    "methods": "",
    "start_kw": "",
    "success_kw": "",
    "failure_kw": "",
    "filter_subject": False,
    "filter_body": False,
    "filter_http_body": False,
    "filter_default_fail": False,
}
"""What is kept for clients and has no effect here, with the defaults. Kept beside them: a slug that is not the tag."""
_PLAIN = json.dumps({**DETAILS, "subject": "", "subject_fail": ""})[1:-1]
_STATUS = {
    Status.UP: "up",
    Status.DEGRADED: "grace",
    Status.DOWN: "down",
    Status.NO_DATA: "new",
    Status.PAUSED: "paused",
}
_KINDS = {Kind.SUCCESS: "success", Kind.FAILURE: "fail", Kind.START: "start", Kind.LOG: "log"}
_NOTIFIERS = UUID("8d3f5a52-6a3b-5b0e-9a53-0d6d1b2f7c11")
"""The namespace of the ids of channels."""
_CHANNEL_KINDS = {"pagerduty": "pd", "msteams": "msteamsw"}
"""Types of notifiers that Healthchecks names otherwise."""


def details_of(monitor: Monitor) -> dict[str, Any]:
    """What is kept for clients; a new dictionary."""
    return dict(json.loads(monitor.details)) if monitor.details else {}


def name_of(monitor: Monitor) -> str:
    return monitor.name or ("" if monitor.details and NAMELESS in details_of(monitor) else monitor.tag)


def slug_of(monitor: Monitor) -> str:
    return str(details_of(monitor).get("slug", monitor.tag)) if monitor.details else monitor.tag


def label_of(monitor: Monitor, key: str) -> str:
    for name, value in monitor.labels:
        if name == key:
            return value
    return ""


def expectation(monitor: Monitor) -> tuple[int, int]:
    """(timeout, grace) in whole seconds, at least 1. Time in which lateness is nothing yet belongs to the timeout."""
    late = monitor.degraded_after
    if monitor.schedule is not None:
        return 86_400, max(1, -(-monitor.down_after // SECOND))
    return max(1, -(-((monitor.every or 0) + late) // SECOND)), max(1, -(-(monitor.down_after - late) // SECOND))


def unique_key(uuid: str) -> str:
    """What names a check to those who may read only, and opens nothing: made as Healthchecks makes it."""
    return hashlib.sha1(uuid.replace("-", "")[:16].encode(), usedforsecurity=False).hexdigest()


def status_of(watched: FleetMonitor, version: int) -> str:
    status, reason = watched.shown.status, watched.shown.reason
    if version == 1 and watched.state.runs and status is not Status.PAUSED and reason is not Reason.OVERRUN:
        return "started"
    if status is Status.MAINTENANCE:  # which Healthchecks does not know: as the last run left it
        outcome = watched.state.last_outcome
        return "new" if outcome is None else "down" if outcome is Kind.FAILURE else "up"
    return _STATUS[status]


class CheckWriter:
    """Writes checks for one request."""

    def __init__(self, version: int, base: str, channels: Sequence[tuple[str, str]]) -> None:
        """`base` is the service's URL, `channels` are (id, name)."""
        self._version = version
        self._base = quoted(base)[1:-1]
        self._ids = {name: id for id, name in channels}

    def write(self, watched: FleetMonitor, uuid: str, readonly: bool) -> str:
        """One JSON object. With `readonly` it has nothing that opens the monitor."""
        monitor, state = watched.monitor, watched.state
        timeout, grace = expectation(monitor)
        at = outcome_at(state)
        text = (
            f'{{"name": {quoted(name_of(monitor))}, "slug": {quoted(slug_of(monitor))}, '
            f'"tags": {quoted(label_of(monitor, TAGS))}, "desc": {quoted(monitor.description)}, "grace": {grace}, '
            f'"n_pings": {state.received}, "status": "{status_of(watched, self._version)}", '
            f'"started": {"true" if state.runs else "false"}, "last_ping": {_moment(at if at >= 0 else None)}, '
            f'"next_ping": {_moment(_next_ping(watched))}, {_details(monitor)}, '
            f'"badge_url": "{self._base}/badge/{monitor.tag}/status.svg"'
        )
        if state.outcome_duration is not None:
            text += f', "last_duration": {state.outcome_duration // SECOND}'
        if readonly:
            text += f', "unique_key": "{unique_key(uuid)}"'
        else:
            url = f"{self._base}/api/v{self._version}/checks/{uuid}"
            text += (
                f', "uuid": "{uuid}", "ping_url": "{self._base}/ping/{uuid}", "update_url": "{url}", '
                f'"pause_url": "{url}/pause", "resume_url": "{url}/resume", '
                f'"channels": "{self._channels(monitor)}"'
            )
        if monitor.schedule is not None:
            return f'{text}, "schedule": {quoted(monitor.schedule)}, "tz": {quoted(monitor.timezone)}}}'
        return f'{text}, "timeout": {timeout}}}'

    def _channels(self, monitor: Monitor) -> str:
        names = label_of(monitor, CHANNELS)
        if not names:
            return ""
        chosen = self._ids.values() if names == "*" else [self._ids.get(name) for name in names.split(",")]
        return ",".join(sorted(id for id in chosen if id is not None))


def _details(monitor: Monitor) -> str:
    """Members of the object."""
    if not monitor.details:
        return _PLAIN
    details = {**DETAILS, **details_of(monitor)}
    subjects = {"subject": "success_kw", "subject_fail": "failure_kw"}
    shown = {name: details[keywords] if details["filter_subject"] else "" for name, keywords in subjects.items()}
    return json.dumps({**{name: details[name] for name in DETAILS}, **shown})[1:-1]


def _next_ping(watched: FleetMonitor) -> int | None:
    """When the grace time begins; None unless the check is up, or in its grace time."""
    if watched.shown.status not in (Status.UP, Status.DEGRADED):
        return None
    due = watched.due_at
    if due is None or watched.monitor.schedule is not None:
        return due
    return due + watched.monitor.degraded_after


def _moment(at: int | None) -> str:
    """Without fractions of a second, as JSON."""
    if at is None:
        return "null"
    try:
        return f'"{datetime.fromtimestamp(at // SECOND, UTC).isoformat()}"'
    except (ValueError, OverflowError, OSError):  # after the year 9999
        return "null"


# ── pings ────────────────────────────────────────────────────────────────────────────────────────────────────────────


def pings_of(heartbeats: Sequence[tuple[int, Heartbeat]], url: str) -> list[dict[str, Any]]:
    """The newest first, as `heartbeats` are; `url` is that of the check. What is not kept here is empty."""
    pings: list[dict[str, Any]] = []
    state = HeartbeatState()
    for number, beat in reversed(heartbeats):
        state = apply(state, [beat])
        ping: dict[str, Any] = {
            "type": _KINDS[beat.kind],
            "date": datetime.fromtimestamp(beat.received_at / SECOND, UTC).isoformat(timespec="microseconds"),
            "n": number,
            "scheme": "http",
            "remote_addr": "",
            "method": "",
            "ua": "",
            "rid": beat.rid or None,
            "body_url": f"{url}/pings/{number}/body" if beat.output else None,
        }
        if beat.kind in (Kind.SUCCESS, Kind.FAILURE) and state.outcome_duration is not None:
            ping["duration"] = round(state.outcome_duration / SECOND, 2)
        pings.append(ping)
    return pings[::-1]


# ── channels ─────────────────────────────────────────────────────────────────────────────────────────────────────────


def channel_id(name: str) -> str:
    """The same for as long as the notifier has this name."""
    return str(uuid5(_NOTIFIERS, name))


def channel_kind(type: str) -> str:
    return _CHANNEL_KINDS.get(type, type)


def channel_names(chosen: str, channels: Sequence[tuple[str, str]]) -> str:
    """Of those that a client chose by ids or names: names with commas between, in the order of the configuration.
    Raises IngestError.
    """
    if not chosen:
        return ""
    wanted = {name for _, name in channels} if chosen == "*" else set()
    for identifier in chosen.split(",") if chosen != "*" else ():
        if not identifier:
            raise IngestError(None, "no such channel", "empty channel identifier", 400)
        match = next((name for id, name in channels if identifier in (id, name)), None)
        if match is None:
            raise IngestError(None, "no such channel", f"invalid channel identifier: {identifier[:100]}", 400)
        wanted.add(match)
    names = ",".join(name for _, name in channels if name in wanted)
    return names if len(names) <= MAX_LABEL or chosen != "*" else "*"

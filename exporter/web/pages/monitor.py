"""`/monitors/{tag}`: all there is to know about one monitor."""

import re
from dataclasses import dataclass
from operator import itemgetter
from typing import Any

import falcon
import falcon.asgi

from exporter.core.alerts.alert import AlertState
from exporter.core.clock import DAY
from exporter.core.durations import format_duration
from exporter.core.errors import StorageUnavailable
from exporter.core.exclusions import Calendar
from exporter.core.fleet import FleetMonitor
from exporter.core.heartbeat import Heartbeat, HeartbeatState, Kind
from exporter.core.monitor import TAG_PATTERN, Monitor
from exporter.core.status import Status
from exporter.presentation.moments import Moment, humanize_duration, humanize_duration_exact, moment
from exporter.web.addresses import base_url, ping_url
from exporter.web.context import WebContext
from exporter.web.dependencies import dependency_card
from exporter.web.errors import log
from exporter.web.pages.bar import SPAN
from exporter.web.pages.incident_rows import IncidentRow, alert_rows, incident_rows
from exporter.web.pages.maintenance import window_rows
from exporter.web.pages.outages import kept
from exporter.web.pages.rendering import Pages
from exporter.web.pages.rows import row
from exporter.web.pages.status import HISTORY_MISSING, PLACEHOLDER, answer_page
from exporter.web.requests import WebRequest
from exporter.web.suggestions import SuggestionText, SuggestionTexts

TRANSITIONS_SPAN = 30 * DAY
AHEAD = 30 * DAY
"""Windows that begin within this are shown."""
MAX_TRANSITIONS = 50
MAX_BLACKOUTS = 20
MAX_HEARTBEATS = 20
MAX_ALERTS = 20
MAX_INCIDENTS = 10
_TAG = re.compile(TAG_PATTERN)


@dataclass(frozen=True, slots=True)
class HistoryLine:
    """One line of the history."""

    at: Moment
    status: Status | None
    """None: the exporter was away."""
    reason: str
    lasted: str


@dataclass(frozen=True, slots=True)
class HeartbeatLine:
    """One heartbeat."""

    at: Moment
    kind: Kind
    exit_code: int | None
    rid: str
    duration: str
    output: str


class MonitorPage:
    """One monitor."""

    def __init__(self, parts: WebContext, pages: Pages) -> None:
        self._parts = parts
        self._pages = pages
        self._suggestions = SuggestionTexts(parts.history, parts.fleet)

    async def on_get(self, req: WebRequest, resp: falcon.asgi.Response, tag: str) -> None:
        watched = find(self._parts, tag)
        base = base_url(req, self._parts.settings)
        await answer_page(req, resp, self._parts, self._render, watched, base)

    on_head = on_get

    def _render(self, watched: FleetMonitor, base: str) -> bytes:
        now, zone = self._parts.clock.now(), watched.monitor.timezone
        trouble: str | None = None
        transitions: Any = ()
        heartbeats: Any = ()
        alerts: Any = ()
        incidents: tuple[IncidentRow, ...] = ()
        suggestion: SuggestionText | None = None
        try:
            history = self._parts.history.transitions([watched.id], now - TRANSITIONS_SPAN)
            transitions = history.get(watched.id, ())
            heartbeats = self._parts.history.heartbeats(watched.id, MAX_HEARTBEATS)
            alerts = self._parts.alerts.of_monitor(watched.id, MAX_ALERTS)
            past = self._parts.incidents.of_monitor(watched.id, MAX_INCIDENTS)
            incidents = incident_rows(past, self._parts.incidents, self._parts.fleet, now)
            suggestion = self._suggestions.of(watched)
        except StorageUnavailable as error:
            log.warning("a page goes without its history: %s", error)
            trouble = HISTORY_MISSING
        firing = [alert for alert in alerts if alert.step is AlertState.TRIGGERED]
        calendar = self._parts.fleet.calendar
        shown = row(watched, _since(transitions, now - SPAN), now, firing, calendar.away)
        return self._pages.render(
            "monitor.html",
            {
                "row": shown,
                "monitor": watched.monitor,
                "facts": _facts(watched, now),
                "release_after": format_duration(watched.monitor.release_after),
                "dependencies": dependency_card(self._parts.fleet, watched),
                "windows": window_rows(watched.exclusions.maintenances, now, zone, AHEAD),
                "changes": _changes(transitions, calendar, now, zone),
                "beats": _beats(heartbeats, now, zone),
                "alerts": alert_rows(alerts, zone, now),
                "incidents": incidents,
                "suggestion": suggestion,
                "trouble": trouble,
                "not_ready": self._parts.readiness(),
                "rendered": moment(now, now, "UTC"),
                "ping_url": ping_url(base, watched.monitor.tag, PLACEHOLDER),
            },
        )


def find(parts: WebContext, tag: str) -> FleetMonitor:
    """The monitor, or 404; 503 while the fleet may not be loaded yet, for it may still appear."""
    watched = parts.fleet.get(tag) if _TAG.fullmatch(tag) else None
    if watched is not None:
        return watched
    reason = parts.readiness()
    if reason is not None:
        raise falcon.HTTPServiceUnavailable(description=f"Not ready: {reason}.", retry_after=5)
    raise falcon.HTTPNotFound(description="There is no monitor with this tag.")


def _since(transitions: Any, since: int) -> Any:
    """Those after `since`, and the one that held by then."""
    first = 0
    for index, transition in enumerate(transitions):
        if transition.at > since:
            break
        first = index
    return transitions[first:]


def _facts(watched: FleetMonitor, now: int) -> list[tuple[str, str | Moment | None]]:
    """Label and value, in the order in which they are asked; None is a dash."""
    monitor, state = watched.monitor, watched.state

    def when(at: int | None) -> Moment | None:
        return None if at is None else moment(at, now, monitor.timezone)

    facts: list[tuple[str, str | Moment | None]] = [
        _expectation(monitor),
        ("Timezone", monitor.timezone),
        ("Degraded after", format_duration(monitor.degraded_after)),
        ("Down after", format_duration(monitor.down_after)),
        ("Maximum runtime", None if monitor.max_runtime is None else format_duration(monitor.max_runtime)),
        ("Minimum runtime", None if monitor.min_runtime is None else format_duration(monitor.min_runtime)),
        ("Failure tolerance", f"{monitor.failure_tolerance}"),
        ("Last success", when(state.last_success_at)),
        ("Last failure", when(state.last_failure_at)),
        ("Last start", when(state.last_start_at)),
        ("Last duration", None if state.last_duration is None else humanize_duration_exact(state.last_duration)),
        ("Last exit code", None if state.last_exit_code is None else str(state.last_exit_code)),
        ("Heartbeats received", f"{state.received:,}"),
        ("Failures", _failures(state)),
        ("Open runs", ", ".join(_run(run.rid, now - run.started_at) for run in state.runs[:10]) or "none"),
        (
            "Defined in",
            "the configuration file" if watched.provisioned else "the database, by the command line or the API",
        ),
    ]
    if monitor.schedule is not None:
        facts.insert(2, ("Early", format_duration(monitor.early)))
    if monitor.evaluation_cron:
        facts.insert(5, ("Evaluated at", monitor.evaluation_cron))
    return facts


def _expectation(monitor: Monitor) -> tuple[str, str]:
    if monitor.every is not None:
        return "Every", format_duration(monitor.every)
    return "Schedule", monitor.schedule or "none: lateness starts at the last success"


def _failures(state: HeartbeatState) -> str:
    total = f"{state.failures:,}"
    return f"{total}, {state.consecutive_failures:,} since the last success" if state.consecutive_failures else total


def _run(rid: str, running: int) -> str:
    return f"{rid or 'without a rid'} for {humanize_duration(running)}"


def _changes(transitions: Any, calendar: Calendar, now: int, zone: str) -> list[HistoryLine]:
    """The newest first, with outages of the exporter among them, in which it evaluated nothing."""
    shown: list[tuple[int, HistoryLine]] = []
    end = now
    for transition in reversed(transitions[-MAX_TRANSITIONS:]):
        lasted = humanize_duration(end - transition.at)
        reason = transition.reason.value.replace("_", " ")
        shown.append((transition.at, HistoryLine(moment(transition.at, now, zone), transition.status, reason, lasted)))
        end = transition.at
    known_since = max(now - TRANSITIONS_SPAN, end)
    reason = "excluded" if calendar.forgives else "counted"
    for span in kept(calendar.away, known_since)[:MAX_BLACKOUTS]:
        shown.append(
            (span.start, HistoryLine(moment(span.start, now, zone), None, reason, humanize_duration(span.length)))
        )
    return [change for _, change in sorted(shown, key=itemgetter(0), reverse=True)]


def _beats(heartbeats: Any, now: int, zone: str) -> list[HeartbeatLine]:
    shown: list[HeartbeatLine] = []
    for index, beat in enumerate(heartbeats):
        duration = _duration(beat, heartbeats[index + 1 :])
        at = moment(beat.received_at, now, zone)
        shown.append(HeartbeatLine(at, beat.kind, beat.exit_code, beat.rid, duration, beat.output))
    return shown


def _duration(beat: Heartbeat, earlier: Any) -> str:
    """Since the start it belongs to, if that is among those shown."""
    if beat.kind not in (Kind.SUCCESS, Kind.FAILURE):
        return ""
    for other in earlier:
        if other.kind is Kind.START and (not beat.rid or other.rid == beat.rid):
            return humanize_duration_exact(max(0, beat.received_at - other.received_at))
        if not beat.rid and other.kind in (Kind.SUCCESS, Kind.FAILURE):
            return ""  # that one may have ended the run
    return ""

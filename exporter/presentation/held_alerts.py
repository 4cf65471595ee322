"""Held alerts in plain words."""

from collections.abc import Mapping, Sequence

from exporter.core.alerts.held import AlertHold, HoldKind, held_until
from exporter.core.ingest_guard import Suspicion
from exporter.presentation.moments import clock_time, humanize_duration

HOLD_KINDS: Mapping[HoldKind, str] = {
    HoldKind.INGEST_GUARD: "heartbeats may not reach the exporter",
    HoldKind.DEPENDENCY: "a monitor that it depends on is in trouble",
}


def describe_holds(holds: Sequence[AlertHold], now: int) -> str:
    """`held for at most 4 min: heartbeats may not reach the exporter`; empty when nothing holds the alert."""
    if not holds:
        return ""
    kinds = dict.fromkeys(hold.kind for hold in holds)
    until = held_until(holds)
    how_long = "" if until is None else f" for at most {humanize_duration(max(0, until - now))}"
    return f"held{how_long}: {' and '.join(HOLD_KINDS[kind] for kind in kinds)}"


def describe_suspicion(suspicion: Suspicion | None, now: int) -> str:
    """What the pages say while heartbeats may not reach the exporter; empty while they do."""
    if suspicion is None:
        return ""
    last = suspicion.last_received_at
    since = "" if last is None else f" The last heartbeat before arrived at {clock_time(last, 'UTC')} UTC."
    return (
        f"{suspicion.late:,} of {suspicion.sample:,} monitors became late at once, so the fault may be between the "
        f"jobs and the exporter.{since} Alerts for silence are held for at most "
        f"{humanize_duration(max(0, suspicion.until - now))}; failures are reported."
    )

"""Why a monitor has its status and why an alert resolved: texts that pages, messages and the command line share."""

from exporter.core.alerts.alert import ResolveReason
from exporter.core.status import Reason
from exporter.presentation.moments import humanize_duration, humanize_duration_exact

RESOLVE_REASONS = {
    ResolveReason.RECOVERED: "recovered",
    ResolveReason.RULE_CHANGED: "the rule was changed",
    ResolveReason.RULE_REMOVED: "the rule was removed",
    ResolveReason.DESELECTED: "the rule no longer selects the monitor",
    ResolveReason.MONITOR_REMOVED: "the monitor was removed",
    ResolveReason.HOLD_ENDED: "the hold ended, held alerts are sent",
}


def explain_reason(
    reason: Reason,
    *,
    late_by: int | None,
    scheduled: bool,
    exit_code: int | None,
    running_for: int | None = None,
    max_runtime: int | None = None,
    failures: int | None = None,
    tolerance: int | None = None,
    took: int | None = None,
    min_runtime: int | None = None,
) -> str:
    """Describes `reason` in a few words: `missed, 12 min late`, `failed, exit code 3`.

    `late_by`, `running_for`, `took` and the limits of a run are milliseconds, `failures` are consecutive; None where
    unknown. Without a schedule or an interval lateness is the time since the last success.
    """
    match reason:
        case Reason.MISSED | Reason.LATE if late_by is not None:
            span = humanize_duration(late_by)
            if not scheduled:
                return f"{reason.value}, no success for {span}"
            return f"missed, {span} late" if reason is Reason.MISSED else f"{span} late"
        case Reason.FAILED if exit_code is not None:
            return f"failed, exit code {exit_code}"
        case Reason.OVERRUN if running_for is not None and max_runtime is not None:
            return f"overrun, running for {humanize_duration(running_for)} (limit {humanize_duration(max_runtime)})"
        case Reason.OVERRUN:
            return "overrun, a run exceeded its maximum runtime"
        case Reason.FAILING if failures is not None and tolerance is not None:
            return f"failing, {failures:,} failure{'' if failures == 1 else 's'} in a row ({tolerance} tolerated)"
        case Reason.TOO_SHORT if took is not None and min_runtime is not None:
            ran = humanize_duration_exact(took)
            return f"too short, the run took {ran} (minimum {humanize_duration_exact(min_runtime)})"
        case Reason.TOO_SHORT:
            return "too short, the run took less than its minimum runtime"
        case Reason.NEVER_RECEIVED:
            return "no heartbeat received yet"
        case Reason.MAINTENANCE:
            return "in a maintenance window"
    return reason.value.replace("_", " ")

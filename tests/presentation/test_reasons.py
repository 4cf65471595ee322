"""Pages, messages and the command line give the same reason in the same words."""

from typing import Any

import pytest

from exporter.core.alerts.alert import ResolveReason
from exporter.core.clock import HOUR, MINUTE
from exporter.core.status import Reason
from exporter.presentation.reasons import RESOLVE_REASONS, explain_reason

UNKNOWN = {"late_by": None, "scheduled": True, "exit_code": None}


@pytest.mark.parametrize(
    ("reason", "known", "text"),
    [
        (Reason.MISSED, {"late_by": 12 * MINUTE}, "missed, 12 min late"),
        (Reason.MISSED, {"late_by": 12 * MINUTE, "scheduled": False}, "missed, no success for 12 min"),
        (Reason.MISSED, {}, "missed"),
        (Reason.LATE, {"late_by": 3 * MINUTE}, "3 min late"),
        (Reason.LATE, {"late_by": 3 * MINUTE, "scheduled": False}, "late, no success for 3 min"),
        (Reason.FAILED, {"exit_code": 3}, "failed, exit code 3"),
        (Reason.FAILED, {}, "failed"),
        (
            Reason.OVERRUN,
            {"running_for": 2 * HOUR, "max_runtime": HOUR},
            "overrun, running for 2 h (limit 1 h)",
        ),
        (Reason.OVERRUN, {}, "overrun, a run exceeded its maximum runtime"),
        (Reason.FAILING, {"failures": 1, "tolerance": 3}, "failing, 1 failure in a row (3 tolerated)"),
        (Reason.FAILING, {"failures": 2, "tolerance": 2}, "failing, 2 failures in a row (2 tolerated)"),
        (Reason.FAILING, {}, "failing"),
        (
            Reason.TOO_SHORT,
            {"took": 4_200, "min_runtime": 5 * MINUTE},
            "too short, the run took 4.2 s (minimum 5 min)",
        ),
        (Reason.TOO_SHORT, {}, "too short, the run took less than its minimum runtime"),
        (Reason.NEVER_RECEIVED, {}, "no heartbeat received yet"),
        (Reason.MAINTENANCE, {}, "in a maintenance window"),
        (Reason.ON_TIME, {}, "on time"),
    ],
)
def test_each_reason(reason: Reason, known: dict[str, Any], text: str) -> None:
    assert explain_reason(reason, **{**UNKNOWN, **known}) == text


def test_every_reason_to_resolve_has_a_text() -> None:
    assert set(RESOLVE_REASONS) == set(ResolveReason)

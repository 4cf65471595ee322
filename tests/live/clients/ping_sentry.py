"""sentry-sdk: the DSN is all that changes. Arguments: the service's address, a key that creates."""

import sys

import sentry_sdk
from sentry_sdk.crons import MonitorStatus, capture_checkin, monitor

address, key = sys.argv[1:]
sentry_sdk.init(dsn=f"http://{key}@{address}/42", environment="staging", traces_sample_rate=1.0)
CONFIG = {
    "schedule": {"type": "crontab", "value": "0 3 * * *"},
    "timezone": "Europe/Rome",
    "checkin_margin": 7,
    "max_runtime": 30,
    "failure_issue_threshold": 3,
}


@monitor(monitor_slug="new-sentry", monitor_config=CONFIG)
def job() -> None:
    """Succeeds: in_progress, then ok."""


@monitor(monitor_slug="job")
def failing_job() -> None:
    raise ValueError("the job failed")


job()
try:
    failing_job()
except ValueError as error:
    sentry_sdk.capture_exception(error)  # an item that is no check-in
with sentry_sdk.start_transaction(name="a transaction", op="task"):
    pass
started = capture_checkin("job", status=MonitorStatus.IN_PROGRESS)
capture_checkin("job", check_in_id=started, status=MonitorStatus.OK, duration=12.5)
sentry_sdk.flush(10)

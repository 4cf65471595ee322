"""What a job measured: the file that HEARTBEAT_METRICS names, which the service exposes as the job's metrics."""

from __future__ import annotations

import os

from exporter.run.notices import notice, reason_of

VARIABLE = "HEARTBEAT_METRICS"
METRICS_TYPE = "text/plain; version=0.0.4; charset=utf-8"
MAX_METRICS = 65_536
"""Bytes: as many as the service takes."""
CLOCK_STEP = 2.0
"""Seconds by which a file system may date a file too early."""


def written_metrics(since: float) -> bytes:
    """The samples that the job wrote since this Unix time; empty without a file, or with one of an earlier run."""
    path = os.environ.get(VARIABLE, "")
    if not path:
        return b""
    try:
        with open(path, "rb") as file:
            if os.fstat(file.fileno()).st_mtime < since - CLOCK_STEP:
                return b""
            samples = file.read(MAX_METRICS + 1)
    except FileNotFoundError:
        return b""
    except OSError as error:
        notice(f"{VARIABLE}: {path}: {reason_of(error)}")
        return b""
    if len(samples) > MAX_METRICS:
        notice(f"{VARIABLE}: {path}: holds more than {MAX_METRICS} bytes; it was not sent")
        return b""
    return samples

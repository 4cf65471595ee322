"""The programs for the machines of jobs, which hosts without the package fetch from `/static/`."""

from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import exporter.run


class Program(NamedTuple):
    """One file to fetch."""

    read: Callable[[], bytes]
    """Reads files: programs are asked for too rarely to be kept in memory."""
    content_type: str


def _python() -> bytes:
    from exporter.run.bundle import bundle

    return bundle().encode()


def _sh() -> bytes:
    return (Path(exporter.run.__file__).parent / "heartbeat.sh").read_bytes()


PROGRAMS = {
    "heartbeat-run": Program(_python, "text/x-python; charset=utf-8"),
    "heartbeat.sh": Program(_sh, "text/x-shellscript; charset=utf-8"),
}
"""By their names under `/static/`."""

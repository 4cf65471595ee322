"""Maintenance in plain words."""

from collections.abc import Sequence
from dataclasses import dataclass

from exporter.core.clock import DAY
from exporter.core.exclusions import Maintenance
from exporter.core.maintenance import Window
from exporter.presentation.moments import Moment, moment

SOON = DAY
"""Windows that begin within this time are shown."""
MAX_WINDOWS = 10


@dataclass(frozen=True, slots=True)
class WindowRow:
    """One window that runs or will soon."""

    name: str
    description: str
    running: bool
    at: Moment
    """When it ends, or begins."""


def window_rows(windows: Sequence[Maintenance], now: int, timezone: str = "UTC", soon: int = SOON) -> list[WindowRow]:
    """Those that run, and then those that begin soon; the next first."""
    shown: list[tuple[bool, int, WindowRow]] = []
    for window in windows:
        if not isinstance(window, Window):
            continue
        now_on, begins = window.running(now), window.next_start(now)
        if now_on is not None:
            row = WindowRow(window.name, window.description, True, moment(now_on.end, now, timezone))
            shown.append((False, now_on.end, row))
        elif begins is not None and begins - now <= soon:
            row = WindowRow(window.name, window.description, False, moment(begins, now, timezone))
            shown.append((True, begins, row))
    return [row for *_, row in sorted(shown, key=lambda entry: entry[:2])[:MAX_WINDOWS]]

"""What a worker does first: it imports what only workers need, and makes the service."""

import pickle
from typing import TYPE_CHECKING, Any

from exporter.app.loader import Loader, StartSettings
from exporter.core.clock import SystemClock

if TYPE_CHECKING:
    from exporter.app.service import Service


def make_service(prepared: StartSettings, loader: Loader, workers: int, life: Any) -> "Service":
    """In the worker."""
    settings = pickle.loads(prepared.settings)  # noqa: S301 - of a process of our own
    from exporter.app.service import Service

    return Service(
        settings,
        loader.read,
        SystemClock(),
        workers,
        complete=prepared.complete,
        life=life,
        cancel=loader.cancel,
    )

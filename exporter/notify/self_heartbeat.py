"""Heartbeats of the exporter: pings another monitoring service while the evaluator and the notifiers' threads work."""

import logging
from collections.abc import Callable
from dataclasses import dataclass

from exporter.config.settings import SelfHeartbeatSettings
from exporter.core.clock import SECOND
from exporter.notify.notifier import DeliveryFailed
from exporter.notify.transport.http import HttpClient

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class _Limits:
    timeout: int = 10 * SECOND
    allow_private_addresses: bool = True


class SelfHeartbeat:
    """Called every so often, on one thread."""

    def __init__(self, settings: SelfHeartbeatSettings, alive: Callable[[], str | None]) -> None:
        self._settings = settings
        self._alive = alive
        """None while all is well, else what is not."""
        self._url = settings.url.reveal()
        self._http = HttpClient(_Limits(), [self._url])

    @property
    def seconds(self) -> float:
        return self._settings.interval / SECOND

    def beat(self) -> None:
        """One heartbeat; what goes wrong is logged, and the next one tries again. Blocks for 15 seconds at most, plus
        the time that looking up a name takes.
        """
        trouble = self._alive()
        if trouble is not None:
            log.error("the self-heartbeat is not sent: %s", trouble)
            return
        try:
            reply = self._http.ask("GET", self._url)
        except DeliveryFailed as error:
            log.warning("the self-heartbeat did not arrive: %s", error)
            return
        if not 200 <= reply.status < 300:
            log.warning("the self-heartbeat was answered %d", reply.status)

"""A heartbeat of our own: pings whoever watches us, only while the evaluator and the sender do their work."""

import logging
from collections.abc import Callable

import urllib3
from urllib3.exceptions import HTTPError

from exporter import __version__
from exporter.config.settings import SelfHeartbeatSettings
from exporter.core.clock import SECOND

log = logging.getLogger(__name__)
_TIMEOUT = urllib3.Timeout(connect=5.0, read=10.0)


class SelfHeartbeat:
    """Called every so often, on one thread."""

    def __init__(self, settings: SelfHeartbeatSettings, alive: Callable[[], str | None]) -> None:
        self._settings = settings
        self._alive = alive
        """None while all is well, else what is not."""
        self._pool = urllib3.PoolManager(retries=False)

    @property
    def seconds(self) -> float:
        return self._settings.interval / SECOND

    def beat(self) -> None:
        """One heartbeat; what goes wrong is logged, and the next one tries again."""
        trouble = self._alive()
        if trouble is not None:
            log.error("no heartbeat of our own is sent: %s", trouble)
            return
        try:
            answer = self._pool.request(
                "GET",
                self._settings.url.reveal(),
                headers={"User-Agent": f"heartbeat-exporter/{__version__}"},
                timeout=_TIMEOUT,
                redirect=False,
                preload_content=False,  # nobody reads what it says, and it may have no end
            )
            answer.close()
        except (HTTPError, ValueError) as error:
            # Its text holds the URL, and so the secret.
            log.warning("the heartbeat of our own did not arrive: %s", type(error).__name__)
            return
        if not 200 <= answer.status < 300:
            log.warning("the heartbeat of our own was answered %d", answer.status)

"""What the web is made of: collaborators, all injected."""

from collections.abc import Awaitable, Callable
from concurrent.futures import Executor
from dataclasses import dataclass

from exporter.config.settings import WebSettings
from exporter.core.clock import Clock
from exporter.core.fleet import Fleet
from exporter.core.ingest_guard import Suspicion
from exporter.ingest.refusals import Refusals
from exporter.metrics.job_metrics import JobMetricsScrape
from exporter.metrics.scrape import Scrape
from exporter.recording.managed_monitors import ManagedMonitors
from exporter.storage.delivery.notifications import Notifications
from exporter.storage.repositories.alerts import Alerts
from exporter.storage.repositories.history import History
from exporter.storage.repositories.incidents import Incidents

Readiness = Callable[[], str | None]
"""None when ready, else the reason in words."""
Reload = Callable[[], Awaitable[None] | None]
"""Blocking or async; raises ConfigError, and then the old configuration stays."""
Observe = Callable[[str, str, int, float], None]
"""(handler, method, status code, seconds) of one request."""


@dataclass(frozen=True, slots=True)
class WebContext:
    """Everything `create_app` needs."""

    fleet: Fleet
    clock: Clock
    readiness: Readiness
    health: Readiness
    """What only a new process can mend; None while all threads do their work."""
    history: History
    monitors: ManagedMonitors
    alerts: Alerts
    incidents: Incidents
    notifications: Notifications
    refusals: Refusals
    scrape: Scrape
    job_metrics: JobMetricsScrape
    reload: Reload
    settings: Callable[[], WebSettings]
    """Asked at every request: tokens and trusted proxies may change at a reload. The telemetry path may not."""
    executor: Executor
    """Where everything that blocks or computes is done."""
    observe: Observe
    version: str
    notice: Callable[[], str | None] = lambda: None
    """What people should know though all that is asked of us is done."""
    suspicion: Callable[[], Suspicion | None] = lambda: None
    """Why heartbeats may not arrive, while the ingest guard holds alerts."""
    starting: Callable[[], str | None] = lambda: None
    """Why monitors are not known yet; None once they are."""

"""The threads of one process: those of its parts, what is done every so often, and the pools that serve requests."""

from concurrent.futures import ThreadPoolExecutor

from exporter.app.container import Container
from exporter.app.periodic import Periodic

FOLLOW_EVERY = 0.5
PRUNE_EVERY = 2.0
TIDY_EVERY = 5.0


class ServiceThreads:
    """Started once the database is open."""

    def __init__(self, container: Container) -> None:
        self._container = container
        self.readers = ThreadPoolExecutor(max_workers=4, thread_name_prefix="reader")
        self.lookout = ThreadPoolExecutor(max_workers=1, thread_name_prefix="lookout")
        self._periodics: list[Periodic] = []

    def start_evaluating(self) -> None:
        """Everything but the recorder, which has to be there before the first heartbeat is accepted."""
        parts = self._container
        parts.evaluator.start()
        parts.alerting.start()
        parts.runtimes.start()
        self._periodics = [
            Periodic(
                parts.threads,
                "follower",
                FOLLOW_EVERY,
                parts.follower.poll,
                parts.key_ring.refresh,
                parts.outages.refresh,
                vital=True,
            ),
            *parts.spool.periodics(parts.threads, parts.recorder),
            Periodic(parts.threads, "job-metrics", TIDY_EVERY, parts.job_metrics.tidy),
            Periodic(parts.threads, "pruner", PRUNE_EVERY, parts.events.flush, self._prune),
            *parts.alerting.periodics(parts.settings, lambda: parts.evaluator.worked_at),
        ]
        for periodic in self._periodics:
            periodic.start()

    def stop(self, accepted: bool) -> None:
        """Blocks until everything that was accepted is committed. `accepted`: whether any heartbeat could be."""
        parts = self._container
        for periodic in self._periodics:
            periodic.stop()
        if accepted:
            parts.runtimes.stop()
            parts.recorder.stop()
            parts.outages.end()
            parts.alerting.stop()
            parts.evaluator.stop()
        self.readers.shutdown(cancel_futures=True)
        self.lookout.shutdown(cancel_futures=True)

    def _prune(self) -> None:
        parts = self._container
        if parts.lease.held:
            storage = parts.settings.storage
            parts.pruner.prune(storage.heartbeat_log_size, storage.history_retention)
            parts.alerting.expire_orphaned()
        else:
            parts.pruning_clock.forget()

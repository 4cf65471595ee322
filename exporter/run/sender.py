"""Delivers the reports of a run, in their order and within a budget of time."""

from __future__ import annotations

import time

from exporter.run.client import Delivery, ServiceClient
from exporter.run.notices import notice, reason_of
from exporter.run.options import RunOptions
from exporter.run.reports import ReportSpool, RunReport

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

ATTEMPT = 10.0
"""Seconds for one attempt to deliver a report, however slowly the service answers."""
LAST_WORD = 1.0
"""Seconds for the reports that are left when the wrapper is asked to end while it reports."""


class ReportSender:
    """Delivers the reports of one run in their order, on a thread, while the job runs and for a while after."""

    def __init__(self, options: RunOptions, rid: str) -> None:
        import threading

        self._tag = options.tag
        self._rid = rid
        self._folder = options.spool
        self._spool: ReportSpool | None = None
        self._condition = threading.Condition()
        self._queue: list[RunReport] = []
        self._backlog: list[RunReport] | None = None
        self._deadline: float | None = None
        """When to give up; None while the job runs."""
        self._not_before = 0.0
        self._client = ServiceClient(options.tag, options.config)
        self._done = threading.Event()
        self.problem = ""
        """Why the last report was not delivered."""
        self.final = False
        """Whether that needs a person's hand: a wrong secret, for example."""
        threading.Thread(target=self._run, daemon=True).start()

    def put(self, report: RunReport) -> None:
        """Adds a report, which goes into the spool, if there is one, before it is sent."""
        with self._condition:
            self._queue.append(report)
            self._condition.notify_all()

    def finish(self, report: RunReport, budget: float) -> None:
        """Adds the last report, and gives up `budget` seconds from now. It is in the spool before that begins."""
        self._save(report)
        with self._condition:
            self._queue.append(report)
            self._deadline = time.monotonic() + budget
            self._condition.notify_all()

    def hurry(self) -> None:
        """Leaves a second for what is left; for handlers of signals, so it takes no lock."""
        if self._deadline is not None:
            self._deadline = min(self._deadline, time.monotonic() + LAST_WORD)

    def wait(self) -> list[RunReport]:
        """Returns after the deadline at the latest, with what was not delivered."""
        while not self._done.wait(min(0.1, max(0.001, self._left()))):
            if self._left() <= 0:
                break
        with self._condition:
            return list(self._queue)

    def spooled(self, reports: Sequence[RunReport]) -> bool:
        """Puts reports into the spool if they are not there yet, and returns whether all of them are."""
        for report in reports:
            if not report.path and not self._save(report):
                return False
        return bool(self._folder)

    def _left(self) -> float:
        return ATTEMPT if self._deadline is None else self._deadline - time.monotonic()

    def _run(self) -> None:
        try:
            while True:
                with self._condition:
                    while not self._queue and not self._backlog and self._backlog is not None:
                        if self._deadline is not None:
                            return
                        self._condition.wait()
                if not self._step():
                    return
        finally:
            self._done.set()

    def _step(self) -> bool:
        """Delivers one report; returns whether to go on."""
        with self._condition:
            queued = list(self._queue)
        for report in queued:
            if not report.path:
                self._save(report)
        if self._backlog is None:
            self._backlog = self._read_backlog()
        # Older reports first, so that the last state is the last word; but not in the way of a run that has ended.
        if self._backlog and not (queued and self._deadline is not None):
            report, source = self._backlog[0], self._backlog
        elif queued:
            report, source = queued[0], self._queue
        else:
            return True
        delivery = self._deliver(report)
        if delivery.delivered or (delivery.lost and source is self._backlog):
            with self._condition:
                source.remove(report)
            if self._spool is not None:
                self._spool.remove(report)
            return True
        if self._gives_way(report):
            with self._condition:
                if source is self._queue:
                    self._queue.remove(report)
                    if report.path:
                        self._backlog.append(report)
            return True
        if delivery.final and self._deadline is None:
            with self._condition:
                while self._running():
                    self._condition.wait()  # nothing helps for now; the run's end is tried once
            return True
        return not delivery.final

    def _running(self) -> bool:
        return self._deadline is None

    def _gives_way(self, report: RunReport) -> bool:
        """Whether the run's end goes first, once it is there: neither its start nor older reports hold it up."""
        return self._deadline is not None and bool(self._queue) and report is not self._queue[-1]

    def _read_backlog(self) -> list[RunReport]:
        if self._folder is None:
            return []
        try:
            if self._spool is None:
                self._spool = ReportSpool(self._folder, self._tag)
            return self._spool.waiting(self._rid)
        except OSError as error:
            notice(f"--spool: {self._folder}: {reason_of(error)}")
            return []

    def _save(self, report: RunReport) -> bool:
        if self._folder is None:
            return False
        try:
            if self._spool is None:
                self._spool = ReportSpool(self._folder, self._tag)
            self._spool.add(report)
        except OSError as error:
            notice(f"--spool: {self._folder}: {reason_of(error)}")
            self._folder = None
            return False
        return True

    def _deliver(self, report: RunReport) -> Delivery:
        """Tries until the report is delivered, will never be, or time is over."""
        import random

        pause = 0.5
        ended = self._deadline is not None
        while True:
            wait = self._not_before - time.monotonic()
            if self._left() <= 0 or (self._deadline is not None and wait >= self._left()):
                return Delivery(final=True, reason=self.problem)  # the time that is left is too short
            if wait > 0:
                with self._condition:
                    self._condition.wait(min(wait, max(0.01, self._left())))
                continue
            delivery = self._attempt(report, min(ATTEMPT, self._left()))
            if delivery.delivered:
                return delivery
            self.problem, self.final = delivery.reason, delivery.final
            if delivery.pause:
                self._not_before = time.monotonic() + delivery.pause
            if delivery.final or self._gives_way(report):
                return delivery
            if delivery.pause:
                continue
            with self._condition:
                if ended or self._deadline is None:
                    left = 60.0 if self._deadline is None else max(0.0, self._left())
                    self._condition.wait(min(pause * (0.5 + random.random() / 2), left))  # noqa: S311
            if not ended and self._deadline is not None:
                ended, pause = True, 0.5  # the job has ended: a new beginning
                continue
            pause = min(pause * 2, 8.0 if ended else 30.0)

    def _attempt(self, report: RunReport, seconds: float) -> Delivery:
        """One request, on a thread of its own: a name server, a connection and an answer may each take forever."""
        import threading

        answers: list[Delivery] = []

        def work() -> None:
            try:
                answers.append(self._client.send(report, seconds))
            except Exception as error:  # noqa: BLE001 - it ends a thread, and is told as what went wrong
                answers.append(Delivery(reason=f"{type(error).__name__}: {reason_of(error)}"))

        thread = threading.Thread(target=work, daemon=True)
        thread.start()
        end = time.monotonic() + seconds
        while thread.is_alive() and time.monotonic() < min(end, self._deadline or end):
            thread.join(min(0.1, max(0.001, end - time.monotonic())))
        return answers[0] if answers else Delivery(reason="the service did not answer in time")

"""The evaluator: while it holds the lease, re-evaluates every monitor at the very moment its status may change."""

import logging
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence

from exporter.core.clock import HOUR, SECOND, Clock
from exporter.core.errors import StorageUnavailable
from exporter.core.fleet import FleetMonitor
from exporter.core.process.repeats import Repeats
from exporter.core.process.threads import SupervisedThread, Threads
from exporter.core.telemetry import Telemetry
from exporter.evaluation.alarms import AlertSink, NoAlertSink
from exporter.evaluation.arrivals import Arrivals
from exporter.evaluation.calendars import ExclusionSource, NoExclusions
from exporter.evaluation.gate import EvaluationGate, HeldBack
from exporter.evaluation.ingest_guard import IngestGuard
from exporter.evaluation.outcomes import Due, Evaluations, Outcome
from exporter.evaluation.pace import Pace
from exporter.evaluation.replay import evaluate_monitor, starts_from
from exporter.evaluation.windows import MaintenanceWatch
from exporter.fleet.loader import load
from exporter.presentation.events import EventLog, LogEvent
from exporter.storage.database import MAX_TRANSACTION_SECONDS, Database
from exporter.storage.repositories.history import History
from exporter.storage.repositories.leases import Lease, LeaseLost

log = logging.getLogger(__name__)

LOG_READ = 1000
"""Heartbeats of the log read to replay a monitor's history."""
QUARANTINE = HOUR
"""How long a monitor is set aside whose evaluation failed."""
_MAX_WAIT = 0.5
"""Seconds between two polls of the database: other processes do not wake this one."""
MAX_CONTEST = SECOND
"""How long an evaluation waits for a commit when another process has committed a heartbeat that was received later."""
NOTHING_WAITS: Mapping[int, int] = {}
_STEP = 2 * SECOND
"""A wall clock that falls behind the monotonic one by this much has been set back."""


class Evaluator:
    """`evaluate_due` does the work, on the caller's thread; `start` runs it on one of its own."""

    def __init__(
        self,
        database: Database,
        evaluations: Evaluations,
        history: History,
        lease: Lease,
        clock: Clock,
        telemetry: Telemetry,
        alarms: AlertSink | None = None,
        calendars: ExclusionSource | None = None,
        held_back: Callable[[], bool] = lambda: False,
        minds_clock: bool = True,
        threads: Threads | None = None,
        events: EventLog | None = None,
        guard: IngestGuard | None = None,
    ) -> None:
        """`held_back` is as for EvaluationGate. `minds_clock`: the evaluator notices a clock that is set back; else the
        calendars do.
        """
        self._gate = EvaluationGate(lease, clock, held_back)
        self._behind = False
        """Whether heartbeats waited for their commit, so that the last evaluation went only up to the first of them."""
        self._led = False
        """Whether this process evaluated in the last turn."""
        self._minds_clock = minds_clock
        self._events = events or EventLog()
        self._windows = MaintenanceWatch(self._events)
        self._pace = Pace()
        self._db = database
        self._calendars: ExclusionSource = calendars or NoExclusions()
        self._alarms: AlertSink = alarms or NoAlertSink()
        self._guard = guard
        self._evaluations = evaluations
        self._history = history
        self._lease = lease
        self._clock = clock
        self._telemetry = telemetry
        self._offset = clock.now() - clock.monotonic()
        self.worked_at: int | None = None
        """When the last complete turn of the thread ended, by the steady clock; None before the first one."""
        self._waits = Repeats(clock)
        self._thread = SupervisedThread(
            "evaluator", self._work, threads or Threads(), begin=self._begin, end=self._end, vital=True
        )

    @property
    def arrivals(self) -> Arrivals:
        """The heartbeats of this process that wait for their commit; set before the first evaluation."""
        return self._gate.arrivals

    @arrivals.setter
    def arrivals(self, arrivals: Arrivals) -> None:
        self._gate.arrivals = arrivals

    def start(self) -> None:
        self._thread.start()

    def stop(self, timeout: float = 10.0) -> None:
        self._thread.stop(timeout)

    def wake(self) -> None:
        """Starts an evaluation at once: something that may change a status has happened. Called from any thread."""
        self._thread.wake()

    def evaluate_due(self) -> int:
        """Evaluates what is due, if this process holds the lease; returns how many monitors it evaluated.

        Raises StorageUnavailable, and LeaseLost when another process took over meanwhile.
        """
        self._gate.require_heartbeats()  # and the lease is left to others, which may know more
        held_before = self._led and self._lease.held
        self._led = False
        held = self._lease.hold()
        self._telemetry.lease_held(held)
        if not held:
            return 0
        self._led = held_before
        self._gate.wait_for_others()
        if not held_before:
            self._windows.forget()
            self._alarms.took_over()
            if self._guard is not None:
                self._guard.forget()
        self._notice_clock_step(held_before)
        self._led = True
        evaluated, self._behind, caught_up = 0, False, False
        self._guard_ingest()
        while not self._thread.stopping:
            self._thread.progress()
            now, waiting = self._clock.now(), self.arrivals.waiting()
            # Those with a heartbeat that was received by their deadline and waits are left out until it is committed.
            batch = self._pace.batch
            candidates = self._evaluations.due(now, batch + len(waiting))
            due = [item for item in candidates if waiting.get(item.monitor_id, now + 1) > item.since][:batch]
            self._behind = self._behind or len(due) < min(len(candidates), batch)
            if due:
                self._evaluate(due, now, waiting)
                evaluated += len(due)
            if len(due) < batch:
                self._telemetry.evaluated_until(now / SECOND)
                caught_up = True
                break
            if not self._lease.hold():
                break
        self._guard_ingest(caught_up=caught_up)
        now = self._horizon()
        self._windows.look(self._calendars.refresh(), now)
        self._alarms.advance(now, self._gate)
        self._gate.restart_grace()
        return evaluated

    def _horizon(self) -> int:
        """The moment up to which all that this process received is in the database: now, or just before the first
        heartbeat that waits. No alert comes due beyond it: a heartbeat that waits may prove the opposite.
        """
        now = self._clock.now()
        horizon = min((at - 1 for at in self.arrivals.waiting().values()), default=now)
        self._behind = self._behind or horizon < now
        return min(now, horizon)

    def _evaluate(self, due: list[Due], now: int, waiting: Mapping[int, int] = NOTHING_WAITS) -> None:
        # After `now` was taken and what is due was read: an outage of the exporter that ended by then is known from
        # here on, and a monitor that was woken by a change of the calendar is evaluated by the new calendar.
        calendar = self._calendars.refresh()
        ids = [item.monitor_id for item in due]
        monitors = {watched.id: watched for watched in load(self._db, ids, histories=False)}
        outcomes: defaultdict[int, list[Outcome]] = defaultdict(list)
        for item in due:
            watched = monitors.get(item.monitor_id)
            if watched is None:  # removed since
                self._evaluations.set_aside(item, None)
                continue
            if watched.unreadable:
                self._put_off(item, now)
                continue
            watched.exclusions = calendar.of(watched.monitor)
            until = min(now, waiting.get(item.monitor_id, now + 1) - 1)
            if (watched.state.last_received_at or 0) > until:  # another process has committed one received later
                if until < now and now - item.since < MAX_CONTEST:
                    self._behind = True
                    continue
                until = now
            try:
                outcomes[until].append(self._evaluate_monitor(watched, item, until))
            except StorageUnavailable:
                raise
            except Exception:  # one monitor that cannot be evaluated must not stop the others
                log.exception("evaluation of %s failed; it is set aside for an hour", watched.monitor.tag)
                self._put_off(item, now)
        for until, group in outcomes.items():
            self._save(group, until, now)

    def _guard_ingest(self, outcomes: Sequence[Outcome] = (), caught_up: bool = False) -> None:
        """Has the guard decide whether heartbeats arrive, before alerts follow from these outcomes."""
        if self._guard is not None:
            now = self._clock.now()
            self._guard.note(outcomes, now)
            self._guard.look(now, self._gate, caught_up)

    def _save(self, outcomes: list[Outcome], until: int, now: int) -> None:
        """Writes outcomes, and the alerts and messages that follow from them, in one transaction."""
        self._guard_ingest(outcomes)
        with self._gate.transaction("record evaluations", within=MAX_TRANSACTION_SECONDS, queues=True) as transaction:
            began = self._clock.monotonic()
            # A heartbeat may have been received by the monitor's deadline and queued since it was evaluated.
            waiting = self.arrivals.waiting()
            current = [
                outcome
                for outcome in outcomes
                if waiting.get(outcome.due.monitor_id, outcome.due.since + 1) > outcome.due.since
            ]
            saved = self._evaluations.save_outcomes(transaction, current)
            self._alarms.observe(transaction, saved, until)
        self._pace.took(len(outcomes), self._clock.monotonic() - began)
        self._report(saved, now)

    def _put_off(self, due: Due, now: int) -> None:
        self._telemetry.evaluation_failed()
        self._evaluations.set_aside(due, now + QUARANTINE)

    def _evaluate_monitor(self, watched: FleetMonitor, due: Due, now: int) -> Outcome:
        last = watched.state.last_received_at
        arrived = last is not None and last > starts_from(watched, due, now)
        log = self._history.replayable(watched.id, watched.state.received, LOG_READ) if arrived else ()
        return evaluate_monitor(watched, due, log, now)

    def _report(self, saved: list[Outcome], now: int) -> None:
        if not saved:
            return
        self._telemetry.evaluated(len(saved), max(0, now - min(outcome.due.since for outcome in saved)) / SECOND)
        for outcome in saved:
            previous = outcome.before.status
            for transition in outcome.transitions:
                self._telemetry.transition(transition.status)
                self._events.record(
                    LogEvent.STATUS_CHANGED,
                    monitor=outcome.watched.monitor.tag,
                    status=transition.status,
                    previous=previous,
                    reason=transition.reason,
                    at=transition.at,
                )
                previous = transition.status

    def _notice_clock_step(self, held_before: bool) -> None:
        now = self._clock.now()
        offset = now - self._clock.monotonic()
        back = self._offset - offset
        if abs(back) > _STEP and self._guard is not None:
            self._guard.forget()
        if back > _STEP and self._minds_clock:
            log.warning("the clock was set back by %d s: re-evaluating all monitors", back // SECOND)
            self._evaluations.reconsider_all(now)
            if held_before:  # else the process that held the lease at that time has corrected the alerts
                with self._lease.transaction("set alarms back") as transaction:
                    self._alarms.clock_set_back(transaction, back, now)
        self._offset = offset

    # ── the thread ───────────────────────────────────────────────────────────────────────────────────────────

    def _work(self) -> float:
        try:
            self.evaluate_due()
            wait = self._until_next()
            self.worked_at = self._clock.monotonic()
        except LeaseLost as error:
            log.warning("%s", error)
            self._telemetry.lease_held(False)
            return _MAX_WAIT
        except HeldBack as error:
            log.debug("evaluation waits: %s", error)
            return _MAX_WAIT
        except StorageUnavailable as error:
            self._gate.restart_grace()
            if self._waits.is_due(str(error)):
                log.error("evaluation waits for the database: %s", error)
            return _MAX_WAIT
        except Exception:
            self._telemetry.evaluation_failed()
            raise
        self._waits.over()
        return wait

    def _begin(self) -> None:
        self._evaluations.claim_fleet()

    def _end(self) -> None:
        self._evaluations.release_fleet()
        try:
            self._lease.release()
        except StorageUnavailable as error:
            log.warning("cannot release the lease, it will expire: %s", error)
        self._telemetry.lease_held(False)
        self._db.close()

    def _until_next(self) -> float:
        """Seconds to the next deadline, at most _MAX_WAIT."""
        if not self._lease.held:
            return _MAX_WAIT
        sources = (
            self._evaluations.next_due(),
            self._alarms.next_due(),
            self._guard.next_due() if self._guard else None,
        )
        moments = [moment for moment in sources if moment is not None]
        wait = min([_MAX_WAIT, *(max(0.0, (moment - self._clock.now()) / SECOND) for moment in moments)])
        if wait == 0 and self._behind:  # what is due waits for a commit, and is not read again until then
            self.arrivals.announce()
            return _MAX_WAIT
        return wait

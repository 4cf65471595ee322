"""The evaluator: while it holds the lease, judges every monitor at the very moment its status may change."""

import logging
from collections import defaultdict
from collections.abc import Callable, Mapping

from exporter.core.clock import HOUR, SECOND, Clock
from exporter.core.errors import StorageUnavailable
from exporter.core.fleet import FleetMonitor
from exporter.core.repeats import Repeats
from exporter.core.telemetry import Telemetry
from exporter.core.threads import SupervisedThread, Threads
from exporter.evaluation.alarms import AlertSink, NoAlertSink
from exporter.evaluation.arrivals import Arrivals, NothingArrives
from exporter.evaluation.calendars import ExclusionSource, NoExclusions
from exporter.evaluation.outcomes import Due, Evaluations, Outcome
from exporter.evaluation.replay import evaluate_monitor, starts_from
from exporter.fleet.loader import load
from exporter.storage.database import Database
from exporter.storage.repositories.history import History
from exporter.storage.repositories.leases import Lease, LeaseLost

log = logging.getLogger(__name__)

BATCH = 500
"""Monitors judged in one transaction."""
LOG_READ = 1000
"""Heartbeats of the log read to replay a monitor's past."""
QUARANTINE = HOUR
"""How long a monitor is set aside whose evaluation failed."""
_LONGEST_WAIT = 0.5
"""Seconds between two looks at the database: other processes do not wake us."""
LONGEST_WAIT_TO_WRITE = SECOND
"""An evaluation that waited longer for the database was not the only one: other processes commit their heartbeats
first.
"""
GRACE = SECOND
"""How long the evaluation waits for other processes' heartbeats after the database was away."""
LONGEST_GRACE = 5 * SECOND
"""A database that is slow for longer than this, and never away, is evaluated all the same."""
LONGEST_CONTEST = SECOND
"""How long an evaluation waits for a commit when another process has committed a heartbeat that was received later."""
NOTHING_WAITS: Mapping[int, int] = {}
_STEP = 2 * SECOND
"""A wall clock that falls behind the monotonic one by this much has been set back."""


class HeldBack(StorageUnavailable):
    """Heartbeats that were received are perhaps not in the database yet: no monitor is evaluated without them."""


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
    ) -> None:
        """`held_back` returns whether heartbeats of this process wait for the database elsewhere, or the time that
        counts is not known yet. `minds_clock`: a clock that is set back is noticed here; else by the calendars.
        """
        self.arrivals: Arrivals = NothingArrives()
        """The heartbeats of this process that wait for their commit; set before the first evaluation."""
        self._behind = False
        """Whether heartbeats waited for their commit, so that the last evaluation went only up to the first of them."""
        self._absences = 0
        self._disturbed_at: int | None = None
        """When the database was last noticed to have been away, by the steady clock."""
        self._led = False
        """Whether this process evaluated at the last look."""
        self._held_since: int | None = None
        """Since when the evaluation waits for other processes' heartbeats, by the steady clock."""
        self._minds_clock = minds_clock
        self._db = database
        self._calendars: ExclusionSource = calendars or NoExclusions()
        self._alarms: AlertSink = alarms or NoAlertSink()
        self._evaluations = evaluations
        self._history = history
        self._lease = lease
        self._held_back = held_back
        self._clock = clock
        self._telemetry = telemetry
        self._offset = clock.now() - clock.monotonic()
        self.worked_at: int | None = None
        """When its thread went through all its work last, by the steady clock; None before the first time."""
        self._waits = Repeats(clock)
        self._thread = SupervisedThread("evaluator", self._work, threads or Threads(), end=self._end, vital=True)

    def start(self) -> None:
        self._thread.start()

    def stop(self, timeout: float = 10.0) -> None:
        self._thread.stop(timeout)

    def wake(self) -> None:
        """Something arrived that may change a status now. Called from any thread."""
        self._thread.wake()

    def evaluate_due(self) -> int:
        """Judges what is due, if this process holds the lease; how many monitors were judged.

        Raises StorageUnavailable, and LeaseLost when another process took over meanwhile.
        """
        if self._held_back():  # and the lease is left to others, who may know more
            raise HeldBack("heartbeats wait in the spool, or the time that counts is not known yet")
        held_before = self._led and self._lease.held
        self._led = False
        held = self._lease.hold()
        self._telemetry.lease_held(held)
        if not held:
            return 0
        self._led = held_before
        self._wait_for_others()
        if not held_before:
            self._alarms.took_over()
        self._notice_clock_step(held_before)
        self._led = True
        judged, self._behind = 0, False
        while not self._thread.stopping:
            self._thread.progress()
            now, waiting = self._clock.now(), self.arrivals.waiting()
            # Those with a heartbeat that was received by their deadline and waits are left out until it is committed.
            found = self._evaluations.due(now, BATCH + len(waiting))
            due = [one for one in found if waiting.get(one.monitor_id, now + 1) > one.since][:BATCH]
            self._behind = self._behind or len(due) < min(len(found), BATCH)
            if due:
                self._judge(due, now, waiting)
                judged += len(due)
            if len(due) < BATCH:
                self._telemetry.evaluated_until(now / SECOND)
                break
            if not self._lease.hold():
                break
        now = self._horizon()
        self._calendars.refresh()
        self._alarms.advance(now, self._check)
        self._held_since = None
        return judged

    def _horizon(self) -> int:
        """The moment up to which all that this process received is in the database: now, or just before the first
        heartbeat that waits. No alert comes due beyond it: a heartbeat that waits may prove the opposite.
        """
        now = self._clock.now()
        horizon = min((at - 1 for at in self.arrivals.waiting().values()), default=now)
        self._behind = self._behind or horizon < now
        return min(now, horizon)

    def _judge(self, due: list[Due], now: int, waiting: Mapping[int, int] = NOTHING_WAITS) -> None:
        # After `now` was taken and what is due was read: an outage of our own that ended by then is known from here on,
        # and whoever was woken by a change of the calendar is judged by what it was changed to.
        calendar = self._calendars.refresh()
        found = {watched.id: watched for watched in load(self._db, [one.monitor_id for one in due], histories=False)}
        outcomes: defaultdict[int, list[Outcome]] = defaultdict(list)
        for one in due:
            watched = found.get(one.monitor_id)
            if watched is None:  # removed since: nobody is there to be evaluated
                self._evaluations.set_aside(one, None)
                continue
            if watched.unreadable:
                self._put_off(one, now)
                continue
            watched.exclusions = calendar.of(watched.monitor)
            until = min(now, waiting.get(one.monitor_id, now + 1) - 1)
            if (watched.state.last_received_at or 0) > until:  # another process has committed one received later
                if until < now and now - one.since < LONGEST_CONTEST:
                    self._behind = True
                    continue
                until = now
            try:
                outcomes[until].append(self._judge_one(watched, one, until))
            except StorageUnavailable:
                raise
            except Exception:  # one monitor that cannot be judged must not stop the others
                log.exception("evaluation of %s failed; it is set aside for an hour", watched.monitor.tag)
                self._put_off(one, now)
        for until, some in outcomes.items():
            self._settle(some, until, now)

    def _settle(self, outcomes: list[Outcome], until: int, now: int) -> None:
        waits_since = self._clock.monotonic()
        # One may have been received by its deadline and queued since.
        due = {one.due.monitor_id: one.due.since for one in outcomes}
        settled = self._evaluations.save_outcomes(
            outcomes,
            lambda: self._check(waits_since),
            lambda transaction, taken: self._alarms.observe(transaction, taken, until),
            lambda: {id for id, at in self.arrivals.waiting().items() if at <= due.get(id, 0)},
        )
        self._report(settled, now)

    def _put_off(self, due: Due, now: int) -> None:
        self._telemetry.evaluation_failed()
        self._evaluations.set_aside(due, now + QUARANTINE)

    def _check(self, waits_since: int | None = None) -> None:
        """Inside a transaction that has waited for the database since then, by the steady clock: raises to undo it when
        another process may know more.
        """
        self._lease.check()
        if self._held_back():
            raise HeldBack("heartbeats wait in the spool, or the time that counts is not known yet")
        if waits_since is not None and self._clock.monotonic() - waits_since > LONGEST_WAIT_TO_WRITE:
            self._disturbed_at = self._clock.monotonic()
        self._wait_for_others()

    def _wait_for_others(self) -> None:
        """Raises HeldBack for a moment after the database was away, so that other processes commit what they received
        meanwhile.
        """
        now, absences = self._clock.monotonic(), self.arrivals.absences()
        if absences != self._absences:
            self._absences, self._disturbed_at = absences, now
        if self._disturbed_at is None or now - self._disturbed_at >= GRACE:
            return
        if self._held_since is None:
            self._held_since = now
        if now - self._held_since < LONGEST_GRACE:
            raise HeldBack("the database was away: heartbeats of other processes may wait")

    def _judge_one(self, watched: FleetMonitor, due: Due, now: int) -> Outcome:
        last = watched.state.last_received_at
        arrived = last is not None and last > starts_from(watched, due, now)
        recent = self._history.heartbeats(watched.id, LOG_READ) if arrived else ()
        return evaluate_monitor(watched, due, recent[::-1], now)

    def _report(self, settled: list[Outcome], now: int) -> None:
        if not settled:
            return
        self._telemetry.evaluated(len(settled), max(0, now - min(one.due.since for one in settled)) / SECOND)
        for outcome in settled:
            for transition in outcome.transitions:
                self._telemetry.transition(transition.status)

    def _notice_clock_step(self, held_before: bool) -> None:
        now = self._clock.now()
        offset = now - self._clock.monotonic()
        back = self._offset - offset
        if back > _STEP and self._minds_clock:
            log.warning("the clock was set back by %d s: every monitor is evaluated anew", back // SECOND)
            self._evaluations.reconsider_all(now)
            if held_before:  # else whoever held the lease when it happened has seen to the alarms
                self._alarms.clock_set_back(back, now, self._lease.check)
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
            return _LONGEST_WAIT
        except HeldBack as error:
            log.debug("evaluation waits: %s", error)
            return _LONGEST_WAIT
        except StorageUnavailable as error:
            self._held_since = None
            if self._waits.is_due(str(error)):
                log.error("evaluation waits for the database: %s", error)
            return _LONGEST_WAIT
        except Exception:
            self._telemetry.evaluation_failed()
            raise
        self._waits.over()
        return wait

    def _end(self) -> None:
        try:
            self._lease.release()
        except StorageUnavailable as error:
            log.warning("the lease is left to expire: %s", error)
        self._telemetry.lease_held(False)
        self._db.close()

    def _until_next(self) -> float:
        """Seconds to the next deadline, at most _LONGEST_WAIT."""
        if not self._lease.held:
            return _LONGEST_WAIT
        moments = [moment for moment in (self._evaluations.next_due(), self._alarms.next_due()) if moment is not None]
        wait = min([_LONGEST_WAIT, *(max(0.0, (moment - self._clock.now()) / SECOND) for moment in moments)])
        if (
            wait == 0 and self._behind
        ):  # what is due waits for a commit, and is not asked for again and again until then
            self.arrivals.announce()
            return _LONGEST_WAIT
        return wait

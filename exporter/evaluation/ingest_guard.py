"""The ingest guard at work: what it knows of the fleet, and what follows when silence is suspect or over.

It looks at nothing but the monitors that became late within the window, which evaluations report, until enough of them
did; only then it goes through the fleet. The decision is `core.ingest_guard`'s.
"""

import logging
from collections.abc import Callable, Sequence
from dataclasses import replace

from exporter.core.clock import SECOND, Clock
from exporter.core.fleet import Fleet
from exporter.core.ingest_guard import (
    ActiveMonitor,
    Ending,
    GuardPolicy,
    LateMonitor,
    Suspicion,
    has_returned,
    in_window,
    may_be_suspect,
    returned_at,
    room_for_others,
    suspect,
    with_figures,
)
from exporter.core.process.pause import Pause
from exporter.core.spans import Span
from exporter.core.status import Reason, Status
from exporter.evaluation.alarms import AlertSink
from exporter.evaluation.expectations import LateMonitors, MetDeadlines
from exporter.evaluation.gate import EvaluationGate
from exporter.evaluation.outcomes import Outcome
from exporter.presentation.moments import humanize_duration, rfc3339
from exporter.storage.database import Database, Transaction
from exporter.storage.ingest_suspicions import IngestSuspicions, StoredSuspicion
from exporter.storage.repositories.blackouts import MAX_GAP, Blackouts

log = logging.getLogger(__name__)

_SILENT = frozenset({Reason.LATE, Reason.MISSED})
_INACTIVE = frozenset({Status.PAUSED, Status.MAINTENANCE, Status.NO_DATA})
"""Monitors of which no heartbeat is expected."""
MANY = 2000
"""Monitors in a sample beyond which it is looked at every LOOK_EVERY only."""
LOOK_EVERY = SECOND // 2


class IngestGuard:
    """All methods but `suspicion` are called on the evaluator's thread, and block; they raise StorageUnavailable and
    LeaseLost.
    """

    def __init__(
        self,
        database: Database,
        fleet: Fleet,
        suspicions: IngestSuspicions,
        blackouts: Blackouts,
        clock: Clock,
        policy: Callable[[], GuardPolicy | None],
    ) -> None:
        """`policy` returns the settings that are in force; None while the guard is off."""
        self._db = database
        self._fleet = fleet
        self._suspicions = suspicions
        self._blackouts = blackouts
        self._clock = clock
        self._policy = policy
        self.alarms: AlertSink | None = None
        """Is called when silence becomes suspect, and when that is over."""
        self._stored: StoredSuspicion | None = None
        """The suspicion that is not settled."""
        self._loaded = False
        self._on = False
        """Whether there were settings when it last looked."""
        self._late = LateMonitors()
        """Within the window; while a suspicion is on, also those that were before."""
        self._stragglers = 0
        """How many of those were late before the suspicion that is on."""
        self._back: dict[int, int] = {}
        """When monitors that were late sent again, by id, while a suspicion is on."""
        self._decide_at: int | None = None
        """When the passing of time alone may change the decision."""
        self._not_before = 0
        """When heartbeats arrived again after the last suspicion; deadlines up to then belong to it."""
        self._looked_at: int | None = None
        """When a large sample was looked at last, by the steady clock."""

    @property
    def suspicion(self) -> Suspicion | None:
        """The suspicion because of which alerts are held, with its figures of now."""
        stored = self._stored
        if stored is None or stored.ended_at is not None:
            return None
        late = len(self._late) - self._stragglers
        return with_figures(stored.suspicion, late, max(late, stored.suspicion.sample))

    def forget(self) -> None:
        """What is known may be out of date: another process held the lease, or the clock was set."""
        self._loaded = False

    def next_due(self) -> int | None:
        """When `look` has something to do by the clock alone."""
        stored = self._stored
        if stored is not None:
            return stored.suspicion.until if stored.ended_at is None else None
        return self._decide_at

    def note(self, outcomes: Sequence[Outcome], now: int) -> None:
        """These evaluations are about to be written."""
        if not self._on:
            return
        for outcome in outcomes:
            watched = outcome.watched
            if outcome.after.reason in _SILENT:
                self._late.add(watched, self._not_before, now)
            elif self._late.discard(watched.id) and watched.state.last_received_at is not None:
                self._back.setdefault(watched.id, watched.state.last_received_at)

    def look(self, now: int, gate: EvaluationGate, caught_up: bool = True) -> None:
        """Decides, and writes what follows: a suspicion begins or ends. `caught_up`: no monitor waits for its
        evaluation, so that all that are late are known.
        """
        policy = self._policy()
        if not self._loaded or (policy is not None and not self._on):
            self._load(policy, now)
        self._on = policy is not None
        stored, current = self._stored, self.suspicion
        if stored is not None and current is not None:  # its figures do not shrink as monitors return one by one
            stored = self._stored = replace(stored, suspicion=current)
        if stored is not None:
            self._follow(stored, policy, now, gate, caught_up)
        elif policy is not None:
            self._decide(policy, now, gate)

    # ── nothing is suspect ───────────────────────────────────────────────────────────────────────────────────

    def _load(self, policy: GuardPolicy | None, now: int) -> None:
        self._stored = self._suspicions.unsettled()
        self._not_before = self._suspicions.last_return() or 0
        self._late, self._back, self._looked_at = LateMonitors(), {}, None
        window = (policy or GuardPolicy()).window
        pause = Pause()
        for watched in self._fleet:
            pause.when_due()
            # A status begins with the deadline, or after it.
            if watched.current.reason in _SILENT and watched.current.since > now - window:
                self._late.add(watched, self._not_before, now)
        self._loaded = True
        self._count_stragglers()

    def _decide(self, policy: GuardPolicy, now: int, gate: EvaluationGate) -> None:
        self._late.forget_until(now - policy.window)
        if not self._late.changed and (self._decide_at is None or now < self._decide_at):
            return
        self._late.changed, self._decide_at = False, None
        if len(self._late) < policy.min_due:
            return
        late = in_window(policy, [each for each in self._late if self._is_late(each)], now)
        if not may_be_suspect(policy, late):
            return
        # Those that leave the window move the moment that the sample is counted from.
        self._decide_at = late[0].deadline + policy.window
        suspicion = self._judge(policy, late, now)
        if suspicion is not None:
            self._begin(suspicion, now, gate)

    def _is_late(self, late: LateMonitor) -> bool:
        """Whether it is still there, and has not sent a success since that is not evaluated yet. One that has sent
        nothing since the last suspicion is no sign of another one: else the dead half of a fleet would be excused again
        and again.
        """
        watched = self._fleet.with_id(late.id)
        if watched is None or (watched.state.last_success_at or 0) >= late.deadline:
            return False
        return (watched.state.last_received_at or 0) >= self._not_before

    def _judge(self, policy: GuardPolicy, late: Sequence[LateMonitor], now: int) -> Suspicion | None:
        """Goes through the fleet, as far as is needed to know that nothing is suspect."""
        first = late[0].deadline
        alive_since, too_many = room_for_others(policy, late)
        ids = {each.id for each in late}
        active: list[ActiveMonitor] = []
        count = alive = 0
        deadlines = MetDeadlines(first, now)
        pause = Pause()
        for watched in self._fleet:
            pause.when_due()
            if watched.current.status in _INACTIVE:
                continue
            count += 1
            succeeded_at = watched.state.last_success_at
            if succeeded_at is None or watched.id in ids:
                continue
            met = deadlines.of(watched)
            if succeeded_at < first and met is None:
                continue
            active.append(ActiveMonitor(watched.id, succeeded_at, met))
            alive += succeeded_at >= alive_since or (met is not None and met >= alive_since)
            if alive >= too_many:
                return None
        return suspect(policy, late, active, count, self._heard_since, self._last_received_before, now)

    def _begin(self, suspicion: Suspicion, now: int, gate: EvaluationGate) -> None:
        with gate.transaction("begin ingest suspicion") as transaction:
            stored = self._suspicions.begin(transaction, suspicion)
            if self.alarms is not None:
                self.alarms.ingest_suspect(transaction, stored, now)
            transaction.after_commit.append(lambda: self._replace(stored))
        log.warning(
            "%d of %d monitors are late, and nearly nothing arrives: heartbeats may not reach the exporter. Alerts for "
            "silence are held until %s",
            suspicion.late,
            suspicion.sample,
            rfc3339(suspicion.until),
        )

    # ── a suspicion ──────────────────────────────────────────────────────────────────────────────────────────

    def _follow(
        self, stored: StoredSuspicion, policy: GuardPolicy | None, now: int, gate: EvaluationGate, caught_up: bool
    ) -> None:
        suspicion = stored.suspicion
        if self._returned(policy or GuardPolicy(), suspicion, now, caught_up):
            at = returned_at(self._returns(suspicion), now)
            if stored.ended_at is None:
                self._end(stored, Ending.RETURNED, now, at, gate)
                log.warning("heartbeats arrive again: alerts are no longer held")
            else:
                with gate.transaction("settle ingest suspicion") as transaction:
                    self._suspicions.settle(transaction, stored.id, at)
                    transaction.after_commit.append(lambda: self._settle(at))
                log.warning("heartbeats arrive again")
        elif policy is None:
            if stored.ended_at is None:
                self._end(stored, Ending.SWITCHED_OFF, now, None, gate)
                log.warning("the ingest guard was switched off: alerts are no longer held")
        elif stored.ended_at is None and now >= suspicion.until:
            self._end(stored, Ending.LASTED, now, None, gate)
            log.warning(
                "still nearly no heartbeat arrives after %s: all alerts that were held are sent",
                humanize_duration(now - suspicion.since),
            )

    def _returned(self, policy: GuardPolicy, suspicion: Suspicion, now: int, caught_up: bool) -> bool:
        steady = self._clock.monotonic()
        many = len(suspicion.late_ids) + len(suspicion.other_ids) > MANY or len(self._fleet) > MANY
        ends = suspicion.until <= now
        if many and not ends and self._looked_at is not None and steady - self._looked_at < LOOK_EVERY:
            return False
        self._looked_at = steady
        # Those that were removed or paused meanwhile send nothing, and are not expected to.
        late_ids = tuple(id for id in suspicion.late_ids if self._is_active(id))
        suspicion = replace(suspicion, late_ids=late_ids)
        sample = self._grown_sample(suspicion) if caught_up else None
        return has_returned(policy, suspicion, sample, self._heard_since)

    def _grown_sample(self, suspicion: Suspicion) -> set[int]:
        since = suspicion.counted_from
        sample = {id for id in suspicion.monitor_ids if self._is_active(id)}
        sample.update(late.id for late in self._late if late.deadline >= since and self._is_active(late.id))
        pause = Pause()
        for watched in self._fleet:
            pause.when_due()
            if (watched.state.last_success_at or 0) >= since:
                sample.add(watched.id)
        return sample

    def _end(
        self, stored: StoredSuspicion, ending: Ending, now: int, back_at: int | None, gate: EvaluationGate
    ) -> None:
        suspicion = self.suspicion or stored.suspicion
        with gate.transaction("end ingest suspicion") as transaction:
            self._suspicions.end(transaction, stored.id, suspicion, ending, now, back_at)
            if back_at is not None:
                self._excuse(transaction, suspicion, back_at, now)
            if self.alarms is not None:
                over = replace(stored, suspicion=suspicion, ended_at=now, ending=ending)
                self.alarms.ingest_over(transaction, over, now)
            if ending is Ending.LASTED:
                after = replace(stored, ended_at=now, ending=ending)
                transaction.after_commit.append(lambda: self._replace(after))
            else:
                transaction.after_commit.append(lambda: self._settle(back_at or now))

    def _excuse(self, transaction: Transaction, suspicion: Suspicion, back_at: int, now: int) -> None:
        """Records the time in which nothing arrived, and has every monitor evaluated again that is silent: the calendar
        is another one then.
        """
        span = Span(suspicion.last_received_at or suspicion.counted_from, back_at)
        if span.length <= MAX_GAP:
            return
        self._blackouts.record_unreachable(span)
        states = self._db.tables.states
        silent = states.reason.in_([Reason.LATE.value, Reason.MISSED.value, Reason.OVERRUN.value])
        later = silent & (states.next_evaluation_at.is_null() | (states.next_evaluation_at > now))
        here = self._db.tables.monitors
        present = states.monitor_id.in_(here.select(here.id).where(here.removed_at.is_null()))
        self._db.lock(states.select(states.monitor_id).where(later & present).order_by(states.monitor_id))
        states.update(**{"next_evaluation_at": now}).where(later & present).execute()
        log.warning(
            "heartbeats did not reach the exporter for %s, from %s to %s: a blackout",
            humanize_duration(span.length),
            rfc3339(span.start),
            rfc3339(span.end),
        )

    def _returns(self, suspicion: Suspicion) -> list[int]:
        """When monitors that were late sent again."""
        heard = {id: at for id in suspicion.late_ids if (at := self._last_received(id)) is not None}
        return [at for at in (heard | self._back).values() if at >= suspicion.since]

    def _replace(self, stored: StoredSuspicion) -> None:
        begins = self._stored is None
        self._stored, self._decide_at, self._looked_at = stored, None, None
        if begins:
            self._back = {}
            self._count_stragglers()

    def _count_stragglers(self) -> None:
        since = self._stored.suspicion.counted_from if self._stored is not None else 0
        self._stragglers = sum(each.deadline < since for each in self._late)

    def _settle(self, at: int) -> None:
        """What was late until now is no sign of another silence."""
        self._stored, self._decide_at, self._looked_at = None, None, None
        self._not_before = at
        self._late, self._back = LateMonitors(), {}

    # ── the fleet ────────────────────────────────────────────────────────────────────────────────────────────

    def _last_received(self, id: int) -> int | None:
        watched = self._fleet.with_id(id)
        return watched.state.last_received_at if watched is not None else None

    def _is_active(self, id: int) -> bool:
        watched = self._fleet.with_id(id)
        return watched is not None and watched.current.status not in _INACTIVE

    def _heard_since(self, id: int, at: int) -> bool:
        received_at = self._last_received(id)
        return received_at is not None and received_at >= at

    def _last_received_before(self, at: int) -> int | None:
        moments = (watched.state.last_received_at for watched in self._fleet)
        return max((moment for moment in moments if moment is not None and moment < at), default=None)

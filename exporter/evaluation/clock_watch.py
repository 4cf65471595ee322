"""Decides for one replica whether to believe a wall clock that steps."""

import logging
from collections.abc import Callable

from exporter.core.clock import MINUTE, SECOND
from exporter.core.trusted_clock import MAX_DOUBT, NOTABLE, TrustedClock, Verdict, judge_step, must_wait
from exporter.presentation.moments import humanize_duration
from exporter.storage.repositories.blackouts import AHEAD, Blackouts
from exporter.storage.server_clock import ServerClock

log = logging.getLogger(__name__)

ASK_EVERY = 2 * SECOND
"""How often the server's clock is asked for."""
KEEP_EVERY = MINUTE
READ_AGAIN = SECOND
"""Time in which every process has read again what was changed in the database."""


class ClockWatch:
    """Called by one thread at a time, before each stamp. Methods raise StorageUnavailable."""

    def __init__(
        self,
        clock: TrustedClock,
        blackouts: Blackouts,
        server: ServerClock,
        replica: str,
        synchronised: Callable[[], bool | None],
        set_back: Callable[[int], None],
    ) -> None:
        """`set_back` is called with the moment that it is when a clock that was ahead has been set back."""
        self._clock = clock
        self._blackouts = blackouts
        self._server = server
        self._replica = replica
        self._synchronised = synchronised
        self._set_back = set_back
        self._was_behind_until: int | None = None
        """A moment that the clock has been at: a step forward that leads beyond it is believed."""
        self._waits_since: int | None = None
        """Since when this process waits for the clock, by the steady clock; None when it does not."""
        self._floor = 0
        """The last stamp when this process began to wait: what it receives meanwhile carries that moment."""
        self._settled_at: int | None = None
        """When such moments were changed, by the steady clock."""
        self._asked_at: int | None = None
        self._kept_at: int | None = None
        self._server_decides = False
        self._held = False

    @property
    def waits(self) -> bool:
        """Whether the clock is behind the database: then no monitor is judged, and nothing is stamped."""
        return self._waits_since is not None

    def begin(self) -> None:
        """At a start, when the database is open."""
        self._ask(at_start=True)
        stamped_at = self._blackouts.stamped_at()
        if not self._server_decides and must_wait(self._clock.now(), stamped_at, AHEAD, 0, self._synchronised()):
            assert stamped_at is not None
            self._waits_since = self._clock.monotonic()
            self._was_behind_until = self._floor = stamped_at
            log.warning(
                "the clock is %s behind the database's last stamp, and nothing says that it is right: heartbeats are "
                "accepted, and no monitor is evaluated until it is set, for at most %s",
                humanize_duration(stamped_at - self._clock.now()),
                humanize_duration(MAX_DOUBT),
            )
        elif stamped_at is not None and stamped_at > self._clock.now() + AHEAD:
            self._was_behind_until = stamped_at
            self._was_ahead()

    def look(self) -> None:
        """Whatever the clock did until now is settled when this returns, or held back."""
        self._ask()
        step = None if self._server_decides else self._clock.step()
        if step is None:
            if self._held:
                self._held = False
                log.warning("the clock is right again")
                if not self.waits:
                    self._blackouts.set_back()  # other programs may have written moments of the future
        else:
            beyond = (
                self._was_behind_until is not None and self._clock.now() + step.by >= self._was_behind_until - AHEAD
            )
            if not self._held:
                self._held = True
                log.warning(
                    "the clock was set %s by %s", "back" if step.by < 0 else "forward", humanize_duration(abs(step.by))
                )
            if judge_step(step, self._synchronised(), self.waits or beyond) is Verdict.BELIEVE:
                self._believe(step.by)
                self._held = False
        if self.waits:
            self._wait()

    def notice(self) -> str | None:
        """For people, while something is not as usual."""
        if self.waits:
            return (
                "The clock of this machine is behind the last time that the exporter ran. Heartbeats are accepted; "
                "no monitor is evaluated until the clock is set."
            )
        step = None if self._server_decides else self._clock.step()
        if step is None:
            return None
        way = "back" if step.by < 0 else "forward"
        by = humanize_duration(abs(step.by))
        return f"The clock of this machine was set {way} by {by}. The exporter goes on without it."

    def _believe(self, by: int) -> None:
        if by < 0:
            self._was_behind_until = self._clock.now()
            self._clock.believe(by)
            self._was_ahead()
            return
        if not self.waits:
            recorded = self._blackouts.skip(by)
            log.warning(
                "the clock goes on %s later: that time counts for no monitor%s",
                humanize_duration(by),
                "" if recorded else ", as another process has recorded",
            )
        self._clock.believe(by)
        if self._was_behind_until is not None and self._clock.now() >= self._was_behind_until - AHEAD:
            self._was_behind_until = None

    def _was_ahead(self) -> None:
        self._blackouts.set_back()
        self._set_back(self._clock.now())

    def _wait(self) -> None:
        assert self._waits_since is not None
        stamped_at, waited = self._blackouts.stamped_at(), self._clock.monotonic() - self._waits_since
        if must_wait(self._clock.now(), stamped_at, AHEAD, waited, self._synchronised()):
            return
        ahead = stamped_at is not None and stamped_at > self._clock.now() + AHEAD
        if not ahead and not self._settle():
            return
        self._waits_since = None
        if ahead:
            log.warning("the clock stays behind the database's last stamp: that was made by a clock that was ahead")
            self._was_ahead()
        else:
            log.warning("the clock was set: monitors are evaluated")

    def _settle(self) -> bool:
        """The clock is right: moments of receipt that it was behind become now. Whether evaluations may begin: each
        process has to know them first, and what was received before may be committed a little later.
        """
        steady = self._clock.monotonic()
        if self._settled_at is not None and steady - self._settled_at < READ_AGAIN:
            return False
        if self._blackouts.settle_wait(self._floor, self._replica) == 0:
            return True
        self._settled_at = steady
        return False

    def _ask(self, at_start: bool = False) -> None:
        """Goes by the server's clock, where there is one and ours is not near it."""
        steady = self._clock.monotonic()
        due = self._asked_at is None or steady - self._asked_at >= ASK_EVERY
        if not due and (not self._server_decides or self._clock.step() is None):
            return
        behind = self._server.behind()
        self._asked_at = steady
        if behind is None:
            return
        self._server_decides = True
        if abs(behind) > NOTABLE:
            log.warning(
                "the clock is %s %s the database server's, which is believed",
                humanize_duration(abs(behind)),
                "behind" if behind > 0 else "ahead of",
            )
            if at_start:
                self._clock.believe(behind)
            else:
                self._believe(behind)
        if self._kept_at is None or steady - self._kept_at >= KEEP_EVERY:
            self._kept_at = steady
            step = self._clock.step()
            self._server.keep(
                self._replica, (step.by if step is not None else 0) - (behind if abs(behind) <= NOTABLE else 0)
            )

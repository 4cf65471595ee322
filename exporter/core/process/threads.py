"""Threads that the service depends on: none of them ends, fails or hangs unseen.

    Threads                 all of one process, and what is wrong with them
    └── SupervisedThread    one, which calls its work again and again

Work that raises is logged, counted and tried again after a growing pause. A thread that has ended or hangs, and a vital
one whose work keeps failing, cannot be mended from within: then readiness and health end, and the process is replaced.
"""

import logging
import threading
from collections.abc import Callable

from exporter.core.clock import MINUTE, SECOND, Clock, SystemClock
from exporter.core.telemetry import Silent, Telemetry

log = logging.getLogger(__name__)

FIRST_PAUSE = 0.5
"""Seconds before work that failed is tried again; doubled at each further failure in a row."""
MAX_PAUSE = 30.0
HANGING_AFTER = 2 * MINUTE
"""How long one turn of a thread's work may take. A database that is away answers, or is given up, much sooner."""
FAILING_AFTER = 8
"""Failures in a row, a minute in all, after which a vital thread is given up."""
_MAX_LOOK = 5 * SECOND
"""Of the time between two looks no more than this counts: a process that was paused hangs nowhere."""


class SupervisedThread:
    """Calls `work` until it is stopped. `work` returns after how many seconds it wants its next turn, None for when
    it is woken; it may be woken before.
    """

    def __init__(
        self,
        name: str,
        work: Callable[[], float | None],
        threads: "Threads",
        *,
        begin: Callable[[], None] = lambda: None,
        end: Callable[[], None] = lambda: None,
        delay: float = 0.0,
        vital: bool = False,
        drains: bool = False,
        hanging_after: int | None = HANGING_AFTER,
        discreet: bool = False,
    ) -> None:
        """`begin` is called on the thread before its first turn, `end` when it was stopped. `delay`: seconds before the
        first turn. `drains`: it gets a last turn after it was stopped. `hanging_after` is in milliseconds; None for
        work that may take any time. `discreet`: the text of its errors may hold secrets, so the log has only their
        types.
        """
        self.name = name
        self.kind = name.partition(" ")[0]
        """Without what distinguishes it from others of its kind; the label of its metrics."""
        self.vital = vital
        self.hanging_after = hanging_after
        self.turns = 0
        """Grows while the thread makes progress."""
        self.waiting = False
        """Whether it waits for its next turn."""
        self.failures = 0
        """Turns in a row that failed."""
        self.died_of: str | None = None
        """The type of the error that ended the thread."""
        self._work = work
        self._begin = begin
        self._end = end
        self._delay = delay
        self._drains = drains
        self._discreet = discreet
        self._threads = threads
        self._woken = threading.Event()
        self._stopped = threading.Event()
        self._thread = threading.Thread(target=self._run, name=name, daemon=True)

    def start(self) -> None:
        """Once; a second call does nothing, as when a start is tried again that failed half-way."""
        if self._thread.ident is None:
            self._thread.start()
            self._threads.watch(self)

    def wake(self) -> None:
        """Gives it a turn now. Called from any thread."""
        if not self._woken.is_set():
            self._woken.set()

    def ask_to_stop(self) -> None:
        """Returns at once; a turn that is under way goes on."""
        self._stopped.set()
        self._woken.set()

    def join(self, timeout: float) -> None:
        """Waits for its end; `timeout` is in seconds."""
        if self._thread.ident is not None:
            self._thread.join(timeout)

    def stop(self, timeout: float) -> None:
        self.ask_to_stop()
        self.join(timeout)

    @property
    def stopping(self) -> bool:
        return self._stopped.is_set()

    @property
    def alive(self) -> bool:
        return self._thread.is_alive()

    def pause(self, seconds: float) -> None:
        """For its own work: waits, but not once it is to stop."""
        self._stopped.wait(seconds)

    def progress(self) -> None:
        """Its work calls this within a long turn, so that it is not taken for hanging."""
        self.turns += 1

    def survived(self, error: Exception) -> None:
        """Logs and counts an error after which the work goes on."""
        self._threads.failed(self.kind)
        if self._discreet:
            log.error("the thread %s goes on after an error: %s", self.name, type(error).__name__)
        else:
            log.error("the thread %s goes on after an error", self.name, exc_info=error)

    def _run(self) -> None:
        try:
            self._begin()
            self._wait(self._delay)
            while True:
                stopping = self.stopping
                if stopping and not self._drains:
                    break
                self._woken.clear()
                self.turns += 1
                wait = self._turn()
                if stopping:
                    break
                self._wait(wait)
            self._end()
        except BaseException as error:  # the end of a thread, whatever caused it, must be known to the supervisor
            self.died_of = type(error).__name__
            self._threads.failed(self.kind)
            log.critical("the thread %s ended: %s", self.name, self.died_of, exc_info=not self._discreet)

    def _turn(self) -> float | None:
        try:
            wait = self._work()
        except Exception as error:  # noqa: BLE001 - logged and counted there, and the thread must go on
            self.survived(error)
            self.failures += 1
            return min(MAX_PAUSE, FIRST_PAUSE * 2.0 ** (self.failures - 1))
        self.failures = 0
        return wait

    def _wait(self, seconds: float | None) -> None:
        self.waiting = True
        if not self.stopping:
            # After a failure it cannot be woken: else it would fail as often as it is woken.
            (self._stopped if self.failures else self._woken).wait(seconds)
        self.waiting = False


class Threads:
    """What is wrong with the threads of one process. `look` is called about once a second on one thread."""

    def __init__(self, clock: Clock | None = None, telemetry: Telemetry | None = None) -> None:
        self._clock = clock or SystemClock()
        self._telemetry = telemetry or Silent()
        self._watched: dict[SupervisedThread, tuple[int, int]] = {}
        """(turns when it was seen to get on last, milliseconds for which it has not since)"""
        self._looked_at: int | None = None
        self._changing = threading.Lock()

    def watch(self, thread: SupervisedThread) -> None:
        with self._changing:
            self._watched[thread] = (thread.turns, 0)

    def failed(self, kind: str) -> None:
        self._telemetry.thread_failed(kind)

    def look(self) -> str | None:
        """What is wrong, for people; None while every thread does its work."""
        now = self._clock.monotonic()
        passed = 0 if self._looked_at is None else min(_MAX_LOOK, now - self._looked_at)
        self._looked_at = now
        with self._changing:
            troubles = [trouble for thread in list(self._watched) if (trouble := self._look_at(thread, passed))]
        return "; ".join(troubles) or None

    def _look_at(self, thread: SupervisedThread, passed: int) -> str | None:
        if not thread.alive:
            if thread.died_of is None and thread.stopping:
                del self._watched[thread]
                return None
            return f"the thread {thread.name} has ended"
        if thread.vital and thread.failures >= FAILING_AFTER:
            return f"the thread {thread.name} keeps failing"
        turns, stood = self._watched[thread]
        stood = 0 if thread.waiting or thread.turns != turns else stood + passed
        self._watched[thread] = (thread.turns, stood)
        if thread.hanging_after is not None and stood > thread.hanging_after:
            return f"the thread {thread.name} has not got on for {stood // SECOND} s"
        return None

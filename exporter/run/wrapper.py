"""`heartbeat-run`: runs a job and reports its start, end, exit code and output."""

from __future__ import annotations

import os
import signal
import sys
import time

from exporter.run.daemons import FORWARDED
from exporter.run.job import JobEnd, JobProcess, drain
from exporter.run.lock import RunLock
from exporter.run.metrics import METRICS_TYPE, written_metrics
from exporter.run.notices import notice
from exporter.run.options import SKIPPED, USAGE, VERSION, RunOptions, UsageProblem, help_text
from exporter.run.output import HeldOutput
from exporter.run.reports import RunReport
from exporter.run.sender import ReportSender

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import NoReturn

STOPPED_BUDGET = 5.0
"""Seconds for the reports of a job that ended after the wrapper was asked to end."""


class Wrapper:
    """Runs the job as the options say."""

    def __init__(self, options: RunOptions) -> None:
        self._options = options
        self._job: JobProcess | None = None
        self._sender: ReportSender | None = None
        self._signals: list[int] = []
        """Signals received so far, apart from SIGCHLD."""
        self.started = False
        """Whether a job has been started."""
        for descriptor in (0, 1, 2):
            try:
                os.fstat(descriptor)
            except OSError:
                os.open(os.devnull, os.O_RDWR)  # the lowest free one, which is this one
        self._wake, waker = os.pipe()
        os.set_blocking(self._wake, False)
        os.set_blocking(waker, False)
        signal.set_wakeup_fd(waker, warn_on_full_buffer=False)
        signal.signal(signal.SIGCHLD, lambda number, frame: None)
        for number in FORWARDED:
            if signal.getsignal(number) is not signal.SIG_IGN:  # nohup: the job ignores it as well
                signal.signal(number, self._on_signal)

    def _on_signal(self, number: int, frame: object) -> None:
        self._signals.append(number)
        if self._job is not None and self._job.pid:
            self._job.forward(number)
        elif self._sender is not None:
            self._sender.hurry()

    def run(self) -> int:
        """Runs the job once, or every so often; returns the exit code of the last run."""
        while True:
            begun = time.monotonic()
            code = self._run_once()
            if self._options.every is None or self._signals:
                return code
            if not self._pause(begun + self._options.every - time.monotonic()):
                return 0

    def _pause(self, seconds: float) -> bool:
        """Returns whether the time passed without a signal to end."""
        import select

        poll = select.poll()
        poll.register(self._wake, select.POLLIN)
        end = time.monotonic() + seconds
        while not self._signals and time.monotonic() < end:
            poll.poll(min(86_400_000, max(1, int((end - time.monotonic()) * 1000) + 1)))
            drain(self._wake)
            self._reap_others()
        return not self._signals

    def _reap_others(self) -> None:
        try:
            while os.wait4(-1, os.WNOHANG)[0]:
                pass
        except ChildProcessError:
            pass

    def _run_once(self) -> int:
        options = self._options
        rid = os.urandom(16).hex()
        lock = RunLock(options.tag) if options.lock else None
        if lock is not None and lock.holder:
            text = f"[skipped: the run before has not ended ({lock.holder}); on {os.uname().nodename}]\n"
            notice(f"{options.tag}: skipped: the run before has not ended ({lock.holder})")
            self._report("log", rid, text.encode(), SKIPPED)
            return SKIPPED
        held = HeldOutput() if options.quiet else None
        pipes = not options.no_output or options.quiet
        attempt, begun_at = 0, time.time()
        while True:
            attempt += 1
            job = self._job = JobProcess(options.command, held, pipes)
            self.started = True
            if self._signals:
                job.forward(self._signals[-1])  # it came before the job was there
            if lock is not None:
                lock.name_holder(job.pid)
            if self._sender is None:
                self._sender = ReportSender(options, rid)
                if job.end is None:
                    self._sender.put(RunReport("start", rid, b"", options.settings()))
            end = job.wait(self._wake, options.timeout, options.kill_after)
            if end.timed_out:
                job.end_group()
            if end.code == 0 or end.problem or attempt > options.retries or self._signals:
                break
            job.leave(lambda: self._signals)
            if not self._pause(options.retry_delay):
                break
        if lock is not None:
            lock.release()
        if end.problem:
            notice(f"{options.tag}: {end.problem}")
        job.wait_for_output()
        short = options.min_runtime is not None and end.code == 0 and end.seconds < options.min_runtime
        failed = end.code != 0 or short
        if held is not None and failed:
            held.print()
        samples = written_metrics(begun_at)
        if samples:  # before the end, so that they are there when the run is seen to have ended
            self._sender.put(RunReport("log", rid, samples, {}, content_type=METRICS_TYPE))
        line = end.describe(self._remarks(end, short, attempt))
        body = line.encode() if options.no_output else job.kept.body(line)
        self._report("fail" if short else str(end.code), rid, body, end.code, failed)
        job.leave(lambda: self._signals)
        self._job = None
        return end.code

    def _remarks(self, end: JobEnd, short: bool, attempt: int) -> list[str]:
        options = self._options
        remarks = []
        if end.timed_out:
            remarks.append(f"it ran longer than --timeout {options.given['timeout']}")
        if short:
            remarks.append(f"shorter than --min-runtime {options.given['min_runtime']}: reported as a failure")
        if attempt > 1:
            remarks.append(f"run {attempt} of {options.retries + 1} at most")
        return remarks

    def _report(self, suffix: str, rid: str, body: bytes, code: int, failed: bool = True) -> None:
        """Sends the last report of a run, for as long as the budget allows."""
        options = self._options
        if self._sender is None:
            self._sender = ReportSender(options, rid)
        sender = self._sender
        settings = {} if suffix == "log" else options.settings()
        budget = min(options.budget, STOPPED_BUDGET) if self._signals else options.budget
        sender.finish(RunReport(suffix, rid, body, settings), budget)
        left = sender.wait()
        self._sender = None
        if not left:
            return
        kept = sender.spooled(left)
        # With --quiet cron mails failures only; what a person has to put right is one.
        if not options.quiet or failed or sender.final:
            more = f"; kept in {options.spool}" if kept else ""
            notice(f"{options.tag}: not reported: {sender.problem or 'the service did not answer in time'}{more}")


def main(arguments: Sequence[str], program: str = "heartbeat-run") -> int:
    """Runs the wrapper and returns its exit code."""
    try:
        options = RunOptions(arguments)
    except UsageProblem as problem:
        notice(f"{problem} (see {program} --help); nothing was run")
        return USAGE
    if options.wants("help") or options.wants("version"):
        sys.stdout.write(f"heartbeat-run {VERSION}\n" if options.wants("version") else help_text(program))
        sys.stdout.flush()
        return 0
    wrapper = None
    try:
        wrapper = Wrapper(options)
        return wrapper.run()
    except Exception:  # noqa: BLE001 - a defect of the wrapper keeps no job from running
        import traceback

        traceback.print_exc()
        if wrapper is None or not wrapper.started:
            os.execvp(options.command[0], options.command)  # noqa: S606 - the job runs, whatever is wrong here
        return 1


def command(arguments: Sequence[str] | None = None, program: str = "heartbeat-run") -> NoReturn:
    """The program: ends with the job's exit code, whatever its threads still wait for."""
    code = 1
    try:
        code = main(sys.argv[1:] if arguments is None else arguments, program)
    finally:
        os._exit(code)
